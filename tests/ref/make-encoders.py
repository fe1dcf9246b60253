#!/usr/bin/env python3
"""Make the reference data of the encoders beside BERT: tiny random models of DistilBERT, RoBERTa,
XLM-RoBERTa and ModernBERT, and what transformers computes with them.  README.md describes each file.

Usage: make-encoders.py [FOLDER]        (default: the folder "encoders" beside this script)

Needs torch, transformers and safetensors; their versions are recorded in expected.json.
Everything is computed in float32 on one thread with dropout off; the same versions give the same bytes.
"""

import json
import os
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors.torch import save_file
from transformers import (AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification,
                          AutoModelForTokenClassification)

CLASSES = ["bad", "fair", "good"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
VOCABULARY = 40
LENGTHS = [7, 1, 40, 2, 13, 24]
TYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

BERT_LIKE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
             "max_position_embeddings": 48, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
MODERN = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 12,
          "max_position_embeddings": 48, "local_attention": 9, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
          "cls_token_id": 0, "sep_token_id": 2}
# What each folder tests: its weights' type, the tasks, whether a row holds the padding id itself.
FAMILIES = {
    "distilbert": {"type": "distilbert", "prefix": "distilbert.", "dtype": "float16", "tasks": "all", "padding": False,
                   "config": {"dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24, "max_position_embeddings": 48,
                              "pad_token_id": 1}},
    "roberta": {"type": "roberta", "prefix": "roberta.", "dtype": "bfloat16", "tasks": "all", "padding": True,
                "config": {**BERT_LIKE, "hidden_act": "relu"}},
    "xlm-roberta": {"type": "xlm-roberta", "prefix": "roberta.", "dtype": "float16", "tasks": "classify",
                    "padding": False, "config": BERT_LIKE},
    "modernbert": {"type": "modernbert", "prefix": "model.", "dtype": "bfloat16", "tasks": "all", "padding": True,
                   "config": MODERN},
    "modernbert-options": {
        "type": "modernbert", "prefix": "model.", "dtype": "float16", "tasks": "classify", "padding": False,
        "config": {**MODERN, "norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True,
                   "classifier_pooling": "mean", "classifier_activation": "relu", "hidden_activation": "silu",
                   "layer_types": ["sliding_attention", "full_attention", "full_attention", "sliding_attention"],
                   "rope_parameters": {
                       "full_attention": {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "beta_fast": 4.0,
                                          "original_max_position_embeddings": 12},
                       "sliding_attention": {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0}}}},
}


def write_json(path, value):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write(json.dumps(value, indent=1) + "\n")


def write_line(path, value):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write(json.dumps(value, separators=(",", ":")) + "\n")


def save_tensors(tensors, path):
    save_file({k: v.contiguous() for k, v in tensors.items()}, path, metadata={"format": "pt"})
    os.chmod(path, 0o644)


# ---- models ----

def config(family, **more):
    return AutoConfig.for_model(family["type"], vocab_size=VOCABULARY, initializer_range=0.25,
                                attn_implementation="eager", **family["config"], **more)


def fill(model, seed):
    """Random values everywhere, norms and biases too, each exact in bfloat16 and in float16."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            one = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            value = (torch.randn(p.shape, generator=g) * 0.25 + one).bfloat16().float()
            value[value.abs() < 2 ** -14] = 0
            assert torch.equal(value.half().float(), value)
            p.copy_(value)
    return model.eval()


def save(model, folder, dtype):
    """The last use of a model: its buffers, too, are rounded."""
    model.to(TYPES[dtype]).save_pretrained(folder)
    os.chmod(os.path.join(folder, "model.safetensors"), 0o644)


def older_config(folder):
    """ModernBERT's config.json as version 4 of transformers wrote it."""
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as f:
        c = json.load(f)
    rope = c.pop("rope_parameters")
    del c["layer_types"]
    c["torch_dtype"] = c.pop("dtype")
    c.update(global_attn_every_n_layers=3, global_rope_theta=rope["full_attention"]["rope_theta"],
             local_rope_theta=rope["sliding_attention"]["rope_theta"], transformers_version="4.48.0")
    write_json(path, c)


# ---- batches ----

def numbers(g, n, low, high):
    return torch.randint(low, high, (n,), generator=g).tolist()


def make_batch(g, padding):
    """0 … 2, and in between any ids; with `padding` the longest row has the padding id 1 in three places."""
    rows = [[0] + numbers(g, n - 1, 3, VOCABULARY) for n in LENGTHS]
    for row in rows:
        row[-1] = 2 if len(row) > 1 else 0
    if padding:
        for at in (3, 4, 17):
            rows[2][at] = 1
    return {"ids": rows}


def padded(rows, filler):
    width = max(len(r) for r in rows)
    return torch.tensor([r + [filler] * (width - len(r)) for r in rows])


def inputs(batch):
    return {"input_ids": padded(batch["ids"], 1), "attention_mask": padded([[1] * len(r) for r in batch["ids"]], 0)}


def packed(tensor, batch):
    """[rows, width, …] -> [tokens, …]: the real positions only, rows end to end."""
    return torch.cat([tensor[i, :len(r)] for i, r in enumerate(batch["ids"])])


# ---- expected values ----

