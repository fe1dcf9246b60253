#!/bin/sh
# Gradual unfreezing: what each stage of the chain trains, and that the others stay, on a tiny model.
. "$(dirname "$0")/../lib.sh"
OMP_WAIT_POLICY=passive; export OMP_WAIT_POLICY
command -v python3 >/dev/null || { skip 'no python3'; done_testing; exit; }
mkdir "$T/data"
for part in train test; do head -n 32 "$SRC/pipelines/sentiment/data/$part.tsv" >"$T/data/$part.tsv"; done
run() {
	make -s -C "$SRC/pipelines/gradual-unfreezing" BIN="$BUILD/bin" MODEL="$SRC/tests/ref/tiny-bert" DATA="$T/data" OUT="$T/out" \
		SEEDS='1 2' EPOCHS=1 LAYERS=1 "$@"
}
ok 'it runs' run
is 'a table of four rows' "$(grep -c '^| [a-z]' "$T/out/table.md")" 4
like 'of two seeds each' "$(cat "$T/out/table.md")" '^\| then all \| 100.0 ± 0.0 \| [0-9.]+ ± [0-9.]+'
body() { ft-cat "$1" | sed -n 's/.*"tensor":"\(layer[^"]*\)".*"xxh3":"\([^"]*\)".*/\1 \2/p'; }
is 'the head alone changes nothing of the body' "$(body "$T/out/1.head.ft")" ''
is 'then the last layer changes, and no other' "$(body "$T/out/1.last.ft" | grep -v '^layer\.1\.')" ''
is 'then all do' "$(body "$T/out/1.all.ft" | grep -c '^layer\.0\.')" 16
is 'nothing is made again' "$(run -n | grep -c ft-)" 0
ok 'another seed' run SEEDS='1 2 3'
is 'is added' "$(wc -l <"$T/out/all.jsonl")" 3
done_testing
