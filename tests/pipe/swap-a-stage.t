#!/bin/sh
# A stage in Python, written from ft-stream(5), in place of ft-batch: ft-train
# takes its stream, and every example comes once an epoch.
. "$(dirname "$0")/../lib.sh"

find_python 'msgpack, zstandard'
if [ -z "$python" ]; then skip 'no python3-msgpack and python3-zstandard'; done_testing; fi

dir=$SRC/pipelines/swap-a-stage model=$SRC/tests/ref/tiny-bert
for i in 1 2 3 4 5 6 7 8 9 10; do
	printf 'pos\ta fine day %d\nneg\ta bad night %d\npos\tgood %d and bright\n' $i $i $i
done >"$T/train.tsv"

ft-freeze --quiet --head classify:neg,pos "$model" >"$T/plan.ft" || fail 'ft-freeze'
ft-tokenize -m "$T/plan.ft" "$T/train.tsv" >"$T/train.tok" || fail 'ft-tokenize'
$python "$dir/batch.py" 8 2 1 <"$T/train.tok" >"$T/py.bat" || fail 'batch.py'

like 'the stream keeps its promises' "$(ft-cat --verify "$T/py.bat" 2>&1)" ': 8 batches, 60 examples, .*no digest'
$python "$dir/batch.py" 8 2 1 <"$T/train.tok" | cmp -s - "$T/py.bat" && pass 'the same bytes again' || fail 'the same bytes again'
sources() { ft-cat "$1" | grep -o '"[^"]*tsv:[0-9]*"' | sort | uniq -c; }
ft-batch -r 8 -e 2 -s 1 "$T/train.tok" >"$T/ft.bat"
is 'the rows are those of ft-batch' "$(sources "$T/py.bat")" "$(sources "$T/ft.bat")"
rows() { # source, ids and label of every row, sorted
	ft-cat "$1" | $python -c '
import json, sys
for r in map(json.loads, sys.stdin):
    o = r.get("offsets", [0])
    for k in range(len(o) - 1):
        print(r["src"][k], r["ids"][o[k]:o[k + 1]], r["labels"][k], any(r.get("types", [0])[o[k]:o[k + 1]]))' | sort
}
is 'with the same tokens and labels' "$(rows "$T/py.bat" | cksum)" "$(rows "$T/ft.bat" | cksum)"

ok 'ft-train takes it' ft-train --quiet -m "$T/plan.ft" -o "$T/tuned.ft" "$T/py.bat"
ok 'from a pipe too' sh -c '"$1" "$2" 8 2 1 <"$3/train.tok" | ft-train --quiet -m "$3/plan.ft" >"$3/piped.ft"' - \
	"$python" "$dir/batch.py" "$T"
cmp -s "$T/tuned.ft" "$T/piped.ft" && pass 'with the same result' || fail 'with the same result'
like 'the model knows who had a part in it' "$(ft-cat --header "$T/tuned.ft")" '"tool":"batch.py","options":\["8","2","1"\]'
ok 'ft-eval takes the model' sh -c 'ft-batch "$1/train.tok" | ft-eval -m "$1/tuned.ft" --json' - "$T"

# ---- cut ----
size=$(wc -c <"$T/train.tok")
head -c $((size / 2)) "$T/train.tok" >"$T/cut.tok"
fails 'batch.py refuses cut input' 76 sh -c '"$1" "$2" 8 2 1 <"$3"' - "$python" "$dir/batch.py" "$T/cut.tok"
is 'and writes nothing' "$(wc -c <"$T/.out" | tr -d ' ')" 0
size=$(wc -c <"$T/py.bat")
head -c $((size - 8)) "$T/py.bat" >"$T/cut.bat"
fails 'ft-train refuses its output when cut' 76 ft-train --quiet -m "$T/plan.ft" -o "$T/none.ft" "$T/cut.bat"
[ ! -e "$T/none.ft" ] && pass 'and saves nothing' || fail 'and saves nothing'

done_testing
