#!/usr/bin/env python3
"""Fine-tune a BERT with transformers and PyTorch: the numbers that ft's are put beside.

Usage: reference.py MODEL DATA [--task classify|regress] [--seed N]...     one JSON line a seed
       reference.py MODEL FILE.tsv --vectors                               one sentence vector a line

MODEL is a Hugging Face folder, DATA a folder that prepare.py made.  The recipe is ../recipe.py's.  Needs torch
and transformers.
"""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import recipe
import torch
from transformers import AutoModel, AutoTokenizer, BertForSequenceClassification


def read(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return [line.rstrip("\n").split("\t", 1) for line in f]


def encode(tokenizer, texts, max_length):
    return tokenizer(texts, truncation=True, max_length=max_length, padding=False)["input_ids"]


def batch(rows):
    """Token ids padded to the longest row, and the mask."""
    width = max(map(len, rows))
    return {"input_ids": torch.tensor([r + [0] * (width - len(r)) for r in rows]),
            "attention_mask": torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])}


def train(model, rows, targets, seed, options):
    loss_of = lambda chosen: model(**batch([rows[i] for i in chosen]), labels=targets[chosen]).loss
    recipe.train(model, [len(r) for r in rows], loss_of, seed, options)


def predict(run, rows, size=32):
    """run(batch) for all rows, in their order; computed by length."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    out = [None] * len(rows)
    with torch.inference_mode():
        for k in range(0, len(order), size):
            part = order[k:k + size]
            for i, value in zip(part, run(batch([rows[i] for i in part]))):
                out[i] = value
    return torch.stack(out)


def measures(task, logits, targets):
    if task == "classify":
        right = (logits.argmax(1) == targets).double()
        return {"accuracy": right.mean().item()}
    value = logits.squeeze(1).double()
    truth = targets.double()
    return {"mae": (value - truth).abs().mean().item(),
            "pearson": torch.corrcoef(torch.stack([value, truth]))[0, 1].item()}


def fine_tune(seed, options):
    torch.manual_seed(seed)
    parts = {p: read(os.path.join(options.data, p + ".tsv")) for p in ("train", "test")}
    labels = sorted({label for label, _ in parts["train"]})
    regress = options.task == "regress"
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = BertForSequenceClassification.from_pretrained(
        options.model, num_labels=1 if regress else len(labels),
        problem_type="regression" if regress else "single_label_classification")
    rows = {p: encode(tokenizer, [text for _, text in parts[p]], options.max_length) for p in parts}
    targets = {p: torch.tensor([float(label) if regress else labels.index(label) for label, _ in parts[p]])
               for p in parts}
    begin, cpu = time.monotonic(), time.process_time()
    train(model, rows["train"], targets["train"], seed, options)
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    logits = predict(lambda b: model(**b).logits, rows["test"])
    yield {"tool": "transformers", "data": os.path.basename(os.path.normpath(options.data)), "task": options.task,
            "seed": seed, **{k: round(v, 4) for k, v in measures(options.task, logits, targets["test"]).items()},
            "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1)}


def vectors(options):
    """Mean of the last hidden states over the real tokens, scaled to length 1."""
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModel.from_pretrained(options.model).to(options.device).eval()
    rows = encode(tokenizer, [row[-1] for row in read(options.data)], options.max_length)

    def run(b):
        mask = b["attention_mask"].unsqueeze(-1).float()
        mean = (model(**b).last_hidden_state * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=1)

    for v in predict(run, rows):
        print(json.dumps({"vector": [float("%.7g" % x) for x in v.tolist()]}))


def main():
    parser = recipe.parser(__doc__)
    parser.add_argument("--task", choices=("classify", "regress"), default="classify")
    parser.add_argument("--vectors", action="store_true", help="sentence vectors of the texts; no training")
    options = parser.parse_args()
    if options.vectors:
        recipe.prepare(options)
        vectors(options)
    else:
        recipe.run(options, fine_tune)


if __name__ == "__main__":
    main()
