#!/usr/bin/env python3
"""Writes tags.json: sequences of tags with what seqeval counts, and words with what the tokenizers library
makes of them.  The versions they were made with stand in the file.  Run it in tests/ref:

    python3 make-tags.py > tags.json
"""
import json
import random
import warnings

import tokenizers
from seqeval.metrics import accuracy_score, classification_report
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as lenient
from seqeval.metrics.v1 import precision_recall_fscore_support as strictly
from seqeval.scheme import IOB2

warnings.simplefilter("ignore")


def labels_of(prefixes, types):
    return ["O"] + [p + "-" + t for t in types for p in prefixes]


def scores(actual, predicted, **mode):
    """The averages, and each type: with `scheme`, those of the strict mode."""
    function = strictly if mode else lenient
    want = {}
    for average, prefix in (("micro", ""), ("macro", "macro."), ("weighted", "weighted.")):
        p, r, f, _ = function(actual, predicted, average=average, zero_division=0, **mode)
        want.update({prefix + "precision": float(p), prefix + "recall": float(r), prefix + "f1": float(f)})
    report = classification_report(actual, predicted, output_dict=True, zero_division=0,
                                   **({"mode": "strict", **mode} if mode else {}))
    for name, one in report.items():
        if not name.endswith(" avg"):
            for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score"),
                                 ("support", "support")):
                want["classes.%s.%s" % (name, ours)] = float(one[theirs])
    return want


def case(name, labels, actual, predicted, strict):
    named = [[[labels[i] for i in s] for s in side] for side in (actual, predicted)]
    out = {"name": name, "labels": labels, "actual": actual, "predicted": predicted,
           "want": {"accuracy": float(accuracy_score(*named)), **scores(*named)}}
    if strict:
        out["strict"] = scores(*named, scheme=IOB2)
    return out


def sequences(rng, labels, n, longest):
    return [[rng.randrange(len(labels)) for _ in range(rng.randint(1, longest))] for _ in range(n)]


def noisy(rng, labels, sequence, p):
    return [rng.randrange(len(labels)) if rng.random() < p else i for i in sequence]


def valid(rng, labels, n, longest):
    """Well-formed IOB2: I-X only behind B-X or I-X."""
    out = []
    for s in sequences(rng, labels, n, longest):
        for i, k in enumerate(s):
            if i and s[i - 1] and rng.random() < 0.4:
                s[i] = labels.index("I" + labels[s[i - 1]][1:])
            elif labels[k][0] == "I" and (i == 0 or labels[s[i - 1]][1:] != labels[k][1:]):
                s[i] = labels.index("B" + labels[k][1:])
        out.append(s)
    return out


def cases():
    rng = random.Random(11)
    bio = labels_of("BI", ["PER", "creative-work", "LOC"])
    ioe, ies, io = labels_of("IE", ["PER", "LOC"]), labels_of("BIES", ["PER", "LOC"]), labels_of("I", ["PER", "LOC"])
    gold = valid(rng, bio, 25, 12)
    yield case("well-formed against noise", bio, gold, [noisy(rng, bio, s, 0.25) for s in gold], True)
    wild = sequences(rng, bio, 25, 9)
    yield case("malformed on both sides", bio, wild, [noisy(rng, bio, s, 0.3) for s in wild], True)
    for name, labels in (("ends and singles", ies), ("ends alone", ioe), ("inside alone", io)):
        wild = sequences(rng, labels, 25, 9)
        yield case(name, labels, wild, [noisy(rng, labels, s, 0.3) for s in wild], False)
    two = labels_of("BI", ["PER", "LOC"])
    gold = valid(rng, two, 10, 6)
    yield case("nothing predicted", two, gold, [[0] * len(s) for s in gold], True)
    yield case("nothing there", two, [[0] * len(s) for s in gold], gold, True)
    yield case("all right", two, gold, gold, True)
    only = [[i if two[i].endswith("PER") else 0 for i in s] for s in gold]
    yield case("a type that is nowhere", two, only, [noisy(rng, ["O", "B-PER", "I-PER"], s, 0.3) for s in only], True)


WORDS = [
    ["The", "unhappiness", "was", "good", "."],
    ["Don't", "U.N.", "re-plot", "\u200b", "film,film", "\u00a0", "end"],
    ["film was", "[SEP]", "x" * 120, "\u4f60\u597d", "caf\u00e9", "CAF\u00c9s", "\U0001f600"],
    ["\u0301", "a\u0301", "\ufffd", "1,000.50", "#tag", "@name"],
    [],
]


def words():
    for folder in ("uncased", "added"):
        t = tokenizers.Tokenizer.from_file("wordpiece/%s/tokenizer.json" % folder)
        t.no_truncation()
        t.no_padding()
        for row in WORDS:
            e = t.encode(row, is_pretokenized=True)
            yield {"model": folder, "words": row, "ids": e.ids, "numbers": [-1 if w is None else w for w in e.word_ids]}


def main():
    import importlib.metadata as metadata
    versions = {name: metadata.version(name) for name in ("seqeval", "tokenizers")}
    text = lambda rows: ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows)
    print('{"versions":%s,\n"cases":[\n%s\n],\n"words":[\n%s\n]}' % (json.dumps(versions), text(cases()), text(words())))


if __name__ == "__main__":
    main()
