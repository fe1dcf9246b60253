#!/bin/sh
# Streams that are damaged on their way, in every tool that reads one: cut, with a bit turned, records lost, repeated or
# in another order, several streams in one, compressed bombs, other encodings (tests/fault/damage.py). Each is seen, with
# the exit status of ft-stream(5) and one line, and nothing is written. Each tool tries a seventh of the ways; with
# FT_TEST_LONG=1 all of them, and cuts and bits at every byte.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

find_python 'msgpack, zstandard'
if [ -z "$python" ]; then skip 'no python3-msgpack and python3-zstandard'; done_testing; fi

# ---- one of each stream, whole: of all weights only the head trains, so they are small ----
for i in 1 2 3; do
	printf 'pos\ta fine day %d\nneg\ta bad night %d\n' $i $i
done >train.tsv
cp -r "$SRC/tests/ref/tiny-bert" base
{
	ft-freeze -q --head classify:neg,pos --last-layers 0 --freeze 'pool.*' base >plan.ft &&
		ft-tokenize -q -m plan.ft train.tsv >train.tok && ft-batch -q -r 4 -e 2 -s 1 train.tok >train.bat && ft-train -q -m plan.ft train.bat >tuned.ft &&
		ft-train -q -m plan.ft --checkpoint run.ck train.bat >checked.ft &&
		ft-eval -q -m tuned.ft --fisher train.fi train.bat
} || { fail 'streams to damage'; done_testing; }
ft-cat --version | grep -q sanitizer || limit='ulimit -v 900000' # kilobytes of address space

every='' part=7
[ -z "${FT_TEST_LONG:-}" ] || every=all part=1
for whole in train.tok train.bat plan.ft tuned.ft run.ck train.fi; do
	ok "$whole is damaged" $python "$SRC/tests/fault/damage.py" $whole of-$whole $every
done

# right CODE EXIT: whether it ended as it must.
right() {
	[ "$(wc -l <err)" = 1 ] && [ ! -e out ] || return
	case $1/$2 in
	65/65 | 76/76 | 6x/65 | 6x/76 | 6x/78) ;;
	6x/1) grep -q 'No such file' err ;;
	*) return 1 ;;
	esac
}
# harmless CODE EXIT: the damage is where nothing depends on it, such as the notes in a stream's end, which ft-cat shows.
harmless() {
	[ $1/$2 = 6x/0 ] && [ "$(grep -av '^{"end"' stdout | cksum)" = "$(grep -av '^{"end"' want.stdout | cksum)" ] &&
		{ [ ! -e out ] || diff -rq out want.out >differ; }
}

# reads WHOLE COMMAND...: COMMAND reads the file "in", and may write the file "out". What of that is not as it should be.
turn=0
reads() {
	whole=$1; shift
	cp "$whole" in
	rm -rf out want.out
	"$@" >stdout 2>err </dev/null || { echo "# $*: fails when all is whole"; cat err; }
	cp stdout want.stdout
	[ ! -e out ] || mv out want.out
	n=$turn
	for way in "of-$whole"/*; do
		[ $((n = n + 1)) -gt 0 ] && [ $((n % part)) = 0 ] || continue
		name=${way#of-$whole/*-} rc=0
		cp "$way" in
		(eval "${limit:-}"; exec timeout 10 "$@") >stdout 2>err </dev/null || rc=$?
		right "${name%%-*}" $rc || harmless "${name%%-*}" $rc ||
			{ echo "# $*: ${name#*-}: exit $rc, $(ls -d out 2>&1)"; head -n 3 err; }
		rm -rf out
	done
	rm -f in.lock in.1
}
shown() { is "$*" "$(reads "$@" 2>&1)" ''; turn=$((turn + 1)); }

shown train.tok ft-cat in
shown train.tok ft-cat --text -m plan.ft in
shown train.tok ft-cat --verify in
shown train.tok ft-cat --join train.tok in -o out
shown train.tok ft-batch -q in -o out
shown train.tok ft-batch -q -r 2 -s 1 in -o out
shown train.tok ft-batch -q --mix 1,1 train.tok in -o out
shown train.tok ft-predict -q --tokens -m tuned.ft in
shown train.bat ft-cat --verify in
shown train.bat ft-train -q -m plan.ft in -o out
shown train.bat ft-train -q --steps 1 -m plan.ft in -o out
shown train.bat ft-train -q -m plan.ft --valid in train.bat -o out
shown train.bat ft-teach -q -m tuned.ft in -o out
shown train.bat ft-eval -q --bootstrap 9 -m tuned.ft in -p out
shown train.bat ft-eval -q -m tuned.ft --fisher out in
shown plan.ft ft-cat --header in
shown plan.ft ft-tokenize -q -m in train.tsv -o out
shown plan.ft ft-train -q -m in train.bat -o out
shown tuned.ft ft-cat --data in
shown tuned.ft ft-freeze -q --last-layers 1 in -o out
shown tuned.ft ft-freeze -q --head regress in -o out
shown tuned.ft ft-train -q -m plan.ft --distill in train.bat -o out
shown tuned.ft ft-eval -q --bootstrap 9 -m in train.bat -p out
shown tuned.ft ft-eval -q --bootstrap 9 -m tuned.ft --baseline in train.bat -p out
shown tuned.ft ft-predict -q -m in train.tsv
shown tuned.ft ft-merge -q tuned.ft in -o out
shown tuned.ft ft-export -q -m in out
shown run.ck ft-train -q -m plan.ft --checkpoint in train.bat -o out
shown train.fi ft-train -q -m plan.ft --ewc in --ewc-weight 1 train.bat -o out
done_testing
