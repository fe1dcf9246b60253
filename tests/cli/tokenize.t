#!/bin/sh
# ft-tokenize: text in, examples out, with their labels and where they came from.
. "$(dirname "$0")/../lib.sh"

cd "$T" || exit
ref=$SRC/tests/ref/wordpiece
model=$ref/uncased
tab=$(printf '\t')

# Examples of a run as "ids|types|labels|targets|src", one a line.
examples() {
	ft-tokenize -m "$model" "$@" | ft-cat | awk '
		function array(key, s) {
			if (!match($0, "\"" key "\":\\[[^]]*"))
				return ""
			s = substr($0, RSTART, RLENGTH)
			sub(/.*\[/, "", s)
			return s
		}
		/^{"ids"/ {
			src = $0
			sub(/.*"src":"/, "", src)
			sub(/"}$/, "", src)
			print array("ids") "|" array("types") "|" array("labels") "|" array("targets") "|" src
		}'
}
# The JSON lines of a run that match an expression.
lines() { expression=$1; shift; ft-tokenize -m "$model" "$@" | ft-cat | grep -E "$expression"; }
end() { lines '^\{"end"' "$@"; }
words() { yes "${2:-film}" | head -n "$1" | tr '\n' ' '; }

printf 'pos\tthe film was good\nneg\tbad plot\n' >a.tsv
good='2,224,403,230,331,3' bad='2,404,406,3'

# ---- the plain case ----
is 'labels and sources' "$(examples --labels neg,pos a.tsv)" "$good||1||a.tsv:1
$bad||0||a.tsv:2"
is 'a note only when there is something to say' "$(ft-tokenize -m "$model" --labels neg,pos a.tsv 2>&1 >/dev/null)" ''
like 'the header says what a consumer must match' "$(lines '"ft"' --labels neg,pos a.tsv)" \
	'"meta":\{"tokenizer":\{"digest":"[0-9a-f]{32}","type":"wordpiece","vocab":410,.*"special":\[0,1,2,3,4\]\},"task":"classify","labels":\["neg","pos"\],"max_length":512\}'
like 'and the end what was done' "$(end --labels neg,pos a.tsv)" \
	'"counts":\{"rows":2,"examples":2,"tokens":10,"truncated":0,"dropped":0,"split":0,"empty":0,"blank":0,"invalid_utf8":0\},"inputs":\[\{"name":"a.tsv","bytes":35,"xxh3":"[0-9a-f]{32}"\}\]'
ft-tokenize -m "$model" --labels neg,pos a.tsv >a.tok
ok 'from a pipe, with a format' sh -c "cat a.tsv | ft-tokenize -m '$model' --labels neg,pos -f tsv - | ft-cat | grep -q '\"src\":\"stdin:2\"'"
ok '-o writes the same' sh -c "ft-tokenize -m '$model' --labels neg,pos -o o.tok a.tsv && cmp o.tok a.tok"
is 'an absolute name is not written' "$(examples --labels neg,pos "$T/a.tsv" | sed -n 1p)" "$good||1||a.tsv:1"
printf 'pos\ta\n' >b.tsv
is 'several files' "$(examples --labels neg,pos a.tsv b.tsv - <b.tsv -f tsv | sed 's/.*|//' | tr '\n' ' ')" 'a.tsv:1 a.tsv:2 b.tsv:1 stdin:1 '

# ---- any number of threads, the same bytes ----
awk 'BEGIN { for (i = 0; i < 3000; i++) print (i % 3 ? "pos" : "neg") "\tfilm " i " was good " i * i " unhappiness" }' >many.tsv
for j in 1 2 7; do ft-tokenize -j $j -m "$model" --labels neg,pos many.tsv >many.$j; done
ok 'with 1, 2 and 7 threads' sh -c 'cmp many.1 many.2 && cmp many.1 many.7'
is 'in the order of the input' "$(ft-cat many.7 | sed -n 's/.*"src":"many.tsv:\([0-9]*\)".*/\1/p' | cmp - "$(seq 3000 >seq; echo seq)" && echo same)" same

# ---- formats ----
printf 'sentence,label\r\n"the film\r\nwas ""good""",pos\r\n' >a.csv
is 'CSV with quotes, CRLF and a header' "$(examples --labels neg,pos a.csv)" '2,224,403,230,172,331,172,3||1||a.csv:2'
printf '{"text":"bad plot","label":"neg","more":1}\n' >a.jsonl
is 'JSONL' "$(examples --labels neg,pos a.jsonl)" "$bad||0||a.jsonl:1"
printf 'bad plot\nfilm\n' >a.txt
is 'lines' "$(examples --task none a.txt)" "$bad||||a.txt:1
2,403,3||||a.txt:2"
printf 'id\ttext\tstars\tmore\n1\tbad plot\t2\tfilm\n' >cols.tsv
is 'columns by name' "$(examples --text text --pair more --label stars --labels 1,2 cols.tsv)" \
	'2,404,406,3,403,3|0,0,0,0,1,1|1||cols.tsv:2'
is 'columns by number' "$(examples --header -t 2 -p 4 -l 3 --labels 1,2 cols.tsv)" '2,404,406,3,403,3|0,0,0,0,1,1|1||cols.tsv:2'
is 'no labels' "$(examples --no-labels a.tsv | sed -n 1p)" "$good||||a.tsv:1"
is 'a format by option' "$(examples -f lines --task none a.csv | wc -l)" 3
is 'no rows' "$(ft-tokenize -m "$model" --task none /dev/null 2>&1 >none.tok; ft-cat none.tok | grep -c '"end":0')" 'ft-tokenize: there were no rows
1'

# ---- compressed files and archives ----
gzip -k a.tsv && gzip -kc a.tsv | gzip -c >twice.tsv.gz
is 'gzip' "$(examples --labels neg,pos a.tsv.gz | sed -n 2p)" "$bad||0||a.tsv.gz:2"
ok 'gzip from a pipe' sh -c "ft-tokenize -m '$model' --labels neg,pos -f tsv <a.tsv.gz | ft-cat | grep -q stdin:2"
is 'the digest is that of the text' "$(end --labels neg,pos a.tsv.gz | grep -o 'xxh3.*')" "$(end --labels neg,pos a.tsv | grep -o 'xxh3.*')"
mkdir d && cp a.csv a.jsonl d && ln -s /etc/passwd d/link && tar cf d.tar a.tsv d && tar czf d.tgz a.tsv d
is 'members of a tar file, each with its format; links are not followed' \
	"$(examples --labels neg,pos d.tgz | sed 's/.*|//' | sort | tr '\n' ' ')" \
	'd.tgz/a.tsv:1 d.tgz/a.tsv:2 d.tgz/d/a.csv:2 d.tgz/d/a.jsonl:1 '
is 'of a tar file through a pipe' "$(ft-tokenize -m "$model" --labels neg,pos --member '*.jsonl' - <d.tar | ft-cat | grep -o 'stdin/[^"]*' | tr '\n' ' ')" \
	'stdin/d/a.jsonl:1 stdin/d/a.jsonl '
if command -v zip >/dev/null; then
	zip -qr d.zip a.tsv d/a.csv
	is 'of a zip file' "$(examples --labels neg,pos --member '*.tsv' d.zip)" "$good||1||d.zip/a.tsv:1
$bad||0||d.zip/a.tsv:2"
	is 'of a zip file through a pipe' "$(ft-tokenize -m "$model" --labels neg,pos - <d.zip | ft-cat | grep -c '"ids"')" 3
else
	skip 'no zip'
fi

# ---- tasks ----
printf 'pos,neg\ta\n\tb\n["neg"]\tc\n' >multi.tsv
is 'multi-label' "$(examples --task multilabel --labels neg,pos multi.tsv)" '2,5,3|||1,1|multi.tsv:1
2,6,3|||0,0|multi.tsv:2
2,7,3|||1,0|multi.tsv:3'
printf '2.5\ta\n-1\tb\n' >num.tsv
is 'regression' "$(examples --task regress num.tsv)" '2,5,3|||2.5|num.tsv:1
2,6,3|||-1|num.tsv:2'
like 'its header has outputs' "$(lines '"ft"' --task regress num.tsv)" '"task":"regress","outputs":1,'
printf '{"text":"a","label":[1,2]}\n' >two.jsonl
is 'regression of two numbers' "$(examples --task regress --outputs 2 two.jsonl)" '2,5,3|||1,2|two.jsonl:1'
like 'masked language model' "$(lines '"ft"' --task mlm a.txt)" '"task":"mlm","max_length"'
like 'a folder without a head reads no labels, and says so' "$(ft-tokenize -m "$model" a.tsv 2>&1 >/dev/null)" 'labels were not read'
printf 'pos\nneg\n' >names
is 'labels from a file' "$(examples --labels @names a.tsv | cut -d'|' -f3 | tr '\n' ' ')" '0 1 '

# ---- a plan says it all ----
ft-freeze --init --head classify:neg,pos -o plan.ft "$model" 2>/dev/null
model=plan.ft
is 'labels of the plan' "$(examples a.tsv)" "$good||1||a.tsv:1
$bad||0||a.tsv:2"
is 'may be repeated' "$(examples --task classify --labels neg,pos a.tsv | wc -l)" 2
fails 'not changed' 78 ft-tokenize -m plan.ft --labels pos,neg a.tsv
fails 'nor the task' 78 ft-tokenize -m plan.ft --task regress num.tsv
like 'the plan is a parent' "$(lines '"ft"' a.tsv)" '"tool":"ft-freeze".*"tool":"ft-tokenize".*"parents":\[\{"kind":"model"'
size=$(wc -c <plan.ft)
head -c $((size - 1)) plan.ft >cut.ft
fails 'a plan that is cut short' 76 ft-tokenize -m cut.ft a.tsv
cp -r "$ref/uncased" moved && sed 's/"lowercase": true/"lowercase": false/' "$ref/uncased/tokenizer.json" >moved/tokenizer.json
fails 'another tokenizer in the base' 78 ft-tokenize -m plan.ft --base moved a.tsv
like 'says both digests' "$(cat .err)" 'another tokenizer \(digest [0-9a-f]{32}\) than the one in moved \([0-9a-f]{32}\)'
model=$ref/uncased

# ---- long texts ----
printf 'neg\t%s\npos\tfilm\n' "$(words 20)" >long.tsv
is 'truncated' "$(examples -q --labels neg,pos --max-length 6 long.tsv)" '2,403,403,403,403,3||0||long.tsv:1
2,403,3||1||long.tsv:2'
is 'with a note' "$(ft-tokenize -m "$model" --labels neg,pos --max-length 6 long.tsv 2>&1 >/dev/null)" \
	'ft-tokenize: 1 of 2 rows were cut to 6 tokens (--long chooses)'
is 'but not when quiet' "$(ft-tokenize -q -m "$model" --labels neg,pos --max-length 6 long.tsv 2>&1 >/dev/null)" ''
like 'and a count' "$(end --labels neg,pos --max-length 6 long.tsv 2>/dev/null)" '"rows":2,"examples":2,"tokens":9,"truncated":1,'
is 'dropped' "$(examples --labels neg,pos --max-length 6 --long drop long.tsv 2>note)" '2,403,3||1||long.tsv:2'
is 'with its note' "$(cat note)" 'ft-tokenize: 1 of 2 rows were dropped: more than 6 tokens'
is 'split' "$(examples --labels neg,pos --max-length 10 --long split --stride 2 long.tsv 2>/dev/null | sed 's/[^|,]*,//g; s/|.*|/ /' | tr '\n' ';')" \
	'3 long.tsv:1;3 long.tsv:1;3 long.tsv:1;3 long.tsv:2;'
like 'split: all tokens, and twice those that overlap' "$(end --labels neg,pos --max-length 10 --long split --stride 2 long.tsv 2>/dev/null)" \
	'"examples":4,"tokens":33,"truncated":0,"dropped":0,"split":1,'
fails 'an error' 65 ft-tokenize -m "$model" --labels neg,pos --max-length 6 --long error long.tsv
is 'that says where' "$(cat .err)" 'ft-tokenize: long.tsv:1: has 20 tokens, and 4 are allowed'
is 'of 512 a default' "$(printf '%s\n' "$(words 600)" | ft-tokenize -q -m "$model" --task none | ft-cat | grep -o '"tokens":[0-9]*')" '"tokens":512'
printf '%s\t%s\n' "$(words 9)" "$(words 3 bad)" >pair.tsv
is 'a pair: the longer text first' "$(examples -q --no-labels -t 1 -p 2 --max-length 10 pair.tsv)" \
	'2,403,403,403,403,3,404,404,404,3|0,0,0,0,0,0,1,1,1,1|||pair.tsv:1'
is 'a pair: then both' "$(examples -q --no-labels -t 1 -p 2 --max-length 8 pair.tsv)" \
	'2,403,403,403,3,404,404,3|0,0,0,0,0,1,1,1|||pair.tsv:1'
is 'a pair: the second is split' "$(examples -q --no-labels -t 2 -p 1 --max-length 11 --long split pair.tsv)" \
	'2,404,404,404,3,403,403,403,403,403,3|0,0,0,0,0,1,1,1,1,1,1|||pair.tsv:1
2,404,404,404,3,403,403,403,403,3|0,0,0,0,0,1,1,1,1,1|||pair.tsv:1'

# ---- odd text ----
printf 'film \377\376\nfilm\n\n' >odd.txt
is 'what is not UTF-8 is warned of' "$(ft-tokenize -q -m "$model" --task none odd.txt 2>&1 >odd.tok)" \
	'ft-tokenize: warning: 1 of 3 rows are not all UTF-8; what is not was read as U+FFFD'
like 'and counted' "$(ft-cat odd.tok | tail -n 1)" '"rows":3,"examples":3,.*"empty":1,"blank":0,"invalid_utf8":1\}'
is 'special tokens in the text are those tokens' "$(printf 'a [SEP] [MASK]b\n' | ft-tokenize -m "$model" --task none | ft-cat | grep -o '\[2.*3\]')" '[2,5,3,4,6,3]'
printf 'x%st\n' "$tab" >t.tsv
is 'a tab splits' "$(examples --labels x t.tsv)" '2,24,3||0||t.tsv:1'
LC_ALL=C examples --labels neg,pos a.tsv >c.out
is 'in any locale' "$(cat c.out)" "$(examples --labels neg,pos a.tsv)"
done_testing
