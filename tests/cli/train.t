#!/bin/sh
# ft-train: a step is what the manual says it is, frozen parts stay as they are,
# and any number of threads, a file or a pipe give the same bytes.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
R=$SRC/tests/ref
M=$R/tiny-bert
data=$SRC/pipelines/sentiment/data

head -n 48 "$data/train.tsv" >train.tsv
head -n 24 "$data/valid.tsv" >valid.tsv
ft-freeze -H classify:neg,pos "$M" >plan.ft
ft-tokenize -q -m plan.ft --max-length 40 train.tsv >train.tok
ft-tokenize -q -m plan.ft --max-length 40 valid.tsv | ft-batch >valid.bat
ft-batch -r 8 -e 3 -s 1 train.tok >train.bat # 18 steps
ft-batch -r 8 train.tok >unknown.bat         # 6 steps, as the header does not say

# log EXPRESSION [FILE...]: Python over the lines of log.jsonl: steps, valids; S: the losses.
log() {
	python3 -c '
import json, math, sys
lines = [json.loads(l) for l in open("log.jsonl")]
steps, valids = [l for l in lines if "lr" in l], [l for l in lines if "valid" in l]
S = [l["loss"] for l in steps]
near = lambda a, b, tolerance=1e-5: abs(a - b) <= tolerance * max(1, abs(b))
print(eval("(" + sys.argv[1] + ")"))' "$1"
}
train() { ft-train -q --log log.jsonl "$@"; }
meta() { ft-cat --header "$1" | python3 -c 'import json,sys; m = json.load(sys.stdin)["meta"]; print(eval(sys.argv[1]))' "$2"; }
loss() { ft-eval -q --bootstrap 0 --json "$@" | sed 's/.*"loss":\([^,]*\),.*/\1/'; }

