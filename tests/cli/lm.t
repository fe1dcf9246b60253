#!/bin/sh
# Data of causal language models: texts in windows, prompts and completions; batches of them;
# what is learnt, as ft-cat shows it.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit

mkdir base
cp "$SRC"/tests/ref/tokenizers/smollm/tokenizer.json base/
cat >base/config.json <<END
{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 377, "hidden_size": 32,
 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48, "eos_token_id": 376,
 "max_position_embeddings": 64, "initializer_range": 0.3, "tie_word_embeddings": true, "rms_norm_eps": 1e-5}
END
ft-freeze -q --init -o lm.ft base || exit 1
shown() { ft-tokenize -q -m base "$@" | ft-cat --text -m base; }
counts() { ft-tokenize -q -m base "$@" | ft-cat | sed -n 's/.*"counts":{\([^}]*\)}.*/\1/p'; }
tab=$(printf '\t')

# ---- texts ----
printf 'Once upon a time\nThe end\n' >a.txt
is "all but a text's first token is learnt" "$(shown a.txt)" "a.txt:1$tab${tab}O«nce upon a time»
a.txt:2$tab${tab}The «end»"
is "with an end of text that is, too" "$(shown --wrap eos a.txt | head -n 1)" "a.txt:1$tab${tab}O«nce upon a time<|end|>»"
is "the last place of a window learns the first token of the next" \
	"$(shown --max-length 4 --long split a.txt | sed -n 's/^a.txt:1..//p')" "O«nce »
 «upon»
n «a tim»
m«e»"
is "what windows share is context" "$(shown --max-length 4 --long split --stride 2 a.txt | sed -n 's/^a.txt:1..//p;3q')" \
	"O«nce »
ce «up»
 up«on»"
like "the end counts what is learnt" "$(counts a.txt)" '"supervised":16,"unsupervised":0,"shortened":0$'
printf 'x\n\ny z\n' >few.txt
like "texts that teach nothing are left out" "$(ft-tokenize -m base few.txt 2>&1 >few.tok)" '2 of 3 rows hold nothing to learn'
is "and are not in the stream" "$(ft-cat few.tok | grep -c '"ids"')" 1
printf 'Once upon\na time\n' >file.txt
is "a file that is one text" "$(shown -f file file.txt)" "file.txt:1$tab${tab}O«nce upon\\x0aa time\\x0a»"

# ---- prompts and completions ----
printf '{"prompt": "Q: what?\\nA:", "completion": " nothing"}\n' >p.jsonl
printf 'q\tgood\ta\nWhat?\tyes\t It is.\n' >p.tsv
is "of JSONL, by their names" "$(shown p.jsonl)" "p.jsonl:1$tab${tab}Q: what?\\x0aA: «nothing<|end|>»"
is "of columns" "$(shown --prompt q --completion a p.tsv)" "p.tsv:2$tab${tab}What? «It is.<|end|>»"
is "of columns by number" "$(shown --no-header --prompt 1 --completion 3 p.tsv | tail -n 1)" "p.tsv:2$tab${tab}What? «It is.<|end|>»"
is "all of it is learnt" "$(shown --learn all p.jsonl)" "p.jsonl:1$tab${tab}Q«: what?\\x0aA: nothing<|end|>»"
is "without an end" "$(shown --wrap none p.jsonl)" "p.jsonl:1$tab${tab}Q: what?\\x0aA: «nothing»"
is "a long prompt loses its beginning" "$(shown --max-length 8 p.jsonl)" "p.jsonl:1$tab${tab}\\x0aA: «nothing<|end|>»"
ids() { sed -n 's/.*"ids":\[\([0-9,]*\)\].*/\1/p'; }
printf 'Q: what?\nA:' >p.txt
prompt=$(ft-tokenize -q -m base --task none -f file p.txt | ft-cat | ids)
like "the prompt's tokens are those of the prompt alone" "$(ft-tokenize -q -m base p.jsonl | ft-cat | ids)" "^$prompt,"

