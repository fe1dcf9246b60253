#!/usr/bin/env python3
"""Make penalties.json: Fisher information of tiny-bert-classify, and training runs that are kept near their start by
L2-SP and by elastic weight consolidation.  README.md describes it.

Usage: make-penalties.py [FOLDER]        (default: the folder of this script)

Needs what make-bert.py beside it needs, and what that has written.
"""

import importlib.util
import json
import os
import sys

import torch
from torch import nn
from transformers import BertForSequenceClassification, get_linear_schedule_with_warmup

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("make_bert", os.path.join(HERE, "make-bert.py"))
bert = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bert)

EXAMPLES = 5  # batches that Fisher information is measured on
STEPS = 12    # batches that are trained on, the last ones


def fisher(model, batches):
    """The mean over examples of the squared gradient of each one's log-likelihood."""
    sums, count = {n: torch.zeros_like(p, dtype=torch.float64) for n, p in model.named_parameters()}, 0
    for b in batches:
        for i, label in enumerate(b["labels"]):
            one = {"ids": [b["ids"][i]], "types": [b["types"][i]]}
            loss = nn.functional.cross_entropy(model(**bert.inputs(one)).logits, torch.tensor([label]))
            for n, g in bert.gradients(model, loss).items():
                sums[n] += g.double() ** 2
            count += 1
    return {n: (s / count).float() for n, s in sums.items()}


def train(folder, batches, penalty):
    """SGD with momentum, and what the penalty says before each step."""
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    start = {n: p.detach().clone() for n, p in model.named_parameters()}
    opt = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    schedule = get_linear_schedule_with_warmup(opt, 2, len(batches))
    log = {"loss": [], "penalty": [], "grad_norm": []}
    for b in batches:
        loss = nn.functional.cross_entropy(model(**bert.inputs(b)).logits, torch.tensor(b["labels"]))
        extra = penalty(dict(model.named_parameters()), start)
        opt.zero_grad()
        (loss + extra).backward()
        log["grad_norm"].append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        log["loss"].append(loss.item())
        log["penalty"].append(extra.item())
        opt.step()
        schedule.step()
    return log


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else HERE
    torch.set_num_threads(1)
    path = os.path.join(HERE, "tiny-bert-classify")
    with open(os.path.join(HERE, "tiny-bert-expected", "train.jsonl"), encoding="utf-8") as f:
        batches = [json.loads(line) for line in f]
    model = BertForSequenceClassification.from_pretrained(path).eval()
    F = fisher(model, batches[:EXAMPLES])

    def l2_sp(now, start):
        return 0.5 * 3.0 * sum(((now[n] - start[n]) ** 2).sum() for n in now)

    def ewc(now, start):
        return 0.5 * 40.0 * sum((F[n] * (now[n] - start[n]) ** 2).sum() for n in now)

    rest = batches[-STEPS:]
    bert.write_json(os.path.join(folder, "penalties.json"), {
        "versions": {"torch": torch.__version__},
        "fisher": {n: {"sum": f.double().sum().item(), "norm": f.double().norm().item()} for n, f in F.items()},
        "l2_sp": train(path, rest, l2_sp), "ewc": train(path, rest, ewc),
        "both": train(path, rest, lambda now, start: l2_sp(now, start) + ewc(now, start))})


main()
