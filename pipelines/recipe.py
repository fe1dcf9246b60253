"""The recipe of the references, which the pipelines' reference.py share: options, order of batches, optimizer, steps.

AdamW, warmup over a tenth of the steps, then linear to 0; weight decay 0.01 but on biases and norms; clipping at norm 1;
dropout as the model's config has it.  It is that of ft's side; seeds, shuffling and dropout cannot be equal, so compare
means over seeds.  Needs torch and transformers.
"""

import argparse
import json
import os
import random

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from transformers import get_linear_schedule_with_warmup


def parser(doc, epochs=3, rate=1e-4, batch=16, max_length=64):
    """Options that all have, with defaults; `doc` is the script's docstring."""
    p = argparse.ArgumentParser(description=doc.split("\n")[0])
    p.add_argument("model")
    p.add_argument("data")
    p.add_argument("--seed", type=int, action="append", help="may be given many times (1)")
    p.add_argument("--epochs", type=int, default=epochs, help="(%(default)s)")
    p.add_argument("--rate", type=float, default=rate, help="peak learning rate (%(default)s)")
    p.add_argument("--batch", type=int, default=batch, help="rows in a batch (%(default)s)")
    p.add_argument("--max-length", type=int, default=max_length, help="tokens of a row, the rest is cut (%(default)s)")
    p.add_argument("--threads", type=int, default=2, help="(%(default)s)")
    p.add_argument("--device", default="cpu", help="as PyTorch calls it; times of training compare on a cpu alone (%(default)s)")
    return p


def prepare(options):
    torch.set_num_threads(options.threads)
    torch.set_default_device(options.device)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def run(options, fine_tune):
    """Prints what fine_tune(seed, options) yields for each seed, a JSON line each."""
    prepare(options)
    for seed in options.seed or [1]:
        for result in fine_tune(seed, options):
            print(json.dumps(result), flush=True)


def shuffled(rng, lengths, size, window=16):
    """Row numbers in batches: shuffled, then sorted by length within `window` batches to save padding."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for i in range(0, len(order), window * size):
        part = sorted(order[i:i + window * size], key=lambda k: lengths[k])
        batches += [part[k:k + size] for k in range(0, len(part), size)]
    rng.shuffle(batches)
    return batches


def optimizer_of(model, options):
    plain = lambda name: name.endswith(".bias") or "LayerNorm" in name
    named = list(model.named_parameters())
    return torch.optim.AdamW(
        [{"params": [p for n, p in named if not plain(n)], "weight_decay": 0.01},
         {"params": [p for n, p in named if plain(n)], "weight_decay": 0.0}],
        lr=options.rate, betas=(0.9, 0.999), eps=1e-8)


def train(model, lengths, loss_of, seed, options):
    """All steps; loss_of(rows' numbers) is the loss of a batch, `lengths` those of the rows."""
    model.to(options.device)
    rng = random.Random(seed)
    batches = [b for _ in range(options.epochs) for b in shuffled(rng, lengths, options.batch)]
    optimizer = optimizer_of(model, options)
    schedule = get_linear_schedule_with_warmup(optimizer, len(batches) // 10, len(batches))
    model.train()
    for chosen in batches:
        loss = loss_of(chosen)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
