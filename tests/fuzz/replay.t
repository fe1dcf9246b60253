#!/bin/sh
# Each fuzz harness on its seeds and on mutations of them, without libFuzzer: no crash, no hang, and memory of at most
# 64 MiB and twice the file. With FT_TEST_LONG=1 on ten thousand mutations of each format. Then on the seeds while
# allocations fail: of all calls that lead to one, each fails once.
. "$(dirname "$0")/../lib.sh"

# How often each seed of a harness is changed. Those of text are of formats of their own.
mutations() {
	[ -n "${FT_TEST_LONG:-}" ] || { echo 500; return; }
	[ "$1" = text ] && echo 10000 || echo $((10000 / $(ls "$SRC/tests/fuzz/seeds/$1" | wc -l) + 1))
}

found=0
for harness in "$SRC"/tests/fuzz/*.c; do
	name=$(basename "$harness" .c)
	[ "$name" != replay ] || continue
	found=$((found + 1))
	if [ ! -d "$SRC/tests/fuzz/seeds/$name" ]; then
		fail "$name has seeds in tests/fuzz/seeds/$name"
		continue
	fi
	ok "$name: seeds, and $(mutations $name) mutations of each" \
		timeout 3000 "$BUILD/fuzz/$name-replay" -m "$(mutations $name)" "$SRC/tests/fuzz/seeds/$name"
done
if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -shared -fPIC -o "$T/allocs.so" "$SRC/tests/fault/allocs.c" 2>/dev/null; then
	skip 'allocations cannot be made to fail here'
else
	for seeds in "$SRC"/tests/fuzz/seeds/*; do
		name=${seeds##*/}
		said=$(OMP_NUM_THREADS=1 LD_PRELOAD=$T/allocs.so timeout 300 "$BUILD/fuzz/$name-replay" -a "$seeds" 2>"$T/err" || tail -n 1 "$T/err")
		like "$name: an allocation may fail" "$said" '^[0-9]+ files, [0-9]{2,} runs'
	done
fi
is "harnesses were found" "$((found > 0))" 1
done_testing
