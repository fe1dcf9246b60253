#!/bin/sh
# ft-predict with a language model: what follows each text.
. "$(dirname "$0")/../lib.sh"
cd "$T"

# A random model with the words of a small tokenizer: what it says means nothing, but is always the same.
mkdir base
cp "$SRC"/tests/ref/tokenizers/smollm/tokenizer.json base/
vocab=$(python3 -c 'import json; t = json.load(open("base/tokenizer.json"))
print(max([*t["model"]["vocab"].values(), *[a["id"] for a in t["added_tokens"]]]) + 1)')
cat >base/config.json <<END
{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": $vocab, "hidden_size": 32,
 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
 "max_position_embeddings": 64, "initializer_range": 0.3, "tie_word_embeddings": true, "rms_norm_eps": 1e-5}
END
ok "a plan from a config alone" ft-freeze -q --init -o lm.ft base
printf '%s\n' 'Once upon a time' 'The' 'A dull "film" is a long one.' >in.txt

ft-predict -q -m lm.ft -n 6 in.txt >out
is "one line a row" "$(cut -d, -f1 out | tr '\n' ' ')" '{"src":"in.txt:1" {"src":"in.txt:2" {"src":"in.txt:3" '
like "what is said of a row" "$(sed -n 1p out)" \
	'^\{"src":"in\.txt:1","answer":".*","tokens":[1-6],"logprob":-[0-9.]+,"finish":"(length|stop)"\}$'
is "a row alone is answered alike" "$(ft-predict -q -m lm.ft -n 6 -g 1 in.txt | cut -d: -f3)" "$(cut -d: -f3 out)"
ok "one thread gives the same bytes" sh -c "ft-predict -q -j1 -m lm.ft -n 6 in.txt | cmp - out"
ft-tokenize -q -m base --task none in.txt >in.tok
ok "a tokens stream says the same as its text" sh -c "ft-predict -q -m lm.ft -n 6 in.tok | cmp - out"
like "--keep-text repeats the prompt" "$(ft-predict -q -m lm.ft -n 2 --keep-text in.txt | sed -n 3p)" \
	'^\{"src":"in\.txt:3","text":"A dull \\"film\\" is a long one\.","answer":'
printf 'q\ta\nThe\tgood one\n' >pairs.tsv
like "--reference repeats what should be said" "$(ft-predict -q -m lm.ft -n 2 -t q --reference a pairs.tsv)" \
	'"answer":".*","reference":"good one","tokens":2'

# --raw: the text as it comes.
python3 -c 'import json, sys
for line in open("out"): print(json.loads(line)["answer"])' >texts
ok "--raw prints the answers alone" sh -c "ft-predict -q -m lm.ft -n 6 --raw in.txt | cmp - texts"

# Chance.
ft-predict -q -m lm.ft -n 12 -T 1 in.txt >one
ok "the same seed gives the same bytes, however rows are grouped" sh -c "ft-predict -q -m lm.ft -n 12 -T 1 -g 2 in.txt |
	cut -d, -f1-2 >two; cut -d, -f1-2 one | cmp - two"
ok "another seed gives others" sh -c "! ft-predict -q -m lm.ft -n 12 -T 1 -s 1 in.txt | cmp -s - one"
is "top-k of one is the most likely" "$(ft-predict -q -m lm.ft -n 6 -T 1 --top-k 1 in.txt)" "$(cat out)"
is "so is a very small top-p" "$(ft-predict -q -m lm.ft -n 6 -T 1 --top-p 0.0001 in.txt)" "$(cat out)"
is "and a min-p of 1" "$(ft-predict -q -m lm.ft -n 6 -T 1 --min-p 1 in.txt)" "$(cat out)"

# Beams find what is at least as likely, when lengths are the same.
ft-predict -q -m lm.ft -n 6 --beams 4 --length-penalty 0 in.txt >beams
ok "beams find answers that are no less likely" python3 -c 'import json
for a, b in zip(open("out"), open("beams")):
    a, b = json.loads(a), json.loads(b)
    assert b["logprob"] >= a["logprob"] - 1e-4, (a, b)'

# Ends.
word=$(python3 -c 'import json; a = json.loads(open("out").readline())["answer"]; print(a[len(a) // 2:][:2].strip() or a[1:3])')
like "--stop" "$(ft-predict -q -m lm.ft -n 6 --stop "$word" in.txt | sed -n 1p)" '"finish":"stop"'
like "the end of what the model takes" "$(ft-predict -q -m lm.ft -n 500 --temperature 2 in.txt | sed -n 2p)" \
	'"finish":"(context|stop)"'
yes 'word and' | head -n 60 | tr '\n' ' ' >long.txt
fails "a prompt that leaves no room" 65 ft-predict -q -m lm.ft long.txt
like "its place is told" "$(cat .err)" 'long.txt:1: [0-9]+ tokens, and a prompt may have 63'
like "--long truncate cuts its beginning, and says so" "$(ft-predict -m lm.ft -n 1 --long truncate long.txt 2>&1 >.out)" \
	'1 of 1 rows were longer than 63 tokens and were cut'
like "so that there is room for the answer" "$(ft-predict -m lm.ft -n 20 --long truncate long.txt 2>&1 >.out)" 'longer than 44 tokens'
like "or for half of what the model takes" "$(ft-predict -m lm.ft --long truncate long.txt 2>&1 >.out)" 'longer than 32 tokens'

# A tokenizer that puts a token before each text: it stays where the beginning is cut, as transformers' truncation_side has it.
cp -r base front && cp "$SRC"/tests/ref/tokenizers/llama2/tokenizer.json front/
sed -i 's/"vocab_size": [0-9]*/"vocab_size": 600/' front/config.json
ft-freeze -q --init -o front.ft front
cp -r front wide && sed -i 's/_embeddings": 64/_embeddings": 999/' wide/config.json
ft-tokenize -q -m wide --task none long.txt | ft-cat >whole.jsonl
# last N FRONT: the same stream with the first FRONT tokens of the text, and the last, N together.
last() { python3 -c 'import json, sys
n, front = map(int, sys.argv[1:])
for line in open("whole.jsonl"):
    r = json.loads(line)
    if "ids" in r: r["ids"] = r["ids"][:front] + r["ids"][front - n:]
    print(json.dumps(r))' "$@" | ft-cat --from-json; }
answer() { ft-predict -q -m front.ft -n 20 "$@" | cut -d, -f2-; }
last 44 1 >front.tok
is "which has read that token as ever" "$(answer --long truncate long.txt)" "$(answer front.tok)"
last 44 0 >bare.tok
ok "without it the answer would be another" test "$(answer front.tok)" != "$(answer bare.tok)"
ft-cat --from-json <whole.jsonl >long.tok
is "of a stream of tokens, too" "$(answer --long truncate long.tok)" "$(answer front.tok)"

# What cannot be.
fails "a temperature below 0" 2 ft-predict -m lm.ft -T -1 in.txt
fails "no tokens at all" 2 ft-predict -m lm.ft -n 0 in.txt
fails "beams by chance" 2 ft-predict -m lm.ft -T 1 --beams 2 in.txt
fails "an empty stop" 2 ft-predict -m lm.ft --stop '' in.txt
fails "a prompt in windows" 2 ft-predict -m lm.ft --long split in.txt
: >none.txt
is "no rows, no answers" "$(ft-predict -q -m lm.ft none.txt)" ""

# A conversation. Turn by turn it is what it is at once: the cache goes on from where it ends.
fails "no template, no chat" 65 ft-predict -q -m lm.ft --chat
like "it is told what is looked for" "$(cat .err)" 'no chat template \(chat_template\.jinja'
cat >base/chat_template.jinja <<'END'
{% for m in messages %}{{ '<' + m.role + '>' + m.content | trim + '</>' }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}
END
printf '%s\n' 'Hello there.' '' 'And you?' 'One more.' |
	ft-predict -q -m lm.ft -n 4 -T 1 --system 'Be short.' --chat=whole.json >whole
for line in 'Hello there.' 'And you?' 'One more.'; do
	echo "$line" | ft-predict -q -m lm.ft -n 4 -T 1 --system 'Be short.' --chat=parts.json
done >parts
ok "answers turn by turn are those of one conversation" cmp whole parts
ok "it is kept" python3 -c 'import json
m = json.load(open("whole.json"))["messages"]
assert m == json.load(open("parts.json"))["messages"]
assert [x["role"] for x in m] == ["system"] + ["user", "assistant"] * 3, m
assert m[3]["content"] == "And you?"
assert "".join(x["content"] + "\n" for x in m[2::2]) == open("whole").read()'
# The same conversations as rows.
python3 -c 'import json
m = json.load(open("whole.json"))["messages"]
print(json.dumps({"messages": m[:2], "reference": m[2]["content"]}))
print(json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi."}]}], "reference": "x"}))' >rows.jsonl
ft-predict -q -m lm.ft -n 4 --reference reference rows.jsonl >said
ft-predict -q -m lm.ft -n 4 --system 'Be short.' --chat=greedy.json <<'END' >greedy
Hello there.
END
is "a row of messages is answered as a conversation is" "$(head -n 1 said | python3 -c 'import json
print(json.loads(input())["answer"])')" "$(cat greedy)"
is "with its reference" "$(grep -c '"reference":' said)" 2
printf '{"messages":[{"role":"user"}, 3]}\n' >bad.jsonl
fails "messages that are none" 65 ft-predict -m lm.ft bad.jsonl
yes 'word and another word' | head -n 8 | ft-predict -m lm.ft -n 3 --chat=many.json 2>notes >many
is "a long conversation goes on" "$(grep -o '"role":"assistant"' many.json | grep -c .)" 8
like "and says so once" "$(cat notes)" 'oldest turns are left out'
is "once" "$(grep -c 'left out' notes)" 1
yes 'word and' | head -n 60 | tr '\n' ' ' >long.txt
echo >>long.txt
ft-predict -q -m lm.ft --chat <long.txt >.out 2>.err
is "a message that is too long" "$? $(grep -c 'a message of more than' .err)" "65 1"
echo '[]' >bad.json
fails "a file that is no conversation" 65 ft-predict -m lm.ft --chat=bad.json
fails "--system without --chat" 2 ft-predict -m lm.ft --system 'Be short.' in.txt
fails "files beside --chat" 2 ft-predict -m lm.ft --chat in.txt
fails "a chat with a classifier" 2 ft-predict -m "$SRC/tests/ref/tiny-bert-classify" --chat

# A real model.
S=$DATA/models/stories260K
if [ -d "$S" ]; then
	ft-predict -q -m "$S/hf" -n 80 --keep-text --raw - <<-END >said
	Once upon a time
	END
	is "80 greedy tokens of stories260K" "$(printf 'Once upon a time'; cat said)" \
		"$(python3 -c 'import sys; print(open(sys.argv[1]).read()[:int(sys.argv[2])], end="")' "$S/golden_greedy.txt" \
		"$(($(wc -m <said) + 15))")"
	python3 - "$S/golden_logprobs.jsonl" <<-'END' >gold.jsonl
	import json, sys
	print('{"ft":1,"kind":"tokens","meta":{"task":"lm"},"log":[]}')
	rows = [json.loads(line) for line in open(sys.argv[1])]
	for i, row in enumerate(rows):
	    ids = row["ids"]
	    print(json.dumps({"ids": ids, "labels": ids[1:] + [-100], "src": f"gold:{i + 1}"}))
	print('{"end":%d}' % len(rows))
	END
	{ head -n 2 gold.jsonl; echo '{"end":1}'; } >first.jsonl
	like "perplexity of its golden text" "$(ft-cat --from-json first.jsonl | ft-batch -q | ft-eval -q -m "$S/hf" --json)" \
		'"perplexity": ?4\.9536'
	ft-cat --from-json gold.jsonl | ft-batch -q | ft-eval -q -m "$S/hf" --json >eval.json
	ok "its log-probabilities" python3 - "$S/golden_logprobs.jsonl" <<-'END'
	import json, sys
	logs = [x for line in open(sys.argv[1]) for x in json.loads(line)["next_token_logprobs"]]
	assert abs(json.load(open("eval.json"))["loss"] + sum(logs) / len(logs)) < 2e-6
	END
else
	skip "80 greedy tokens of stories260K: no data"
	skip "perplexity of its golden text: no data"
	skip "its log-probabilities: no data"
fi
done_testing