# ---- conversations ----
cp -r base chat && cp "$SRC"/tests/ref/dialogues/tokenizer*.json "$SRC"/tests/ref/chat/chatml.jinja chat/
sed -i 's/"vocab_size": 377/"vocab_size": 392/; s/_embeddings": 64/_embeddings": 256/' chat/config.json
mv chat/chatml.jinja chat/chat_template.jinja
cp -r chat plain && cp "$SRC"/tests/ref/dialogues/plain.jinja plain/chat_template.jinja
said() { m=$1; shift; ft-tokenize -q -m "$m" "$@" | ft-cat --text -m "$m" | cut -f 3; }
cat >c.jsonl <<'END'
{"messages": [{"role": "user", "content": "the one"}, {"role": "assistant", "content": "first"}, {"role": "user", "content": "more"}, {"role": "assistant", "content": "second"}], "id": 7}
[{"role": "system", "content": "."}, {"role": "user", "content": "<|im_end|>"}, {"role": "assistant", "content": [{"type": "text", "text": "it"}]}]
END
like "where the template says what the assistant says" "$(said chat c.jsonl | head -n 1)" \
	'the one<\|im_end\|>\\x0a<\|im_start\|>assistant\\x0a«first<\|im_end\|>»\\x0a<\|im_start\|>user\\x0amore<.*assistant\\x0a«second<\|im_end\|>»'
is "where it does not" "$(said plain c.jsonl | tail -n 1)" \
	'<|im_start|>system\x0a.<|im_end|>\x0a<|im_start|>user\x0a<|im_end|><|im_end|>\x0a<|im_start|>assistant\x0a«it<|im_end|>»\x0a'
is "only the last reply" "$(said plain --learn last c.jsonl | head -n 1 | grep -o '«[^»]*»')" '«second<|im_end|>»'
is "what somebody writes is no special token" "$(ft-tokenize -q -m plain c.jsonl | ft-cat | sed -n 3p | ids | tr , '\n' | grep -c '^380$')" 3
is "another name for them" "$(sed 's/messages/turns/' c.jsonl | ft-tokenize -q -m plain -f jsonl --messages turns - | ft-cat | grep -c '"ids"')" 2
ft-tokenize -q -m chat c.jsonl >c.tok
like "the template is in the header" "$(ft-cat -H c.tok)" '"template":\{"digest":"[0-9a-f]{32}"\}'
like "the end counts" "$(ft-cat c.tok | tail -n 1)" '"rows":2,"examples":2,.*"supervised":[0-9]*,"unsupervised":0,"shortened":0'
ok "with any number of threads" sh -c 'for i in $(seq 300); do cat c.jsonl; done >many.jsonl
	ft-tokenize -q -j1 -m plain many.jsonl >1 && ft-tokenize -q -j4 -m plain many.jsonl | cmp - 1'
like "turns that have no room" "$(ft-tokenize -m plain --long turns --max-length 30 c.jsonl 2>&1 >short.tok)" '1 of 2 conversations lost their oldest turns'
is "are the oldest" "$(ft-cat --text -m plain short.tok | head -n 1 | cut -f 3)" '<|im_start|>user\x0amore<|im_end|>\x0a<|im_start|>assistant\x0a«second<|im_end|>»\x0a'
ft-freeze -q --init -o chat.ft chat && ft-freeze -q --init -o plain.ft plain
ft-batch -q c.tok >c.bat
ok "the model with that template takes them" ft-eval -q -m chat.ft c.bat
fails "one with another does not" 78 ft-eval -q -m plain.ft c.bat
like "and says so" "$(cat .err)" 'c.bat was made with the chat template [0-9a-f]{32}, plain.ft has [0-9a-f]{32}'
fails "nor are they put together" 78 sh -c 'ft-tokenize -q -m plain c.jsonl >p2.tok; ft-batch c.tok p2.tok'
like "which says so, too" "$(cat .err)" 'differ in template'
ft-tokenize -q -m chat a.txt >text.tok
ok "texts may stand beside them" sh -c 'ft-batch -q text.tok c.tok | ft-cat -H | grep -q template'
cp "$SRC"/tests/ref/dialogues/plain.jinja chat/chat_template.jinja
fails "a plan for another template than the folder's" 78 ft-tokenize -m chat.ft c.jsonl

