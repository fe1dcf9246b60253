#!/usr/bin/env python3
"""Check with transformers, and with peft where it is there, what ft-export writes of models that tokens were added to.

Usage: export-tokens-check.py FOLDER      (empty, for what is made on the way; the tools are on PATH)

A line a case, "ok" or "not ok" first. A case is ok when transformers' own add_tokens() gives texts the same ids, the vectors
of all other words are the base's to the bit, and the loss of texts is what ft-eval says (1e-5). Of an adapter PEFT must find every
tensor, in a base that was made longer, whose new rows are random.
"""

import importlib.util
import json
import os
import subprocess
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("export_check", os.path.join(HERE, "export-check.py"))
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)

import torch
import transformers
from safetensors.torch import load_file

MODELS = os.path.join(HERE, "..", "..", "pipelines")
TOKENS = ["<good>", "<BAD>", "[two words]", "\u00fcber\u2192"]
TEXTS = ["the <good> one", "A <bad> one,x<BAD>y [two words]", "\u00fcber\u2192 <good><good>, UBER\u2192"]


def losses_of(model, rows, head):
    with torch.no_grad():
        if head == "lm":
            losses = [torch.nn.functional.cross_entropy(model(r).logits[0, :-1], r[0, 1:], reduction="none") for r in rows]
        else:
            losses = [model(r, labels=torch.tensor([i % 2])).loss.reshape(1) for i, r in enumerate(rows)]
    return torch.cat(losses).mean().item()


def pipe(command, folder):
    return subprocess.run(["sh", "-ec", command], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def make_untied(folder):
    """A random language model whose output layer has weights of its own."""
    config = transformers.AutoConfig.from_pretrained(os.path.join(MODELS, "lm", "model"))
    config.tie_word_embeddings = False
    config.num_hidden_layers = 1
    torch.manual_seed(3)
    transformers.AutoModelForCausalLM.from_config(config).float().save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(os.path.join(MODELS, "lm", "model")).save_pretrained(folder)


def compare(name, base, auto, head, extra, folder):
    base = os.path.join(MODELS, base, "model")
    with open(os.path.join(folder, "tokens"), "w", encoding="utf-8") as f:
        f.write("\n".join(TOKENS) + "\n")
    with open(os.path.join(folder, "texts.tsv"), "w", encoding="utf-8") as f:
        f.writelines(("" if head == "lm" else "ab"[i % 2] + "\t") + t + "\n" for i, t in enumerate(TEXTS))
    options = "--format lines" if head == "lm" else ""
    pipe("ft-freeze -q --head %s %s --add-tokens @tokens -o plan '%s'" % (head, extra, base), folder)
    pipe("ft-tokenize -q %s -m plan texts.tsv | ft-batch -q >bat; ft-train -q --lr 0.05 --warmup 0 -m plan -o tuned bat" % options,
         folder)
    pipe("ft-export -q -m tuned --force %s" % name, folder)
    out = os.path.join(folder, name)
    theirs = transformers.AutoTokenizer.from_pretrained(base)
    theirs.add_tokens(TOKENS)
    ours = transformers.AutoTokenizer.from_pretrained(out)
    same = [theirs(t).input_ids for t in TEXTS] == [ours(t).input_ids for t in TEXTS]
    model = auto.from_pretrained(out, dtype=torch.float32).eval()
    before = auto.from_pretrained(base, dtype=torch.float32).get_input_embeddings().weight
    after = model.get_input_embeddings().weight
    kept = torch.equal(before, after[:len(before)]) and len(after) == len(before) + len(TOKENS)
    rows = [torch.tensor([ours(t).input_ids]) for t in TEXTS]
    said = json.loads(pipe("ft-eval -q --json --bootstrap 0 -m %s bat" % name, folder))
    worst = abs(losses_of(model, rows, head) - said["loss"])
    check.say(same and kept and worst < 1e-5, name, type(model).__name__, "%.2g" % worst)


def adapted(name, base, auto, head, extra, folder):
    """The same as a folder of PEFT."""
    import peft

    if not os.path.isabs(base):
        base = os.path.join(MODELS, base, "model")
    options = "--format lines" if head == "lm" else ""
    pipe("ft-freeze -q --head %s %s --add-tokens @tokens -o plan '%s'" % (head, extra, base), folder)
    pipe("ft-tokenize -q %s -m plan texts.tsv | ft-batch -q >bat; ft-train -q --lr 0.05 --warmup 0 -m plan -o tuned bat" % options,
         folder)
    pipe("ft-export -q -m tuned --to peft --force %s" % name, folder)
    out = os.path.join(folder, name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    torch.manual_seed(0)
    model = auto.from_pretrained(base, dtype=torch.float32, **({} if head == "lm" else {"num_labels": 2}))
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = peft.PeftModel.from_pretrained(model, out).eval()
    told = [str(w.message) for w in said if issubclass(w.category, UserWarning) and "tie_word" not in str(w.message)]
    state = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    file = load_file(os.path.join(out, "adapter_model.safetensors"))
    whole = all(k in state and torch.equal(state[k], v) for k, v in file.items())
    rows = [torch.tensor([tokenizer(t).input_ids]) for t in TEXTS]
    theirs, worst = losses_of(model, rows, head), 0
    for source in ("tuned", name + " --base '%s'" % base):
        said = json.loads(pipe("ft-eval -q --json --bootstrap 0 -m %s bat" % source, folder))
        worst = max(worst, abs(theirs - said["loss"]))
    check.say(whole and not told and worst < 1e-5, name, type(model.get_base_model()).__name__, "%.2g" % worst, *told)


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    rows = transformers.AutoModelForSequenceClassification
    compare("encoder", "encoder", rows, "classify:a,b", "--last-layers 0", sys.argv[1])
    compare("adapted", "encoder", rows, "classify:a,b", "--lora r=2", sys.argv[1])
    lm = transformers.AutoModelForCausalLM
    compare("language", "lm", lm, "lm", "--last-layers 0", sys.argv[1])
    if importlib.util.find_spec("peft"):
        adapted("peft-language", "lm", lm, "lm", "--last-layers 0", sys.argv[1])
        adapted("peft-language-lora", "lm", lm, "lm", "--lora r=2", sys.argv[1])
        untied = os.path.join(os.path.abspath(sys.argv[1]), "untied")
        make_untied(untied)
        adapted("peft-untied", untied, lm, "lm", "--last-layers 0 --freeze head.weight", sys.argv[1])
        adapted("peft-untied-lora", untied, lm, "lm", "--lora r=2 --freeze head.weight", sys.argv[1])
        with open(os.path.join(sys.argv[1], "texts.tsv"), "w", encoding="utf-8") as f:
            f.writelines("ab"[i % 2] + "\t" + t + "\n" for i, t in enumerate(TEXTS))
        adapted("peft-encoder-lora", "encoder", rows, "classify:a,b", "--lora r=2", sys.argv[1])


if __name__ == "__main__":
    main()
