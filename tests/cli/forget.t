#!/bin/sh
# What keeps training from forgetting: ft-train --l2-sp, and --ewc with a file of ft-eval --fisher.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
M=$SRC/tests/ref/tiny-bert
data=$SRC/pipelines/sentiment/data

head -n 48 "$data/train.tsv" >train.tsv
ft-freeze -H classify:neg,pos "$M" >plan.ft
ft-tokenize -q -m plan.ft --max-length 40 train.tsv | ft-batch -r 8 -e 6 -s 1 >first.bat
sed 's/^neg\t/x\t/; s/^pos\t/neg\t/; s/^x\t/pos\t/' train.tsv >turned.tsv # the contrary
ft-tokenize -q -m plan.ft --max-length 40 turned.tsv | ft-batch -r 8 -e 2 -s 2 >second.bat
ft-train -q -m plan.ft --lr 5e-3 --dropout 0 first.bat >first.ft
loss() { ft-eval -q --bootstrap 0 --json -m "$1" first.bat | sed 's/.*"loss":\([^,]*\),.*/\1/'; }
less() { awk -v a="$1" -v b="$2" 'BEGIN { print (a < b) }'; }
then_train() { ft-train -q -m first.ft --lr 1e-3 --dropout 0 --weight-decay 0 "$@" second.bat; }

# ---- --fisher ----
ok '--fisher' ft-eval -q -m first.ft --fisher f.ft first.bat
ok 'is a whole stream' ft-cat --verify f.ft
like 'of a kind of its own, of all examples' "$(ft-cat --header f.ft)" '^\{"ft":1,"kind":"fisher",.*"examples":288\}'
is 'with a tensor for each that trains' "$(ft-cat f.ft | grep -o '"tensor":"[^"]*"' | sort | cksum)" \
	"$(ft-cat first.ft | grep -o '"tensor":"[^"]*"' | sort | cksum)"
is 'and nothing below 0' "$(ft-cat f.ft | grep -c '"min":-[0-9]')" 0
for j in 1 3; do ok "-j $j gives the same bytes" sh -c 'ft-eval -q -j $0 -m first.ft --fisher x.ft first.bat && cmp x.ft f.ft' $j; done
ft-eval -q -m first.ft --fisher f8.ft -n 8 first.bat
like '--limit' "$(ft-cat --header f8.ft)" '"examples":8[,}]'
is 'which are the first' "$(ft-cat --data f8.ft | tail -n +2 | grep -v '"end"' | cksum)" \
	"$(ft-cat first.bat | sed 2q | sed 's/"batches":[0-9]*/"batches":1/; s/"rows":[0-9]*,//; s/"tokens":[0-9]*,//' >h
	{ cat h; echo '{"end":1}'; } | ft-cat --from-json | ft-eval -q -m first.ft --fisher y.ft; ft-cat --data y.ft | tail -n +2 | grep -v '"end"' | cksum)"
ft-freeze -l 0 first.ft >top.ft
ok 'of a part that trains' ft-eval -q -m top.ft --fisher top-f.ft first.bat
is 'that part' "$(ft-cat top-f.ft | grep -o '"tensor":"[^"]*"' | tr '\n' ' ')" "$(ft-cat f.ft | grep -o '"tensor":"\(pool\|head\)[^"]*"' | tr '\n' ' ')"
fails '--fisher with metrics' 2 ft-eval -q -m first.ft --fisher x.ft --fail-below accuracy=0.5 first.bat
ft-freeze -H embed "$M" >embed.ft
printf 'a film\ta play\ngood\tbad\n' | ft-tokenize -q -m embed.ft -f tsv -t 1 -p 2 | ft-batch >pairs.bat
fails 'examples that are compared with one another' 2 ft-eval -q -m embed.ft --fisher none.ft pairs.bat
ft-cat first.bat | sed 's/"labels":\[[-0-9,]*\],"src"/"src"/' | ft-cat --from-json >none.bat
fails 'examples without labels' 65 ft-eval -q -m first.ft --fisher none.ft none.bat
is 'nothing is written' "$(ls none.ft 2>/dev/null)" ''

