#!/bin/sh
# A stream that stops early, or whose writer gave up, is an error in every
# consumer: 76, one line, nothing written that could be taken for a result.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

# ---- one of each stream, whole ----
model=$SRC/tests/ref/tiny-bert
for i in 1 2 3 4 5 6; do
	printf 'pos\ta fine day %d\nneg\ta bad night %d\n' $i $i
done >train.tsv
{
	ft-freeze -q --head classify:neg,pos "$model" >plan.ft && ft-tokenize -q -m plan.ft train.tsv >train.tok &&
		ft-batch -q -r 4 -e 2 -s 1 train.tok >train.bat && ft-train -q -m plan.ft train.bat >tuned.ft
} || { fail 'streams to cut'; done_testing; }
zstd=$(od -An -tx1 -N4 train.tok | tr -d ' ')
is 'tokens are compressed' "$zstd" 28b52ffd

# Where to cut FILE: around its begin and its end, and between. (Every byte is
# tried on the reader itself, in tests/unit/stream.c.)
cuts() {
	size=$(wc -c <"$1" | tr -d ' ')
	echo 0 3 40 $((size / 2)) $((size - 9)) $((size - 1))
}

# cut DESCRIPTION FILE COMMAND...: COMMAND reads cut.in, and may write cut.out.
cut() {
	what=$1 whole=$2 bad=0; shift 2
	cp "$whole" cut.in
	if ! "$@" >stdout 2>err </dev/null; then fail "$what: works when whole"; sed 's/^/# /' err; fi
	for n in $(cuts "$whole"); do
		head -c "$n" "$whole" >cut.in
		rm -rf cut.out rc=0
		rc=0
		timeout 10 "$@" >stdout 2>err </dev/null || rc=$?
		# A stream on stdout must say itself that it is not whole.
		sound=0
		[ ! -s stdout ] || ft-cat --verify stdout >verify 2>&1 || sound=$?
		if [ $rc != 76 ] || [ "$(wc -l <err)" != 1 ] || [ -e cut.out ] || { [ -s stdout ] && [ $sound != 76 ]; }; then
			bad=$((bad + 1))
			echo "# cut at $n: exit $rc, output: $(ls -d cut.out stdout 2>&1 | tr '\n' ' ')"
			sed 's/^/# /' err
		fi
	done
	is "$what: 76 wherever it is cut" "$bad" 0
	left=$(ls -A | grep -c '^\.' || true)
	is "$what: no file is left" "$left" 0
}

for whole in train.tok train.bat plan.ft tuned.ft; do
	cut "ft-cat --verify, $whole" $whole ft-cat --verify cut.in
	cut "ft-cat --header, $whole" $whole sh -c 'ft-cat --header cut.in >shown'
done
cut 'ft-cat --join' train.tok ft-cat --join train.tok cut.in -o cut.out
cut 'ft-cat --join from a pipe to a pipe' train.bat sh -c 'cat cut.in | ft-cat --join - train.bat'
cut 'ft-batch' train.tok ft-batch -q cut.in -o cut.out
cut 'ft-batch from a pipe to a pipe' train.tok sh -c 'cat cut.in | ft-batch -q -r 2'
cut 'ft-batch, shuffled' train.tok sh -c 'ft-batch -q -r 2 -s 1 -e 3 <cut.in'
cut 'ft-freeze' tuned.ft ft-freeze -q --last-layers 1 cut.in -o cut.out
cut 'ft-freeze with another head' tuned.ft ft-freeze -q --head regress cut.in -o cut.out
cut 'ft-tokenize, its model' plan.ft ft-tokenize -q -m cut.in train.tsv -o cut.out
cut 'ft-train, batches' train.bat ft-train -q -m plan.ft cut.in -o cut.out
cut 'ft-train, batches it would not need' train.bat ft-train -q --steps 1 -m plan.ft cut.in -o cut.out
cut 'ft-train, its plan' tuned.ft ft-train -q -m cut.in train.bat -o cut.out
cut 'ft-train, validation' train.bat ft-train -q -m plan.ft --valid cut.in train.bat -o cut.out
cut 'ft-train, validation from a pipe' train.bat sh -c 'ft-train -q -m plan.ft --valid - train.bat -o cut.out <cut.in'
cut 'ft-export' tuned.ft sh -c 'ft-export -q -m cut.in cut.out && rm -r cut.out'
cut 'ft-eval, batches' train.bat sh -c 'ft-eval -q -m tuned.ft cut.in >cut.out || { rc=$?; [ -s cut.out ] || rm cut.out; exit $rc; }'
cut 'ft-eval, its model' tuned.ft sh -c 'ft-eval -q -m cut.in train.bat >cut.out || { rc=$?; [ -s cut.out ] || rm cut.out; exit $rc; }'
cut 'ft-eval, predictions' train.bat sh -c 'ft-eval -q -m tuned.ft cut.in -p cut.out >shown'
cut 'ft-predict, its model' tuned.ft sh -c 'ft-predict -q -m cut.in train.tsv >cut.out || { rc=$?; [ -s cut.out ] || rm cut.out; exit $rc; }'

# ---- a stage that fails in a pipeline: all after it fail, and say why ----
printf 'neither\ta fine day 7\n' >>train.tsv
ft-tokenize -q -m plan.ft train.tsv 2>err1 | ft-batch -q 2>err2 | ft-train -q -m plan.ft -o cut.out 2>err3
is 'ft-train ends with 76 after a bad label' $? 76
like 'the last stage says what the first one met' "$(cat err3)" \
	'^ft-train: stdin: the stage before gave up: stdin: the stage before gave up: .*train.tsv:13: .*neither'
is 'in one line each' "$(cat err1 err2 err3 | wc -l | tr -d ' ')" 3
is 'and writes nothing' "$(ls -A cut.out 2>/dev/null)" ''
# One that is killed says nothing.
sh -c '(head -c 300 train.bat; exec sh -c "kill -9 \$\$") | ft-train -q -m plan.ft -o cut.out 2>err' 2>/dev/null
is 'a writer that is killed' $? 76
like 'leaves a stream that is cut short' "$(cat err)" 'cut short'
done_testing
