#!/bin/sh
# ft-export of a sentence-transformers folder: what says how vectors are made goes along, in the older form.
. "$(dirname "$0")/../lib.sh"
tiny=$SRC/tests/ref/tiny-bert
cd "$T"

has() {
	case $(tr -d ' \n' <"$2") in
	*"$3"*) pass "$1" ;;
	*) fail "$1"; echo "# $2 has no $3"; sed 's/^/# /' "$2" ;;
	esac
}
module() { printf '{"idx": %s, "name": "%s", "path": "%s", "type": "%s"}' "$1" "$1" "$2" "$3"; }

# ---- as versions from 5.4 write it ----
cp -r "$tiny" new
mkdir new/1_Pooling new/2_Dense
printf '[%s, %s, %s, %s]' \
	"$(module 0 '' sentence_transformers.base.modules.transformer.Transformer)" \
	"$(module 1 1_Pooling sentence_transformers.sentence_transformer.modules.pooling.Pooling)" \
	"$(module 2 2_Dense sentence_transformers.base.modules.dense.Dense)" \
	"$(module 3 3_Own my.package.Own)" >new/modules.json
echo '{"embedding_dimension": 32, "pooling_mode": "mean", "include_prompt": true}' >new/1_Pooling/config.json
echo '{"transformer_task": "feature-extraction"}' >new/sentence_bert_config.json
echo '{"prompts": {"query": "q: "}, "model_type": "SentenceTransformer"}' >new/config_sentence_transformers.json
echo '{"in_features": 32, "out_features": 8}' >new/2_Dense/config.json
head -c 500 "$tiny/model.safetensors" >new/2_Dense/model.safetensors
ok 'export' ft-export -q -m new out
is 'files' "$(cd out && find . -type f | sort | tr '\n' ' ')" './1_Pooling/config.json ./2_Dense/config.json ./2_Dense/model.safetensors ./README.md ./config.json ./config_sentence_transformers.json ./model.safetensors ./modules.json ./sentence_bert_config.json ./tokenizer.json ./tokenizer_config.json ./vocab.txt '
has 'pooling in flags' out/1_Pooling/config.json \
	'{"word_embedding_dimension":32,"pooling_mode_cls_token":false,"pooling_mode_mean_tokens":true,"pooling_mode_max_tokens":false,"pooling_mode_mean_sqrt_len_tokens":false}'
has 'older types' out/modules.json '"type":"sentence_transformers.models.Dense"'
has 'a type of others stays' out/modules.json '"type":"my.package.Own"'
has 'the length, which was the tokenizer'\''s' out/sentence_bert_config.json '{"max_seq_length":64,"do_lower_case":false}'
ok 'other files are copied' cmp new/2_Dense/model.safetensors out/2_Dense/model.safetensors
ok 'prompts too' cmp new/config_sentence_transformers.json out/config_sentence_transformers.json
like 'the card says how to use it' "$(cat out/README.md)" 'SentenceTransformer\(folder\)'

# ---- again, and instead ----
ft-export -q -m out again
ok 'an export of an export has the same files' cmp out/modules.json again/modules.json
ok 'and poolings' cmp out/1_Pooling/config.json again/1_Pooling/config.json
ok '--force replaces such a folder' ft-export -qf -m "$tiny" again
is 'whole' "$(ls -d again/1_Pooling 2>&1 | grep -c 'No such')" 1
mkdir out/1_Pooling/more
fails '--force does not replace what holds other folders' 1 ft-export -qf -m "$tiny" out
rmdir out/1_Pooling/more
mkdir out/notes
fails 'or one of another name' 1 ft-export -qf -m "$tiny" out
rmdir out/notes
ft-export -q -m out out.tar
is 'an archive holds the folders' "$(tar tf out.tar | grep / | tr '\n' ' ')" '1_Pooling/config.json 2_Dense/config.json 2_Dense/model.safetensors '
is 'nothing hidden is left' "$(ls -A | sort | tr '\n' ' ')" '.err .out again new out out.tar '

# ---- a model with a head is another model ----
ft-freeze -q -H regress new >plan.ft
ft-export -q -m plan.ft head 2>warning
is 'a head' "$(ls head | tr '\n' ' ')" 'README.md config.json model.safetensors tokenizer.json tokenizer_config.json vocab.txt '
# ---- what cannot be carried along ----
printf '[%s]' "$(module 0 ../up sentence_transformers.models.Transformer)" >new/modules.json
fails 'a path that leaves the folder' 65 ft-export -q -m new bad
like 'says which' "$(cat .err)" "new/modules.json: module 0: path '../up' is not the name of a folder"
done_testing
