#!/bin/sh
# Each fuzz harness on its seeds and on mutations of them, without libFuzzer.
. "$(dirname "$0")/../lib.sh"

found=0
for harness in "$SRC"/tests/fuzz/*.c; do
	name=$(basename "$harness" .c)
	[ "$name" != replay ] || continue
	found=$((found + 1))
	if [ ! -d "$SRC/tests/fuzz/seeds/$name" ]; then
		fail "$name has seeds in tests/fuzz/seeds/$name"
		continue
	fi
	ok "$name: seeds, and 500 mutations of each" \
		timeout 60 "$BUILD/fuzz/$name-replay" -m 500 "$SRC/tests/fuzz/seeds/$name"
done
is "harnesses were found" "$((found > 0))" 1
done_testing
