#!/bin/sh
# ft-export --to adapterhub, and such folders as a MODEL; what their configurations may not say.
. "${0%/*}/../lib.sh"
ref=$SRC/tests/ref
cd "$T"
cat >train.tsv <<'END'
pos	the good one is good
neg	a bad one
pos	good and fine
neg	this is bad
END
cp -r "$ref/tiny-bert" base
tune() {
	plan=$1; shift
	ft-freeze -q --head classify:neg,pos "$@" -o plan.ft &&
		ft-tokenize -q -m plan.ft train.tsv | ft-batch -q --rows 2 | ft-train -q --lr 0.05 -m plan.ft -o "$plan" -
}
answers() { ft-predict -q "$@" train.tsv | sed 's/\([0-9]\.[0-9]\{4\}\)[0-9]*/\1/g'; }

# ---- what is written ----
ok 'a tuned model' tune tuned.ft --bottleneck=kind=houlsby,reduction:layer.1.*=10 base
ft-export -m tuned.ft --to adapterhub out 2>notes
is 'exports' $? 0
like 'says how it was compared' "$(cat notes)" 'read back beside its base: outputs of 3 rows \(41 tokens\) differ by at most'
is 'its files' "$(ls out | tr '\n' ' ')" 'adapter.safetensors adapter_config.json ft.json head_config.json model_head.safetensors '
is 'adapter_config.json' "$(tr -d ' \n' <out/adapter_config.json)" '{"model_type":"bert","hidden_size":32,"model_name":"base","model_class":"BertForSequenceClassification","name":"bottleneck","version":"adapters.1.3.0","config":{"non_linearity":"swish","original_ln_before":false,"original_ln_after":true,"ln_before":false,"ln_after":false,"adapter_residual_before_ln":false,"is_parallel":false,"init_weights":"bert","scaling":1.0,"dropout":0.0,"inv_adapter":null,"cross_adapter":false,"use_gating":false,"phm_layer":false,"stochastic_depth":0.0,"inv_adapter_reduction_factor":null,"init_weights_seed":null,"residual_before_ln":true,"leave_out":[],"mh_adapter":true,"output_adapter":true,"reduction_factor":{"0":16.0,"1":10.0}}}'
like 'the head has its labels' "$(tr -d ' \n' <out/head_config.json)" '"model_class":"BertForSequenceClassification","name":null,.*"num_labels":2,"label2id":\{"neg":0,"pos":1\}'

