#!/bin/sh
# ft-freeze: what trains is what the options say; heads; plans of plans.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
R=$SRC/tests/ref
M=$R/tiny-bert # two layers of width 32, no head; tiny-bert-classify: bad, fair, good

# names, count OPTION... MODEL: the parameters that train. rate PARAMETER OPTION... MODEL.
names() { ft-freeze --show --json "$@" | sed -n 's/^{"name":"\([^"]*\)".*"trains":true.*/\1/p' | tr '\n' ' '; }
count() { ft-freeze --show --json "$@" | grep -c '"trains":true'; }
rate() { p=$1; shift; ft-freeze --show --json "$@" | sed -n 's/^{"name":"'"$p"'".*"rate":\([^,]*\),.*/\1/p'; }
meta() { ft-cat --header "$1" | python3 -c 'import json,sys; print(json.dumps(json.load(sys.stdin)["meta"].get(sys.argv[1]), separators=(",", ":")))' "$2"; }
tensors() { ft-cat "$1" | sed -n 's/^{"tensor":"\([^"]*\)".*/\1/p' | tr '\n' ' '; }
top='pool.weight pool.bias head.weight head.bias '

# ---- what trains ----
is 'everything by default: 37 of the body, pooler and head' "$(count -H classify:a,b "$M")" 41
is '--last-layers 0: head and pooler' "$(names -H classify:a,b -l 0 "$M")" "$top"
is '--last-layers 1: 16 more' "$(count -H classify:a,b -l 1 "$M")" 20
is 'and these are of the upper layer' "$(names -H classify:a,b -l 1 "$M" | tr ' ' '\n' | sed -n 's/^\(layer\.[0-9]*\).*/\1/p' | sort -u)" layer.1
is 'a last norm trains with the last layer' "$(names -l 1 "$R/encoders/modernbert/tiny-classify")" \
	'layer.3.attn.norm.weight layer.3.attn.qkv.weight layer.3.attn.o.weight layer.3.ffn.norm.weight layer.3.ffn.up.weight layer.3.ffn.down.weight final.norm.weight transform.dense.weight transform.norm.weight head.weight head.bias '
is '--last-layers 2: all but the embeddings' "$(count -H classify:a,b -l 2 "$M")" 36
is '--train: these and the head' "$(names -H classify:a,b -t 'layer.0.attn.q.*' "$M")" "layer.0.attn.q.weight layer.0.attn.q.bias $top"
is '--train, more than once' "$(count -H classify:a,b -t 'layer.0.*' -t 'embed.norm.*' "$M")" 22
is '--train adds to --last-layers' "$(names -H classify:a,b -l 0 -t 'embed.norm.bias' "$M")" "embed.norm.bias $top"
is '--freeze' "$(count -H classify:a,b -f 'embed.*' "$M")" 36
is '--freeze has the last word' "$(names -H classify:a,b -f 'pool.*' -f 'head.bias' -t 'layer.1.attn.norm.*' "$M")" \
	'layer.1.attn.norm.weight layer.1.attn.norm.bias head.weight '
is 'the order of options does not matter' "$(names -H classify:a,b -f '*.bias' -l 0 "$M")" "$(names -l 0 -H classify:a,b "$M" -f '*.bias')"
is 'globs match the names of the files too' "$(names -H classify:a,b -t 'bert.encoder.layer.1.*LayerNorm*' "$M")" \
	"layer.1.attn.norm.weight layer.1.attn.norm.bias layer.1.ffn.norm.weight layer.1.ffn.norm.bias $top"
is 'sets in globs' "$(count -H classify:a,b -t 'layer.?.attn.[qv].weight' "$M")" 8
for option in --train --freeze --rate; do
	case $option in --rate) value='layer.2.*=2' ;; *) value='layer.2.*' ;; esac
	fails "$option that matches nothing" 2 ft-freeze -H classify:a,b $option "$value" "$M"
	like 'is named, with a name that would do' "$(cat .err)" "$option: 'layer\.2\.\*' matches no parameter .*embed\.word\.weight"
done
fails 'more layers than there are' 2 ft-freeze -H classify:a,b -l 3 "$M"

