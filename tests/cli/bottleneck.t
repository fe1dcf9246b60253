#!/bin/sh
# Bottleneck adapters from plan to training.
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

own() { ft-freeze --show --json --bottleneck="$1" "$M" | grep -o '"name":"layer[^"]*bottleneck[^"]*"' | cut -d'"' -f4 | tr '\n' ' '; }
is 'are at feed-forward blocks' "$(own '')" "$(for l in 0 1; do for p in down up; do
	printf 'layer.%s.ffn.bottleneck.%s.weight layer.%s.ffn.bottleneck.%s.bias ' $l $p $l $p; done; done)"
like "Houlsby's at attention, too" "$(own kind=houlsby)" 'layer.1.attn.bottleneck.up.weight .*layer.1.ffn.bottleneck.up.weight'
is 'or where they are wanted' "$(own sites=layer.1.attn,scaling=learned | tr ' ' '\n' | grep -c 'layer.1.attn.*')" 5
ok 'a plan with one' freeze --bottleneck=reduction=8 -o "$T/narrow.ft" "$M"
like 'says all that it means' "$(ft-cat --header "$T/narrow.ft")" '"activation":"relu".*"kind":"pfeiffer".*"name":"bottleneck"'
fails 'with a name that is none' 65 sh -c 'ft-cat "$T/narrow.ft" | sed "1s/pfeiffer/pfeffer/" | ft-cat -q --from-json -o "$T/bad.ft" &&
	ft-freeze -q "$T/bad.ft" -o "$T/none.ft"'
like 'it says which there are' "$(cat "$T/.err")" "'pfeffer' is not known; there are: pfeiffer houlsby parallel"
tokens "$T/narrow.ft" --epochs 3 >"$T/train.bat"
ok 'trains' ft-train -q -m "$T/narrow.ft" -o "$T/tuned.ft" "$T/train.bat"
ok 'with less memory' ft-train -q --recompute -m "$T/narrow.ft" -o "$T/again.ft" "$T/train.bat"
is 'to the same numbers' "$(ft-cat "$T/again.ft" | grep '"tensor"' | cksum)" "$(ft-cat "$T/tuned.ft" | grep '"tensor"' | cksum)"
fails 'cannot be merged' 2 ft-export -q -m "$T/tuned.ft" --to hf "$T/narrow"
done_testing
