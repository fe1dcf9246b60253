#!/usr/bin/env python3
"""The same by transformers, PyTorch and scikit-learn: two JSON lines a seed.

Usage: reference.py MODEL DATA [--seed N]...

DATA is a folder that ../real-models/prepare.py made; recipe and training loop are those of ../real-models/reference.py.
Thresholds are those points of scikit-learn's precision-recall curve on the validation rows with the highest F1.
"""

import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real-models"))
import numpy as np
import reference as base
import torch
import transformers
from sklearn.metrics import f1_score, precision_recall_curve
from transformers import AutoTokenizer, BertForSequenceClassification


def tune(truth, p):
    """The threshold of one label; 0.5 without a positive row."""
    if not truth.any():
        return 0.5
    precision, recall, thresholds = precision_recall_curve(truth, p)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return thresholds[f1[:-1].argmax()]


def fine_tune(seed, options):
    torch.manual_seed(seed)
    parts = {p: base.read(os.path.join(options.data, p + ".tsv")) for p in ("train", "valid", "test")}
    with open(os.path.join(options.data, "labels.txt"), encoding="utf-8") as f:
        labels = f.read().splitlines()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = BertForSequenceClassification.from_pretrained(options.model, num_labels=len(labels),
                                                          problem_type="multi_label_classification")
    rows = {p: base.encode(tokenizer, [text for _, text in parts[p]], options.max_length) for p in parts}
    truth = {p: np.array([[n in row for n in labels] for row in (set(json.loads(label)) for label, _ in parts[p])])
             for p in parts}
    begin = time.monotonic()
    base.train(model, rows["train"], torch.tensor(truth["train"], dtype=torch.float32), seed, options)
    seconds = time.monotonic() - begin
    p = {part: base.predict(lambda b: model(**b).logits.sigmoid(), rows[part]).numpy() for part in ("valid", "test")}
    tuned = np.array([tune(truth["valid"][:, k], p["valid"][:, k]) for k in range(len(labels))])
    for name, thresholds in ((0.5, 0.5), ("tuned", tuned)):
        f1 = {kind: {"f1": f1_score(truth["test"], p["test"] >= thresholds, average=kind, zero_division=0)}
              for kind in ("micro", "macro")}
        yield {"tool": "transformers", "seed": seed, "thresholds": name, "seconds": round(seconds, 1), **f1}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--seed", type=int, action="append", help="may be given many times (1)")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", type=float, default=2e-4, help="peak learning rate (2e-4)")
    parser.add_argument("--batch", type=int, default=16, help="rows in a batch (16)")
    parser.add_argument("--max-length", type=int, default=96, help="tokens of a row, the rest is cut (96)")
    options = parser.parse_args()
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for seed in options.seed or [1]:
        for result in fine_tune(seed, options):
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
