#!/usr/bin/env python3
"""Make the reference data of bottleneck adapters: what AdapterHub's `adapters` computes with random ones on the tiny
models of the other scripts, and the folders in which it saves them.  README.md describes each file.

Usage: make-adapterhub.py [FOLDER]        (default: the folder "adapterhub" beside this script)

Needs adapters with the version of transformers that it asks for, torch and safetensors, whose versions are recorded in
cases.jsonl, and the models beside this script.  Everything is computed in float32 on one thread with dropout off; the
same versions give the same bytes.
"""

import importlib.util
import json
import logging
import os
import shutil
import sys
import zlib

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

import adapters
from adapters import DoubleSeqBnConfig, ParBnConfig, SeqBnConfig

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("encoders", os.path.join(HERE, "make-encoders.py"))
encoders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(encoders)
encoders.LENGTHS = [7, 1, 19, 3]

BERT = "tiny-bert-classify"
DISTILBERT = "encoders/distilbert/tiny-classify"
ROBERTA = "encoders/roberta/tiny-classify"
GPT2 = "decoders/gpt2/tiny-lm"
LLAMA = "decoders/llama/tiny-lm"

# Each case: the model; the adapter's name; how ft says it; how the library does.
CASES = {
    "bert-pfeiffer": (BERT, "bottleneck", "reduction=8", SeqBnConfig(reduction_factor=8)),
    "bert-houlsby": (BERT, "task", "kind=houlsby,reduction=9", DoubleSeqBnConfig(reduction_factor=9)),
    "bert-parallel": (BERT, "bottleneck", "kind=parallel,reduction=8", ParBnConfig(reduction_factor=8)),
    "bert-norms": (BERT, "bottleneck",
                   "kind=pfeiffer,reduction=8,reduction:layer.1.*=11,ln_before,ln_after=inner,scaling=channel,residual=input,"
                   "activation=tanh,sites=layer.*.attn,sites=layer.*.ffn",
                   SeqBnConfig(mh_adapter=True, reduction_factor={"1": 11, "default": 8}, ln_before=True, ln_after=True,
                               scaling="channel", residual_before_ln=False, non_linearity="tanh")),
    "bert-outer": (BERT, "bottleneck", "kind=pfeiffer,reduction=8,ln_after=outer,residual=sum,scaling=-0.5",
                   SeqBnConfig(reduction_factor=8, ln_after=True, adapter_residual_before_ln=True,
                               residual_before_ln="post_add", scaling=-0.5)),
    "distilbert-before": (DISTILBERT, "bottleneck",
                          "kind=pfeiffer,reduction=5,sum=before,residual=input,scaling=channel,activation=gelu",
                          SeqBnConfig(reduction_factor=5, original_ln_after=False, residual_before_ln=False,
                                      scaling="channel", non_linearity="gelu")),
    "distilbert-pfeiffer": (DISTILBERT, "bottleneck", "reduction=4,sites=layer.1.ffn",
                            SeqBnConfig(reduction_factor=4, leave_out=[0])),
    "roberta-houlsby": (ROBERTA, "bottleneck", "kind=houlsby,reduction=4,scaling=learned",
                        DoubleSeqBnConfig(reduction_factor=4, scaling="learned")),
    "roberta-parallel": (ROBERTA, "bottleneck", "kind=parallel,reduction=4,ln_after=inner,sites=layer.*.attn,sites=layer.*.ffn",
                         ParBnConfig(mh_adapter=True, reduction_factor=4, ln_after=True)),
    "gpt2-pfeiffer": (GPT2, "bottleneck", "reduction=4", SeqBnConfig(reduction_factor=4)),
    "gpt2-houlsby": (GPT2, "bottleneck", "kind=houlsby,reduction=4,activation=gelu_new",
                     DoubleSeqBnConfig(reduction_factor=4, non_linearity="gelu_new")),
    "gpt2-parallel": (GPT2, "bottleneck", "kind=parallel,reduction=4,scaling=channel",
                      ParBnConfig(reduction_factor=4, scaling="channel")),
    "llama-pfeiffer": (LLAMA, "bottleneck", "reduction=4", SeqBnConfig(reduction_factor=4)),
    "llama-houlsby": (LLAMA, "bottleneck", "kind=houlsby,reduction=4", DoubleSeqBnConfig(reduction_factor=4)),
    "llama-parallel": (LLAMA, "bottleneck", "kind=parallel,reduction=0.5,scaling=2.5",
                       ParBnConfig(reduction_factor=0.5, scaling=2.5)),
}

