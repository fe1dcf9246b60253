#!/bin/sh
# ft-export --to hf: what is written, what is refused, and that it is all or nothing.
. "$(dirname "$0")/../lib.sh"
ref=$SRC/tests/ref
tiny=$ref/tiny-bert classify=$ref/tiny-bert-classify mlm=$ref/tiny-bert-mlm
cd "$T"
export SOURCE_DATE_EPOCH=0

# has DESCRIPTION FILE TEXT: TEXT stands in the JSON file, white space aside.
has() {
	case $(tr -d ' \n' <"$2") in
	*"$3"*) pass "$1" ;;
	*) fail "$1"; echo "# $2 has no $3" ;;
	esac
}
hasnt() { case $(tr -d ' \n' <"$2") in *"$3"*) fail "$1" ;; *) pass "$1" ;; esac; }
# Nothing but the arguments lies in the folder, not even a hidden file.
left() { ls -A "$1" | sort | tr '\n' ' '; }

# ---- a folder as it is ----
ok 'export a classifier' ft-export -q -m "$classify" out
is 'files' "$(left out)" 'README.md config.json model.safetensors tokenizer.json tokenizer_config.json vocab.txt '
ok 'the weights are the bytes that the reference wrote' cmp out/model.safetensors "$classify/model.safetensors"
ok 'the tokenizer is copied' cmp out/tokenizer.json "$classify/tokenizer.json"
has 'labels stay' out/config.json '"id2label":{"0":"bad","1":"fair","2":"good"},'
has 'keys that mean nothing to us stay' out/config.json '"use_cache":true,'
is 'numbers stay as they were' "$(grep layer_norm_eps out/config.json)" '  "layer_norm_eps": 1e-12,'
is 'modes are those of a usual folder' "$(umask 022; ft-export -q -m "$mlm" mode; stat -c %a mode mode/config.json | tr '\n' ' ')" '755 644 '

ft-export -q -m out again
ok 'exporting an export changes no weight' cmp out/model.safetensors again/model.safetensors
ok 'and no configuration' cmp out/config.json again/config.json
for kind in tiny-bert tiny-bert-mlm; do
	ft-export -q -m "$ref/$kind" "f32-$kind"
	ok "$kind: the reference's bytes" cmp "f32-$kind/model.safetensors" "$ref/$kind/model.safetensors"
done
# Old names of norms, float16, a decoder stored twice, what else a checkpoint drags along.
ft-export -q -m "$ref/tiny-bert-legacy" legacy
ok 'an old checkpoint becomes a clean one: tied weights once, today'\''s names' \
	cmp legacy/model.safetensors "$mlm/model.safetensors"
has 'its type of weights is told' legacy/config.json '"torch_dtype":"float32"'
is 'vocab.txt alone is enough' "$(left legacy)" 'README.md config.json model.safetensors tokenizer_config.json vocab.txt '

# ---- narrower weights ----
for type in f16 bf16; do
	like "$type: says how far outputs moved" "$(ft-export --dtype $type -m "$classify" $type 2>&1)" \
		'equal once rounded; outputs of 3 rows \(41 tokens\) differ by at most [0-9.e-]+ \(allowed: 0.[0-9]+\)'
	is "$type: half the size" "$(($(wc -c <$type/model.safetensors) < 55000))" 1
done
has 'f16: config' f16/config.json '"dtype":"float16"'
has 'bf16: config' bf16/config.json '"dtype":"bfloat16"'
ft-export -q -m f16 wide
ok 'f16 and back: these weights are exact in it' cmp wide/model.safetensors "$classify/model.safetensors"

# ---- plans and heads ----
for head in classify:neg,pos regress:4 multilabel:a,b mlm none; do
	ft-freeze -q -H $head "$tiny" >plan.ft
	ft-export -q -m plan.ft "head-$head" 2>warning
	is "$head: exit" $? 0
	c=head-$head/config.json
	case $head in
	mlm) has 'mlm: architecture' "$c" '"architectures":["BertForMaskedLM"]' ;;
	none) has 'none: architecture' "$c" '"architectures":["BertModel"]' ;;
	*) has "$head: architecture" "$c" '"architectures":["BertForSequenceClassification"]' ;;
	esac
	case $head in
	classify*) has "$head: labels" "$c" '"id2label":{"0":"neg","1":"pos"},"label2id":{"neg":0,"pos":1},"problem_type":"single_label_classification"' ;;
	multilabel*) has "$head: labels" "$c" '"label2id":{"a":0,"b":1},"problem_type":"multi_label_classification"' ;;
	regress*) has "$head: labels" "$c" '"LABEL_2":2,"LABEL_3":3},"problem_type":"regression"' ;;
	*) hasnt "$head: no labels" "$c" 2id ;;
	esac
	case $head in
	none) is 'none: nothing is random' "$(cat warning)" '' ;;
	*) like "$head: random weights are told" "$(cat warning)" 'warning: plan.ft: [0-9]+ tensors are random' ;;
	esac
done
ft-freeze -q -H none "$classify" >plan.ft
ft-export -q -m plan.ft bare
hasnt 'labels go with the head' bare/config.json '2id'

