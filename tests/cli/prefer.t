#!/bin/sh
# Preferences: from rows to examples, and what DPO, ORPO and KTO make of them.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
R=$SRC/tests/ref

mkdir base
cp "$R"/tokenizers/smollm/tokenizer.json base/
cat >base/config.json <<END
{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 377, "hidden_size": 32,
 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48, "eos_token_id": 376,
 "max_position_embeddings": 64, "initializer_range": 0.3, "tie_word_embeddings": true, "rms_norm_eps": 1e-5}
END
ft-freeze -q --init -o lm.ft base || exit 1
tab=$(printf '\t')
shown() { ft-tokenize -q -m "$@" | ft-cat --text -m "$1"; }

# ---- rows ----
cat >pairs.jsonl <<END
{"prompt": "The sky is", "chosen": " blue.", "rejected": " a pond."}
{"chosen": "Once upon a time there was", "rejected": "Once upon a hill"}
{"chosen": "Say café", "rejected": "Say cafè"}
{"prompt": "Count: one two", "chosen": " three", "rejected": " nine"}
END
is 'a prompt and two replies, or what both begin with is the prompt' "$(shown lm.ft pairs.jsonl)" "pairs.jsonl:1$tab${tab}The sky is «blue.<|end|>»
$tab${tab}The sky is «a pond.<|end|>»
pairs.jsonl:2$tab${tab}Once upon a «time there was<|end|>»
$tab${tab}Once upon a «hill<|end|>»
pairs.jsonl:3$tab${tab}Say caf«é<|end|>»
$tab${tab}Say caf«è<|end|>»
pairs.jsonl:4$tab${tab}Count: one two «three<|end|>»
$tab${tab}Count: one two «nine<|end|>»"
ft-tokenize -q -m lm.ft pairs.jsonl >pairs.tok
printf 'q\ta\tb\nThe sky is\t blue.\t a pond.\n' >pairs.tsv
is 'as columns' "$(ft-tokenize -q -m lm.ft --prompt q --completion a --negative b pairs.tsv | ft-cat | grep '"ids"' | sed 's/,"src.*//')" \
	"$(ft-cat pairs.tok | grep '"ids"' | head -n 1 | sed 's/,"src.*//')"
sed -n 1p pairs.jsonl | sed 's/"chosen"/"completion"/; s/"rejected"/"x"/' >first.jsonl
sed -n 1p pairs.jsonl | sed 's/"rejected"/"completion"/; s/"chosen"/"x"/' >second.jsonl
is 'each text has the tokens and labels that it has alone' "$(ft-cat pairs.tok | sed -n 2p | python3 -c '
import json, sys
e = json.loads(sys.stdin.read())
a, b = e["offsets"][1:]
print(e["ids"][:a], e["labels"][:a], e["ids"][a:], e["labels"][a:])')" "$(for f in first second; do ft-tokenize -q -m lm.ft $f.jsonl | ft-cat | sed -n 2p; done | python3 -c '
import json, sys
print(*[v for l in sys.stdin for v in (json.loads(l)["ids"], json.loads(l)["labels"])])')"
like 'a row is counted once' "$(ft-tokenize -m lm.ft --max-length 6 pairs.jsonl 2>&1 >cut.tok)" '4 of 4 rows were cut to 6'
is 'what is dropped on one side goes with the other' "$(ft-tokenize -q -m lm.ft --max-length 14 --long drop pairs.jsonl | ft-cat | grep -c '"offsets"')" 2
fails 'sides are not split' 2 ft-tokenize -q -m lm.ft --long split pairs.jsonl
printf '{"prompt":"a","chosen":"b","rejected":3}\n' >bad.jsonl
fails 'a reply that is no text' 65 ft-tokenize -q -m lm.ft bad.jsonl
like 'is named' "$(cat .err)" "bad.jsonl:1: 'rejected' is not a string"
printf '{"prompt":[],"chosen":[{"role":"user","content":"a"}],"rejected":"b"}\n' >bad.jsonl
fails 'messages beside a text' 65 ft-tokenize -q -m lm.ft bad.jsonl
cat >judged.jsonl <<END
{"prompt": "The sky is", "completion": " blue.", "label": true}
{"prompt": "Once upon a", "completion": " hill of ponds", "label": false}
{"prompt": "Say yes:", "completion": " yes", "label": true}
{"prompt": "Count: one two", "completion": " nine", "label": false}
END
ft-tokenize -q -m lm.ft judged.jsonl >judged.tok
is 'good or not is a target' "$(ft-cat judged.tok | grep -o '"targets":[^,]*' | tr '\n' ' ')" '"targets":[1] "targets":[0] "targets":[1] "targets":[0] '
is 'unless nobody asks' "$(ft-tokenize -q -m lm.ft --no-labels judged.jsonl | ft-cat | grep -c targets)" 0