LABELS = {0: "bad", 1: "fair", 2: "good"}
TAGS = {0: "O", 1: "B-X", 2: "I-X"}

# The same with heads of the library's own classes, on a model without one: the model; what adds the head, and how.
FLEX = {
    "flex-bert": ("tiny-bert", "classification", dict(num_labels=3, id2label=LABELS)),
    "flex-bert-pooler": ("tiny-bert", "classification", dict(num_labels=3, layers=1, use_pooler=True, multilabel=True)),
    "flex-bert-first": ("tiny-bert", "classification", dict(num_labels=1, layers=1, activation_function=None)),
    "flex-bert-tags": ("tiny-bert", "tagging", dict(num_labels=3, id2label=TAGS)),
    "flex-roberta": ("encoders/roberta/tiny", "classification", dict(num_labels=3)),
    "flex-roberta-first": ("encoders/roberta/tiny", "classification", dict(num_labels=3, layers=1, id2label=LABELS)),
    "flex-distilbert": ("encoders/distilbert/tiny", "classification",
                        dict(num_labels=3, activation_function="relu", id2label=LABELS)),
}


def load(path, causal):
    """The library's transformers has rotary positions in the older members of config.json."""
    folder = os.path.join(HERE, path)
    config = AutoConfig.from_pretrained(folder)
    rope = getattr(config, "rope_parameters", None)
    if rope:
        config.rope_theta = rope["rope_theta"]
        config.rope_scaling = {k: v for k, v in rope.items() if k != "rope_theta"}
    kind = AutoModelForCausalLM if causal else AutoModelForSequenceClassification
    return kind.from_pretrained(folder, config=config, dtype=torch.float32, attn_implementation="eager").eval()


def fill(model, name, g):
    """Random values, also where an adapter begins with 0."""
    with torch.no_grad():
        for n, p in sorted(model.named_parameters()):
            if ".adapters." + name + "." in n or "_adapters.adapters." + name in n:
                p.copy_(torch.randn(p.shape, generator=g) * 0.25 + ("norm" in n and n.endswith("weight")))


def make_batch(g, causal):
    rows = encoders.make_batch(g, False)["ids"]
    if not causal:
        return {"ids": rows, "labels": encoders.numbers(g, len(rows), 0, 3)}
    return {"ids": rows, "labels": [[*row[1:], -100] for row in rows]}


def run(model, batch, causal):
    inputs = {**encoders.inputs(batch), "input_ids": encoders.padded(batch["ids"], model.config.pad_token_id or 0)}
    if not causal:
        return model(**inputs, labels=torch.tensor(batch["labels"]))
    theirs = [[-100, *row[:-1]] for row in batch["labels"]]
    return model(**inputs, labels=encoders.padded(theirs, -100))


def save(model, name, folder):
    """With the head. The norm of ln_before is in the module twice, which safetensors does not write: it is saved once."""
    try:
        model.save_adapter(folder, name, use_safetensors=True)
    except RuntimeError:
        tensors = {n: p.detach() for n, p in model.named_parameters() if ".adapters." + name + "." in n}
        encoders.save_tensors(tensors, os.path.join(folder, "adapter.safetensors"))
        model.save_head(folder, use_safetensors=True)
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)


