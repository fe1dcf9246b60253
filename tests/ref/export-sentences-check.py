#!/usr/bin/env python3
"""Check with sentence-transformers what ft-export writes: vectors of a folder as it saves one, of the export, and of
ft-predict are the same.

Usage: export-sentences-check.py FOLDER        (empty, for what is made on the way; the tools are on PATH)

A line a case, "ok" or "not ok" first. Folders are saved by sentence-transformers itself, in the form of its version,
with each pooling, with several, with and without scaling to length 1; and made by ft-freeze of the bare model.
"""

import json
import os
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "tiny-bert")
POOLINGS = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
SEVERAL = [["cls", "mean"], ["mean", "cls"]]  # flags of the older form cannot say the second order


def tool(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def ours(folder, texts):
    lines = tool("ft-predict", "-q", "-m", folder, texts).splitlines()
    return np.array([json.loads(line)["vector"] for line in lines], dtype=np.float32)


def form_of(folder):
    with open(os.path.join(folder, "1_Pooling", "config.json"), encoding="utf-8") as f:
        return "newer" if "pooling_mode" in json.load(f) else "older"


def compare(name, want, folder, texts, path):
    theirs = SentenceTransformer(folder, device="cpu").encode(texts)
    worst = max(np.abs(theirs - want).max(), np.abs(ours(folder, path) - want).max())
    good = theirs.shape == want.shape and worst < 3e-6
    print("ok" if good else "not ok", name, "%s form," % form_of(folder), "%.2g" % worst, flush=True)


def check_saved(scratch, mode, scaled, texts, path):
    """Saved by sentence-transformers, and exported, and exported again."""
    name = "-".join([mode] if isinstance(mode, str) else mode) + ("-scaled" if scaled else "")
    body = Transformer(TINY)
    modules = [body, Pooling(body.get_embedding_dimension(), pooling_mode=mode)] + ([Normalize()] if scaled else [])
    model = SentenceTransformer(modules=modules, device="cpu")
    saved, out, again = (os.path.join(scratch, name + end) for end in ("", "-export", "-again"))
    model.save_pretrained(saved)
    want = model.encode(texts)
    compare(name + " as saved", want, saved, texts, path)
    tool("ft-export", "-q", "-m", saved, out)
    compare(name + " exported", want, out, texts, path)
    tool("ft-export", "-q", "-m", out, again)
    compare(name + " exported again", want, again, texts, path)


def check_made(scratch, mode, texts, path):
    """A plan of ft-freeze, exported: sentence-transformers gives what ft-predict gives of the plan."""
    name = os.path.join(scratch, "made-" + mode.replace(",", "-"))
    tool("ft-freeze", "-q", "--head", "embed:" + mode, "--normalize", "-o", name + ".ft", TINY)
    tool("ft-export", "-q", "-m", name + ".ft", name)
    compare("made of " + mode, ours(name + ".ft", path), name, texts, path)


def main():
    scratch = sys.argv[1]
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with open(os.path.join(HERE, "sentences", "expected.json"), encoding="utf-8") as f:
        texts = json.load(f)["texts"]
    path = os.path.join(scratch, "texts.txt")
    with open(path, "w", encoding="utf-8") as f:
        f.write("".join(text + "\n" for text in texts))
    for mode in POOLINGS + SEVERAL:
        for scaled in (False, True):
            check_saved(scratch, mode, scaled, texts, path)
    for mode in POOLINGS + [",".join(modes) for modes in SEVERAL]:
        check_made(scratch, mode, texts, path)


if __name__ == "__main__":
    main()
