#!/usr/bin/env python3
"""Check with transformers what ft-export writes: every encoder, every head, every way in which weights are stored.

Usage: export-check.py FOLDER        (empty, for what is made on the way; the tools are on PATH)

A line a case, "ok" or "not ok" first. A case is ok when transformers finds every tensor of its class and no other, and
computes what it is compared with: outputs to 1e-6, losses and probabilities that ft-eval prints to 1e-5.
"""

import glob
import json
import os
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors.torch import load_file

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
# Each kind of folder: the class that reads it, the reference's file, the output in it.
KINDS = {"tiny": ("AutoModel", "forward", "last_hidden_state"), "tiny-mlm": ("AutoModelForMaskedLM", "mlm", "logits"),
         "tiny-classify": ("AutoModelForSequenceClassification", "classify", "logits"),
         "tiny-tag": ("AutoModelForTokenClassification", "tag", "logits")}
CLASSES = {"classify": "SequenceClassification", "multilabel": "SequenceClassification", "mlm": "MaskedLM",
           "regress": "SequenceClassification", "tag": "TokenClassification", "none": ""}
PROBLEMS = {"classify": "single_label_classification", "multilabel": "multi_label_classification", "regress": "regression"}
HEADS = ["classify:a,b,c,d", "multilabel:a,b,c", "regress", "regress:3", "tag:O,B-X,I-X", "mlm", "none"]


def tool(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


# ---- batches and models ----

def padded(rows, filler):
    width = max(len(r) for r in rows)
    return torch.tensor([r + [filler] * (width - len(r)) for r in rows])


def inputs(batch):
    out = {"input_ids": padded(batch["ids"], 1), "attention_mask": padded([[1] * len(r) for r in batch["ids"]], 0)}
    if "types" in batch:
        out["token_type_ids"] = padded(batch["types"], 0)
    return out


def packed(tensor, batch):
    """Of what there is for each token those of the rows alone."""
    if tensor.dim() == 2:
        return tensor
    return torch.cat([tensor[i, :len(r)] for i, r in enumerate(batch["ids"])])


def load(auto, folder):
    """A model in float32, and whether all its tensors were there, and no other."""
    model, info = getattr(transformers, auto).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                              output_loading_info=True)
    return model.eval(), not (info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"])


def rounded(model, dtype):
    """Its parameters alone: buffers are not in the file."""
    for p in model.parameters():
        p.data = p.data.to(dtype).float()
    return model


def run(model, batch, **more):
    with torch.no_grad():
        return model(**inputs(batch), **more)


def output(model, batch, name):
    return packed(run(model, batch)[name], batch)


def say(good, *words):
    print("ok" if good else "not ok", *words, flush=True)


# ---- models as they are ----

def older(folder):
    """config.json as version 4 of transformers wrote it."""
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.48.0"
    rope = config.pop("rope_parameters", None)
    if rope and all(r["rope_type"] == "default" for r in rope.values()):
        del config["layer_types"]
        config.update(global_attn_every_n_layers=3, global_rope_theta=rope["full_attention"]["rope_theta"],
                      local_rope_theta=rope["sliding_attention"]["rope_theta"])
    elif rope:
        config["rope_parameters"] = rope
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config, f)


def check_stored(folder, name, auto, batch, key, scratch):
    """Written by transformers in each type, in shards, with both generations of config.json."""
    for short, dtype in DTYPES.items():
        for generation in ("newer", "older"):
            case = "%s-%s-%s" % (name, short, generation)
            there, back = os.path.join(scratch, case), os.path.join(scratch, case + "-export")
            model, _ = load(auto, folder)
            model.to(dtype).save_pretrained(there, max_shard_size="6KB")
            shards = len(glob.glob(os.path.join(there, "model-*.safetensors")))
            if generation == "older":
                older(there)
            want = output(load(auto, there)[0], batch, key)
            tool("ft-export", "-q", "-m", there, back)
            again, whole = load(auto, back)
            worst = (output(again, batch, key) - want).abs().max().item()
            say(shards > 1 and whole and worst < 1e-6, case, type(again).__name__, "%d shards," % shards, "%.2g" % worst)


def check_types(folder, name, auto, batch, key, reference, scratch):
    """As it is, and narrowed: what transformers gets when it rounds the weights itself. The reference is of another
    processor, on which torch adds in another order: outputs of the folder itself differ from it by up to 3e-6."""
    for short, dtype in DTYPES.items():
        out = os.path.join(scratch, name + "-" + short)
        tool("ft-export", "-q", "--dtype", short, "-m", folder, out)
        model, whole = load(auto, out)
        got, want = output(model, batch, key), output(rounded(load(auto, folder)[0], dtype), batch, key)
        worst, far = (got - want).abs().max().item(), (got - reference).abs().max().item()
        say(whole and worst < 1e-6 and (far < 1e-5 or dtype != torch.float32), name, short, type(model).__name__, "%.2g" % worst)