# ---- rates ----
is '--layer-decay: 1 for the head' "$(rate head.weight -H classify:a,b --layer-decay 0.5 "$M")" 1.0
is 'once for the top layer' "$(rate layer.1.attn.q.weight -H classify:a,b --layer-decay 0.5 "$M")" 0.5
is 'twice for the next' "$(rate layer.0.ffn.up.bias -H classify:a,b --layer-decay 0.5 "$M")" 0.25
is 'once more for the embeddings' "$(rate embed.word.weight -H classify:a,b --layer-decay 0.5 "$M")" 0.125
is '--rate' "$(rate head.bias -H classify:a,b -r 'head.*=10' "$M")" 10.0
is 'rates that match multiply, also with the decay' \
	"$(rate layer.0.attn.q.bias -H classify:a,b -r '*.bias=2' -r 'layer.0.*=3' --layer-decay 0.5 "$M")" 1.5
is 'others stay' "$(rate pool.bias -H classify:a,b -r 'head.*=10' "$M")" 1.0
for bad in 0 -1 1.5 x; do fails "--layer-decay $bad" 2 ft-freeze -H classify:a,b --layer-decay $bad "$M"; done
for bad in 'head.*' 'head.*=' 'head.*=x' 'head.*=-1' 'head.*=inf'; do fails "--rate $bad" 2 ft-freeze -H classify:a,b -r "$bad" "$M"; done
is 'weight decay is not for norms and biases' "$(ft-freeze --show --json -H classify:a,b "$M" |
	grep '"decays":true' | grep -c -e '\.bias"' -e 'norm')" 0
is 'but for all else' "$(ft-freeze --show --json -H classify:a,b "$M" | grep -c '"decays":true')" 17

# ---- heads ----
ft-freeze -H classify:neg,pos "$M" >c.ft
is 'classify' "$(meta c.ft head)" '{"type":"classify","labels":["neg","pos"]}'
is 'its class in transformers' "$(meta c.ft architecture)" '"BertForSequenceClassification"'
ft-freeze -H multilabel:red,green,blue "$M" >m.ft
is 'multilabel' "$(meta m.ft head)" '{"type":"multilabel","labels":["red","green","blue"]}'
ft-freeze -H regress "$M" >r.ft
is 'regress' "$(meta r.ft head)" '{"type":"regress","outputs":1}'
ft-freeze -H regress:3 "$M" >r3.ft
is 'regress:3' "$(meta r3.ft head)" '{"type":"regress","outputs":3}'
ft-freeze -H mlm "$M" >l.ft
is 'mlm' "$(meta l.ft head) $(meta l.ft architecture)" '{"type":"mlm"} "BertForMaskedLM"'
is 'mlm: the decoder is the table of words' "$(names -l 0 -H mlm "$M")" \
	'head.dense.weight head.dense.bias head.norm.weight head.norm.bias head.bias '
ft-freeze -H none "$R/tiny-bert-classify" >n.ft
is 'none' "$(meta n.ft head)" '{"type":"none"}'
printf 'neg\r\n\nvery good\r\nother' >labels
ft-freeze -H classify:@labels "$M" >f.ft
is 'labels from a file, CRLF and blanks and all' "$(meta f.ft head)" '{"type":"classify","labels":["neg","very good","other"]}'
ft-freeze "$R/tiny-bert-classify" >own.ft
is 'the head that the model has' "$(meta own.ft head)" '{"type":"classify","labels":["bad","fair","good"]}'
is 'without one it has none' "$(ft-freeze "$M" >n.ft; meta n.ft head)" '{"type":"none"}'
for bad in classify classify: classify:a classify:a,,b classify:a, multilabel: regress:0 regress:x regress:-1 regress:1,2 mlm:3 none:1 nonsense ''; do
	fails "no head: '$bad'" 2 ft-freeze -H "$bad" "$M"
done
fails 'labels from a file that is not there' 1 ft-freeze -H classify:@nothing "$M"
: >empty
fails 'labels from an empty file' 2 ft-freeze -H classify:@empty "$M"
ft-freeze -H classify:a,a "$M" >x.ft 2>.err
like 'a label that stands twice' "$?$(cat .err)" "^(2|65)ft-freeze: .*'a' stands twice"

