#!/usr/bin/env python3
"""Writes blocks.safetensors: numbers, and what ggml's types in blocks make of them.

    python3 make-blocks.py [FILE]

Needs the packages `numpy`, `safetensors` and `gguf`, whose quantisation is that of ggml's reference to the bit; their versions
stand in the file's metadata. With the same versions the script writes the same bytes.
"""
import os
import sys

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


def main(path):
    x = blocks()
    out = {"x": x}
    for name in ("Q8_0", "Q4_0"):
        kind = gguf.GGMLQuantizationType[name]
        out[name] = gguf.quants.quantize(x, kind)
        out[name + ".wide"] = gguf.quants.dequantize(out[name], kind).astype(np.float32)
    versions = {"numpy": np.__version__, "gguf": version("gguf"), "safetensors": safetensors.__version__}
    save_file(out, path, metadata={"versions": " ".join(f"{k} {v}" for k, v in versions.items())})


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "blocks.safetensors"))
