#!/bin/sh
# System calls that fail under the tools: interruptions are not seen, all else is a
# clean failure with nothing left. (tests/unit/io.c does the same to the library,
# call by call.)
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

if ! strace -o /dev/null true 2>/dev/null; then
	skip 'strace cannot be used here'
	done_testing
fi
ASAN_OPTIONS=detect_leaks=0 # leaks cannot be looked for under strace
export ASAN_OPTIONS
model=$SRC/tests/ref/tiny-bert
for i in 1 2 3 4 5 6; do
	printf 'pos\ta fine day %d\nneg\ta bad night %d\n' $i $i
done >train.tsv
{
	ft-freeze -q --head classify:neg,pos "$model" >plan.ft && ft-tokenize -q -m plan.ft train.tsv >train.tok &&
		ft-batch -q -r 4 -e 2 -s 1 train.tok >train.bat && ft-train -q -m plan.ft train.bat >tuned.ft
} || { fail 'streams'; done_testing; }
trace() { # CALLS INJECTION COMMAND...
	calls=$1 injection=$2; shift 2
	strace -f -qq -o trace -e trace=$calls -e inject=$calls:$injection "$@"
}

# ---- every other call is interrupted ----
same() { # WANTED COMMAND...: reads $in
	wanted=$1; shift
	trace write error=EINTR:when=1+2 "$@" >got 2>err && cmp got "$wanted" && grep -q INJECTED trace || { echo "# write: $*"; cat err; }
	strace -f -qq -o trace -P "$T/$in" -e trace=read -e inject=read:error=EINTR:when=1+2 "$@" <"$in" >got 2>err &&
		cmp got "$wanted" && grep -q INJECTED trace || { echo "# read: $*"; cat err; }
}
ft-batch -q -r 3 train.tok >want.bat
is 'interrupted reads and writes' "$(
	in=train.tok; same want.bat ft-batch -q -r 3 $in 2>&1
	in=train.bat; same tuned.ft ft-train -q -m plan.ft $in 2>&1
	in=train.tsv; same train.tok ft-tokenize -q -m plan.ft $in 2>&1
)" ''

# ---- one call fails ----
mkdir dir
broken() { # CALLS ERROR MESSAGE COMMAND...: at each of its calls in turn
	calls=$1 error=$2 message=$3 hit=0; shift 3
	for n in 1 2 3; do
		echo old >dir/out
		rc=0
		trace $calls error=$error:when=$n "$@" -o dir/out >stdout 2>err || rc=$?
		grep -q INJECTED trace || break
		hit=1
		# Only the last step, syncing the folder, comes after the name is given.
		{ [ "$(cat dir/out | head -c 3)" = old ] || { [ $calls = fsync ] && ft-cat --verify dir/out >verify; }; } &&
			[ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q "$message" err && [ "$(ls -A dir)" = out ] ||
			{ echo "# $calls $n: $*: exit $rc, $(ls -A dir)"; cat err; }
	done
	[ $hit = 1 ] || echo "# $calls: $*: none was made"
}
all() {
	"$@" ft-freeze -q "$model"
	"$@" ft-tokenize -q -m plan.ft train.tsv
	"$@" ft-batch -q train.tok
	"$@" ft-train -q -m plan.ft train.bat
	"$@" ft-cat --join train.tok train.tok
}
is 'write fails: no space' "$(all broken write ENOSPC 'dir/out: No space left on device$')" ''
is 'fsync fails: an error of the device' "$(all broken fsync EIO 'dir/out: Input/output error$')" ''
is 'rename fails: not permitted' "$(all broken rename,renameat,renameat2 EPERM 'dir/out: Operation not permitted$')" ''
read_fails() { # FILE COMMAND...
	file=$1; shift
	rc=0
	strace -f -qq -o trace -P "$T/$file" -e trace=read -e inject=read:error=EIO:when=1 "$@" >stdout 2>err || rc=$?
	[ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q "$file: Input/output error\$" err || { echo "# $*: exit $rc"; cat err; }
}
is 'read fails' "$(
	read_fails train.tok ft-batch -q train.tok 2>&1
	read_fails train.bat ft-cat train.bat 2>&1
	read_fails plan.ft ft-train -q -m plan.ft train.bat 2>&1
	read_fails train.bat ft-train -q -m plan.ft train.bat 2>&1
	read_fails train.bat ft-eval -q -m tuned.ft train.bat 2>&1
	read_fails train.tsv ft-tokenize -q -m plan.ft train.tsv 2>&1
	read_fails train.tsv ft-predict -q -m tuned.ft train.tsv 2>&1
)" ''

# ---- killed at any call that changes a file: the old one, or the new one whole ----
kills() {
	for n in 1 2 3 4; do
		echo old >dir/out
		strace -f -qq -o trace -e trace=write,fsync,rename -e inject=write,fsync,rename:signal=KILL:when=$n "$@" -o dir/out \
			>stdout 2>err
		[ "$(head -c 3 dir/out)" = old ] || ft-cat --verify dir/out >verify 2>&1 || echo "# call $n: $*"
		rm -f dir/.out.*
	done
}
is 'killed' "$(all kills 2>/dev/null)" ''
done_testing
