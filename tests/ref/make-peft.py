#!/usr/bin/env python3
"""Make tests/ref/peft/: adapters as PEFT saves them, beside tiny models that are here, and what these give then.

Usage: make-peft.py      (in tests/ref; needs torch, transformers, peft, safetensors)
"""

import json
import os
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "peft")
BERT, GPT2, LLAMA = "tiny-bert-classify", "decoders/gpt2/tiny-lm", "decoders/llama/tiny-lm"
GEMMA = "decoders/gemma3/tiny-lm"
ROWS, CAUSAL, BARE = "AutoModelForSequenceClassification", "AutoModelForCausalLM", "AutoModel"
# Name: base, class, configuration, and what is done to the file that was saved.
CASES = {
    "list": (BERT, ROWS, dict(r=4, lora_alpha=16, target_modules=["query", "value"], task_type="SEQ_CLS"), None),
    "regex": (BERT, ROWS, dict(r=3, lora_alpha=5, use_rslora=True, bias="lora_only", modules_to_save=["pooler"],
                               target_modules=r".*layer\.\d\.(attention\.self\.(query|key)|output\.dense)",
                               rank_pattern={"output.dense": 2}, alpha_pattern={r"^bert.*1\.attention.self.key": 9},
                               task_type="SEQ_CLS"), "half"),
    "all-linear": (BERT, ROWS, dict(r=2, target_modules="all-linear", exclude_modules=["pooler.dense", "key"],
                                    lora_dropout=0.1, task_type="SEQ_CLS"), None),
    "layers": (BERT, ROWS, dict(r=2, target_modules=["value", "output.dense"], layers_to_transform=[1],
                                layers_pattern="layer", task_type="SEQ_CLS"), None),
    "older": (BERT, ROWS, dict(r=4, target_modules=["query"], modules_to_save=["classifier"]), "older"),
    "bare": ("tiny-bert", BARE, dict(r=2, target_modules=["key", "word_embeddings"], task_type="FEATURE_EXTRACTION"), None),
    "gpt2": (GPT2, CAUSAL, dict(r=4, target_modules=["c_attn", "mlp.c_proj", "wte"], fan_in_fan_out=True,
                                task_type="CAUSAL_LM"), None),
    "llama": (LLAMA, CAUSAL, dict(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "gate_proj", "embed_tokens"],
                                  task_type="CAUSAL_LM"), None),
    "llama-brain": (LLAMA, CAUSAL, dict(r=2, target_modules=["v_proj"], bias="all", modules_to_save=["norm"],
                                        task_type="CAUSAL_LM"), "brain"),
    "dora": (BERT, ROWS, dict(r=3, lora_alpha=5, use_dora=True, target_modules=["query", "intermediate.dense"],
                              rank_pattern={"query": 2}, task_type="SEQ_CLS"), None),
    "dora-gpt2": (GPT2, CAUSAL, dict(r=2, use_dora=True, use_rslora=True, target_modules=["c_attn", "mlp.c_proj"],
                                     fan_in_fan_out=True, task_type="CAUSAL_LM"), "half"),
    "vera": (BERT, ROWS, dict(r=5, target_modules=r".*layer.\d.(attention.self.query|intermediate.dense|output.dense)",
                              vera_dropout=0.1, d_initial=0.2, task_type="SEQ_CLS"), "half"),
    "vera-gpt2": (GPT2, CAUSAL, dict(r=4, target_modules=["c_attn", "mlp.c_proj"], bias="vera_only", fan_in_fan_out=True,
                                     task_type="CAUSAL_LM"), "older"),
    "ia3": (BERT, ROWS, dict(target_modules=["key", "value", "output.dense"], feedforward_modules=["output.dense"],
                             modules_to_save=["pooler"], task_type="SEQ_CLS"), None),
    "ia3-gpt2": (GPT2, CAUSAL, dict(target_modules=["c_attn", "mlp.c_proj"], feedforward_modules=["mlp.c_proj"],
                                    fan_in_fan_out=True, task_type="CAUSAL_LM"), "older"),
    "ia3-llama": (LLAMA, CAUSAL, dict(target_modules=r".*\.1\..*(k|v|up|down)_proj", feedforward_modules=r".*(v|down)_proj",
                                      task_type="CAUSAL_LM"), None),
    "dora-words": (BERT, ROWS, dict(r=3, lora_alpha=5, use_dora=True, target_modules=["word_embeddings", "value"],
                                    task_type="SEQ_CLS"), None),
    "tokens": (LLAMA, CAUSAL, dict(r=2, target_modules=["q_proj"], trainable_token_indices=[22, 5], task_type="CAUSAL_LM"),
               None),
    "tokens-two": (LLAMA, CAUSAL, dict(r=2, target_modules=["v_proj"], task_type="CAUSAL_LM",
                                       trainable_token_indices={"embed_tokens": [3, 4], "lm_head": [7]}), "older"),
    "tokens-tied": (GEMMA, CAUSAL, dict(r=2, target_modules=["k_proj"], trainable_token_indices=[4, 1, 9],
                                        task_type="CAUSAL_LM"), "half"),
    "tokens-alone": (GPT2, CAUSAL, dict(token_indices=[8, 2, 19], task_type="CAUSAL_LM"), None),
    "tokens-classify": (BERT, ROWS, dict(token_indices=[20, 3], task_type="SEQ_CLS"), "brain"),
}
IDS = [[3, 17, 5, 20, 9, 11], [2, 8], [21, 4, 4, 12, 7, 19, 23, 1, 22]]


