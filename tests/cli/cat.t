#!/bin/sh
# ft-cat: every stream as JSON lines and back, bit for bit; joins; checks.
. "$(dirname "$0")/../lib.sh"

head='{"ft":1,"kind":"tokens","meta":{"tokenizer":{"digest":"d1","vocab":1000},"task":"classify","labels":["neg","pos"],"max_length":64,"rate":2e-05}'
cat >"$T/a.json" <<EOS
$head,"log":[]}
{"ids":[2,7,8,3],"types":[0,0,1,1],"labels":[1],"src":"a.tsv:1"}
{"ids":[2,9,3],"labels":[0],"src":"\"q\".tsv:2"}
{"ids":[2,999,3],"labels":[-100],"src":"ü:3","weight":0.25,"extra":{"bin":"00ff10"}}
{"end":3,"note":"kept"}
EOS
body() { sed -n '2,$p' "$@" | sed '$s/"digest":"[0-9a-f]*",*//; $s/,}/}/'; }

# ---- there and back ----
ft-cat --from-json "$T/a.json" >"$T/a.tok"
ft-cat "$T/a.tok" >"$T/a2.json"
is 'tokens: JSON to a stream and back' "$(body "$T/a2.json")" "$(sed -n '2,$p' "$T/a.json")"
is 'the header too, but for the log' "$(sed -n '1s/"log".*//p' "$T/a2.json")" "$(sed -n '1s/"log".*//p' "$T/a.json")"
ok 'the end and its digest are made anew' ft-cat --verify "$T/a.tok"
is 'counted' "$(ft-cat --verify <"$T/a.tok")" 'stdin: tokens: 3 examples, 10 tokens, 2 labels, digest ok'
ft-cat <"$T/a.tok" | cmp -s - "$T/a2.json" && pass 'from a pipe as from a file' || fail 'from a pipe as from a file'

cat >"$T/b.json" <<EOS
{"ft":1,"kind":"batches","meta":{"tokenizer":{"digest":"d1"},"batches":2,"epochs":1,"rows":3,"tokens":7},"log":[]}
{"ids":[2,7,3,2,3],"offsets":[0,3,5],"targets":[0.1,-0.0,1.1754944e-38,16777216],"src":["a:1","a:2"],"epoch":0}
{"ids":[5,6],"offsets":[0,2],"targets":[3.4028235e+38,1],"src":["a:3"],"epoch":0}
{"end":2}
EOS
ft-cat --from-json "$T/b.json" -o "$T/b.bat"
is 'batches: there and back' "$(ft-cat "$T/b.bat" | body)" "$(sed -n '2,$p' "$T/b.json")"
like 'batches are counted' "$(ft-cat --verify "$T/b.bat")" 'b.bat: batches: 2 batches, 3 examples, 7 tokens, 6 labels, digest ok'

cat >"$T/m.json" <<EOS
{"ft":1,"kind":"model","meta":{"family":"bert"},"log":[]}
{"tensor":"w","dtype":"F32","shape":[2,2],"bytes":16}
{"data":[1,-2.5,0.1]}
{"data":[3]}
{"tensor":"half","dtype":"F16","shape":[3],"bytes":6}
{"data":[0.5,65504,-0.0]}
{"tensor":"odd","dtype":"I64","shape":[1],"bytes":8}
{"data":{"bin":"0100000000000000"}}
{"tensor":"nan","dtype":"F32","shape":[],"bytes":4}
{"data":{"bin":"0100c07f"}}
{"tensor":"none","dtype":"BF16","shape":[0,4],"bytes":0}
{"end":10}
EOS
ft-cat --from-json "$T/m.json" >"$T/m.ft"
is 'models: there and back with --data' "$(ft-cat --data "$T/m.ft" | body)" "$(sed -n '2,$p' "$T/m.json")"
is 'models: without it a line a tensor' "$(ft-cat "$T/m.ft" | sed -n '2,$p' | sed 's/"xxh3":"[0-9a-f]*"/X/; s/"digest":".*"/D/')" \
'{"tensor":"w","dtype":"F32","shape":[2,2],"bytes":16,X,"min":-2.5,"max":3,"mean":0.4}
{"tensor":"half","dtype":"F16","shape":[3],"bytes":6,X,"min":-0,"max":65504,"mean":21834.8}
{"tensor":"odd","dtype":"I64","shape":[1],"bytes":8,X}
{"tensor":"nan","dtype":"F32","shape":[],"bytes":4,X}
{"tensor":"none","dtype":"BF16","shape":[0,4],"bytes":0,X}
{"end":10,D}'
like 'models are counted' "$(ft-cat --verify "$T/m.ft")" 'm.ft: model: 5 tensors, 34 bytes, digest ok'

