#!/bin/sh
# Tokenizers made to harm who opens them, or who encodes with them: one line, exit status 65, in little time and memory.
# (What may be wrong in each member: tests/unit/tok-load.c, sentencepiece.c, gguf.c.)
. "$(dirname "$0")/../lib.sh"
cd "$T"

cat >make.py <<'END'
"""make.py CASE: writes CASE/tokenizer.json, a good one with something bad in it."""
import base64, json, os, struct, sys
R = os.environ["SRC"] + "/tests/ref/"

def load(path):
    return json.load(open(R + path, encoding="utf-8"))

def bpe(): return load("tokenizers/gpt2/tokenizer.json")
def words(): return load("wordpiece/uncased/tokenizer.json")
def unigram(): return load("sentencepiece/t5/tokenizer.json")
def pattern(p):
    t = bpe()
    t["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
    return t
def vocab(t, piece, id):
    t["model"]["vocab"][piece] = id
    return t
def score(x):
    t = unigram()
    t["model"]["vocab"][5][1] = x
    return t
def member(t, value, *path):
    at = t
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return t
def charsmap(raw):
    return member(unigram(), {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(raw).decode()}, "normalizer")
def replace(n):
    return {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * n}
def doubling():
    """Merges of a run of the letter a, up to a piece of a megabyte."""
    pieces = ["a" * 2 ** i for i in range(21)]
    return {"model": {"type": "BPE", "vocab": {p: i for i, p in enumerate(pieces + ["b"])},
                      "merges": [p + " " + p for p in pieces[:-1]]}}
def nested(n):
    """n arrays in one another, which json itself would refuse to write."""
    return json.dumps(member(bpe(), "@@@", "normalizer")).replace('"@@@"', "[" * n + "]" * n)

CASES = {
    "negative": lambda: vocab(words(), "a", -1), "huge": lambda: vocab(words(), "a", 2 ** 31 - 1),
    "beyond": lambda: vocab(words(), "a", 2 ** 31), "long": lambda: vocab(bpe(), "a", 10 ** 30),
    "doubled": lambda: vocab(bpe(), "a", 5), "real": lambda: vocab(bpe(), "a", 1.5),
    "added-negative": lambda: member(words(), -5, "added_tokens", 1, "id"),
    "added-huge": lambda: member(words(), 2 ** 40, "added_tokens", 1, "id"),
    "merge-unknown": lambda: member(bpe(), "a zz", "model", "merges", 0),
    "merge-long": lambda: member(bpe(), "a " + "z" * 1000000, "model", "merges", 0),
    "merge-deep": doubling,
    "blows-up": lambda: pattern("(a+)+$"), "blows-up-more": lambda: pattern("(a|aa)+$"),
    "parentheses": lambda: pattern("(" * 10000 + "a" + ")" * 10000), "recursion": lambda: pattern("(a(?1)?)+(?R)b"),
    "repeats": lambda: pattern("((((a{1,1000}){1,1000}){1,1000}){1,1000})"), "open": lambda: pattern("(a"),
    "megabyte": lambda: pattern("a" * 1000000), "class": lambda: pattern("[z-a]"), "behind": lambda: pattern("(?<=a*)b"),
    "grows": lambda: member(bpe(), {"type": "Sequence", "normalizers": [replace(1000)] * 3}, "normalizer"),
    "deep": lambda: nested(100000),
    "score-huge": lambda: score(1e300), "score-low": lambda: score(-1e300), "score-text": lambda: score("1"),
    "unknown-id": lambda: member(unigram(), 10 ** 9, "model", "unk_id"),
    "unknown-negative": lambda: member(unigram(), -1, "model", "unk_id"),
    "charsmap-base64": lambda: member(unigram(), {"type": "Precompiled", "precompiled_charsmap": "!!!"}, "normalizer"),
    "charsmap-size": lambda: charsmap(struct.pack("<I", 2 ** 32 - 4) + b"\0" * 1024),
    "charsmap-odd": lambda: charsmap(struct.pack("<I", 3) + b"\0" * 1024),
    "charsmap-wild": lambda: charsmap(struct.pack("<I", 1024) + b"\xff" * 1024 + b"x\0"),
    "charsmap-text": lambda: charsmap(struct.pack("<I", 1024) + b"\0" * 1024 + b"\xff\xfe\0"),
}
name = sys.argv[1]
made = CASES[name]()
os.makedirs(name, exist_ok=True)
with open(name + "/tokenizer.json", "w", encoding="utf-8") as f:
    f.write(made if isinstance(made, str) else json.dumps(made, ensure_ascii=False))
END
sed 's/"vocab_size": [0-9]*/"vocab_size": 3000/' "$SRC/tests/ref/tiny-bert/config.json" >config.json
{ head -c 20000 /dev/zero | tr '\0' a; echo b; } >a.txt
ft-tokenize --version | grep -q sanitizer || limit='ulimit -v 400000'

# use CASE: makes it and encodes a line of twenty thousand letters with it.
use() {
	python3 make.py "$1" || fail "$1 is made"
	cp config.json "$1/"
	(eval "${limit:-}"; timeout 5 ft-tokenize -q -m "$1" --task none -f lines a.txt >out.tok)
}
refused() { fails "$1" 65 use "$1"; like "$1: says so" "$(cat "$T/.err")" "$2"; }
works() { ok "$1 does no harm" use "$1"; }

# ---- ids ----
number='model.vocab: an id is not a whole number from 0 to 2147483647'
refused negative "$number"
refused huge "piece 'a' has id 2147483647, which is too large for"
refused beyond "$number"
refused long "$number"
refused doubled 'have the same id 5'
refused real "$number"
refused added-negative 'has id -5 where 1 is expected'
refused added-huge 'has id 1099511627776 where 1 is expected'
# ---- merges ----
refused merge-unknown "model.merges\[0\]: 'zz' is not in the vocabulary"
refused merge-long "model.merges\[0\]: 'zzz.* is not in the vocabulary"
works merge-deep
# ---- patterns ----
refused blows-up "a.txt:1: .*\(a\+\)\+\\$' fails on this text: match limit exceeded"
refused blows-up-more 'a.txt:1: .*fails on this text: match limit exceeded'
refused parentheses 'Split: the pattern .*nested'
refused recursion 'Split: the pattern|fails on this text'
refused repeats 'Split: the pattern .*too large'
refused open "Split: the pattern '\(a': missing closing parenthesis"
refused megabyte 'Split: the pattern .*too long'
refused class 'Split: the pattern .*range out of order'
refused behind 'Split: the pattern .*lookbehind'
# ---- stages ----
refused grows 'a.txt:1: .*too much'
refused deep 'deep/tokenizer.json: maximum parsing depth reached'
# ---- unigrams ----
refused score-huge 'piece 5: the score 1e\+300 is beyond'
refused score-low 'piece 5: the score -1e\+300 is beyond'
refused score-text 'a score is not a number'
refused unknown-id 'model.unk_id is 1000000000, which is not in the vocabulary'
refused unknown-negative 'model.unk_id is -1, which is not in the vocabulary'
refused charsmap-base64 'precompiled_charsmap'
refused charsmap-size 'precompiled_charsmap .*is cut short or has no trie'
refused charsmap-odd 'precompiled_charsmap .*is cut short or has no trie'
refused charsmap-text 'precompiled_charsmap: the replacements are not UTF-8'
works charsmap-wild
done_testing
