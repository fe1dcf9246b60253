#!/bin/sh
# Model streams, plans and batches that contradict themselves or each other:
# refused in one line, with the documented code.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

model=$SRC/tests/ref/tiny-bert
for i in 1 2 3 4 5 6; do
	printf 'pos\ta fine day %d\nneg\ta bad night %d\n' $i $i
done >train.tsv
{
	ft-freeze -q --head classify:neg,pos "$model" >plan.ft && ft-tokenize -q -m plan.ft train.tsv >train.tok &&
		ft-batch -q -r 4 -e 2 -s 1 train.tok >train.bat && ft-train -q -m plan.ft train.bat >tuned.ft &&
		ft-cat --data tuned.ft >tuned.json && ft-cat plan.ft >plan.json && ft-cat train.bat >train.json
} || { fail 'streams to change'; done_testing; }

# bad DESCRIPTION CODE PATTERN FILE.json SED COMMAND...: FILE.json changed by the sed
# script, made a stream again (bad.ft), and given to COMMAND.
bad() {
	what=$1 code=$2 pattern=$3 from=$4 script=$5; shift 5
	sed "$script" "$from" | ft-cat --from-json -o bad.ft || fail "$what: no stream to test with"
	cmp -s "$from" bad.json && fail "$what: nothing was changed"
	fails "$what" "$code" "$@" -o bad.out
	like "$what: says so" "$(cat .err)" "$pattern"
	[ ! -e bad.out ] || { fail "$what: a file appeared"; rm -f bad.out; }
}
train() { bad "$@" ft-train -q -m bad.ft train.bat; }
freeze() { bad "$@" ft-freeze -q bad.ft; }

# ---- tensors ----
train 'a tensor that the model does not have' 65 "bad.ft: record 1: the model has no parameter 'embed.wort.weight'" \
	tuned.json 's/"embed.word.weight"/"embed.wort.weight"/'
train 'another shape' 65 "'head.weight' is not a float32 tensor of the shape" \
	tuned.json 's/\("head.weight","dtype":"F32","shape":\)\[2,\([0-9]*\)\]/\1[\2,2]/'
train 'another rank' 65 "'head.bias' is not a float32 tensor" tuned.json 's/\("head.bias","dtype":"F32","shape":\)\[2\]/\1[2,1]/'
train 'another type' 65 "'head.bias' is not a float32 tensor" \
	tuned.json 's/\("head.bias","dtype":\)"F32","shape":\[2\],"bytes":8/\1"F16","shape":[2],"bytes":4/'
long=$(printf '%0300d' 0)
train 'a long name' 65 "the model has no parameter '0000" tuned.json "s/\"head.bias\"/\"$long\"/"
ok 'less than all tensors is a model too' sh -c "sed '/\"head.bias\"/,/\"data\"/d' tuned.json | ft-cat --from-json >less.ft &&
	ft-train -q -m less.ft train.bat >less.out"

# ---- meta ----
train 'no config' 65 'names no config or no base' plan.json '1s/"config":/"confik":/'
train 'no base' 65 'names no config or no base' plan.json '1s/"base":{/"basis":{/'
train 'a family that is not there' 65 "model_type 'bird' is not supported" plan.json '1s/"model_type":"bert"/"model_type":"bird"/'
train 'no family' 65 'does not say its model_type' plan.json '1s/"model_type":"bert"/"model_typo":"bert"/'
train 'another base' 78 'is based on a model with digest 00000000000000000000000000000000' \
	plan.json '1s/\("base":{[^}]*"digest":"\)[0-9a-f]*/\100000000000000000000000000000000/'
train 'a base that is not there' 1 'base .*: .*No such file' plan.json "1s|\"path\":\"[^\"]*\"|\"path\":\"/nothing/there\"|"
train 'a head that is not known' 65 "a head of type 'klassify' is not known" plan.json '1s/"type":"classify"/"type":"klassify"/'
train 'a label twice' 65 "the label 'neg' stands twice" plan.json '1s/\("head":.*\)"pos"/\1"neg"/'
train 'a label that is no text' 65 'label 1 is not a string' plan.json '1s/\("head":.*\)"pos"/\17/'
train 'labels that are no list' 65 'head: ' plan.json '1s/"labels":\["neg","pos"\]/"labels":"neg"/'
train 'no outputs' 65 'head: 0 outputs' plan.json '1s/"labels":\["neg","pos"\]/"labels":[]/'
train 'outputs beyond sense' 65 'head: 99999999 outputs' plan.json '1s/"type":"classify","labels":\["neg","pos"\]/"type":"regress","outputs":99999999/'
train 'a size of 0' 65 'hidden_size: 0 is not in' plan.json '1s/"hidden_size":[0-9]*/"hidden_size":0/'
train 'a negative size' 65 'num_hidden_layers: -1 is not in' plan.json '1s/"num_hidden_layers":[0-9]*/"num_hidden_layers":-1/'
train 'a size of 2^63 - 1' 65 'intermediate_size: 9223372036854775807 is not in' \
	plan.json '1s/"intermediate_size":[0-9]*/"intermediate_size":9223372036854775807/'
