#!/usr/bin/env python3
"""Train a byte-level BPE on text and write it as a tokenizer folder, with a chat template.

Usage: bpe.py --size N --template FILE FOLDER TEXT...

Needs the package tokenizers (0.23.3 made the one that is shipped).
"""

import argparse
import json
import os

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BEGIN, END = "<|begin|>", "<|end|>"
SPECIAL = [BEGIN, END, "<|system|>", "<|user|>", "<|assistant|>"]


def train(files, size):
    tokenizer = Tokenizer(models.BPE())
    # Digits one by one: an order number is spelled, not remembered.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train(files, trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B:1", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))])
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description="train a byte-level BPE")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--template", required=True)
    parser.add_argument("folder")
    parser.add_argument("text", nargs="+")
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    train(args.text, args.size).save(os.path.join(args.folder, "tokenizer.json"))
    with open(args.template, encoding="utf-8") as f:
        template = f.read().rstrip("\n")
    with open(os.path.join(args.folder, "tokenizer_config.json"), "w", encoding="utf-8") as f:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN, "eos_token": END,
                   "clean_up_tokenization_spaces": False, "model_max_length": 512, "chat_template": template}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