# ---- the same bytes ----
ft-train -q -j 1 -m plan.ft train.bat >one.ft
for j in 2 3; do ok "-j $j gives the same bytes" sh -c 'ft-train -q -j $0 -m plan.ft train.bat | cmp - one.ft' $j; done
ok 'so does a pipe' sh -c 'ft-batch -r 8 -e 3 -s 1 train.tok | ft-train -q -m plan.ft | cmp - one.ft'
ok 'and -' sh -c 'ft-train -q -m plan.ft - <train.bat | cmp - one.ft'
ok 'and -o' sh -c 'ft-train -q -o o.ft -m plan.ft train.bat && cmp o.ft one.ft'
ok 'and a stream made of JSON lines' sh -c 'ft-cat train.bat | ft-cat --from-json | ft-train -q -m plan.ft >x.ft &&
	test "$(ft-cat x.ft | grep "^{.tensor")" = "$(ft-cat one.ft | grep "^{.tensor")"'
train -m plan.ft train.bat >x.ft; cp log.jsonl log.1; train -m plan.ft train.bat >x.ft
ok 'equal runs have equal logs' cmp log.jsonl log.1
is 'another seed, another dropout' "$(ft-train -q --seed 1 -m plan.ft train.bat | cmp -s - one.ft && echo same)" ''
is 'without dropout the seed does not matter' "$(ft-train -q --seed 1 --dropout 0 -m plan.ft train.bat | ft-cat | grep '^{"tensor' | cksum)" \
	"$(ft-train -q --dropout 0 -m plan.ft train.bat | ft-cat | grep '^{"tensor' | cksum)"

# ---- the log, the schedule ----
train -m plan.ft train.bat >x.ft
is 'a line for each step' "$(log '[l["step"] for l in steps] == list(range(1, 19)), [l["epoch"] for l in steps] == [0] * 6 + [1] * 6 + [2] * 6')" '(True, True)'
is 'that counts tokens and units' "$(log 'sum(l["tokens"] for l in steps), {l["supervised"] for l in steps}')" \
	"($(ft-cat train.bat | sed -n 's/^{"end".*"tokens":\([0-9]*\).*/\1/p'), {8})"
peak='5e-5*768/32' schedule='[s / W if s < W else (L - s) / (L - W) for s in range(L)]'
is 'linear, a tenth of it warmup, rounded up; 5e-5 for a width of 768' \
	"$(log "all(near(l['lr'], $peak * r, 1e-9) for L, W in [(18, 2)] for l, r in zip(steps, $schedule))")" True
is 'and that is in the model' "$(meta x.ft 'm["trained"]["steps"], abs(m["trained"]["lr"] - 0.0012) < 1e-9, m["trained"]["loss"] > 0')" '(18, True, True)'
train -m plan.ft --lr 1e-3 --warmup 5 --schedule cosine train.bat >x.ft
is 'cosine, steps of warmup' "$(log 'all(near(l["lr"], 1e-3 * (s / 5 if s < 5 else 0.5 * (1 + math.cos(math.pi * (s - 5) / 13))), 1e-9) for s, l in enumerate(steps))')" True
train -m plan.ft --lr 1e-3 --warmup 0.5 --schedule constant train.bat >x.ft
is 'constant, a share of warmup' "$(log 'all(near(l["lr"], 1e-3 * min(s / 9, 1), 1e-9) for s, l in enumerate(steps))')" True
train -m plan.ft --steps 4 train.bat >x.ft
is '--steps is the end, of the schedule too' "$(log "len(steps), all(near(l['lr'], $peak * r, 1e-9) for L, W in [(4, 1)] for l, r in zip(steps, $schedule))")" '(4, True)'
train -m plan.ft unknown.bat >x.ft
is 'no counts: a constant rate without warmup' "$(log "len(steps), {round(l['lr'] / ($peak), 9) for l in steps}")" '(6, {1.0})'
like 'and a note' "$(ft-train -m plan.ft unknown.bat 2>&1 >x.ft)" 'unknown\.bat does not say how many batches'
train -m plan.ft --steps 6 unknown.bat >x.ft
is '--steps tells' "$(log "all(near(l['lr'], $peak * r, 1e-9) for L, W in [(6, 1)] for l, r in zip(steps, $schedule))")" True
fails 'no counts, and a schedule that needs them' 2 ft-train -q -m plan.ft --schedule linear unknown.bat
fails 'no counts, and a share of warmup' 2 ft-train -q -m plan.ft --warmup 0.1 unknown.bat

# ---- it learns ----
before=$(loss -m plan.ft train.bat)
ft-train -q -m plan.ft --dropout 0 --lr 5e-3 train.bat >good.ft
is 'the loss falls well below that of the plan' "$(awk -v a="$before" -v b="$(loss -m good.ft train.bat)" 'BEGIN { print (b < 0.75 * a) }')" 1
ft-batch -r 8 -s 2 train.tok | ft-train -q -m good.ft --dropout 0 --lr 5e-3 >better.ft
is 'a tuned model trains on' "$(awk -v a="$(loss -m good.ft train.bat)" -v b="$(loss -m better.ft train.bat)" 'BEGIN { print (b < a) }')" 1
is 'its log has all who had a part' "$(ft-cat --header better.ft | grep -o '"tool":"[a-z-]*"' | tr '\n' ' ')" \
	'"tool":"ft-freeze" "tool":"ft-tokenize" "tool":"ft-batch" "tool":"ft-train" "tool":"ft-batch" "tool":"ft-train" '
ft-train -q -m plan.ft --optimizer sgd --lr 0.05 --dropout 0 train.bat >sgd.ft
is 'with SGD too' "$(awk -v a="$before" -v b="$(loss -m sgd.ft train.bat)" 'BEGIN { print (b < 0.9 * a) }')" 1
for optimizer in 'adamw8bit --lr 5e-3' 'adafactor --lr 5e-3' 'adafactor --relative --lr 0.05' 'lion --lr 5e-4'; do
	ft-train -q -m plan.ft --optimizer $optimizer --dropout 0 train.bat >x.ft
	is "with $optimizer" "$(awk -v a="$before" -v b="$(loss -m x.ft train.bat)" 'BEGIN { print (b < 0.9 * a) }')" 1
done
train -m plan.ft --optimizer lion train.bat >x.ft
is 'the usual rate of lion is a tenth' "$(log "near(max(l['lr'] for l in steps), 5e-6 * 768 / 32, 1e-9)")" True
ft-freeze -H mlm "$R/tiny-bert-mlm" >mlm.ft
ft-tokenize -q --no-labels --max-length 40 -m mlm.ft train.tsv | ft-batch --mask -r 8 -s 1 -e 3 >mlm.bat
train -m mlm.ft --lr 1e-2 mlm.bat >x.ft
is 'masked-language modelling: tokens are the units' "$(log 'all(l["supervised"] > 8 for l in steps), sum(S[-6:]) < 0.9 * sum(S[:6])')" '(True, True)'

# ---- what is frozen stays, bit by bit ----
ft-freeze -H classify:neg,pos -l 1 -f 'layer.1.ffn.*' "$M" >part.ft
ft-train -q -m part.ft --lr 1e-3 --weight-decay 0.5 train.bat >part-tuned.ft
ft-export -q -m part-tuned.ft part
is 'frozen tensors are those of the base, trained ones are not' "$(python3 - "$M/model.safetensors" part/model.safetensors <<'END'
import json, sys
def tensors(path):
    data = open(path, "rb").read()
    n = int.from_bytes(data[:8], "little")
    return {k.removeprefix("bert."): data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]
            for k, v in json.loads(data[8:8 + n]).items() if k != "__metadata__"}
a, b = map(tensors, sys.argv[1:])
same = {k for k in a if k in b and a[k] == b[k]}
trains = {k for k in a if k.startswith("encoder.layer.1.attention") or k.startswith("pooler")}
print(len(a), len(same), same == set(a) - trains)
END
)" '39 27 True'
is 'and they are not in the stream' "$(ft-cat part-tuned.ft | grep -c '^{"tensor')" 14
ft-freeze -H classify:neg,pos -r 'pool.*=0' "$M" >zero.ft
ft-train -q -m zero.ft train.bat >x.ft
is 'a multiplier of 0 stands still' "$(ft-cat x.ft | grep '"tensor":"pool' | cksum)" "$(
	ft-freeze -H classify:neg,pos -l 0 "$M" | ft-train -q -m - --lr 1e-30 --weight-decay 0 train.bat | ft-cat | grep '"tensor":"pool' | cksum)"

