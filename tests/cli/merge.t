#!/bin/sh
# ft-merge: averages and task arithmetic, of model streams and of folders, against plain arithmetic.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
M=$SRC/tests/ref/tiny-bert
data=$SRC/pipelines/sentiment/data

head -n 48 "$data/train.tsv" >train.tsv
ft-freeze -H classify:neg,pos "$M" >plan.ft
ft-tokenize -q -m plan.ft --max-length 40 train.tsv >train.tok
tune() { ft-batch -r 8 -s "$1" train.tok | ft-train -q -m "${2:-plan.ft}" --lr 5e-3; }
tune 1 >a.ft
tune 2 >b.ft
tune 3 >c.ft
ft-freeze -l 0 -f 'pool*' plan.ft >top.ft
tune 4 top.ft >part.ft # most of it stays the base
tensors() { ft-cat --data "$1"; }
for m in a b c part; do tensors $m.ft >$m.json; done
ft-batch -r 8 train.tok | ft-train -q -m plan.ft --lr 1e-30 --weight-decay 0 --steps 1 --warmup 0 >start.ft
tensors start.ft >start.json

# merged FILE EXPRESSION: whether every number of the stream is that expression of those of the others, rounded once.
merged() {
	tensors "$1" >merged.json
	python3 - "$2" <<'END'
import json, struct, sys
def tensors(path):
    out, name = {}, None
    for o in map(json.loads, open(path)):
        name = o.get("tensor", name)
        if "data" in o:
            out[name] = out.get(name, []) + o["data"]
    return out
round32 = lambda x: struct.unpack("f", struct.pack("f", x))[0]
T = {k: {n: list(map(round32, v)) for n, v in tensors(k + ".json").items()} for k in ("merged", "start", "a", "b", "c", "part")}
f = eval("lambda base, a, b, c, part: " + sys.argv[1])
bad, n = 0, 0
for name, start in T["start"].items():
    parts = [T[k].get(name, start) for k in ("start", "a", "b", "c", "part")]
    want = [round32(f(*x)) for x in zip(*parts)]
    got = T["merged"].get(name, start)
    bad += sum(x != y for x, y in zip(got, want))
    n += len(want)
print(bad, n > 20000, set(T["merged"]) <= set(T["start"]))
END
}
ok 'two' ft-merge -q -o m.ft a.ft b.ft
is 'are averaged' "$(merged m.ft '(a + b) / 2')" '0 True True'
ok 'three, with weights' ft-merge -q -w 1 -w 2 --weight 5 -o m.ft a.ft b.ft c.ft
is 'which are shares' "$(merged m.ft '(a + 2 * b + 5 * c) / 8')" '0 True True'
ok 'one that differs from the base in part' ft-merge -q -o m.ft a.ft part.ft
is 'is the base elsewhere' "$(merged m.ft '(a + part) / 2')" '0 True True'
ok 'tasks' ft-merge -q --tasks -o m.ft a.ft b.ft c.ft
is 'are added' "$(merged m.ft 'base + (a - base) + (b - base) + (c - base)')" '0 True True'
ok 'with weights, also below 0' ft-merge -q --tasks -w 0.5 -w -0.25 -o m.ft a.ft b.ft
is 'so one can be taken away' "$(merged m.ft 'base + 0.5 * (a - base) - 0.25 * (b - base)')" '0 True True'
ok 'one task alone' ft-merge -q --tasks -w 1 -o m.ft a.ft
is 'is the model' "$(merged m.ft 'a')" '0 True True'

# ---- the result is a model ----
ft-merge -q a.ft b.ft >m.ft
ok 'it can be measured' sh -c 'ft-batch train.tok | ft-eval -q -m m.ft'
ok 'trained on' sh -c 'ft-batch -r 8 train.tok | ft-train -q -m m.ft >x.ft'
ok 'and exported' ft-export -q -m m.ft out
is 'two models that are the same make that one' "$(ft-merge -q a.ft a.ft | ft-cat | grep '^{"tensor' | cksum)" \
	"$(ft-cat a.ft | grep '^{"tensor' | cksum)"
is 'its log has all who had a part' "$(ft-cat --header m.ft | grep -o '"tool":"ft-[a-z]*"' | sort | uniq -c | tr -s ' \n' ' ')" \
	' 2 "tool":"ft-batch" 1 "tool":"ft-freeze" 1 "tool":"ft-merge" 1 "tool":"ft-tokenize" 2 "tool":"ft-train" '
like 'and its header how it was made' "$(ft-cat --header m.ft)" '"merged":\{"how":"average","of":\[\{"weight":0\.5,"id":"[0-9a-f]{32}"\},'
ok 'any number of threads gives the same bytes' sh -c 'ft-merge -q -j 3 a.ft b.ft | cmp - m.ft'

# ---- folders ----
ft-export -q -m a.ft a.hf
ft-export -q -m b.ft b.hf
ok 'folders' ft-merge -q --base "$M" -o m.ft a.hf b.hf
is 'are averaged' "$(merged m.ft '(a + b) / 2')" '0 True True'
ok 'a folder and a stream' ft-merge -q --base "$M" --tasks -w 1 -w 0.5 -o m.ft a.hf b.ft
is 'are added' "$(merged m.ft 'a + 0.5 * (b - base)')" '0 True True'
like 'of a folder the digest is told' "$(ft-cat --header m.ft)" '"of":\[\{"weight":1\.0,"digest":"[0-9a-f]+"\}'
fails 'a folder without its base' 2 ft-merge -q a.hf b.ft
like 'it is asked for' "$(cat .err)" '--base DIR'

# ---- what is said ----
like 'how many parameters differ' "$(ft-merge part.ft plan.ft 2>&1 >x.ft)" '^ft-merge: 2 of [0-9]+ parameters differ between the models$'
ft-merge -q --show part.ft plan.ft >shown
is 'by --show each' "$(awk '$2 > 0' shown | sed 's/ .*//' | tr '\n' ' ')" 'head.weight head.bias '

# ---- what is refused ----
fails 'one model' 2 ft-merge -q a.ft
fails 'none' 2 ft-merge -q --tasks
fails 'too many weights' 2 ft-merge -q -w 1 -w 2 -w 3 a.ft b.ft
for bad in '-w x -w 1' '-w -1 -w 2' '-w 0 -w 0' '-w nan -w 1'; do fails "refused: $bad" 2 ft-merge -q $bad a.ft b.ft; done
ft-freeze -H classify:neg,pos,odd "$M" >other.ft
fails 'other labels' 78 ft-merge -q a.ft other.ft
like 'both are named' "$(cat .err)" 'a\.ft and other\.ft have different heads'
ft-freeze -H classify:neg,pos --seed 5 "$M" >seed.ft
ok 'heads from other seeds can be averaged' ft-merge -q -o x.ft plan.ft seed.ft
fails 'but are no tasks' 78 ft-merge -q --tasks plan.ft seed.ft
ft-freeze -H classify:neg,pos "$SRC/tests/ref/tiny-bert-mlm" >base.ft
fails 'another base' 78 ft-merge -q a.ft base.ft
like 'both digests are shown' "$(cat .err)" 'a\.ft is based on a model with the digest [0-9a-f]+, base\.ft on one with [0-9a-f]+'
fails 'another base, by --base' 78 ft-merge -q --base "$SRC/tests/ref/tiny-bert-mlm" a.ft b.ft
ft-freeze -H classify:neg,pos --lora r=2 "$M" >lora.ft
fails 'techniques' 2 ft-merge -q a.ft lora.ft
fails 'a stream of another kind' 65 ft-merge -q a.ft train.tok
done_testing