# ---- parts ----
is '--header' "$(ft-cat --header "$T/a.tok")" "$(sed -n 1p "$T/a2.json")"
is '--log names the stages' "$(ft-cat "$T/a.tok" | ft-cat --from-json | ft-batch | ft-cat --log | cut -d' ' -f-2 | sed 's/ [0-9.]*$//' | head -n 2)" \
'ft-batch
`- tokens'
ft-batch --rows 2 "$T/a.tok" | ft-cat | ft-cat --from-json >"$T/log.bat"
is 'there and back, the log stays, and is drawn as a tree' \
	"$(ft-cat --log "$T/log.bat" | sed 's/ [0-9]*\.[0-9]*\.[0-9]*//; s/tokens [0-9a-f]*/tokens/')" \
'ft-cat --from-json
ft-batch --rows=2
`- tokens: ft-cat --from-json'
is 'several files, one after the other' "$(ft-cat -H "$T/a.tok" "$T/b.bat" | grep -c '"ft":1')" 2

# ---- joining ----
ft-cat --join "$T/a.tok" "$T/a.tok" -o "$T/aa.tok"
is 'joined tokens' "$(ft-cat "$T/aa.tok" | sed '1d;$d')" "$(sed '1d;$d' "$T/a2.json" "$T/a2.json" | sed '/"end"/d; /"ft"/d')"
ft-cat --join "$T/b.bat" "$T/b.bat" "$T/b.bat" >"$T/bb.bat"
like 'joined batches: counts add up' "$(ft-cat -H "$T/bb.bat")" '"batches":6,"epochs":3,"rows":9,"tokens":21'
ok 'and hold' ft-cat --verify "$T/bb.bat"
printf 'pos\tgood film\nneg\tno\n' >"$T/p.tsv"; printf 'neg\tbad\n\npos\tthe film\n' >"$T/q.tsv"
ft-freeze -q -H classify:neg,pos "$SRC/tests/ref/tiny-bert" >"$T/plan.ft"
(cd "$T"; for f in p q; do ft-tokenize -q -m plan.ft $f.tsv -o $f.tok; done; ft-cat --join p.tok q.tok -o pq.tok)
notes() { ft-cat "$1" | sed '1d; s/"digest":"[^"]*"//'; }
is 'tokens in parts, joined: those of all files, with the counts and inputs at the end' "$(notes "$T/pq.tok")" \
	"$(cd "$T"; ft-tokenize -q -m plan.ft p.tsv q.tsv -o both.tok; notes both.tok)"
ft-batch -q "$T/p.tok" -o "$T/p.bat"; ft-batch -q "$T/q.tok" -o "$T/q.bat"; ft-cat --join "$T/p.bat" "$T/q.bat" -o "$T/pq.bat"
like 'and of batches' "$(ft-cat "$T/pq.bat" | tail -n 1)" '"inputs":\["[0-9a-f]*","[0-9a-f]*"\],"read":4,"kept":4,"rows":4,"tokens":[0-9]*'
is 'epochs go on' "$(ft-cat "$T/bb.bat" | sed -n 's/.*"epoch":\([0-9]*\).*/\1/p' | tr '\n' ' ')" '0 0 1 1 2 2 '
sed 's/"pos"/"sop"/' "$T/a.json" | ft-cat --from-json >"$T/c.tok"
fails 'other labels do not join' 78 ft-cat --join "$T/a.tok" "$T/c.tok" -o "$T/none"
like 'and that is said' "$(cat "$T/.err")" 'a\.tok and .*c\.tok differ in labels'
fails 'another kind does not join' 65 ft-cat --join "$T/a.tok" "$T/b.bat" -o "$T/none"
fails 'models do not join' 2 ft-cat --join "$T/m.ft" "$T/m.ft" -o "$T/none"
fails 'nothing to join' 2 ft-cat --join -o "$T/none"
is 'and no file appears' "$(ls "$T" | grep -c none)" 0

