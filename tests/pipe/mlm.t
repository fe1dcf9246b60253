#!/bin/sh
# Continued pre-training: a text in windows, hidden tokens, perplexity before and
# after, and other heads on what has been learnt, stream on stream.
. "$(dirname "$0")/../lib.sh"
M=$SRC/tests/ref/tiny-bert
cd "$T"

awk 'BEGIN {
	split("film book story ending", noun, " "); split("good dull long slow quite best", word, " ")
	for (i = 0; i < 700; i++)
		printf "the %s is %s and the %s is not %s%s", noun[i % 4 + 1], word[i * i % 6 + 1], noun[(i + 1) % 4 + 1], \
		       word[(i * 5 + 1) % 6 + 1], i % 3 ? "\n" : " "
}' >all.txt
head -n 380 all.txt >train.txt
tail -n +381 all.txt >held.txt

ft-freeze -q --head mlm "$M" >plan.ft || exit 1
windows() { ft-tokenize -q -m plan.ft --format file --max-length 32 --long split "$@"; }
windows held.txt | ft-batch -q --mask >held.bat || exit 1
windows train.txt | ft-batch -q --mask --epochs 6 --shuffle 1 --rows 8 >train.bat || exit 1
ft-train -q -m plan.ft --lr 1e-2 --valid held.bat train.bat >tuned.ft || exit 1
perplexity() { ft-eval -q -m "$1" --bootstrap 0 --json held.bat | sed 's/.*"perplexity":\([0-9.]*\).*/\1/'; }
before=$(perplexity plan.ft) after=$(perplexity tuned.ft)
ok "perplexity falls by half at least ($before, then $after)" awk "BEGIN { exit !($after < $before / 2) }"
is "windows of a text are measured one by one" "$(ft-eval -q -m tuned.ft --json held.bat | grep -o '"examples":[0-9]*')" \
	"\"examples\":$(windows held.txt | ft-cat | grep -c '"window"')"

# Tensors of a stream as lines "NAME DIGEST".
tensors() {
	ft-cat --data "$1" | awk 'BEGIN { FS = "\"" } /^{"tensor"/ { name = $4; next } name { print name, $0; name = "" }' | sort
}
ft-freeze -q --head classify:a,b tuned.ft >classify.ft || exit 1
tensors tuned.ft >of-tuned; tensors classify.ft >of-classify
is "a classifier on it has all of the network, and no decoder" "$(grep -v '^head\.' of-tuned | cksum)" "$(grep -v '^head\.\|^pool\.' of-classify | cksum)"
is "nothing of the masked-language head is left" "$(grep -c '^head\.\(dense\|norm\)' of-classify)" 0
awk '{ print (NR % 2 ? "a" : "b") "\t" $0 }' train.txt | head -n 64 >labelled.tsv
ft-tokenize -q -m classify.ft labelled.tsv | ft-batch -q --rows 16 --shuffle 1 >labelled.bat
ok "it trains" sh -c 'ft-train -q -m classify.ft labelled.bat >both.ft'

ft-freeze -q --head mlm both.ft >again.ft || exit 1
tensors again.ft >of-again; tensors both.ft >of-both
is "and back: the network as the classifier left it" "$(grep -v '^head\.\|^pool\.' of-both | cksum)" "$(grep -v '^head\.' of-again | cksum)"
ft-freeze -q tuned.ft >more.ft || exit 1
tensors more.ft >of-more
ok "a plan of the tuned model with the same head keeps the head" cmp of-tuned of-more
is "and says the same" "$(perplexity more.ft)" "$after"
ft-freeze -q --head mlm --last-layers 0 "$M" >head.ft
ft-train -q -m head.ft --lr 1e-2 --steps 20 train.bat >head-tuned.ft || exit 1
is "the head alone trains, with the network frozen" "$(tensors head-tuned.ft | cut -d' ' -f1 | grep -vc '^head\.')" 0
done_testing
