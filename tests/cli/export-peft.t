#!/bin/sh
# ft-export --to peft, and the folder it writes as a MODEL again.
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
# has DESCRIPTION FILE TEXT: TEXT stands in the JSON file, white space aside.
has() {
	case $(tr -d ' \n' <"$2") in
	*"$3"*) pass "$1" ;;
	*) fail "$1"; echo "# $2 has no $3"; tr -d ' \n' <"$2" | sed 's/^/# /'; echo ;;
	esac
}
# tune PLAN OPTION... BASE: a plan, trained for two steps.
tune() {
	plan=$1; shift
	ft-freeze -q --head classify:neg,pos "$@" -o plan.ft &&
		ft-tokenize -q -m plan.ft train.tsv | ft-batch -q --rows 2 | ft-train -q --lr 0.05 -m plan.ft -o "$plan" -
}
answers() { ft-predict -q "$@" train.tsv | sed 's/\([0-9]\.[0-9]\{4\}\)[0-9]*/\1/g'; }

# ---- what is written ----
ok 'a tuned model' tune tuned.ft --lora r=2,alpha=6,r:*.1.*=3 base
ft-export -m tuned.ft --to peft out 2>notes
is 'exports' $? 0
like 'says how it was compared' "$(cat notes)" 'read back beside its base: outputs of 3 rows \(41 tokens\) differ by at most'
is 'its files' "$(ls out | tr '\n' ' ')" 'README.md adapter_config.json adapter_model.safetensors ft.json tokenizer.json tokenizer_config.json vocab.txt '
is 'adapter_config.json' "$(tr -d ' \n' <out/adapter_config.json)" '{"alpha_pattern":{},"auto_mapping":null,"base_model_name_or_path":"base","bias":"none","fan_in_fan_out":false,"inference_mode":true,"init_lora_weights":true,"layers_pattern":null,"layers_to_transform":null,"lora_alpha":6,"lora_dropout":0.0,"modules_to_save":["pooler","classifier"],"peft_type":"LORA","r":2,"rank_pattern":{"bert.encoder.layer.1.attention.self.query":3,"bert.encoder.layer.1.attention.self.value":3},"revision":null,"target_modules":["query","value"],"task_type":"SEQ_CLS","use_dora":false,"use_rslora":false}'
names() {
	python3 - "$1/adapter_model.safetensors" <<'END'
import json, struct, sys
f = open(sys.argv[1], "rb")
head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
for k in sorted(head):
    if k != "__metadata__":
        print(k, head[k]["dtype"], head[k]["shape"])
END
}
is 'tensors' "$(names out | sed -n '1,6p;$p')" 'base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight F32 [2, 32]
base_model.model.bert.encoder.layer.0.attention.self.query.lora_B.weight F32 [32, 2]
base_model.model.bert.encoder.layer.0.attention.self.value.lora_A.weight F32 [2, 32]
base_model.model.bert.encoder.layer.0.attention.self.value.lora_B.weight F32 [32, 2]
base_model.model.bert.encoder.layer.1.attention.self.query.lora_A.weight F32 [3, 32]
base_model.model.bert.encoder.layer.1.attention.self.query.lora_B.weight F32 [32, 3]
base_model.model.classifier.weight F32 [2, 32]'
is 'and no others' "$(names out | wc -l)" 12
has 'the note knows the labels' out/ft.json '"labels":["neg","pos"]'
like 'the card says how PEFT loads it' "$(cat out/README.md)" 'model = AutoModelForSequenceClassification.from_pretrained\(base, num_labels=2\)'
like 'and its library' "$(sed -n 2p out/README.md)" '^library_name: peft$'
ft-export -q -m tuned.ft --to peft again
ok 'the same bytes again' diff -r out again -x README.md
ft-export -q -d bf16 -m tuned.ft --to peft half
like 'in a narrower type' "$(names half | head -n 1)" 'BF16'

