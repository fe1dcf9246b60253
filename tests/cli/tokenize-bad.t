#!/bin/sh
# ft-tokenize refuses what is wrong: one line with place and reason, the
# documented exit code, no output.
. "$(dirname "$0")/../lib.sh"

cd "$T" || exit
model=$SRC/tests/ref/wordpiece/uncased

# refused DESCRIPTION CODE REASON ARGUMENT...: the whole message is REASON.
refused() {
	what=$1 code=$2 reason=$3; shift 3
	rm -f out.tok
	rc=0; ft-tokenize -m "$model" -o out.tok "$@" >stdout 2>err </dev/null || rc=$?
	is "$what" "$rc $(cat err)" "$code ft-tokenize: $reason"
	[ ! -e out.tok ] && [ ! -s stdout ] || fail "$what: leaves no output"
}
# text NAME FORMAT...: makes a file with printf.
text() { name=$1; shift; printf "$@" >"$name"; }

# ---- use ----
fails 'no model' 2 ft-tokenize a.tsv
fails 'a model that is not there' 1 ft-tokenize -m nowhere a.tsv
fails 'an empty folder' 1 ft-tokenize -m "$T" a.tsv
text a.tsv 'pos\tgood\n'
refused 'a file that is not there' 1 'nowhere.tsv: No such file or directory' --task none nowhere.tsv
refused 'a folder' 1 '.: is a folder' --task none .
refused 'a format' 2 "--format: 'xml' is not tsv, csv, jsonl, conll, lines, file or auto" -f xml --task none a.tsv
refused 'a task' 2 "--task: 'guess' is not a task" --task guess a.tsv
refused 'a policy' 2 "--long: 'wrap' is not truncate, drop, split, turns or error" --long wrap --task none a.tsv
refused 'a stride without a split' 2 '--stride is for --long split' --stride 3 --task none a.tsv
refused 'both kinds of header' 2 '--header and --no-header contradict each other' --header --no-header --task none a.tsv
refused 'too short' 2 '--max-length 2: 2 special tokens leave no room for text' --max-length 2 --task none a.tsv
refused 'too short for the overlap' 2 '--max-length 6: 2 special tokens and the overlap leave no room for text' \
	--max-length 6 --long split --stride 4 --task none a.tsv
refused 'too long' 2 "--max-length 513: $model takes at most 512 tokens" --max-length 513 --task none a.tsv
refused 'negative' 2 "--max-length -1: $model takes at most 512 tokens" --max-length=-1 --task none a.tsv
refused 'a line of 0 bytes' 2 '--max-line must be 1 or more' --max-line 0 --task none a.tsv
refused 'no names' 2 "--labels is needed: $model names no classes" --task classify a.tsv
refused 'names for numbers' 2 '--labels: labels of the task regress have no names' --task regress --labels a,b a.tsv
refused 'a name twice' 2 "--labels: 'a' stands twice" --labels a,b,a a.tsv
refused 'no outputs' 2 '--outputs must be from 1 to 1048576' --task regress --outputs 0 a.tsv
refused 'a name without a header' 2 "a.tsv: column 'text' is asked for by name, but there is no header" \
	--no-header -t text --task none a.tsv

# ---- rows ----
text label.tsv 'pos\ta\nneg\tb\nbad\tc\n'
refused 'an unknown label' 65 "label.tsv:3: unknown label 'bad'; known: neg, pos" --labels neg,pos label.tsv
text one.txt 'a\n'
refused 'no label' 65 'one.txt:1: has no label; --format says how it is written, --no-labels reads texts alone' --labels neg,pos one.txt
text num.tsv '1\ta\nten\tb\n'
refused 'no number' 65 "num.tsv:2: the label 'ten' is not a number" --task regress num.tsv
text inf.tsv 'inf\ta\n'
refused 'no finite number' 65 'inf.tsv:1: the label is not a finite number' --task regress inf.tsv
text short.tsv 'pos\ta\nb\n'
refused 'a column too few' 65 'short.tsv:2: 1 column where 2 are expected' --labels pos short.tsv
text long.tsv 'pos\ta\npos\tb\tc\n'
refused 'a column too many' 65 'long.tsv:2: 3 columns where 2 are expected' --labels pos long.tsv
text q.csv 'pos,"a\nb\n'
refused 'a quote that does not end' 65 'q.csv:1: a quoted field begins here and does not end' --labels pos q.csv
text q.csv 'pos,"a"b\n'
refused 'text behind a quote' 65 'q.csv:1: text behind the closing quote of field 2' --labels pos q.csv
text nul.txt 'a\nb\0c\n'
refused 'a NUL byte' 65 'nul.txt:2: has a NUL byte; this is not text' --task none nul.txt
text wide.txt 'ab\nabcdef\n'
refused 'a line too long' 65 'wide.txt:2: the line is longer than 5 bytes' --max-line 5 --task none wide.txt
text j.jsonl '{"text":"a"}\n{"text":"b"\n'
refused 'JSON that does not end' 65 "j.jsonl:2: '}' expected near end of file (line 1, column 11)" --task none j.jsonl
text j.jsonl '{"text":"a","text":"b"}\n'
refused 'a member twice' 65 "j.jsonl:1: duplicate object key near '\"text\"' (line 1, column 18)" --task none j.jsonl
text j.jsonl '{"txt":"a"}\n'
refused 'no text' 65 "j.jsonl:1: has no 'text'" --task none j.jsonl
text h.tsv 'a\tb\n1\t2\n'
refused 'a column that is not there' 65 "h.tsv:1: no column is called 'text'; there are: a, b" -t text --task none h.tsv

