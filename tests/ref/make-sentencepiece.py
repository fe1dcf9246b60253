#!/usr/bin/env python3
"""Writes sentencepiece/: small SentencePiece models and GGUF files, and what the references make of some texts.

    python3 make-sentencepiece.py TEXT [FOLDER]

TEXT is a book of which the first lines are learnt from: Lewis Carroll's "Alice's Adventures in Wonderland" as
Project Gutenberg has it. Needs the packages `sentencepiece`, `protobuf`, `transformers`, `tokenizers` and `gguf`; their versions
stand in the first line of golden.jsonl. With the same versions and text the script writes the same bytes.
"""
import json
import os
import shutil
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import gguf
import sentencepiece
import transformers
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

LINES = 400
# What is normalised, as code points: a map of its own, as the usual ones have 240 kB.
RULES = [
    ("9", "20"), ("A", "20"), ("D", "20"), ("A0", "20"), ("3000", "20"), ("AD", ""), ("7", ""), ("FB01", "66 69"),
    ("BD", "31 2044 32"), ("2026", "2E 2E 2E"), ("C5", "41 30A"), ("65 301", "E9"), ("6F 308", "F6"),
    ("6F 308 304", "22B"), ("FF21", "41"), ("FF22", "42"), ("FF71 FF9E", "3042"), ("344", "308 301"), ("2075", "35"),
]
MODELS = {
    "unigram": dict(model_type="unigram", vocab_size=420, user_defined_symbols=["<sep>", "--", "the Queen"],
                    control_symbols=["<c>"]),
    "suffix": dict(model_type="unigram", vocab_size=300, treat_whitespace_as_suffix=True, byte_fallback=False),
    "bpe": dict(model_type="bpe", vocab_size=600, byte_fallback=True, normalization_rule_name="identity",
                remove_extra_whitespaces=False),
    "bpe-user": dict(model_type="bpe", vocab_size=360, user_defined_symbols=["<sep>", "---", "ab"], pad_id=3,
                     add_dummy_prefix=False),
}
TEXTS = [
    "", " ", "   ", "Alice was beginning to get very tired", "  two  spaces   and more  ", "the Queen, the Queens; ofthe Queen",
    "a--b---c----d-----", "<sep><sep>x<sep", "tab\tand\nnew\r\nline", "caf\u00e9 cafe\u0301 coo\u0308perate o\u0308\u0304 \u00c5\u00c5",
    "e\u0301e\u0301 xe\u0301\u0302 \u00e9\u0301", "\ufb01ne \u00bd \u2026 \u2075 soft\u00adhyphen bell\x07", "\uff21\uff22 \uff71\uff9e \uff71",
    "\u4f60\u597d world \u3053\u3093\u306b\u3061\u306f", "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea", "\u0627\u0644\u0633\u0644\u0627\u0645 \u0928\u092e\u0938\u094d\u0924\u0947",
    "\u2581already\u2581there \u2581 x", "\u2581", "aaaaaaaaaaaaaaaaaaaaa", "----------", "...........", "ababab abab", "aa aaa aaaa",
    "MiXeD CaSe WORDS", "don't 'quoted' \u201cdouble\u201d", "12345 67 8", "unknown\u0416\u0416\u0416 \u0416", "\u00a0nbsp\u00a0\u3000wide ",
    "It was the White Rabbit, trotting slowly back again, and looking anxiously about as it went, as if it had lost something;",
    "a" * 300, "Rabbit " * 60, "word" + " " * 40 + "word", "\u0301\u0302", "q" * 40 + "-" * 33 + " z",
]
# Families of networks: config.json, tokenizer_config.json, the model, and its name in the folder.
FAMILIES = [
    ("t5", {}, "unigram", "spiece.model"),
    ("t5", {"extra_ids": 3}, "suffix", "spiece.model"),
    ("xlm-roberta", {"mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "special": True}}, "unigram", "sentencepiece.bpe.model"),
    ("camembert", {}, "unigram", "sentencepiece.bpe.model"),
    ("xlnet", {"do_lower_case": True}, "suffix", "spiece.model"),
    ("deberta-v2", {"split_by_punct": True}, "unigram", "spm.model"),
    ("mistral", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": False}, "bpe", "tokenizer.model"),
    ("mistral", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": True, "pad_token": "<pad>",
                 "added_tokens_decoder": {"600": {"content": "<|x|>", "special": False, "lstrip": False, "rstrip": True,
                                                  "normalized": True, "single_word": False}}}, "bpe", "tokenizer.model"),
]
SAVED = ("t5", {"extra_ids": 3})  # also as tokenizer.json
FAMILY_TEXTS = TEXTS[3:24] + ["a<mask> b  <mask>c", "x</s>y <extra_id_1>z", "<s> <unk>  <|x|>  y<pad>"]


def train(folder, text):
    with open(text, encoding="utf-8") as f:
        lines = [line.strip() for line in f if line.strip()][:LINES]
    with tempfile.TemporaryDirectory() as tmp:
        rules, book = os.path.join(tmp, "rules.tsv"), os.path.join(tmp, "book.txt")
        with open(rules, "w") as f:
            f.writelines(f"{a}\t{b}\n" for a, b in RULES)
        with open(book, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        for name, options in MODELS.items():
            if "normalization_rule_name" not in options:
                options = dict(options, normalization_rule_tsv=rules)
            sentencepiece.SentencePieceTrainer.train(input=book, model_prefix=os.path.join(tmp, name), minloglevel=2,
                                                     num_threads=1, character_coverage=1.0, **options)
            model = pb.ModelProto()
            with open(os.path.join(tmp, name + ".model"), "rb") as f:
                model.ParseFromString(f.read())
            # Paths and the rules as text are of no use to a reader.
            model.trainer_spec.ClearField("input")
            model.trainer_spec.ClearField("model_prefix")
            model.normalizer_spec.ClearField("normalization_rule_tsv")
            with open(os.path.join(folder, name + ".model"), "wb") as f:
                f.write(model.SerializeToString(deterministic=True))


def places(text, spans):
    """Spans of characters as spans of bytes."""
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [at[a] for a, _ in spans], [at[b] for _, b in spans]


def write(out, **row):
    out.write(json.dumps(row) + "\n")


def by_sentencepiece(folder, out):
    for name in MODELS:
        sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, name + ".model"))
        for text in TEXTS:
            ids = sp.encode(text)
            row = dict(file=name + ".model", text=text, ids=ids)
            if not any(sp.is_unknown(i) for i in ids):  # which are left out, where SentencePiece writes a mark
                row["decoded"] = sp.decode(ids)
            write(out, **row)


def by_transformers(folder, out):
    saved = []
    for model_type, options, model, name in FAMILIES:
        with tempfile.TemporaryDirectory() as tmp:
            shutil.copy(os.path.join(folder, model + ".model"), os.path.join(tmp, name))
            with open(os.path.join(tmp, "config.json"), "w") as f:
                json.dump({"model_type": model_type}, f)
            with open(os.path.join(tmp, "tokenizer_config.json"), "w") as f:
                json.dump(options, f)
            backend = transformers.AutoTokenizer.from_pretrained(tmp).backend_tokenizer
            if (model_type, options) == SAVED:
                os.makedirs(os.path.join(folder, model_type), exist_ok=True)
                backend.save(os.path.join(folder, model_type, "tokenizer.json"), pretty=False)
            for text in FAMILY_TEXTS:
                e = backend.encode(text, add_special_tokens=False)
                row = dict(file=model + ".model", model_type=model_type, options=options, name=name, text=text, ids=e.ids,
                           wrapped=backend.encode(text).ids, pair=backend.encode(text, "b c").ids)
                if not set(text) & set("\x07\u00ad"):  # where something is left out, the reference's places are of what follows
                    row["begin"], row["end"] = places(text, e.offsets)
                write(out, **row)
                if (model_type, options) == SAVED:
                    saved.append(dict(row, file=model_type))
    for row in saved:
        for key in ("model_type", "options", "name"):
            del row[key]
        write(out, **row)


def writer(path, kind):
    w = gguf.GGUFWriter(path, "test")
    w.add_tokenizer_model(kind)
    return w


def close(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write_gguf(folder, out):
    """SentencePiece's models as GGUF files; what they give is what SentencePiece gives."""
    for name, kind in (("bpe", "llama"), ("unigram", "t5")):
        model = pb.ModelProto()
        with open(os.path.join(folder, name + ".model"), "rb") as f:
            model.ParseFromString(f.read())
        w = writer(os.path.join(folder, kind + ".gguf"), kind)
        w.add_token_list([p.piece.encode() for p in model.pieces])
        w.add_token_scores([p.score for p in model.pieces])
        w.add_token_types([p.type for p in model.pieces])
        w.add_add_space_prefix(True)
        w.add_unk_token_id(0)
        w.add_eos_token_id(2)
        if kind == "t5":
            w.add_remove_extra_whitespaces(True)
            w.add_precompiled_charsmap(model.normalizer_spec.precompiled_charsmap)
        close(w)
        sp = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, name + ".model"))
        for text in TEXTS:
            # User-defined pieces are cut out first in a GGUF, and each text between them begins anew.
            if kind == "llama" or not any(s in text for s in MODELS[name]["user_defined_symbols"]):
                write(out, file=kind + ".gguf", text=text, ids=sp.encode(text))


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def write_gpt2(folder, text, out):
    """BPE of bytes, split as Llama 3 does it."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    with open(text, encoding="utf-8") as f:
        lines = f.read().split("\n")[:LINES]
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=400, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), special_tokens=["<|bos|>"]))
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    w = writer(os.path.join(folder, "gpt2.gguf"), "gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list(tokens)
    w.add_token_types([3] + [1] * (len(tokens) - 1))
    w.add_token_merges([" ".join(m) for m in model["merges"]])
    w.add_bos_token_id(0)
    close(w)
    for t in TEXTS:
        ids = tokenizer.encode(t).ids
        write(out, file="gpt2.gguf", text=t, ids=ids, wrapped=[0] + ids)


def write_bert(folder, out):
    """BERT's word pieces; what they give is in wordpiece/golden.jsonl."""
    other = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wordpiece")
    with open(os.path.join(other, "uncased", "tokenizer.json"), encoding="utf-8") as f:
        vocab = json.load(f)["model"]["vocab"]
    tokens = sorted(vocab, key=vocab.get)
    w = writer(os.path.join(folder, "bert.gguf"), "bert")
    w.add_token_list([t[2:] if t.startswith("##") and len(t) > 2 else t if t.startswith("[") and t.endswith("]") else "\u2581" + t
                      for t in tokens])
    w.add_token_types([3 if t in ("[PAD]", "[CLS]", "[SEP]", "[MASK]") else 2 if t == "[UNK]" else 1 for t in tokens])
    for key, token in (("unknown", "[UNK]"), ("seperator", "[SEP]"), ("padding", "[PAD]"), ("cls", "[CLS]"), ("mask", "[MASK]")):
        w.add_uint32(f"tokenizer.ggml.{key}_token_id", vocab[token])
    close(w)
    with open(os.path.join(other, "golden.jsonl"), encoding="utf-8") as f:
        for row in map(json.loads, f):
            if row.get("model") == "uncased" and row["pair"] is None:
                write(out, file="bert.gguf", text=row["text"], wrapped=row["ids"])


def main():
    text = sys.argv[1]
    folder = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "sentencepiece")
    os.makedirs(folder, exist_ok=True)
    train(folder, text)
    with open(os.path.join(folder, "golden.jsonl"), "w") as out:
        write(out, sentencepiece=sentencepiece.__version__, transformers=transformers.__version__)
        by_sentencepiece(folder, out)
        by_transformers(folder, out)
        write_gguf(folder, out)
        write_gpt2(folder, text, out)
        write_bert(folder, out)


if __name__ == "__main__":
    main()