# ---- as a MODEL ----
is 'its answers are the tuned model'\''s' "$(answers -m out)" "$(answers -m tuned.ft)"
ok 'it goes on training' sh -c 'ft-tokenize -q -m out train.tsv | ft-batch -q --rows 2 | ft-train -q -m out -o more.ft -'
is 'of which only what was added is stored' "$(ft-cat more.ft | sed 1d | grep -o '"tensor":"[^"]*"' | grep -vc '\.lora\.\|head\.\|pool\.')" 0
ok 'a plan may add to it' tune two.ft --lora r=1,sites=*.attn.[qk] out
ok 'merged it is a Hugging Face folder' ft-export -q -m out --to hf hf
is 'with the same answers' "$(answers -m hf)" "$(answers -m tuned.ft)"
like 'what merging moved is told' "$(ft-export -m out hf2 2>&1)" 'merged: outputs of 3 rows \(41 tokens\) differ by at most [0-9.e-]+ \(allowed'
like 'also as JSON' "$(ft-export -q --json -m out hf3)" '"merged":\{"difference":[0-9.e-]+,"allowed":'

# ---- several are one ----
ok 'two at the same sites' ft-export -q -m two.ft --to peft sum
has 'have the sum of the ranks' sum/adapter_config.json '"bert.encoder.layer.1.attention.self.query":4'
has 'and all their modules' sum/adapter_config.json '"target_modules":["key","query","value"]'
is 'and the same answers' "$(answers -m sum)" "$(answers -m two.ft)"
ok 'one of another kind of scale among them' sh -c 'ft-freeze -q --lora r=2,rslora,sites=*.ffn.up tuned.ft -o mixed.ft && ft-export -q -m mixed.ft --to peft mixed'

# ---- DoRA and IA3 ----
ok 'DoRA, tuned' tune dora.ft --lora r=2,dora,sites=*.attn.* base
ok 'exports' ft-export -q -m dora.ft --to peft dora
has 'says what it is' dora/adapter_config.json '"use_dora":true'
like 'with the lengths of rows' "$(names dora)" 'layer.1.attention.self.value.lora_magnitude_vector F32 \[32\]'
is 'and the same answers' "$(answers -m dora)" "$(answers -m dora.ft)"
ok 'at the words, too' tune dora-words.ft --lora r=2,dora,sites=embed.word,sites=*.attn.v base
ok 'exports' ft-export -q -m dora-words.ft --to peft dora-words
like 'with the lengths of columns' "$(names dora-words)" 'word_embeddings.lora_magnitude_vector F32 \[32\]'
is 'and the same answers' "$(answers -m dora-words)" "$(answers -m dora-words.ft)"
ok 'which are those of what is merged' ft-export -q -m dora-words.ft dora-merged
is 'there' "$(answers -m dora-merged)" "$(answers -m dora-words.ft)"
ft-freeze -q --lora r=1 dora.ft -o above.ft
fails 'LoRA above it' 2 ft-export -m above.ft --to peft bad
like 'names the place' "$(cat .err)" 'lora at layer.0.attn.q scales rows \(dora\), which another technique stands above'
ft-freeze -q --lora r=1,sites=*.ffn.up dora.ft -o beside.ft
fails 'LoRA beside it' 2 ft-export -m beside.ft --to peft bad
like 'names both places' "$(cat .err)" 'layer.0.attention.self.query.weight: rows are scaled \(dora\), those of .*intermediate.dense.weight are not'
ok 'PiSSA, tuned' tune pissa.ft --lora r=3,init=pissa base
ok 'exports' ft-export -q -m pissa.ft --to peft pissa
has 'as a plain LoRA of twice the rank' pissa/adapter_config.json '"init_lora_weights":true'
like 'and size' "$(names pissa)" 'layer.1.attention.self.value.lora_B.weight F32 \[32, 6\]'
is 'with the same answers' "$(answers -m pissa)" "$(answers -m pissa.ft)"
ok 'VeRA, tuned' tune vera.ft '--vera=r=6,sites=*.attn.*,sites=*.ffn.up' base
ok 'exports' ft-export -q -m vera.ft --to peft vera
is 'adapter_config.json' "$(tr -d ' \n' <vera/adapter_config.json)" '{"auto_mapping":null,"base_model_name_or_path":"base","bias":"none","d_initial":0.1,"fan_in_fan_out":false,"inference_mode":true,"init_weights":true,"layers_pattern":null,"layers_to_transform":null,"modules_to_save":["pooler","classifier"],"peft_type":"VERA","projection_prng_key":0,"r":6,"revision":null,"save_projection":true,"target_modules":["attention.output.dense","intermediate.dense","key","query","value"],"task_type":"SEQ_CLS","vera_dropout":0.0}'
like 'with what all modules share' "$(names vera)" 'base_model.vera_A F32 \[6, 32\]'
is 'and the same answers' "$(answers -m vera)" "$(answers -m vera.ft)"
ok 'IA3, tuned' tune ia3.ft '--ia3=input:*.1.attn.v=1' base
ok 'exports' ft-export -q -m ia3.ft --to peft ia3
is 'adapter_config.json' "$(tr -d ' \n' <ia3/adapter_config.json)" '{"auto_mapping":null,"base_model_name_or_path":"base","fan_in_fan_out":false,"feedforward_modules":["0.output.dense","1.attention.self.value","1.output.dense"],"inference_mode":true,"init_ia3_weights":true,"modules_to_save":["pooler","classifier"],"peft_type":"IA3","revision":null,"target_modules":["0.attention.self.value","key","0.output.dense","1.attention.self.value","1.output.dense"],"task_type":"SEQ_CLS"}'
like 'vectors of what is given lie' "$(names ia3)" 'layer.1.output.dense.ia3_l F32 \[1, 64\]'
like 'vectors of what comes out stand' "$(names ia3)" 'layer.1.attention.self.key.ia3_l F32 \[32, 1\]'
is 'and the same answers' "$(answers -m ia3)" "$(answers -m ia3.ft)"
ft-freeze -q --lora r=1,sites=*.ffn.up ia3.ft -o above.ft
fails 'two kinds of technique' 2 ft-export -m above.ft --to peft bad
like 'names one and the place' "$(cat .err)" 'ia3 at layer.0.attn.k is not a matrix of low rank, and a folder has one kind; --to hf merges them'

# ---- other bases ----
for kind in gpt2 llama; do
	ok "$kind: a language model" ft-freeze -q --lora 'r=2,rslora,sites=*.attn.*,sites=embed.word' "$ref/decoders/$kind/tiny-lm" -o lm.ft
	ok 'exports' ft-export -q -m lm.ft --to peft "lm-$kind"
	has 'root of the rank' "lm-$kind/adapter_config.json" '"use_rslora":true'
done
has 'gpt2 holds weights the other way around' lm-gpt2/adapter_config.json '"fan_in_fan_out":true'
has 'ends of names that mean nothing else' lm-gpt2/adapter_config.json '"target_modules":["attn.c_proj","c_attn","wte"]'
like 'tables have names of their own' "$(names lm-gpt2 | tail -n 1)" '^base_model.model.transformer.wte.lora_embedding_B F32 \[16, 2\]$'

# ---- for llama.cpp ----
ok 'a head of its own is left alone' ft-freeze -q --freeze 'head.*' --lora r=2 "$ref/decoders/llama/tiny-lm" -o lm.ft
like 'gguf-lora is read back' "$(ft-export -m lm.ft --to gguf-lora lm.gguf 2>&1)" 'lm.gguf: adapter of LlamaForCausalLM, 8 tensors as F32'
is 'it is a GGUF file' "$(head -c 4 lm.gguf)" GGUF
fails 'nothing added' 2 ft-export -m "$ref/decoders/llama/tiny-lm" --to gguf-lora bad.gguf
fails 'what else was trained' 2 ft-export -m "$ref/peft/llama-brain" --to gguf-lora bad.gguf
like 'with what to do' "$(cat .err)" "'layer.0.attn.norm.weight' was trained, too, .*--freeze 'layer.0.attn.norm.weight' leaves it alone.; --to gguf exports all of it"
fails 'a classifier' 2 ft-export -m tuned.ft --to gguf-lora bad.gguf
ok 'DoRA' ft-freeze -q --freeze 'head.*' --lora r=2,dora "$ref/decoders/llama/tiny-lm" -o dora-lm.ft
fails 'is not for llama.cpp' 2 ft-export -m dora-lm.ft --to gguf-lora bad.gguf
like 'says why' "$(cat .err)" 'layers.0.self_attn.q_proj.weight: its rows are scaled \(dora\).*--to gguf merges'
fails 'a name that llama.cpp does not look for' 2 ft-export -m lm.ft --to gguf-lora bad

# ---- what cannot be ----
fails 'a model without anything added' 2 ft-export -m "$ref/tiny-bert-classify" --to peft bad
like 'says what would do it' "$(cat .err)" 'nothing has been added to it'
ok 'a model whose base was trained, too' tune both.ft --lora r=2 --train '*.1.ffn.up.weight' base
fails 'does not fit an adapter' 2 ft-export -m both.ft --to peft bad
like 'says which weight, and what does' "$(cat .err)" "'layer.1.ffn.up.weight' was trained, too, .* --to hf exports all of it"
fails 'a type of weights that a folder does not have' 2 ft-export -d q8_0 -m tuned.ft --to peft bad
fails 'a folder that is there' 1 ft-export -m tuned.ft --to peft out
ok 'unless it is to be replaced' ft-export -q --force -m tuned.ft --to peft out
mv base moved
fails 'a base that is gone' 1 ft-predict -m out train.tsv
like 'says how to find it' "$(cat .err)" "its base 'base' is not a folder or a GGUF file here; --base says where it lies"
is '--base finds it' "$(answers --base moved -m out)" "$(answers --base moved -m tuned.ft)"
fails 'another base' 78 ft-predict --base "$ref/tiny-bert-mlm" -m out train.tsv
like 'is told by its digest' "$(cat .err)" 'out is based on a model with digest [0-9a-f]{32}'
rm out/ft.json
is 'without the note there are no names' "$(answers --base moved -m out | grep -c pos)" 0

# ---- mlx-lm's ----
if [ -d "$DATA/models/adapters/mlx-lora" ]; then
	fails 'an adapter of mlx-lm without its base' 1 ft-predict -m "$DATA/models/adapters/mlx-lora" train.tsv
	like 'names the base' "$(cat .err)" 'Qwen2.5-0.5B-Instruct-4bit'
else
	skip 'no data'
fi
is 'nothing was left' "$(ls -d bad .??*.?????? 2>/dev/null)" ''
done_testing
