#!/bin/sh
# System calls that fail under the tools: interruptions and short reads and writes are not seen, all else is a clean
# failure with nothing left. (tests/unit/io.c does the same to the library, call by call.)
# The first calls fail, one by one; with FT_TEST_LONG=1 each.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

cp -r "$SRC/tests/ref/tiny-bert" base
for i in 1 2 3 4 5 6; do
	printf 'pos\ta fine day %d\nneg\ta bad night %d\n' $i $i
done >train.tsv
tar -czf texts.tar.gz train.tsv
{
	ft-freeze -q --head classify:neg,pos base >plan.ft && ft-tokenize -q -m plan.ft train.tsv >train.tok &&
		ft-batch -q -r 4 -e 2 -s 1 train.tok >train.bat && ft-train -q -m plan.ft --log train.log train.bat >tuned.ft &&
		ft-cat train.bat >train.json
} || { fail 'streams'; done_testing; }
last=2
[ -z "${FT_TEST_LONG:-}" ] || last=1000000

# written COMMAND...: runs it with every command line that makes the file or folder "out".
written() {
	"$@" ft-freeze -q base -o out
	"$@" ft-tokenize -q -m plan.ft train.tsv -o out
	"$@" ft-batch -q -s 1 train.tok -o out
	"$@" ft-train -q -m plan.ft train.bat -o out
	"$@" ft-teach -q -m tuned.ft train.bat -o out
	"$@" ft-merge -q tuned.ft plan.ft -o out
	"$@" ft-cat --join train.tok train.tok -o out
	"$@" ft-cat --from-json train.json -o out
	"$@" ft-eval -q --bootstrap 9 -m tuned.ft train.bat -p out
	"$@" ft-eval -q -m tuned.ft --fisher out train.bat
	"$@" ft-report -q --html out train.log
	"$@" ft-export -q -m tuned.ft out
}
# printed COMMAND...: with those that print.
printed() {
	"$@" ft-cat train.bat
	"$@" ft-tokenize -q -m plan.ft --member '*.tsv' texts.tar.gz
	"$@" ft-eval -q --bootstrap 9 -m tuned.ft train.bat
	"$@" ft-predict -q -m tuned.ft train.tsv
	"$@" ft-train -q -m plan.ft --valid train.bat --valid-every 1 train.bat
}

# ---- all reads and writes move little, and every other one is interrupted ----
preload=$T/calls.so
if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -shared -fPIC -o "$preload" "$SRC/tests/fault/calls.c" 2>cc.err; then
	skip 'calls cannot be replaced here'
else
	same() {
		rm -rf out want
		"$@" >want.stdout 2>err || { echo "# $*"; cat err; }
		[ ! -e out ] || mv out want
		LD_PRELOAD=$preload FT_CALL_MOST=7 "$@" >stdout 2>err || { echo "# $*"; cat err; }
		cmp stdout want.stdout || echo "# $*"
		[ ! -e want ] || diff -rq out want || echo "# $*"
	}
	is 'reads and writes of 7 bytes, every other one interrupted: the same bytes' "$(written same 2>&1; printed same 2>&1)" ''
fi

if ! strace -o /dev/null true 2>/dev/null; then
	skip 'strace cannot be used here'
	done_testing
fi
ASAN_OPTIONS=detect_leaks=0 # leaks cannot be looked for under strace
export ASAN_OPTIONS

