#!/usr/bin/env python3
"""Make the reference data of causal language models: tiny random models of each family, and what
transformers computes with them.  README.md describes each file.

Usage: make-decoders.py [FOLDER]        (default: the folder "decoders" beside this script)

Needs torch, transformers and safetensors; their versions are recorded in expected.json.
Everything is computed in float32 on one thread with dropout off; the same versions give the same bytes.
"""

import importlib.util
import json
import os
import shutil
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("encoders", os.path.join(HERE, "make-encoders.py"))
encoders = importlib.util.module_from_spec(spec)
spec.loader.exec_module(encoders)

VOCABULARY = encoders.VOCABULARY
LENGTHS = [7, 1, 40, 2, 13, 24]

LLAMA = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 24, "max_position_embeddings": 48}
GEMMA = {**LLAMA, "num_hidden_layers": 3, "head_dim": 6, "query_pre_attn_scalar": 9, "sliding_window": 5}
# Each folder: its weights' type, whether there is a classifier, and what config.json has.
FAMILIES = {
    "gpt2": {"type": "gpt2", "dtype": "float16", "classify": True,
             "config": {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 48}},
    "llama": {"type": "llama", "dtype": "bfloat16", "classify": True, "config": {
        **LLAMA, "pad_token_id": 3, "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 50.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16}}},
    "llama-options": {"type": "llama", "dtype": "float16", "classify": False, "config": {
        **LLAMA, "head_dim": 6, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True,
        "num_key_value_heads": 1, "rope_parameters": {"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0}}},
    "mistral": {"type": "mistral", "dtype": "bfloat16", "classify": False,
                "config": {**LLAMA, "head_dim": 4, "sliding_window": 5}},
    "qwen2": {"type": "qwen2", "dtype": "float16", "classify": False, "config": {
        **LLAMA, "num_hidden_layers": 3, "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 2,
        "tie_word_embeddings": True}},
    "qwen3": {"type": "qwen3", "dtype": "bfloat16", "classify": False, "config": {
        **LLAMA, "head_dim": 8, "rope_parameters": {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0,
                                                    "original_max_position_embeddings": 12}}},
    "gemma2": {"type": "gemma2", "dtype": "bfloat16", "classify": False, "config": {
        **GEMMA, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 4.0}},
    "gemma3": {"type": "gemma3_text", "dtype": "float16", "classify": True, "config": {
        **GEMMA, "num_hidden_layers": 7, "rope_parameters": {
            "full_attention": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}}}},
}


def config(family, **more):
    options = {"pad_token_id": 3, **family["config"], **more}
    return AutoConfig.for_model(family["type"], vocab_size=VOCABULARY, initializer_range=0.25, bos_token_id=1,
                                eos_token_id=2, attn_implementation="eager", **options)


def fill(model, seed):
    """As of the encoders; Gemma's norms hold what is added to 1."""
    encoders.fill(model, seed)
    if model.config.model_type.startswith("gemma"):
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "norm" in name:
                    p.copy_((p - 1).bfloat16().float())
    return model


def inputs(batch):
    return {**encoders.inputs(batch), "input_ids": encoders.padded(batch["ids"], 3)}


def make_batch(g):
    """No row ends in the id 3, which pads: it is how the reference's classifier finds the last token."""
    rows = [encoders.numbers(g, n, 4, VOCABULARY) for n in LENGTHS]
    rows[2][5] = 3
    return {"ids": rows}


def make_lm(model, batch, g, out):
    """`labels` stand where they are predicted: that of a place is transformers' of the next place."""
    theirs, ours = [], []
    for i, ids in enumerate(batch["ids"]):
        draw = torch.rand(len(ids), generator=g).tolist()
        truth = encoders.numbers(g, len(ids), 0, VOCABULARY)
        row = [t if d < 0.5 and i != 3 else -100 for d, t in zip(draw, truth)]
        theirs.append([-100] + row[1:])
        ours.append(row[1:] + [-100])
    encoders.write_line(os.path.join(out, "lm.jsonl"), {**batch, "labels": ours})
    result = model(**inputs(batch), labels=encoders.padded(theirs, -100), output_hidden_states=True)
    tensors = {"logits": encoders.packed(result.logits.detach(), batch),
               "last_hidden_state": encoders.packed(result.hidden_states[-1].detach(), batch),
               **encoders.gradients(model, result.loss)}
    encoders.save_tensors(tensors, os.path.join(out, "lm.safetensors"))
    return result.loss.item()


def make_classifier(family, batch, g, out, seed):
    labels = encoders.numbers(g, len(batch["ids"]), 0, len(encoders.CLASSES))
    model = fill(AutoModelForSequenceClassification.from_config(config(
        family, pad_token_id=3, id2label=dict(enumerate(encoders.CLASSES)))), seed)
    encoders.write_line(os.path.join(out, "classify.jsonl"), {**batch, "labels": labels})
    result = model(**inputs(batch), labels=torch.tensor(labels))
    tensors = {"logits": result.logits.detach().clone(), **encoders.gradients(model, result.loss)}
    encoders.save_tensors(tensors, os.path.join(out, "classify.safetensors"))
    loss = result.loss.item()
    encoders.save(model, os.path.join(out, "tiny-classify"), family["dtype"])
    return loss


def continuation(model, prompt, n):
    """n greedy tokens, and their log-probabilities."""
    ids, logs = list(prompt), []
    for _ in range(n):
        with torch.no_grad():
            step = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].double(), -1)
        ids.append(int(step.argmax()))
        logs.append(step.max().item())
    return {"prompt": prompt, "ids": ids[len(prompt):], "logprobs": logs}


def beams(model, prompt, width, penalty, ends):
    """What beam search of `width` finds within 12 tokens."""
    out = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                         num_beams=width, do_sample=False, length_penalty=penalty, max_new_tokens=12, eos_token_id=ends,
                         pad_token_id=3, return_dict_in_generate=True, output_scores=True)
    ids = out.sequences[0, len(prompt):].tolist()
    while ids and ids[-1] == 3:
        ids.pop()
    return {"prompt": prompt, "width": width, "penalty": penalty, "ends": ends, "ids": ids,
            "score": out.sequences_scores[0].item()}


def make_beams(model, batch):
    ends = [[2], [5, 9, 17], [7, 30, 31, 18, 22]]
    return [beams(model, batch["ids"][row], width, penalty, e)
            for row, width, penalty, e in [(4, 2, 1.0, ends[0]), (4, 3, 1.0, ends[1]), (0, 4, 0.5, ends[2]),
                                           (5, 3, 2.0, ends[2]), (3, 5, -1.0, ends[1]), (1, 2, 0.0, ends[2])]]


def make_family(name, family, folder, seed):
    out = os.path.join(folder, name)
    os.makedirs(out)
    g = torch.Generator().manual_seed(seed)
    batch = make_batch(g)
    model = fill(AutoModelForCausalLM.from_config(config(family)), seed)
    losses = {"lm": make_lm(model, batch, g, out)}
    if family["classify"]:
        losses["classify"] = make_classifier(family, batch, g, out, seed + 1)
    greedy = continuation(model, batch["ids"][4], 30)
    searched = make_beams(model, batch) if name in ("gpt2", "llama", "gemma2") else []
    encoders.save(model, os.path.join(out, "tiny-lm"), family["dtype"])
    os.remove(os.path.join(out, "tiny-lm", "generation_config.json"))
    return {"loss": losses, "greedy": greedy, "beams": searched}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "decoders")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    expected = {name: make_family(name, family, folder, 100 * i)
                for i, (name, family) in enumerate(FAMILIES.items(), start=1)}
    with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as f:
        json.dump({"versions": {"python": sys.version.split()[0], "torch": torch.__version__,
                                "transformers": transformers.__version__}, **expected}, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
