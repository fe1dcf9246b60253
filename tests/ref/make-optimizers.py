#!/usr/bin/env python3
"""Make optimizers.safetensors: weights after 20 steps of optimizers that others wrote.  README.md describes it.

Usage: make-optimizers.py [FOLDER]        (default: the folder of this script)

Needs torch, transformers (Adafactor), lion-pytorch and bitsandbytes, whose AdamW8bit runs on the processor.
Its quantisation there does not choose the nearest value (of 4800 squares 2003 had another one after the first step
of this script); on other devices it does, and here it is made to.
Weights and gradients are formulas of place and step, which the test computes again.
"""

import os
import sys

import bitsandbytes
import bitsandbytes.backends.cpu.ops
import numpy
import torch
from importlib.metadata import version
from lion_pytorch import Lion
from safetensors.torch import save_file
from transformers.optimization import Adafactor

STEPS, RATE, DECAY = 20, 0.01, 0.1
SHAPES = {"matrix": (240, 20), "vector": (20,)}


def numbers(n, f):
    return torch.tensor(f(numpy.arange(1, n + 1, dtype=numpy.float64)), dtype=torch.float32)


def weights(n):
    return numbers(n, lambda i: 0.1 * numpy.sin(0.7 * i))


def gradient(n, step):
    """Sizes over three decades, as of the layers of a network."""
    return numbers(n, lambda i: numpy.sin(i * step) * 10.0 ** (-(i % 7) / 2))


def run(make, shape):
    w = torch.nn.Parameter(weights(numpy.prod(shape)).reshape(shape))
    o = make([w])
    for step in range(1, STEPS + 1):
        o.param_groups[0]["lr"] = RATE * (1 - (step - 1) / (2 * STEPS))
        w.grad = gradient(w.numel(), step).reshape(shape)
        o.step()
    return w.detach(), o.state[w]


def quantise(x, code, absmax, out, size):
    """To the nearest values, as bitsandbytes does it on other devices."""
    bounds = (code[:-1] + code[1:]) / 2
    for i in range(0, x.numel(), size):
        block = x.flatten()[i:i + size]
        largest = block.abs().max()
        absmax[i // size] = largest
        out.view(-1)[i:i + size] = torch.bucketize(block * (1 / largest), bounds).to(torch.uint8)


def adafactor(relative):
    return lambda p: Adafactor(p, lr=RATE, scale_parameter=relative, relative_step=False, warmup_init=False,
                               weight_decay=DECAY)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    torch.set_num_threads(1)
    bitsandbytes.backends.cpu.ops._quant_blockwise_fp32_direct = quantise
    makers = {"lion": lambda p: Lion(p, lr=RATE, weight_decay=DECAY),
              "adafactor": adafactor(False), "relative": adafactor(True),
              "adamw8bit": lambda p: bitsandbytes.optim.AdamW8bit(p, lr=RATE, weight_decay=DECAY)}
    out = {}
    for name, make in makers.items():
        for kind, shape in SHAPES.items():
            w, state = run(make, shape)
            out[f"{name}.{kind}"] = w
            if name == "adamw8bit" and kind == "matrix":
                out["adamw8bit.mean"], out["adamw8bit.square"] = state["state1"], state["state2"]
                out["adamw8bit.mean_scale"], out["adamw8bit.square_scale"] = state["absmax1"], state["absmax2"]
                out["map.mean"], out["map.square"] = state["qmap1"], state["qmap2"]
    versions = {p: version(p) for p in ("torch", "transformers", "lion-pytorch", "bitsandbytes")}
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(folder, "optimizers.safetensors"), versions)


main()
