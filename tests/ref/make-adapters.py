#!/usr/bin/env python3
"""Make the reference data of techniques: what peft computes with random adapters on the tiny models
of the other scripts.  README.md describes each file.

Usage: make-adapters.py [FOLDER]        (default: the folder "adapters" beside this script)

Needs torch, transformers, peft and safetensors, whose versions are recorded in cases.json, and the
models beside this script.  Everything is computed in float32 on one thread with dropout off; the same versions give
the same bytes.
"""

import importlib.util
import json
import os
import shutil
import sys
import warnings
import zlib

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

import peft
from peft import IA3Config, LoraConfig, VeraConfig

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("encoders", os.path.join(HERE, "make-encoders.py"))
encoders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(encoders)
encoders.LENGTHS = [7, 1, 19, 3]

ATTENTION = ["q_proj", "v_proj"]
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def lora(r=3, alpha=5.0, **more):
    return LoraConfig(r=r, lora_alpha=alpha, **more)


# Each case: the model; the parameters of the head that train; how ft says it; how peft does.
CASES = {
    "lora-bert": ("tiny-bert-classify", ["classifier", "bert.pooler"], ["lora", "r=3,alpha=5,sites=*.attn.[qv]"],
                  lora(target_modules=["query", "value"])),
    "lora-distilbert": ("encoders/distilbert/tiny-classify", ["classifier", "pre_classifier"],
                        ["lora", "r=3,alpha=5,sites=layer.*"],
                        lora(target_modules=["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"])),
    "lora-roberta-words": ("encoders/roberta/tiny-classify", ["classifier"],
                           ["lora", "r=3,alpha=5,sites=embed.word,sites=*.attn.[qv]"],
                           lora(target_modules=["word_embeddings", "query", "value"])),
    "lora-modernbert": ("encoders/modernbert/tiny-classify", ["classifier", "head"],
                        ["lora", "r=3,alpha=5,sites=layer.*"], lora(target_modules=["Wqkv", "Wo", "Wi"])),
    "lora-gpt2": ("decoders/gpt2/tiny-lm", [], ["lora", "r=3,alpha=5,sites=layer.*"],
                  lora(target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    "lora-llama": ("decoders/llama/tiny-lm", [], ["lora", "r=3,alpha=5,sites=*.attn.[qv]"], lora(target_modules=ATTENTION)),
    "lora-llama-patterns": (
        "decoders/llama/tiny-lm", [],
        ["lora", "r=3,alpha=5,sites=layer.*,r:layer.1.*=2,alpha:*.attn.q=7,r:*.ffn.down=5,alpha:*.ffn.down=1"],
        lora(target_modules=ALL, rank_pattern={"down_proj": 5, r"layers\.1\..*": 2},
             alpha_pattern={"q_proj": 7, "down_proj": 1})),
    "lora-mistral-rs": ("decoders/mistral/tiny-lm", [], ["lora", "r=3,alpha=5,rslora,sites=layer.*"],
                        lora(target_modules=ALL, use_rslora=True)),
    "lora-qwen2": ("decoders/qwen2/tiny-lm", [], ["lora", "r=3,alpha=5,sites=*.attn.[qkv]"],
                   lora(target_modules=["q_proj", "k_proj", "v_proj"])),
    "lora-qwen3": ("decoders/qwen3/tiny-lm", [], ["lora", "r=3,alpha=5,sites=*.attn.*"],
                   lora(target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])),
    "lora-gemma2": ("decoders/gemma2/tiny-lm", [], ["lora", "r=3,alpha=5,sites=*.ffn.*"],
                    lora(target_modules=["gate_proj", "up_proj", "down_proj"])),
    "lora-gemma3-words": ("decoders/gemma3/tiny-lm", [], ["lora", "r=3,alpha=5,sites=embed.word,sites=*.attn.[qv]"],
                          lora(target_modules=["embed_tokens", *ATTENTION])),
    "ia3-bert": ("tiny-bert-classify", ["classifier", "bert.pooler"], ["ia3", "sites=*.attn.[kvo],sites=*.ffn.down"],
                 IA3Config(target_modules=["key", "value", "output.dense"], feedforward_modules=["output.dense"])),
    "ia3-gpt2": ("decoders/gpt2/tiny-lm", [], ["ia3", ""], IA3Config(
        target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"], fan_in_fan_out=True)),
    "ia3-llama": ("decoders/llama-options/tiny-lm", [], ["ia3", ""], IA3Config(
        target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])),
    "ia3-qwen2": ("decoders/qwen2/tiny-lm", [], ["ia3", "sites=*.attn.[qv],sites=*.ffn.up,input:*.attn.v=1"], IA3Config(
        target_modules=["q_proj", "v_proj", "up_proj"], feedforward_modules=["v_proj"])),
    "dora-bert": ("tiny-bert-classify", ["classifier", "bert.pooler"], ["lora", "r=3,alpha=5,dora,sites=layer.*"],
                  lora(use_dora=True, target_modules=["query", "key", "value", "dense"], exclude_modules=["bert.pooler.dense"])),
    "dora-gpt2": ("decoders/gpt2/tiny-lm", [], ["lora", "r=3,alpha=5,dora,sites=layer.*"],
                  lora(use_dora=True, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    "dora-llama-dropout": ("decoders/llama-options/tiny-lm", [], ["lora", "r=3,alpha=5,dora,dropout=1e-9,sites=*.attn.[qv]"],
                           lora(use_dora=True, target_modules=ATTENTION)),
    "dora-roberta-words": ("encoders/roberta/tiny-classify", ["classifier"],
                           ["lora", "r=3,alpha=5,dora,sites=embed.word,sites=*.attn.v"],
                           lora(use_dora=True, target_modules=["word_embeddings", "value"])),
    "dora-gpt2-words": ("decoders/gpt2/tiny-lm", [], ["lora", "r=2,alpha=5,dora,rslora,sites=embed.word"],
                        lora(r=2, use_dora=True, use_rslora=True, target_modules=["wte"])),
    "dora-qwen2-words": ("decoders/qwen2/tiny-lm", [], ["lora", "r=2,alpha=5,dora,dropout=1e-9,sites=embed.word"],
                         lora(r=2, use_dora=True, target_modules=["embed_tokens"])),
    "dora-gemma3-words": ("decoders/gemma3/tiny-lm", [], ["lora", "r=2,alpha=5,dora,sites=embed.word,sites=*.attn.q"],
                          lora(r=2, use_dora=True, target_modules=["embed_tokens", "q_proj"])),
    "pissa-bert": ("tiny-bert-classify", ["classifier", "bert.pooler"], ["lora", "r=3,alpha=5,init=pissa,sites=*.attn.[qv]"],
                   lora(init_lora_weights="pissa", target_modules=["query", "value"])),
    "pissa-modernbert": ("encoders/modernbert/tiny-classify", ["classifier", "head"],
                         ["lora", "r=3,alpha=5,init=pissa,sites=*.ffn.*"],
                         lora(init_lora_weights="pissa", target_modules=["Wi", "mlp.Wo"])),
    "pissa-gpt2": ("decoders/gpt2/tiny-lm", [], ["lora", "r=3,alpha=5,rslora,init=pissa,sites=layer.*"],
                   lora(init_lora_weights="pissa", use_rslora=True, target_modules=["c_attn", "c_proj", "c_fc"],
                        fan_in_fan_out=True)),
    "pissa-llama-dropout": ("decoders/llama-options/tiny-lm", [], ["lora", "r=2,alpha=5,init=pissa,dropout=1e-9,sites=*.attn.*"],
                            lora(r=2, init_lora_weights="pissa", target_modules=[*ATTENTION, "k_proj", "o_proj"])),
    "pissa-distilbert": ("encoders/distilbert/tiny-classify", ["classifier", "pre_classifier"],
                         ["lora", "r=2,alpha=5,init=pissa,sites=*.attn.[ko],sites=*.ffn.up"],
                         lora(r=2, init_lora_weights="pissa", target_modules=["k_lin", "out_lin", "lin1"])),
    "pissa-roberta-rs": ("encoders/roberta/tiny-classify", ["classifier"],
                         ["lora", "r=2,alpha=5,rslora,init=pissa,sites=*.attn.[qv]"],
                         lora(r=2, init_lora_weights="pissa", use_rslora=True, target_modules=["query", "value"])),
    "pissa-mistral": ("decoders/mistral/tiny-lm", [], ["lora", "r=2,alpha=5,init=pissa,sites=*.attn.[qv]"],
                      lora(r=2, init_lora_weights="pissa", target_modules=ATTENTION)),
    "pissa-qwen2": ("decoders/qwen2/tiny-lm", [], ["lora", "r=2,alpha=5,init=pissa,sites=*.attn.[kv]"],
                    lora(r=2, init_lora_weights="pissa", target_modules=["k_proj", "v_proj"])),
    "pissa-qwen3-rs": ("decoders/qwen3/tiny-lm", [], ["lora", "r=2,alpha=5,rslora,init=pissa,sites=*.attn.[qko]"],
                       lora(r=2, init_lora_weights="pissa", use_rslora=True,
                            target_modules=["q_proj", "k_proj", "o_proj"])),
    "pissa-gemma2": ("decoders/gemma2/tiny-lm", [], ["lora", "r=2,alpha=5,init=pissa,sites=*.ffn.down,sites=*.attn.v"],
                     lora(r=2, init_lora_weights="pissa", target_modules=["down_proj", "v_proj"])),
    "pissa-gemma3": ("decoders/gemma3/tiny-lm", [], ["lora", "r=2,alpha=5,init=pissa,sites=layer.[05].attn.[qk]"],
                     lora(r=2, init_lora_weights="pissa", target_modules=r".*layers\.[05]\.self_attn\.[qk]_proj")),
    "vera-bert": ("tiny-bert-classify", ["classifier", "bert.pooler"], ["vera", "r=5,sites=layer.*"],
                  VeraConfig(r=5, target_modules=["query", "key", "value", "attention.output.dense", "intermediate.dense",
                                                  *("%d.output.dense" % i for i in range(2))])),
    "vera-distilbert": ("encoders/distilbert/tiny-classify", ["classifier", "pre_classifier"],
                        ["vera", "r=40,initial=0.3,sites=*.attn.[qv],sites=*.ffn.up"],
                        VeraConfig(r=40, d_initial=0.3, target_modules=["q_lin", "v_lin", "lin1"])),
    "vera-roberta": ("encoders/roberta/tiny-classify", ["classifier"], ["vera", "r=4,sites=*.attn.[ko],sites=*.ffn.up"],
                     VeraConfig(r=4, target_modules=["key", "attention.output.dense", "intermediate.dense"])),
    "vera-modernbert": ("encoders/modernbert/tiny-classify", ["classifier", "head"],
                        ["vera", "r=4,sites=*.attn.qkv,sites=*.ffn.*"],
                        VeraConfig(r=4, target_modules=["Wqkv", "Wi", "mlp.Wo"])),
    "vera-gpt2": ("decoders/gpt2/tiny-lm", [], ["vera", "r=6,sites=*.attn.qkv,sites=*.ffn.down"],
                  VeraConfig(r=6, target_modules=["c_attn", "mlp.c_proj"], fan_in_fan_out=True)),
    "vera-llama-dropout": ("decoders/llama-options/tiny-lm", [], ["vera", "r=6,dropout=1e-9,sites=layer.*"],
                           VeraConfig(r=6, target_modules=ALL)),
    "vera-mistral": ("decoders/mistral/tiny-lm", [], ["vera", "r=4,sites=*.attn.[qo]"],
                     VeraConfig(r=4, target_modules=["q_proj", "o_proj"])),
    "vera-qwen2": ("decoders/qwen2/tiny-lm", [], ["vera", "r=4,initial=0.3,sites=*.attn.[qkv]"],
                   VeraConfig(r=4, d_initial=0.3, target_modules=["q_proj", "k_proj", "v_proj"])),
    "vera-qwen3": ("decoders/qwen3/tiny-lm", [], ["vera", "r=4,sites=*.attn.[qk],sites=*.ffn.gate"],
                   VeraConfig(r=4, target_modules=["q_proj", "k_proj", "gate_proj"])),
    "vera-gemma2": ("decoders/gemma2/tiny-lm", [], ["vera", "r=3,sites=*.attn.[ko],sites=*.ffn.down"],
                    VeraConfig(r=3, target_modules=["k_proj", "o_proj", "down_proj"])),
    "vera-gemma3": ("decoders/gemma3/tiny-lm", [], ["vera", "r=6"], VeraConfig(r=6, target_modules=ATTENTION)),
}


def load(path, kind):
    return kind.from_pretrained(os.path.join(HERE, path), dtype=torch.float32, attn_implementation="eager").eval()


def file_name(name):
    """As peft saves it; a parameter of the base as the base has it."""
    name = name.replace(".default", "")
    own = ("lora_", "ia3_", "vera_")
    if "lora_magnitude_vector" in name:
        return name.removesuffix(".weight")
    return name if any(o in name for o in own) else name.removeprefix("base_model.model.")


def fill(model, g):
    """Random values, also where an adapter begins with 0; what multiplies stays near where it begins."""
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            if p.requires_grad:
                value = torch.randn(p.shape, generator=g) * 0.25
                near = "magnitude" in name or "ia3_l" in name
                p.copy_(p * (1 + value) if near else value)


def train_head(model, head):
    for name, p in model.named_parameters():
        if any(name.startswith("base_model.model." + h + ".") for h in head):
            p.requires_grad = True


def make_batch(g, vocabulary, causal):
    """The id that pads stands inside a row, where it does not train. `labels` of tokens stand at the place before, as in
    the streams."""
    rows = encoders.make_batch(g, not causal)["ids"]
    if not causal:
        return {"ids": rows, "labels": encoders.numbers(g, len(rows), 0, 3)}
    rows[2][5] = 3
    labels = [[*row[1:], -100] for row in rows]
    labels[3][0] = -100
    return {"ids": rows, "labels": labels}


def run(model, batch, causal):
    if not causal:
        return model(**encoders.inputs(batch), labels=torch.tensor(batch["labels"]))
    theirs = [[-100, *row[:-1]] for row in batch["labels"]]
    return model(**encoders.inputs(batch), labels=encoders.padded(theirs, -100))


def gaps(base, config):
    """Of each weight, how far apart are the r-th of its singular values and the next, by the greatest: what rounding of
    the weight is multiplied by in the first r directions is about the inverse of this."""
    values = {n: torch.linalg.svdvals(p.detach().double()) for n, p in base.named_parameters()
              if p.dim() == 2 and min(p.shape) > config.r}
    return {n: ((s[config.r - 1] - s[config.r]) / s[0]).float().reshape(1) for n, s in values.items()}


def make_case(name, case, folder):
    path, head, technique, config = case
    causal = path.startswith("decoders/")
    g = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    torch.manual_seed(1)
    base = load(path, AutoModelForCausalLM if causal else AutoModelForSequenceClassification)
    gap = gaps(base, config) if name.startswith("pissa") else {}
    model = peft.get_peft_model(base, config).eval()
    began = {"start." + k: v.clone() for k, v in peft.get_peft_model_state_dict(model, save_embedding_layers=False).items()
             if "pissa" in name or "lambda" in k}
    began.update({"gap." + k.removeprefix("start."): gap[k.removeprefix("start.base_model.model.").replace("lora_B.", "")]
                  for k in began if "lora_B." in k})
    fill(model, g)
    saved = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {**began, **{k: v.detach().clone() for k, v in saved.items()}}
    train_head(model, head)
    batch = make_batch(g, base.config.vocab_size, causal)
    result = run(model, batch, causal)
    result.loss.backward()
    logits = result.logits.detach()
    tensors["logits"] = encoders.packed(logits, batch) if causal else logits.clone()
    for n, p in model.named_parameters():
        if p.requires_grad:
            tensors["grad." + file_name(n)] = p.grad.clone()
    fixed = ("base_model.vera_A", "base_model.vera_B")
    lost = [k for k in saved if "grad." + k not in tensors and k not in fixed]
    assert not lost, lost
    encoders.save_tensors(tensors, os.path.join(folder, name + ".safetensors"))
    return {"name": name, "model": path, "technique": technique, "loss": result.loss.item(), **batch}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "adapters")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__,
                "peft": peft.__version__}
    with open(os.path.join(folder, "cases.jsonl"), "w", encoding="utf-8") as f:
        for line in [{"versions": versions}, *(make_case(n, c, folder) for n, c in CASES.items())]:
            f.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