# Conversations: the prompt by itself, or in both.
cp -r base chat
cat >chat/chat_template.jinja <<'END'
{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}
END
ft-freeze -q --init -o chat.ft chat
user='{"role":"user","content":"hi"}' early='{"role":"assistant","content":"ho"}'
yes='{"role":"assistant","content":"yes"}' no='{"role":"assistant","content":"no"}'
echo "{\"prompt\":[$user,$early,$user],\"chosen\":[$yes],\"rejected\":[$no]}" >chat.jsonl
echo "{\"prompt\":\"hi\",\"chosen\":[$user,$early,$user,$yes],\"rejected\":[$user,$early,$user,$no]}" >>chat.jsonl
is 'of conversations the last reply is learnt' "$(shown chat.ft chat.jsonl | sed 's/^.*'"$tab//")" "$(for i in 1 2; do
	echo '<user>hi<|end|><assistant>ho<|end|><user>hi<|end|><assistant>«yes<|end|>»'
	echo '<user>hi<|end|><assistant>ho<|end|><user>hi<|end|><assistant>«no<|end|>»'; done)"
echo "{\"prompt\":[$user],\"completion\":[$yes],\"label\":false}" >one.jsonl
is 'a reply that is not good' "$(ft-tokenize -q -m chat.ft one.jsonl | ft-cat | grep -o '"targets":[^,]*')" '"targets":[0]'

# bad REASON JSON: a row that is refused for it
bad() { echo "$2" >bad.jsonl; fails "$2" 65 ft-tokenize -m chat.ft bad.jsonl; like 'it is told' "$(cat .err)" "bad.jsonl:1: $1"; }
bad "'rejected' is not a list of messages" "{\"prompt\":[$user],\"chosen\":[$yes],\"rejected\":\"no\"}"
bad "'chosen' is not a list of messages" "{\"prompt\":[$user],\"chosen\":\"yes\",\"rejected\":[$no]}"
bad "'tools' is not a list" "{\"prompt\":[$user],\"chosen\":[$yes],\"rejected\":[$no],\"tools\":7}"
bad "'completion' is not a list of messages" "{\"prompt\":[$user],\"completion\":\"yes\",\"label\":true}"
echo "{\"prompt\":[$user],\"chosen\":[$yes],\"rejected\":[$no],\"tools\":null}" >null.jsonl
ok 'tools that are null are none' ft-tokenize -q -m chat.ft -o x.tok null.jsonl

