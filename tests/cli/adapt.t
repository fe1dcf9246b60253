#!/bin/sh
# Techniques from plan to exported model: what trains, what stays, what is refused.
. "${0%/*}/../lib.sh"
M=$SRC/tests/ref/tiny-bert
cat >"$T/train.tsv" <<'END'
pos	the good one is good
neg	a bad one
pos	good and fine
neg	this is bad
END
freeze() { ft-freeze -q --head classify:neg,pos "$@"; }
tokens() { ft-tokenize -q -m "$1" "$T/train.tsv" | ft-batch -q --rows 2 ${2-} ${3-}; }

# ---- plans ----
ok 'a plan with LoRA' freeze --lora r=2 -o "$T/plan.ft" "$M"
ft-freeze --show --json "$T/plan.ft" >"$T/plan.jsonl"
is 'only LoRA and the head train' "$(grep '"trains":true' "$T/plan.jsonl" | grep -vc '"name":"\(head\.\|pool\.\|.*\.lora\.[ab]"\)')" 0
is 'at queries and values' "$(grep -o '"name":"layer.0[^"]*lora[^"]*"' "$T/plan.jsonl" | tr '\n' ' ')" \
	'"name":"layer.0.attn.q.lora.a" "name":"layer.0.attn.q.lora.b" "name":"layer.0.attn.v.lora.a" "name":"layer.0.attn.v.lora.b" '
shape() { ft-freeze --show --json "$@" | sed -n 's/.*"name":"layer.0.ffn.up.lora.a".*"shape":\(\[[0-9,]*\]\).*/\1/p'; }
like 'a rank for some sites' "$(shape --lora 'r=2,sites=layer.*,r:*.ffn.*=5' "$M")" '^\[5,'
like 'sites by the names of checkpoints' "$(shape --lora 'r=2,sites=*.intermediate.dense' "$M")" '^\[2,'
like 'B may learn faster' "$(ft-freeze --show --json --lora r=2,ratio=16,rate=2 "$M" | grep 'q.lora.b')" '"rate":32'
is 'a second one has a name of its own, and trains alone' \
	"$(ft-freeze --show --json --lora r=1 "$T/plan.ft" | grep '"trains":true' | grep -o 'layer.1.attn.q[^"]*' | tr '\n' ' ')" \
	'layer.1.attn.q.lora2.a layer.1.attn.q.lora2.b '

