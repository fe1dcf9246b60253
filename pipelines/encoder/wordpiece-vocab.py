#!/usr/bin/env python3
"""Train a lower-casing WordPiece vocabulary, as BERT's, and write it as a tokenizer folder.

Usage: wordpiece-vocab.py [--size N] [--min-count N] [--max-length N] FOLDER <SENTENCES

Words are counted after BERT's normalisation (control characters out, lower case, accents off, Chinese
characters apart) and split at punctuation.  Pieces begin as single characters; then the pair of
neighbours that occurs most often is joined, again and again, until the vocabulary is full.  Ties go to
the pair that comes first in code point order, so equal text gives an equal vocabulary.

Writes vocab.txt, tokenizer.json and tokenizer_config.json.  Standard library only.
"""

import argparse
import collections
import heapq
import json
import os
import string
import sys
import unicodedata

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LONGEST_WORD = 100


def is_punctuation(c):
    """All ASCII that is neither letter, digit nor space counts, as in BERT, "$" and "^" included."""
    return c in string.punctuation or unicodedata.category(c).startswith("P")


def is_chinese(c):
    n = ord(c)
    return (0x4E00 <= n <= 0x9FFF or 0x3400 <= n <= 0x4DBF or 0x20000 <= n <= 0x2CEAF
            or 0xF900 <= n <= 0xFAFF or 0x2F800 <= n <= 0x2FA1F)


def words(line):
    """The words of a line as BERT's pre-tokenizer sees them."""
    spaced = []
    for c in unicodedata.normalize("NFD", line.lower()):
        category = unicodedata.category(c)
        if c.isspace():
            spaced.append(" ")
        elif category == "Mn" or category.startswith("C"):
            continue
        elif is_punctuation(c) or is_chinese(c):
            spaced += [" ", c, " "]
        else:
            spaced.append(c)
    return "".join(spaced).split()


def alphabet(counts, min_count):
    """Single characters as pieces, at the start of a word and inside: all of ASCII, and what is frequent."""
    seen = collections.Counter()
    for word, n in counts.items():
        seen[word[0]] += n
        for c in word[1:]:
            seen["##" + c] += n
    letters = string.ascii_lowercase + string.digits
    always = set(letters + string.punctuation) | {"##" + c for c in letters}
    found = {piece for piece, n in seen.items() if n >= min_count} | always
    return sorted(found, key=lambda piece: (piece.startswith("##") and len(piece) > 2, piece))


class Pairs:
    """How often each two pieces are neighbours, kept up to date while words change."""

    def __init__(self, entries):
        self.words = entries                            # [pieces, count] for each different word
        self.count = collections.Counter()
        self.where = collections.defaultdict(set)       # pair -> numbers of words that have it, or had it
        for i, (pieces, n) in enumerate(entries):
            for pair in zip(pieces, pieces[1:]):
                self.count[pair] += n
                self.where[pair].add(i)
        self.heap = [(-n, pair) for pair, n in self.count.items()]
        heapq.heapify(self.heap)

    def most_frequent(self):
        """The pair and its count; entries of the heap that are out of date are replaced on the way."""
        while self.heap:
            n, pair = heapq.heappop(self.heap)
            now = self.count[pair]
            if now == -n and now > 0:
                return pair, now
            if now > 0:
                heapq.heappush(self.heap, (-now, pair))
        return None, 0

    def join(self, pair, piece):
        changed = set()
        for i in self.where.pop(pair):
            old, n = self.words[i]
            new = joined(old, pair, piece)
            if new == old:
                continue
            for p in zip(old, old[1:]):
                self.count[p] -= n
            for p in zip(new, new[1:]):
                self.count[p] += n
                self.where[p].add(i)
                changed.add(p)
            self.words[i][0] = new
        for p in changed:
            heapq.heappush(self.heap, (-self.count[p], p))


def joined(pieces, pair, piece):
    out, i = [], 0
    while i < len(pieces):
        if tuple(pieces[i:i + 2]) == pair:
            out.append(piece)
            i += 2
        else:
            out.append(pieces[i])
            i += 1
    return out


def train(counts, size, min_count):
    vocabulary = SPECIAL + alphabet(counts, min_count)
    known = set(vocabulary)
    entries = []
    for word in sorted(counts):
        pieces = [word[0]] + ["##" + c for c in word[1:]]
        if len(word) <= LONGEST_WORD and known.issuperset(pieces):
            entries.append([pieces, counts[word]])
    pairs = Pairs(entries)
    while len(vocabulary) < size:
        pair, n = pairs.most_frequent()
        if n < 2:
            break
        piece = pair[0] + pair[1][2:]
        pairs.join(pair, piece)
        # Two ways of joining can lead to the same piece.
        if piece not in known:
            known.add(piece)
            vocabulary.append(piece)
    return vocabulary


def tokenizer_json(vocabulary):
    def special(i):
        return {"id": i, "content": SPECIAL[i], "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True}

    def token(name, kind):
        return {"SpecialToken": {"id": name, "type_id": kind}}

    def text(name, kind):
        return {"Sequence": {"id": name, "type_id": kind}}

    first = [token("[CLS]", 0), text("A", 0), token("[SEP]", 0)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(i) for i in range(len(SPECIAL))],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": True, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing", "single": first, "pair": first + [text("B", 1), token("[SEP]", 1)],
            "special_tokens": {name: {"id": name, "ids": [SPECIAL.index(name)], "tokens": [name]}
                               for name in ("[CLS]", "[SEP]")}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": LONGEST_WORD,
                  "vocab": {piece: i for i, piece in enumerate(vocabulary)}},
    }


def tokenizer_config(max_length):
    return {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "strip_accents": True,
            "tokenize_chinese_chars": True, "model_max_length": max_length, "pad_token": "[PAD]",
            "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def write(folder, name, content):
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as f:
        f.write(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=6000, help="entries of the vocabulary (6000)")
    parser.add_argument("--min-count", type=int, default=20, help="characters rarer than this are left out (20)")
    parser.add_argument("--max-length", type=int, default=128, help="longest input of the model, in tokens (128)")
    parser.add_argument("folder", help="where to write; made if it is not there")
    options = parser.parse_args()
    counts = collections.Counter()
    for line in sys.stdin.buffer:
        counts.update(words(line.decode("utf-8")))
    vocabulary = train(counts, options.size, options.min_count)
    if len(vocabulary) != options.size:
        sys.exit("wordpiece-vocab.py: %d entries, not %d: choose another --size or give more text"
                 % (len(vocabulary), options.size))
    os.makedirs(options.folder, exist_ok=True)
    write(options.folder, "vocab.txt", "".join(piece + "\n" for piece in vocabulary))
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    write(options.folder, "tokenizer.json", json.dumps(tokenizer_json(vocabulary), **compact) + "\n")
    write(options.folder, "tokenizer_config.json",
          json.dumps(tokenizer_config(options.max_length), indent=2) + "\n")


if __name__ == "__main__":
    main()