# ---- one call fails: the output is as it was, and one line says why ----
# What ft-export replaces is a folder; what was there before is called "old" in any case.
before() {
	rm -rf out .out*
	case $1 in
	ft-export) cp -r base out; cp train.tsv out/old ;;
	*) echo old >out ;;
	esac
}
is_old() { [ "$(head -c 3 out 2>/dev/null)" = old ] || cmp -s out/old train.tsv; }
# Only the last step, syncing the folder, comes after the name is given.
is_new() { [ "$1" = fsync ] && ! is_old && [ -e out ]; }
broken() { # CALLS ERROR MESSAGE COMMAND...: at each of its calls in turn
	calls=$1 error=$2 message=$3 n=0; shift 3
	[ "$1" != ft-export ] || set -- "$@" --force
	while [ $((n += 1)) -le $last ]; do
		before "$1"
		rc=0
		strace -f -qq -y -o trace -e trace=$calls -e inject=$calls:error=$error:when=$n "$@" >stdout 2>err || rc=$?
		grep INJECTED trace | grep -qv '\.gcda>' || break # what counts lines writes when all is done
		{ is_old || is_new $calls; } && [ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q "$message\$" err &&
			[ -z "$(ls -A | grep '^\.out')" ] || { echo "# $calls $n: $*: exit $rc, $(ls -dA out .out*)"; cat err; }
	done
	[ $n -gt 1 ] || echo "# $calls: $*: none was made"
}
is 'write fails: no space' "$(written broken write ENOSPC 'No space left on device' 2>&1)" ''
is 'fsync fails: an error of the device' "$(written broken fsync EIO 'Input/output error' 2>&1)" ''
is 'rename fails: not permitted' "$(written broken rename,renameat,renameat2 EPERM 'Operation not permitted' 2>&1)" ''
stdout_fails() {
	n=0
	while [ $((n += 1)) -le $last ]; do
		rc=0
		strace -f -qq -o trace -P "$T/stdout" -e trace=write -e inject=write:error=EIO:when=$n "$@" >stdout 2>err || rc=$?
		grep -q INJECTED trace || break
		[ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q 'stdout: Input/output error$' err || { echo "# write $n: $*: exit $rc"; cat err; }
	done
	[ $n -gt 1 ] || echo "# $*: nothing was written"
}
is 'a write to stdout fails' "$(printed stdout_fails 2>&1)" ''

# ---- reads that fail, of each file ----
reads_fail() { # FILE COMMAND...
	file=$1 n=0; shift
	while [ $((n += 1)) -le $last ]; do
		rc=0
		strace -f -qq -o trace -P "$T/$file" -e trace=read,pread64 -e inject=read,pread64:error=EIO:when=$n "$@" >stdout 2>err || rc=$?
		grep -q INJECTED trace || break
		[ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q ': Input/output error$' err && grep -q "${file##*/}" err ||
			{ echo "# $file, read $n: $*: exit $rc"; cat err; }
	done
	[ $n -gt 1 ] || echo "# $file: $*: nothing was read"
}
is 'a read fails' "$(
	for file in base/config.json base/tokenizer.json; do reads_fail $file ft-freeze -q base 2>&1; done
	for file in train.tok; do reads_fail $file ft-batch -q train.tok 2>&1; done
	reads_fail train.bat ft-cat train.bat 2>&1
	reads_fail train.json ft-cat --from-json train.json 2>&1
	for file in plan.ft train.tsv; do reads_fail $file ft-tokenize -q -m plan.ft train.tsv 2>&1; done
	reads_fail texts.tar.gz ft-tokenize -q -m plan.ft --member '*.tsv' texts.tar.gz 2>&1
	for file in plan.ft train.bat; do reads_fail $file ft-train -q -m plan.ft --valid train.bat train.bat 2>&1; done
	for file in tuned.ft train.bat; do reads_fail $file ft-eval -q -m tuned.ft train.bat 2>&1; done
	for file in tuned.ft train.tsv; do reads_fail $file ft-predict -q -m tuned.ft train.tsv 2>&1; done
	reads_fail train.bat ft-teach -q -m tuned.ft train.bat 2>&1
	reads_fail plan.ft ft-merge -q tuned.ft plan.ft 2>&1
	reads_fail tuned.ft ft-export -q -m tuned.ft never 2>&1
	reads_fail train.log ft-report train.log 2>&1
)" ''

# ---- killed at any call that changes a file: the old one, or the new one whole ----
whole() {
	case $1 in
	ft-export) [ -e out/model.safetensors ] && ft-export -q -m out again && rm -r again ;;
	ft-eval) [ "$(tail -c 1 out | od -An -c | tr -d ' ')" = '\n' ] || ft-cat --verify out ;;
	ft-report) tail -n 1 out | grep -q '</html>' ;;
	*) ft-cat --verify out ;;
	esac
}
kills() {
	n=0
	[ "$1" != ft-export ] || set -- "$@" --force
	while [ $((n += 1)) -le $last ]; do
		before "$1"
		strace -f -qq -o trace -e trace=write,fsync,rename,renameat2 -e inject=write,fsync,rename,renameat2:signal=KILL:when=$n "$@" >stdout 2>err
		grep -q 'killed by SIGKILL' trace || break
		is_old || whole "$@" >verify 2>&1 || { echo "# call $n: $*"; cat verify; }
	done
}
is 'killed' "$(written kills 2>/dev/null)" ''
done_testing