# ---- a step: the mean over all its units ----
ft-batch -r 5 train.tok >small.bat # 48 rows: 9 batches of 5 and one of 3
ft-batch -r 10 train.tok >large.bat
train -m plan.ft --dropout 0 --steps 5 large.bat >x.ft; cp log.jsonl log.1
train -m plan.ft --dropout 0 --steps 5 --accumulate 2 small.bat >x.ft
is 'accumulated batches are one large batch, to the last, smaller one' "$(
	log 'len(steps), all(near(a[k], b[k], 1e-4) for a, b in zip(steps, map(json.loads, open("log.1"))) for k in ("loss", "norm", "lr", "tokens", "supervised"))')" '(5, True)'
ft-batch -r 16 train.tok >one.bat
ft-eval -q -m plan.ft -n 16 -p said.jsonl one.bat >/dev/null
# said EXPRESSION: over the first 16 rows, as ft-eval sees them: y the label, p the probabilities.
said() {
	python3 -c '
import json, math, sys
rows = [json.loads(l) for l in open("said.jsonl")]
y = [("neg", "pos").index(r["label"]) for r in rows]
p = [[r["probabilities"][k] for k in ("neg", "pos")] for r in rows]
print("%.4f" % eval(sys.argv[1]))' "$1"
}
first() { train -m plan.ft --steps 1 --dropout 0 "$@" one.bat >x.ft; log '"%.4f" % S[0]'; }
is 'the loss is the mean cross-entropy' "$(first)" "$(said 'sum(-math.log(q[k]) for q, k in zip(p, y)) / 16')"
is 'with weights of classes, over the sum of weights' "$(first --class-weight neg=3 --class-weight pos=0.5)" \
	"$(said 'sum((3, .5)[k] * -math.log(q[k]) for q, k in zip(p, y)) / sum((3, .5)[k] for k in y)')"