# ---- the plan ----
is 'a plan of a folder holds no weights' "$(tensors c.ft)" ''
ok 'and is a few kilobytes' test "$(wc -c <c.ft)" -lt 8192
ft-freeze -j 2 -H classify:neg,pos -o o.ft "$M" && cmp o.ft c.ft && pass '-o gives the same bytes' || fail '-o gives the same bytes'
is 'a seed is in it' "$(ft-freeze --seed 7 -H regress "$M" >s.ft; meta s.ft seed)" 7
ft-freeze - <c.ft >again.ft
ok 'a plan of a plan, through a pipe' ft-cat --verify again.ft
is 'has its head' "$(meta again.ft head)" "$(meta c.ft head)"
is 'and its base' "$(meta again.ft base)" "$(meta c.ft base)"
is 'its log has both' "$(ft-cat --header again.ft | grep -o '"tool":"ft-freeze"' | wc -l)" 2
ft-freeze -l 0 c.ft >top.ft
is 'a plan is shown as it is' "$(count top.ft)" 4
is 'rules are made anew' "$(ft-freeze top.ft | count -)" 41

# Trained tensors are carried over, also into a plan with another head.
ft-cat --from-json >a.bat <<'END'
{"ft":1,"kind":"batches","meta":{"task":"classify","labels":["neg","pos"],"batches":2,"epochs":1}}
{"ids":[2,30,31,3,2,40,3],"offsets":[0,4,7],"labels":[0,1],"src":["a:1","a:2"],"epoch":0}
{"ids":[2,50,3,2,60,61,3],"offsets":[0,3,7],"labels":[1,0],"src":["a:3","a:4"],"epoch":0}
{"end":2}
END
ft-freeze -l 0 c.ft >head.ft
ft-train -q -m head.ft a.bat >tuned.ft
is 'what has trained is stored' "$(tensors tuned.ft)" "$top"
ft-freeze -l 0 tuned.ft >next.ft
is 'and is in a plan of it' "$(ft-cat next.ft | grep '^{"tensor"')" "$(ft-cat tuned.ft | grep '^{"tensor"')"
is 'a plan is not trained' "$(meta next.ft trained)" null
ft-freeze -H classify:x,y,z tuned.ft >other.ft
is 'another head leaves the old one behind' "$(tensors other.ft)" 'pool.weight pool.bias '
predict() { printf 'one\ntwo three\n' | ft-predict -q "$@"; }
ft-freeze -H classify:bad,fair,good "$R/tiny-bert-classify" >same.ft
is 'the head that was there keeps its weights' "$(predict -m same.ft)" "$(predict -m "$R/tiny-bert-classify")"
is 'another seed, another head' "$(ft-freeze --seed 2 -H classify:neg,pos "$M" >s2.ft; [ "$(predict -m c.ft)" = "$(predict -m s2.ft)" ] && echo same)" ''
is 'the same seed, the same head' "$(ft-freeze --seed 0 -H classify:neg,pos "$M" >s0.ft; predict -m s0.ft)" "$(predict -m c.ft)"
is 'a plan of a plan keeps the head' "$(ft-freeze -l 0 s2.ft >s2l.ft; predict -m s2l.ft)" "$(predict -m s2.ft)"

# ---- a network from its configuration ----
mkdir bare
cp "$M/config.json" "$M/tokenizer.json" bare
ft-freeze --init --seed 3 -H classify:neg,pos bare >i3.ft
ft-freeze --init --seed 4 -H classify:neg,pos bare >i4.ft
ok '--init needs no weights' ft-cat --verify i3.ft
is 'it depends on the seed' "$([ "$(predict -m i3.ft)" = "$(predict -m i4.ft)" ] && echo same)" ''
is 'and is not the base' "$(ft-freeze --init -H classify:neg,pos "$M" >i.ft; [ "$(predict -m i.ft)" = "$(predict -m c.ft)" ] && echo same)" ''
is 'any number of threads' "$(predict -j 3 -m i3.ft)" "$(predict -j 1 -m i3.ft)"
fails 'without --init they are missed' 1 ft-predict -m bare labels
# What trains over a frozen random network stays right when a plan is made of it.
ft-freeze --init --seed 3 -l 1 -H classify:neg,pos bare >i3l.ft
ft-train -q -m i3l.ft a.bat >i3t.ft
ft-freeze i3t.ft >i3n.ft
is 'a plan of a tuned one with frozen random parts is the same model' "$(predict -m i3n.ft)" "$(predict -m i3t.ft)"
ft-freeze --seed 9 -H classify:x,y i3t.ft >i3x.ft
is 'and another head changes nothing below it' "$(predict --vectors mean -m i3x.ft)" "$(predict --vectors mean -m i3t.ft)"

