#!/usr/bin/env python3
"""Check with peft what ft-export --to peft writes: every family, heads, techniques, several of them.

Usage: export-peft-check.py FOLDER        (empty, for what is made on the way; the tools are on PATH)

A line a case, "ok" or "not ok" first. A case is ok when PEFT loads the folder beside its base without a complaint, finds
every tensor, computes what ft-eval prints (losses to 1e-5), and saves the configuration again as it was.
"""

import importlib.util
import json
import os
import sys
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("export_check", os.path.join(HERE, "export-check.py"))
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)

import peft
import torch
import transformers
from safetensors.torch import load_file

ENCODERS = {"bert": "tiny-bert", "roberta": "encoders/roberta/tiny-mlm", "distilbert": "encoders/distilbert/tiny-mlm",
            "modernbert": "encoders/modernbert/tiny-mlm"}
DECODERS = ["gpt2", "llama", "qwen2", "qwen3", "gemma2", "gemma3"]
KINDS = {"plain": ["--lora=r=2"], "ranks": ["--lora=r=3,alpha=5,sites=layer.*,r:*.1.*=2,alpha:*.attn.*=7"],
         "root": ["--lora=r=4,rslora"], "words": ["--lora=r=2,sites=embed.word"],
         "two": ["--lora=r=2,sites=layer.*", "--lora=r=3,rslora"], "dora": ["--lora=r=3,alpha=5,dora,r:*.1.*=2,sites=layer.*"],
         "dora-words": ["--lora=r=3,dora,sites=embed.word,sites=*.ffn.down"],
         "pissa": ["--lora=r=3,init=pissa,sites=*.ffn.*,r:*.1.*=2"], "pissa-root": ["--lora=r=2,rslora,init=pissa"],
         "vera": ["--vera=r=7,sites=layer.*"], "vera-lora": ["--vera=r=3", "--lora=r=2"],
         "ia3": ["--ia3"], "ia3-all": ["--ia3=sites=layer.*,input:*.attn.*=1"]}
IDS = [[3, 17, 5, 20, 9, 11], [2, 8], [21, 4, 4, 12, 7, 19, 23, 1, 22]]


def make(base, head, options, task, labels, case):
    """A plan with each technique, trained until what it adds is no longer nothing."""
    there = base
    batch = {"ids": IDS}
    names = head.partition(":")[2].split(",") if ":" in head and task != "regress" else []
    check.batches(case + ".bat", task, names, batch, labels)
    for i, technique in enumerate(options):
        plan, tuned = "%s-%d.plan" % (case, i), "%s-%d.ft" % (case, i)
        check.tool("ft-freeze", "-q", "-H", head, "--seed", "5", technique, "-o", plan, there)
        check.tool("ft-train", "-q", "--lr", "0.05", "--schedule", "constant", "--warmup", "0", "-m", plan, "-o", tuned, case + ".bat")
        there = tuned
    return there


def load(auto, base, folder, outputs):
    """The model, and whether PEFT found all and said nothing."""
    more = {"num_labels": outputs} if outputs else {}
    model = getattr(transformers, auto).from_pretrained(base, dtype=torch.float32, attn_implementation="eager", **more)
    if model.config.pad_token_id is None and outputs:
        model.config.pad_token_id = 0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = peft.PeftModel.from_pretrained(model, folder).eval()
    state = peft.get_peft_model_state_dict(model)
    file = load_file(os.path.join(folder, "adapter_model.safetensors"))
    whole = all(k in state and torch.equal(state[k], v) for k, v in file.items())
    told = [str(w.message) for w in said if issubclass(w.category, UserWarning) and "tie_word" not in str(w.message)]
    return model, whole and not told


def same_config(model, folder):
    """What PEFT would save is what was there: lists as sets, and to modules_to_save it adds what a task usually has."""
    again = os.path.join(folder, "again")
    model.save_pretrained(again)
    with open(os.path.join(folder, "adapter_config.json"), encoding="utf-8") as f, \
            open(os.path.join(again, "adapter_config.json"), encoding="utf-8") as g:
        ours, theirs = json.load(f), json.load(g)
    for config in (ours, theirs):
        config["modules_to_save"] = None
        config.update({k: sorted(v) for k, v in config.items() if isinstance(v, list)})
    return all(theirs.get(k, "missing") == v for k, v in ours.items())


def moved_by(name, tensor):
    """How far a tensor of a technique is from one that changes nothing; A of words and other B begin as 0."""
    return ((tensor - 1) if "ia3_l" in name else tensor).abs().max().item()


def compare(name, base, auto, head, options, scratch):
    task, _, rest = head.partition(":")
    outputs = len(rest.split(",")) if rest else 1 if task == "regress" else 0
    batch = {"ids": IDS}
    labels = [r[1:] + [-100] for r in IDS] if task == "lm" else check.labels_of(task, outputs, batch)
    case = os.path.join(scratch, name)
    tuned = make(base, head, options, task, labels, case)
    check.tool("ft-export", "-q", "--to", "peft", "-m", tuned, case)
    model, good = load(auto, base, case, outputs)
    if task == "multilabel":
        model.config.problem_type = "multi_label_classification"
    ours = json.loads(check.tool("ft-eval", "-q", "-m", case, "--bootstrap", "0", "--json", case + ".bat"))
    if task == "lm":
        losses = []
        for row in IDS:
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([row])).logits[0, :-1].float()
            losses += torch.nn.functional.cross_entropy(logits, torch.tensor(row[1:]), reduction="none").tolist()
        theirs = sum(losses) / len(losses)
    elif base.endswith("-lm"):  # what is padding to one of these is not to another
        rows = [check.run(model, {"ids": [row]}, labels=torch.tensor([label])) for row, label in zip(IDS, labels)]
        theirs = sum(r.loss.item() for r in rows) / len(rows)
    else:
        wanted = check.padded(labels, -100) if task == "tag" else torch.tensor(labels)
        theirs = check.run(model, batch, labels=wanted).loss.item()
    plain = json.loads(check.tool("ft-eval", "-q", "-m", tuned, "--bootstrap", "0", "--json", case + ".bat"))
    tensors = load_file(os.path.join(case, "adapter_model.safetensors"))
    moved = min(moved_by(k, v) for k, v in tensors.items() if "lora_" in k or "ia3_" in k or "vera_" in k)
    worst = max(abs(ours["loss"] - theirs), abs(ours["loss"] - plain["loss"]))
    check.say(good and moved > 0.01 and worst < 1e-5 and same_config(model, case), name, type(model.get_base_model()).__name__, "%.2g" % worst)


def main():
    scratch = sys.argv[1]
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    rows = "AutoModelForSequenceClassification"
    for family, folder in ENCODERS.items():
        base = os.path.join(HERE, folder)
        for kind, options in KINDS.items():
            compare("%s-%s" % (family, kind), base, rows, "classify:a,b,c,d", options, scratch)
        compare(family + "-multilabel", base, rows, "multilabel:a,b", ["--lora=r=2"], scratch)
        compare(family + "-regress", base, rows, "regress", ["--lora=r=2"], scratch)
        compare(family + "-tag", base, "AutoModelForTokenClassification", "tag:O,B-X,I-X", ["--lora=r=2,sites=layer.*"], scratch)
    for family in DECODERS:
        base = os.path.join(HERE, "decoders", family, "tiny-lm")
        for kind, options in KINDS.items():
            compare("%s-%s" % (family, kind), base, "AutoModelForCausalLM", "lm", options, scratch)
        compare(family + "-classify", base, rows, "classify:a,b,c", ["--lora=r=2"], scratch)


if __name__ == "__main__":
    main()
