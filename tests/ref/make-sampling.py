#!/usr/bin/env python3
"""Make sampling.json: random logits, and the probabilities that transformers' processors leave of them.

Usage: make-sampling.py [FILE]        (default: sampling.json beside this script)
"""

import json
import os
import sys

import torch
import transformers
from transformers import (LogitsProcessorList, MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
                          TopKLogitsWarper, TopPLogitsWarper)

CASES = [
    {"temperature": 1.0}, {"temperature": 0.3}, {"temperature": 2.5, "top_k": 5}, {"temperature": 1.0, "top_k": 1},
    {"temperature": 0.8, "top_p": 0.9}, {"temperature": 1.0, "top_p": 0.05}, {"temperature": 1.3, "top_p": 0.5, "top_k": 12},
    {"temperature": 1.0, "min_p": 0.1}, {"temperature": 1.5, "min_p": 0.02, "top_p": 0.95, "top_k": 30},
    {"temperature": 1.0, "penalty": 1.3}, {"temperature": 0.7, "penalty": 0.8, "top_p": 0.8, "min_p": 0.05},
    {"temperature": 1.0, "top_k": 100},
]
SEEN = [3, 7, 7, 0, 21, 39]


def probabilities(logits, case):
    steps = LogitsProcessorList()
    if "penalty" in case:
        steps.append(RepetitionPenaltyLogitsProcessor(case["penalty"]))
    steps.append(TemperatureLogitsWarper(case["temperature"]))
    if "top_k" in case:
        steps.append(TopKLogitsWarper(case["top_k"]))
    if "top_p" in case:
        steps.append(TopPLogitsWarper(case["top_p"]))
    if "min_p" in case:
        steps.append(MinPLogitsWarper(case["min_p"]))
    return torch.softmax(steps(torch.tensor([SEEN]), logits[None].clone()), -1)[0]


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "sampling.json")
    g = torch.Generator().manual_seed(1)
    logits = torch.round(torch.randn(40, generator=g) * 200) / 100
    order = logits.argsort(descending=True)
    logits[order[30]] = logits[order[29]]  # equal at the end of top-k, which keeps both; elsewhere none are
    cases = [{**case, "weights": [round(x, 7) for x in probabilities(logits, case).tolist()]} for case in CASES]
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"versions": {"torch": torch.__version__, "transformers": transformers.__version__}, "seen": SEEN,
                   "logits": [round(x, 2) for x in logits.tolist()], "cases": cases}, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