# row REASON JSON ARGUMENT...: the one row of j.jsonl is refused for it.
row() { reason=$1 json=$2; shift 2; printf '%s\n' "$json" >j.jsonl; refused "$json" 65 "j.jsonl:1: $reason" "$@" j.jsonl; }
row "'text' holds a NUL character" '{"text":"a\u0000"}' --task none
row "'text' is not a string" '{"text":7}' --task none
row 'has no label; --format says how it is written, --no-labels reads texts alone' '{"text":"a","label":null}' --labels a,b
row 'the label is not a name' '{"text":"a","label":1.5}' --labels a,b
row "unknown label 'true'; known: a, b" '{"text":"a","label":true}' --labels a,b
row 'the label is not a name' '{"text":"a","label":["a",1.5]}' --task multilabel --labels a,b
row 'the label has 1 number where 2 are expected' '{"text":"a","label":[1]}' --task regress --outputs 2
row 'the label has 1 number where 2 are expected' '{"text":"a","label":"1"}' --task regress --outputs 2
row 'the label is not a number' '{"text":"a","label":["x",1]}' --task regress --outputs 2
row 'the label is not a number' '{"text":"a","label":{}}' --task regress
row "the label '' is not a number" '{"text":"a","label":""}' --task regress
row 'the label is not a finite number' '{"text":"a","label":[1,1e300]}' --task regress --outputs 2
printf '{"text":"a","label":"x"}\n' >j.jsonl
like 'of many labels some are named' "$(ft-tokenize -m "$model" --labels "$(seq -s, 100 180)" j.jsonl 2>&1)" 'known: 100, .*, 140, …$'
printf 'a ,b\tthe\n' >set.tsv
like 'blanks around names are none of them' "$(ft-tokenize -q -m "$model" --task multilabel --labels a,b set.tsv | ft-cat)" '"targets":\[1,1\]'
: >none; printf '\377' >odd
refused 'no names in a file' 2 "--labels: '@none' holds no names" --labels @none a.tsv
refused 'an empty name' 2 '--labels: an empty name' --labels a, a.tsv
refused 'a name that is no text' 2 '--labels: a name is not UTF-8' --labels @odd a.tsv
awk 'BEGIN { for (i = 0; i < 70000; i++) printf "a\t" }' >wide.tsv
refused 'too many columns' 65 'wide.tsv:1: more than 65536 columns' --task none -f tsv wide.tsv
model=$SRC/tests/ref/tiny-bert-tag
row "has no 'tokens', 'words' or 'text'" '{"x":1}'
row "has no 'words'" '{"tokens":["a"]}' -t words
row "has no 'tags'" '{"tokens":["a"]}' -l tags
row 'has no tags' '{"tokens":["a"],"tags":null}'
row "'tokens' is not a string" '{"tokens":7}'
row "'tokens': word 2 is not a string" '{"tokens":["a",1]}'
row "'tokens': word 2 is empty" '{"tokens":["a",""]}'
row "'tokens': word 1 holds a NUL character" '{"tokens":["a\u0000"]}'
row "'tags' holds a NUL character" '{"tokens":["a"],"tags":"x\u0000"}'
row 'the tags are not an array' '{"tokens":["a"],"tags":{}}'
row '1 tag for 2 words' '{"tokens":["a","b"],"tags":["O"]}'
row '2 tags for 1 word' '{"tokens":["a"],"tags":["O","O"]}'
row "word 1: unknown tag 'nope'; known: O, B-PER, I-PER, B-LOC, I-LOC" '{"tokens":["a"],"tags":["nope"]}'
row 'word 1: the tag 99 is not one of 5 labels' '{"tokens":["a"],"tags":[99]}'
row 'word 1: the tag is neither a name nor a number' '{"tokens":["a"],"tags":[1.5]}'
model=$SRC/tests/ref/wordpiece/uncased
sed 's/"id2label": *{[^}]*},*//; s/"label2id": *{[^}]*},*//' "$SRC/tests/ref/tiny-bert-classify/config.json" | tr -d '\n' |
	sed 's/"id2label": *{[^}]*},*//; s/"label2id": *{[^}]*},*//; s/{/{"num_labels": 3,/' >nameless.json
