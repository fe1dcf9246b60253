#!/usr/bin/env python3
"""Writes blocks.safetensors: numbers, and what ggml's types in blocks, and NF4, make of them.

    python3 make-blocks.py [FILE]

Needs the packages `numpy`, `safetensors` and `gguf`, whose quantisation is that of ggml's reference to the bit, and `bitsandbytes`,
which has the levels of NF4 (its blocks are of 64, with a scale in float32: ours are of 32, in float16); their versions
stand in the file's metadata. With the same versions the script writes the same bytes.
"""
import os
import sys

import bitsandbytes.functional
import gguf
import numpy as np
import safetensors
from importlib.metadata import version
from safetensors.numpy import save_file

BLOCK = 32


def blocks():
    r = np.random.default_rng(1)
    x = [r.standard_normal(BLOCK) * 10.0**e for e in range(-11, 6) for _ in range(2)]
    x.append(np.zeros(BLOCK))
    x.append(np.where(np.arange(BLOCK) == 7, -3.0, 0))
    # The largest magnitude with both signs: the first one counts.
    x.append(np.where(np.arange(BLOCK) % 2, 1.0, -1.0))
    x.append(np.where(np.arange(BLOCK) % 2, -1.0, 1.0))
    # What lies in the middle between two numbers of a block, for each type.
    x.append(np.concatenate([[127.0], np.arange(31) - 15.5]))
    x.append(np.concatenate([[-8.0], np.arange(31) / 2 - 7.5]))
    x.append(np.concatenate([[8.0], np.arange(31) / 2 - 7.75]))
    # The largest scale, and scales below what float16 can hold.
    x.append(np.linspace(-65504 * 8, 65504 * 8, BLOCK))
    x.append(np.linspace(-1, 1, BLOCK) * 2.0**-20)
    x.append(np.linspace(-1, 1, BLOCK) * 1e-35)
    return np.concatenate(x).astype(np.float32)


def nf4(x):
    """The nearest level of each number divided by the largest magnitude of its block: packed, and wide again."""
    levels = bitsandbytes.functional.get_4bit_type("nf4", device="cpu").numpy().astype(np.float32)
    middles = (levels[:-1] + levels[1:]) / np.float32(2)
    x = x.reshape(-1, BLOCK)
    most = np.abs(x).max(axis=1, keepdims=True)
    scale = most.astype(np.float16)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / most
    q = np.searchsorted(middles, x * np.where(np.isfinite(inverse), inverse, np.float32(0)), side="left").astype(np.uint8)
    nibbles = q[:, :BLOCK // 2] | q[:, BLOCK // 2:] << 4
    packed = np.concatenate([scale.view(np.uint8).reshape(-1, 2), nibbles], axis=1)
    return packed.reshape(-1), (levels[q] * scale.astype(np.float32)).reshape(-1)


def main(path):
    x = blocks()
    out = {"x": x}
    for name in ("Q8_0", "Q4_0"):
        kind = gguf.GGMLQuantizationType[name]
        out[name] = gguf.quants.quantize(x, kind)
        out[name + ".wide"] = gguf.quants.dequantize(out[name], kind).astype(np.float32)
    out["NF4.x"] = x[np.abs(x).reshape(-1, BLOCK).max(axis=1).repeat(BLOCK) <= 65504]
    out["NF4"], out["NF4.wide"] = nf4(out["NF4.x"])
    versions = {"bitsandbytes": version("bitsandbytes"), "numpy": np.__version__, "gguf": version("gguf"), "safetensors": safetensors.__version__}
    save_file(out, path, metadata={"versions": " ".join(f"{k} {v}" for k, v in versions.items())})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "blocks.safetensors"))
