#!/bin/sh
# ft-predict: text or tokens in, one JSON line a row out, in order.
. "$(dirname "$0")/../lib.sh"
M=$SRC/tests/ref/tiny-bert-classify
cd "$T"

printf '%s\n' 'The film is good' 'a "dull" book' '' 'it is a slow, slow story' 'never quite the best ending' >in.txt
ft-predict -m "$M" in.txt >out
is "one line a row" "$(wc -l <out)" 5
is "in order, each with its place" "$(sed 's/^{"src":"\([^"]*\)".*/\1/' out | tr '\n' ' ')" \
	"in.txt:1 in.txt:2 in.txt:3 in.txt:4 in.txt:5 "
like "what is said of a row" "$(sed -n 1p out)" \
	'^\{"src":"in\.txt:1","label":"(bad|fair|good)","score":0\.[0-9]+,"probabilities":\{"bad":0\.[0-9]+,"fair":0\.[0-9]+,"good":0\.[0-9]+\}\}$'
ft-predict -m "$M" <in.txt >piped
is "stdin says the same" "$(sed 's/stdin:/in.txt:/' piped)" "$(cat out)"
is "any grouping gives the same labels" "$(ft-predict -g 1 -m "$M" in.txt | cut -d, -f1,2)" "$(cut -d, -f1,2 out)"
ok "one thread gives the same bytes" sh -c "ft-predict -j1 -m '$M' in.txt | cmp - out"
ft-predict -m "$M" --keep-text in.txt >kept
like "--keep-text repeats the text, escaped" "$(sed -n 2p kept)" '^\{"src":"in\.txt:2","text":"a \\"dull\\" book",'

# Columns, pairs, formats.
printf 'x\tThe film is good\tit is dull\n' >in.tsv
is "a column by number" "$(ft-predict -m "$M" --text 2 in.tsv | cut -d, -f2)" "$(sed -n 1p out | cut -d, -f2)"
like "a pair" "$(ft-predict -m "$M" --text 2 --pair 3 --keep-text in.tsv)" '"text":"The film is good","pair":"it is dull","label"'
printf '{"body":"The film is good"}\n' >in.jsonl
is "JSON lines" "$(ft-predict -m "$M" --text body in.jsonl | cut -d, -f2)" "$(sed -n 1p out | cut -d, -f2)"
printf 'The film is good\n' | ft-predict -m "$M" - in.txt >both
is "several inputs" "$(cut -d, -f1 both | tr '\n' ' ')" \
	'{"src":"stdin:1" {"src":"in.txt:1" {"src":"in.txt:2" {"src":"in.txt:3" {"src":"in.txt:4" {"src":"in.txt:5" '

# A tokens stream says the same as its text.
ft-tokenize -q -m "$M" --no-labels in.txt >in.tok
ok "a tokens stream in a file is recognised" sh -c "ft-predict -m '$M' in.tok | cmp - out"
ok "--tokens on stdin" sh -c "ft-predict -m '$M' --tokens <in.tok | cmp - out"
fails "--tokens, and a file that is none" 65 ft-predict -m "$M" --tokens in.txt
fails "a tokens stream has no text" 2 ft-predict -m "$M" --keep-text in.tok

# Vectors.
ft-predict -m "$SRC/tests/ref/tiny-bert" --vectors mean --normalize --keep-text in.txt >vectors
cat >check.py <<'END'
import json
rows = [json.loads(line) for line in open("vectors")]
assert [r["text"] for r in rows] == open("in.txt").read().split("\n")[:5]
assert all(len(r["vector"]) == 32 for r in rows)
assert all(abs(sum(x * x for x in r["vector"]) - 1) < 1e-6 for r in rows)
assert all(list(r) == ["src", "text", "vector"] for r in rows)
END
ok "vectors of length 1" python3 check.py
cp vectors teacher.jsonl
ft-tokenize -q -m "$M" --task regress --outputs 32 --label vector teacher.jsonl | ft-cat - >teacher.json
cat >check.py <<'END'
import array, json
rows = [json.loads(line)["vector"] for line in open("vectors")]
kept = [r["targets"] for r in map(json.loads, open("teacher.json")) if "targets" in r]
assert len(kept) == 5
assert all(array.array("f", a) == array.array("f", b) for a, b in zip(rows, kept))
END
ok "ft-tokenize reads them as targets, bit for bit" python3 check.py
fails "an unknown pooling" 2 ft-predict -m "$M" --vectors median in.txt
fails "no head, no prediction" 2 ft-predict -m "$SRC/tests/ref/tiny-bert" in.txt
like "which names a way out" "$(cat .err)" '\-\-vectors'

# Rows that are too long.
awk 'BEGIN { for (i = 0; i < 100; i++) printf "good "; print ""; print "good" }' >long.txt
ft-predict -m "$M" long.txt >out.long 2>note
is "a long row is cut and counted" "$(cat note)" "ft-predict: 1 of 2 rows were longer than 64 tokens and were cut"
fails "--long error" 65 ft-predict -m "$M" --long error long.txt
like "names the row" "$(cat .err)" '^ft-predict: long\.txt:1: '
awk 'BEGIN { for (i = 0; i < 90; i++) { t = t "film "; if (i % 3) p = p "good "; print t "\t" p } }' >pairs.tsv
ft-tokenize -q -m "$M" --no-labels --text 1 --pair 2 pairs.tsv >pairs.tok
ft-predict -q -m "$M" --text 1 --pair 2 pairs.tsv >pairs.out
ok "pairs are cut as ft-tokenize cuts them" sh -c "ft-predict -m '$M' pairs.tok | cmp - pairs.out"
is "--quiet says nothing" "$(ft-predict -q -m "$M" long.txt 2>&1 >/dev/null)" ""
fails "a limit above the model's" 2 ft-predict -m "$M" --max-length 65 in.txt
fails "an unknown format" 2 ft-predict -m "$M" --format xml in.txt
fails "no model" 2 ft-predict in.txt
fails "a missing file" 1 ft-predict -m "$M" missing.txt
fails "no room on stdout" 1 sh -c "ft-predict -m '$M' in.txt >/dev/full"
ok "whoever reads only the first line" sh -c "ft-predict -g 1 -m '$M' in.txt | head -n 1 | grep -q in.txt:1"

# With --group 1 an answer comes before the next question is asked.
mkfifo ask answer
timeout 20 ft-predict -q -g 1 -m "$M" <ask >answer &
exec 3>ask 4<answer
echo 'The film is good' >&3
IFS= read -r first <&4
echo 'it is dull' >&3
exec 3>&-
IFS= read -r second <&4
wait
is "one line is answered before the next is read" "$(printf '%s\n' "$first" "$second" | cut -d, -f1 | tr '\n' ' ')" \
	'{"src":"stdin:1" {"src":"stdin:2" '

done_testing