cp -r "$SRC/tests/ref/tiny-bert-classify" nameless && chmod -R u+w nameless && mv nameless.json nameless/config.json
printf '{"text":"a","label":2}\n' >j.jsonl
like 'classes without names are numbers' "$(ft-tokenize -q -m nameless j.jsonl | ft-cat)" '"labels":\[2\]'

printf 'good\ta\nbad\tb\n' >named.tsv
like 'a folder says what it does, and an option which classes' \
	"$(ft-tokenize -q -m "$SRC/tests/ref/tiny-bert-classify" --labels bad,good named.tsv | ft-cat | head -n 2 | tail -n 1)" '"labels":\[1\]'
ft-freeze -q "$SRC/tests/ref/tiny-bert" >headless.ft
like 'a plan without a head has neither' "$(ft-tokenize -q -m headless.ft --labels bad,good named.tsv | ft-cat | head -n 2 | tail -n 1)" '"labels":\[1\]'

# ---- compressed files and archives ----
awk 'BEGIN { for (i = 0; i < 20000; i++) print "film", i * i }' >big.txt
gzip -kf big.txt
size=$(wc -c <big.txt.gz)
head -c $((size / 2)) big.txt.gz >half.txt.gz
head -c $((size - 5)) big.txt.gz >almost.txt.gz
refused 'half a gzip file' 65 'half.txt.gz: damaged or cut short (truncated gzip input)' --task none half.txt.gz
refused 'all but 5 bytes' 65 'almost.txt.gz: damaged or cut short (gzip data)' --task none almost.txt.gz
rc=0; ft-tokenize -m "$model" --task none <almost.txt.gz >cut.tok 2>err || rc=$?
is 'from a pipe, too' "$rc $(cat err)" '65 ft-tokenize: stdin: damaged or cut short (gzip data)'
rc=0; ft-cat cut.tok >/dev/null 2>err || rc=$?
is 'and what was written is no whole stream' "$rc" 76
tar cf t.tar a.tsv big.txt
head -c 5000 t.tar >cut.tar
refused 'a tar file cut short' 65 'cut.tar/big.txt: damaged or cut short (Truncated tar archive)' --task none cut.tar
refused 'no such member' 65 "t.tar: no file in it matches '*.csv'" --task none --member '*.csv' t.tar
mkdir empty && tar cf e.tar empty
refused 'an archive without files' 65 'e.tar: holds no files' --task none e.tar

# ---- tokenizers (tests/unit/tok-load.c has many more) ----
cp -r "$model" bad && model=bad && chmod -R u+w bad
edit() { sed "$1" "$SRC/tests/ref/wordpiece/uncased/tokenizer.json" >bad/tokenizer.json; }
edit 's/"type": "WordPiece", "unk/"type": "WordLevel", "unk/'
refused 'another kind of tokenizer' 65 "bad/tokenizer.json: model.type 'WordLevel' is not supported" --task none a.tsv
edit 's/"a": 5,/"a": -5,/'
refused 'a negative id' 65 "$(ft-tokenize -m bad --task none a.tsv 2>&1 | sed 's/^ft-tokenize: //')" --task none a.tsv
like 'said with its place' "$(cat err)" 'bad/tokenizer.json:1: model.vocab: an id is not a whole number from 0 to 2147483647 \(offset [0-9]+\)'
edit 's/"unk_token": "\[UNK\]"/"unk_token": "[NO]"/'
refused 'no unknown token' 65 "bad/tokenizer.json: model.unk_token '[NO]' is not in the vocabulary" --task none a.tsv
head -c 3000 "$SRC/tests/ref/wordpiece/uncased/tokenizer.json" >bad/tokenizer.json
like 'a file cut short' "$(ft-tokenize -m bad --task none a.tsv 2>&1)" '^ft-tokenize: bad/tokenizer.json:1: model.vocab: '
rm bad/tokenizer.json
refused 'no tokenizer' 65 'bad: has neither tokenizer.json nor vocab.json nor vocab.txt nor a SentencePiece model' --task none a.tsv
cp "$SRC/tests/ref/wordpiece/uncased/tokenizer.json" bad/
sed 's/"vocab_size": 410/"vocab_size": 300/' "$SRC/tests/ref/wordpiece/uncased/config.json" >bad/config.json
text film.txt 'the\nthe film\n'
refused 'a token without an embedding' 78 "film.txt:2: the token 'film' has id 403, but the model has only 300 embeddings" \
	--task none film.txt

# ---- output ----
model=$SRC/tests/ref/wordpiece/uncased
if [ -w /dev/full ]; then
	fails 'a full disk' 1 sh -c "exec ft-tokenize -m '$model' --task none big.txt >/dev/full"
fi
fails 'a closed stdout' 1 sh -c "exec ft-tokenize -m '$model' --task none a.tsv >&-"
done_testing
