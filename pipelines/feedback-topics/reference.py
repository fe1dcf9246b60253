#!/usr/bin/env python3
"""The same by transformers, PyTorch and scikit-learn: two JSON lines a seed.

Usage: reference.py MODEL DATA [--seed N]...

DATA is a folder that ../real-models/prepare.py made; the recipe is ../recipe.py's, the training ../real-models/reference.py's.
Thresholds are those points of scikit-learn's precision-recall curve on the validation rows with the highest F1.
"""

import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "real-models")]
import numpy as np
import recipe
import reference as base
import torch
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
    p = {part: base.predict(lambda b: model(**b).logits.sigmoid(), rows[part]).cpu().numpy() for part in ("valid", "test")}
    tuned = np.array([tune(truth["valid"][:, k], p["valid"][:, k]) for k in range(len(labels))])
    for name, thresholds in ((0.5, 0.5), ("tuned", tuned)):
        f1 = {kind: {"f1": f1_score(truth["test"], p["test"] >= thresholds, average=kind, zero_division=0)}
              for kind in ("micro", "macro")}
        yield {"tool": "transformers", "seed": seed, "thresholds": name, "seconds": round(seconds, 1), **f1}


if __name__ == "__main__":
    recipe.run(recipe.parser(__doc__, epochs=6, rate=2e-4, max_length=96).parse_args(), fine_tune)