is 'with a share for all classes' "$(first --label-smoothing 0.2)" \
	"$(said 'sum(-0.8 * math.log(q[k]) - 0.1 * sum(map(math.log, q)) for q, k in zip(p, y)) / 16')"
train -m plan.ft --clip 0 --dropout 0 --lr 1e-3 --warmup 0 --optimizer sgd --momentum 0 --weight-decay 0 --steps 2 large.bat >x.ft; cp log.jsonl log.1
train -m plan.ft --clip 0.001 --dropout 0 --lr 1e-3 --warmup 0 --optimizer sgd --momentum 0 --weight-decay 0 --steps 2 large.bat >x.ft
is 'the norm in the log is that before clipping' "$(log 'near(steps[0]["norm"], json.loads(open("log.1").readline())["norm"], 1e-6) and steps[0]["norm"] > 1')" True
is 'and clipping is done' "$(log 'abs(S[1] - json.loads(open("log.1").readlines()[1])["loss"]) > 1e-6')" True

# ---- other losses: one batch, whose numbers are known ----
ft-freeze -H regress:2 "$M" >regress.ft
ft-freeze -H multilabel:x,y,z "$M" >multi.ft
# batch META TARGETS [IDS]: one batch of two rows
batch() {
	printf '%s\n' "{\"ft\":1,\"kind\":\"batches\",\"meta\":{$1,\"batches\":1,\"epochs\":1}}" \
		"{\"ids\":[2,30,31,3,2,40,3],\"offsets\":[0,4,7],$2,\"src\":[\"a:1\",\"a:2\"],\"epoch\":0}" '{"end":1}' | ft-cat --from-json
}
batch '"task":"regress","outputs":2' '"targets":[0.5,-1,2,0]' >regress.bat
batch '"task":"multilabel","labels":["x","y","z"]' '"targets":[1,0,1,0,0,1]' >multi.bat
ft-eval -q -m regress.ft -p said.jsonl regress.bat >/dev/null
train -m regress.ft --dropout 0 regress.bat >x.ft
is 'regression: the mean squared error' "$(log '"%.4f" % S[0]')" "$(python3 -c '
import json
print("%.4f" % (sum((a - b) ** 2 for r in map(json.loads, open("said.jsonl")) for a, b in zip(r["prediction"], r["label"])) / 4))')"
ft-eval -q -m multi.ft -p said.jsonl multi.bat >/dev/null
train -m multi.ft --dropout 0 --class-weight z=5 multi.bat >x.ft
is 'multi-label: the mean binary cross-entropy, positives weighted' "$(log '"%.4f" % S[0]')" "$(python3 -c '
import json, math
total = 0
for r in map(json.loads, open("said.jsonl")):
    for k, w in (("x", 1), ("y", 1), ("z", 5)):
        p = r["probabilities"][k]
        total -= w * math.log(p) if k in r["label"] else math.log(1 - p)
print("%.4f" % (total / 6))')"

