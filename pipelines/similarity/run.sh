#!/bin/sh
# One loss, by ft: a JSON line for each seed.
#   run.sh MODEL OUT cosine|cosent EPOCHS SEED...
# The recipe is that of sentences.py: batches of 16 pairs, peak rate 2e-5, at most 64
# tokens a text. What is not named here is ft-train's default.
set -eu
model=$1 out=$2 loss=$3 epochs=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ft-freeze -q --head embed --loss "$loss" -o "$work/plan.ft" "$model"
ft-tokenize -q -m "$work/plan.ft" --text 2 --pair 3 --label 1 --max-length 64 -o "$work/train.tok" "$out/train.tsv"
ft-batch -q --rows 64 -o "$work/test.bat" "$out/test.tok"
for seed; do
	ft-batch -q --rows 16 --epochs "$epochs" --shuffle "$seed" -o "$work/train.bat" "$work/train.tok"
	before=$(date +%s.%N)
	ft-train -q -m "$work/plan.ft" --lr 2e-5 --seed "$seed" -o "$work/tuned.ft" "$work/train.bat"
	after=$(date +%s.%N)
	result=$(ft-eval -q -m "$work/tuned.ft" --bootstrap 0 --json "$work/test.bat")
	awk -v a="$before" -v b="$after" -v s="$seed" -v r="$result" \
		'BEGIN { sub(/^{/, sprintf("{\"seed\":%d,\"seconds\":%.1f,", s, b - a), r); print r }'
done
