#!/bin/sh
# Fine-tunes on the chats in OUT/star, for each seed, and measures before and after: OUT/tokens.jsonl and OUT/texts.jsonl.
#   run.sh MODEL OUT SEED...
# EPOCHS and RATE come from the Makefile.
set -eu
model=$1 out=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! [ -f "$model/chat_template.jinja" ] && ! grep -qs '"chat_template"' "$model/tokenizer_config.json"; then
	mkdir "$work/model"
	cp "$model"/* "$work/model/"
	cp plain.jinja "$work/model/chat_template.jinja"
	model=$work/model
fi

measure() { # NAME SEED
	ft-eval -q -m "$work/$1.ft" --bootstrap 0 --json "$work/test.bat" |
		sed "s/^{/{\"seed\":$2,\"which\":\"$1\",/" >>"$out/tokens.jsonl"
	ft-predict -q -m "$work/$1.ft" --max-new 80 --long truncate --reference reference "$out/star/replies.jsonl" >"$out/$1.answers.jsonl"
	ft-eval -q --texts --bootstrap 0 --json "$out/$1.answers.jsonl" |
		sed "s/^{/{\"seed\":$2,\"which\":\"$1\",/" >>"$out/texts.jsonl"
}

: >"$out/tokens.jsonl"
: >"$out/texts.jsonl"
ft-freeze --head lm -o "$work/before.ft" "$model"
for part in train valid test; do
	ft-tokenize -q -m "$work/before.ft" -o "$work/$part.tok" "$out/star/$part.jsonl"
	ft-batch -q --tokens 8192 -o "$work/$part.bat" "$work/$part.tok"
done
measure before 0
for seed; do
	ft-batch -q --tokens 4096 --epochs "$EPOCHS" --shuffle "$seed" -o "$work/train.bat" "$work/train.tok"
	ft-train -q -m "$work/before.ft" --lr "$RATE" --schedule cosine --seed "$seed" --valid "$work/valid.bat" \
		-o "$work/tuned.ft" "$work/train.bat"
	measure tuned "$seed"
done
