#!/bin/sh
# The second task on top of the first, with one remedy: a JSON line of how good both are then.
#   run.sh OUT REMEDIES NAME SEED
# SECOND_EPOCHS: see the Makefile.
set -euf
out=$1 remedies=$2 name=$3 seed=$4 first=$(dirname "$0")/../sentiment/data/test.tsv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

line=$(sed -n "s/^$name\( .*\)*\$/\1/p" "$remedies")
# field N: what stands before the N-th bar.
field() { printf '%s\n' "$line" | awk -F '|' -v n="$1" '{ print $n }'; }
share=$(field 3 | tr -d ' ')
train=$(field 2 | sed "s|FISHER|$out/fisher.$seed|")

# shellcheck disable=SC2046
ft-freeze -q --seed "$seed" $(field 1) -o "$work/plan.ft" "$out/tuned.$seed.ft"
if [ -n "$share" ]; then
	ft-batch -q --rows 16 --epochs "$SECOND_EPOCHS" --shuffle "$seed" --mix "100,$share" -o "$work/train.bat" \
		"$out/second.train.tok" "$out/first.train.tok"
else
	ft-batch -q --rows 16 --epochs "$SECOND_EPOCHS" --shuffle "$seed" -o "$work/train.bat" "$out/second.train.tok"
fi
# shellcheck disable=SC2086
ft-train -q -m "$work/plan.ft" --seed "$seed" $train -o "$work/both.ft" "$work/train.bat"

# accuracy MODEL TEST.tsv LABELS: among these labels, as if the model were told which task it is.
accuracy() { ft-predict -q -m "$1" --max-length 64 "$2" | "$PYTHON" "$(dirname "$0")/table.py" --among "$3" "$2"; }
printf '{"remedy": "%s", "seed": %s, "before": %s, "first": %s, "second": %s}\n' "$name" "$seed" \
	"$(accuracy "$out/tuned.$seed.ft" "$first" neg,pos)" "$(accuracy "$work/both.ft" "$first" neg,pos)" \
	"$(accuracy "$work/both.ft" "$out/said.test.tsv" customer,agent)"
