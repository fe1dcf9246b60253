#!/usr/bin/env python3
"""Make the reference data of prompts and prefixes: what PEFT computes with them before the tiny models
of tests/ref.  README.md describes each file.

Usage: make-prompts.py [FOLDER]        (default: the folder "prompts" beside this script)

Needs torch, transformers, peft and safetensors; their versions are recorded in expected.json.
Everything is computed in float32 on one thread with dropout off; the same versions give the same bytes.
"""

import importlib.util
import json
import os
import shutil
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
import transformers
from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("encoders", os.path.join(HERE, "make-encoders.py"))
encoders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(encoders)

TOKENS = 5
INNER = 7
TEXT = "the good one is good"
CLASSIFY, LM = "classify", "lm"
# The model, its batch, the techniques.
MODELS = {
    "bert": ("tiny-bert-classify", "tiny-bert-expected/classify.jsonl", CLASSIFY, ["prompt", "prefix", "projection"]),
    "roberta": ("encoders/roberta/tiny-classify", "encoders/roberta/classify.jsonl", CLASSIFY, ["prompt", "prefix"]),
    **{name: ("decoders/%s/tiny-lm" % name, "decoders/%s/lm.jsonl" % name, LM, techniques) for name, techniques in {
        "gpt2": ["prompt", "prefix", "projection"], "llama": ["prompt", "prefix", "projection"],
        "mistral": ["prefix"], "qwen2": ["prompt", "prefix"], "qwen3": ["prefix"], "gemma2": ["prompt", "prefix"],
        "gemma3": ["prompt", "prefix"]}.items()},
}


# Those that are also there as PEFT saves them.
FOLDERS = [("bert", "prompt"), ("llama", "prefix"), ("gpt2", "projection")]


def config(technique, task):
    common = {"task_type": TaskType.SEQ_CLS if task == CLASSIFY else TaskType.CAUSAL_LM, "num_virtual_tokens": TOKENS}
    if technique == "prompt":
        return PromptTuningConfig(**common)
    if technique == "prefix":
        return PrefixTuningConfig(**common)
    return PrefixTuningConfig(**common, prefix_projection=True, encoder_hidden_size=INNER)


def load(folder, task):
    kind = AutoModelForSequenceClassification if task == CLASSIFY else AutoModelForCausalLM
    return kind.from_pretrained(os.path.join(HERE, folder), dtype=torch.float32, attn_implementation="eager").eval()


def fill(encoder, seed):
    """Random values; nothing is exact in a shorter type, for they are float32 everywhere."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, p in sorted(encoder.named_parameters()):
            p.copy_(torch.randn(p.shape, generator=g) * 0.5)


def shifted(labels):
    """transformers' labels of a place are ours of the place before."""
    return [[-100] + row[:-1] for row in labels]


def prefixed(model, inputs, labels):
    """What PeftModelForSequenceClassification does with a prefix. It calls the encoder's argument past_key_values, by
    which name this transformers takes it no more."""
    rows = inputs["input_ids"].shape[0]
    mask = torch.cat([torch.ones(rows, TOKENS, dtype=torch.long), inputs.pop("attention_mask")], dim=1)
    return model.base_model(**inputs, attention_mask=mask, labels=labels, cache=model.get_prompt(rows))


def tensors_of(model, batch, task, technique):
    """The loss; logits of rows, or of the last token of each; gradients of what the technique has."""
    inputs = encoders.inputs(batch)
    if "types" in batch:
        inputs["token_type_ids"] = encoders.padded(batch["types"], 0)
    labels = torch.tensor(batch["labels"]) if task == CLASSIFY else encoders.padded(shifted(batch["labels"]), -100)
    out = model(**inputs, labels=labels) if technique == "prompt" or task == LM else prefixed(model, inputs, labels)
    out.loss.backward()
    logits = out.logits.detach()
    if task == LM:
        logits = logits[:, logits.shape[1] - inputs["input_ids"].shape[1]:]
        logits = torch.stack([logits[i, len(r) - 1] for i, r in enumerate(batch["ids"])])
    return out.loss.item(), logits


def save(model, base, folder):
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path, encoding="utf-8") as f:
        c = json.load(f)
    c["base_model_name_or_path"] = os.path.join("..", "..", base)
    if c["modules_to_save"]:
        c["modules_to_save"] = sorted(set(c["modules_to_save"]))
    encoders.write_json(path, c)
    os.chmod(os.path.join(folder, "adapter_model.safetensors"), 0o644)


def run(name, technique, seed, out):
    folder, file, task, _ = MODELS[name]
    with open(os.path.join(HERE, file), encoding="utf-8") as f:
        batch = json.loads(f.readline())
    model = get_peft_model(load(folder, task), config(technique, task)).eval()
    encoder = model.prompt_encoder["default"]
    fill(encoder, seed)
    loss, logits = tensors_of(model, batch, task, technique)
    tensors = {"logits": logits, "saved": model.get_prompt_embedding_to_save("default")}
    for part, p in encoder.named_parameters():
        tensors[part] = p.detach().clone()
        tensors["grad." + part] = p.grad.clone()
    if (name, technique) in FOLDERS:
        save(model, folder, os.path.join(out, name + "-" + technique))
    return loss, {"%s.%s" % (technique, k): v for k, v in tensors.items()}


def text_start():
    """What a prompt begins with that is to begin with a text."""
    result = {}
    for tokens in (3, 16):
        c = PromptTuningConfig(task_type=TaskType.SEQ_CLS, num_virtual_tokens=tokens, prompt_tuning_init="TEXT",
                               prompt_tuning_init_text=TEXT,
                               tokenizer_name_or_path=os.path.join(HERE, "tiny-bert-classify"))
        model = load("tiny-bert-classify", CLASSIFY)
        start = get_peft_model(model, c).prompt_encoder["default"].embedding.weight
        words = model.get_input_embeddings().weight
        result[str(tokens)] = [int((words == row).all(dim=1).nonzero()[0]) for row in start]
    return {"text": TEXT, "ids": result}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "prompts")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    losses = {}
    for i, (name, model) in enumerate(MODELS.items(), start=1):
        tensors = {}
        losses[name] = {}
        for k, technique in enumerate(model[3]):
            losses[name][technique], own = run(name, technique, 100 * i + k, folder)
            tensors.update(own)
        encoders.save_tensors(tensors, os.path.join(folder, name + ".safetensors"))
    encoders.write_line(os.path.join(folder, "expected.json"), {
        "versions": {"python": sys.version.split()[0], "torch": torch.__version__,
                     "transformers": transformers.__version__, "peft": peft.__version__},
        "tokens": TOKENS, "inner": INNER, "loss": losses, "start": text_start()})


if __name__ == "__main__":
    main()
