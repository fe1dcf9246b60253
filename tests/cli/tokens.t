#!/bin/sh
# ft-freeze --add-tokens: words that a vocabulary lacks, whose vectors train, alone where nothing else of the table does.
. "${0%/*}/../lib.sh"
cd "$T"
printf 'pos\tthe <good> one is good\nneg\ta <bad> one\npos\tgood and fine <good>\nneg\tthis is bad\n' >train.tsv
cut -f 2 train.tsv >train.txt
# base NAME MODEL EDIT: the model of a folder of pipelines, made small and random.
base() {
	mkdir "$1.config"
	cp "$SRC/pipelines/$2/model/"tokenizer*.json "$1.config"
	sed "s/\(\"hidden_size\"\|\"head_dim\"\|\"intermediate_size\"\): [0-9]*/\1: 16/; s/\(\"num[a-z_]*heads\"\|\"num_hidden_layers\"\): [0-9]*/\1: 1/; $3" \
		"$SRC/pipelines/$2/model/config.json" >"$1.config/config.json"
	ft-freeze -q --init -o "$1.ft" "$1.config" && ft-export -q -m "$1.ft" "$1" 2>/dev/null
}
ok 'an encoder' base bert encoder ''
ok 'a language model' base lm lm ''
ok 'and one whose output has weights of its own' base untied lm 's/"tie_word_embeddings": true/"tie_word_embeddings": false/'
shown() { ft-freeze --show "$1" | grep ' trains' | grep -o '^[a-z.]*\|from row [0-9]*' | tr '\n' ' '; }
tensors() { ft-cat "$1" | sed -n 's/.*"tensor":"\([^"]*\)".*"shape":\(\[[0-9,]*\]\).*/\1\2/p' | tr '\n' ' '; }
tune() { # PLAN TUNED DATA
	ft-tokenize -q -m "$1" "$3" | ft-batch -q --rows 2 --epochs 2 | ft-train -q --lr 0.05 -m "$1" -o "$2" -
}

# ---- what trains ----
ok 'two tokens' ft-freeze -q --head classify:neg,pos --last-layers 0 --add-tokens '<good>,<bad>' -o plan.ft bert
is 'train beside the head, alone of their table' "$(shown plan.ft)" 'embed.word.weight from row 6000 pool.weight pool.bias head.weight head.bias '
is 'by a name of their own they do not' "$(ft-freeze -q --head classify:neg,pos --last-layers 0 --freeze embed.word.new --add-tokens '<x>' -o no.ft bert; shown no.ft)" \
	'pool.weight pool.bias head.weight head.bias '
is 'everything trains when nothing is said' "$(ft-freeze -q --add-tokens '<good>' -o all.ft bert; shown all.ft | grep -c from)" 0
is 'a file has one a line' "$(printf '<good>\n<bad>\n' >names; ft-freeze -q --last-layers 0 --add-tokens @names -o file.ft bert; shown file.ft)" \
	'embed.word.weight from row 6000 pool.weight pool.bias '
like 'they are read as one' "$(ft-tokenize -q -m plan.ft train.tsv | ft-cat | sed -n 2p)" '"ids":\[2,[0-9]+,6000,'
like 'and shown so' "$(ft-tokenize -q -m plan.ft train.tsv | ft-batch -q | ft-cat --text -m plan.ft)" '<good>'
ok 'trains' tune plan.ft tuned.ft train.tsv
is 'a stream has the new rows alone' "$(tensors tuned.ft)" 'embed.word.new[2,16] pool.weight[16,16] pool.bias[16] head.weight[2,16] head.bias[2] '
ok 'the same bytes with three threads' sh -c 'ft-tokenize -q -m plan.ft train.tsv | ft-batch -q --rows 2 --epochs 2 | ft-train -q --threads 3 --lr 0.05 -m plan.ft -o three.ft - && cmp tuned.ft three.ft'
answers() { ft-predict -q -m "$1" train.tsv; }
ok 'is exported' ft-export -q -m tuned.ft out
is 'with the same answers' "$(answers out)" "$(answers tuned.ft)"
table() { # FOLDER: the bytes of its word embeddings' first 6000 rows
	python3 - "$1/model.safetensors" <<'END'
import hashlib, json, struct, sys
f = open(sys.argv[1], "rb")
n = struct.unpack("<Q", f.read(8))[0]
head = json.loads(f.read(n))
t = head[next(k for k in head if k.endswith("word_embeddings.weight"))]
f.seek(8 + n + t["data_offsets"][0])
print(t["shape"][0], hashlib.sha256(f.read(6000 * 16 * 4)).hexdigest())
END
}
is 'and all other words as they were, to the bit' "$(table out)" "$(table bert | sed 's/6000/6002/')"
is 'config.json knows how many' "$(grep -o '"vocab_size": *[0-9]*' out/config.json | tr -d ' ')" '"vocab_size":6002'
like 'tokenizer.json has them behind the others' "$(tr -d '\n' <out/tokenizer.json)" '"id":6000,"content":"<good>".*"id":6001,"content":"<bad>","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":false\}\]'

