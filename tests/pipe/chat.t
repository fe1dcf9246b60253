#!/bin/sh
# pipelines/support-chat: a language model of a few numbers goes the whole way, on the dialogues that are there.
. "$(dirname "$0")/../lib.sh"
OMP_WAIT_POLICY=passive; export OMP_WAIT_POLICY
P=$SRC/pipelines/support-chat
cd "$T"

mkdir start
cp "$SRC"/tests/ref/tokenizers/smollm/tokenizer.json start/
cp "$SRC"/pipelines/lm/chat_template.jinja start/
python3 - <<'END'
import json
t = json.load(open("start/tokenizer.json"))
n = max([*t["model"]["vocab"].values(), *[a["id"] for a in t["added_tokens"]]]) + 1
specials = [a["content"] for a in t["added_tokens"] if a["special"]]
json.dump({"bos_token": specials[0], "eos_token": specials[-1]}, open("start/tokenizer_config.json", "w"))
json.dump({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": n, "hidden_size": 16,
           "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 1024,
           "tie_word_embeddings": True, "eos_token_id": t["model"]["vocab"].get(specials[-1], 0)}, open("start/config.json", "w"))
END
head -n 12 "$P/data/train.jsonl" >train.jsonl
head -n 4 "$P/data/valid.jsonl" >valid.jsonl
head -n 4 "$P/data/test.jsonl" >test.jsonl
ok "a random model" sh -c 'ft-freeze -q --init --head lm -o start.ft start && ft-export -q -m start.ft --to hf model'
run() { make -s -C "$P" BIN="$BUILD/bin" OUT="$T/out" TRAIN="$T/train.jsonl" VALID="$T/valid.jsonl" TEST="$T/test.jsonl" EPOCHS=2 "$@"; }
ok "it is tuned and measured" run MODEL="$T/model" ANSWER='--max-new 4 --long truncate' all
like "by tokens" "$(cat out/tuned.txt)" '^bits_per_byte +[0-9.]+'
like "and by texts" "$(cat out/tuned.txt)" '^rougeL\.f1 +[0-9.]+'
ok "tuning makes the assistant's tokens likelier" python3 -c '
loss = lambda name: float(next(l for l in open(f"out/{name}.txt") if l.startswith("loss")).split()[1])
assert loss("tuned") < loss("before"), (loss("tuned"), loss("before"))'
is "each test dialogue has an answer" "$(wc -l <out/tuned.answers.jsonl)" 4
ft-cat --text -m out/plan.ft out/train.tok >seen
like "what is learnt is what the assistant says" "$(sed -n 2,40p seen)" '«'
like "without a model nothing is run" "$(run MODEL="$T/none" all)" '^skipped: no model in .*/none;'
ok "the data is as its README says" python3 "$P/check.py" "$P"/data/train.jsonl "$P"/data/valid.jsonl "$P"/data/test.jsonl
done_testing
