#!/usr/bin/env python3
"""Writes tokenizers/: small byte-pair tokenizers, built as the great families build theirs, and what the reference
makes of some texts.

    python3 make-tokenizers.py [FOLDER]

Needs the package `tokenizers`, whose version stands in the first line of golden.jsonl. The merges are learnt from
the texts below, here, as the package's trainer does not do so twice in the same way. With the same version the
script writes the same bytes.

A row of golden.jsonl has a text, or how to make one ("letters", "n", "seed": see long_text()), and perhaps a second
text; the ids, with special tokens; their types, when one is not 0; where each token stands in its text, in bytes;
and the text of the ids, when it is another than the first text. Of a long text only the number of ids and a
checksum stand there.
"""
import json
import os
import sys
from collections import Counter

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
BEFORE, TAIL = r"[^\r\n\p{L}\p{N}]?", r"|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = CONTRACTIONS + "|" + BEFORE + r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + TAIL
QWEN2 = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (BEFORE + UPPER + "*" + LOWER + "+" + CONTRACTIONS + "?|" + BEFORE + UPPER + "+" + LOWER + "*" + CONTRACTIONS
         + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + TAIL)

LEARN = [
    "The trainer learns which letters stand together, and the rest of the text is told from these parts.",
    "There were three of them in the train: the teacher, the tailor and the other one, who said nothing at all.",
    "It's what they've said, isn't it? We'll see, he'd say, I'm sure that you're there and that she's here.",
    "def train(self, data, rate=0.01):\n    for row in data:\n        self.step(row, rate)\n    return self\n",
    "aaaaaaaa aaaa aa bbbb bb abab ababab    \n\n\n\n--------  ====  ....  !!!! 0000 1111 2222 1234 2024 2025",
    "été café naïve über straße — “quoted” ‘so’ … 你好 世界 你好 日本語 日本 привет мир 안녕 하세요 नमस्ते مرحبا 🦙🦙 🎉",
]
TEXTS = [
    "", " ", "The film was good.", " the train  and   the rest ", "It's WE'LL they'Ve i'm 'S ''s x'd it'\u017f",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "abababababab--------=======......",
    "1234567 3.14 2024-25 ٣٤ ½Ⅷ x1y22", "tabs\tand\r\nlines\n\n\n  end  \n \n", "été CAFÉ cafe\u0301 Ünder Straße",
    "你好世界日本語テスト 안녕", "नमस्ते привет مرحبا", "🦙🎉👩‍👩‍👧 🏳️‍🌈", "HTTPServer camelCase iPhone ǅ ʰa ªb",
    "\u00a0nbsp\u3000wide\u180ethen\u200bzero\u2028line\x7f\x1c", "a/b//c \\ _x_ $5.00+3% <b>bold</b>",
    "<|end|>the<|end|> x <mask>y  <mask>", "<s>the</s> <0x41> ▁the a▁b ##er </w>", "the-rest-of it - the",
]
PAIRS = [("the text", "and the rest"), (" one", "<|end|> two")]
LONG = [("a", 9000, 1), (" ", 9001, 2), ("ab", 20000, 3), ("etaoinshr", 15000, 4), ("日本語", 6000, 5),
        ("a \u2581", 9000, 6)]
BYTES = pre_tokenizers.ByteLevel.alphabet()


def long_text(letters, n, seed):
    """The letters in the order of a linear congruential generator."""
    out = []
    for _ in range(n):
        seed = (seed * 1103515245 + 12345) % 2**31
        out.append(letters[(seed >> 16) % len(letters)])
    return "".join(out)


def checksum(ids):
    h = 1469598103934665603
    for i in ids:
        h = (h ^ i) * 1099511628211 % 2**64
    return f"{h:016x}"


def learn(t, count, alphabet=(), limit=None, prefix="", suffix="", first=(), **model):
    """Gives t a model with so many merges: always the most frequent pair, of equals the first by spelling."""
    words = Counter()
    for text in LEARN:
        text = t.normalizer.normalize_str(text) if t.normalizer else text
        for word, _ in t.pre_tokenizer.pre_tokenize_str(text):
            spelled = [(prefix if i else "") + c for i, c in enumerate(word)]
            spelled[-1] += suffix
            words[tuple(spelled)] += 1
    letters = Counter()
    for word, n in words.items():
        for c in word:
            letters[c] += n
    known = set(alphabet) | {c for c, _ in sorted(letters.items(), key=lambda p: (-p[1], p[0]))[:limit]}
    pieces, merges = list(first) + sorted(known), []
    while len(merges) < count:
        pairs = Counter()
        for word, n in words.items():
            for a, b in zip(word, word[1:]):
                if a in known and b in known:
                    pairs[a, b] += n
        if not pairs:
            break
        a, b = min(pairs, key=lambda p: (-pairs[p], p))
        both = a + b[len(prefix):]
        merges.append((a, b))
        known.add(both)
        if both not in pieces:
            pieces.append(both)
        words = Counter({join(word, a, b, both): n for word, n in words.items()})
    t.model = models.BPE({p: i for i, p in enumerate(pieces)}, merges, **model)
    return t


def join(word, a, b, both):
    out = []
    for c in word:
        if out and out[-1] == a and c == b:
            out[-1] = both
        else:
            out.append(c)
    return tuple(out)


def learn_bytes(splitter, normalizer=None, count=120, specials=("<|end|>",), **model):
    """A byte-level tokenizer; special tokens come last, as they do where ids are ranks."""
    t = Tokenizer(models.BPE())
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = splitter
    t.decoder = decoders.ByteLevel()
    learn(t, count, alphabet=BYTES, **model)
    t.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in specials])
    return t


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2():
    t = learn_bytes(pre_tokenizers.ByteLevel(add_prefix_space=False))
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def roberta():
    t = learn_bytes(pre_tokenizers.ByteLevel(add_prefix_space=False), specials=["<s>", "</s>", "<pad>", "<unk>"])
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    t.post_processor = processors.RobertaProcessing(
        ("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")), trim_offsets=True, add_prefix_space=False)
    return t


