#!/usr/bin/env python3
"""Tune sentence vectors on pairs with scores with sentence-transformers: the numbers that ft's are put beside.

Usage: sentences.py MODEL DATA --loss cosine|cosent [--seed N]...     one JSON line a seed

MODEL is a folder of sentence-transformers; DATA has train.tsv and test.tsv, each line a score from 0 to
1 and two texts.  Losses and measures are sentence-transformers', the steps ../recipe.py's.  Needs torch, transformers and sentence-transformers.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import recipe
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
from sentence_transformers.util import batch_to_device

LOSSES = {"cosine": losses.CosineSimilarityLoss, "cosent": losses.CoSENTLoss}


def read(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    return [float(row[0]) for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def train(model, scores, first, second, seed, options):
    loss = LOSSES[options.loss](model)

    def loss_of(chosen):
        columns = [batch_to_device(model.preprocess([texts[i] for i in chosen]), model.device) for texts in (first, second)]
        return loss(columns, torch.tensor([scores[i] for i in chosen]))

    recipe.train(model, [len(a) + len(b) for a, b in zip(first, second)], loss_of, seed, options)


def fine_tune(seed, options):
    torch.manual_seed(seed)
    model = SentenceTransformer(options.model, device=options.device)
    model.max_seq_length = options.max_length
    begin = time.monotonic()
    train(model, *read(os.path.join(options.data, "train.tsv")), seed, options)
    seconds = time.monotonic() - begin
    scores, first, second = read(os.path.join(options.data, "test.tsv"))
    result = EmbeddingSimilarityEvaluator(first, second, scores, similarity_fn_names=["cosine"], write_csv=False)(model)
    yield {"seed": seed, "seconds": round(seconds, 1),
            "cosine": {name: round(float(result[name + "_cosine"]), 4) for name in ("pearson", "spearman")}}


if __name__ == "__main__":
    parser = recipe.parser(__doc__, epochs=2, rate=2e-5)
    parser.add_argument("--loss", choices=LOSSES, default="cosent")
    recipe.run(parser.parse_args(), fine_tune)
