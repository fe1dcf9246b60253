#!/usr/bin/env python3
"""The same work as step.c and tokenizer.c, by PyTorch and transformers, and by tokenizers, tiktoken or sentencepiece.

Usage: reference.py versions
       reference.py step CONFIG [--batches FILE] [--attention NAME] [--optimizer NAME] [...]
       reference.py tokenizer [--by tokenizers|tiktoken|sentencepiece] FOLDER FILE

One JSON line on stdout, with the keys that the C programs use.
"""

import argparse
import json
import os
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def versions(options):
    found = {}
    for name in ("torch", "transformers", "tokenizers", "peft"):
        try:
            found[name] = __import__(name).__version__
        except ImportError:
            pass
    return {"what": "versions", **found}


def peak_bytes():
    with open("/proc/self/status") as f:
        return next(1024 * int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def synthetic(torch, rows, length, vocabulary, causal):
    """Of a causal model the labels are the ids: it moves them by itself."""
    torch.manual_seed(1)
    ids = torch.randint(0, vocabulary, (rows, length))
    return {"input_ids": ids, "attention_mask": torch.ones(rows, length, dtype=torch.long),
            "labels": ids if causal else torch.arange(rows) % 2}, rows * length


def padded(torch, record, length):
    """A batch of a stream (a line of ft-cat) with every row padded to `length`, and its tokens of text."""
    ids, offsets = record["ids"], record["offsets"]
    rows = len(offsets) - 1
    input_ids = torch.zeros(rows, length, dtype=torch.long)
    mask = torch.zeros(rows, length, dtype=torch.long)
    tokens = 0
    for i, (begin, end) in enumerate(zip(offsets, offsets[1:])):
        n = min(end - begin, length)
        input_ids[i, :n] = torch.tensor(ids[begin:begin + n])
        mask[i, :n] = 1
        tokens += n
    return {"input_ids": input_ids, "attention_mask": mask, "labels": torch.tensor(record["labels"])}, tokens


def batches(torch, options, vocabulary, causal):
    """The first is for warming up."""
    if not options.batches:
        return [synthetic(torch, options.rows, options.length, vocabulary, causal)] * (options.steps + 1)
    with open(options.batches) as f:
        records = [r for r in map(json.loads, f) if "ids" in r]
    if len(records) <= options.steps:
        raise SystemExit("reference.py: fewer batches than steps")
    return [padded(torch, r, options.length) for r in records[:options.steps + 1]]


def optimizer_of(torch, model, name):
    plain = [p for p in model.parameters() if p.requires_grad and p.dim() == 1]
    decaying = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
    how = {"fused": {"fused": True}, "foreach": {"foreach": True}, "plain": {"foreach": False}}[name]
    return torch.optim.AdamW([{"params": decaying, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}],
                             lr=5e-5, betas=(0.9, 0.999), eps=1e-8, **how)


def with_lora(model, rank, causal):
    """Where LoRA is when nothing is said: PEFT's own table."""
    from peft import LoraConfig, get_peft_model
    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=16, fan_in_fan_out=causal))


def step(options):
    import torch
    from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel
    torch.set_num_threads(options.threads)
    with open(options.config) as f:
        causal = json.load(f)["model_type"] == "gpt2"
    config = (GPT2Config if causal else BertConfig).from_json_file(options.config)
    kind = GPT2LMHeadModel if causal else BertForSequenceClassification
    model = kind._from_config(config, attn_implementation=options.attention)
    if options.lora:
        model = with_lora(model, options.lora, causal)
    model.train()
    optimizer = optimizer_of(torch, model, options.optimizer)
    seconds, tokens = [], 0
    for i, (batch, n) in enumerate(batches(torch, options, config.vocab_size, causal)):
        began = time.perf_counter()
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if i > 0:
            seconds.append(time.perf_counter() - began)
            tokens += n
    return {"what": "step", "by": "PyTorch", "attention": options.attention, "optimizer": options.optimizer,
            "threads": options.threads, "rows": len(batch["labels"]), "padded": options.length,
            "steps": [round(s, 5) for s in seconds], "seconds": round(min(seconds), 5), "tokens": tokens,
            "tokens_per_second": round(tokens / sum(seconds), 2), "loss": round(loss.item(), 5),
            "peak_bytes": peak_bytes()}


def byte_letters():
    """Byte-level vocabularies write 68 of the bytes as letters from U+0100 on."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {chr(b): b for b in plain}
    letters.update((chr(0x100 + i), b) for i, b in enumerate(b for b in range(256) if b not in plain))
    return letters


def by_tokenizers(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers
    if os.path.exists(f"{folder}/tokenizer.json"):
        tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    else:
        tokenizer = Tokenizer(models.BPE.from_file(f"{folder}/vocab.json", f"{folder}/merges.txt"))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoders = (tokenizer.encode_batch, getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch))
    return [lambda lines, e=e: sum(len(x.ids) for x in e(lines, add_special_tokens=False)) for e in encoders]


def by_tiktoken(folder):
    """GPT-2's vocabulary: ids are ranks, in vocab.json."""
    import tiktoken
    letters = byte_letters()
    with open(f"{folder}/vocab.json", encoding="utf-8") as f:
        vocab = json.load(f)
    ranks = {bytes(letters[c] for c in p): i for p, i in vocab.items() if p != "<|endoftext|>"}
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    encoding = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return [lambda lines: sum(map(len, encoding.encode_ordinary_batch(lines, num_threads=1)))] * 2


def by_sentencepiece(folder):
    import sentencepiece
    model = sentencepiece.SentencePieceProcessor(model_file=f"{folder}/tokenizer.model")
    return [lambda lines: sum(len(model.encode(line)) for line in lines)] * 3


def tokenizer(options):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["RAYON_NUM_THREADS"] = "1"
    with open(options.file, "rb") as f:
        data = f.read()
    lines = data.decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    best = float("inf")
    by = {"tokenizers": by_tokenizers, "tiktoken": by_tiktoken, "sentencepiece": by_sentencepiece}
    for encode in by[options.by](options.folder):
        began = time.perf_counter()
        tokens = encode(lines)
        best = min(best, time.perf_counter() - began)
    return {"what": "tokenizer", "by": options.by, "bytes": len(data), "lines": len(lines), "tokens": tokens,
            "seconds": round(best, 5), "mb_per_second": round(1e-6 * len(data) / best, 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    commands.add_parser("versions").set_defaults(run=versions)
    s = commands.add_parser("step")
    s.set_defaults(run=step)
    s.add_argument("config")
    s.add_argument("--batches", metavar="FILE", help="lines of ft-cat; default: random tokens")
    s.add_argument("--attention", default="sdpa", choices=("sdpa", "eager"))
    s.add_argument("--optimizer", default="fused", choices=("fused", "foreach", "plain"))
    s.add_argument("--lora", type=int, metavar="RANK", help="the base frozen, with PEFT's LoRA of this rank")
    s.add_argument("--rows", type=int, default=8)
    s.add_argument("--length", type=int, default=128, help="tokens of a row, with padding")
    s.add_argument("--steps", type=int, default=3, help="timed ones, after one to warm up")
    s.add_argument("--threads", type=int, default=2)
    w = commands.add_parser("tokenizer")
    w.set_defaults(run=tokenizer)
    w.add_argument("--by", default="tokenizers", choices=("tokenizers", "tiktoken", "sentencepiece"))
    w.add_argument("folder")
    w.add_argument("file")
    options = parser.parse_args()
    print(json.dumps(options.run(options), separators=(",", ":")))


if __name__ == "__main__":
    main()
