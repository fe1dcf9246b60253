#!/bin/sh
# A stage that dies is told from one that ends: all stages after it end with 76 and say why, and what they have written
# so far says of itself that it is not whole. (Files that are cut, in every tool: damage.t.)
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

model=$SRC/tests/ref/tiny-bert
for i in 1 2 3 4 5 6; do
	printf 'pos\ta fine day %d\nneg\ta bad night %d\n' $i $i
done >train.tsv
{
	ft-freeze -q --head classify:neg,pos "$model" >plan.ft && ft-tokenize -q -m plan.ft train.tsv >train.tok &&
		ft-batch -q -r 4 -e 2 -s 1 train.tok >train.bat && ft-train -q -m plan.ft train.bat >tuned.ft
} || { fail 'streams to cut'; done_testing; }

# ---- from a pipe to a pipe ----
# cut DESCRIPTION WHOLE COMMAND...: COMMAND reads stdin, and writes a stream to stdout.
cut() {
	what=$1 whole=$2; shift 2
	size=$(wc -c <"$whole")
	is "$what: 76 wherever it is cut, and so its reader" "$(
		"$@" <"$whole" | ft-cat --verify >verify 2>&1 || { echo "# fails when whole"; cat verify; }
		for n in 0 3 40 $((size / 2)) $((size - 9)) $((size - 1)); do
			rc=0 next=0
			head -c "$n" "$whole" | "$@" >stdout 2>err || rc=$?
			ft-cat --verify stdout >verify 2>&1 || next=$?
			[ "$rc $next $(wc -l <err)" = '76 76 1' ] || { echo "# cut at $n: exit $rc, its reader: $next"; cat err; }
		done)" ''
}
cut 'ft-cat --join' train.bat ft-cat --join - train.bat
cut 'ft-batch' train.tok ft-batch -q -r 2
cut 'ft-batch, shuffled' train.tok ft-batch -q -r 2 -s 1 -e 3
cut 'ft-train' train.bat ft-train -q -m plan.ft
cut 'ft-train, its plan' plan.ft ft-train -q -m - train.bat
cut 'ft-teach' train.bat ft-teach -q -m tuned.ft
cut 'ft-freeze' tuned.ft ft-freeze -q --last-layers 1 -

# ---- each of a pipeline's stages is killed, while it waits for more ----
mkfifo text.tsv
# pipeline SIGNAL STAGE: three stages, of which the STAGE-th gets SIGNAL (0: none; the text ends) after half of the text.
pipeline() {
	rm -f model.ft err* status* pid*
	{ ft-tokenize -m plan.ft text.tsv 2>err1 & echo $! >pid1; wait $! 2>killed; echo $? >status1; } |
		{ ft-batch -r 2 2>err2 <&3 & echo $! >pid2; wait $! 2>killed; echo $? >status2; } 3<&0 |
		{ rc=0; ft-train -q -m plan.ft --steps 6 -o model.ft 2>err3 || rc=$?; echo $rc >status3; } &
	exec 9>text.tsv
	head -n 6 train.tsv >&9
	n=0
	while [ ! -s pid1 ] || [ ! -s pid2 ]; do sleep 0.02; [ $((n += 1)) -lt 500 ] || break; done
	if [ "$1" = 0 ]; then tail -n +7 train.tsv >&9; else kill -"$1" "$(cat pid$2)"; fi
	exec 9>&-
	wait $!
	echo "$(cat status1 status2 status3 | tr '\n' ' ')$(ls model.ft 2>&1)"
}
none="ls: cannot access 'model.ft': No such file or directory"
is 'all end well' "$(pipeline 0 0)" '0 0 0 model.ft'
for status in 137 143; do
	signal=$(kill -l $status)
	is "the first gets SIG$signal" "$(pipeline $signal 1)" "$status 76 76 $none"
	like 'the second says that its input stops' "$(tail -n 1 err2)" '^ft-batch: stdin: the stream is cut short|^ft-batch: stdin: empty input'
	like 'the third says what the second said' "$(cat err3)" '^ft-train: stdin: the stage before gave up: stdin: (the stream is cut|empty)'
	like "the second gets SIG$signal" "$(pipeline $signal 2)" "^[0-9]* $status 76 $none"
	like 'the third says that its input stops' "$(cat err3)" '^ft-train: stdin: (the stream is cut short|empty input)'
done

# ---- a stage that gives up says why ----
{ cat train.tsv; printf 'neither\ta fine day 7\n'; } >bad.tsv
ft-tokenize -q -m plan.ft bad.tsv 2>err1 | ft-batch -q 2>err2 | ft-train -q -m plan.ft -o model.ft 2>err3
is 'ft-train ends with 76 after a bad label' $? 76
like 'the last stage says what the first one met' "$(cat err3)" \
	'^ft-train: stdin: the stage before gave up: stdin: the stage before gave up: .*bad.tsv:13: .*neither'
is 'in one line each' "$(cat err1 err2 err3 | wc -l | tr -d ' ')" 3
is 'and writes nothing' "$(ls -A | grep model.ft)" ''
done_testing
