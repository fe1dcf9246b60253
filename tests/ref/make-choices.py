#!/usr/bin/env python3
"""Writes the folder choices: a tiny random model, questions with choices, and what lm-evaluation-harness makes of them.

    python3 make-choices.py [FOLDER]    (default: the folder "choices" beside this script)

Needs torch, transformers and lm_eval. The model has the tokenizers of two folders of tokenizers/, of which one
puts a token before each text.
"""
import json
import os
import random
import shutil
import sys
import tempfile

import lm_eval
import numpy as np
import torch
import transformers
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = "the train rest of it film was good and Ünder 日本語 🦙 upon a time once dull long café not".split()
METRICS = ("acc", "acc_norm", "acc_bytes")
TOKENIZERS = {"smollm": False, "llama3": True} # and whether they put a token before a text
CONFIG = {"vocab_size": 379, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
          "num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.3, "tie_word_embeddings": True,
          "rms_norm_eps": 1e-5}
rng = random.Random(5)


class Rows(list):
    """As much of a data set as the harness asks for."""
    features = {"context": None, "choices": None, "answer": None}


def words(least, most):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def question(name):
    """Where they are `joined`, white space is a part of the texts, at either side; `long` is beyond what the model takes."""
    context = words(90, 99) if name == "long" else words(1, 9)
    choices = [words(1, 4) for _ in range(rng.randint(2, 5))]
    if name == "joined":
        side = rng.choice(["\n", "  ", None])
        context, choices = (context + side, choices) if side else (context, [" " + c for c in choices])
    return {"context": context, "choices": choices, "answer": rng.randrange(len(choices))}


def run(model, rows, apart):
    """The harness' results, and the log-probabilities of the choices of each question."""
    task = ConfigurableTask(config={
        "task": "choices", "output_type": "multiple_choice", "test_split": "test",
        "custom_dataset": lambda **_: {"test": Rows(rows)},
        "doc_to_text": "{{context}}", "doc_to_choice": "choices", "doc_to_target": "answer",
        "target_delimiter": " " if apart else "",
        "metric_list": [{"metric": m, "aggregation": "mean", "higher_is_better": True} for m in METRICS]})
    out = evaluate(model, {"choices": task}, log_samples=True, bootstrap_iters=0)
    logs = [[r[0] for r in s["filtered_resps"]] for s in sorted(out["samples"]["choices"], key=lambda s: s["doc_id"])]
    return out["results"]["choices"], logs


def scores(row, logs):
    logs = np.array(logs)
    return {"acc": logs, "acc_norm": logs / [len(c) for c in row["choices"]],
            "acc_bytes": logs / [len(c.encode()) for c in row["choices"]]}


def is_clear(row, logs):
    """Rounding could not decide."""
    return min(np.diff(np.sort(x))[-1] for x in scores(row, logs).values()) > 1e-3


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "choices")
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(3)
    torch.set_num_threads(1)
    network = AutoModelForCausalLM.from_config(LlamaConfig(**CONFIG)).float().eval()
    network.save_pretrained(folder)
    os.remove(os.path.join(folder, "generation_config.json"))
    models = {}
    for name, before in TOKENIZERS.items():
        with tempfile.TemporaryDirectory() as t:
            shutil.copy(os.path.join(HERE, "tokenizers", name, "tokenizer.json"), t)
            tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=os.path.join(t, "tokenizer.json"))
        tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = "<|begin|>" if before else "<|end|>"
        models[name] = HFLM(pretrained=network, tokenizer=tokenizer, add_bos_token=before, device="cpu", batch_size=1,
                            max_length=CONFIG["max_position_embeddings"])
        models[name].tokenizer.add_bos_token = before
    expected = {"versions": {m.__name__: m.__version__ for m in (torch, transformers, lm_eval)}}
    for name, most in (("apart", 24), ("joined", 24), ("long", 6)):
        apart = name != "joined"
        rows = [question(name) for _ in range(2 * most)]
        # Of a long text the harness cuts the token before it, too, and we do not.
        having = {t: m for t, m in models.items() if name != "long" or not TOKENIZERS[t]}
        logs = [run(model, rows, apart)[1] for model in having.values()]
        kept = [i for i in range(len(rows)) if all(is_clear(rows[i], log[i]) for log in logs)][:most]
        for i in kept: # so that the three differ
            best = [int(x.argmax()) for log in logs for x in scores(rows[i], log[i]).values()]
            rows[i]["answer"] = rng.choice(best + [rows[i]["answer"]])
        rows = [rows[i] for i in kept]
        with open(os.path.join(folder, name + ".jsonl"), "w") as f:
            for row in rows:
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
        for tokenizer, model in having.items():
            results, logs = run(model, rows, apart)
            expected[f"{tokenizer}.{name}"] = {m: results[f"{m},none"] for m in METRICS}
            expected[f"{tokenizer}.{name}"]["logprob"] = sum(log[row["answer"]] for row, log in zip(rows, logs))
    with open(os.path.join(folder, "expected.json"), "w") as f:
        json.dump(expected, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