# ---- training ----
log() {
	python3 -c '
import json, math, sys
S = [json.loads(l) for l in open("log.jsonl")]
L = [s["loss"] for s in S]
near = lambda a, b, tolerance=1e-5: abs(a - b) <= tolerance * max(1, abs(b))
print(eval("(" + sys.argv[1] + ")"))' "$1"
}
train() { ft-train -q --log log.jsonl "$@"; }
ft-batch -r 4 -e 8 -s 1 pairs.tok >pairs.bat
ft-batch -r 4 -e 8 -s 1 judged.tok >judged.bat
train -m lm.ft --dpo --lr 2e-3 pairs.bat >dpo.ft
is 'DPO begins at log 2, and learns what is preferred' "$(log 'near(L[0], math.log(2), 1e-6), L[-1] < 0.4, S[-1]["reward_accuracy"], S[-1]["margin"] > 1, near(S[-1]["margin"], S[-1]["chosen"] - S[-1]["rejected"])')" '(True, True, 1.0, True, True)'
is 'an example of two texts is a unit' "$(log '{s["supervised"] for s in S}')" '{4}'
for j in 1 3; do ok "-j $j gives the same bytes" sh -c 'ft-train -q -j $0 -m lm.ft --dpo --lr 2e-3 pairs.bat | cmp - dpo.ft' $j; done
train -m lm.ft --dpo --label-smoothing 0.4 --lr 2e-3 pairs.bat >x.ft
is 'where preferences may be wrong, it is not as sure' "$(log 'S[-1]["margin"] < 1.5, L[-1] > 0.6')" '(True, True)'
train -m lm.ft --orpo --lr 2e-3 pairs.bat >x.ft
is 'ORPO needs no reference' "$(log 'L[-1] < 0.7 * L[0], S[-1]["margin"] > S[0]["margin"]')" '(True, True)'
ft-freeze -q --lora r=4 lm.ft >lora.ft 2>/dev/null
train -m lora.ft --dpo --lr 1e-2 pairs.bat >x.ft
is 'a technique is switched off for the reference' "$(log 'near(L[0], math.log(2), 1e-6), L[-1] < 0.5')" '(True, True)'
train -m lm.ft --dpo --kl-base 50 --lr 2e-3 pairs.bat >x.ft
is 'with the divergence from the model before' "$(log 'abs(S[0]["kl_base"]) < 1e-6 and all(s["kl_base"] > 0 for s in S[2:])')" True
# The mean of DPO's losses is at least that of the mean margin.
is 'which adds to the losses of pairs' "$(log 'S[3]["kl_base"] > 0.1, all(s["loss"] - s["kl_base"] > math.log(1 + math.exp(-s["margin"])) - 1e-5 for s in S)')" '(True, True)'

