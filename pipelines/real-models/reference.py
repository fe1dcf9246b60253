#!/usr/bin/env python3
"""Fine-tune a BERT with transformers and PyTorch: the numbers that ft's are put beside.

Usage: reference.py MODEL DATA [--task classify|regress] [--seed N]...     one JSON line a seed
       reference.py MODEL FILE.tsv --vectors                               one sentence vector a line

MODEL is a Hugging Face folder, DATA a folder that prepare.py made.  The recipe (AdamW, warmup over a
tenth of the steps, linear decay, weight decay 0.01 but on biases and norms, clipping at 1, dropout from
the config) is the Makefile's for ft; seeds, shuffling and dropout cannot be equal, so compare means
over seeds.  Needs torch and transformers.
"""

import argparse
import json
import os
import random
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from transformers import AutoModel, AutoTokenizer, BertForSequenceClassification, get_linear_schedule_with_warmup


def read(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return [line.rstrip("\n").split("\t", 1) for line in f]


def encode(tokenizer, texts, max_length):
    return tokenizer(texts, truncation=True, max_length=max_length, padding=False)["input_ids"]


def batch(rows):
    """Token ids padded to the longest row, and the mask."""
    width = max(map(len, rows))
    return {"input_ids": torch.tensor([r + [0] * (width - len(r)) for r in rows]),
            "attention_mask": torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])}


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


def train(model, rows, targets, seed, options):
    rng = random.Random(seed)
    lengths = [len(r) for r in rows]
    epochs = [shuffled(rng, lengths, options.batch) for _ in range(options.epochs)]
    steps = sum(map(len, epochs))
    optimizer = optimizer_of(model, options)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    model.train()
    for chosen in (b for e in epochs for b in e):
        loss = model(**batch([rows[i] for i in chosen]), labels=targets[chosen]).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def predict(run, rows, size=32):
    """run(batch) for all rows, in their order; computed by length."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    out = [None] * len(rows)
    with torch.inference_mode():
        for k in range(0, len(order), size):
            part = order[k:k + size]
            for i, value in zip(part, run(batch([rows[i] for i in part]))):
                out[i] = value
    return torch.stack(out)


def measures(task, logits, targets):
    if task == "classify":
        right = (logits.argmax(1) == targets).double()
        return {"accuracy": right.mean().item()}
    value = logits.squeeze(1).double()
    truth = targets.double()
    return {"mae": (value - truth).abs().mean().item(),
            "pearson": torch.corrcoef(torch.stack([value, truth]))[0, 1].item()}


def fine_tune(seed, options):
    torch.manual_seed(seed)
    parts = {p: read(os.path.join(options.data, p + ".tsv")) for p in ("train", "test")}
    labels = sorted({label for label, _ in parts["train"]})
    regress = options.task == "regress"
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = BertForSequenceClassification.from_pretrained(
        options.model, num_labels=1 if regress else len(labels),
        problem_type="regression" if regress else "single_label_classification")
    rows = {p: encode(tokenizer, [text for _, text in parts[p]], options.max_length) for p in parts}
    targets = {p: torch.tensor([float(label) if regress else labels.index(label) for label, _ in parts[p]])
               for p in parts}
    begin, cpu = time.monotonic(), time.process_time()
    train(model, rows["train"], targets["train"], seed, options)
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    logits = predict(lambda b: model(**b).logits, rows["test"])
    return {"tool": "transformers", "data": os.path.basename(os.path.normpath(options.data)), "task": options.task,
            "seed": seed, **{k: round(v, 4) for k, v in measures(options.task, logits, targets["test"]).items()},
            "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1)}


def vectors(options):
    """Mean of the last hidden states over the real tokens, scaled to length 1."""
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModel.from_pretrained(options.model).eval()
    rows = encode(tokenizer, [row[-1] for row in read(options.data)], options.max_length)

    def run(b):
        mask = b["attention_mask"].unsqueeze(-1).float()
        mean = (model(**b).last_hidden_state * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(mean, dim=1)

    for v in predict(run, rows):
        print(json.dumps({"vector": [float("%.7g" % x) for x in v.tolist()]}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--task", choices=("classify", "regress"), default="classify")
    parser.add_argument("--vectors", action="store_true", help="sentence vectors of the texts; no training")
    parser.add_argument("--seed", type=int, action="append", help="may be given many times (1)")
    parser.add_argument("--epochs", type=int, default=3, help="(3)")
    parser.add_argument("--rate", type=float, default=1e-4, help="peak learning rate (1e-4)")
    parser.add_argument("--batch", type=int, default=16, help="rows in a batch (16)")
    parser.add_argument("--max-length", type=int, default=64, help="tokens of a row, the rest is cut (64)")
    parser.add_argument("--threads", type=int, default=2, help="(2)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if options.vectors:
        vectors(options)
        return
    for seed in options.seed or [1]:
        print(json.dumps(fine_tune(seed, options)), flush=True)


if __name__ == "__main__":
    main()
