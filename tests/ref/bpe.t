#!/bin/sh
# GPT-2's own vocabulary: ids are those of other programs, on goldens that lie beside
# the repository. (tests/unit/tok-golden.c has small tokenizers of all families.)
. "$(dirname "$0")/../lib.sh"

cd "$T" || exit
gpt2=$DATA/tokenizers/gpt2
if [ -z "$DATA" ] || [ ! -f "$gpt2/merges.txt" ] || ! command -v python3 >/dev/null; then
	skip 'no large goldens, or no python3'
	done_testing
fi
mkdir model
cp "$gpt2/vocab.json" "$gpt2/merges.txt" model
sed 's/"vocab_size": [0-9]*/"vocab_size": 50257/' "$SRC/tests/ref/wordpiece/uncased/config.json" >model/config.json
fails 'a family that is not said' 65 ft-tokenize --task none -m model "$SRC/README.md"
like 'and what to do' "$(cat "$T/.err")" "how 'bert' uses vocab.json and merges.txt is not known; save"
echo '{"tokenizer_class": "GPT2TokenizerFast"}' >model/tokenizer_config.json
ids() { ft-tokenize -q --no-labels -f jsonl -m model "$1" 2>err | ft-cat | sed -n 's/^{"ids":\[\([^]]*\)\].*/\1/p'; }

python3 - "$gpt2/encoded_text_golden.json" >want 3>text.jsonl <<'EOF2'
import json, os, sys
golden = json.load(open(sys.argv[1], encoding="utf-8"))
os.write(3, (json.dumps({"text": golden["text"]}) + "\n").encode())
print(",".join(map(str, golden["token_ids"])))
EOF2
is 'a French text' "$(ids text.jsonl)" "$(cat want)"

ggml=$DATA/tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf
python3 - "$ggml.inp" >ggml.jsonl <<'EOF2'
import json, sys
for text in open(sys.argv[1], encoding="utf-8", newline="").read().split("\n__ggml_vocab_test__\n"):
    print(json.dumps({"text": text}))
EOF2
sed 's/^ *//; s/ *$//; s/ /,/g' "$ggml.out" | grep . >want
is "$(wc -l <ggml.jsonl) texts of ggml's test, but for empty ones" "$(ids ggml.jsonl)" "$(cat want)"
done_testing
