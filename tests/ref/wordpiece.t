#!/bin/sh
# Token ids are those of the reference implementation: on the rows of
# tests/ref/wordpiece, and on large goldens where they lie beside the repository.
. "$(dirname "$0")/../lib.sh"

cd "$T" || exit
ref=$SRC/tests/ref/wordpiece

# ids MODEL OPTION...: arrays of ids and of types (all 0 when there are none), one example a line.
ids() {
	folder=$1; shift
	ft-tokenize -q --no-labels -f jsonl -m "$folder" "$@" 2>err | ft-cat |
		sed -n 's/^{"ids":\(\[[^]]*\]\),"types":\(\[[^]]*\]\).*/\1 \2/p; s/^{"ids":\(\[[^]]*\]\),"src.*/\1/p'
}
want() { sed 's/.*"ids": \(\[[^]]*\]\), "types": \(\[[^]]*\]\).*/\1 \2/; s/, /,/g'; }
untyped() { sed 's/ \[[0,]*\]$//'; }

head -n 1 "$ref/golden.jsonl" | sed 's/^/# made with /'
for model in uncased cased added; do
	grep "^{\"model\": \"$model\"" "$ref/golden.jsonl" >all.jsonl
	grep '"pair": null' all.jsonl >single.jsonl
	grep -v '"pair": null' all.jsonl >pair.jsonl
	is "$model: $(wc -l <single.jsonl) texts" "$(ids "$ref/$model" single.jsonl)" "$(want <single.jsonl | untyped)"
	is "$model: $(wc -l <pair.jsonl) pairs" "$(ids "$ref/$model" --pair pair pair.jsonl)" "$(want <pair.jsonl | untyped)"
done

# ---- BERT's own vocabulary ----
bert=$DATA/tokenizers/bert-base-uncased
if [ -z "$DATA" ] || [ ! -f "$bert/vocab.txt" ]; then
	skip 'no large goldens'
	done_testing
fi
mkdir txt json mini
for d in txt json; do sed 's/"vocab_size": [0-9]*/"vocab_size": 30522/' "$ref/uncased/config.json" >$d/config.json; done
cp "$bert/vocab.txt" txt
gzip -dc "$bert/tokenizer.json.gz" >json/tokenizer.json
sed 's/.*"ids": \(\[[^]]*\]\).*/\1/; s/, /,/g; s/\[/[101,/; s/\]/,102]/' "$bert/squad_questions_golden.jsonl" >squad
n=$(wc -l <squad)
for d in txt json; do
	ids $d "$bert/squad_questions_golden.jsonl" >got
	ok "$n questions, $d" cmp got squad
done
mini=$DATA/models/all-MiniLM-L6-v2-no-weights
if [ -d "$mini" ]; then
	ids "$mini" "$bert/squad_questions_golden.jsonl" >got
	ok "$n questions, all-MiniLM-L6-v2, whose file asks for padding" cmp got squad
	is 'there is none' "$(printf '{"text":"a"}\n' | ids "$mini" -)" '[101,1037,102]'
fi
ggml=$DATA/tokenizers/ggml-vocab/ggml-vocab-bert-bge.gguf
if [ -f "$ggml.inp" ] && command -v python3 >/dev/null; then
	python3 - "$ggml.inp" >bge.jsonl <<'EOF'
import json, sys
for text in open(sys.argv[1], encoding="utf-8", newline="").read().split("\n__ggml_vocab_test__\n"):
    print(json.dumps({"text": text}))
EOF
	# One line each; the last, an empty one, lacks its line end.
	{ cat "$ggml.out"; echo; } | sed 's/^ *//; s/ *$//; s/ /,/g; s/^/[101,/; s/$/,102]/; s/,,/,/' >bge
	ids txt bge.jsonl >got
	is "$(wc -l <bge.jsonl) texts of ggml's test" "$(cat got)" "$(cat bge)"
else
	skip 'no ggml goldens, or no python3'
fi
done_testing
