#!/usr/bin/env python3
"""Make preferences.jsonl and preferences.safetensors: DPO and ORPO through a whole network, decoders/llama/tiny-lm.

Usage: make-preferences.py [FOLDER]        (default: the folder of this script)

Needs torch, transformers and safetensors; the log-probabilities and losses are written out here, as their papers
have them. Everything is computed in float32 on one thread.
"""

import json
import os
import sys

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
# Prompts, what is preferred, and what is not.
EXAMPLES = [([5, 9, 30], [7, 8, 2], [7, 21, 14, 2]), ([11], [12, 13, 14, 15, 2], [4, 2]), ([6, 6, 39, 17], [33, 2], [8, 9, 33, 2])]
REFERENCE = [[-9.5, -12.25], [-20.0, -7.5], [-6.75, -13.0]]


def log_probs(model, prompt, completion):
    """Of the tokens of a completion."""
    ids = torch.tensor([prompt + completion])
    logits = torch.log_softmax(model(ids).logits[0, :-1], -1)
    rows = torch.arange(len(prompt) - 1, ids.shape[1] - 1)
    return logits[rows, ids[0, rows + 1]]


def log_one_minus_exp(a):
    return torch.log(-torch.expm1(a))


def dpo(model, beta, smoothing):
    losses = []
    for (prompt, chosen, rejected), reference in zip(EXAMPLES, REFERENCE):
        h = beta * ((log_probs(model, prompt, chosen).sum() - reference[0])
                    - (log_probs(model, prompt, rejected).sum() - reference[1]))
        losses.append(-F.logsigmoid(h) * (1 - smoothing) - F.logsigmoid(-h) * smoothing)
    return torch.stack(losses)


def orpo(model, beta):
    losses = []
    for prompt, chosen, rejected in EXAMPLES:
        a, b = log_probs(model, prompt, chosen).mean(), log_probs(model, prompt, rejected).mean()
        losses.append(-a - beta * F.logsigmoid((a - b) - (log_one_minus_exp(a) - log_one_minus_exp(b))))
    return torch.stack(losses)


def batch():
    """Rows as in the streams: a label stands where it is predicted."""
    rows = [(prompt, side) for prompt, chosen, rejected in EXAMPLES for side in (chosen, rejected)]
    ids = [prompt + side[:-1] for prompt, side in rows]
    labels = [[-100] * (len(prompt) - 1) + side for prompt, side in rows]
    return {"ids": ids, "types": [[0] * len(row) for row in ids], "labels": labels, "reference": sum(REFERENCE, [])}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else HERE
    torch.set_num_threads(1)
    tensors, lines = {}, []
    for name, options in (("dpo", {"beta": 0.3, "smoothing": 0.1}), ("orpo", {"beta": 0.4})):
        model = AutoModelForCausalLM.from_pretrained(os.path.join(HERE, "decoders/llama/tiny-lm"), dtype=torch.float32,
                                                     attn_implementation="eager").eval()
        losses = (dpo if name == "dpo" else orpo)(model, **options)
        losses.mean().backward()
        lines.append({"name": name, **options, "loss": losses.mean().item(), "losses": losses.tolist(), **batch()})
        tensors.update({f"{name}.{key}": p.grad.clone() for key, p in model.named_parameters()})
    with open(os.path.join(folder, "preferences.jsonl"), "w") as f:
        for line in lines:
            f.write(json.dumps({**line, "torch": torch.__version__, "transformers": transformers.__version__}) + "\n")
    save_file(tensors, os.path.join(folder, "preferences.safetensors"))


if __name__ == "__main__":
    main()
