#!/bin/sh
# ft-train --shards: a step in parts is the whole step, to rounding; any number of threads gives the same bytes; what is
# no sum over the parts of a batch is refused.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
R=$SRC/tests/ref
data=$SRC/pipelines/sentiment/data

head -n 32 "$data/train.tsv" >train.tsv
{
	ft-freeze -q -H classify:neg,pos "$R/tiny-bert" >plan.ft
	ft-tokenize -q -m plan.ft --max-length 40 train.tsv | ft-batch -r 16 -e 2 -s 1 >train.bat
	ft-freeze -q -H mlm "$R/tiny-bert-mlm" >mlm.ft
	ft-tokenize -q --no-labels --max-length 40 -m mlm.ft train.tsv | ft-batch -q --mask -r 16 -s 1 >mlm.bat
	printf 'Anna\tB-PER\nlives\tO\nin\tO\nBonn\tB-LOC\n\nShe\tO\nleft\tO\n\nBob\tB-PER\nRoss\tI-PER\nwent\tO\n\n' >a.conll
	ft-freeze -q -H tag:O,B-PER,I-PER,B-LOC,I-LOC "$R/tiny-bert" >tag.ft
	ft-tokenize -q -m tag.ft a.conll | ft-batch >tag.bat
	mkdir base
	cp "$R"/tokenizers/smollm/tokenizer.json base/
} || { fail 'streams'; done_testing; }
cat >base/config.json <<END
{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 377, "hidden_size": 32,
 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48, "eos_token_id": 376,
 "max_position_embeddings": 64, "initializer_range": 0.3, "tie_word_embeddings": true, "rms_norm_eps": 1e-5}
END
ft-freeze -q --init -o lm.ft base || exit 1
printf '{"prompt": "The sky is", "chosen": " blue.", "rejected": " a pond."}
{"chosen": "Once upon a time there was", "rejected": "Once upon a hill"}
{"prompt": "Count: one two", "chosen": " three", "rejected": " nine"}\n' >pairs.jsonl
ft-tokenize -q -m lm.ft pairs.jsonl | ft-batch >pairs.bat
printf '{"prompt": "The sky is", "completion": " blue.", "label": true}\n' >judged.jsonl
ft-tokenize -q -m lm.ft judged.jsonl | ft-batch >judged.bat
ft-tokenize -q -m lm.ft train.tsv --max-length 32 --text 2 | ft-batch -r 8 >lm.bat
ft-teach -q -m mlm.ft --top 7 mlm.bat >taught.bat

# ---- the whole step, with its dropout: the loss, its parts and the gradient's norm, to 1e-6 ----
parts=4
[ -z "${FT_TEST_LONG:-}" ] || parts='2 3 4 8'
# whole NAME OPTION...
whole() {
	what=$1; shift
	for s in 1 $parts; do ft-train -q --shards $s --steps 2 --lr 1e-4 --log $s.log "$@" >x.ft || fail "$what: $s shards"; done
	is "$what: a step in $parts parts" "$(python3 -c '
import json, sys
numbers = lambda s: [v for l in open(f"{s}.log") for k, v in sorted(json.loads(l).items())]
one = numbers(1)
for s in sys.argv[1:]:
    apart = [abs(a - b) / max(abs(a), 1e-3) for a, b in zip(one, numbers(s), strict=True)]
    if not max(apart) < 1e-6 or not len(one): print(s, "shards:", apart)' $parts)" ''
}
whole 'a label for each text' -m plan.ft train.bat
whole 'weights of classes' -m plan.ft --class-weight pos=3 train.bat
whole 'several batches' -m plan.ft --accumulate 2 train.bat
whole 'two passes' -m plan.ft --rdrop 1 train.bat
whole 'layers computed twice' -m plan.ft --recompute --dropout 0.2 train.bat
whole 'near what it was' -m plan.ft --l2-sp 0.5 train.bat
whole 'a label for each word' -m tag.ft --dropout 0.2 tag.bat
whole 'masked words' -m mlm.ft --dropout 0.2 mlm.bat
whole 'a teacher in the batches' -m mlm.ft --distill-stored taught.bat
whole 'preferences' -m lm.ft --dropout 0.1 --dpo pairs.bat
whole 'words, and the divergence from before' -m lm.ft --dropout 0.1 --kl-base 1 lm.bat
for technique in 'lora r=2,sites=layer.*,dropout=0.3' 'bottleneck dropout=0.3' 'prompt n=3' 'prefix n=3' 'lora r=2,dora,dropout=0.3'; do
	ft-freeze -q -H classify:neg,pos "--${technique%% *}=${technique#* }" "$R/tiny-bert" >technique.ft
	whole "$technique" -m technique.ft --dropout 0.2 train.bat
done
ft-freeze -q -H classify:neg,pos --last-layers 1 "$R/tiny-bert" >last.ft
whole 'a trunk that is kept' -m last.ft --trunk keep --dropout 0.2 train.bat

# ---- the same bytes ----
ft-train -q --shards 3 -j 1 -m plan.ft train.bat >one.ft
for j in 2 3; do ok "-j $j gives the same bytes" sh -c 'ft-train -q --shards 3 -j $0 -m plan.ft train.bat | cmp - one.ft' $j; done
weights() { ft-cat "$1" | grep '^{"tensor'; }
ft-train -q -m plan.ft train.bat >none.ft
ft-train -q --shards 1 -m plan.ft train.bat >one.ft
is 'one shard is the whole step' "$(weights one.ft)" "$(weights none.ft)"
ft-train -q --shards 40 --steps 1 --log log -m plan.ft train.bat >x.ft
like 'there may be more than examples' "$(cat log)" '"supervised":16'

# ---- what is no sum ----
ft-freeze -q -H embed "$R/tiny-bert" >embed.ft
printf 'a good film\ta fine film\nit rains\tthe rain falls\n' >pairs.tsv
ft-tokenize -q -m embed.ft --text 1 --pair 2 pairs.tsv | ft-batch >embed.bat
fails 'a text among the others of its batch' 2 ft-train -q --shards 2 -m embed.ft embed.bat
like 'is told from what goes' "$(cat .err)" "^ft-train: --shards: the loss of embed.ft compares all texts of a batch .* 'cosine'"
fails 'a divergence of the batch' 2 ft-train -q --shards 2 -m lm.ft --kto judged.bat
fails 'a term of words beside one of examples' 2 ft-train -q --shards 2 -m lm.ft --orpo --kl-base 1 pairs.bat
fails 'a term of all units beside weights of classes' 2 ft-train -q --shards 2 -m plan.ft --class-weight pos=3 --rdrop 1 train.bat
fails 'no shards' 2 ft-train -q --shards 0 -m plan.ft train.bat
if ft-train --version | grep -q MPI; then
	skip 'built with MPI'
else
	fails 'one of several processes, without MPI' 2 env OMPI_COMM_WORLD_SIZE=2 ft-train -q --shards 2 -m plan.ft train.bat
	like 'says how there would be more' "$(cat .err)" 'make MPI=1'
fi
done_testing