def gradients(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {"grad." + n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def forward(body, batch):
    with torch.no_grad():
        out = body(**inputs(batch))
    tensors = {"last_hidden_state": packed(out.last_hidden_state, batch)}
    if getattr(out, "pooler_output", None) is not None:
        tensors["pooler_output"] = out.pooler_output
    return tensors


def head_case(family, classify, batch, labels, problem, outputs):
    """Logits, loss and gradients of the classifier under another task; `outputs` takes its first rows."""
    model = AutoModelForSequenceClassification.from_config(config(family, num_labels=outputs, problem_type=problem))
    state = dict(classify.state_dict())
    for name in state:
        if name.startswith("classifier") and state[name].shape[0] == len(CLASSES):
            state[name] = state[name][:outputs].clone()
    model.load_state_dict(state)
    out = model.eval()(**inputs(batch), labels=torch.tensor(labels))
    tensors = {"logits": out.logits.detach().clone(), **gradients(model, out.loss)}
    return out.loss.item(), tensors


def make_heads(family, classify, batch, g, out):
    rows = len(batch["ids"])
    cases = [
        ("classify", "single_label_classification", 3, numbers(g, rows, 0, 3)),
        ("multilabel", "multi_label_classification", 3, torch.randint(0, 2, (rows, 3), generator=g).float().tolist()),
        ("regress1", "regression", 1, [round(x, 3) for x in torch.randn(rows, generator=g).tolist()]),
        ("regress3", "regression", 3, [[round(x, 3) for x in r] for r in torch.randn(rows, 3, generator=g).tolist()]),
    ]
    losses = {}
    for name, problem, outputs, labels in cases[:None if family["tasks"] == "all" else 1]:
        write_line(os.path.join(out, name + ".jsonl"), {**batch, "labels": labels})
        losses[name], tensors = head_case(family, classify, batch, labels, problem, outputs)
        if name != "classify":
            # The trunk's gradient is tested once; here the head's shows the loss is right.
            tensors = {k: v for k, v in tensors.items() if not k.startswith("grad." + family["prefix"])}
        save_tensors(tensors, os.path.join(out, name + ".safetensors"))
    return losses


def make_mlm(mlm, batch, g, out):
    labels = []
    for i, ids in enumerate(batch["ids"]):
        draw = torch.rand(len(ids), generator=g).tolist()
        truth = numbers(g, len(ids), 0, VOCABULARY)
        labels.append([t if d < 0.3 and i % 3 else -100 for d, t in zip(draw, truth)])
    write_line(os.path.join(out, "mlm.jsonl"), {**batch, "labels": labels})
    result = mlm(**inputs(batch), labels=padded(labels, -100))
    tensors = {"logits": packed(result.logits.detach(), batch), **gradients(mlm, result.loss)}
    save_tensors(tensors, os.path.join(out, "mlm.safetensors"))
    return result.loss.item(), tensors["logits"]


def make_tag(family, body, batch, seed, out):
    """Labels for some tokens: not for the first of a row, and the second row has none at all."""
    tag = fill(AutoModelForTokenClassification.from_config(config(
        family, id2label=dict(enumerate(TAGS)), label2id={t: i for i, t in enumerate(TAGS)})), seed)
    getattr(tag, family["prefix"][:-1]).load_state_dict(body.state_dict(), strict=False)
    g = torch.Generator().manual_seed(seed)
    labels = []
    for ids in batch["ids"]:
        draw = torch.rand(len(ids), generator=g).tolist()
        truth = numbers(g, len(ids), 0, len(TAGS))
        labels.append([-100] + [t if d < 0.7 else -100 for d, t in list(zip(draw, truth))[1:]])
    write_line(os.path.join(out, "tag.jsonl"), {**batch, "labels": labels})
    result = tag(**inputs(batch), labels=padded(labels, -100))
    tensors = {"logits": packed(result.logits.detach(), batch), **gradients(tag, result.loss)}
    save_tensors(tensors, os.path.join(out, "tag.safetensors"))
    save(tag, os.path.join(out, "tiny-tag"), family["dtype"])
    return result.loss.item()


def make_family(name, family, folder, seed):
    out = os.path.join(folder, name)
    os.makedirs(out)
    g = torch.Generator().manual_seed(seed)
    batch = make_batch(g, family["padding"])
    write_line(os.path.join(out, "forward.jsonl"), batch)
    body = fill(AutoModel.from_config(config(family)), seed)
    classify = fill(AutoModelForSequenceClassification.from_config(config(
        family, id2label=dict(enumerate(CLASSES)), label2id={c: i for i, c in enumerate(CLASSES)})), seed + 1)
    getattr(classify, family["prefix"][:-1]).load_state_dict(body.state_dict(), strict=False)
    save_tensors(forward(body, batch), os.path.join(out, "forward.safetensors"))
    losses = make_heads(family, classify, batch, g, out)
    losses["tag"] = make_tag(family, body, batch, seed + 3, out)
    if family["tasks"] == "all":
        mlm = fill(AutoModelForMaskedLM.from_config(config(family)), seed + 2)
        getattr(mlm, family["prefix"][:-1]).load_state_dict(body.state_dict(), strict=False)
        losses["mlm"], logits = make_mlm(mlm, batch, g, out)
        save(mlm, os.path.join(out, "tiny-mlm"), family["dtype"])
        save(body, os.path.join(out, "tiny"), family["dtype"])
    save(classify, os.path.join(out, "tiny-classify"), family["dtype"])
    if name == "modernbert":
        older_config(os.path.join(out, "tiny-mlm"))
        again = AutoModelForMaskedLM.from_pretrained(os.path.join(out, "tiny-mlm"), dtype=torch.float32,
                                                     attn_implementation="eager").eval()
        assert torch.equal(packed(again(**inputs(batch)).logits, batch), logits)
    return losses


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "encoders")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    losses = {name: make_family(name, family, folder, 100 * i)
              for i, (name, family) in enumerate(FAMILIES.items(), start=1)}
    write_json(os.path.join(folder, "expected.json"), {
        "versions": {"python": sys.version.split()[0], "torch": torch.__version__,
                     "transformers": transformers.__version__},
        "loss": losses})


if __name__ == "__main__":
    main()