# ---- the table ----
show=$(ft-freeze --show -H classify:neg,pos -l 0 "$M")
is '--show: a line for each parameter and one of sums' "$(printf '%s\n' "$show" | wc -l)" 42
like 'with shape and fate' "$show" '^layer\.0\.ffn\.up\.weight +64 x 32  frozen'
like 'with shape and fate' "$show" '^pool\.bias +32  trains'
# 113 + 64 + 2 rows of 32 and a norm; two layers; pooler; head
all=$((181 * 32 + 2 * (4 * 33 * 32 + 4 * 32 + 33 * 64 + 65 * 32) + 33 * 32 + 33 * 2)) trained=$((33 * 32 + 33 * 2))
like 'the sums: parameters, bytes of weights, gradients and state' "$show" \
	"^$trained of $all parameters train \\([0-9.]+ %\\): weights 96\.0 kB, gradients 4\.5 kB, adamw state 9\.0 kB\$"
E=$SRC/pipelines/encoder/model
bytes=$(ft-freeze --show --json --optimizer adamw8bit "$E" | python3 -c '
import json, sys
total = 0
for p in map(json.loads, sys.stdin):
    n = p["shape"][0] * p["shape"][1]
    total += 2 * n + 8 * -(-n // 256) if n >= 4096 and not p["name"].startswith("embed.") else 8 * n
print("%.1f" % (total / 1e6))')
like 'adamw8bit: a quarter of the state, but for tables and what is small' \
	"$(ft-freeze --show --optimizer adamw8bit "$E" | tail -n 1)" "adamw8bit state $bytes MB\$"
like 'of another optimizer' "$(ft-freeze --show --optimizer sgd -H classify:neg,pos -l 0 "$M" | tail -n 1)" 'sgd state 4\.5 kB$'
fails 'of an unknown one' 2 ft-freeze --show --optimizer x "$M"
is '--show --json is JSON' "$(ft-freeze --show --json "$M" | python3 -c 'import json,sys; print(sum(r["shape"][0]*r["shape"][1] for r in map(json.loads, sys.stdin)))')" \
	$((all - 33 * 2))
ft-freeze --show -o shown.ft -H classify:neg,pos "$M" >/dev/null
ok 'with -o the plan is written too' cmp shown.ft c.ft

# ---- where the base lies ----
mkdir there
cp -r "$M" there/base
(cd there && ft-freeze -H classify:neg,pos base >plan.ft)
is 'a base beside the stream' "$(predict -m there/plan.ft | wc -l)" 2
mv there/base there/moved
fails 'a base that has moved' 1 ft-predict -m there/plan.ft labels
like 'is said' "$(cat .err)" 'there/plan\.ft: its base \(--base says where it lies\)'
is 'and --base finds it' "$(predict --base there/moved -m there/plan.ft | wc -l)" 2
fails 'another base' 78 ft-freeze --base "$R/tiny-bert-classify" there/plan.ft
like 'both digests are shown' "$(cat .err)" 'digest [0-9a-f]{32}; .* has [0-9a-f]{32}'

# ---- what is wrong ----
fails 'no model' 2 ft-freeze
fails 'two models' 2 ft-freeze "$M" "$M"
fails 'nothing there' 1 ft-freeze nothing
fails 'not a model' 65 ft-freeze labels
fails 'batches are no model' 65 ft-freeze a.bat
head -c 200 tuned.ft >cut.ft
fails 'a stream that was cut' 76 ft-freeze cut.ft
mkdir bad
printf '{"model_type":"t5"}' >bad/config.json
fails 'a family that is not supported' 65 ft-freeze bad
like 'those that are, are named' "$(cat .err)" "model_type 't5' is not supported; supported: bert"
sed 's/"num_attention_heads": *4/"num_attention_heads":5/' "$M/config.json" >bad/config.json
fails 'heads that do not divide the width' 65 ft-freeze bad
like 'with file and numbers' "$(cat .err)" 'bad: config\.json: hidden_size 32 is not a multiple of num_attention_heads 5'
done_testing
