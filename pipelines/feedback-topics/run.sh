#!/bin/sh
# Topics by ft: two JSON lines for each seed, with thresholds of 0.5 and with tuned ones.
#   run.sh MODEL DATA SEED...
# EPOCHS and LENGTH come from the Makefile, and so does the recipe.
set -eu
model=$1 data=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for seed; do
	ft-freeze --head "multilabel:@$data/labels.txt" --seed "$seed" -o "$work/plan.ft" "$model"
	for part in train valid test; do
		ft-tokenize -q -m "$work/plan.ft" --max-length "$LENGTH" -o "$work/$part.tok" "$data/$part.tsv"
		ft-batch -q --rows 64 -o "$work/$part.bat" "$work/$part.tok"
	done
	ft-batch -q --rows 16 --epochs "$EPOCHS" --shuffle "$seed" -o "$work/train.bat" "$work/train.tok"
	before=$(date +%s.%N)
	ft-train -q -m "$work/plan.ft" --lr 2e-4 --seed "$seed" -o "$work/tuned.ft" "$work/train.bat"
	after=$(date +%s.%N)
	seconds=$(awk "BEGIN { printf \"%.1f\", $after - $before }")
	ft-eval -q -m "$work/tuned.ft" --bootstrap 0 --tune-thresholds "$work/tuned.json" --json "$work/valid.bat" >/dev/null
	ft-eval -q -m "$work/tuned.ft" --bootstrap 0 --json "$work/test.bat" |
		sed "s/^{/{\"seed\":$seed,\"thresholds\":0.5,\"seconds\":$seconds,/"
	ft-eval -q -m "$work/tuned.ft" --bootstrap 0 --thresholds "$work/tuned.json" --json "$work/test.bat" |
		sed "s/^{/{\"seed\":$seed,\"thresholds\":\"tuned\",\"seconds\":$seconds,/"
done
