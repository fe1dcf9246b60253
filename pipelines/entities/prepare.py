#!/usr/bin/env python3
"""Make train.jsonl, test.jsonl ({"words": […], "tags": […]}) and labels of a public data set.

Usage: prepare.py TASK SOURCE OUT [--limit N]

    TASK      SOURCE is a folder with
    wnut17    wnut17train.conll, emerging.test.annotated: word TAB tag
    bc5cdr    train.tsv, test.tsv: word TAB tag
    snips     train_INTENT_full.json, validate_INTENT.json, maybe in folders: runs of text, some with a slot

The parts are the official ones; what snips calls validation is its test.  Of snips, words are what white space
divides, and a word belongs to the slot that its first character is in.  With N only the first N sentences of
each part are taken, of snips in turn from each intent.  Standard library only.
"""

import argparse
import glob
import itertools
import json
import os


def columns(path):
    sentence = []
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in itertools.chain(f, [""]):
            word, _, tag = line.rstrip("\r\n").partition("\t")
            if word:
                sentence.append((word, tag))
            elif sentence:
                yield sentence
                sentence = []


def load(path):
    with open(path, "rb") as f:
        data = f.read()
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError:  # one of the files
        return json.loads(data.decode("latin-1"))


def utterance(runs):
    """Words with tags of runs of text."""
    text = "".join(run["text"] for run in runs)
    slot = [(number, run.get("entity")) for number, run in enumerate(runs) for _ in run["text"]]
    sentence, at, before = [], 0, None
    for word in text.split():
        at = text.index(word, at)
        number, name = slot[at]
        sentence.append((word, "O" if not name else ("I-" if number == before else "B-") + name))
        before = number
        at += len(word)
    return sentence


def snips(source, pattern):
    files = sorted(glob.glob(os.path.join(source, "**", pattern), recursive=True))
    intents = [[utterance(u["data"]) for u in next(iter(load(path).values()))] for path in files]
    return [s for turn in itertools.zip_longest(*intents) for s in turn if s]


def parts(task, source):
    if task == "snips":
        return {"train": snips(source, "train_*_full.json"), "test": snips(source, "validate_*.json")}
    names = {"wnut17": ("wnut17train.conll", "emerging.test.annotated"), "bc5cdr": ("train.tsv", "test.tsv")}[task]
    return {part: list(columns(os.path.join(source, name))) for part, name in zip(("train", "test"), names)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("task", choices=("wnut17", "bc5cdr", "snips"))
    parser.add_argument("source")
    parser.add_argument("out")
    parser.add_argument("--limit", type=int, default=0, help="sentences of each part (all)")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    labels = set()
    for part, sentences in parts(options.task, options.source).items():
        if not sentences:
            raise SystemExit("%s: no sentences for the %s part" % (options.source, part))
        labels |= {tag for sentence in sentences for _, tag in sentence}
        with open(os.path.join(options.out, part + ".jsonl"), "w", encoding="utf-8", newline="\n") as f:
            for sentence in sentences[:options.limit or None]:
                words, tags = zip(*sentence)
                f.write(json.dumps({"words": words, "tags": tags}, ensure_ascii=False) + "\n")
    with open(os.path.join(options.out, "labels"), "w", encoding="utf-8", newline="\n") as f:
        f.write("".join(label + "\n" for label in ["O"] + sorted(labels - {"O"}, key=lambda t: (t[2:], t[0]))))


if __name__ == "__main__":
    main()