# ---- training on ----
then_train --log log.jsonl >free.ft
then_train --ewc f.ft --ewc-weight 100 --log ewc.jsonl >ewc.ft
then_train --l2-sp 1 --log l2.jsonl >l2.ft
before=$(loss first.ft) free=$(loss free.ft)
is 'the contrary makes the first data forgotten' "$(less "$before" "$free")" 1
is 'with --ewc less so' "$(less "$(loss ewc.ft)" "$free")" 1
is 'with --l2-sp too' "$(less "$(loss l2.ft)" "$free")" 1
is 'the penalty is in the log, first 0' "$(grep -c '"penalty":' ewc.jsonl) $(sed -sn '1s/.*"penalty":\([^,}]*\).*/\1/p' ewc.jsonl l2.jsonl | tr '\n' ' ')" '12 0.0 0.0 '
is 'but not without one' "$(grep -c '"penalty"' log.jsonl)" 0
is 'other weights, other results' "$(then_train --ewc f.ft --ewc-weight 1 | cmp -s - ewc.ft || echo differs)" differs
then_train --l2-sp 1 --ewc f.ft --ewc-weight 100 -j 1 >both.ft
ok 'both, on three threads: the same bytes' sh -c 'ft-train -q -m first.ft --lr 1e-3 --dropout 0 --weight-decay 0 --l2-sp 1 --ewc f.ft --ewc-weight 100 -j 3 second.bat | cmp - both.ft'
# Weights of the base are drawn to where they began, so that decay is for the head alone.
is '--l2-sp is instead of decay, but for what is new' "$(
	for decay in 0 0.5; do
		ft-train -q -m first.ft --lr 1e-3 --dropout 0 --l2-sp 1e-9 --weight-decay $decay --steps 3 second.bat | ft-cat --data >w.$decay
	done
	python3 - <<'END'
import json
def tensors(path):
    out, name = {}, None
    for o in map(json.loads, open(path)):
        name = o.get("tensor", name)
        if "data" in o:
            out[name] = out.get(name, []) + o["data"]
    return out
a, b = tensors("w.0"), tensors("w.0.5")
print(sorted(k for k in a if max(abs(x - y) for x, y in zip(a[k], b[k])) > 1e-4))
END
)" "['head.weight']"
ft-train -q -m first.ft --l2-sp 1 --optimizer adafactor second.bat >x.ft
ok 'any optimizer will do' ft-cat --verify x.ft
ft-freeze -H classify:neg,pos,odd first.ft >new.ft
ok 'another head: what the file says of the old one is passed over' \
	sh -c 'ft-tokenize -q -m new.ft train.tsv | ft-batch -r 8 | ft-train -q -m new.ft --ewc f.ft --ewc-weight 1 >x.ft'

# ---- what is refused ----
fails '--ewc without a weight' 2 then_train --ewc f.ft -o none.ft
fails 'a weight without --ewc' 2 then_train --ewc-weight 1 -o none.ft
fails '--ewc-weight below 0' 2 then_train --ewc f.ft --ewc-weight -1 -o none.ft
fails '--l2-sp below 0' 2 then_train --l2-sp -1 -o none.ft
fails 'a file of another kind' 65 then_train --ewc first.ft --ewc-weight 1 -o none.ft
ft-freeze -H classify:neg,pos "$SRC/tests/ref/tiny-bert-mlm" | ft-eval -q -m - --fisher mlm-f.ft -n 8 first.bat
fails 'one of another base' 78 then_train --ewc mlm-f.ft --ewc-weight 1 -o none.ft
like 'both digests are shown' "$(cat .err)" 'mlm-f\.ft is about a model whose base has the digest [0-9a-f]+; that of first\.ft has [0-9a-f]+'
fails 'one of what is frozen' 78 sh -c 'ft-freeze -f "head.*" -f "pool*" first.ft | ft-train -q -m - --ewc top-f.ft --ewc-weight 1 -o none.ft second.bat'
ft-cat --data f.ft | sed 's/"data":\[\([0-9]\)/"data":[-\1/' | ft-cat --from-json >negative.ft
fails 'numbers that are no squares' 65 then_train --ewc negative.ft --ewc-weight 1 -o none.ft
ft-cat --data f.ft | awk '/"end"/ { print first; print second; $0 = "{\"end\":" n + 2 "}" } NR > 1 { n++ } NR == 2 { first = $0 } NR == 3 { second = $0 } { print }' |
	ft-cat --from-json >twice.ft
fails 'a parameter that comes twice' 65 then_train --ewc twice.ft --ewc-weight 1 -o none.ft
head -c 4000 f.ft >cut.ft
fails 'a file that is cut' 76 then_train --ewc cut.ft --ewc-weight 1 -o none.ft
is 'nothing is written' "$(ls none.ft 2>/dev/null)" ''
done_testing
