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

# ---- a teacher ----
ft-tokenize -q -m plan.ft --max-length 32 train.tsv | ft-batch -r 16 >large.bat
ft-train -q -m plan.ft --dropout 0 --lr 5e-3 train.bat >teacher.ft
for m in plan teacher; do ft-eval -q --bootstrap 0 -n 16 -p $m.said -m $m.ft large.bat >/dev/null; done
# divergence T: of plan.ft's predictions of the first batch from those of teacher.ft, at a temperature.
divergence() {
	python3 -c '
import json, math, sys
T = float(sys.argv[1])
def p(path):
    rows = [[math.log(v) / T for v in json.loads(l)["probabilities"].values()] for l in open(path)]
    return [[math.exp(v) / sum(map(math.exp, r)) for v in r] for r in rows]
print(T * T * sum(q * math.log(q / p) for r, s in zip(p("teacher.said"), p("plan.said")) for q, p in zip(r, s)) / 16)' "$1"
}
train -m plan.ft --dropout 0 --steps 1 large.bat >x.ft; cp log.jsonl plain.jsonl
train -m plan.ft --dropout 0 --steps 1 --distill teacher.ft --distill-temperature 1 --distill-weight 0.3 large.bat >x.ft
is 'of a teacher: its divergence, and what is left of the loss' \
	"$(log "near(S[0]['distill'], 0.3 * $(divergence 1), 1e-5), near(S[0]['loss'] - S[0]['distill'], 0.7 * json.loads(open('plain.jsonl').readline())['loss'])")" '(True, True)'
train -m plan.ft --dropout 0 --steps 1 --distill teacher.ft large.bat >x.ft
is 'at a temperature of 2, times 4' "$(log "near(S[0]['distill'], 0.5 * $(divergence 2), 1e-5)")" True
ft-tokenize -q -m plan.ft --no-labels --max-length 32 train.tsv | ft-batch -r 8 -e 4 -s 1 >bare.bat
train -m plan.ft --dropout 0 --lr 5e-3 --distill teacher.ft --distill-weight 1 bare.bat >pupil.ft
is 'without labels it is all there is, and is learnt' "$(log 'all(s["loss"] == s["distill"] for s in S), S[0]["supervised"], sum(L[-4:]) < 0.3 * sum(L[:4])')" '(True, 8, True)'
fails 'without labels something else cannot count' 78 ft-train -q -m plan.ft --distill teacher.ft bare.bat
like 'and it says what can' "$(cat .err)" 'bare.bat: record 1: the batches have no labels; with --distill-weight 1'
train -m teacher.ft --dropout 0 --steps 1 --distill teacher.ft --distill-weight 1 large.bat >x.ft
is 'a model has nothing to learn of itself' "$(log 'abs(L[0]) < 1e-6, S[0]["norm"] < 1e-5')" '(True, True)'
train -m plan.ft --distill teacher.ft --rdrop 1 --steps 2 large.bat >x.ft
is 'R-Drop beside it' "$(log 'all(s["distill"] > 0 and s["rdrop"] > 0 and s["supervised"] == 16 for s in S)')" True
ft-freeze -H classify:pos,neg "$R/tiny-bert" >turned.ft
fails 'labels in another order' 78 ft-train -q -m plan.ft --distill turned.ft large.bat
like 'are named' "$(cat .err)" -- '--distill: turned.ft and plan.ft have different labels'
fails 'another task' 78 ft-train -q -m plan.ft --distill lm.ft large.bat
ft-freeze --init --seed 5 -H lm "$R/decoders/llama/tiny-lm" >other.ft
train -m lm.ft --distill other.ft --dropout 0 --lr 1e-2 lm.bat >x.ft
is 'words of another model' "$(log 'all(0 < s["distill"] < s["loss"] for s in S)')" True
train -m other.ft --distill other.ft --distill-weight 1 --steps 1 lm.bat >x.ft
is 'and of itself' "$(log 'abs(L[0]) < 1e-5')" True

# ---- what was before ----
fails 'a new head has predicted nothing' 2 ft-train -q -m plan.ft --kl-base 1 large.bat
like 'is why' "$(cat .err)" -- '--kl-base: head.weight is new in plan.ft'
train -m teacher.ft --dropout 0 --lr 1e-3 --warmup 0 --kl-base 0.5 train.bat >x.ft
is 'at first nothing has changed, then it costs' "$(log 'abs(S[0]["kl_base"]) < 1e-6, all(s["kl_base"] > 1e-6 for s in S[1:])')" '(True, True)'
ft-freeze --lora r=2 --freeze 'head.*' "$R/decoders/llama/tiny-lm" >lora.ft
ft-cat --from-json "$R/lm/texts.jsonl" | ft-batch -r 2 -e 6 -s 1 >long.bat
moved() { log 'sum(s["kl_base"] for s in S[-18:])'; }
for m in lora lm; do
	train -m $m.ft --lr 2e-3 --warmup 0 --kl-base 1e-6 long.bat >x.ft; free=$(moved)
	train -m $m.ft --lr 2e-3 --warmup 0 --kl-base 100 long.bat >x.ft; held=$(moved)
	is "$m: a large weight holds predictions where they were" "$(awk -v a="$free" -v b="$held" 'BEGIN { print (b > 0 && b / 100 < 0.2 * a * 1e6) }')" 1
done
fails 'standard input cannot be read twice' 2 sh -c 'ft-train -q -m - --kl-base 1 lm.bat <lm.ft'
ok 'but techniques are switched off' sh -c 'ft-train -q -m - --kl-base 1 lm.bat <lora.ft >x.ft'
done_testing
