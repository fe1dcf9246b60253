#!/usr/bin/env python3
"""Write the table of results, or compare two files of sentence vectors.

Usage: table.py OUT
       table.py --vectors OURS THEIRS

OUT has DATA/{reference,ours}.{classify,regress}.jsonl.  Standard library only.
"""

import json
import statistics
import sys

ROWS = [
    ("mr-polarity", "classify", "accuracy", 100, "%.1f"),
    ("trec-questions", "classify", "accuracy", 100, "%.1f"),
    ("patient-feedback", "classify", "accuracy", 100, "%.1f"),
    ("patient-feedback", "regress", "mae", 1, "%.3f"),
    ("patient-feedback", "regress", "pearson", 1, "%.3f"),
]


def runs(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def cell(rows, name, scale, form):
    values = [scale * row[name] for row in rows]
    return "%s ± %s" % (form % statistics.mean(values), form % statistics.stdev(values))


def table(out):
    print("| data | measure | transformers | ft | seconds, transformers | seconds, ft |")
    print("|---|---|---|---|---|---|")
    for data, task, name, scale, form in ROWS:
        theirs = runs("%s/%s/reference.%s.jsonl" % (out, data, task))
        ours = runs("%s/%s/ours.%s.jsonl" % (out, data, task))
        cells = [cell(theirs, name, scale, form), cell(ours, name, scale, form)]
        cells += ["%.0f" % statistics.mean(r["seconds"] for r in rows) for rows in (theirs, ours)]
        print("| %s | %s | %s |" % (data, name, " | ".join(cells)))


def vectors(ours, theirs):
    worst, n = 0.0, 0
    for a, b in zip(runs(ours), runs(theirs), strict=True):
        worst = max(worst, max(abs(x - y) for x, y in zip(a["vector"], b["vector"], strict=True)))
        n += 1
    print("%d sentence vectors: the largest difference between two components is %.2g" % (n, worst))


if len(sys.argv) == 2:
    table(sys.argv[1])
elif len(sys.argv) == 4 and sys.argv[1] == "--vectors":
    vectors(sys.argv[2], sys.argv[3])
else:
    sys.exit(__doc__)
