#!/usr/bin/env python3
"""The same by transformers and PyTorch: JSON lines, two for each seed in perplexity.reference.jsonl and two in task.reference.jsonl.

Usage: reference.py MODEL OUT [--seed N]... [--task-epochs N]

OUT has the folders all and few, as the Makefile makes them, and held.jsonl, the held-out batches as ft-cat shows them: which
tokens are hidden in training cannot be equal, in what is measured they are. The recipe is ../recipe.py's. Needs torch,
transformers and scikit-learn.
"""

import copy
import json
import math
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "real-models")]
import recipe
import reference as base
import torch
from sklearn.metrics import f1_score
from transformers import AutoTokenizer, BertForMaskedLM, BertForSequenceClassification


def windows(tokenizer, path, length):
    """The texts of a file one after the other, in windows of `length` tokens."""
    tokens = [t for text in base.read(path) for t in tokenizer(text[1], add_special_tokens=False)["input_ids"]]
    step = length - 2
    return [[tokenizer.cls_token_id, *tokens[i:i + step], tokenizer.sep_token_id] for i in range(0, len(tokens), step)]


def hide(rows, tokenizer, rng):
    """A batch with 15 % of the tokens chosen: 8 of 10 masked, 1 replaced, 1 left; labels are -100 elsewhere."""
    hidden, labels = [], []
    for row in rows:
        row, label = list(row), [-100] * len(row)
        for i in range(1, len(row) - 1):
            if rng.random() >= 0.15:
                continue
            label[i], what = row[i], rng.random()
            row[i] = tokenizer.mask_token_id if what < 0.8 else rng.randrange(len(tokenizer)) if what < 0.9 else row[i]
        hidden.append(row)
        labels.append(label)
    batch = base.batch(hidden)
    width = batch["input_ids"].shape[1]
    batch["labels"] = torch.tensor([label + [-100] * (width - len(label)) for label in labels])
    return batch


def held_out(model, path):
    """Mean loss of the hidden tokens of a stream of batches."""
    total, count = 0.0, 0
    with open(path, encoding="utf-8") as f, torch.inference_mode():
        for b in (b for b in map(json.loads, f) if "offsets" in b):
            spans = list(zip(b["offsets"], b["offsets"][1:]))
            batch = base.batch([b["ids"][i:j] for i, j in spans])
            width = batch["input_ids"].shape[1]
            batch["labels"] = torch.tensor([b["labels"][i:j] + [-100] * (width - j + i) for i, j in spans])
            n = (batch["labels"] != -100).sum().item()
            total += model(**batch).loss.item() * n
            count += n
    return total / count


def pretrain(seed, options, tokenizer, frozen):
    """Returns the model and its loss on the held-out text."""
    torch.manual_seed(seed)
    model = BertForMaskedLM.from_pretrained(options.model)
    model.bert.requires_grad_(not frozen)
    rows = windows(tokenizer, os.path.join(options.data, "all", "train.tsv"), options.max_length)
    rng = random.Random(seed)
    loss_of = lambda chosen: model(**hide([rows[i] for i in chosen], tokenizer, rng)).loss
    recipe.train(model, [len(r) for r in rows], loss_of, seed, options)
    return model, held_out(model, os.path.join(options.data, "held.jsonl"))


def task(seed, options, tokenizer, network):
    """Accuracy and macro F1 of a classifier of few labelled rows; network: the tuned one, or None."""
    torch.manual_seed(seed)
    parts = {p: base.read(os.path.join(options.data, "few", p + ".tsv")) for p in ("train", "test")}
    labels = sorted({label for part in parts.values() for label, _ in part})
    model = BertForSequenceClassification.from_pretrained(options.model, num_labels=len(labels))
    if network:
        model.bert.load_state_dict(network, strict=False)  # all but the pooler
    rows = {p: base.encode(tokenizer, [text for _, text in parts[p]], options.max_length) for p in parts}
    truth = {p: [labels.index(label) for label, _ in parts[p]] for p in parts}
    recipe_of_task = copy.copy(options)
    recipe_of_task.epochs, recipe_of_task.rate = options.task_epochs, 1e-4
    base.train(model, rows["train"], torch.tensor(truth["train"]), seed, recipe_of_task)
    said = base.predict(lambda b: model(**b).logits, rows["test"]).argmax(1).tolist()
    right = sum(a == b for a, b in zip(said, truth["test"]))
    return {"accuracy": right / len(said),
            "macro": {"f1": f1_score(truth["test"], said, average="macro", labels=range(len(labels)), zero_division=0)}}


def write(path, line):
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps(line) + "\n")


def main():
    parser = recipe.parser(__doc__, epochs=5, rate=5e-4, max_length=128)
    parser.add_argument("--task-epochs", type=int, default=10, help="(%(default)s)")
    options = parser.parse_args()
    recipe.prepare(options)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    tokenizer.model_max_length = 1 << 30
    for name in ("perplexity", "task"):
        open(os.path.join(options.data, name + ".reference.jsonl"), "w").close()
    for seed in options.seed or [1]:
        for name, frozen in (("head", True), ("all", False)):
            model, loss = pretrain(seed, options, tokenizer, frozen)
            write(os.path.join(options.data, "perplexity.reference.jsonl"),
                  {"seed": seed, "train": name, "loss": loss, "perplexity": math.exp(loss)})
        for name, network in (("model", None), ("domain", model.bert.state_dict())):
            write(os.path.join(options.data, "task.reference.jsonl"),
                  {"seed": seed, "from": name, **task(seed, options, tokenizer, network)})


if __name__ == "__main__":
    main()
