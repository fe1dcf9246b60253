#!/bin/sh
# An allocation that fails, in every tool: an error that says so and nothing left, or the same
# result as ever. Of all calls that lead to allocations each fails once, in one of
# the tools; with FT_TEST_LONG=1 each allocation fails.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
cd "$T"

if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -shared -fPIC -o fail.so "$SRC/tests/fault/allocs.c" 2>/dev/null ||
	! LD_PRELOAD=./fail.so FT_FAIL_PLACES=places ft-cat --version >/dev/null 2>&1 || [ ! -s places ]; then
	skip 'allocations cannot be made to fail here'
	done_testing
fi

model=$SRC/tests/ref/tiny-bert
for i in 1 2 3 4 5 6; do
	printf 'pos\ta fine day %d\nneg\ta bad night %d\n' $i $i
done >train.tsv
{
	ft-freeze -q --head classify:neg,pos "$model" >plan.ft && ft-tokenize -q -m plan.ft train.tsv >train.tok &&
		ft-batch -q -r 4 -e 2 -s 1 train.tok >train.bat && ft-train -q -m plan.ft train.bat >tuned.ft
} || { fail 'streams'; done_testing; }
tagger=$SRC/tests/ref/tiny-bert-tag
mkdir lm
cp "$SRC/tests/ref/tokenizers/smollm/tokenizer.json" lm/
cat >lm/config.json <<END
{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 377, "hidden_size": 32, "eos_token_id": 376,
 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
 "max_position_embeddings": 64, "initializer_range": 0.3, "tie_word_embeddings": true, "rms_norm_eps": 1e-5}
END
printf 'the\tO\nplay\tB-LOC\nbook\tI-LOC\n\nwas\tO\n' >words.conll
printf '%s\n' '{"question":"a day","answer":"fine"}' '{"question":"a night","answer":"bad"}' >faq.jsonl
printf '%s\n' '{"answer":"a fine day","reference":"a bad day"}' '{"answer":"a night","reference":"the night"}' >answers.jsonl
tar -czf texts.tar.gz train.tsv words.conll
{
	ft-tokenize -q -m "$tagger" words.conll >words.tok && ft-batch -q words.tok >words.bat && ft-cat train.bat >train.json &&
		ft-freeze -q --lora "r=2,sites=layer.1.*" --head classify:neg,pos "$model" >lora.ft && ft-train -q -m lora.ft train.bat >adapted.ft &&
		ft-export -q -m adapted.ft --to peft peft && ft-train -q -m plan.ft --log train.log train.bat >other.ft &&
		ft-eval -q --json -m tuned.ft train.bat >result.json && ft-freeze -q --init lm >lm.ft
} || { fail 'more streams'; done_testing; }

