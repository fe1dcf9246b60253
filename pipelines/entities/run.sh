#!/bin/sh
# One data set by ft: a JSON line for each seed.
#   run.sh MODEL DATA SEED...
# The recipe is that of reference.py: 3 epochs of batches of 16 rows, peak rate
# 1e-4, at most 256 tokens (or MAX_LENGTH). What is not named here is ft-train's default.
set -eu
model=$1 data=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for seed; do
	ft-freeze --head "tag:@$data/labels" --seed "$seed" -o "$work/plan.ft" "$model"
	for part in train test; do
		ft-tokenize -q -m "$work/plan.ft" --max-length "${MAX_LENGTH:-256}" -o "$work/$part.tok" "$data/$part.jsonl"
	done
	ft-batch -q --rows 16 --epochs 3 --shuffle "$seed" -o "$work/train.bat" "$work/train.tok"
	ft-batch -q --rows 64 -o "$work/test.bat" "$work/test.tok"
	before=$(date +%s.%N)
	ft-train -q -m "$work/plan.ft" --lr 1e-4 --seed "$seed" -o "$work/tuned.ft" "$work/train.bat"
	after=$(date +%s.%N)
	result=$(ft-eval -q -m "$work/tuned.ft" --bootstrap 0 --json "$work/test.bat")
	awk -v a="$before" -v b="$after" -v s="$seed" -v r="$result" \
		'BEGIN { sub(/^{/, sprintf("{\"seed\":%d,\"seconds\":%.1f,", s, b - a), r); print r }'
done
