#!/usr/bin/env python3
"""Whether AdapterHub's `adapters` loads what `ft-export --to adapterhub` writes, and computes the same.

Usage: export-adapterhub-check.py BIN FOLDER

BIN has ft's tools; FOLDER is empty, for what they write.  Each folder of adapterhub/ is read and written by ft-export;
the library loads the result beside its base, and its logits must be those of the adapter that it saved.  The same with a
model that was tuned, whose pooler goes with the head.  A line for each begins with ok or not ok.
"""

import importlib.util
import json
import logging
import os
import subprocess
import sys

import torch
import transformers
from safetensors.torch import load_file

import adapters

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("make", os.path.join(HERE, "make-adapterhub.py"))
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


def load(path, folder, causal):
    """The base with the adapter, which counts only when each of its tensors has found its place."""
    model = make.load(path, causal)
    adapters.init(model)
    info = {}
    model.load_adapter(folder, use_safetensors=True, set_active=True, loading_info=info)
    # The norm of ln_before has two names in the module, of which a file has one.
    twice = [n.replace("adapter_norm_before", "adapter_down.0") for n, _ in model.named_parameters() if "norm_before" in n]
    missing = [n for n in info.get("missing_keys", []) if n not in twice]
    assert not missing and not info.get("unexpected_keys"), info
    return model.eval()


def check(name, worst):
    print(f"{'ok' if worst < 1e-5 else 'not ok'} {name} {worst:.2g}")


def check_case(case, tools, folder):
    source, base = os.path.join(HERE, "adapterhub", case["name"]), os.path.join(HERE, case["model"])
    out = os.path.join(folder, case["name"])
    subprocess.run([os.path.join(tools, "ft-export"), "-q", "-m", source, "--base", base, "--to", "adapterhub", out], check=True)
    causal = case["model"].startswith("decoders/")
    model = load(case["model"], out, causal)
    logits = make.run(model, case, causal).logits.detach()
    logits = make.encoders.packed(logits, case) if causal else logits
    check(case["name"], (logits - load_file(source + ".safetensors")["logits"]).abs().max().item())


def load_flex(path, folder):
    """The same of one with a head of the library's own classes."""
    model = adapters.AutoAdapterModel.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    info = {}
    model.load_adapter(folder, use_safetensors=True, set_active=True, loading_info=info)
    assert not info.get("missing_keys") and not info.get("unexpected_keys"), info
    return model.eval()


def check_flex(case, tools, folder):
    source, base = os.path.join(HERE, "adapterhub", case["name"]), os.path.join(HERE, case["model"])
    out = os.path.join(folder, case["name"])
    subprocess.run([os.path.join(tools, "ft-export"), "-q", "-m", source, "--base", base, "--to", "adapterhub", out], check=True)
    model = load_flex(base, out)
    inputs = {**make.encoders.inputs(case), "input_ids": make.encoders.padded(case["ids"], model.config.pad_token_id or 0)}
    with torch.no_grad():
        logits = model(**inputs).logits
    logits = make.encoders.packed(logits, case) if logits.dim() == 3 else logits
    with open(os.path.join(source, "head_config.json"), encoding="utf-8") as f, \
            open(os.path.join(out, "head_config.json"), encoding="utf-8") as g:
        theirs, ours = json.load(f), json.load(g)
    for config in (theirs, ours):  # of one layer it stands for nothing
        config["model_name"] = None
        config["config"]["activation_function"] = config["config"]["layers"] > 1 and config["config"]["activation_function"]
    worst = (logits - load_file(source + ".safetensors")["logits"]).abs().max().item()
    check(case["name"], worst if theirs == ours else 1)


def check_tuned(tools, folder):
    """Trained for some steps; what ft says of the texts is what the library says."""
    texts = ["the good one is good", "a bad one", "good and fine", "this is bad"]
    script = r"""
set -e
PATH=$1:$PATH; cd "$2"; cp -r "$3" base
printf 'pos\tthe good one is good\nneg\ta bad one\npos\tgood and fine\nneg\tthis is bad\n' >train.tsv
ft-freeze -q --head classify:neg,pos --bottleneck=kind=houlsby,reduction=10 -o plan.ft base
ft-tokenize -q -m plan.ft train.tsv | ft-batch -q --rows 2 --epochs 5 | ft-train -q --lr 0.02 -m plan.ft -o tuned.ft -
ft-export -q -m tuned.ft --to adapterhub tuned
ft-predict -q -m tuned.ft train.tsv >said
"""
    subprocess.run(["sh", "-c", script, "sh", os.path.abspath(tools), folder, os.path.join(HERE, "tiny-bert")], check=True)
    base = os.path.join(folder, "base")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=2, attn_implementation="eager")
    adapters.init(model)
    model.load_adapter(os.path.join(folder, "tuned"), use_safetensors=True, set_active=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    with torch.no_grad():
        want = torch.softmax(model.eval()(**tokenizer(texts, padding=True, return_tensors="pt")).logits, -1)
    with open(os.path.join(folder, "said"), encoding="utf-8") as f:
        said = [json.loads(line) for line in f]
    worst = 0
    for row, p in zip(said, want):
        i = model.config.label2id[row["label"]]
        worst = max(worst, abs(row["score"] - p[i].item()))
    check("tuned", worst if len(said) == len(texts) else 1)
    check_first(tools, folder, texts, tokenizer)


def check_first(tools, folder, texts, tokenizer):
    """A head on the first token, for which transformers has no class."""
    script = r"""
set -e
PATH=$1:$PATH; cd "$2"
ft-freeze -q --head classify:neg,pos --pooling cls --bottleneck=reduction=10 -o plan.ft base
ft-tokenize -q -m plan.ft train.tsv | ft-batch -q --rows 2 --epochs 5 | ft-train -q --lr 0.02 -m plan.ft -o tuned.ft -
ft-export -q -m tuned.ft --to adapterhub first
ft-predict -q -m tuned.ft train.tsv >said
"""
    subprocess.run(["sh", "-c", script, "sh", os.path.abspath(tools), folder], check=True)
    model = load_flex(os.path.join(folder, "base"), os.path.join(folder, "first"))
    with torch.no_grad():
        want = torch.softmax(model(**tokenizer(texts, padding=True, return_tensors="pt")).logits, -1)
    with open(os.path.join(folder, "said"), encoding="utf-8") as f:
        said = [json.loads(line) for line in f]
    worst = max(abs(row["score"] - p[["neg", "pos"].index(row["label"])].item()) for row, p in zip(said, want))
    check("first", worst if len(said) == len(texts) else 1)


def main():
    tools, folder = sys.argv[1:]
    transformers.logging.set_verbosity_error()
    logging.getLogger("adapters").setLevel(logging.ERROR)
    with open(os.path.join(HERE, "adapterhub", "cases.jsonl"), encoding="utf-8") as f:
        for case in [json.loads(line) for line in f][1:]:
            check_case(case, tools, folder)
    with open(os.path.join(HERE, "adapterhub", "flex.jsonl"), encoding="utf-8") as f:
        for case in [json.loads(line) for line in f][1:]:
            check_flex(case, tools, folder)
    check_tuned(tools, folder)


if __name__ == "__main__":
    main()
