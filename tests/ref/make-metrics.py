#!/usr/bin/env python3
"""Writes metrics.json: inputs and the values scikit-learn and scipy give for them.

The versions they were made with stand in the file. Run it in tests/ref:

    python3 make-metrics.py > metrics.json
"""
import json

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics as sk

rng = np.random.default_rng(7)


def floats(a):
    return [float(f"{x:.4f}") for x in np.asarray(a).ravel()]


def prf(y, p, **more):
    out = {}
    for average in ("macro", "micro", "weighted"):
        a, b, c, _ = sk.precision_recall_fscore_support(y, p, average=average, zero_division=0, **more)
        out |= {f"{average}.precision": a, f"{average}.recall": b, f"{average}.f1": c}
    return out


def classes(y, p, n, **more):
    a, b, c, s = sk.precision_recall_fscore_support(y, p, average=None, zero_division=0, **more)
    out = {}
    for k in range(n):
        out |= {f"classes.{k}.precision": a[k], f"classes.{k}.recall": b[k], f"classes.{k}.f1": c[k],
                f"classes.{k}.support": float(s[k])}
    return out


def calibration_error(right, confidence, bins=15):
    total = 0.0
    edges = np.linspace(0, 1, bins + 1)
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def classify(name, rows, n, weights, bias):
    y = rng.choice(n, rows, p=weights)
    logits = np.array(floats(rng.normal(0, 1.2, (rows, n)) + 1.5 * np.eye(n)[y] + bias)).reshape(rows, n)
    logits = logits.astype(np.float32).astype(np.float64)
    prob = np.exp(logits - logits.max(1, keepdims=True))
    prob /= prob.sum(1, keepdims=True)
    p = logits.argmax(1)
    want = {
        "loss": sk.log_loss(y, prob, labels=range(n)),
        "accuracy": sk.accuracy_score(y, p),
        "mcc": sk.matthews_corrcoef(y, p),
        "ece": calibration_error(p == y, prob.max(1)),
    }
    labels = list(range(n))
    want |= prf(y, p, labels=labels) | classes(y, p, n, labels=labels)
    # micro over all labels of single-label data is the accuracy
    return {"name": name, "task": "classify", "outputs": n, "logits": floats(logits), "labels": y.tolist(),
            "loss": (-np.log(prob[np.arange(rows), y])).tolist(), "want": want,
            "confusion": sk.confusion_matrix(y, p, labels=labels).tolist()}


def multilabel(name, rows, n):
    y = (rng.random((rows, n)) < np.linspace(0.0, 0.7, n)).astype(int)
    logits = np.array(floats(rng.normal(-0.3, 1.0, (rows, n)) + 1.2 * y)).reshape(rows, n)
    logits[:, n - 2] = -3.0  # a label that is never predicted
    p = (logits >= 0).astype(int)
    softplus = np.logaddexp(0, logits) - logits * y
    want = {"loss": softplus.mean(), "subset_accuracy": sk.accuracy_score(y, p), "hamming_loss": sk.hamming_loss(y, p)}
    want |= prf(y, p) | classes(y, p, n)
    return {"name": name, "task": "multilabel", "outputs": n, "logits": floats(logits), "targets": floats(y),
            "loss": softplus.mean(1).tolist(), "want": want}


def regress(name, rows, n, ties):
    y = rng.normal(3, 1, (rows, n))
    p = y + rng.normal(0.2, 0.8, (rows, n))
    if ties:
        y, p = np.round(y), np.round(p * 2) / 2
    y, p = (np.array(floats(a)).astype(np.float32).astype(np.float64).reshape(rows, n) for a in (y, p))
    each = {"mse": [], "mae": [], "rmse": [], "r2": [], "pearson": [], "spearman": []}
    for k in range(n):
        each["mse"].append(sk.mean_squared_error(y[:, k], p[:, k]))
        each["mae"].append(sk.mean_absolute_error(y[:, k], p[:, k]))
        each["rmse"].append(sk.root_mean_squared_error(y[:, k], p[:, k]))
        each["r2"].append(sk.r2_score(y[:, k], p[:, k]))
        each["pearson"].append(stats.pearsonr(y[:, k], p[:, k]).statistic)
        each["spearman"].append(stats.spearmanr(y[:, k], p[:, k]).statistic)
    want = {key: float(np.mean(v)) for key, v in each.items()}
    want["loss"] = want["mse"]
    if n > 16:
        del want["spearman"]
    return {"name": name, "task": "regress", "outputs": n, "logits": floats(p), "targets": floats(y),
            "loss": ((p - y) ** 2).mean(1).tolist(), "want": want}


def main():
    cases = [
        classify("two classes", 50, 2, [0.3, 0.7], 0),
        classify("five classes, one absent, one never predicted", 60, 5, [0.4, 0.3, 0.2, 0.1, 0.0],
                 [0, 0, 0, -9, 0]),
        classify("always the same prediction", 20, 3, [0.5, 0.3, 0.2], [15, 0, 0]),
        multilabel("multi-label", 40, 5),
        regress("one output", 40, 1, False),
        regress("ties", 50, 1, True),
        regress("three outputs", 30, 3, True),
        regress("wide", 8, 20, False),
    ]
    mcnemar = [[a, b, stats.binomtest(min(a, b), a + b, 0.5).pvalue if a + b else 1.0]
               for a, b in ((0, 0), (1, 0), (5, 5), (3, 12), (40, 21), (300, 410), (7, 0))]
    versions = {"sklearn": sklearn.__version__, "scipy": scipy.__version__, "numpy": np.__version__}
    text = [json.dumps(case, separators=(",", ":")) for case in cases]
    print('{"versions":%s,\n"mcnemar":%s,\n"cases":[\n%s\n]}' % (json.dumps(versions), json.dumps(mcnemar),
                                                              ",\n".join(text)))


if __name__ == "__main__":
    main()
