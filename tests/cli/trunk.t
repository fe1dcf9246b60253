#!/bin/sh
# A frozen trunk that is kept gives the bytes that it gives when it is computed each time.
. "${0%/*}/../lib.sh"
cat >"$T/train.tsv" <<'END'
pos	the good one is good
neg	a bad one
pos	good and fine
neg	this is bad
pos	the good one is good
neg	the bad one is bad and not good
pos	fine
END
M=$SRC/tests/ref/tiny-bert
# plan NAME OPTIONS...: plan and batches, three epochs in another order each.
plan() {
	name=$1; shift
	ft-freeze -q --head classify:neg,pos "$@" -o "$T/$name.ft" &&
		ft-tokenize -q -m "$T/$name.ft" "$T/train.tsv" | ft-batch -q --rows 3 --epochs 3 --shuffle 1 -o "$T/$name.bat"
}
# train NAME OUT OPTIONS...
train() {
	name=$1 out=$2; shift 2
	ft-train -q -m "$T/$name.ft" --lr 1e-3 "$@" --log "$T/$out.log" -o "$T/$out.ft" "$T/$name.bat"
}
weights() { ft-cat --data "$T/$1.ft" | sed '1d;$d' | cksum; }

# ---- the last layer, the head alone, LoRA in the last layer ----
layers=$(sed -n 's/.*"num_hidden_layers": *\([0-9]*\).*/\1/p' "$M/config.json")
last=$((layers - 1))
plan last --last-layers 1 "$M"
plan head --last-layers 0 "$M"
plan lora --lora "r=2,dropout=0.2,sites=layer.$last.attn.*" "$M"
for how in last head lora; do
	ok "$how: still" train $how $how-still --trunk still
	ok "$how: kept" train $how $how-keep --trunk keep
	is "$how: the same weights" "$(weights $how-keep)" "$(weights $how-still)"
	is "$how: the same log" "$(cksum <"$T/$how-keep.log")" "$(cksum <"$T/$how-still.log")"
done
ok 'with dropout it is another' train last last-random
like 'as dropout is in the trunk, too' "$([ "$(weights last-random)" = "$(weights last-still)" ] || echo other)" other

# ---- in a file, with layers computed twice, with validation ----
ok 'in a file' train last filed --trunk keep --trunk-file "$T/trunk"
is 'the same weights' "$(weights filed)" "$(weights last-still)"
ok 'the file is gone' [ ! -e "$T/trunk" ]
ok 'with layers computed twice' train last twice --trunk keep --recompute
is 'the same weights again' "$(weights twice)" "$(weights last-still)"
for how in still keep; do
	ok "validation, $how" train last valid-$how --trunk $how --valid "$T/last.bat" --dropout 0.3
done
is 'the same metrics' "$(cksum <"$T/valid-keep.log")" "$(cksum <"$T/valid-still.log")"
like 'texts are counted once' "$(ft-train -m "$T/last.ft" --trunk keep "$T/last.bat" 2>&1 >"$T/x.ft")" \
	'6 texts kept in .*; computed for [1-9][0-9]* batches, started from for [1-9]'

# ---- what cannot be ----
ft-freeze -q --head classify:neg,pos -o "$T/all.ft" "$M"
fails 'everything trains' 2 ft-train -q -m "$T/all.ft" --trunk keep -o "$T/x.ft" "$T/last.bat"
fails 'an unknown way' 2 ft-train -q -m "$T/last.ft" --trunk frozen -o "$T/x.ft" "$T/last.bat"
fails 'a file for nothing' 2 ft-train -q -m "$T/last.ft" --trunk-file "$T/trunk" -o "$T/x.ft" "$T/last.bat"
: >"$T/there"
fails 'a file that is there' 1 ft-train -q -m "$T/last.ft" --trunk keep --trunk-file "$T/there" -o "$T/x.ft" "$T/last.bat"
ok 'is left alone' [ -f "$T/there" ]
done_testing
