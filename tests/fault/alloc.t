#!/bin/sh
# An allocation that fails, in every tool: an error and nothing left, or the same
# result as ever. Every 211th allocation is tried, with FT_TEST_LONG=1 each. What
# other libraries ask for themselves is left out: some of them do not survive.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
cd "$T"

cat >fail.c <<'EOS'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
static long at, made;
static int on;

__attribute__((constructor)) static void begin(void)
{
	at = getenv("FT_FAIL_AT") ? atol(getenv("FT_FAIL_AT")) : 0;
	on = 1;
}

__attribute__((destructor)) static void end(void)
{
	FILE *f = getenv("FT_FAIL_COUNT") ? fopen(getenv("FT_FAIL_COUNT"), "w") : NULL;
	if (f && fprintf(f, "%ld\n", made))
		fclose(f);
}

static int fails(void *caller)
{
	static const char *const others[] = { "libjansson", "libarchive", "libgomp", "libopenblas", "ld-linux" };
	Dl_info info;
	if (!on)
		return 0;
	on = 0;
	int ours = dladdr(caller, &info) && info.dli_fname;
	for (int i = 0; ours && i < 5; i++)
		ours = !strstr(info.dli_fname, others[i]);
	on = 1;
	if (!ours || ++made != at)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n); }
EOS
if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -shared -fPIC -o fail.so fail.c 2>/dev/null ||
	! LD_PRELOAD=./fail.so FT_FAIL_COUNT=count ft-cat --version >/dev/null 2>&1 || [ ! -s count ]; then
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

step=211
[ -z "${FT_TEST_LONG:-}" ] || step=1
# tries OUT COMMAND...: OUT is the file or folder that it makes; -: stdout. A checkpoint is called run.ck.
tries() {
	out=$1; shift
	rm -rf "$out" want run.ck*
	"$@" >want.stdout 2>err || { fail "$*"; sed 's/^/# /' err; return; }
	[ "$out" = - ] || mv "$out" want
	rm -rf run.ck*
	LD_PRELOAD=./fail.so FT_FAIL_COUNT=count "$@" >/dev/null 2>&1
	bad=0 n=1 count=$(cat count)
	while [ "$n" -le "$count" ]; do
		rm -rf "$out" run.ck*
		rc=0
		LD_PRELOAD=./fail.so FT_FAIL_AT=$n timeout 20 "$@" >stdout 2>err || rc=$?
		if [ $rc = 0 ] && [ "$out" = - ]; then
			right=$(cmp stdout want.stdout 2>&1)
		elif [ $rc = 0 ]; then
			right=$(diff -rq "$out" want 2>&1)
		else
			right=$(ls -A | grep '^\.out'; for f in run.ck*; do [ ! -e $f ] || ft-cat --verify $f >verify 2>&1 || cat verify; done)
			[ $rc -lt 79 ] && [ "$(wc -l <err)" = 1 ] && [ ! -e "$out" ] || right="exit $rc"
		fi
		[ -z "$right" ] || { bad=$((bad + 1)); echo "# $1, allocation $n: $right: $(head -n 1 err)"; rm -rf .out*; }
		n=$((n + step))
	done
	is "$1: any of $count allocations may fail" "$bad" 0
}
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
done_testing
