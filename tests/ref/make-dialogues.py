#!/usr/bin/env python3
"""Writes dialogues/: what transformers makes of conversations, as tokens, and which of them the assistant says.

    python3 make-dialogues.py

A tokenizer is made of tokenizers/smollm: special tokens as chat templates have them, some added ones that are not special,
and a beginning of text, which a template has to write itself. The conversations and most of the templates are those of
chat/. Where a template has generation tags, transformers says what is learnt (return_assistant_tokens_mask). The
others are rendered once more for each of the assistant's turns, without and with it, and the difference is
learnt, up to the last special token in it.

Needs transformers; the versions stand in the first line of golden.jsonl. The same versions give the same bytes.
"""
import datetime
import json
import os
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import tokenizers
import transformers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils as chat

HERE = os.path.dirname(os.path.abspath(__file__))
EPOCH = 1795608000  # SOURCE_DATE_EPOCH of the test: 2026-11-25
OUT = os.path.join(HERE, "dialogues")
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<|start_header_id|>", "<|end_header_id|>",
           "<|eot_id|>", "<start_of_turn>", "<end_of_turn>"]
ADDED = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
TEMPLATES = ["chat/bars.jinja", "chat/chatml.jinja", "chat/headers.jinja", "chat/thinking.jinja", "chat/turns.jinja",
             "chat/inst.jinja", "dialogues/plain.jinja", "dialogues/hidden.jinja"]


class Fixed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(*time.gmtime(EPOCH)[:6])


def make_tokenizer():
    with open(os.path.join(HERE, "tokenizers", "smollm", "tokenizer.json"), encoding="utf-8") as f:
        t = json.load(f)
    first = max(*t["model"]["vocab"].values(), *(a["id"] for a in t["added_tokens"])) + 1
    for i, content in enumerate(SPECIAL + ADDED):
        t["added_tokens"].append({"id": first + i, "content": content, "single_word": False, "lstrip": False,
                                  "rstrip": False, "normalized": False, "special": content in SPECIAL})
    bos = {"id": "<s>", "ids": [first], "tokens": ["<s>"]}
    t["post_processor"] = {
        "type": "TemplateProcessing", "special_tokens": {"<s>": bos},
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]}
    path = os.path.join(OUT, "tokenizer.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(t, f, ensure_ascii=False)
        f.write("\n")
    with open(os.path.join(OUT, "tokenizer_config.json"), "w", encoding="utf-8") as f:
        json.dump({"bos_token": "<s>", "eos_token": "</s>"}, f)
        f.write("\n")
    return PreTrainedTokenizerFast(tokenizer_file=path, bos_token="<s>", eos_token="</s>")


def by_prefix(tok, template, c, last):
    """Ids, and which are learnt, of a template without generation tags."""
    def render(n, prompt=False):
        return tok.apply_chat_template(c["messages"][:n], tools=c.get("tools"), chat_template=template, tokenize=False,
                                       add_generation_prompt=prompt)

    messages = c["messages"]
    whole = render(len(messages))
    e = tok(whole, add_special_tokens=False, return_offsets_mapping=True)
    mask = [0] * len(e["input_ids"])
    turns = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    for i in turns[-1:] if last else turns:
        before, after = render(i, True), render(i + 1)
        if not (whole.startswith(before) and whole.startswith(after)):
            raise ValueError("otherwise")
        inside = [k for k, (a, b) in enumerate(e["offset_mapping"]) if b > len(before) and a < len(after)]
        special = [k for k in inside if e["input_ids"][k] in tok.all_special_ids]
        for k in inside:
            mask[k] = int(not special or k <= special[-1])
    return e["input_ids"], mask


def run(tok, template, c, last):
    if "{% generation" in template or "{%- generation" in template:
        e = tok.apply_chat_template(c["messages"], tools=c.get("tools"), chat_template=template, tokenize=True,
                                    return_dict=True, return_assistant_tokens_mask=True)
        return e["input_ids"], e["assistant_masks"]
    return by_prefix(tok, template, c, last)


def joined(message):
    """Content in parts, all of them text, as one text: that is what is read of it."""
    content = message.get("content")
    return {**message, "content": "".join(p["text"] for p in content)} if isinstance(content, list) else message


def rows(tok):
    with open(os.path.join(HERE, "chat", "conversations.json"), encoding="utf-8") as f:
        conversations = json.load(f)
    tok.add_special_tokens({"additional_special_tokens": SPECIAL})
    for path in TEMPLATES:
        with open(os.path.join(HERE, path), encoding="utf-8", newline="") as f:
            template = f.read()
        for name, c in conversations.items():
            if "extra" in c or name == "image" or any(s in json.dumps(c) for s in SPECIAL):
                continue
            c = {**c, "messages": [joined(m) for m in c["messages"]]}
            for last in (False, True) if "hidden" in path else (False,):
                row = {"template": path, "conversation": name, **({"last": True} if last else {})}
                try:
                    ids, mask = run(tok, template, c, last)
                    row.update({"ids": ids, "learnt": "".join(map(str, mask))})
                except Exception as e:  # of the template, or of what it does with the turns
                    row["error"] = type(e).__name__
                if len(row.get("ids", [])) <= 200:
                    yield row


def main():
    transformers.logging.set_verbosity_error()
    chat.datetime = Fixed
    tok = make_tokenizer()
    with open(os.path.join(OUT, "golden.jsonl"), "w", encoding="utf-8") as f:
        versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
        for row in [{"versions": versions}, *rows(tok)]:
            f.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