# ---- editing ----
sed '3d' "$T/a2.json" | ft-cat --from-json >"$T/less.tok"
is 'a record may be taken out' "$(ft-cat --verify <"$T/less.tok")" 'stdin: tokens: 2 examples, 7 tokens, 1 labels, digest ok'

# ---- what is wrong ----
bad() { # DESCRIPTION CODE PATTERN COMMAND...: JSON lines that the command prints
	what=$1 code=$2 reason=$3; shift 3
	"$@" >"$T/bad.json"
	set -- "$what" "$code" "$reason"
	fails "$1" "$2" ft-cat --from-json "$T/bad.json" -o "$T/bad.tok"
	like "$1: the reason" "$(cat "$T/.err")" "$3"
	[ ! -e "$T/bad.tok" ] || fail "$1: a file appeared"
}
bad 'no end' 76 'cut short after line 4: no end record' sed '$d' "$T/a.json"
bad 'an aborted stream' 76 'line 5: the stage before gave up: disk' sed 's/"end":3/"end":3,"aborted":"disk"/' "$T/a.json"
bad 'a fraction among ids' 65 'line 2: ids: expected whole numbers' sed '2s/\[2,/[2.5,/' "$T/a.json"
bad 'no JSON' 65 'line 2' sed '2s/\[2,/[x,/' "$T/a.json"
bad 'two values on a line' 65 'line 2' sed '2s/^/{"ids":[1],"ids":[2]}/' "$T/a.json"
bad 'another version' 65 'line 1: not the header' sed '1s/"ft":1/"ft":2/' "$T/a.json"
bad 'a key twice' 65 'line 1.*duplicate' sed '1s/"meta":{/"meta":{"a":1,"a":2,/' "$T/a.json"
echo '{"ids":[1]}' >"$T/more"
bad 'data after the end' 65 'line 6: data after the end' cat "$T/a.json" "$T/more"
bad 'a chunk of data is missing' 65 'line 4: expected the data|bytes of a tensor' sed 3d "$T/m.json"
bad 'a listing of tensors is no model' 65 'line 3: expected the data of a tensor, 16 bytes' ft-cat "$T/m.ft"
bad 'nothing' 76 'empty input' :
fails 'several inputs' 2 ft-cat --from-json "$T/a.json" "$T/a.json"
fails 'modes exclude each other' 2 ft-cat --header --log "$T/a.tok"
fails '-o without a stream to write' 2 ft-cat -o "$T/x" "$T/a.tok"
fails 'a missing file' 1 ft-cat "$T/nothing"
fails '--text without a model' 2 ft-cat --text "$T/a.tok"

sed 's/"rows":3/"rows":4/' "$T/b.json" | ft-cat --from-json >"$T/rows.bat"
fails '--verify: a promise of the header is not kept' 65 ft-cat --verify "$T/rows.bat"
sed '3s/999/1000/' "$T/a.json" | sed '4s/999/1000/' | ft-cat --from-json >"$T/id.tok"
fails '--verify: an id beyond the vocabulary' 65 ft-cat --verify "$T/id.tok"
like 'is named' "$(cat "$T/.err")" 'record 3: ids: number 1 is 1000; meta allows 0 to 999'
sed '2s/"labels":\[1\]/"labels":[2]/' "$T/a.json" | ft-cat --from-json >"$T/label.tok"
fails '--verify: a label that has no name' 65 ft-cat --verify "$T/label.tok"

