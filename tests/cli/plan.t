#!/bin/sh
# ft-train --plan says what a run would take; --memory keeps within it, without another result, or refuses.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
M=$SRC/tests/ref/tiny-bert
head -n 900 "$SRC/pipelines/sentiment/data/train.tsv" >train.tsv
ft-freeze -H classify:neg,pos "$M" >plan.ft
ft-tokenize -q -m plan.ft --max-length 40 train.tsv | ft-batch --tokens 9000 -s 1 >train.bat
train() { ft-train -m plan.ft --lr 1e-3 --schedule constant --warmup 0 --dropout 0.1 "$@" train.bat; }
peak() { train --plan --json "$@" | sed 's/.*"peak":\([0-9]*\).*/\1/'; }
between() { echo $((($1 + $2) / 2)); }

# ---- the plan ----
train --plan >table
like 'a table of bytes by kind' "$(cat table)" '^activations +[0-9.]+ MB'
like 'multiply-adds of a step and of all' "$(cat table)" '^[0-9]+ steps of [0-9.e+]+ multiply-adds, [0-9.e+]+ in all'
like 'the time is said to be an estimate' "$(cat table)" '^about .*an estimate$'
is 'nothing is written' "$(train --plan -o none.ft >table; ls none.ft 2>&1 | grep -c 'No such')" 1
is 'kinds add up to the peak' "$(train --plan --json | sed 's/.*"bytes":{\([^}]*\)}.*/\1/' | tr ',' '\n' |
	awk -F: '/peak/ { peak = $2; next } { sum += $2 } END { print sum == peak }')" 1
is 'multiply-adds of batches from a pipe' "$(ft-train -m plan.ft --plan --json <train.bat | sed 's/.*"macs":\([^,]*\),.*/\1/')" \
	"$(train --plan --json | sed 's/.*"macs":\([^,]*\),.*/\1/')"

# ---- memory that is kept to ----
whole=$(peak) twice=$(peak --recompute) parts=$(peak --recompute --parts 2)
is 'recomputing, and parts, take less' "$((parts < twice && twice < whole))" 1
train --log whole.jsonl -o whole.ft 2>/dev/null
train --memory $((whole * 2)) --log a.jsonl -o a.ft 2>notes
is 'enough: nothing changes' "$(cmp whole.ft a.ft && grep -c recompute notes)" 0
train --memory "$(between "$twice" "$whole")" -o b.ft 2>notes
is 'less: layers are computed twice, the same bytes' "$(cmp whole.ft b.ft && grep -c 'recompute.*no bit' notes)" 1
like 'what was resident is said' "$(cat notes)" 'MB were resident at the most'
train --memory "$(between "$parts" "$twice")" --log c.jsonl -o c.ft 2>notes
is 'less still: parts, too' "$(grep -c 'parts 2.*to rounding' notes)" 1
like 'which the model says' "$(ft-cat -H c.ft)" '"parts":2'
is 'with dropout, the first loss to the last digit' "$(head -n 1 c.jsonl | sed 's/.*"loss":\([^,]*\),.*/\1/')" \
	"$(head -n 1 whole.jsonl | sed 's/.*"loss":\([^,]*\),.*/\1/')"
fails 'too little is refused' 1 train -q --memory 5M -o d.ft
like 'and the least is said' "$(cat .err)" '^ft-train: --memory: 5.0 MB do not suffice: the least is [0-9.]+ MB'
is 'with nothing written' "$(ls d.ft 2>&1 | grep -c 'No such')" 1
fails 'a pipe cannot be read twice' 2 ft-train -q -m plan.ft --memory 1G -o d.ft -
fails '--json without --plan' 2 ft-train -q -m plan.ft --json -o d.ft train.bat

# ---- parts ----
train -q --parts 3 -j 1 -o one.ft
for j in 2 3; do
	train -q --parts 3 -j $j -o more.ft
	ok "--parts: -j $j gives the same bytes" cmp one.ft more.ft
done
ft-freeze -q -H embed "$M" >embed.ft
ft-tokenize -q -m embed.ft -t 2 -p 3 -l 1 "$SRC/tests/ref/sentences/pairs.tsv" | ft-batch >pairs.bat
fails 'a loss of whole batches has no parts' 2 ft-train -q -m embed.ft --parts 2 -o d.ft pairs.bat
done_testing
