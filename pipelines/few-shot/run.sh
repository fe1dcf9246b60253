#!/bin/sh
# Four ways from the same few examples to a classifier: a JSON line for each.
#   run.sh MODEL TRAIN.tsv TEST.csv SEED
# PAIRS, HEAD_EPOCHS, TUNE_EPOCHS: see the Makefile. What is not named here is a
# default of the tools.
set -eu
model=$1 train=$2 test=$3 seed=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cut -f 1 "$train" | LC_ALL=C sort -u >"$work/labels"

# tokens PLAN: the few examples and the test set for a classifier.
tokens() {
	ft-tokenize -q -m "$1" --max-length 64 -o "$work/train.tok" "$train"
	ft-tokenize -q -m "$1" --max-length 64 --text text --label category -o "$work/test.tok" "$test"
	ft-batch -q --rows 64 -o "$work/test.bat" "$work/test.tok"
}

# classifier EPOCHS OPTION...: trains plan.ft on the few examples into tuned.ft.
classifier() {
	epochs=$1; shift
	tokens "$work/plan.ft"
	ft-batch -q --rows 16 --epochs "$epochs" --shuffle "$seed" "$work/train.tok" |
		ft-train -q -m "$work/plan.ft" --seed "$seed" -o "$work/tuned.ft" "$@"
}

# report WAY SECONDS: measures tuned.ft.
report() {
	ft-eval -q -m "$work/tuned.ft" --bootstrap 0 --json "$work/test.bat" |
		"${PYTHON:-python3}" -c 'import json, sys
row = json.load(sys.stdin)
print(json.dumps({"way": sys.argv[1], "seed": int(sys.argv[2]), "seconds": float(sys.argv[3]),
                  "accuracy": row["accuracy"], "macro": row["macro"]}))' "$1" "$seed" "$2"
}

# timed COMMAND...: leaves its seconds in $seconds.
timed() {
	begin=$(date +%s.%N)
	"$@"
	seconds=$(awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
}

# A classifier alone, on vectors of length 1: logistic regression, without dropout.
head_on() {
	ft-freeze -q --head "classify:@$work/labels" --pooling auto --last-layers 0 --seed "$seed" -o "$work/plan.ft" "$1"
	classifier "$HEAD_EPOCHS" --lr 1e-2 --dropout 0
}

tune_pairs() {
	"${PYTHON:-python3}" "$(dirname "$0")/few.py" pairs "$train" --pairs "$PAIRS" --seed "$seed" >"$work/pairs.tsv"
	ft-freeze -q --head embed --loss cosine -o "$work/pairs.ft" "$model"
	ft-tokenize -q -m "$work/pairs.ft" --text 2 --pair 3 --label 1 --max-length 64 "$work/pairs.tsv" |
		ft-batch -q --rows 16 --shuffle "$seed" |
		ft-train -q -m "$work/pairs.ft" --lr 2e-5 --seed "$seed" -o "$work/body.ft"
	head_on "$work/body.ft"
}

timed head_on "$model"
report head "$seconds"
for pooling in pooler vector; do
	case $pooling in pooler) set -- ;; vector) set -- --pooling auto ;; esac
	ft-freeze -q --head "classify:@$work/labels" "$@" --seed "$seed" -o "$work/plan.ft" "$model"
	timed classifier "$TUNE_EPOCHS" --lr 1e-4
	report "tune-$pooling" "$seconds"
done
timed tune_pairs
report pairs "$seconds"
