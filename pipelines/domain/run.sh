#!/bin/sh
# Continued pre-training by ft, and a task with few labels on what came of it.
#   run.sh MODEL OUT SEED...
# Reads OUT/all and OUT/few, writes OUT/perplexity.jsonl and OUT/task.jsonl, and OUT/held.jsonl, the held-out text with hidden
# tokens, for others to be measured on. EPOCHS, TASK_EPOCHS and LENGTH come from the Makefile.
set -eu
model=$1 out=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/perplexity" >"$work/task"

# The text alone, one file: windows are filled with one comment after the other.
for part in train valid; do cut -f 2 "$out/all/$part.tsv" >"$work/$part.txt"; done
cut -f 1 "$out/few/train.tsv" "$out/few/test.tsv" | LC_ALL=C sort -u >"$work/labels"

windows() { # PLAN FILE
	ft-tokenize -q -m "$1" --format file --max-length "$LENGTH" --long split "$2"
}

# Hidden tokens of the training text; those of the held-out text are the same for all.
pretrain() { # NAME SEED FREEZE-OPTION...
	name=$1 seed=$2
	shift 2
	ft-freeze --head mlm --seed "$seed" "$@" -o "$work/$name.plan" "$model"
	windows "$work/$name.plan" "$work/train.txt" |
		ft-batch -q --mask --rows 16 --epochs "$EPOCHS" --shuffle "$seed" -o "$work/mlm.bat"
	windows "$work/$name.plan" "$work/valid.txt" | ft-batch -q --mask --rows 32 -o "$work/held.bat"
	ft-train -q -m "$work/$name.plan" --lr 5e-4 --seed "$seed" -o "$work/$name.ft" "$work/mlm.bat"
	ft-eval -q -m "$work/$name.ft" --bootstrap 0 --json "$work/held.bat" |
		sed "s/^{/{\"seed\":$seed,\"train\":\"$name\",/" >>"$work/perplexity"
}

# The task on a model: a folder, or a stream with another head.
tune() { # FROM SEED MODEL
	ft-freeze --head "classify:@$work/labels" --seed "$2" -o "$work/plan.ft" "$3"
	ft-tokenize -q -m "$work/plan.ft" --max-length "$LENGTH" "$out/few/train.tsv" |
		ft-batch -q --rows 16 --epochs "$TASK_EPOCHS" --shuffle "$2" -o "$work/few.bat"
	ft-tokenize -q -m "$work/plan.ft" --max-length "$LENGTH" "$out/few/test.tsv" | ft-batch -q --rows 64 -o "$work/test.bat"
	ft-train -q -m "$work/plan.ft" --seed "$2" -o "$work/tuned.ft" "$work/few.bat"
	ft-eval -q -m "$work/tuned.ft" --bootstrap 0 --json "$work/test.bat" |
		sed "s/^{/{\"seed\":$2,\"from\":\"$1\",/" >>"$work/task"
}

for seed; do
	pretrain head "$seed" --last-layers 0
	pretrain all "$seed"
	tune model "$seed" "$model"
	tune domain "$seed" "$work/all.ft"
done
ft-cat "$work/held.bat" >"$out/held.jsonl"
cp "$work/perplexity" "$out/perplexity.jsonl"
cp "$work/task" "$out/task.jsonl"