# ---- new heads ----

def labels_of(task, outputs, batch):
    """Of a row, of a token, or a row of numbers; the same ones each time."""
    g = torch.Generator().manual_seed(len(task))
    rows = len(batch["ids"])
    if task in ("tag", "mlm"):
        return [torch.randint(0, outputs, (len(r),), generator=g).tolist() for r in batch["ids"]]
    if task == "classify":
        return torch.randint(0, outputs, (rows,), generator=g).tolist()
    if task == "multilabel":
        return torch.randint(0, 2, (rows, outputs), generator=g).float().tolist()
    return torch.randn(rows, outputs, generator=g).tolist()


def flat(values):
    return [x for v in values for x in v] if isinstance(values[0], list) else values


def batches(path, task, names, batch, labels):
    """A stream of one batch."""
    offsets = [0]
    for row in batch["ids"]:
        offsets.append(offsets[-1] + len(row))
    meta = {"task": task, "batches": 1, "epochs": 1, "rows": len(batch["ids"]), "tokens": offsets[-1]}
    if names:
        meta["labels"] = names
    elif task == "regress":
        meta["outputs"] = len(labels[0])
    record = {"ids": flat(batch["ids"]), "offsets": offsets,
              "targets" if task in ("multilabel", "regress") else "labels": flat(labels)}
    if "types" in batch:
        record["types"] = flat(batch["types"])
    lines = [{"ft": 1, "kind": "batches", "meta": meta}, record, {"end": 1}]
    with open(path + ".json", "w", encoding="utf-8") as f:
        f.write("".join(json.dumps(line) + "\n" for line in lines))
    tool("ft-cat", "--from-json", path + ".json", "-o", path)


def probabilities(task, logits):
    p = logits.softmax(1) if task == "classify" else logits.sigmoid() if task == "multilabel" else logits
    return p.flatten().tolist()


def check_head(folder, name, head, batch, scratch):
    task, _, rest = head.partition(":")
    names = rest.split(",") if task not in ("regress", "mlm", "none") else []
    case = os.path.join(scratch, "%s-new-%s" % (name, head.replace(":", "-").replace(",", "")))
    tool("ft-freeze", "-q", "-H", head, "--seed", "5", "-o", case + ".ft", folder)
    tool("ft-export", "-q", "-m", case + ".ft", case)
    model, whole = load("AutoModel" + ("For" + CLASSES[task] if CLASSES[task] else ""), case)
    good = whole and model.config.problem_type == PROBLEMS.get(task) and (
        not names or model.config.id2label == dict(enumerate(names)))
    if task == "none":
        say(good, name, head, type(model).__name__)
        return
    outputs = len(names) or (model.config.vocab_size if task == "mlm" else int(rest or 1))
    labels = labels_of(task, outputs, batch)
    theirs = run(model, batch, labels=padded(labels, -100) if task in ("tag", "mlm") else torch.tensor(labels))
    batches(case + ".bat", task, names, batch, labels)
    likely = task in ("classify", "multilabel")
    ours = json.loads(tool("ft-eval", "-q", "-m", case + ".ft", "--bootstrap", "0", "--json",
                           *(["--predictions", case + ".jsonl"] if likely else []), case + ".bat"))
    worst = abs(ours["loss"] - theirs.loss.item())
    if likely:
        with open(case + ".jsonl", encoding="utf-8") as f:
            said = [p for line in f for p in json.loads(line)["probabilities"].values()]
        worst = max([worst] + [abs(a - b) for a, b in zip(said, probabilities(task, theirs.logits), strict=True)])
    say(good and worst < 1e-5, name, head, type(model).__name__, "%.2g" % worst)


def folders():
    """(model, its reference's folder, family, kind) of every encoder."""
    for path in sorted(glob.glob(os.path.join(HERE, "encoders", "*", "tiny*"))):
        expected, kind = os.path.split(path)
        yield path, expected, os.path.basename(expected), kind
    for kind in KINDS:
        yield os.path.join(HERE, kind.replace("tiny", "tiny-bert")), os.path.join(HERE, "tiny-bert-expected"), "bert", kind


def main():
    scratch = sys.argv[1]
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for folder, expected, family, kind in folders():
        auto, task, key = KINDS[kind]
        with open(os.path.join(expected, task + ".jsonl"), encoding="utf-8") as f:
            batch = json.loads(f.readline())
        tensors = load_file(os.path.join(expected, task + ".safetensors"))
        name = family + "-" + kind
        check_types(folder, name, auto, batch, key, tensors.get(key, tensors.get("0." + key)), scratch)
        check_stored(folder, name, auto, batch, key, scratch)
        for head in HEADS if kind == "tiny-classify" else []:
            check_head(folder, family, head, batch, scratch)


if __name__ == "__main__":
    main()
