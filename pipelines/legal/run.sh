#!/bin/sh
# One way to read long documents, by ft: a JSON line for each seed, and with windows for each way to combine them.
#   run.sh MODEL DATA truncate|split EPOCHS SEED...
# LENGTH and STRIDE come from the Makefile, and so does the recipe.
set -eu
model=$1 data=$2 long=$3 epochs=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cut -f 1 "$data/train.tsv" "$data/test.tsv" | LC_ALL=C sort -u >"$work/labels"
case $long in
split) ways='mean first max' reading="--long split --stride $STRIDE" ;;
*) ways=mean reading= ;;
esac
for seed; do
	ft-freeze --head "classify:@$work/labels" --seed "$seed" -o "$work/plan.ft" "$model"
	for part in train test; do # $reading is several words
		ft-tokenize -q -m "$work/plan.ft" --max-length "$LENGTH" $reading -o "$work/$part.tok" "$data/$part.tsv"
	done
	ft-batch -q --rows 16 --epochs "$epochs" --shuffle "$seed" -o "$work/train.bat" "$work/train.tok"
	ft-batch -q --rows 32 -o "$work/test.bat" "$work/test.tok"
	before=$(date +%s.%N)
	ft-train -q -m "$work/plan.ft" --lr 1e-4 --seed "$seed" -o "$work/tuned.ft" "$work/train.bat"
	after=$(date +%s.%N)
	seconds=$(awk "BEGIN { printf \"%.1f\", $after - $before }")
	for how in $ways; do
		ft-eval -q -m "$work/tuned.ft" --combine "$how" --bootstrap 0 --json "$work/test.bat" |
			sed "s/^{/{\"seed\":$seed,\"combine\":\"$how\",\"seconds\":$seconds,/"
	done
done
