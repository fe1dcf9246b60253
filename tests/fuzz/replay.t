#!/bin/sh
# Each fuzz harness on its seeds and on mutations of them, without libFuzzer: no crash, no hang, and memory of at most
# 64 MiB and twice the file. With FT_TEST_LONG=1 on ten thousand mutations of each format.
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
is "harnesses were found" "$((found > 0))" 1
done_testing
