#!/usr/bin/env python3
"""Writes the folder lm: examples for a causal model (that of decoders/llama), questions with
choices, and what follows from the logits that transformers computes.

    python3 make-lm.py [FOLDER]         (default: the folder "lm" beside this script)

Measures are those of lm-evaluation-harness: tasks wikitext (words, bytes) and multiple_choice.
"""
import json
import os
import sys

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
VOCABULARY = 40
rng = np.random.default_rng(12)
model = AutoModelForCausalLM.from_pretrained(os.path.join(HERE, "decoders/llama/tiny-lm"), dtype=torch.float32)


def log_probabilities(ids):
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1).numpy()


def numbers(n):
    return [int(i) for i in rng.integers(4, VOCABULARY, n)]


def stream(path, records):
    head = {"ft": 1, "kind": "tokens", "meta": {"task": "lm"}, "log": []}
    with open(path, "w") as f:
        for line in (head, *records, {"end": len(records)}):
            f.write(json.dumps(line, separators=(",", ":")) + "\n")


def example(ids, first, **more):
    """Learnt from are the tokens from `first` on; labels stand where they are predicted."""
    labels = [ids[i + 1] if i + 1 >= first and i + 1 < len(ids) else -100 for i in range(len(ids))]
    return {"ids": ids, "labels": labels, **more}


def texts():
    records, loss, tokens, hits, chars, words = [], 0.0, 0, 0, 0, 0
    for i in range(12):
        ids = numbers(int(rng.integers(2, 30)))
        first = int(rng.integers(1, len(ids)))
        if i % 3 == 0: # what the model itself expects, now and then
            for k in range(first, len(ids), 2):
                ids[k] = int(log_probabilities(ids[:k])[-1].argmax())
        size = [3 * (len(ids) - first) + i, 2 * (len(ids) - first) + i, (len(ids) - first + 1) // 2]
        records.append(example(ids, first, size=size, src=f"texts:{i + 1}"))
        logs = log_probabilities(ids)
        loss -= sum(logs[k - 1][ids[k]] for k in range(first, len(ids)))
        hits += sum(int(logs[k - 1].argmax()) == ids[k] for k in range(first, len(ids)))
        tokens += len(ids) - first
        chars += size[0]
        words += size[2]
    return records, {"examples": 12, "tokens": tokens, "loss": loss / tokens, "perplexity": np.exp(loss / tokens),
                     "accuracy": hits / tokens, "word_perplexity": np.exp(loss / words),
                     "byte_perplexity": np.exp(loss / chars), "bits_per_byte": loss / chars / np.log(2)}


def margin(x):
    return np.diff(np.sort(x))[-1]


def questions():
    records, right, loss, tokens, n = [], {"acc": [], "acc_norm": [], "acc_bytes": []}, 0.0, 0, 0
    while n < 20:
        context = numbers(int(rng.integers(1, 12)))
        choices = [numbers(int(rng.integers(1, 6))) for _ in range(rng.integers(2, 6))]
        characters = np.array([int(rng.integers(2, 4)) * len(c) for c in choices])
        size = characters + np.array([int(rng.integers(0, 9)) for c in choices])
        sums = np.array([sum(log_probabilities(context + c)[len(context) + k - 1][i] for k, i in enumerate(c))
                         for c in choices])
        scores = {"acc": sums, "acc_norm": sums / characters, "acc_bytes": sums / size}
        if min(margin(x) for x in scores.values()) < 1e-3:
            continue # what rounding could decide
        gold = int(rng.choice([x.argmax() for x in scores.values()] + list(range(len(choices)))))
        for name, x in scores.items():
            right[name].append(int(x.argmax()) == gold)
        loss -= sums[gold]
        tokens += len(choices[gold])
        for i, c in enumerate(choices):
            records.append(example(context + c, len(context), targets=[float(i == gold)], window=[n, i, len(choices)],
                                   size=[int(size[i]), int(characters[i]), 1], src=f"questions:{n + 1}"))
        n += 1
    assert len(set(map(sum, right.values()))) == 3, "the three must differ to tell them apart"
    return records, {"examples": n, "choices": len(records), "loss": loss / tokens,
                     **{k: float(np.mean(v)) for k, v in right.items()}}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "lm")
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    expected = {"versions": versions}
    for name, make in (("texts", texts), ("questions", questions)):
        records, expected[name] = make()
        stream(os.path.join(folder, name + ".jsonl"), records)
    with open(os.path.join(folder, "expected.json"), "w") as f:
        json.dump(expected, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