# ---- validation ----
ft-train --log log.jsonl -m plan.ft --lr 1e-2 --schedule constant --valid valid.bat train.bat >v.ft 2>notes
is 'after each epoch, and noted' "$(log '[(l["step"], l["epoch"]) for l in valids]') $(grep -c 'validation loss' notes)" '[(6, 0), (12, 1), (18, 2)] 3'
is 'the best is what is written' "$(log 'min(l["valid"]["loss"] for l in valids)')" "$(loss -m v.ft valid.bat)"
is 'which is not the last' "$(log '[l["best"] for l in valids]')" '[True, True, False]'
is 'and remembered' "$(meta v.ft 'm["trained"]["best_step"]')" "$(log 'min(valids, key=lambda l: l["valid"]["loss"])["step"]')"
is 'each that is better than all before is marked' "$(log '[l["best"] for l in valids] == [all(l["valid"]["loss"] < k["valid"]["loss"] for k in valids[:i]) for i, l in enumerate(valids)]')" True
is 'validation does not change training' "$(ft-train -q --log log.2 -m plan.ft --lr 1e-2 --schedule constant train.bat >x.ft; grep -v '"valid"' log.jsonl | cmp - log.2 && echo same)" same
train -m plan.ft --lr 5e-3 --valid valid.bat --valid-every 5 --metric accuracy train.bat >v.ft
is '--valid-every, and at the end' "$(log '[l["step"] for l in valids]')" '[5, 10, 15, 18]'
is '--metric: of equals the first' "$(meta v.ft 'm["trained"]["best_step"]')" "$(log 'max(valids, key=lambda l: (l["valid"]["accuracy"], -l["step"]))["step"]')"
train -m plan.ft --lr 5e-3 --valid-every 3 --patience 2 --metric loss --valid valid.bat train.bat >v.ft
log '[l["best"] for l in valids]' >bests
is '--patience 2: two that are no better are the last' "$(sed 's/.*False, False\]$/ended/; t; s/.*/not/' bests) $(grep -c 'False, False,' bests)" 'ended 0'
ok '--valid from a pipe' sh -c 'cat valid.bat | ft-train -q -m plan.ft --lr 5e-3 --valid - --valid-every 5 --metric accuracy train.bat | ft-cat >a;
	ft-train -q -m plan.ft --lr 5e-3 --valid valid.bat --valid-every 5 --metric accuracy train.bat | ft-cat >b; cmp a b'
fails '--patience without --valid' 2 ft-train -q -m plan.ft --patience 1 train.bat
fails '--valid-every 0 and below' 2 ft-train -q -m plan.ft --valid valid.bat --valid-every -1 train.bat
fails 'a metric that is not there' 2 ft-train -q -m plan.ft --valid valid.bat --valid-every 1 --metric nonsense train.bat
fails 'validation data that is not there' 1 ft-train -q -m plan.ft --valid nothing train.bat
fails 'validation data of other labels' 78 ft-train -q -m plan.ft --valid multi.bat --valid-every 1 train.bat

# ---- a stream that is no longer wanted is read to its end ----
size=$(wc -c <train.bat)
head -c $((size - 20)) train.bat >cut.bat
fails 'a cut after the last step is seen' 76 ft-train -q -m plan.ft --steps 1 -o none.ft cut.bat
fails 'so is one in the middle' 76 sh -c 'head -c 2000 train.bat | ft-train -q -m plan.ft -o none.ft'
is 'and nothing is written' "$(ls none.ft 2>/dev/null)" ''
is 'to a pipe neither' "$(ft-train -q -m plan.ft cut.bat 2>/dev/null | wc -c)" 0
is 'the writer ends well' "$({ ft-batch -r 1 -e 200 -s 1 train.tok; echo $? >rc; } | ft-train -q -m plan.ft --steps 1 >x.ft; cat rc)" 0

