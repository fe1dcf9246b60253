#!/bin/sh
# Output that cannot be written: a full device, a closed one, a reader that has
# left, a place that is not there. And inputs that are no files.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

model=$SRC/tests/ref/tiny-bert
for i in 1 2 3 4 5 6; do
	printf 'pos\ta fine day %d\nneg\ta bad night %d\n' $i $i
done >train.tsv
{
	ft-freeze -q --head classify:neg,pos "$model" >plan.ft && ft-tokenize -q -m plan.ft train.tsv >train.tok &&
		ft-batch -q -r 4 -e 2 -s 1 train.tok >train.bat && ft-train -q -m plan.ft --log train.log train.bat >tuned.ft &&
		ft-cat train.tok >train.json
} || { fail 'streams to write'; done_testing; }

# each COMMAND: runs it with every command line that writes to stdout.
each() {
	"$@" ft-freeze -q "$model"
	"$@" ft-freeze --show "$model"
	"$@" ft-tokenize -q -m plan.ft train.tsv
	"$@" ft-batch -q train.tok
	"$@" ft-batch -q -s 1 train.tok
	"$@" ft-train -q -m plan.ft train.bat
	"$@" ft-teach -q -m tuned.ft train.bat
	"$@" ft-merge -q tuned.ft plan.ft
	"$@" ft-merge -q --show tuned.ft plan.ft
	"$@" ft-report -a train.log
	"$@" ft-report --html - train.log
	"$@" ft-cat train.tok
	"$@" ft-cat --verify train.bat
	"$@" ft-cat --from-json train.json
	"$@" ft-cat --join train.tok train.tok
	"$@" ft-eval -q -m tuned.ft train.bat
	"$@" ft-eval -q --json -m tuned.ft train.bat
	"$@" ft-predict -q -m tuned.ft train.tsv
	"$@" ft-batch --help
	"$@" ft-batch --version
}

