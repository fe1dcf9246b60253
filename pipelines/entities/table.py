#!/usr/bin/env python3
"""Write the table of results: table.py OUT TASK...

OUT has TASK/{reference,ours}.jsonl.  Standard library only.
"""

import json
import statistics
import sys


def runs(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def cell(rows, name):
    values = [100 * row[name] for row in rows]
    spread = " ± %.1f" % statistics.stdev(values) if len(values) > 1 else ""
    return "%.1f%s" % (statistics.mean(values), spread)


def main(out, *tasks):
    print("| data | words of the test | measure | transformers | ft | seconds, transformers | seconds, ft |")
    print("|---|---|---|---|---|---|---|")
    for task in tasks:
        theirs, ours = (runs("%s/%s/%s.jsonl" % (out, task, name)) for name in ("reference", "ours"))
        if {row["words"] for row in theirs} != {row["words"] for row in ours}:
            sys.exit("%s: the two were not measured on the same words" % task)
        seconds = ["%.0f" % statistics.mean(row["seconds"] for row in rows) for rows in (theirs, ours)]
        for name in ("f1", "precision", "recall", "accuracy"):
            print("| %s | %d | %s | %s | %s | %s |" % (task, ours[0]["words"], name, cell(theirs, name), cell(ours, name),
                                                     " | ".join(seconds)))


main(*sys.argv[1:])