def change(path, how):
    """As other programs and versions have it."""
    tensors = load_file(path)
    if how == "half":
        tensors = {k: v.half() for k, v in tensors.items()}
    if how == "brain":
        tensors = {k: v.bfloat16() for k, v in tensors.items()}
    if how == "older":
        tensors = {k.replace("lora_A.", "lora_A.default.").replace("lora_B.", "lora_B.default.")
                   .replace("ia3_l", "ia3_l.default").replace("tokens_delta", "tokens_delta.default")
                   .replace("lambda_b", "lambda_b.default").replace("classifier.", "classifier.modules_to_save.default."): v for k, v in tensors.items()}
    save_file(tensors, path, metadata={"format": "pt"})
    return tensors


def shake(model, seed):
    """Random values for all that is saved, exact in bfloat16; what multiplies is near where it begins."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        saved = ("lora_" in name or "ia3_l" in name or "vera_lambda" in name or "modules_to_save" in name
                 or "tokens_delta" in name or (p.requires_grad and name.endswith(".bias")))
        if saved:
            value = torch.randn(p.shape, generator=g) * 0.2
            near = p.data * (1 + value) if "magnitude" in name else 1 + value if "ia3_l" in name else value
            p.data = near.half().float() if "magnitude" in name else near.bfloat16().float()


def logits_of(model, auto, ids):
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]))
    if auto == BARE:
        return out.last_hidden_state[0].mean(0)
    return out.logits[0] if auto == ROWS else out.logits[0, -1]


def make(name, seed):
    base, auto, options, how = CASES[name]
    folder = os.path.join(OUT, name)
    model = getattr(transformers, auto).from_pretrained(os.path.join(HERE, base), dtype=torch.float32).eval()
    config = (peft.IA3Config(**options) if name.startswith("ia3") else peft.VeraConfig(**options) if name.startswith("vera")
              else peft.TrainableTokensConfig(**options) if "token_indices" in options
              else peft.LoraConfig(init_lora_weights=bool(options.get("use_dora")), **options))
    model = peft.get_peft_model(model, config).eval()
    shake(model, seed)
    for n, buffer in model.named_buffers():  # half has them as they are
        if "vera_" in n:
            buffer.copy_(buffer.half().float())
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    config["base_model_name_or_path"] = os.path.join("..", "..", base)
    for key in ("target_modules", "modules_to_save", "exclude_modules", "feedforward_modules"):  # sets, in no order
        if isinstance(config.get(key), list):
            config[key].sort()
    if how == "older":  # as version 0.4 had it
        for key in set(config) - {"base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "lora_alpha",
                                  "init_lora_weights", "lora_dropout", "modules_to_save", "peft_type", "r",
                                  "target_modules", "task_type", "layers_to_transform", "layers_pattern", "revision",
                                  "feedforward_modules", "d_initial", "projection_prng_key",
                                  "trainable_token_indices" if config.get("trainable_token_indices") else ""}:
            del config[key]
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    change(os.path.join(folder, "adapter_model.safetensors"), how)
    return {"base": base, "outputs": [[round(x, 6) for x in logits_of(model, auto, row).tolist()] for row in IDS]}


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)
    expected = {"versions": {"peft": peft.__version__, "transformers": transformers.__version__, "torch": torch.__version__},
                "ids": IDS, "cases": {name: make(name, i) for i, name in enumerate(CASES)}}
    with open(os.path.join(OUT, "expected.json"), "w", encoding="utf-8") as f:
        json.dump(expected, f)
        f.write("\n")


if __name__ == "__main__":
    main()