for mode in '' --header --log --verify --join; do
	size=$(wc -c <"$T/a.tok") wrong=0 n=5
	while [ $n -lt "$size" ]; do
		head -c $n "$T/a.tok" >"$T/cut"
		rc=0; ft-cat $mode "$T/cut" >/dev/null 2>&1 || rc=$?
		[ $rc = 76 ] || wrong=$n
		n=$((n + 17))
	done
	is "a stream cut anywhere: ft-cat $mode" "$wrong" 0
done
python3 - "$T/a.tok" "$T/flip" <<'EOS'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 1
open(sys.argv[2], "wb").write(data)
EOS
fails 'a flipped bit' 65 ft-cat --verify "$T/flip"
if [ -e /dev/full ]; then fails 'a full disk' 1 sh -c 'ft-cat "$1" >/dev/full' - "$T/a.tok"; fi
awk -v head="$head" 'BEGIN { print head "}"; for (i = 0; i < 20000; i++) print "{\"ids\":[2,7,3]}"; print "{\"end\":0}" }' |
	ft-cat --from-json >"$T/long.tok"
{ rc=0; ft-cat "$T/long.tok" 2>"$T/.err" || rc=$?; echo $rc >"$T/rc"; } | head -n 1 >/dev/null
is 'a reader that leaves: an end by SIGPIPE, without a word' "$(cat "$T/rc" "$T/.err")" 141

# ---- text ----
model=$SRC/tests/ref/tiny-bert
id() { echo $(($(grep -nxF -e "$1" "$model/vocab.txt" | head -n 1 | cut -d: -f1) - 1)); }
digest=$(ft-freeze --quiet "$model" 2>/dev/null | ft-cat -H | sed 's/.*"tokenizer":{"digest":"\([0-9a-f]*\)".*/\1/')
like 'the plan of a model names its tokenizer' "$digest" '^[0-9a-f]{32}$'
a=$(id a) b=$(id b) piece=$(id '##b') mask=$(id '[MASK]')
{
	echo '{"ft":1,"kind":"tokens","meta":{"tokenizer":{"digest":"'"$digest"'"},"task":"classify","labels":["neg","pos"]},"log":[]}'
	echo '{"ids":[2,'"$a,$piece,$b"',3],"labels":[1],"src":"x:1"}'
	echo '{"end":1}'
} | ft-cat --from-json >"$T/t.tok"
is '--text: source, label, text' "$(ft-cat --text -m "$model" "$T/t.tok")" "x:1	pos	[CLS] ab b [SEP]"
{
	echo '{"ft":1,"kind":"batches","meta":{"tokenizer":{"digest":"'"$digest"'"},"task":"mlm"},"log":[]}'
	echo '{"ids":[2,'"$mask,$piece,$b"',3,2,'"$b"',3],"offsets":[0,5,8],"labels":[-100,'"$a"',-100,-100,-100,-100,'"$b"',-100],"src":["x:1","y:2"],"epoch":0}'
	echo '{"end":1}'
} | ft-cat --from-json >"$T/t.bat"
is '--text: what is supervised stands between marks, with what is hidden' "$(ft-cat --text -m "$model" "$T/t.bat")" \
'# batch 1, epoch 0: 2 rows, 8 tokens
x:1		[CLS] «[MASK]→a»b b [SEP]
y:2		[CLS] «b» [SEP]'
{
	echo '{"ft":1,"kind":"tokens","meta":{"tokenizer":{"digest":"'"$digest"'"},"labels":["O","NAME"]},"log":[]}'
	echo '{"ids":[2,'"$a,$piece,$b"',3],"labels":[-100,1,1,0,-100],"src":"x:1"}'
	echo '{"end":1}'
} | ft-cat --from-json >"$T/tags.tok"
is '--text: tags by name' "$(ft-cat --text -m "$model" "$T/tags.tok")" "x:1		[CLS] «ab/NAME» «b/O» [SEP]"
fails '--text with the tokenizer of another model' 78 ft-cat --text -m "$model" "$T/a.tok"
fails '--text of a model stream' 65 ft-cat --text -m "$model" "$T/m.ft"

done_testing
