#!/bin/sh
# The sentiment pipeline as a Makefile: run twice from clean every artifact has
# the same bytes, and a change makes again only what depends on it.
. "$(dirname "$0")/../lib.sh"
OMP_WAIT_POLICY=passive; export OMP_WAIT_POLICY

head -n 120 "$SRC/pipelines/sentiment/data/train.tsv" > "$T/train.tsv"
head -n 40 "$SRC/pipelines/sentiment/data/valid.tsv" > "$T/valid.tsv"
head -n 40 "$SRC/pipelines/sentiment/data/test.tsv" > "$T/test.tsv"
run() { # OUT [TARGET...]
	out=$1; shift
	make -s -C "$SRC/pipelines/sentiment" BIN="$BUILD/bin" MODEL="$SRC/tests/ref/tiny-bert" OUT="$out" EPOCHS=2 \
		TRAIN="$T/train.tsv" VALID="$T/valid.tsv" TEST="$T/test.tsv" "$@"
}
sums() { (cd "$1" && find . -type f | sort | xargs sha256sum); }

ok "it runs" run "$T/a"
ok "it runs again from clean, in another folder" run "$T/b"
is "every artifact has the same bytes" "$(sums "$T/a")" "$(sums "$T/b")"
like "there are results" "$(cat "$T/a/tuned.json")" '"accuracy":'
ok "the export" run "$T/a" export
ok "which is a model that others can load" test -s "$T/a/hf/model.safetensors"

is "a second run makes nothing" "$(run "$T/a" -n 2>&1 | grep -c ft-)" 0
sleep 1; touch "$T/test.tsv"
made=$(run "$T/a" -n 2>&1 | grep -oE '^ft-[a-z]+' | sort | uniq -c | tr -s ' \n' ' ')
is "new test data: tokenised, batched, evaluated; nothing is trained" "$made" " 1 ft-batch 3 ft-eval 1 ft-tokenize "

ok "as one pipe without files" sh -c '
	ft-freeze --head classify:neg,pos "$SRC/tests/ref/tiny-bert" > "$T/plan.ft" &&
	ft-tokenize -q -m "$T/plan.ft" "$T/train.tsv" | ft-batch --epochs 2 --shuffle 1 |
	ft-train -q -m "$T/plan.ft" > "$T/tuned.ft" &&
	ft-tokenize -q -m "$T/tuned.ft" "$T/test.tsv" | ft-batch | ft-eval -q -m "$T/tuned.ft" --json'
done_testing
