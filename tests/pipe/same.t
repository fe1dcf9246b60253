#!/bin/sh
# The same bytes in all circumstances, with small models; `make same` does it with the embedded ones and more repeats.
. "$(dirname "$0")/../lib.sh"
same() {
	BIN=$BUILD/bin ENCODER=$SRC/tests/ref/tiny-bert LM=$SRC/pipelines/lm/model ROWS=16 REPEATS=2 "$@" "$SRC/tests/same/run"
}
ok "every circumstance gives the same bytes" same env
like "all of them were tried" "$(tail -n 1 "$T/.out")" '^2[0-9] times the same bytes$'
fails_with_other_seed() { rc=0; same env BREAK=1 REPEATS=0 ONLY=files >"$T/table" || rc=$?; echo $rc; }
is "another seed is seen" "$(fails_with_other_seed)" 3
like "in the row that differs" "$(grep differs "$T/table" | head -n 1)" '^another seed .* differs$'
done_testing
