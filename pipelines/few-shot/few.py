#!/usr/bin/env python3
"""What few-shot classification needs beside ft: a choice of examples, pairs of them, and a table.

Usage: few.py choose TRAIN.csv --shots N --seed N    label TAB text, N examples of each class
       few.py pairs TRAIN.tsv --pairs N --seed N     score TAB text TAB text: for each text N others of its
                                                     class with score 1, and N of other classes with 0
       few.py table RUN.jsonl...                     the mean over the runs as a table

The choice is random by the seed.  Standard library only.
"""

import argparse
import csv
import json
import random
import statistics
import sys

WAYS = {
    "head": "a classifier on the vectors as they are",
    "tune-pooler": "fine-tuning, classifier on the pooler",
    "tune-vector": "fine-tuning, classifier on the vector",
    "pairs": "vectors tuned on pairs, then a classifier on them",
}


def choose(options):
    """Texts in one line each, the classes in the order of their names."""
    classes = {}
    with open(options.file, encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            classes.setdefault(row["category"], []).append(" ".join(row["text"].split()))
    rng = random.Random(options.seed)
    for label in sorted(classes):
        for text in rng.sample(classes[label], options.shots):
            print("%s\t%s" % (label, text))


def pairs(options):
    """As in Tunstall et al., "Efficient Few-Shot Learning Without Prompts", 2022, section 3."""
    with open(options.file, encoding="utf-8", newline="\n") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    rng = random.Random(options.seed)
    classes = {}
    for label, text in rows:
        classes.setdefault(label, []).append(text)
    labels = sorted(classes)
    for label, text in rows:
        same = [other for other in classes[label] if other != text]
        for _ in range(options.pairs):
            if same:
                print("1\t%s\t%s" % (text, rng.choice(same)))
            print("0\t%s\t%s" % (text, rng.choice(classes[rng.choice([x for x in labels if x != label])])))


def table(options):
    runs = []
    for path in options.files:
        with open(path, encoding="utf-8") as f:
            runs += [json.loads(line) for line in f]
    print("| way | accuracy | macro F1 | seconds |")
    print("|---|---|---|---|")
    for way, title in WAYS.items():
        chosen = [run for run in runs if run["way"] == way]
        cells = []
        for values in ([100 * run["accuracy"] for run in chosen], [100 * run["macro"]["f1"] for run in chosen]):
            spread = " ± %.1f" % statistics.stdev(values) if len(values) > 1 else ""
            cells.append("%.1f%s" % (statistics.mean(values), spread))
        print("| %s | %s | %.0f |" % (title, " | ".join(cells), statistics.mean(run["seconds"] for run in chosen)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    for name, run, count in (("choose", choose, "shots"), ("pairs", pairs, "pairs")):
        command = commands.add_parser(name)
        command.add_argument("file")
        command.add_argument("--" + count, type=int, required=True)
        command.add_argument("--seed", type=int, required=True)
        command.set_defaults(run=run)
    command = commands.add_parser("table")
    command.add_argument("files", nargs="+")
    command.set_defaults(run=table)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
