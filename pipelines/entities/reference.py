#!/usr/bin/env python3
"""Fine-tune a BERT for token classification with transformers: the numbers that ft's are put beside.

Usage: reference.py MODEL DATA [--seed N]...     one JSON line a seed

MODEL is a Hugging Face folder, DATA a folder that prepare.py made.  The recipe is ../recipe.py's; a word's tag is
the label of its first token.  Needs torch, transformers and seqeval.
"""

import json
import os
import sys
import time
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import recipe
import torch
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from transformers import AutoTokenizer, BertForTokenClassification


def read(data, part):
    with open(os.path.join(data, part + ".jsonl"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def encode(tokenizer, rows, labels, max_length):
    """Token ids of each row, and labels: that of its word at the first token, else -100."""
    out = []
    for row in rows:
        e = tokenizer(row["words"], is_split_into_words=True, truncation=True, max_length=max_length)
        word, before = e.word_ids(), None
        label = []
        for w in word:
            label.append(-100 if w is None or w == before else labels[row["tags"][w]])
            before = w
        out.append((e["input_ids"], label))
    return out


def batch(rows):
    width = max(len(ids) for ids, _ in rows)
    pad = lambda values, filler: values + [filler] * (width - len(values))
    return {"input_ids": torch.tensor([pad(ids, 0) for ids, _ in rows]),
            "attention_mask": torch.tensor([pad([1] * len(ids), 0) for ids, _ in rows]),
            "labels": torch.tensor([pad(label, -100) for _, label in rows])}


def tags(model, rows, names, size=32):
    """What is so and what is predicted, at the first token of each word."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0]))
    said = [None] * len(rows)
    with torch.inference_mode():
        for k in range(0, len(order), size):
            part = order[k:k + size]
            for i, row in zip(part, model(**batch([rows[i] for i in part])).logits.argmax(-1).tolist()):
                said[i] = [names[p] for p, label in zip(row, rows[i][1]) if label != -100]
    return [[names[label] for label in labels if label != -100] for _, labels in rows], said


def fine_tune(seed, options):
    torch.manual_seed(seed)
    with open(os.path.join(options.data, "labels"), encoding="utf-8") as f:
        names = f.read().split()
    labels = {name: i for i, name in enumerate(names)}
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = BertForTokenClassification.from_pretrained(options.model, num_labels=len(names))
    rows = {p: encode(tokenizer, read(options.data, p), labels, options.max_length) for p in ("train", "test")}
    begin, cpu = time.monotonic(), time.process_time()
    loss_of = lambda chosen: model(**batch([rows["train"][i] for i in chosen])).loss
    recipe.train(model, [len(ids) for ids, _ in rows["train"]], loss_of, seed, options)
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    actual, said = tags(model, rows["test"], names)
    yield {"tool": "transformers", "data": os.path.basename(os.path.normpath(options.data)), "seed": seed,
            "accuracy": accuracy_score(actual, said), "precision": float(precision_score(actual, said)),
            "recall": float(recall_score(actual, said)), "f1": float(f1_score(actual, said)),
            "words": sum(map(len, actual)), "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    recipe.run(recipe.parser(__doc__, max_length=256).parse_args(), fine_tune)