ok 'IA3 needs nothing to be said' freeze --ia3 -o "$T/ia3.ft" "$M"
ok 'VeRA needs nothing to be said' freeze --vera -o "$T/vera.ft" "$M"
is 'its vectors train, what they share does not' "$(ft-freeze --show --json "$T/vera.ft" | grep 'embed.vera\|layer.0.*vera' | sed 's/.*"name":"\([^"]*\)".*"trains":\([a-z]*\).*/\1 \2/' | tr '\n' ' ')" \
	'embed.vera.a false embed.vera.b false layer.0.attn.q.vera.d true layer.0.attn.q.vera.b true layer.0.attn.v.vera.d true layer.0.attn.v.vera.b true '
ok 'LoRA may begin as the principal part of a weight' freeze --lora r=3,init=pissa -o "$T/pissa.ft" "$M"
fails 'init of nothing known' 2 freeze --lora init=svd "$M"
like 'lists what is' "$(cat "$T/.err")" "init: 'svd' is not known; there are: zero pissa"
fails 'more than a weight has singular values' 2 freeze --lora 'r=33,init=pissa,sites=*.ffn.up' "$M"
like 'names the site' "$(cat "$T/.err")" 'r=33 at layer.0.ffn.up, which has 32 singular values'
fails 'PiSSA at a table' 2 freeze --lora r=2,init=pissa,sites=embed.word "$M"
like 'names it' "$(cat "$T/.err")" 'init=pissa at embed.word, which is a table'
fails 'PiSSA and DoRA' 2 freeze --lora r=2,init=pissa,dora "$M"
like 'name the site' "$(cat "$T/.err")" 'init=pissa and dora at layer.0.attn.q'
fails 'PiSSA without a scale' 2 freeze --lora r=2,init=pissa,alpha=0 "$M"
like 'names the site' "$(cat "$T/.err")" 'alpha at layer.0.attn.q'
fails 'a glob that matches nothing' 2 freeze --lora r=2,sites=*.nothing "$M"
like 'names a site' "$(cat "$T/.err")" "'\*.nothing' matches no site .*layer\.1"
fails 'a rank above the dimension' 2 freeze --lora r=1000 "$M"
like 'names the site and its size' "$(cat "$T/.err")" 'r=1000 at layer.0.attn.q, which is [0-9]+ x [0-9]+'
fails 'an unknown key' 2 freeze --lora rank=2 "$M"
like 'lists the known ones' "$(cat "$T/.err")" "'rank' is not known; there are: sites rate r alpha"
fails 'a number that is none' 2 freeze --lora r=x "$M"
fails 'a rank of nothing' 2 freeze --lora r=0 "$M"
fails 'a key that is the same everywhere' 2 freeze --lora 'dropout:*=0.1' "$M"
like 'DoRA at a table has a length for each column' "$(freeze --show --lora r=2,dora,sites=embed.word "$M" 2>&1)" 'embed.word.lora.m +32 +trains'
fails 'DoRA on what is adapted' 2 ft-freeze -q --lora r=1,dora -o "$T/none.ft" "$T/plan.ft"
like 'names the place' "$(cat "$T/.err")" 'dora at layer.0.attn.q, where another technique is already'
# A plan that was changed by hand.
changed() { ft-cat "$T/plan.ft" | sed "1s/$1/" | ft-cat -q --from-json -o "$T/bad.ft" && ft-freeze -q "$T/bad.ft" -o "$T/none.ft"; }
fails 'a stream with another rank than can be' 65 changed '"r":2/"r":2000'
fails 'with none' 65 changed '"r":2/"r":"two"'
fails 'with a technique that is none' 65 changed '"type":"lora"/"type":"lore"'
fails 'with sites that are not there' 65 changed '\*\.attn/x.attn'

# ---- training: the base stays, the technique goes into the stream ----
tokens "$T/plan.ft" --epochs 3 >"$T/train.bat"
ok 'trains' ft-train -q -m "$T/plan.ft" -o "$T/tuned.ft" "$T/train.bat"
is 'nothing of the base is stored' "$(ft-cat "$T/tuned.ft" | sed 1d | grep -o '"tensor":"[^"]*"' | grep -vc '\.lora\.\|head\.\|pool\.')" 0
ok 'goes on from there' ft-train -q -m "$T/tuned.ft" -o "$T/more.ft" "$T/train.bat"
ok 'a second one on it' sh -c 'ft-freeze -q --lora r=1,sites=*.ffn.up "$T/tuned.ft" -o "$T/plan2.ft" && ft-train -q -m "$T/plan2.ft" -o "$T/two.ft" "$T/train.bat"'
first() { ft-cat "$1" | grep '"tensor":"layer.0.attn.q.lora.b"'; }
is 'leaves the first as it was' "$(first "$T/two.ft")" "$(first "$T/tuned.ft")"

# ---- PiSSA and VeRA: what never trains stays, and is the same with any number of threads ----
kept() { ft-cat "$1" | grep '"tensor":"\(layer.1.attn.q.lora.[ab]0\|embed.vera.[ab]\)"'; }
for kind in pissa vera; do
	OMP_NUM_THREADS=1 ft-train -q --lr 0.01 -m "$T/$kind.ft" -o "$T/$kind-one.ft" "$T/train.bat"
	ok "$kind: the same bytes" sh -c 'ft-train -q --lr 0.01 --threads 3 -m "$1.ft" -o "$1-three.ft" "$2" && cmp "$1-one.ft" "$1-three.ft"' - "$T/$kind" "$T/train.bat"
	ok 'goes on from there' ft-train -q --lr 0.01 -m "$T/$kind-one.ft" -o "$T/$kind-more.ft" "$T/train.bat"
	is 'with what does not train as it was' "$(kept "$T/$kind-more.ft")" "$(kept "$T/$kind-one.ft")"
	is 'which is two tensors' "$(kept "$T/$kind-more.ft" | wc -l)" 2
done
like 'and A has moved from where it began' "$(ft-cat "$T/pissa-more.ft" | grep '"tensor":"layer.1.attn.q.lora.a0\?"' | cut -c 1-200 | sed 's/.*data/data/' | sort -u | wc -l)" '^2$'

# ---- merged ----
answers() { ft-predict -q -m "$1" "$T/train.tsv" | sed 's/\([0-9]\.[0-9]\{4\}\)[0-9]*/\1/g'; }
ok 'is exported merged' ft-export -q -m "$T/two.ft" --to hf "$T/hf"
is 'no trace of it is in the folder' "$(grep -c lora "$T/hf/config.json")" 0
is 'and its answers are the same' "$(answers "$T/hf")" "$(answers "$T/two.ft")"

# ---- the base in fewer bits: trained, evaluated and exported as what it is ----
E=$SRC/pipelines/encoder/model
memory() { freeze --lora r=2 "$@" "$E" >"$T/m.ft"; ft-freeze --show "$T/m.ft" | sed -n 's/.*weights \([0-9.]*\) MB.*/\1/p'; }
is 'nf4 takes an eighth of what it narrows' "$(memory) $(memory --base-type nf4)" '15.6 6.4'
tokens "$T/m.ft" --epochs 2 >"$T/m.bat"
ok 'trains on nf4' ft-train -q -m "$T/m.ft" -o "$T/q.ft" "$T/m.bat"
ok 'is exported' ft-export -q -m "$T/q.ft" --to hf "$T/q"
is 'and answers as the tuned model' "$(answers "$T/q")" "$(answers "$T/q.ft")"
fails 'a type that is none' 2 freeze --lora r=2 --base-type int3 "$E"
done_testing