# ---- measuring ----
# The preferred text is a choice, and the right one.
ft-batch pairs.tok >all.bat
value() { python3 -c 'import json, sys; r = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
is 'a preference is a question with two choices' "$(ft-eval -q --json -m lm.ft all.bat | value 'r["examples"], r["choices"]')" '(4, 8)'
grep '"prompt"' pairs.jsonl >some.jsonl
sed 's/"chosen"/"completion"/; s/"rejected"/"x"/' some.jsonl >chosen.jsonl
loss() { ft-tokenize -q -m lm.ft "$1" | ft-batch | ft-eval -q --json -m lm.ft | value 'round(r["loss"], 5)'; }
is 'its loss is that of the preferred texts' "$(loss some.jsonl)" "$(loss chosen.jsonl)"
sed 's/"rejected"/"completion"/; s/"chosen"/"x"/' some.jsonl >rejected.jsonl
sum_of() { sed -n "$2p" "$1.jsonl" | ft-tokenize -q -m lm.ft - --format jsonl | ft-batch | ft-eval -q --json -m "$3" | value 'r["loss"] * r["tokens"]'; }
share() { for i in 1 2; do sum_of chosen $i "$1"; sum_of rejected $i "$1"; done | python3 -c 'a, b, c, d = map(float, open(0)); print(((a < b) + (c < d)) / 2)'; }
acc() { ft-tokenize -q -m lm.ft some.jsonl | ft-batch | ft-eval -q --json -m "$1" | value 'r["acc"]'; }
for m in lm dpo; do is "of $m the share whose preferred text is the likelier" "$(acc $m.ft)" "$(share $m.ft)"; done
is 'fewer of them' "$(ft-eval -q --json --limit 3 -m lm.ft all.bat | value 'r["examples"], r["choices"]')" '(3, 6)'
train -m lm.ft --dpo --lr 2e-3 --valid all.bat --metric acc pairs.bat >x.ft
is 'training validates by them' "$(python3 -c 'import json; print([json.loads(l)["valid"]["acc"] for l in open("log.jsonl") if "valid" in l][-1])')" "$(ft-eval -q --json -m dpo.ft all.bat | value 'r["acc"]')"

# KTO: what the log says, from losses of texts. constant: the first step of two runs is the same.
kto() { train -m lm.ft --kto --dropout 0 --lr 1e-2 --schedule constant --warmup 0 --desirable 1.5 "$@" judged.bat; }
kto --steps 1 >one.ft
kto --steps 2 >x.ft
ft-cat judged.bat | sed -n 3p >batch.json # the second batch
python3 - <<'END' >texts.json
import json
b = json.loads(open("batch.json").read())
head = {"ft": 1, "kind": "batches", "meta": {"task": "lm"}}
rows = [(b["ids"][i:j], b["labels"][i:j]) for i, j in zip(b["offsets"], b["offsets"][1:])]
cut = [next(t for t, y in enumerate(labels) if y != -100) + 1 for ids, labels in rows]
said = [[y for y in labels if y != -100] for ids, labels in rows]
def record(prompt, completion):
    return {"ids": prompt + completion[:-1], "offsets": [0, len(prompt) + len(completion) - 1],
            "labels": [-100] * (len(prompt) - 1) + completion}
print(json.dumps(head))
for i in range(4):
    print(json.dumps(record(rows[i][0][:cut[i]], said[i])))
for i in range(4): # each with what follows the prompt before it
    print(json.dumps(record(rows[i][0][:cut[i]], said[i - 1])))
print(json.dumps({"end": 8}))
END
# The sum of losses of each text, by itself.
sums() {
	for i in 2 3 4 5 6 7 8 9; do
		{ sed -n 1p texts.json; sed -n ${i}p texts.json; echo '{"end":1}'; } | ft-cat --from-json | ft-eval -q --bootstrap 0 --json -m "$1" |
			python3 -c 'import json, sys; r = json.load(sys.stdin); print(r["loss"] * r["tokens"])'
	done
}
sums one.ft >after.txt; sums lm.ft >before.txt
is 'KTO: the divergence, rewards and the loss are those of its formulas' "$(python3 - <<'END'
import json, math
s = json.loads(open("log.jsonl").read().splitlines()[1])
b = json.loads(open("batch.json").read())
ratio = [float(y) - float(x) for x, y in zip(open("after.txt"), open("before.txt"))]
z = max(0, sum(ratio[4:]) / 4)
logistic = lambda v: 1 / (1 + math.exp(-v))
loss = sum(1.5 * (1 - logistic(0.1 * (r - z))) if t else 1 - logistic(0.1 * (z - r)) for r, t in zip(ratio, b["targets"])) / 4
good = [0.1 * r for r, t in zip(ratio, b["targets"]) if t]
near = lambda a, b: abs(a - b) < 2e-5 * max(1, abs(b))
print(near(s["divergence"], z), near(s["loss"], loss), near(s["chosen"], sum(good) / 2), abs(ratio[0]) > 0.01)
END
)" 'True True True True'
kto >x.ft
is 'and it learns which are good' "$(log 'L[-1] < 0.8 * L[0], S[-1]["chosen"] > S[-1]["rejected"]')" '(True, True)'

# ---- what does not fit ----
fails 'two objectives' 2 ft-train -q -m lm.ft --dpo --kto pairs.bat
fails 'DPO of single texts' 78 ft-train -q -m lm.ft --dpo judged.bat
fails 'KTO of pairs' 78 ft-train -q -m lm.ft --kto pairs.bat
fails 'pairs without DPO' 78 ft-train -q -m lm.ft pairs.bat
like 'and it says what they are for' "$(cat .err)" -- '--dpo and --orpo'
fails 'texts that are good or not, without KTO' 78 ft-train -q -m lm.ft judged.bat
fails 'with R-Drop' 2 ft-train -q -m lm.ft --dpo --rdrop 1 pairs.bat
ft-freeze -q --init -H classify:neg,pos -o plan.ft base
printf 'pos\tgood\n' >one.tsv
ft-tokenize -q -m plan.ft one.tsv | ft-batch >one.bat
fails 'another head' 2 ft-train -q -m plan.ft --dpo one.bat
done_testing
