#!/usr/bin/env python3
"""Tune sentence vectors on pairs with scores with sentence-transformers: the numbers that ft's are put beside.

Usage: sentences.py MODEL DATA --loss cosine|cosent [--seed N]...     one JSON line a seed

MODEL is a folder of sentence-transformers; DATA has train.tsv and test.tsv, each line a score from 0 to
1 and two texts.  Losses and measures are sentence-transformers', the steps those of
../real-models/reference.py; seeds, shuffling and dropout cannot be equal to ft's, so compare means over
seeds.  Needs torch, transformers and sentence-transformers.
"""

import argparse
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "real-models"))

import torch
import transformers
from reference import get_linear_schedule_with_warmup, optimizer_of, shuffled
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

LOSSES = {"cosine": losses.CosineSimilarityLoss, "cosent": losses.CoSENTLoss}


def read(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    return [float(row[0]) for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def train(model, scores, first, second, seed, options):
    loss_of = LOSSES[options.loss](model)
    lengths = [len(a) + len(b) for a, b in zip(first, second)]
    rng = random.Random(seed)
    chosen = [batch for _ in range(options.epochs) for batch in shuffled(rng, lengths, options.batch)]
    optimizer = optimizer_of(model, options)
    schedule = get_linear_schedule_with_warmup(optimizer, len(chosen) // 10, len(chosen))
    model.train()
    for batch in chosen:
        columns = [model.preprocess([texts[i] for i in batch]) for texts in (first, second)]
        loss = loss_of(columns, torch.tensor([scores[i] for i in batch]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def fine_tune(seed, options):
    torch.manual_seed(seed)
    model = SentenceTransformer(options.model, device="cpu")
    model.max_seq_length = options.max_length
    begin = time.monotonic()
    train(model, *read(os.path.join(options.data, "train.tsv")), seed, options)
    seconds = time.monotonic() - begin
    scores, first, second = read(os.path.join(options.data, "test.tsv"))
    result = EmbeddingSimilarityEvaluator(first, second, scores, similarity_fn_names=["cosine"], write_csv=False)(model)
    return {"seed": seed, "seconds": round(seconds, 1),
            "cosine": {name: round(float(result[name + "_cosine"]), 4) for name in ("pearson", "spearman")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--loss", choices=LOSSES, default="cosent")
    parser.add_argument("--seed", type=int, action="append", help="may be given many times (1)")
    parser.add_argument("--epochs", type=int, default=2, help="(2)")
    parser.add_argument("--rate", type=float, default=2e-5, help="peak learning rate (2e-5)")
    parser.add_argument("--batch", type=int, default=16, help="pairs in a batch (16)")
    parser.add_argument("--max-length", type=int, default=64, help="tokens of a text, the rest is cut (64)")
    parser.add_argument("--threads", type=int, default=2, help="(2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for seed in options.seed or [1]:
        print(json.dumps(fine_tune(seed, options)), flush=True)


if __name__ == "__main__":
    main()
