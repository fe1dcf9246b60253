#!/bin/sh
# Prompts and prefixes from plan to answers: what trains, what is stored, what is refused.
. "${0%/*}/../lib.sh"
M=$SRC/tests/ref/tiny-bert
cat >"$T/train.tsv" <<'END'
pos	the good one is good
neg	a bad one
pos	good and fine
neg	this is bad
END
freeze() { ft-freeze -q --head classify:neg,pos "$@"; }
tokens() { ft-tokenize -q -m "$1" "$T/train.tsv" | ft-batch -q --tokens 64 --pack --shuffle 1 --epochs 3; }
meta() { ft-cat --header "$1" | grep -o "\"$2\":[^,}]*" | head -1; }

# ---- plans ----
ok 'a plan with a prompt' freeze --prompt n=4 -o "$T/plan.ft" "$M"
ft-freeze --show --json "$T/plan.ft" >"$T/plan.jsonl"
is 'only it and the head train' "$(grep '"trains":true' "$T/plan.jsonl" | grep -vc '"name":"\(head\.\|pool\.\|embed.word.prompt.vectors"\)')" 0
is 'rows may have as many tokens less' "$(meta "$T/plan.ft" max_length)" '"max_length":60'
fails 'none is left' 2 freeze --prompt n=64 "$M"
like 'names the place' "$(cat "$T/.err")" 'at embed.word: 64 tokens .* 64 positions'
fails 'two that are too long together' 2 freeze --prompt n=40 --prompt n=24 "$M"
fails 'tokens of nothing' 2 freeze --prompt n=0 "$M"
fails 'a place that has no vectors' 2 freeze --prompt 'sites=*.attn.q' "$M"
fails 'a text in a folder without a tokenizer' 65 freeze --prompt n=2,text=good "$SRC/tests/ref/encoders/roberta/tiny-classify"
changed() { ft-cat "$T/plan.ft" | sed "1s/$1/" | ft-cat -q --from-json -o "$T/bad.ft" && ft-freeze -q "$T/bad.ft" -o "$T/none.ft"; }
fails 'a stream with another number of tokens than it begins with' 65 changed '"n":4/"n":5'
fails 'one that is too long' 65 changed '"n":4/"n":64'
fails 'a token beyond the vocabulary' 65 changed '"tokens":\[[0-9]*/"tokens":[4000'

# ---- training ----
tokens "$T/plan.ft" >"$T/train.bat"
ok 'trains on packed batches' ft-train -q -m "$T/plan.ft" -o "$T/tuned.ft" "$T/train.bat"
is 'nothing of the base is stored' "$(ft-cat "$T/tuned.ft" | sed 1d | grep -o '"tensor":"[^"]*"' | grep -vc 'prompt\|head\.\|pool\.')" 0
ok 'goes on from there' ft-train -q -m "$T/tuned.ft" -o "$T/more.ft" "$T/train.bat"
ok 'a second one on it' sh -c 'ft-freeze -q --prompt n=2 "$T/tuned.ft" -o "$T/plan2.ft" && ft-train -q -m "$T/plan2.ft" -o "$T/two.ft" "$T/train.bat"'
first() { ft-cat "$1" | grep '"tensor":"embed.word.prompt.vectors"'; }
is 'leaves the first as it was' "$(first "$T/two.ft")" "$(first "$T/tuned.ft")"
is 'and answers' "$(ft-predict -q -m "$T/two.ft" "$T/train.tsv" | wc -l)" 4
ok 'is measured' sh -c 'ft-tokenize -q -m "$T/two.ft" "$T/train.tsv" | ft-batch -q | ft-eval -q -m "$T/two.ft" >"$T/eval.json"'
fails 'cannot become weights' 2 ft-export -q -m "$T/tuned.ft" --to hf "$T/hf"
like 'says what can be' "$(cat "$T/.err")" '--to peft'

answers() { ft-predict -q -m "$1" "$T/train.tsv" | sed 's/\([0-9]\.[0-9]\{4\}\)[0-9]*/\1/g'; }
ok 'is exported beside its base' ft-export -q -m "$T/tuned.ft" --to peft "$T/peft"
is 'and answers from there' "$(answers "$T/peft")" "$(answers "$T/tuned.ft")"
fails 'two of them cannot be' 2 ft-export -q -m "$T/two.ft" --to peft "$T/peft2"

# ---- prefixes ----
ok 'a plan with a prefix' freeze --prefix n=4 -o "$T/prefix.ft" "$M"
ft-freeze --show --json "$T/prefix.ft" >"$T/prefix.jsonl"
is 'in every layer' "$(grep -c '"name":"layer.[01].attn.prefix.kv"' "$T/prefix.jsonl")" 2
is 'only it and the head train' "$(grep '"trains":true' "$T/prefix.jsonl" | grep -vc '"name":"\(head\.\|pool\.\|layer.[01].attn.prefix.kv"\)')" 0
is 'places are counted behind it' "$(meta "$T/prefix.ft" max_length)" '"max_length":60'
fails 'one in some layers' 2 freeze --prefix n=4,sites=layer.1.attn "$M"
like 'names one that was left out' "$(cat "$T/.err")" 'leave out layer.0.attn'
fails 'a second one' 2 freeze --prefix n=4 --prefix n=2 "$M"
like 'names the place' "$(cat "$T/.err")" 'at layer.0.attn: there is one already'
fails 'one that is too long' 2 freeze --prefix n=64 "$M"
ok 'both, and a network that makes it' freeze --prompt n=3 --prefix n=4,projection=6 -o "$T/both.ft" "$M"
like 'which learns as fast as a model' "$(ft-freeze --show --json "$T/both.ft" | grep prefix.inner.weight)" '"shape":\[6,32\].*"rate":1[.,]'
ok 'trains' ft-train -q -m "$T/both.ft" -o "$T/tuned2.ft" "$T/train.bat"
ok 'and goes on' ft-train -q -m "$T/tuned2.ft" -o "$T/more2.ft" "$T/train.bat"
is 'and answers' "$(ft-predict -q -m "$T/more2.ft" "$T/train.tsv" | wc -l)" 4
fails 'cannot become weights' 2 ft-export -q -m "$T/tuned2.ft" --to hf "$T/hf"
ok 'one that a network makes' freeze --prefix n=4,projection=6 -o "$T/made.ft" "$M"
ok 'trains' ft-train -q -m "$T/made.ft" -o "$T/made2.ft" "$T/train.bat"
ok 'is exported as what is made' ft-export -q -m "$T/made2.ft" --to peft "$T/peft3"
is 'and answers from there' "$(answers "$T/peft3")" "$(answers "$T/made2.ft")"

# ---- going on from a text ----
L=$SRC/tests/ref/decoders/gpt2/tiny-lm
ok 'a language model' ft-freeze -q --prompt n=3 -o "$T/lm.ft" "$L"
is 'has fewer places' "$(meta "$T/lm.ft" max_length)" '"max_length":45'
done_testing