# ---- the model card ----
ft-freeze -q -H 'classify:a|b,`c`,<d>' "$tiny" >plan.ft
ft-export -q -m plan.ft card 2>warning
like 'the card has the steps' "$(cat card/README.md)" '^1\. `ft-freeze` `[0-9.]+` '
like 'and this one' "$(cat card/README.md)" '^2\. `ft-export` `[0-9.]+` `--model=plan.ft`'
like 'the digest of the base' "$(cat card/README.md)" '^\| digest of the base \| `[0-9a-f]{32}` \|$'
is 'labels cannot become markup' "$(sed -n '/^## Labels/,/^## Use/p' card/README.md | grep '^| [0-9]')" \
	'| 0 | `a\|b` |
| 1 | `` `c` `` |
| 2 | `<d>` |'
is 'no absolute path' "$(grep -c "$T" card/README.md)" 0

# ---- the same bytes again, in a folder and in archives ----
ft-export -q -j 1 -m plan.ft card2 2>warning
ok 'one thread, another name: the same bytes' diff -r card card2
for ending in tar tar.gz tar.zst; do
	ft-export -q -m plan.ft a.$ending 2>warning
	ft-export -q -m plan.ft b.$ending 2>warning
	ok "$ending: the same bytes" cmp a.$ending b.$ending
done
mkdir unpacked && tar -xf a.tar -C unpacked
ok 'the tar holds the folder' diff -r card unpacked
ok 'and so does the compressed one' sh -c 'gzip -dc a.tar.gz | cmp - a.tar'

# ---- --json ----
ft-export --json -q -m "$classify" j >json
is 'JSON about what was done' "$(cat json)" '{"path":"j","format":"hf","architecture":"BertForSequenceClassification","dtype":"F32","tensors":41,"probe":{"rows":3,"tokens":41,"difference":0.0,"allowed":0.0}}'

# ---- what is in the way ----
fails 'a folder that is not empty' 1 ft-export -m "$mlm" out
like 'says what would help' "$(cat .err)" '^ft-export: out: is a folder that is not empty; --force replaces it$'
ok 'and is unchanged' cmp out/model.safetensors "$classify/model.safetensors"
ok '--force replaces it' ft-export -q --force -m "$mlm" out/
ok 'with the other model' cmp out/model.safetensors "$mlm/model.safetensors"
mkdir other other/sub && echo 1 >other/config.json && echo 2 >other/sub/file
fails 'a folder with folders in it, even with --force' 1 ft-export --force -m "$mlm" other
mkdir precious && echo 1 >precious/thesis.txt
fails 'a folder that is no model, even with --force' 1 ft-export --force -m "$mlm" precious
is 'both unchanged' "$(cat other/sub/file precious/thesis.txt)" '2
1'
mkdir empty && ln -s empty link
ok 'an empty folder is taken, through a link too' ft-export -q -m "$mlm" link
is 'and the link stays' "$(test -h link && left empty | wc -w)" 6
fails 'an archive that is there' 1 ft-export -m "$mlm" a.tar
ok '--force replaces it' ft-export -q --force -m "$mlm" a.tar
echo x >file
fails 'a file' 1 ft-export --force -m "$mlm" file
fails 'this very folder' 2 ft-export --force -m "$mlm" .
fails 'a folder in no folder' 1 ft-export -m "$mlm" none/out
fails 'a model exported over itself needs --force' 1 ft-export -m again again
ok 'and then keeps its weights' ft-export -q --force -d f16 -m again again
is 'nothing temporary is left' "$(ls -A | grep -c '^\..*\.......$')" 0

# ---- wrong use ----
fails 'no model' 2 ft-export out9
fails 'no destination' 2 ft-export -m "$mlm"
fails 'two destinations' 2 ft-export -m "$mlm" a9 b9
fails 'a format that there is not' 2 ft-export --to onnx -m "$mlm" out9
like 'lists what there is' "$(cat .err)" "'onnx' is not a format to export to; there is: hf gguf peft gguf-lora adapterhub$"
fails 'a type that only a file has' 2 ft-export --dtype q8_0 -m "$mlm" out9
fails 'a type that there is not' 2 ft-export --dtype i8 -m "$mlm" out9

# ---- models that are not to be exported ----
cp -r "$classify" nan
printf '\000\000\300\177' | dd of=nan/model.safetensors bs=1 seek=100448 conv=notrunc 2>dd.log
fails 'a weight that is no number' 3 ft-export -m nan out9
like 'is named' "$(cat .err)" "^ft-export: out9: tensor '[a-zA-Z0-9_.]+': value [0-9]+ is not finite"
cp -r "$classify" huge
printf '\112\361\111\161' | dd of=huge/model.safetensors bs=1 seek=100448 conv=notrunc 2>dd.log # 1e30
fails 'a weight beyond float16' 1 ft-export -m huge -d f16 out9
ok 'but not beyond bfloat16' ft-export -q -m huge -d bf16 huge-bf16
fails 'a model without weights' 1 ft-export -m "$DATA/none" out9

# ---- the base ----
cp -r "$tiny" base && ft-freeze -q -H mlm base >plan.ft && mv base moved
fails 'a base that is gone' 1 ft-export -m plan.ft out9
ok '--base says where it is' ft-export -q --base moved -m plan.ft moved-out
fails 'another base' 78 ft-export --base "$mlm" -m plan.ft out9
sed 's/"##a"/"##ä"/' "$tiny/tokenizer.json" >moved/tokenizer.json
fails 'another tokenizer in the base' 78 ft-export --base moved -m plan.ft out9
mv moved base
head -c 200 plan.ft >cut.ft
fails 'a stream that was cut' 76 ft-export -m cut.ft out9
is 'none of these left anything' "$(ls -A | grep -c -e '^out9' -e '^\..*\.......$')" 0
done_testing