# ---- what stands before a text stands there once ----
cp -r base once && cp "$SRC"/tests/ref/tokenizers/llama3/tokenizer.json once/
sed -i 's/"vocab_size": 377/"vocab_size": 379/' once/config.json
echo '{"bos_token": "<|begin|>", "eos_token": "<|end|>"}' >once/tokenizer_config.json
echo '{{ bos_token }}{% for m in messages %}{{ m.content }}{% if m.role == "assistant" %}{{ eos_token }}{% endif %}{% endfor %}' >once/chat_template.jinja
printf 'Once upon a time\n' >o.txt
printf '<|begin|>Once upon a time\n' >written.txt
all() { ft-tokenize -q -m once "$@" | ft-cat | sed -n 2p | sed 's/"src".*//'; }
like "the tokenizer puts a token before a text" "$(all o.txt)" '"ids":\[378,[0-9]*,'
is "one that is written out is not doubled" "$(all written.txt)" "$(all o.txt)"
is "nor in a prompt" "$(printf '{"prompt": "<|begin|>The", "completion": " end"}\n' | all -f jsonl -)" \
	"$(printf '{"prompt": "The", "completion": " end"}\n' | all -f jsonl -)"
is "nor in one that loses its beginning" "$(printf '{"prompt": "<|begin|>Once upon a", "completion": " end"}\n' | all -f jsonl --max-length 6 -)" \
	"$(printf '{"prompt": "Once upon a", "completion": " end"}\n' | all -f jsonl --max-length 6 -)"
is "nor by a template" "$(printf '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]\n' |
	ft-tokenize -q -m once -f jsonl - | ft-cat | sed -n 2p | ids | tr , '\n' | grep -c '^378$')" 1
ft-freeze -q --init -o once.ft once
is "nor before an answer" "$(ft-predict -q -m once.ft -n 8 written.txt | cut -d, -f2-)" "$(ft-predict -q -m once.ft -n 8 o.txt | cut -d, -f2-)"

