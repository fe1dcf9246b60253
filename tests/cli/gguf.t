#!/bin/sh
# A GGUF file where a MODEL is asked for.
. "$(dirname "$0")/../lib.sh"

cd "$T" || exit
ref=$SRC/tests/ref
cp "$ref/gguf/llama.gguf" tiny.gguf
echo hello >text.txt

ft-freeze -q tiny.gguf >plan.ft
is 'a plan of it' "$(ft-cat plan.ft | sed -n '1s/.*"family":"\([a-z0-9]*\)".*/\1/p')" llama
like 'names the file' "$(ft-cat plan.ft | head -n 1)" '"path":"tiny.gguf"'
cp tiny.gguf other.gguf
printf X >>other.gguf
fails 'another file is not its base' 78 ft-predict -m plan.ft --base other.gguf --tokens /dev/null
like 'by its digest' "$(cat .err)" 'other.gguf has [0-9a-f]{32}'
fails 'without a tokenizer no text' 65 ft-tokenize -m tiny.gguf --no-labels -f lines text.txt
fails 'a file that is not there' 1 ft-predict -m nothing.gguf text.txt
echo hello >text.gguf
fails 'a file that is none' 65 ft-predict -m text.gguf text.txt
like 'it says so' "$(cat .err)" 'text.gguf: is not a GGUF file'

# ---- writing one ----
fails 'another name' 2 ft-export -m tiny.gguf --to gguf out.bin
like 'says how it must end' "$(cat .err)" 'ends in .gguf'
ok 'written again' ft-export -q -m tiny.gguf --to gguf out.gguf
fails 'what is there stays' 1 ft-export -q -m tiny.gguf --to gguf out.gguf
cp out.gguf first.gguf
ok 'but with --force' ft-export -q --force -m tiny.gguf --to gguf out.gguf
ok 'the same bytes' cmp out.gguf first.gguf
is 'and nothing beside it' "$(ls -A | grep -c '^.out.gguf')" 0
fails 'a classifier' 2 ft-export -m "$ref/decoders/llama/tiny-classify" --to gguf c.gguf
like 'has no place there' "$(cat .err)" "no place for the head 'classify'"
ok 'and a folder of the file' ft-export -q -m out.gguf folder

# Each kind of tokenizer, into a file and back: the exports compare what they make of texts.
for kind in gpt2 llama3 qwen2 smollm llama2 mistral o200k; do
	mkdir "$kind"
	cp "$ref/tokenizers/$kind"/tokenizer* "$kind"
	sed 's/"vocab_size": 40/"vocab_size": 500/' "$ref/decoders/llama/tiny-lm/config.json" >"$kind/config.json"
	ft-freeze -q --init "$kind" >"$kind.ft"
	ok "$kind as a file" ft-export -q -m "$kind.ft" --to gguf "$kind.gguf"
	ok "$kind as a folder again" ft-export -q -m "$kind.gguf" "$kind.out"
done
ids() { ft-tokenize -q --no-labels -f lines -m "$1" text.txt | ft-cat | sed -n 's/^{"ids":\(\[[^]]*\]\).*/\1/p'; }
is 'the same ids in the end' "$(ids llama3.out)" "$(ids llama3)"
like 'special ids are named' "$(cat llama3.out/tokenizer_config.json)" '"bos_token": "<\|begin\|>"'

if [ -n "$DATA" ]; then
	stories=$DATA/models/stories260K
	ft-predict -q --raw -n 60 -m "$stories/stories260K.gguf" >file.txt <<-'X'
	Once upon a time
	X
	ft-predict -q --raw -n 60 -m "$stories/hf" >folder.txt <<-'X'
	Once upon a time
	X
	is 'file and folder tell the same story' "$(cat file.txt)" "$(cat folder.txt)"
	like 'which is the published one' "$(cat "$stories/golden_greedy.txt")" "$(head -c 60 file.txt)"
	for type in f16 bf16 q8_0 q4_0; do
		ok "as $type" ft-export -q -m "$stories/hf" --to gguf --dtype "$type" "s-$type.gguf"
	done
	is 'Q8_0 tells it, too' "$(echo Once upon a time | ft-predict -q --raw -n 60 -m s-q8_0.gguf)" "$(cat folder.txt)"
else
	for i in 1 2 3 4 5; do skip 'no data'; done
	skip 'no data'
	skip 'no data'
fi
done_testing
