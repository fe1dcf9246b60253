#!/usr/bin/env python3
"""Writes rope.json: configurations with rotary positions, of both generations of config.json, and
the frequencies and the scale that transformers makes of them.

The versions they were made with stand in the file. Run it in tests/ref:

    python3 make-rope.py > rope.json
"""
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from transformers import LlamaConfig, ModernBertConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.modernbert.modeling_modernbert import ModernBertRotaryEmbedding

LLAMA3 = {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
YARN = {"factor": 4.0, "original_max_position_embeddings": 32768}
# Members of config.json beside the sizes; `kind`: the one kind of layer that is meant.
CASES = [
    ("plain", 64, 2048, {}, None),
    ("plain, version 4", 64, 2048, {"rope_theta": 1000000.0, "rope_scaling": None}, None),
    ("plain, version 5", 64, 2048, {"rope_parameters": {"rope_type": "default", "rope_theta": 50000.0}}, None),
    ("a part of the head", 80, 2048, {"rope_parameters": {"rope_theta": 10000.0, "partial_rotary_factor": 0.4}}, None),
    ("a part of the head, version 4", 32, 2048, {"rope_theta": 10000.0, "partial_rotary_factor": 0.5}, None),
    ("linear, version 4", 32, 4096, {"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 2.5}}, None),
    ("linear, version 5", 32, 4096,
     {"rope_parameters": {"rope_type": "linear", "rope_theta": 20000.0, "factor": 8.0}}, None),
    ("llama3, version 4", 64, 131072, {"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", **LLAMA3}}, None),
    ("llama3, version 5", 128, 131072,
     {"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0, **LLAMA3, "factor": 8.0}}, None),
    ("yarn, version 4", 128, 32768, {"rope_theta": 1000000.0, "rope_scaling": {"type": "yarn", **YARN}}, None),
    ("yarn, version 5", 128, 131072,
     {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000.0, **YARN, "beta_fast": 16, "beta_slow": 2}}, None),
    ("yarn with scales", 64, 163840,
     {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "mscale": 1.0,
                          "mscale_all_dim": 0.7, "original_max_position_embeddings": 4096}}, None),
    ("yarn with an attention factor", 64, 8192,
     {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, **YARN, "attention_factor": 1.25}}, None),
    ("yarn, not truncated", 64, 8192,
     {"rope_parameters": {"rope_type": "yarn", "rope_theta": 150000.0, "factor": 32.0, "truncate": False,
                          "original_max_position_embeddings": 4096}}, None),
    ("yarn, factor by lengths", 64, 65536,
     {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": None,
                          "original_max_position_embeddings": 4096}}, None),
    ("yarn of a short head", 8, 64,
     {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0}}, None),
    ("original length beside", 64, 16384,
     {"original_max_position_embeddings": 2048, "rope_theta": 10000.0,
      "rope_scaling": {"rope_type": "yarn", "factor": 8.0}}, None),
    ("kinds of layer, version 4", 64, 8192, {"global_rope_theta": 160000.0, "local_rope_theta": 12345.0},
     "sliding_attention"),
    ("kinds of layer, scaled in version 4", 64, 8192,
     {"global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
     "full_attention"),
    ("kinds of layer, version 5", 64, 8192,
     {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 3.0, "rope_theta": 99000.0},
                          "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}}, "full_attention"),
    ("kinds of layer, nothing said", 64, 8192, {}, "full_attention"),
]


def make(name, size, positions, more, kind):
    sizes = {"hidden_size": 2 * size, "num_attention_heads": 2, "num_hidden_layers": 4, "max_position_embeddings": positions}
    c = (ModernBertConfig if kind else LlamaConfig)(**sizes, **json.loads(json.dumps(more)))
    rope = c.rope_parameters[kind] if kind else c.rope_parameters
    if rope["rope_type"] != "default":
        frequency, scale = ROPE_INIT_FUNCTIONS[rope["rope_type"]](c, layer_type=kind)
    elif kind:
        frequency, scale = ModernBertRotaryEmbedding.compute_default_rope_parameters(c, layer_type=kind)
    elif "partial_rotary_factor" in rope:
        # Llama turns whole heads; the families that do not use this code for the plain type, too.
        c.rope_parameters["factor"] = 1.0
        frequency, scale = ROPE_INIT_FUNCTIONS["linear"](c)
    else:
        frequency, scale = LlamaRotaryEmbedding.compute_default_rope_parameters(c)
    return {"name": name, "size": size, "kind": kind, "config": {"max_position_embeddings": positions, **more},
            "scale": float(scale), "frequency": [float("%.9g" % f) for f in frequency.tolist()]}


def main():
    transformers.logging.set_verbosity_error()
    cases = [make(*case) for case in CASES]
    print(json.dumps({"versions": {"torch": torch.__version__, "transformers": transformers.__version__}}) [:-1] + ',"cases":[')
    print(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]}")


if __name__ == "__main__":
    main()