# ---- stdout is full, or closed ----
full() {
	rc=0
	"$@" >/dev/full 2>err || rc=$?
	[ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q ': stdout: No space left on device$' err ||
		{ echo "# $*: exit $rc"; sed 's/^/# /' err; }
}
is '/dev/full: 1 and one line' "$(each full)" ''
closed() {
	rc=0
	"$@" >&- 2>err || rc=$?
	[ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q ': stdout: Bad file descriptor$' err ||
		{ echo "# $*: exit $rc"; sed 's/^/# /' err; }
}
is 'a closed stdout: 1 and one line' "$(each closed)" ''

# ---- whoever reads has left ----
left() {
	{ sleep 0.05; rc=0; "$@" 2>err || rc=$?; echo $rc >rc; } | true
	[ "$(cat rc)" = 141 ] && [ ! -s err ] || { echo "# $*: exit $(cat rc)"; sed 's/^/# /' err; }
}
is 'a reader that has left: SIGPIPE, quietly' "$(each left)" ''
ignored() {
	{ sleep 0.05; rc=0; (trap '' PIPE; exec "$@") 2>err || rc=$?; echo $rc >rc; } | true
	[ "$(cat rc)" = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q ': stdout: Broken pipe$' err ||
		{ echo "# $*: exit $(cat rc)"; sed 's/^/# /' err; }
}
is 'where SIGPIPE is ignored: 1 and one line' "$(each ignored)" ''

# More than a pipe holds, of which a line is read.
for i in 1 2 3 4 5 6 7 8 9; do cat train.tsv train.tsv train.tsv train.tsv; done | sed 's/$/ and night and day and night and day/' >long.tsv
ft-tokenize -q -m plan.ft long.tsv | ft-batch -q -r 1 -e 9 -o long.bat
first() { { rc=0; "$@" 2>err || rc=$?; echo $rc >rc; } | head -n 1 >line; echo "$(cat rc) $(wc -l <line) $(cat err)"; }
is '| head -n 1 of ft-cat' "$(first ft-cat long.bat)" '141 1 '
is '| head -n 1 of ft-predict' "$(first ft-predict -q --keep-text -g 1 -m tuned.ft long.tsv long.tsv long.tsv)" '141 1 '

# ---- where something is printed and a file is written, the file is not there when nobody could be told ----
silent() { # COMMAND...: writes the file or folder "printed" and prints
	rm -rf printed
	rc=0
	"$@" >/dev/full 2>err || rc=$?
	[ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && [ ! -e printed ] && [ -z "$(ls -A | grep '^\.printed')" ] ||
		{ echo "# $*: exit $rc, $(ls -d printed)"; cat err; }
	"$@" >stdout 2>err && [ -e printed ] && [ -s stdout ] || { echo "# $*: fails otherwise, too"; cat err; }
}
is 'a file beside what is printed' "$(
	silent ft-freeze --show "$model" -o printed 2>&1
	silent ft-merge -q --show tuned.ft plan.ft -o printed 2>&1
	silent ft-eval -q --bootstrap 9 -m tuned.ft train.bat -p printed 2>&1
	silent ft-export -q --json -m tuned.ft printed 2>&1
)" ''

# ---- -o ----
echo old >old
# into COMMAND...: runs it with every command line that writes to -o FILE.
into() {
	"$@" ft-freeze -q "$model"
	"$@" ft-tokenize -q -m plan.ft train.tsv
	"$@" ft-batch -q train.tok
	"$@" ft-train -q -m plan.ft train.bat
	"$@" ft-cat --join train.tok train.tok
	"$@" ft-cat --from-json train.json
}
# place REASON PLACE COMMAND...
place() {
	reason=$1 where=$2; shift 2
	rc=0
	"$@" -o "$where" >stdout 2>err || rc=$?
	[ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q ": $where: $reason\$" err && [ ! -s stdout ] ||
		{ echo "# $* -o $where: exit $rc"; sed 's/^/# /' err; }
}
mkdir dir
is '-o in a folder that is not there' "$(into place 'No such file or directory' nothing/out)" ''
is '-o below a file' "$(into place 'Not a directory' old/out)" ''
is '-o onto a folder' "$(into place 'Is a directory' dir)" ''
is '-o onto a full device' "$(into place 'No space left on device' /dev/full)" ''
if [ "$(id -u)" = 0 ]; then
	skip 'root may write anywhere'
else
	chmod a-w dir
	is '-o in a folder that may not be written' "$(into place 'Permission denied' dir/out)" ''
	chmod u+w dir
fi
is 'the folder is still empty' "$(ls -A dir)" ''

# written COMMAND...: replaces a file, and leaves no other.
written() {
	cp old dir/out
	"$@" -o dir/out >stdout 2>err && ft-cat --verify dir/out >verify && [ ! -s stdout ] && [ "$(ls -A dir)" = out ] ||
		{ echo "# $* -o dir/out"; sed 's/^/# /' err; }
	cp dir/out again
	"$@" -o - >stdout 2>err && cmp -s stdout again || echo "# $* -o -: other bytes"
}
is '-o replaces a file; -o - is stdout' "$(into written)" ''
# refused COMMAND...: with input that fails late, the old file stays.
refused() {
	cp old dir/out
	rc=0
	"$@" -o dir/out >stdout 2>err || rc=$?
	[ $rc != 0 ] && cmp -s old dir/out && [ "$(ls -A dir)" = out ] && [ ! -s stdout ] || { echo "# $*: exit $rc"; ls -lA dir; }
}
head -c $(($(wc -c <train.tok) - 3)) train.tok >cut.tok
head -c $(($(wc -c <train.bat) - 3)) train.bat >cut.bat
{ cat train.tsv; echo 'none	of these'; } >bad.tsv
sed '$d' train.json >cut.json
is 'a failure leaves the old file and nothing beside it' "$(
	refused ft-freeze --train nothing plan.ft
	refused ft-tokenize -q -m plan.ft bad.tsv
	refused ft-batch -q cut.tok
	refused ft-batch -q -s 1 cut.tok
	refused ft-train -q -m plan.ft cut.bat
	refused ft-cat --join train.tok cut.tok
	refused ft-cat --from-json cut.json
)" ''
mkfifo fifo
cat fifo >from-fifo &
ok '-o onto a fifo' ft-batch -q train.tok -o fifo
wait
ok 'which gets it all' ft-cat --verify from-fifo
is 'and stays a fifo' "$(ls -l fifo | cut -c1)" p
rc=0
(ulimit -f 8; trap '' XFSZ; exec ft-train -q -m plan.ft train.bat -o dir/out) 2>err || rc=$?
is 'a limit on the size of files: 1' $rc 1
like 'in one line' "$(cat err)" '^ft-train: dir/out: File too large$'
is 'and nothing is left' "$(cat dir/out) $(ls -A dir)" 'old out'

# ---- closed descriptors do not end up in data ----
rm dir/out
is 'stdin closed: no input' "$(ft-batch <&- 2>&1 | grep -c 'stdin: Bad file descriptor')" 1
ok 'all closed' sh -c 'ft-batch train.tok -o dir/out <&- >&- 2>&-'
ok 'the stream is whole' ft-cat --verify dir/out
ft-batch -r 5 -q train.tok >open.bat
ft-batch -r 5 train.tok -o dir/closed.bat <&- >&- 2>&-
is 'and the same' "$(cmp open.bat dir/closed.bat 2>&1)" ''
ok 'messages to nowhere are lost' sh -c 'ft-train -m plan.ft train.bat -o dir/out --log dir/log <&- >&- 2>&-'
ok 'also beside a log' sh -c "ft-cat --verify dir/out && grep -q '\"step\":1,' dir/log && ! grep -v '^{' dir/log"

# ---- inputs that are no files ----
fails 'ft-cat of a folder' 1 ft-cat dir
fails 'ft-batch of a folder' 1 ft-batch dir
like 'says so' "$(cat .err)" '^ft-batch: dir: Is a directory$'
fails 'ft-train on a folder' 1 ft-train -q -m plan.ft dir
fails 'ft-eval on a folder' 1 ft-eval -q -m tuned.ft dir
fails 'ft-tokenize of a folder' 1 ft-tokenize -q -m plan.ft dir
fails 'ft-predict of a folder' 1 ft-predict -q -m tuned.ft dir
fails 'a folder that is no model' 1 ft-freeze dir
for tool in 'ft-cat nothing' 'ft-batch nothing' 'ft-train -m plan.ft nothing' 'ft-train -m nothing train.bat' \
	'ft-eval -m tuned.ft nothing' 'ft-eval -m nothing train.bat' 'ft-tokenize -m plan.ft nothing' \
	'ft-tokenize -m nothing train.tsv' 'ft-predict -m tuned.ft nothing' 'ft-freeze nothing' 'ft-export -m nothing out' \
	'ft-cat --from-json nothing' 'ft-train -m plan.ft --valid nothing train.bat'; do
	fails "$tool" 1 $tool
	grep -q 'nothing: No such file or directory' .err || { fail "$tool says so"; sed 's/^/# /' .err; }
done

# ---- a terminal ----
if python3 -c 'import pty' 2>/dev/null; then
	# on_terminal COMMAND...: all that it writes there, and how it ends
	on_terminal() { python3 -c 'import os, pty, sys; print("exit", os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' "$@" </dev/null | tr -d '\r'; }
	is 'a stream is not written there' "$(on_terminal ft-batch -q train.tok)" 'ft-batch: a stream is binary and is not written to a terminal; redirect it or use -o FILE
exit 2'
	like 'but what is text' "$(on_terminal ft-cat train.bat)" '^exit 0'
	like 'progress is told on a line of its own' "$(on_terminal ft-train -m plan.ft -o term.ft train.bat)" 'exit 0$'
else
	skip 'no terminals here'
fi
done_testing
