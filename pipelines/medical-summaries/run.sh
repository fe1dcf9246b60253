#!/bin/sh
# Fine-tunes on the letters in OUT/letters, for each seed, and measures before and after: OUT/tokens.jsonl and OUT/texts.jsonl.
#   run.sh MODEL OUT SEED...
# EPOCHS and RATE come from the Makefile.
set -eu
model=$1 out=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compare() { # NAME SEED: answers beside references
	ft-eval -q --texts --bootstrap 0 --json "$out/$1.answers.jsonl" |
		sed "s/^{/{\"seed\":$2,\"which\":\"$1\",/" >>"$out/texts.jsonl"
}

measure() { # NAME SEED
	ft-eval -q -m "$work/$1.ft" --bootstrap 0 --json "$work/test.bat" |
		sed "s/^{/{\"seed\":$2,\"which\":\"$1\",/" >>"$out/tokens.jsonl"
	ft-predict -q -m "$work/$1.ft" -t prompt --reference reference --max-new 40 --stop '
' --long truncate "$out/letters/test.jsonl" >"$out/$1.answers.jsonl"
	compare "$1" "$2"
}

: >"$out/tokens.jsonl"
: >"$out/texts.jsonl"
sed -E -f lead.sed "$out/letters/test.jsonl" >"$out/lead.answers.jsonl"
compare lead 0
ft-freeze --head lm -o "$work/before.ft" "$model"
for part in train valid test; do
	ft-tokenize -q -m "$work/before.ft" --long drop -o "$work/$part.tok" "$out/letters/$part.jsonl"
	ft-batch -q --tokens 8192 -o "$work/$part.bat" "$work/$part.tok"
done
measure before 0
for seed; do
	ft-batch -q --tokens 2048 --epochs "$EPOCHS" --shuffle "$seed" -o "$work/train.bat" "$work/train.tok"
	ft-train -q -m "$work/before.ft" --lr "$RATE" --schedule cosine --seed "$seed" --valid "$work/valid.bat" \
		-o "$work/tuned.ft" "$work/train.bat"
	measure tuned "$seed"
done
