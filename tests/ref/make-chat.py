#!/usr/bin/env python3
"""Writes golden.jsonl beside the chat templates of a folder (*.jinja): what transformers makes of them
with the conversations of chat/conversations.json, and which bytes lie between generation tags. In the
folder chat it also writes language.jsonl: single expressions and statements, and what becomes of them.

Run it in tests/ref; the versions stand in the files:

    python3 make-chat.py [--both] FOLDER

--both renders every conversation with add_generation_prompt on and off; otherwise it takes turns.
"""
import datetime
import glob
import json
import os
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import jinja2
import transformers
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils as chat

HERE = os.path.dirname(os.path.abspath(__file__))
EPOCH = 1700000000  # SOURCE_DATE_EPOCH of the test: 2023-11-14


class Fixed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(*time.gmtime(EPOCH)[:6])


def tokenizer():
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>")),
                                   bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def byte_spans(text, spans):
    """Character spans as byte spans; neighbours are one."""
    out = []
    for begin, end in spans:
        begin, end = (len(text[:i].encode()) for i in (begin, end))
        if out and out[-1][1] == begin:
            out[-1][1] = end
        elif end > begin:
            out.append([begin, end])
    return out


def render(tok, template, c, prompt):
    extra = c.get("extra", {})
    text = tok.apply_chat_template(c["messages"], tools=c.get("tools"), chat_template=template, tokenize=False,
                                   add_generation_prompt=prompt, **extra)
    _, spans = chat.render_jinja_template([chat._normalize_chat_messages(c["messages"])], tools=c.get("tools"),
                                          chat_template=template, add_generation_prompt=prompt,
                                          return_assistant_tokens_mask=True, **{**tok.special_tokens_map, **extra})
    return {"text": text, "replies": byte_spans(text, spans[0])}


def golden(folder, both):
    tok = tokenizer()
    with open(os.path.join(HERE, "chat", "conversations.json"), encoding="utf-8") as f:
        conversations = json.load(f)
    for k, path in enumerate(sorted(glob.glob(os.path.join(folder, "*.jinja")))):
        with open(path, encoding="utf-8", newline="") as f:
            template = f.read()
        for i, (name, c) in enumerate(conversations.items()):
            for prompt in ((False, True) if both else ((i + k) % 2 == 0,)):
                row = {"template": os.path.basename(path), "conversation": name, "prompt": prompt}
                try:
                    row.update(render(tok, template, c, prompt))
                except jinja2.exceptions.TemplateError as e:
                    row["error"] = str(e)
                except Exception as e:  # Python's own sentence: what matters is that there is an error
                    row["python"] = type(e).__name__ + ": " + str(e)
                yield row


def language():
    data = {"messages": [{"role": "user", "content": "Hi"}], "n": 3, "x": 2.5, "s": "Hello, wörld", "empty": "",
            "nothing": None, "yes": True, "l": [3, 1, 2], "words": ["b", "A", "c", "a"],
            "d": {"b": 1, "a": [1, "two", None, True, 2.0], "C": {"k": "v'\"\n"}},
            "rows": [{"n": "x", "v": 2, "in": {"a": 1}}, {"n": "y", "v": 1, "in": {"a": 2}}, {"n": "z"}]}
    with open(os.path.join(HERE, "chat", "language.txt"), encoding="utf-8") as f:
        sources = [s for s in f.read().split("\n---\n") if s]
    yield {"data": data}
    for source in sources:
        source = source.removesuffix("\n") if source == sources[-1] else source
        row = {"source": source}
        try:
            row["text"] = chat._compile_jinja_template(source).render(tools=None, documents=None,
                                                                      add_generation_prompt=False, **data)
        except Exception as e:
            row["error"] = str(e)
        yield row


def write(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        versions = {"transformers": transformers.__version__, "jinja2": jinja2.__version__}
        for row in [{"versions": versions}, *rows]:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    arguments = [a for a in sys.argv[1:] if a != "--both"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    transformers.logging.set_verbosity_error()
    chat.datetime = Fixed
    folder = arguments[0]
    write(os.path.join(folder, "golden.jsonl"), golden(folder, "--both" in sys.argv))
    if os.path.exists(os.path.join(folder, "language.txt")):
        write(os.path.join(folder, "language.jsonl"), language())


if __name__ == "__main__":
    main()
