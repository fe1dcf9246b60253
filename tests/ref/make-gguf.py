#!/usr/bin/env python3
"""Make the reference data of GGUF files of models: what llama.cpp's converter makes of the tiny models of
decoders/.  README.md describes each file.

Usage: make-gguf.py LLAMA_CPP [FOLDER]        (default: the folder "gguf" beside this script)

LLAMA_CPP is a source tree of llama.cpp; its convert_hf_to_gguf.py needs torch, transformers and numpy.  The files
have no tokenizer, which the tiny models lack, too.  The same versions give the same bytes.
"""

import glob
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA_CPP = os.path.abspath(sys.argv[1])
sys.path[:0] = [LLAMA_CPP, os.path.join(LLAMA_CPP, "gguf-py")]

import gguf  # noqa: E402
from conversion import get_model_class  # noqa: E402

# Each: the type of its matrices, and what its config.json says otherwise: keys of GGUF have no place for that.
# The converter of GPT-2 looks for a second name of a member.
FAMILIES = {
    "gpt2": ("f32", {"n_ctx": 48}),
    "llama": ("f32", {}),
    "llama-options": ("f16", {}),
    "mistral": ("bf16", {"sliding_window": None}),
    "qwen2": ("f32", {"use_sliding_window": False, "sliding_window": None, "layer_types": None}),
    "qwen3": ("bf16", {}),
    "gemma2": ("f32", {"query_pre_attn_scalar": 6}),
    "gemma3": ("f16", {"query_pre_attn_scalar": 6}),
}
TYPES = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16, "bf16": gguf.LlamaFileType.MOSTLY_BF16}


def no_tokenizer(self):
    self.gguf_writer.add_tokenizer_model("none")


def convert(name, dtype, changes, out):
    source = os.path.join(HERE, "decoders", name, "tiny-lm")
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(source, "config.json")) as f:
            config = {**json.load(f), **changes}
        for path in (os.path.join(folder, "config.json"), os.path.join(out, name + ".json")):
            with open(path, "w") as f:
                json.dump(config, f, indent=2)
                f.write("\n")
        shutil.copy(os.path.join(source, "model.safetensors"), folder)
        # The converter of Gemma 3 counts the tokens.
        with open(os.path.join(folder, "tokenizer.json"), "w") as f:
            json.dump({"model": {"vocab": {str(i): i for i in range(config["vocab_size"])}}, "added_tokens": []}, f)
        model = get_model_class(config["architectures"][0])
        model = type(model.__name__, (model,), {"set_vocab": no_tokenizer, "model_arch": model.model_arch})
        model(Path(folder), TYPES[dtype], Path(out) / (name + ".gguf"), model_name=name).write()


def main():
    out = sys.argv[2] if len(sys.argv) > 2 else os.path.join(HERE, "gguf")
    for path in glob.glob(os.path.join(out, "*.*")):
        os.remove(path)
    os.makedirs(out, exist_ok=True)
    for name, (dtype, changes) in FAMILIES.items():
        convert(name, dtype, changes, out)


main()
