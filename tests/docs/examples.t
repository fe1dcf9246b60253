#!/bin/sh
# The examples that are marked run as they stand: in README.md and CONTRIBUTING.md a block of
# ```sh after the line <!-- run -->, in a manual page a display (.Bd) after the line .\" run.
# All those of a document run one after the other, in one folder.  They run in bash with pipefail.
. "$(dirname "$0")/../lib.sh"

# blocks DOCUMENT: its marked examples as files N of the folder.
blocks() {
	awk '
	{ sub(/\r$/, "") }
	/^<!-- run -->$/ || /^\.\\" run$/ { marked = 1; next }
	marked && (/^```sh$/ || /^\.Bd /) { inside = 1; marked = 0; n++; next }
	inside && (/^```$/ || /^\.Ed$/)   { inside = 0; next }
	inside { if (FILENAME ~ /\.[1-8]$/) { gsub(/\\e/, "\\"); gsub(/\\-/, "-"); sub(/^\\&/, "") } print > (n ".sh") }
	marked && NF { print FILENAME ": no example after a mark, line " FNR > "/dev/stderr"; marked = 0 }' "$1"
}

# run DOCUMENT: in the folder that stands ready.
run() {
	blocks "$SRC/$1" || fail "$1: marks"
	i=1
	while [ -f $i.sh ]; do
		ok "$1: example $i" bash -euo pipefail $i.sh
		i=$((i + 1))
	done
	[ $i -gt 1 ] || fail "$1: no example is marked"
}

# README: as from the folder of the sources, with the embedded model and data.
mkdir "$T/README" && cd "$T/README" || exit 1
ln -s "$SRC/pipelines" pipelines
if [ -f pipelines/encoder/model/config.json ]; then
	run README.md
	ok 'the result can be used' test -f tuned/model.safetensors
else
	skip 'no embedded encoder'
fi

# A language model's folder without weights, and what it might learn.
smollm() {
	mkdir smollm && cp "$SRC"/tests/ref/dialogues/tokenizer*.json smollm/
	cp "$SRC"/tests/ref/chat/chatml.jinja smollm/chat_template.jinja
	cat >smollm/config.json <<-END
	{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 392, "hidden_size": 32,
	 "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 256}
	END
	head -n 10 "$SRC"/pipelines/support-chat/data/valid.jsonl >dialogues.jsonl
	cut -f 2 train.tsv >book.txt
	printf 'question,answer\nWhat is it?,A film.\n' >faq.csv
}

# Pages: on a model and data so small that they take no time.
for page in "$SRC"/man/*.[1-8]; do
	grep -q '^\.\\" run$' "$page" || continue
	name=${page##*/}
	mkdir "$T/$name" && cd "$T/$name" || exit 1
	ln -s "$SRC/tests/ref/tiny-bert" bert
	for part in train valid test; do head -n 40 "$SRC/pipelines/sentiment/data/$part.tsv" >$part.tsv; done
	smollm
	run "man/$name"
done
done_testing
