#!/usr/bin/env python3
"""Make train.tsv, valid.tsv and test.tsv (label TAB text, UTF-8) of a public data set.

Usage: prepare.py TASK SOURCE OUT [--train N] [--valid N] [--test N] [--skip N] [--least N]

    TASK              SOURCE is a folder with
    mr-polarity       rt-polarity.neg, rt-polarity.pos (Latin-1): labels neg, pos
    trec-questions    TREC.train, TREC.test (Latin-1): the six coarse labels
    patient-feedback  train.jsonl, valid.jsonl, test.jsonl: "sentiment" 1 to 5
    feedback-topics   the same: "topics" that --least training rows have, as a JSON array; labels.txt has their names
    legal-documents   train.jsonl, valid.jsonl, test.jsonl: "label", the text without its first --skip characters

The parts are the official ones; where there is no test part, every 10th line is it and every 10th but
one is the validation part.  Of each part the N rows with the smallest SHA-256 of their text are taken,
in that order: a random choice that every run and every machine makes alike.  No text is in two parts.
Standard library only.
"""

import argparse
import collections
import hashlib
import json
import os

PARTS = ("train", "valid", "test")


def lines(path, encoding):
    with open(path, encoding=encoding, newline="\n") as f:
        return [line.rstrip("\n") for line in f]


def clean(text):
    """One line without tabs."""
    return " ".join(text.split())


def mr_polarity(source, options):
    parts = {p: [] for p in PARTS}
    for label in ("neg", "pos"):
        for number, text in enumerate(lines(os.path.join(source, "rt-polarity." + label), "latin-1"), 1):
            part = {0: "test", 1: "valid"}.get(number % 10, "train")
            parts[part].append((label, clean(text)))
    return parts


def trec_questions(source, options):
    parts = {p: [] for p in PARTS}
    for name in ("train", "test"):
        for number, line in enumerate(lines(os.path.join(source, "TREC." + name), "latin-1"), 1):
            label, _, text = line.partition(" ")
            part = "valid" if name == "train" and number % 10 == 1 else name
            parts[part].append((label.partition(":")[0], clean(text)))
    return parts


def objects(source):
    return {part: [json.loads(line) for line in lines(os.path.join(source, part + ".jsonl"), "utf-8")]
            for part in PARTS}


def patient_feedback(source, options):
    return {part: [(str(row["sentiment"]), clean(row["text"])) for row in rows]
            for part, rows in objects(source).items()}


def feedback_topics(source, options):
    parts = objects(source)
    count = collections.Counter(topic for row in parts["train"] for topic in row["topics"])
    names = [topic for topic, n in sorted(count.items(), key=lambda t: (-t[1], t[0])) if n >= options.least]
    os.makedirs(options.out, exist_ok=True)
    with open(os.path.join(options.out, "labels.txt"), "w", encoding="utf-8") as f:
        f.writelines(name + "\n" for name in names)
    return {part: [(json.dumps([n for n in names if n in row["topics"]], ensure_ascii=False), clean(row["text"]))
                   for row in rows] for part, rows in parts.items()}


def legal_documents(source, options):
    return {part: [(row["label"], clean(row["text"][options.skip:])) for row in rows]
            for part, rows in objects(source).items()}


TASKS = {"mr-polarity": mr_polarity, "trec-questions": trec_questions, "patient-feedback": patient_feedback,
         "feedback-topics": feedback_topics, "legal-documents": legal_documents}


def choose(rows, n, taken):
    """The n rows whose texts have the smallest digests, each text once and none of those taken before."""
    rank = {text: (hashlib.sha256(text.encode()).digest(), label) for label, text in reversed(rows)}
    texts = sorted((text for text in rank if text and text not in taken), key=lambda text: rank[text][0])
    taken.update(rank)
    return [(rank[text][1], text) for text in texts[:n]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("source")
    parser.add_argument("out")
    for part, n in (("train", 1000), ("valid", 500), ("test", 1000)):
        parser.add_argument("--" + part, type=int, default=n, help="rows at most (%d)" % n)
    parser.add_argument("--skip", type=int, default=0, help="characters of a legal document (0)")
    parser.add_argument("--least", type=int, default=50, help="rows of a topic (50)")
    options = parser.parse_args()
    parts = TASKS[options.task](options.source, options)
    os.makedirs(options.out, exist_ok=True)
    taken = set()
    for part in reversed(PARTS):
        with open(os.path.join(options.out, part + ".tsv"), "w", encoding="utf-8", newline="\n") as f:
            for label, text in choose(parts[part], getattr(options, part), taken):
                f.write("%s\t%s\n" % (label, text))


if __name__ == "__main__":
    main()