# ---- what is wrong ----
edit() { ft-cat "$1" | sed "$2" | ft-cat --from-json; }
edit train.bat 's/"labels":\[[-0-9,]*\],"src"/"src"/' >none.bat
fails 'no labels' 65 ft-train -q -m plan.ft none.bat
like 'is said, with the place' "$(cat .err)" 'none\.bat: batches 1 to 1: nothing is supervised'
edit train.bat '3s/"labels":\[[-0-9,]*\]/"labels":[-100,-100,-100,-100,-100,-100,-100,-100]/' >ignored.bat
fails 'a step whose labels are all ignored' 65 ft-train -q -m plan.ft ignored.bat
like 'is that of the batch' "$(cat .err)" 'batches 2 to 2'
ok 'but not when another batch of the step has some' ft-train -q -m plan.ft --accumulate 2 --log skip.log -o x.ft ignored.bat
like 'and the log has how many examples were skipped' "$(head -n 1 skip.log)" '"supervised":8,"skipped":8}$'
fails 'weights that leave nothing' 65 ft-train -q -m plan.ft --class-weight neg=0 --class-weight pos=0 train.bat
edit train.bat '1s/"labels":\["neg","pos"\]/"labels":["pos","neg"]/' >swapped.bat
fails 'other labels' 78 ft-train -q -m plan.ft swapped.bat
like 'both are shown' "$(cat .err)" 'swapped\.bat was made with the labels \["pos","neg"\], plan\.ft has \["neg","pos"\]'
edit train.bat '1s/"digest":"[0-9a-f]*"/"digest":"0123456789abcdef0123456789abcdef"/' >tokenizer.bat
fails 'another tokenizer' 78 ft-train -q -m plan.ft tokenizer.bat
like 'both are shown' "$(cat .err)" 'the tokenizer 0123456789abcdef'
fails 'another task' 78 ft-train -q -m plan.ft regress.bat
ft-freeze -H regress:3 "$M" >regress3.ft
fails 'another number of targets' 78 ft-train -q -m regress3.ft regress.bat
edit train.bat '1s/,"labels":\["neg","pos"\]//; 3s/"labels":\[[01]/"labels":[2/' >label.bat
fails 'a label beyond the head' 78 ft-train -q -m plan.ft label.bat
like 'with its record' "$(cat .err)" 'label\.bat: record 2: label 2; the head has 2 outputs'
edit train.bat '3s/"ids":\[2/"ids":[113/' >id.bat
fails 'a token beyond the table' 78 ft-train -q -m plan.ft id.bat
fails 'a model without a head' 78 ft-train -q -m "$M" train.bat
fails 'tokens, not batches' 65 ft-train -q -m plan.ft train.tok
batch '"task":"regress","outputs":2' '"targets":[0.5,-1,3e30,0]' >huge.bat
fails 'a loss that is not finite' 3 ft-train -q -m regress.ft -o none.ft huge.bat
like 'names step and row' "$(cat .err)" 'step 1: the loss is inf \(rows: a:2\); the step was not applied'
ft-train -q -m regress.ft --log huge.log -o none.ft huge.bat 2>.err
is 'the log has it as it is' "$(cat huge.log)" '{"step":1,"epoch":0,"loss":"inf","applied":false,"rows":"a:2"}'
ok 'which ft-report reads' ft-report huge.log
fails 'a rate that is too high' 3 ft-train -q -m plan.ft --lr 1e3 --weight-decay 100 --warmup 0 --clip 0 -o none.ft train.bat
like 'ends in a loss that is not finite' "$(cat .err)" 'step [0-9]+: the (loss|gradient norm) is -?(nan|inf) \(rows: train\.tsv:[0-9]+'
is 'nothing is written' "$(ls none.ft 2>/dev/null)" ''
printf '%s\n' '{"ft":1,"kind":"batches","meta":{"task":"classify","labels":["neg","pos"]}}' '{"end":0}' | ft-cat --from-json >empty.bat
fails 'no batches' 65 ft-train -q -m plan.ft empty.bat
fails 'no stream' 76 ft-train -q -m plan.ft
fails 'a log that cannot be written' 1 ft-train -q -m plan.ft --log nowhere/x train.bat
fails 'a log on a full disk' 1 ft-train -q -m plan.ft --log /dev/full train.bat
for bad in '--beta2-decay 0' '--clip-update 0' '--lr -1' '--lr 1e9' '--warmup -0.5' '--schedule x' '--optimizer x' '--weight-decay -1' '--beta1 1' '--beta2 1' '--eps -1' '--momentum 1' \
	'--clip -1' '--accumulate 0' '--steps -1' '--dropout 1' '--label-smoothing 1' '--class-weight neg' '--class-weight neg=x' \
	'--class-weight neg=-1' '--class-weight odd=1' '--patience -1 --valid valid.bat'; do
	fails "refused: $bad" 2 ft-train -q -m plan.ft $bad -o none.ft train.bat
done
fails 'a weight of a class without a name' 2 ft-train -q -m regress.ft --class-weight a=1 regress.bat
done_testing