def make_case(name, case, folder):
    path, adapter, options, config = case
    causal = path.startswith("decoders/")
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    torch.manual_seed(1)
    model = load(path, causal)
    model.config._name_or_path = path  # what the folder says of its base
    adapters.init(model)
    model.add_adapter(adapter, config=config)
    model.set_active_adapters(adapter)
    model.train_adapter(adapter)
    model.eval()
    fill(model, adapter, g)
    for n, p in model.named_parameters():
        p.requires_grad = p.requires_grad or (not causal and not n.startswith(model.base_model_prefix))
    batch = make_batch(g, causal)
    result = run(model, batch, causal)
    result.loss.backward()
    logits = result.logits.detach()
    tensors = {"logits": encoders.packed(logits, batch) if causal else logits.clone()}
    tensors.update({"grad." + n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    encoders.save_tensors(tensors, os.path.join(folder, name + ".safetensors"))
    save(model, adapter, os.path.join(folder, name))
    return {"name": name, "model": path, "adapter": adapter, "bottleneck": options, "loss": result.loss.item(), **batch}


def flex_labels(g, kind, options, rows):
    if kind == "tagging":
        return {"labels": [[-100 if i % 4 == 3 else v for i, v in enumerate(encoders.numbers(g, len(row), 0, 3))]
                           for row in rows]}
    if options.get("multilabel"):
        return {"targets": True, "labels": [[float(v) for v in encoders.numbers(g, 3, 0, 2)] for _ in rows]}
    if options["num_labels"] == 1:
        return {"targets": True, "labels": [[v / 4] for v in encoders.numbers(g, len(rows), -8, 8)]}
    return {"labels": encoders.numbers(g, len(rows), 0, 3)}


def flex_wanted(labels):
    rows = labels["labels"]
    of_tokens = isinstance(rows[0], list) and "targets" not in labels
    return encoders.padded(rows, -100) if of_tokens else torch.tensor(rows)


def flex_parts(model, name):
    """The head's linear layers: the last, and the one before it."""
    linear = [n for n, m in model.heads[name].named_children() if isinstance(m, torch.nn.Linear)]
    return {"heads.%s.%s." % (name, n): part for n, part in zip(reversed(linear), ["head.", "hidden."])}


def make_flex(name, case, folder):
    """Gradients of the head are called by what its layers are."""
    path, kind, options = case
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    torch.manual_seed(1)
    model = adapters.AutoAdapterModel.from_pretrained(os.path.join(HERE, path), dtype=torch.float32,
                                                      attn_implementation="eager")
    model.config._name_or_path = path
    model.add_adapter("task", config=SeqBnConfig(reduction_factor=8))
    getattr(model, "add_%s_head" % kind)("task", **options)
    model.set_active_adapters("task")
    model.active_head = "task"
    model.train_adapter("task")
    model.eval()
    fill(model, "task", g)
    with torch.no_grad():
        for n, p in sorted(model.heads["task"].named_parameters()):
            p.copy_(torch.randn(p.shape, generator=g) * 0.3)
    rows = encoders.make_batch(g, False)["ids"]
    labels = flex_labels(g, kind, options, rows)
    batch = {"ids": rows, **labels}
    inputs = {**encoders.inputs(batch), "input_ids": encoders.padded(rows, model.config.pad_token_id or 0)}
    result = model(**inputs, labels=flex_wanted(labels))
    result.loss.backward()
    logits = result.logits.detach()
    tensors = {"logits": encoders.packed(logits, batch) if kind == "tagging" else logits.clone()}
    parts = flex_parts(model, "task")
    for n, p in model.named_parameters():
        if p.grad is not None:
            for part, ours in parts.items():
                n = n.replace(part, ours)
            tensors["grad." + n] = p.grad.clone()
    encoders.save_tensors(tensors, os.path.join(folder, name + ".safetensors"))
    model.save_adapter(os.path.join(folder, name), "task", with_head=True, use_safetensors=True)
    for file in os.listdir(os.path.join(folder, name)):
        os.chmod(os.path.join(folder, name, file), 0o644)
    return {"name": name, "model": path, "loss": result.loss.item(), **batch}


def write_cases(path, cases):
    with open(path, "w", encoding="utf-8") as f:
        for line in cases:
            f.write(json.dumps(line, separators=(",", ":")) + "\n")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "adapterhub")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    logging.getLogger("adapters").setLevel(logging.ERROR)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__,
                "adapters": adapters.__version__}
    write_cases(os.path.join(folder, "cases.jsonl"),
                [{"versions": versions}, *(make_case(n, c, folder) for n, c in CASES.items())])
    write_cases(os.path.join(folder, "flex.jsonl"),
                [{"versions": versions}, *(make_flex(n, c, folder) for n, c in FLEX.items())])


if __name__ == "__main__":
    main()
