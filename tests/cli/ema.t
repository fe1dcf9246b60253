#!/bin/sh
# ft-train --ema: what is measured and written is the average of the weights over the steps.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
M=$SRC/tests/ref/tiny-bert
data=$SRC/pipelines/sentiment/data

head -n 48 "$data/train.tsv" >train.tsv
head -n 24 "$data/valid.tsv" >valid.tsv
ft-freeze -H classify:neg,pos -l 1 "$M" >plan.ft
ft-tokenize -q -m plan.ft --max-length 40 train.tsv | ft-batch -r 8 -e 3 -s 1 >train.bat
ft-tokenize -q -m plan.ft --max-length 40 valid.tsv | ft-batch >valid.bat
train() { ft-train -q -m plan.ft --lr 5e-3 --schedule constant --warmup 0 "$@" train.bat; }

# ---- the average, from runs that end after each step ----
train --steps 1 --lr 1e-30 --weight-decay 0 | ft-cat --data >step.0
for n in 1 2 3 4 5; do train --steps $n | ft-cat --data >step.$n; done
for decay in 0.5 0.25 0.999; do
	train --steps 5 --ema $decay | ft-cat --data >average
	is "decay $decay: the average of weights after 0 to 5 steps, older ones less" "$(python3 - $decay <<'END'
import json, sys
def tensors(path):
    out, name = {}, None
    for o in map(json.loads, open(path)):
        name = o.get("tensor", name)
        if "data" in o:
            out[name] = out.get(name, []) + o["data"]
    return out
decay = float(sys.argv[1])
runs = [tensors("step.%d" % n) for n in range(6)]
want = runs[0]
for t, run in enumerate(runs[1:], 1):
    d = min(decay, (1 + t) / (10 + t))
    want = {k: [d * a + (1 - d) * b for a, b in zip(want[k], run[k])] for k in want}
got = tensors("average")
worst = max(abs(a - b) for k in want for a, b in zip(got[k], want[k]))
moved = max(abs(a - b) for k in want for a, b in zip(got[k], runs[5][k]))
print(sorted(got) == sorted(want), len(got) > 10, worst < 1e-6 < 1e-3 < moved)
END
)" 'True True True'
done

# ---- validation sees it ----
loss() { ft-eval -q --bootstrap 0 --json -m "$1" valid.bat | sed 's/.*"loss":\([^,]*\),.*/\1/'; }
train --ema 0.9 --valid valid.bat --log log.jsonl >valid.ft
is 'the best weights are those that were measured' "$(loss valid.ft)" \
	"$(sed -n 's/.*"best":true.*"loss":\([^,]*\),.*/\1/p' log.jsonl | tail -n 1)"
train --ema 0.9 >last.ft
is 'without validation the last average is written, which the last validation measured' "$(loss last.ft)" \
	"$(sed -n 's/.*"valid":.*"loss":\([^,]*\),.*/\1/p' log.jsonl | tail -n 1)"
train --log plain.jsonl >plain.ft
is 'training itself is as without' "$(grep -v valid log.jsonl | cksum)" "$(cksum <plain.jsonl)"
is 'the result is not' "$(cmp -s last.ft plain.ft || echo differs)" differs
train --ema 0.9 -j 1 >one.ft
for j in 2 3; do ok "-j $j gives the same bytes" sh -c 'ft-train -q -m plan.ft --lr 5e-3 --schedule constant --warmup 0 --ema 0.9 -j $0 train.bat | cmp - one.ft' $j; done
for bad in 1 -0.1 1.5; do fails "refused: --ema $bad" 2 ft-train -q -m plan.ft --ema $bad -o none.ft train.bat; done
done_testing