# clean OUT: what a run has made is gone.
clean() {
	for f in "$1" run.ck* .out*; do
		[ ! -e "$f" ] || rm -rf "$f"
	done
	[ -z "$checkpoint" ] || cp "$checkpoint" run.ck
}
# what_is_wrong RC OUT: after a run with a failed allocation; nothing when nothing is.
what_is_wrong() {
	if [ "$1" = 0 ] && [ "$2" = - ]; then
		cmp stdout want.stdout 2>&1
	elif [ "$1" = 0 ]; then
		diff -rq "$2" want 2>&1
	else
		for f in .out* run.ck*; do
			case $f in *'*') ;; .out*) echo "$f" ;; *) ft-cat --verify "$f" >verify 2>&1 || cat verify ;; esac
		done
		lines=0
		while read -r line; do lines=$((lines + 1)); done <err
		[ "$1" = 1 ] && [ $lines = 1 ] && [ ! -e "$2" ] && grep -q memory err || echo "exit $1"
	fi
}
# tries OUT COMMAND...: OUT is the file or folder that it makes; -: stdout. A checkpoint is called run.ck, and
# begins as a copy of $checkpoint.
tries() {
	out=$1; shift
	rm -rf want; clean "$out"
	"$@" >want.stdout 2>err || { fail "$*"; sed 's/^/# /' err; return; }
	[ "$out" = - ] || mv "$out" want
	clean "$out"
	LD_PRELOAD=./fail.so FT_FAIL_PLACES=places "$@" >/dev/null 2>&1
	count=$(tail -n 1 places)
	count=${count%% *} bad=0
	for n in $(if [ -n "${FT_TEST_LONG:-}" ]; then seq "$count"; else
		python3 "$SRC/tests/fault/places.py" "$(command -v "$1")" places seen; fi); do
		clean "$out"
		rc=0
		LD_PRELOAD=./fail.so FT_FAIL_AT=$n timeout 20 "$@" >stdout 2>err || rc=$?
		right=$(what_is_wrong $rc "$out")
		[ -z "$right" ] || { bad=$((bad + 1)); echo "# $1, allocation $n: $right: $(head -n 1 err)"; }
		tried=$((tried + 1))
	done
	is "$1: any of $count allocations may fail" "$bad" 0
}
tried=0 checkpoint=
tries - ft-cat train.bat
tries - ft-cat --text -m plan.ft train.tok
tries out ft-cat --from-json train.json -o out
tries out ft-cat --join train.bat train.bat -o out
tries out ft-freeze -q --head classify:a,b "$model" -o out
tries out ft-tokenize -q -m plan.ft train.tsv -o out
tries out ft-batch -q train.tok -o out
tries out ft-batch -q -s 1 -e 2 train.tok -o out
tries out ft-train -q -m plan.ft --valid train.bat train.bat -o out
tries out ft-train -q -m lora.ft --trunk keep --ema 0.9 --distill tuned.ft train.bat -o out
tries out ft-train -q -m plan.ft --checkpoint run.ck --every 1 --log out.log train.bat -o out
tries out ft-teach -q -m tuned.ft train.bat -o out
tries out ft-merge -q -w 1 -w 2 tuned.ft other.ft -o out
tries - ft-eval -q -m tuned.ft train.bat
tries - ft-predict -q -m tuned.ft train.tsv
tries out ft-export -q -m tuned.ft out
tries out ft-export -q -m adapted.ft --to peft out
tries out ft-export -q -m peft --base "$model" out
tries out.gguf ft-export -q -m lm.ft --to gguf out.gguf
tries out ft-export -q -m "$SRC/tests/ref/encoders/modernbert-options/tiny-classify" out
cp -r "$model" sentences
mkdir sentences/1_Pooling
echo '{"embedding_dimension": 32, "pooling_mode": "mean"}' >sentences/1_Pooling/config.json
echo '[{"path": "", "type": "a.Transformer"}, {"path": "1_Pooling", "type": "a.Pooling"}]' >sentences/modules.json
echo '{"prompts": {"query": "query: "}, "default_prompt_name": "query"}' >sentences/config_sentence_transformers.json
tries out ft-export -q -m sentences out
tries out ft-tokenize -q -m "$tagger" --label-all words.conll -o out
tries - ft-eval -q -m "$tagger" --bootstrap 3 words.bat
tries - ft-predict -q -m "$tagger" words.conll
tries - ft-predict -q -m "$tagger" words.tok
tries out ft-tokenize -q -m lm.ft --prompt question --completion answer faq.jsonl -o out
tries out ft-tokenize -q -m plan.ft --member '*.tsv' texts.tar.gz -o out
tries - ft-predict -q -m lm.ft --max-new 4 --temperature 1 -t question faq.jsonl
tries - ft-eval -q --texts answers.jsonl
tries - ft-report -a train.log result.json
tries out ft-report -q --html out train.log result.json