# ---- more of them, on what was tuned ----
ok 'a third on the tuned model' ft-freeze -q --lora r=1 --add-tokens '<so so>' -o more.ft tuned.ft
like 'trains with the two' "$(shown more.ft)" '^embed.word.weight from row 6000 '
is 'which are kept' "$(tensors more.ft | cut -d ' ' -f 1)" 'embed.word.new[3,16]'
is 'and answer as they did' "$(ft-predict -q -m more.ft train.tsv)" "$(answers tuned.ft)"
ok 'it trains' tune more.ft three.ft train.tsv
ok 'then all of the table' ft-freeze -q --train 'embed.*' -o whole.ft three.ft
ok 'trains' tune whole.ft four.ft train.tsv
like 'and is stored as a whole' "$(tensors four.ft)" '^embed.word.weight\[6003,16\]'
ok 'the new rows alone again' ft-freeze -q --last-layers 0 --add-tokens '<more>' -o five.ft four.ft
like 'lose nothing of it' "$(tensors five.ft)" '^embed.word.weight\[6004,16\]'

# ---- what decodes ----
ok 'a language model' ft-freeze -q --last-layers 0 --add-tokens '<good>,<bad>' -o lm-plan.ft lm
is 'says them with the same vectors' "$(shown lm-plan.ft)" 'embed.word.weight from row 3072 '
ok 'trains' tune lm-plan.ft lm-tuned.ft train.txt
ok 'is exported' ft-export -q -m lm-tuned.ft lm-out
is 'two matrices' "$(ft-freeze -q --last-layers 0 --freeze 'head.weight' --add-tokens '<good>' -o u.ft untied; shown u.ft)" \
	'embed.word.weight from row 3072 head.weight from row 3072 '
ok 'train' tune u.ft u-tuned.ft train.txt
is 'and their new rows are kept' "$(tensors u-tuned.ft)" 'embed.word.new[1,16] head.new[1,16] '
ok 'as they are exported' ft-export -q -m u-tuned.ft u-out

