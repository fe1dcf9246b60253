#!/usr/bin/env python3
"""Check with transformers what ft-export writes of models that tokens were added to.

Usage: export-tokens-check.py FOLDER      (empty, for what is made on the way; the tools are on PATH)

A line a case, "ok" or "not ok" first. A case is ok when transformers' own add_tokens() gives texts the same ids, the vectors
of all other words are the base's to the bit, and the loss of texts is what ft-eval says (1e-5).
"""

import importlib.util
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("export_check", os.path.join(HERE, "export-check.py"))
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)

import torch
import transformers

MODELS = os.path.join(HERE, "..", "..", "pipelines")
TOKENS = ["<good>", "<BAD>", "[two words]", "\u00fcber\u2192"]
TEXTS = ["the <good> one", "A <bad> one,x<BAD>y [two words]", "\u00fcber\u2192 <good><good>, UBER\u2192"]


def pipe(command, folder):
    return subprocess.run(["sh", "-ec", command], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


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
    with torch.no_grad():
        if head == "lm":
            losses = [torch.nn.functional.cross_entropy(model(r).logits[0, :-1], r[0, 1:], reduction="none") for r in rows]
        else:
            losses = [model(r, labels=torch.tensor([i % 2])).loss.reshape(1) for i, r in enumerate(rows)]
    said = json.loads(pipe("ft-eval -q --json --bootstrap 0 -m %s bat" % name, folder))
    worst = abs(torch.cat(losses).mean().item() - said["loss"])
    check.say(same and kept and worst < 1e-5, name, type(model).__name__, "%.2g" % worst)


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    rows = transformers.AutoModelForSequenceClassification
    compare("encoder", "encoder", rows, "classify:a,b", "--last-layers 0", sys.argv[1])
    compare("adapted", "encoder", rows, "classify:a,b", "--lora r=2", sys.argv[1])
    compare("language", "lm", transformers.AutoModelForCausalLM, "lm", "--last-layers 0", sys.argv[1])


if __name__ == "__main__":
    main()
