#!/bin/sh
# ft-tokenize with a SentencePiece model in the folder.
. "$(dirname "$0")/../lib.sh"

cd "$T" || exit
ref=$SRC/tests/ref
mkdir plain t5 bad
for d in plain t5 bad; do
	sed 's/"vocab_size": [0-9]*/"vocab_size": 600/' "$ref/tiny-bert/config.json" >$d/config.json
done
cp "$ref/sentencepiece/unigram.model" plain/tokenizer.model
cp "$ref/sentencepiece/unigram.model" t5/spiece.model
echo '{"tokenizer_class": "T5Tokenizer"}' >t5/tokenizer_config.json
echo 'Alice was beginning' >a.txt
ids() { ft-tokenize -q --no-labels -f lines -m "$1" a.txt | ft-cat | sed -n 's/^{"ids":\(\[[^]]*\]\).*/\1/p'; }

# The reference's ids are in golden.jsonl; here the same model alone, and as T5 uses it.
is 'the ids of the model' "$(ids plain | tr -d '[]')" "$(ids t5 | sed 's/,2\]$/]/' | tr -d '[]')"
like 'T5 has </s> behind them' "$(ids t5)" ',2\]$'
ft-tokenize -q --no-labels -f lines -m t5 a.txt | ft-cat >t5.json
like 'the stream says what made it' "$(head -n 1 t5.json)" '"type":"unigram"'

size=$(wc -c <plain/tokenizer.model)
for n in 0 1 100 $((size - 1)); do
	head -c "$n" plain/tokenizer.model >bad/tokenizer.model
	fails "cut to $n bytes" 65 ft-tokenize --no-labels -f lines -m bad a.txt
done
like 'the message names the file' "$(cat .err)" 'bad/tokenizer.model: .* malformed or cut short \(offset [0-9]+\)'
done_testing