train 'a size that is text' 65 'vocab_size: must be a whole number' plan.json '1s/"vocab_size":[0-9]*/"vocab_size":"many"/'
train 'heads that do not divide' 65 'is not a multiple of num_attention_heads' \
	plan.json '1s/"num_attention_heads":[0-9]*/"num_attention_heads":7/'
train 'more layers than the base has' 65 "no tensor '.*encoder.layer.2" plan.json '1s/"num_hidden_layers":2/"num_hidden_layers":3/'
train 'a larger vocabulary than the base has' 65 'has shape .* config.json asks for' plan.json '1s/"vocab_size":[0-9]*/"vocab_size":9999999/'
train 'a dropout of 2' 65 'hidden_dropout_prob: 2 is not in \[0, 1\)' plan.json '1s/"hidden_dropout_prob":[0-9.]*/"hidden_dropout_prob":2.0/'
train 'a rule that is none' 65 'train: rule 0 is not' plan.json '1s/"rules":\[\]/"rules":[7]/'
train 'a rate that is none' 65 'train: rate 0 is not' plan.json '1s/"rates":\[\]/"rates":[["*","fast"]]/'
freeze 'a plan of a broken plan' 65 'hidden_size: 0 is not in' plan.json '1s/"hidden_size":[0-9]*/"hidden_size":0/'

# ---- batches against the model ----
data() { bad "$@" ft-train -q -m plan.ft bad.ft; }
data 'another tokenizer' 78 'was made with the tokenizer' train.json '1s/\("tokenizer":{"digest":"\)[0-9a-f]*/\1ff/'
data 'another task' 78 'was made with the task regress' train.json '1s/"task":"classify"/"task":"regress"/'
data 'other labels' 78 'was made with the labels' train.json '1s/"labels":\["neg","pos"\]/"labels":["pos","neg"]/'
data 'an id beyond the vocabulary' 78 'record 1: .*train.tsv:[0-9]*: token id 999999' train.json '2s/"ids":\[[0-9]*/"ids":[999999/'
data 'a label beyond the classes' 78 'record 1: .*label 2; the head has 2' train.json '2s/"labels":\[[0-9]*/"labels":[2/'
data 'labels of tokens' 78 'record 1: .*labels of tokens' train.json \
	'2s/"labels":\[[^]]*\]/"labels":[]/;2s/"ids":\[\([^]]*\)\],\(.*\)"labels":\[\]/"ids":[\1],\2"labels":[\1]/'
data 'targets for a classifier alone' 65 'nothing is supervised' train.json 's/"labels":\[\([01],[^]]*\)\],"src/"targets":[\1],"src/'
data 'nothing supervised' 65 'batches 1 to 1: nothing is supervised' train.json '2s/"labels":\[[^]]*\]/"labels":[-100,-100,-100,-100]/'
data 'a negative number of batches' 65 'meta: batches: -3 is not' train.json '1s/"batches":[0-9]*/"batches":-3/'
data 'a number of batches near 2^63' 65 'meta: batches: 9223372036854775807 is not' train.json '1s/"batches":[0-9]*/"batches":9223372036854775807/'
data 'a number of batches that is text' 65 'meta: batches: must be a whole number' train.json '1s/"batches":[0-9]*/"batches":"six"/'
data 'no batches' 65 'no batches' train.json '2,$s/^{"ids".*//;/^$/d'

# ---- a header that is large, or deep, costs little ----
labels=$(awk 'BEGIN { for (i = 0; i < 300000; i++) printf "%s\"l%d\"", i ? "," : "", i }')
printf 's/"labels":\\["neg","pos"\\]/"labels":[%s]/' "$labels" >many.sed
sed -f many.sed plan.json | ft-cat --from-json >many.ft
is 'three hundred thousand labels are read at once' "$(timeout 10 ft-freeze -q --show --json many.ft | wc -l | tr -d ' ')" \
	"$(ft-freeze -q --show --json plan.ft | wc -l | tr -d ' ')"

# ---- files of a folder that lead nowhere, or are too large ----
# odd FOLDER FILE HOW CODE MESSAGE: HOW is loop, for a link to itself, or a size
odd() {
	rm -rf odd; cp -r "$SRC/tests/ref/$1" odd; chmod -R u+w odd; rm -f "odd/$2"
	case $3 in loop) ln -s "$2" "odd/$2" ;; *) truncate -s "$3" "odd/$2" ;; esac
	fails "$2: $3" "$4" ft-freeze --show --json --base "$SRC/tests/ref/tiny-bert-classify" odd
	like "$2: $3: says so" "$(cat .err)" "^ft-freeze: odd.*$5\$"
}
for file in config.json model.safetensors modules.json tokenizer_config.json; do
	odd tiny-bert $file loop 1 "/$file: Too many levels of symbolic links"
done
odd tiny-bert config.json 17M 65 '/config.json: 17825792 bytes; at most 16777216 are read'
odd peft/list adapter_config.json 17M 65 ': adapter_config.json: 17825792 bytes; at most 16777216 are read'
odd peft/list adapter_model.safetensors loop 1 '/adapter_model.safetensors: Too many levels of symbolic links'
done_testing
