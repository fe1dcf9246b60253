#!/bin/sh
# ft-train with other objectives than the loss of the head: what they add, and whom they suit.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
R=$SRC/tests/ref
data=$SRC/pipelines/sentiment/data

head -n 32 "$data/train.tsv" >train.tsv
ft-freeze -H classify:neg,pos "$R/tiny-bert" >plan.ft
ft-tokenize -q -m plan.ft --max-length 32 train.tsv | ft-batch -r 8 -e 2 -s 1 >train.bat

# log EXPRESSION: Python over the steps of log.jsonl; L: their losses.
log() {
	python3 -c '
import json, sys
S = [json.loads(l) for l in open("log.jsonl")]
L = [s["loss"] for s in S]
near = lambda a, b, tolerance=1e-5: abs(a - b) <= tolerance * max(1, abs(b))
print(eval("(" + sys.argv[1] + ")"))' "$1"
}
train() { ft-train -q --log log.jsonl "$@"; }

# ---- R-Drop ----
train -m plan.ft train.bat >plain.ft; cp log.jsonl plain.jsonl
train -m plan.ft --rdrop 2 train.bat >two.ft
is 'R-Drop: a part of the loss, beside as many units and tokens' \
	"$(log 'all(0 < s["rdrop"] < s["loss"] for s in S), [(s["supervised"], s["tokens"]) for s in S] == [(p["supervised"], p["tokens"]) for p in map(json.loads, open("plain.jsonl"))]')" '(True, True)'
cp log.jsonl two.jsonl
train -m plan.ft --rdrop 4 --steps 1 train.bat >x.ft
is 'of which the weight is a factor' "$(log 'all(near(s["rdrop"], 2 * t["rdrop"]) and near(s["loss"] - s["rdrop"], t["loss"] - t["rdrop"]) for s, t in zip(S, map(json.loads, open("two.jsonl"))))')" True
for j in 1 3; do ok "-j $j gives the same bytes" sh -c 'ft-train -q -j $0 -m plan.ft --rdrop 2 train.bat | cmp - two.ft' $j; done
ok 'and with layers computed twice the same weights' sh -c 'ft-train -q --recompute -m plan.ft --rdrop 2 train.bat | ft-cat | grep "^{.tensor" >a; ft-cat two.ft | grep "^{.tensor" | cmp - a'
fails 'without dropout it is nothing' 2 ft-train -q -m plan.ft --rdrop 1 --dropout 0 train.bat
like 'and what to do is said' "$(cat .err)" '--dropout P'
fails 'a weight below 0' 2 ft-train -q -m plan.ft --rdrop -1 train.bat
ft-freeze -H embed "$R/tiny-bert" >embed.ft
printf 'a good film\ta fine film\nit rains\tthe rain falls\n' >pairs.tsv
ft-tokenize -q -m embed.ft --text 1 --pair 2 pairs.tsv | ft-batch >pairs.bat
fails 'vectors are no predictions' 2 ft-train -q -m embed.ft --rdrop 1 pairs.bat

# A language model, whose logits are never whole.
ft-freeze -H lm "$R/decoders/llama/tiny-lm" >lm.ft
ft-cat --from-json "$R/lm/texts.jsonl" | ft-batch -r 2 >lm.bat
train -m lm.ft --rdrop 1 --dropout 0.1 lm.bat >x.ft
is 'R-Drop of words' "$(log 'len(S) > 1, all(0 < s["rdrop"] < s["loss"] for s in S)')" '(True, True)'
done_testing