# ---- conversations that cannot be ----
bad() { what=$1 says=$2; shift 2; cat >bad.jsonl; fails "$what" 65 ft-tokenize -m plain "$@" bad.jsonl; like "it is told where" "$(cat .err)" "$says"; }
bad "no list" "bad.jsonl:1: 'messages' is not a list of messages" <<'END'
{"messages": "hello"}
END
bad "tools that are no list" "bad.jsonl:1: 'tools' is not a list" <<'END'
{"messages": [{"role": "user", "content": "x"}], "tools": {}}
END
bad "a message without a role" 'bad.jsonl:2: messages\[0\] has no role' <<'END'
[{"role": "user", "content": "x"}]
[{"content": "x"}]
END
bad "no messages" 'bad.jsonl:1: a conversation without messages' <<'END'
[]
END
bad "none of the name that is asked for" "bad.jsonl:1: has no 'turns'" --messages turns <<'END'
{"messages": [{"role": "user", "content": "x"}]}
END
bad "a message that is a number" 'bad.jsonl:1: messages\[0\] has no role' <<'END'
[7]
END
bad "a picture" "bad.jsonl:1: messages\[0\]: content\[1\] is of the type 'image'; only text is read" <<'END'
[{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image"}]}]
END
bad "a part of no type" "bad.jsonl:1: messages\[0\]: content\[0\] is of the type '\?'; only text is read" <<'END'
[{"role": "user", "content": [{"text": "x"}]}]
END
bad "a text that is none" "bad.jsonl:1: messages\[0\]: content\[0\] is of the type 'text'; only text is read" <<'END'
[{"role": "user", "content": [{"type": "text", "text": 7}]}]
END
bad "a reply to nothing" 'bad.jsonl:1: turn 1: nothing comes before it' <<'END'
[{"role": "assistant", "content": "x"}]
END
echo '[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": " b"}]}, {"role": "assistant", "content": []}]' >parts.jsonl
like "parts are one text, and none is an empty one" "$(said plain --learn all parts.jsonl)" 'user.x0aa b<'
echo '{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "tools": null}' >null.jsonl
ok "tools that are null are none" ft-tokenize -q -m plain -o x.tok null.jsonl
cp -r plain asks && echo '{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}{{ messages[-1].content }}{% endif %}' >asks/chat_template.jinja
bad2() { what=$1 m=$2 says=$3; shift 3; cat >bad.jsonl; fails "$what" 65 ft-tokenize -m "$m" "$@" bad.jsonl; like "it is told where" "$(cat .err)" "$says"; }
bad2 "a template that writes more where it asks" asks 'turn 2: the template writes more where the model is asked than when it has answered' <<'END'
[{"role": "user", "content": "xx"}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "x"}]
END
bad2 "one that writes otherwise" asks 'turn 2: the template, which has no \{% generation %\}, writes what ends here otherwise' <<'END'
[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
END
cp -r plain tagged && echo '{% for m in messages %}{{ m.role }}{% if m.role == "assistant" %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}' >tagged/chat_template.jinja
is "of replies that are tagged the last, or none" "$(said tagged --learn last c.jsonl | head -n 1 | grep -o '«[^»]*»')" '«second»'
bad "a text among conversations" 'bad.jsonl:2: is no conversation, unlike the rows before it' <<'END'
[{"role": "user", "content": "x"}]
{"text": "x"}
END
bad "a conversation among texts" 'bad.jsonl:2: is a conversation, unlike the rows before it' <<'END'
{"text": "x"}
[{"role": "user", "content": "x"}]
END
bad "what the template cannot write" 'bad.jsonl:1: .*chat_template.jinja:2: ' <<'END'
[{"role": "user"}]
END
bad "a broken line" 'bad.jsonl:1' <<'END'
[{"role": "user", "content": "x"}
END
bad "one that is too long" 'bad.jsonl:1: has [0-9]+ tokens, and 10 are allowed' --long error --max-length 10 <<'END'
[{"role": "user", "content": "x"}, {"role": "assistant", "content": "a long answer"}]
END
cp "$SRC"/tests/ref/chat/turns.jinja plain/chat_template.jinja
bad "roles out of order" 'bad.jsonl:1: .*chat_template.jinja:[0-9]+: the template refuses this: ' <<'END'
[{"role": "assistant", "content": "x"}, {"role": "assistant", "content": "x"}]
END
rm plain/chat_template.jinja
bad "no template" 'plain: no chat template' <<'END'
[{"role": "user", "content": "x"}]
END

# ---- questions with choices (against lm-evaluation-harness: tests/ref/choices.t) ----
q() { printf '%s\n' "$@" >q.jsonl; }
q '{"context": "The train was", "choices": ["good", " a", "it it"], "answer": 2}' \
	'{"context": "and the ", "choices": ["film", "rest"], "answer": "rest"}'
is "each choice is an example; a space sets it off" "$(shown q.jsonl)" "q.jsonl:1${tab}0${tab}The train was «good»
q.jsonl:1${tab}0${tab}The train was «a»
q.jsonl:1${tab}1${tab}The train was «it it»
q.jsonl:2${tab}0${tab}and the «film»
q.jsonl:2${tab}1${tab}and the «rest»"
ft-tokenize -q -m base -o q.tok q.jsonl
is "the size is that of the choice alone" "$(ft-cat q.tok | sed -n 's/.*"size":\(\[[0-9,]*\]\).*/\1/p' | tr '\n' ' ')" \
	"[4,4,1] [2,2,2] [5,5,2] [4,4,1] [4,4,1] "
is "the window says which of which" "$(ft-cat q.tok | sed -n 's/.*"window":\[[0-9]*,\([0-9,]*\)\].*/\1/p' | tr '\n' ' ')" "0,3 1,3 2,3 0,2 1,2 "
sed 's/context/ask/; s/choices/of/; s/answer/is/' q.jsonl >named.jsonl
is "other names" "$(shown --prompt ask --choices of --label is named.jsonl | cut -f 2-)" "$(shown q.jsonl | cut -f 2-)"
is "what is before them loses its beginning" "$(shown --max-length 4 q.jsonl | sed -n '1p;3p')" "q.jsonl:1${tab}0${tab} «good»
q.jsonl:1${tab}1${tab}s «it it»"
like "a row counts once" "$(ft-tokenize -m base --max-length 4 q.jsonl 2>&1 >x.tok)" '2 of 2 rows were cut to 4 tokens'
ok "copies of a question stay together" sh -c 'for i in 1 2 3 4 5 6 7 8; do sed "s/rest/rest $i/g" q.jsonl; done >many.jsonl
	ft-tokenize -q -m base many.jsonl | ft-batch -q --split train:0.5 | ft-eval -q -m lm.ft'
bad "choices that are no list" "bad.jsonl:1: 'choices' is not a list of two choices or more" <<'END'
{"context": "x", "choices": "a", "answer": 0}
END
bad "one choice" "bad.jsonl:1: 'choices' is not a list of two choices or more" <<'END'
{"context": "x", "choices": ["a"], "answer": 0}
END
bad "a choice that is no text" 'bad.jsonl:1: choice 1 is not a string' <<'END'
{"context": "x", "choices": ["a", 1], "answer": 0}
END
bad "an empty choice" 'bad.jsonl:1: choice 0 is empty' <<'END'
{"context": "x", "choices": ["", "a"], "answer": 0}
END
bad "a choice with a NUL" 'bad.jsonl:1: ' <<'END'
{"context": "x", "choices": ["a\u0000", "a"], "answer": 0}
END
bad "no question" "bad.jsonl:1: has no 'context'" --choices choices <<'END'
{"choices": ["a", "b"], "answer": 0}
END
bad "no answer" "bad.jsonl:1: has no 'answer'" <<'END'
{"context": "x", "choices": ["a", "b"]}
END
bad "choices of another name" "bad.jsonl:1: has no 'of'" --choices of <<'END'
{"context": "x", "choices": ["a", "b"], "answer": 0}
END
bad "an answer that is null" "bad.jsonl:1: has no 'answer'" <<'END'
{"context": "x", "choices": ["a", "b"], "answer": null}
END
for answer in 2 -1 '"c"' 0.5 '[0]' 18446744073709551615; do
	echo '{"context": "x", "choices": ["a", "b"], "answer": '$answer'}' >bad.jsonl
	fails "the answer $answer" 65 ft-tokenize -m base bad.jsonl
done
bad "a text among questions" 'bad.jsonl:2: is no question with choices, unlike the rows before it' <<'END'
{"context": "x", "choices": ["a", "b"], "answer": 0}
{"text": "x"}
END
q '{"context": " ", "choices": ["a", "b"], "answer": 0}'
fails "nothing before the choices" 65 ft-tokenize -m base q.jsonl
like "it is told" "$(cat .err)" 'q.jsonl:1: nothing stands before the choices'
ok "with a token before them" ft-tokenize -q -m plain q.jsonl
bad "a choice that has no room" 'bad.jsonl:1: choice 1 alone has more than 4 tokens' --max-length 4 <<'END'
{"context": "x", "choices": ["a", "a a a a a a"], "answer": 0}
END
fails "choices that are dropped" 2 ft-tokenize -m base --long drop q.jsonl
fails "an end behind choices" 2 ft-tokenize -m base --wrap eos q.jsonl
fails "without answers" 2 ft-tokenize -m base --no-labels q.jsonl
fails "choices and a completion" 2 ft-tokenize -m base --choices choices --completion answer q.jsonl

# ---- batches ----
awk 'BEGIN { split("the train and rest of it film was good", w, " ")
	for (i = 0; i < 200; i++) { for (k = 0; k < 3 + i * 7 % 50; k++) printf "%s ", w[(i * i + k * (i % 5 + 1)) % 9 + 1]; print "" } }' >many.txt
ft-tokenize -q -m base --max-length 24 --long split --stride 6 many.txt >many.tok
ft-batch -q --rows 1 many.tok >alone.bat
ft-batch -q --tokens 512 --shuffle 1 many.tok >packed.bat
learnt=$(ft-cat many.tok | sed -n 's/.*"supervised":\([0-9]*\).*/\1/p')
like "no example is lost, and no label" "$(ft-cat --verify packed.bat)" ": batches: 30 batches, $(ft-cat --verify many.tok | sed 's/.*tokens: //; s/, digest.*//')"
is "labels are what is learnt" "$(ft-cat --verify packed.bat | sed 's/.* \([0-9]*\) labels.*/\1/')" "$learnt"
for b in alone packed; do ft-eval -q -m lm.ft --json $b.bat >$b.json; done
ok "examples of a batch do not see each other" python3 - <<'END'
import json
a, b = (json.load(open(f + ".json")) for f in ("alone", "packed"))
for key in "loss", "accuracy", "word_perplexity", "bits_per_byte":
    assert abs(a[key] - b[key]) <= 2e-6 * abs(a[key]), (key, a[key], b[key])
END
for side in train rest; do ft-batch -q --split $side:0.5 many.tok | ft-cat | grep -o '"many.txt:[0-9]*"' | sort -u >$side.src; done
ok "a split keeps the windows of a text together" sh -c '[ -s train.src ] && [ -s rest.src ] && [ -z "$(comm -12 train.src rest.src)" ]'
ok "a mix" sh -c "ft-tokenize -q -m base p.jsonl >p.tok && ft-batch -q --mix 3,1 many.tok p.tok | ft-cat --verify"
ok "it trains" sh -c "ft-train -q -m lm.ft packed.bat >tuned.ft && ft-eval -q -m tuned.ft --json packed.bat >after.json"
ok "and learns" python3 -c 'import json; assert json.load(open("after.json"))["loss"] < json.load(open("packed.json"))["loss"]'

# A step is the mean over all of its tokens, however many each batch has: 1 x 16 is 4 x 4.
ft-batch -q --rows 16 many.tok >16.bat
ft-batch -q --rows 4 many.tok >4.bat
ft-cat 4.bat >4.jsonl
step() { ft-train -q -m lm.ft --dropout 0 --steps 3 --log "$1.log" -o "$1.ft" "$@"; }
step 16.bat && step 4.bat --accumulate 4
ok "accumulated batches are one large batch, to the token" python3 - <<'END'
import json
def steps(name):
    return [r for r in map(json.loads, open(name)) if "loss" in r and "supervised" in r and "norm" in r]
a, b = steps("16.bat.log"), steps("4.bat.log")
assert len(a) == len(b) == 3
for x, y in zip(a, b):
    assert x["supervised"] == y["supervised"] > 0, (x, y)
    assert abs(x["loss"] - y["loss"]) < 1e-5 * x["loss"] and abs(x["norm"] - y["norm"]) < 1e-4 * x["norm"], (x, y)
sizes = [sum(y != -100 for y in r["labels"]) for r in map(json.loads, open("4.jsonl")) if "labels" in r]
assert len(set(sizes[:4])) > 1 # else the mean of the batches' means would be the same
END

ft-batch -q --tokens 512 --shuffle 1 --pack many.tok >full.bat
like "full batches hold the same" "$(ft-cat --verify full.bat)" ": batches: 30 batches, $(ft-cat --verify many.tok | sed 's/.*tokens: //; s/, digest.*//')"
is "the header counts them" "$(ft-cat -H full.bat | grep -o '"batches":[0-9]*,"examples":[0-9]*,"rows":[0-9]*,"tokens":[0-9]*')" \
	'"batches":30,"examples":692,"rows":692,"tokens":15044'
fails "full batches in order" 2 ft-batch --tokens 512 --pack many.tok

# ---- what cannot be ----
fails "classes" 2 ft-batch --balance many.tok
fails "hidden tokens" 2 ft-batch --mask many.tok
fails "a prompt alone" 2 ft-tokenize -m base --prompt q p.tsv
fails "a pair" 2 ft-tokenize -m base --pair q p.tsv
fails "a prompt for another task" 2 ft-tokenize -m base --task none --prompt q --completion a p.tsv
like "the option is named" "$(cat .err)" '^ft-tokenize: --prompt is for the task lm$'
fails "turns of something else" 2 ft-tokenize -m base --task none --long turns a.txt
fails "something else to learn" 2 ft-tokenize -m base --learn some p.tsv
fails "a beginning that the tokenizer does not name" 2 ft-tokenize -m base --wrap bos a.txt
fails "an overlap as long as a window" 2 ft-tokenize -m base --long split --max-length 8 --stride 8 a.txt
fails "long texts as errors" 65 ft-tokenize -m base --long error --max-length 8 a.txt
like "with their place" "$(cat .err)" 'a.txt:1: has 14 tokens, and 8 are allowed'
printf '{"prompt": "a"}\n' >bad.jsonl
fails "a prompt without completion" 65 ft-tokenize -m base bad.jsonl
like "names file and line" "$(cat .err)" "bad.jsonl:1: has no 'completion'"
printf '{"prompt": "a", "completion": 1}\n' >bad.jsonl
fails "a completion that is no text" 65 ft-tokenize -m base bad.jsonl
printf '{"prompt": "a", "completion": "b"\n' >bad.jsonl
fails "a broken line" 65 ft-tokenize -m base bad.jsonl
sed -i 's/"vocab_size": 377/"vocab_size": 300/' base/config.json
fails "a token beyond the model's embeddings" 78 ft-tokenize -m base p.jsonl
done_testing
