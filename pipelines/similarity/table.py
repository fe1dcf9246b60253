#!/usr/bin/env python3
"""Write the table of results.

Usage: table.py OUT LOSS...

OUT has before.json and, for each LOSS, {reference,ours}.LOSS.jsonl.  Standard library only.
"""

import json
import statistics
import sys


def runs(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def cell(rows, name):
    values = [row["cosine"][name] for row in rows]
    spread = " ± %.4f" % statistics.stdev(values) if len(values) > 1 else ""
    return "%.4f%s" % (statistics.mean(values), spread)


def main():
    out, losses = sys.argv[1], sys.argv[2:]
    before = runs(out + "/before.json")
    print("| vectors | Spearman | Pearson | seconds |")
    print("|---|---|---|---|")
    print("| before | %s | %s | |" % (cell(before, "spearman"), cell(before, "pearson")))
    for loss in losses:
        for name, title in (("reference", "sentence-transformers"), ("ours", "ft")):
            rows = runs("%s/%s.%s.jsonl" % (out, name, loss))
            seconds = statistics.mean(row["seconds"] for row in rows)
            print("| %s, %s | %s | %s | %.0f |" % (loss, title, cell(rows, "spearman"), cell(rows, "pearson"), seconds))


if len(sys.argv) < 3:
    sys.exit(__doc__)
main()
