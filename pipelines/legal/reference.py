#!/usr/bin/env python3
"""The same by transformers and PyTorch: one JSON line a seed.

Usage: reference.py MODEL DATA [--windows] [--seed N]...

DATA is a folder that ../real-models/prepare.py made; the recipe is ../recipe.py's, the training ../real-models/reference.py's.
Windows are cut by the tokenizers library; a document's probabilities are the mean of those of its windows.  Needs torch,
transformers and scikit-learn.
"""

import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "real-models")]
import recipe
import reference as base
import torch
from sklearn.metrics import accuracy_score, f1_score
from transformers import AutoTokenizer, BertForSequenceClassification


def read_rows(tokenizer, texts, options):
    """Token ids of rows, and which text each is of."""
    if not options.windows:
        return base.encode(tokenizer, texts, options.max_length), list(range(len(texts)))
    fresh = options.max_length - 2 - options.stride  # tokens that a further window adds
    tokens = base.encode(tokenizer, texts, 1 << 20)
    expected = sum(1 + max(0, -(-(len(ids) - options.max_length) // fresh)) for ids in tokens)
    cut = tokenizer(texts, truncation=True, max_length=options.max_length, stride=options.stride,
                    return_overflowing_tokens=True, padding=False)
    if len(cut["input_ids"]) != expected:  # tokenizers 0.23.2 makes two of each text
        sys.exit(f"legal/reference.py: this version of tokenizers cuts {len(cut['input_ids'])} windows, not {expected}")
    return cut["input_ids"], cut["overflow_to_sample_mapping"]


def fine_tune(seed, options):
    torch.manual_seed(seed)
    parts = {p: base.read(os.path.join(options.data, p + ".tsv")) for p in ("train", "test")}
    labels = sorted({label for part in parts.values() for label, _ in part})
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = BertForSequenceClassification.from_pretrained(options.model, num_labels=len(labels),
                                                          problem_type="single_label_classification")
    truth = {p: [labels.index(label) for label, _ in parts[p]] for p in parts}
    rows, owner = read_rows(tokenizer, [text for _, text in parts["train"]], options)
    begin = time.monotonic()
    base.train(model, rows, torch.tensor([truth["train"][i] for i in owner]), seed, options)
    seconds = time.monotonic() - begin
    rows, owner = read_rows(tokenizer, [text for _, text in parts["test"]], options)
    p = base.predict(lambda b: model(**b).logits.softmax(1), rows)
    n = len(truth["test"])
    mean = torch.zeros(n, len(labels)).index_add_(0, torch.tensor(owner), p)  # the sum: the same argmax
    said = mean.argmax(1).tolist()
    yield {"tool": "transformers", "seed": seed, "seconds": round(seconds, 1), "examples": n, "windows": len(rows),
            "accuracy": accuracy_score(truth["test"], said),
            "macro": {"f1": f1_score(truth["test"], said, average="macro", labels=range(len(labels)), zero_division=0)}}


if __name__ == "__main__":
    parser = recipe.parser(__doc__, epochs=2, max_length=256)
    parser.add_argument("--windows", action="store_true", help="all windows of a text, not the first")
    parser.add_argument("--stride", type=int, default=32, help="tokens by which windows overlap (%(default)s)")
    recipe.run(parser.parse_args(), fine_tune)