# ---- as a MODEL ----
is 'its answers are the tuned model'\''s' "$(answers -m out)" "$(answers -m tuned.ft)"
ok 'it goes on training' sh -c 'ft-tokenize -q -m out train.tsv | ft-batch -q --rows 2 | ft-train -q -m out -o more.ft -'
is 'of which only what was added is stored' \
	"$(ft-cat more.ft | sed 1d | grep -o '"tensor":"[^"]*"' | grep -vc '\.bottleneck\.\|head\.\|pool\.')" 0
hub() { ft-freeze --show --json --base "$ref/tiny-bert-classify" "$1"; }
like 'an adapter keeps its name' "$(hub "$ref/adapterhub/bert-houlsby" 2>&1)" 'layer.0.attn.task.down.weight'

# ---- what is refused, and what is told ----
# changed EXPRESSION: the library's folder with another adapter_config.json.
changed() { rm -rf bad; cp -r "$ref/adapterhub/bert-pfeiffer" bad; sed -i "$1" bad/adapter_config.json; ft-predict -q -m bad --base "$ref/tiny-bert-classify" train.tsv; }
fails 'gates' 65 changed 's/"use_gating": false/"use_gating": true/'
like 'says which key' "$(cat .err)" 'use_gating is set, which is not supported'
fails 'another method' 65 changed 's/"config": {/&"architecture": "lora",/'
fails 'invertible adapters' 65 changed 's/"inv_adapter": null/"inv_adapter": "nice"/'
fails 'a block whose own sum is nowhere' 65 changed 's/"original_ln_after": true/"original_ln_after": false/;s/"original_ln_before": true/"original_ln_before": false/'
fails 'an activation that is not here' 65 changed 's/"relu"/"leakyrelu"/'
fails 'a number that is none' 65 changed 's/"reduction_factor": 8/"reduction_factor": "8"/'
fails 'another width than the tensors have' 65 changed 's/"reduction_factor": 8/"reduction_factor": 4/'
fails 'more layers than the tensors have' 65 changed 's/"mh_adapter": false/"mh_adapter": true/'
fails 'a name that no parameter can have' 65 changed 's/"name": "bottleneck"/"name": "a.b"/'
fails 'no configuration' 65 changed 's/"config": {/"other": {/'
# says WHAT REASON EXPRESSION [FILE]: refused for it.
says() {
	rm -rf bad; cp -r "$ref/adapterhub/bert-pfeiffer" bad
	tr -d '\n' <"$ref/adapterhub/bert-pfeiffer/${4:-adapter_config.json}" | sed 's/": */":/g' | sed "$3" >"bad/${4:-adapter_config.json}"
	fails "$1" 65 ft-predict -q -m bad --base "$ref/tiny-bert-classify" train.tsv
	like "$1: says so" "$(cat .err)" "bad: ${4:-adapter_config.json}: $2"
}
says 'a flag that is none' 'config: is_parallel: must be true or false' 's/"is_parallel":false/"is_parallel":1/'
says 'a sum that is none' 'residual_before_ln: not true, false or "post_add"' 's/"residual_before_ln":true/"residual_before_ln":"pre"/'
says 'an activation that is a number' 'config: non_linearity: must be a string' 's/"non_linearity":"relu"/"non_linearity":7/'
says 'a place that is none' 'config: mh_adapter: must be true or false' 's/"mh_adapter":false/"mh_adapter":"yes"/'
says 'nothing at all' 'no block of the base has an adapter' 's/"output_adapter":true/"output_adapter":false/'
says 'all left out' 'no block of the base has an adapter' 's/"leave_out":\[\]/"leave_out":[0,1,"2"]/'
says 'a width of nothing' 'reduction_factor: no number above 0 for layer 0' 's/"reduction_factor":8/"reduction_factor":{"7":8}/'
says 'a negative one' 'reduction_factor: no number above 0 for layer 0' 's/"reduction_factor":8/"reduction_factor":{"0":-8,"default":8}/'
says 'no name' 'name: not a string' 's/"name":"bottleneck"/"name":null/'
says 'a configuration that is a list' 'config: not an object' 's/"config":{.*}, *"hidden/"config":[],"hidden/'
says 'a method that is a number' "architecture: '\?' is not supported" 's/"config":{/&"architecture":7,/'
says 'a base that is a number' 'model_name: must be a string' 's/"model_name":"[^"]*"/"model_name":7/'
says 'a head of no class' 'model_class: must be a string' 's/"model_class":"[^"]*"/"model_class":7/' head_config.json
says 'a head that is a list' 'not a JSON object' 's/.*/[]/' head_config.json
says 'a head without a class' 'no model_class; without this file the adapter is read alone' 's/"model_class":"[^"]*",//' head_config.json
changed 's/"dropout": 0.0/&, "future": 1/' >show 2>told
like 'what is not known is told' "$(cat told)" "'future' is not known, and passed over"
rm -rf bad; cp -r out bad; mv bad/adapter.safetensors bad/pytorch_adapter.bin
fails 'a pickle' 65 ft-freeze --show --base base bad
like 'says what writes the other file' "$(cat .err)" 'use_safetensors=True, writes adapter.safetensors'

# ---- heads of the library's own classes ----
ok 'a head on the first token' tune first.ft --pooling cls --bottleneck base
ok 'exports' ft-export -q -m first.ft --to adapterhub first
is 'as one of theirs' "$(tr -d ' \n' <first/head_config.json)" '{"model_type":"bert","hidden_size":32,"model_name":"base","model_class":"BertAdapterModel","name":"bottleneck","version":"adapters.1.3.0","config":{"head_type":"classification","num_labels":2,"layers":1,"activation_function":null,"label2id":{"neg":0,"pos":1},"dropout_prob":null,"use_pooler":false,"bias":true}}'
is 'its answers are the tuned model'\''s' "$(answers -m first)" "$(answers -m first.ft)"
rm first/ft.json
is 'also without ft.json' "$(answers -m first)" "$(answers -m first.ft)"
ok 'it goes on training' sh -c 'ft-tokenize -q -m first train.tsv | ft-batch -q --rows 2 | ft-train -q -m first -o more.ft -'
ok 'is written again' ft-export -q -m more.ft --to adapterhub first2
like 'with the same name' "$(tr -d ' \n' <first2/head_config.json)" '"BertAdapterModel","name":"bottleneck"'
ok 'another head in its place' ft-freeze -q --head classify:a,b,c -o three.ft first
fails 'a head on the mean' 2 sh -c 'ft-freeze -q --head classify:neg,pos --pooling mean --bottleneck -o odd.ft base && ft-export -q -m odd.ft --to adapterhub none'
like 'says what there is' "$(cat .err)" 'AdapterHub has no class for this head; of --pooling it has cls, on encoders'
fails 'several numbers' 2 sh -c 'ft-freeze -q --head regress:2 --pooling cls --bottleneck -o odd.ft base && ft-export -q -m odd.ft --to adapterhub none'
like 'say how many it can be' "$(cat .err)" "AdapterHub's own heads give one number; this one 2"
# flex EXPRESSION [NAME]: the library's folder with another head_config.json.
flex() { rm -rf bad; cp -r "$ref/adapterhub/${2:-flex-bert}" bad; sed -i "$1" bad/head_config.json; ft-predict -q -m bad --base base train.tsv; }
ok 'theirs, as it is' flex ''
fails 'another kind of head' 65 flex 's/"classification"/"multiple_choice"/'
like 'says which there are' "$(cat .err)" "head_type: 'multiple_choice' is not supported; classification, multilabel_classification and tagging are"
fails 'three layers' 65 flex 's/"layers": 2/"layers": 3/'
like 'says how many' "$(cat .err)" 'layers: 3 are not supported'
fails 'two on the pooler' 65 flex 's/"use_pooler": false/"use_pooler": true/'
fails 'another activation between them' 65 flex 's/"tanh"/"relu"/'
like 'says which it is' "$(cat .err)" "activation_function: 'relu' between two layers; on a bert tanh is supported"
fails 'no bias' 65 flex 's/"bias": true/"bias": false/'
fails 'another name than its tensors have' 65 flex 's/"name": "task"/"name": "other"/'
fails 'more labels than its tensors have' 65 flex 's/"good": 2/"good": 2, "best": 3/'
fails 'one layer, of two in the file' 65 flex 's/"layers": 2/"layers": 1/'
rm -rf bad; cp -r "$ref/adapterhub/flex-bert" bad; rm bad/model_head.safetensors
fails 'a head without tensors' 65 ft-predict -q -m bad --base base train.tsv
rm -rf bad; cp -r out bad; rm bad/ft.json; sed -i 's/"config": *null/"config": {"head_type": "classification"}/' bad/head_config.json
fails 'a configuration of theirs beside tensors of transformers' 65 ft-predict -q -m bad --base base train.tsv
fails 'PEFT has none for a head on the first token' 2 sh -c 'ft-freeze -q --head classify:neg,pos --pooling cls --lora r=2 -o odd.ft base && ft-export -q -m odd.ft --to peft none'
like 'says so' "$(cat .err)" 'transformers has no class for this head'
ok 'LoRA' tune lora.ft --lora r=2 base
fails 'is no adapter of theirs' 2 ft-export -q -m lora.ft --to adapterhub none
fails 'nor is theirs one of PEFT' 2 ft-export -q -m tuned.ft --to peft none
fails 'one that cannot be said' 2 sh -c 'ft-freeze -q --head classify:neg,pos -o odd.ft \
	--bottleneck=sites=layer.0.attn,sites=layer.*.ffn base && ft-export -q -m odd.ft --to adapterhub none'

if [ -n "${PYTHON:-}" ] && "$PYTHON" -c 'import adapters' 2>/dev/null; then
	mkdir check
	"$PYTHON" "$ref/export-adapterhub-check.py" "$BUILD/bin" "$T/check" >table 2>log
	is 'adapters loads every folder and gives the same outputs' "$(grep -v '^ok' table)" ''
	is 'in so many cases' "$(grep -c '^ok' table)" 24
else
	skip 'no adapters in PYTHON'
fi
done_testing