def prefixed():
    t = learn_bytes(pre_tokenizers.ByteLevel(add_prefix_space=True), count=70)
    t.post_processor = processors.ByteLevel(trim_offsets=True, add_prefix_space=True)
    return t


def llama3():
    t = learn_bytes(split(CL100K), specials=(), first=["Ġtrainers"], ignore_merges=True)  # a piece that no merges make
    t.add_special_tokens([AddedToken("<|end|>", normalized=False), AddedToken("<|begin|>", normalized=False)])
    bos = ("<|begin|>", t.token_to_id("<|begin|>"))
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single="<|begin|> $A", pair="<|begin|> $A <|begin|>:1 $B:1", special_tokens=[bos])])
    return t


def qwen2():
    return learn_bytes(split(QWEN2), normalizers.NFC())


def o200k():
    return learn_bytes(split(O200K))


def smollm():
    return learn_bytes(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))


def sentencepiece():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>"]
    learn(t, 120, limit=80, first=special + [f"<0x{b:02X}>" for b in range(256)], unk_token="<unk>", fuse_unk=True,
          byte_fallback=True)
    t.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in special])
    bos = ("<s>", t.token_to_id("<s>"))
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[bos])
    return t


def llama2():
    t = sentencepiece()
    t.pre_tokenizer = None
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return t


def mistral():
    t = sentencepiece()
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([
        decoders.Replace(Regex("▁"), " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return t


def suffixed():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.StripAccents()])
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.BPEDecoder("</w>")
    return learn(t, 120, limit=90, suffix="</w>", first=["<unk>"], unk_token="<unk>", end_of_word_suffix="</w>")


def pieces():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([
        normalizers.NFKD(), normalizers.Nmt(), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.CharDelimiterSplit("-"), pre_tokenizers.Whitespace(), pre_tokenizers.Digits(False),
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.Split("th", "merged_with_next"),
        pre_tokenizers.Split(Regex("[aeiou]{2}"), "merged_with_previous"), pre_tokenizers.Split("x", "removed")])
    t.decoder = decoders.WordPiece("##", cleanup=True)
    return learn(t, 120, limit=100, prefix="##", first=["[UNK]"], unk_token="[UNK]", fuse_unk=True,
                 continuing_subword_prefix="##")


def spelled():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.ByteLevel()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex("Ġ+"), "contiguous", invert=True), pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Metaspace("_", prepend_scheme="never")])
    t.decoder = decoders.ByteLevel()
    return learn(t, 70, alphabet=BYTES)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text)


def write_old(folder, t):
    """As models were saved before tokenizer.json: the family is in config.json."""
    m = json.loads(t.to_str())
    order = dict(sorted(m["model"]["vocab"].items(), key=lambda p: p[1]))
    order.update((a["content"], a["id"]) for a in m["added_tokens"])
    write(f"{folder}/vocab.json", json.dumps(order, ensure_ascii=False) + "\n")
    write(f"{folder}/merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in m["model"]["merges"]))
    write(f"{folder}/config.json", json.dumps({"model_type": "roberta"}) + "\n")


def compact(t, old_merges):
    root = json.loads(t.to_str())
    if old_merges:
        root["model"]["merges"] = [" ".join(p) for p in root["model"]["merges"]]
    return json.dumps(root, ensure_ascii=False, separators=(",", ":")) + "\n"


def places(text, offsets):
    """Bytes for characters."""
    start = [0]
    for c in text:
        start.append(start[-1] + len(c.encode()))
    return [start[i] for pair in offsets for i in pair]


def row(name, t, text, pair=None):
    e = t.encode(text, pair)
    out = {"model": name, "text": text}
    if pair is not None:
        out["pair"] = pair
    out["ids"] = e.ids
    if any(e.type_ids):
        out["types"] = e.type_ids
    second = [i == 1 for i in e.sequence_ids]
    # Behind a special token the reference takes a letter for the space that it has put before it.
    if not (name == "prefixed" and "<|end|>" in text + (pair or "")):
        out["at"] = [b for i, o in enumerate(e.offsets) for b in places(pair if second[i] else text, [o])]
    decoded = t.decode(e.ids, skip_special_tokens=False)
    if decoded != text:
        out["decoded"] = decoded
    return out


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__) or ".", "tokenizers")
    rows = [{"tokenizers": tokenizers.__version__, "python": sys.version.split()[0]}]
    for make in (gpt2, roberta, prefixed, llama3, qwen2, o200k, smollm, llama2, mistral, suffixed, pieces, spelled):
        name, t = make.__name__, make()
        if make is roberta:
            write_old(f"{out}/{name}", t)
        else:
            write(f"{out}/{name}/tokenizer.json", compact(t, make in (gpt2, qwen2, llama2)))
        rows += [row(name, t, text) for text in TEXTS]
        rows += [row(name, t, *pair) for pair in PAIRS]
        for letters, n, seed in LONG:
            ids = t.encode(long_text(letters, n, seed), add_special_tokens=False).ids
            rows.append({"model": name, "letters": letters, "n": n, "seed": seed, "count": len(ids),
                         "sum": checksum(ids)})
    write(f"{out}/golden.jsonl", "".join(json.dumps(r, ensure_ascii=True, separators=(",", ":")) + "\n" for r in rows))


if __name__ == "__main__":
    main()
