#!/bin/sh
# One technique with one seed: a JSON line of what it cost and what it gave.
#   run.sh MODEL DATA TECHNIQUES NAME SEED BEFORE.jsonl
# EPOCHS, ROWS, LENGTH, LABELS, GENERAL: see the Makefile.
set -euf
model=$1 data=$2 techniques=$3 name=$4 seed=$5 before=$6
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

line=$(sed -n "s/^$name\( .*\)*\$/\1/p" "$techniques")
plan_options=${line%%|*}
case $line in *'|'*) train_options=${line#*|} ;; *) train_options= ;; esac

# shellcheck disable=SC2086
ft-freeze -q --head "classify:$LABELS" --seed "$seed" $plan_options -o "$work/plan.ft" "$model"
for part in train valid test; do
	ft-tokenize -q -m "$work/plan.ft" --max-length "$LENGTH" -o "$work/$part.tok" "$data/$part.tsv"
done
ft-batch -q --rows "$ROWS" --epochs "$EPOCHS" --shuffle "$seed" -o "$work/train.bat" "$work/train.tok"
ft-batch -q --rows 64 -o "$work/valid.bat" "$work/valid.tok"
ft-batch -q --rows 64 -o "$work/test.bat" "$work/test.tok"

# shellcheck disable=SC2086
"$PYTHON" "$here/measure.py" "$work/cost.json" ft-train -q -m "$work/plan.ft" --seed "$seed" $train_options \
	--log "$work/log" -o "$work/tuned.ft" "$work/train.bat"
ft-freeze --show --json "$work/plan.ft" >"$work/params.jsonl"
ft-eval -q -m "$work/tuned.ft" --bootstrap 0 --json "$work/test.bat" >"$work/test.json"
ft-eval -q -m "$work/tuned.ft" --bootstrap 0 --json "$work/valid.bat" >"$work/valid.json"
ft-predict -q -m "$work/tuned.ft" --format lines --max-length "$LENGTH" --vectors mean --normalize "$GENERAL" >"$work/after.jsonl"
"$PYTHON" "$here/table.py" --run "$name" "$seed" "$work" "$before"
