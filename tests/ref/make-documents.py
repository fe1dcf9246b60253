#!/usr/bin/env python3
"""Writes documents.json: outputs of windows combined by numpy and scipy, and thresholds by scikit-learn.

The versions they were made with stand in the file. Run it in tests/ref:

    python3 make-documents.py > documents.json
"""
import json

import numpy as np
import scipy
import sklearn
from scipy.special import expit, softmax
from sklearn.metrics import f1_score

rng = np.random.default_rng(11)


def floats(a):
    return [float(f"{x:.4f}") for x in np.asarray(a).ravel()]


def document(task, windows, outputs, scale):
    """What a document is of each kind, as probabilities (of classes, labels) or values."""
    x = np.array(floats(rng.normal(0, scale, (windows, outputs)))).reshape(windows, outputs)
    x = x.astype(np.float32).astype(np.float64)
    p = softmax(x, axis=1) if task == "classify" else expit(x) if task == "multilabel" else x
    want = {"mean": p.mean(0), "max": p.max(0), "first": p[0]}
    if task == "classify":
        want["max"] = want["max"] / want["max"].sum()
    return {"task": task, "outputs": outputs, "logits": floats(x), "want": {k: v.tolist() for k, v in want.items()}}


def best_threshold(y, p):
    """By trying all: the highest F1; of equal ones the threshold nearest to 0.5, then the higher."""
    if not y.any():
        return 0.5, 0.0
    values = sorted(set(p.tolist()) | {0.0}, reverse=True)
    candidates = []
    for low, below in zip(values[:-1], values[1:]):
        t = 0.5 if below < 0.5 <= low else (low + below) / 2
        candidates.append((f1_score(y, p >= t), -abs(t - 0.5), t))
    f1, _, t = max(candidates)
    return t, float(f1)


def thresholds(rows, labels):
    """The last label but two has no positives, the last but one many ties, the last is without errors at 0.5."""
    y = (rng.random((rows, labels)) < np.linspace(0.05, 0.6, labels)).astype(int)
    logits = rng.normal(-1.5, 1.0, (rows, labels)) + 1.3 * y
    y[:, labels - 3] = 0
    logits[:, labels - 2] = np.round(logits[:, labels - 2])
    logits[:, labels - 1] = np.where(y[:, labels - 1], 1, -1) * (0.1 + rng.random(rows))
    logits = np.array(floats(logits)).astype(np.float32).reshape(rows, labels)
    p = expit(logits.astype(np.float64)).astype(np.float32).astype(np.float64)  # a float32, as ft has it
    best = [best_threshold(y[:, k], p[:, k]) for k in range(labels)]
    tuned = p >= np.array([t for t, _ in best])
    return {"outputs": labels, "logits": floats(logits), "targets": y.ravel().tolist(),
            "thresholds": [t for t, _ in best], "f1": [f for _, f in best],
            "micro.f1": {"0.5": f1_score(y, p >= 0.5, average="micro"), "tuned": f1_score(y, tuned, average="micro")},
            "macro.f1": {"0.5": f1_score(y, p >= 0.5, average="macro", zero_division=0),
                         "tuned": f1_score(y, tuned, average="macro", zero_division=0)}}


def main():
    documents = [document("classify", 3, 4, 2), document("classify", 5, 2, 30), document("multilabel", 4, 3, 2),
                 document("multilabel", 2, 3, 25), document("regress", 3, 2, 3), document("classify", 1, 3, 1)]
    versions = {"sklearn": sklearn.__version__, "scipy": scipy.__version__, "numpy": np.__version__}
    print('{"versions":%s,\n"documents":[\n%s\n],\n"thresholds":[\n%s\n]}' % (
        json.dumps(versions),
        ",\n".join(json.dumps(d, separators=(",", ":")) for d in documents),
        ",\n".join(json.dumps(thresholds(*size), separators=(",", ":")) for size in ((60, 7), (9, 4)))))


if __name__ == "__main__":
    main()
