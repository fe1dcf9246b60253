#!/usr/bin/env python3
"""What runs of remedies come to.

Usage: table.py --said CHAT.jsonl                  label TAB message, of what customers and agents say
       table.py --among LABEL,... TEST.tsv         the share of right answers of ft-predict on stdin, when only these
                                                   labels may be answered
       table.py --order "NAME ..." RUN.jsonl...    the table in Markdown: means and standard errors over seeds

Standard library only.
"""

import argparse
import json
import statistics
import sys

WHO = {"user": "customer", "assistant": "agent"}


def said(path):
    with open(path, encoding="utf-8") as f:
        for row in map(json.loads, f):
            for message in row["messages"]:
                if message["role"] in WHO:
                    print("%s\t%s" % (WHO[message["role"]], " ".join(message["content"].split())))


def among(labels, path):
    with open(path, encoding="utf-8") as f:
        want = [line.split("\t", 1)[0] for line in f]
    answers = [max(labels, key=json.loads(line)["probabilities"].get) for line in sys.stdin]
    assert len(answers) == len(want)
    print(sum(a == w for a, w in zip(answers, want)) / len(want))


def spread(values):
    error = " ± %.1f" % (100 * statistics.stdev(values) / len(values) ** 0.5) if len(values) > 1 else ""
    return "%.1f%s" % (100 * statistics.mean(values), error)


def table(names, paths):
    rows = []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            rows += map(json.loads, f)
    print("| remedy | first task before | first task after | second task |")
    print("|---|---|---|---|")
    for name in names:
        own = [row for row in rows if row["remedy"] == name]
        print("| %s | %s |" % (name, " | ".join(spread([row[k] for row in own]) for k in ("before", "first", "second"))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--said")
    parser.add_argument("--among")
    parser.add_argument("--order", default="")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    if options.said:
        said(options.said)
    elif options.among:
        among(options.among.split(","), options.files[0])
    else:
        table(options.order.split(), options.files)


if __name__ == "__main__":
    main()