# ---- as a folder of PEFT ----
config() { tr -d ' \n' <"$1/adapter_config.json"; }
ok 'LoRA and tokens' ft-export -q -m three.ft --to peft adapter
like 'rows that are replaced' "$(config adapter)" '"trainable_token_indices":\[6000,6001,6002\]'
is 'answers beside the base' "$(answers adapter)" "$(answers three.ft)"
like 'tokenizer and note know them' "$(cat adapter/tokenizer.json adapter/ft.json | tr -d '\n')" '"content":"<so so>".*"tokens": ?\{ *"from": ?6000'
like 'the card says how long the base must be' "$(cat adapter/README.md)" 'model.resize_token_embeddings\(6003\)'
ok 'it goes on training' sh -c 'ft-tokenize -q -m adapter train.tsv | ft-batch -q --rows 2 | ft-train -q -m adapter -o on.ft -'
like 'of the table its new rows alone' "$(tensors on.ft)" '^embed.word.new\[3,16\]'
ok 'tokens alone' ft-export -q -m lm-tuned.ft --to peft lm-adapter
like 'are a method' "$(config lm-adapter)" '"peft_type":"TRAINABLE_TOKENS".*"target_modules":\["model.embed_tokens"\].*"token_indices":\[3072,3073\]'
measured() { ft-tokenize -q -m "$1" train.txt | ft-batch -q | ft-eval -q --json -m "$1" | sed 's/,"model".*//'; }
is 'with the same loss' "$(measured lm-adapter)" "$(measured lm-tuned.ft)"
ok 'of two matrices' ft-export -q -m u-tuned.ft --to peft u-adapter
like 'they are both' "$(config u-adapter)" '"target_modules":\["model.embed_tokens","lm_head"\]'
is 'with the same loss there' "$(measured u-adapter)" "$(measured u-tuned.ft)"
ok 'a LoRA beside them' ft-freeze -q --lora r=1 u-tuned.ft -o u-lora.ft
ok 'has them by name' ft-export -q -m u-lora.ft --to peft u-lora
like 'each' "$(config u-lora)" '"trainable_token_indices":\{"model.embed_tokens":\[3072\],"lm_head":\[3072\]\}'
ok 'words that were there' ft-freeze -q --head classify:neg,pos --lora r=1 --train embed.word.weight -o words.ft bert
ok 'trained' sh -c 'ft-tokenize -q -m words.ft train.tsv | ft-batch -q --rows 2 | ft-train -q --weight-decay 0 --lr 0.05 -m words.ft -o few.ft -'
ok 'of which few were seen' ft-export -q -m few.ft --to peft few
like 'are rows, too' "$(config few)" '"trainable_token_indices":\[2,3,[0-9,]{20,80}\]'
is 'with the same answers' "$(answers few)" "$(answers few.ft)"
ok 'all of those of a language model, which decode' ft-freeze -q --last-layers 0 --train embed.word.weight lm -o words.ft
ok 'trained' tune words.ft whole-lm.ft train.txt

# ---- what cannot be ----
fails 'a word that is there' 2 ft-freeze -q --add-tokens good -o bad.ft bert
like 'is named' "$(cat .err)" "add-tokens: 'good' is a token already"
fails 'one that was added' 2 ft-freeze -q --add-tokens '<bad>' -o bad.ft tuned.ft
like 'is named, too' "$(cat .err)" "'<bad>' has been added already"
fails 'twice the same' 2 ft-freeze -q --add-tokens '<x>,<x>' -o bad.ft bert
fails 'ids with holes' 2 ft-freeze -q --add-tokens x -o bad.ft "$SRC/tests/ref/tiny-bert"
like 'say why' "$(cat .err)" '112 tokens have ids up to 112'
fails 'no tokenizer.json' 2 ft-freeze -q --add-tokens x -o bad.ft "$SRC/tests/ref/tiny-bert-legacy"
fails 'a GGUF file' 2 ft-export -m lm-tuned.ft --to gguf bad.gguf
like 'says what holds it' "$(cat .err)" 'tokens were added to its vocabulary, which only --to hf and --to peft can say'
fails 'words alone with a head' 2 ft-export -m tuned.ft --to peft bad
like 'say what would do' "$(cat .err)" "'pool.weight' was trained, too, for which PEFT has no place beside words alone \(--lora makes one\)"
ok 'a LoRA at the words, and new ones' ft-freeze -q --head classify:neg,pos --lora r=1,sites=embed.word --add-tokens '<x>' -o both.ft bert
fails 'are not in one folder' 2 ft-export -m both.ft --to peft bad
like 'say why' "$(cat .err)" 'PEFT has a place beside LoRA at linear layers alone'
ok 'IA3, and new ones' ft-freeze -q --head classify:neg,pos --ia3 --add-tokens '<x>' -o both.ft bert
fails 'are not, either' 2 ft-export -m both.ft --to peft bad
fails 'a table that was trained as a whole' 2 ft-export -m whole-lm.ft --to peft bad
like 'says how much of it' "$(cat .err)" "'embed.word.weight' was trained, too, in 3072 of its 3072 rows"
changed() { ft-cat tuned.ft | sed "1s/$1/" | ft-cat -q --from-json -o bad.ft && ft-predict -q -m bad.ft train.tsv; }
fails 'a stream that counts them from nowhere' 65 changed '"from":6000/"from":7000'
fails 'or has no list of them' 65 changed '"added":\[[^]]*\]/"added":7'
fails 'or says more than it has' 65 changed '"from":6000/"from":5999'
done_testing