# ---- what else is read: a folder, a file, a kind of row each ----
checkpoint=half.ck
ft-train -q -m plan.ft --valid train.bat --checkpoint half.ck --every 2 --steps 4 train.bat >/dev/null
tries out ft-train -q -m plan.ft --valid train.bat --checkpoint run.ck --every 1 train.bat -o out
checkpoint=
cp -r lm chat && cp "$SRC"/tests/ref/dialogues/tokenizer*.json chat/
sed -i 's/"vocab_size": 377/"vocab_size": 392/; s/_embeddings": 64/_embeddings": 256/' chat/config.json
cp -r chat plain && cp "$SRC"/tests/ref/dialogues/plain.jinja plain/chat_template.jinja
cp "$SRC"/tests/ref/chat/chatml.jinja chat/chat_template.jinja
cat >talks.jsonl <<'END'
[{"role": "user", "content": "the one"}, {"role": "assistant", "content": "first"}, {"role": "user", "content": "more"}, {"role": "assistant", "content": "second"}]
{"messages": [{"role": "system", "content": "."}, {"role": "user", "content": "a"}, {"role": "assistant", "content": [{"type": "text", "text": "it"}]}], "tools": []}
END
tries out ft-tokenize -q -m chat talks.jsonl -o out
tries out ft-tokenize -q -m plain --long turns --max-length 40 talks.jsonl -o out
sed 's/messages/talk/' talks.jsonl >named.jsonl
tries out ft-tokenize -q -m plain --messages talk --learn last named.jsonl -o out
sed -n 1p talks.jsonl >talk.json
printf '{"chat_template": [{"name": "default", "template": "{%% for m in messages %%}{{ m|tojson }}{%% endfor %%}"}], "eos_token": {"content": "<|end|>"}}' >named.json
cp -r plain named && rm named/chat_template.jinja && cp named.json named/tokenizer_config.json
tries out ft-tokenize -q -m named --learn all talk.json -f jsonl -o out
echo '{"prompt": "The sky is", "chosen": " blue.", "rejected": " a pond."}' >pairs.jsonl
tries out ft-tokenize -q -m lm.ft pairs.jsonl -o out
echo '{"prompt":[{"role":"user","content":"x"}],"chosen":[{"role":"assistant","content":"y"}],"rejected":[{"role":"assistant","content":"z"}]}' >sides.jsonl
tries out ft-tokenize -q -m plain sides.jsonl -o out
echo '{"context": "The train was", "choices": ["good", " a", "it it"], "answer": 2}' >choices.jsonl
tries out ft-tokenize -q -m lm.ft --choices choices choices.jsonl -o out
echo '{"tokens": ["the", "play"], "tags": ["O", "B-LOC"]}' >words.jsonl
tries out ft-tokenize -q -m "$tagger" words.jsonl -o out
printf 'label,text\n"a, b",the day\nb,"a\nnight"\n' >sets.csv
tries out ft-tokenize -q -m "$model" --task multilabel --labels a,b -l label -t text --long split --max-length 8 sets.csv -o out
printf '{"text": "the day", "label": [1, 2.5]}\n' >numbers.jsonl
tries out ft-tokenize -q -m "$model" --task regress --outputs 2 numbers.jsonl -o out
gzip -k sets.csv
tries out ft-tokenize -q -m "$model" --task none -t text sets.csv.gz -o out
for kind in tokenizers/o200k/tokenizer.json wordpiece/cased/vocab.txt sentencepiece/unigram.model; do
	rm -rf own && mkdir own && sed 's/377/99999/' lm/config.json >own/config.json
	case $kind in *.model) cp "$SRC/tests/ref/$kind" own/tokenizer.model ;; *) cp "$SRC/tests/ref/$kind" own/ ;; esac
	tries out ft-tokenize -q -m own --task none train.tsv -o out
done
ft-export -q -m lm.ft --to gguf lm.gguf
tries out ft-tokenize -q -m lm.gguf --task none train.tsv -o out
for family in gemma3 gpt2; do
	tries - ft-freeze --show --json "$SRC/tests/ref/gguf/$family.gguf"
done
for family in llama gemma2; do
	tries out ft-export -q -m "$SRC/tests/ref/gguf/$family.gguf" out
done
for kind in bert-houlsby bert-pfeiffer; do
	tries - ft-freeze --show --json --base "$SRC/tests/ref/tiny-bert-classify" "$SRC/tests/ref/adapterhub/$kind"
done
for kind in peft/regex peft/layers peft/vera peft/dora peft/ia3 peft/tokens-classify prompts/bert-prompt; do
	tries - ft-freeze --show --json --base "$SRC/tests/ref/tiny-bert-classify" "$SRC/tests/ref/$kind"
done
for kind in flex-bert flex-bert-pooler flex-bert-tags; do
	tries - ft-freeze --show --json --base "$SRC/tests/ref/tiny-bert" "$SRC/tests/ref/adapterhub/$kind"
done
echo "# $tried allocations failed"
like 'these are many' "$tried" '^[0-9]{3,}$'
done_testing
