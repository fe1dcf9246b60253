#!/bin/sh
# Token classification, from words with tags to entities: every tool on the way.
. "$(dirname "$0")/../lib.sh"
M=$SRC/tests/ref/tiny-bert-tag # O, B-PER, I-PER, B-LOC, I-LOC
cd "$T" || exit 1

# Twelve sentences in which a few words are always persons or places.
awk 'BEGIN {
	n = split("film play book story ending", word, " ")
	for (i = 0; i < 12; i++) {
		print "# sentence " i + 1
		print "the\tO\n" word[i % n + 1] "\tB-LOC\nwas\tO\n" (i % 2 ? "good\tB-PER\nbad\tI-PER" : "quite\tO") "\n.\tO\n"
	}
}' >a.conll
ft-freeze --head tag:O,B-PER,I-PER,B-LOC,I-LOC -o plan.ft "$SRC/tests/ref/tiny-bert" || exit 1
is 'the plan: its architecture' "$(ft-cat --header plan.ft | grep -o '"architecture":"[^"]*"')" '"architecture":"BertForTokenClassification"'
is 'no pooler' "$(ft-freeze --show --json plan.ft | grep -c '"pool\.')" 0
printf 'O\nB-PER\nI-PER\nB-LOC\nI-LOC\n' >labels
ok 'labels from a file are the same' sh -c 'ft-freeze --head tag:@labels "$SRC/tests/ref/tiny-bert" | ft-cat --header | grep -q "\"labels\":\[\"O\",\"B-PER\",\"I-PER\",\"B-LOC\",\"I-LOC\"\]"'
fails 'a head without labels' 2 ft-freeze --head tag "$SRC/tests/ref/tiny-bert"
fails 'a head with one label' 2 ft-freeze --head tag:O "$SRC/tests/ref/tiny-bert"

# ---- ft-tokenize ----
ft-tokenize -m plan.ft a.conll >a.tok 2>note
is 'comments are told of' "$(cat note)" 'ft-tokenize: 12 comments were passed over'
like 'a sentence, its source, its words' "$(ft-cat a.tok | sed -n 3p)" \
	'^\{"ids":\[2,.*,3\],"labels":\[-100,0,3,0,1,2,0,-100\],"words":\[-1,0,1,2,3,4,5,-1\],"src":"a\.conll:9"\}$'
like 'what is counted' "$(ft-cat a.tok | tail -n 1)" '"counts":\{"rows":12,"examples":12,.*"words":66,"words_without_tokens":0,"comments":12\}'
awk '!/^#/' a.conll | awk -v RS= -F '[\t\n]' '{
	w = t = ""
	for (i = 1; i < NF; i += 2) { w = w (i > 1 ? "," : "") "\"" $i "\""; t = t (i > 1 ? "," : "") "\"" $(i + 1) "\"" }
	print "{\"tokens\":[" w "],\"ner_tags\":[" t "]}"
}' >a.jsonl
examples() { ft-tokenize -q "$@" | ft-cat | sed '1d; $d; s/,"src":.*//'; }
is 'the same from JSONL' "$(examples -m plan.ft a.jsonl)" "$(examples -m plan.ft a.conll)"
sed 's/"O"/0/g; s/"B-PER"/1/g; s/"I-PER"/2/g; s/"B-LOC"/3/g' a.jsonl >n.jsonl
is 'and with numbers for tags' "$(examples -m plan.ft n.jsonl)" "$(examples -m plan.ft a.conll)"
is 'any number of threads' "$(ft-tokenize -q -j 1 -m plan.ft a.conll | cksum)" "$(ft-tokenize -q -j 3 -m plan.ft a.conll | cksum)"
printf 'unhappiness\tB-PER\nwas\tI-PER\n' >w.conll
like 'the first piece of a word has its label' "$(examples -m plan.ft w.conll)" '"labels":\[-100,1(,-100)+,2,-100\],"words":\[-1(,0)+,1,-1\]'
like '--label-all: all have' "$(examples -m plan.ft --label-all w.conll)" '"labels":\[-100,1(,2)+,2,-100\],"words"'
printf 'the\tO\n\302\240\tB-PER\nbook\tI-PER\n' >silent.conll
ft-tokenize -m plan.ft silent.conll 2>note >silent.tok
is 'a word without a token' "$(cat note)" 'ft-tokenize: 1 of 3 words have no token, so their tags are not seen'
like 'keeps its number' "$(ft-cat silent.tok | sed -n 2p)" '"labels":\[-100,0,2,-100\],"words":\[-1,0,2,-1\]'
awk 'BEGIN { for (i = 0; i < 40; i++) print "film\t" (i % 4 == 1 ? "B-PER" : i % 4 == 2 ? "I-PER" : "O") }' >long.conll
is '--long truncate' "$(examples -m plan.ft --max-length 12 long.conll | grep -c '"labels":\[-100,0,1,2,0,0,1,2,0,0,1,-100\]')" 1
is '--long drop' "$(examples -m plan.ft --max-length 12 --long drop long.conll | wc -l)" 0
fails '--long error' 65 ft-tokenize -m plan.ft --max-length 12 --long error long.conll
ft-tokenize -q -m plan.ft --max-length 12 --long split --stride 4 long.conll >split.tok
is '--long split: every label once' "$(ft-cat --verify split.tok)" 'split.tok: tokens: 6 examples, 72 tokens, 40 labels, digest ok'
is 'as often as without' "$(ft-cat split.tok | grep -o '"labels":\[[^]]*' | grep -o '[,[]1[],]*' | wc -l)" 10
like 'parts say which they are' "$(ft-cat split.tok | sed -n 3p)" '"words":\[-1,.*"window":\[[0-9]+,1,6\],"src":"long\.conll:1"'
is 'words and window come back from lines' "$(ft-cat split.tok | ft-cat --from-json | ft-cat | grep '^{"ids"')" "$(ft-cat split.tok | grep '^{"ids"')"
fails 'sentences for another task' 65 ft-tokenize -m "$SRC/tests/ref/tiny-bert" --labels a,b a.conll
like 'say so' "$(cat .err)" '^ft-tokenize: a\.conll:2: is a sentence in words, for --task tag$'
fails 'pairs' 2 ft-tokenize -m plan.ft --pair 2 a.conll
fails '--label-all for another task' 2 ft-tokenize -m "$SRC/tests/ref/tiny-bert-classify" --label-all a.tsv
printf 'we\tO\nyou\tB-ORG\n' >bad.conll
fails 'a tag that is not known' 65 ft-tokenize -m plan.ft bad.conll
is 'with its line' "$(cat .err)" "ft-tokenize: bad.conll:2: unknown tag 'B-ORG'; known: O, B-PER, I-PER, B-LOC, I-LOC"
like 'a folder knows its labels' "$(ft-tokenize -q -m "$M" a.conll | ft-cat | sed -n 1p)" '"task":"tag","labels":\["O","B-PER"'
ok 'or they are given' sh -c 'ft-tokenize -q -m "$SRC/tests/ref/tiny-bert" --task tag --labels @labels a.conll | ft-cat | sed 1d | head -n 12 >x && ft-cat a.tok | sed 1d | head -n 12 | cmp - x'

# ---- ft-cat, ft-batch ----
is 'words and labels as text' "$(ft-cat --text -m plan.ft a.tok | sed -n 2p)" \
	"a.conll:9		[CLS] «the/O» «play/B-LOC» «was/O» «good/B-PER» «bad/I-PER»«./O» [SEP]"
like 'all pieces of a word' "$(ft-tokenize -m plan.ft w.conll | ft-cat --text -m plan.ft)" '\[CLS\] «unhappiness/B-PER» «was/I-PER» \[SEP\]$'
ok 'there and back' sh -c 'ft-cat a.tok >1 && ft-cat --from-json 1 | ft-cat | sed "1d; \$d" >2 && sed "1d; \$d" 1 | cmp - 2'
ft-batch -q --rows 5 a.tok >a.bat
like 'batches have the words' "$(ft-cat a.bat | sed -n 2p)" '"words":\[-1,0,1,2,3,4,-1,-1,0,'
is 'in any order' "$(ft-batch -q --rows 1 --shuffle 1 a.tok | ft-cat | sed '1d; $d; s/,"epoch.*//; s/"offsets":[^]]*\],//; s/\["\(a[^"]*\)"\]/"\1"/' | sort)" \
	"$(ft-cat a.tok | sed '1d; $d; s/}$//' | sort)"

# ---- ft-train, ft-eval ----
ft-batch -q --rows 4 --epochs 20 --shuffle 1 a.tok |
	ft-train -m plan.ft --lr 1e-2 --valid a.bat --metric f1 --patience 9 --log log -o tuned.ft - 2>notes
like 'validation tells F1' "$(head -n 1 notes)" '^ft-train: step 3: validation loss [0-9.]+, F1 [01]\.[0-9]{4} \(best\)$'
ok 'it learns' ft-eval -q -m tuned.ft --fail-below f1=0.95 --fail-below classes.PER.recall=0.9 --fail-below macro.f1=0.9 a.bat
fails '--fail-below' 3 ft-eval -m tuned.ft --fail-below f1=1.01 a.bat
like 'says what' "$(cat .err)" '^ft-eval: f1 is [01](\.[0-9]+)?, below 1\.01$'
fails 'a type that there is not' 2 ft-eval -m tuned.ft --fail-below classes.ORG.f1=0.5 a.bat
fails 'a metric that tags have not' 2 ft-eval -m tuned.ft --fail-below mcc=0.5 a.bat
table=$(ft-eval -m plan.ft --baseline tuned.ft a.bat)
like 'the table counts sentences and words' "$table" '^12 examples, 66 words$'
like 'compares' "$table" '^f1 +0\.[0-9]+ +[01]\.[0-9]+ +-[0-9.]+ +0\.[0-9]+$'
like 'and has a row a type' "$table" '^LOC( +[01]\.[0-9]{4}){3} +12 +[0-9]+$'
ft-eval -m plan.ft -p said.jsonl --json a.bat >one.json
ft-eval -m plan.ft --strict --json a.bat >strict.json
cat >check.py <<'END'
import json
said = [json.loads(line) for line in open("said.jsonl")]
assert [s["src"] for s in said] == ["a.conll:%d" % n for n in [2, 9, 17, 24, 32, 39, 47, 54, 62, 69, 77, 84]], "sources"
def entities(tags, strict):
    out, before = set(), "O"
    for i, tag in enumerate(tags + ["O"]):
        if before != "O" and (tag[0] != "I" or tag[2:] != before[2:]):
            if begin is not None:
                out.add((before[2:], begin, i))
            before = "O"
        if tag != "O":
            if before == "O":
                begin = None if strict and tag[0] == "I" else i
            before = tag
    return out
for name, strict in (("one.json", False), ("strict.json", True)):
    report = json.load(open(name))
    actual = [entities(s["label"], strict) for s in said]
    predicted = [entities(s["prediction"], strict) for s in said]
    both, p, a = (sum(map(len, x)) for x in (map(set.__and__, actual, predicted), predicted, actual))
    assert a == 18 and abs(report["precision"] - (both / p if p else 0)) < 1e-9, name
    assert abs(report["f1"] - 2 * both / (p + a)) < 1e-9, name
    assert report.get("strict", False) == strict
words = [x == y for s in said for x, y in zip(s["label"], s["prediction"])]
assert abs(json.load(open("one.json"))["accuracy"] - sum(words) / 66) < 1e-9
END
ok 'the report follows from the predictions' python3 check.py
ft-batch -q split.tok | ft-eval -q -m plan.ft --json >split.json
like 'parts of a sentence are one' "$(cat split.json)" '"examples":1,.*"words":40,'
like 'all entities are there' "$(cat split.json)" '"PER":\{[^}]*"support":10,'
is 'nothing of them is combined' "$(ft-batch -q split.tok | ft-eval -q -m plan.ft --combine max --json)" "$(cat split.json)"
ok 'validation on parts of sentences' sh -c 'ft-batch -q split.tok >split.bat && ft-train -q -m plan.ft --valid split.bat -o valid.ft split.bat'
fails 'thresholds are not for tags' 2 ft-eval -m plan.ft --tune-thresholds best.json split.bat
ok 'a report of the log' sh -c 'ft-report log | grep -q . && ft-report --html page.html log && grep -q "F1 of entities" page.html'
ft-batch -q --rows 4 --epochs 2 a.tok >two.bat
ok 'weights and smoothing' ft-train -q -m plan.ft --class-weight O=0.2 --label-smoothing 0.1 -o weighted.ft two.bat
fails 'strict, but not IOB2' 2 sh -c 'ft-freeze --head tag:O,S-X,E-X,B-X,I-X "$SRC/tests/ref/tiny-bert" >s.ft; printf "the\tO\n" >s.conll; ft-tokenize -m s.ft s.conll | ft-batch -q | ft-eval -q --strict -m s.ft'
ft-tokenize -q -m plan.ft --no-labels a.conll | ft-batch -q >bare.bat
fails 'without labels there is nothing to measure' 65 ft-eval -m plan.ft bare.bat

# ---- ft-predict ----
like 'a line of text' "$(echo '  The  play was good bad' | ft-predict -q -m tuned.ft)" \
	'^\{"src":"stdin:1","words":\["The","play","was","good","bad"\],"tags":\["O","B-LOC","O","B-PER","I-PER"\],"scores":\[[0-9.,]+\],"entities":\[\{"type":"LOC","first":1,"last":1,"text":"play","score":0\.[0-9]+\},\{"type":"PER","first":3,"last":4,"text":"good bad","score":0\.[0-9]+\}\]\}$'
ft-predict -q -m tuned.ft a.conll >said
is 'CoNLL: a line a sentence' "$(grep -c '"words":\["the",.*"entities":\[{"type":"LOC","first":1,"last":1,' said)" 12
is 'JSONL says the same' "$(ft-predict -q -m tuned.ft a.jsonl | sed 's/"src":"[^"]*"//' | cksum)" "$(sed 's/"src":"[^"]*"//' said | cksum)"
is 'tokens, too' "$(ft-predict -q -m tuned.ft a.tok | cksum)" "$(cksum <said)"
ft-predict -q -m tuned.ft split.tok >parts
is 'parts of a sentence are answered one by one' "$(grep -c '"src":"long.conll:1","window":[0-5],"windows":6,"words":' parts)" 6
fails 'text is not split' 2 ft-predict -m tuned.ft --max-length 12 --long split long.conll
like 'and why' "$(cat .err)" '^ft-predict: --long split: tuned\.ft gives tags, and a sentence is answered whole$'
is 'in any groups' "$(ft-predict -q -g 5 -m tuned.ft a.conll | sed 's/"scores".*"entities"//; s/"score":[^}]*//g')" \
	"$(sed 's/"scores".*"entities"//; s/"score":[^}]*//g' said)"
is 'what was said can be learnt' "$(ft-tokenize -q -f jsonl -m plan.ft said | ft-cat | sed '1d; $d; s/,"src".*//')" "$(examples -m plan.ft a.conll)"
like 'a word without a token' "$(ft-predict -q -m tuned.ft silent.conll)" '"tags":\["O",null,"[^"]*"\],"scores":\[0[^,]*,null,0'
ft-predict -m tuned.ft --max-length 12 long.conll >cut 2>note
like 'what is cut off has no tag' "$(cat cut)" '(,null){30}\],"scores"'
like 'and is told of' "$(cat note)" '1 of 1 rows were longer than 12 tokens and were cut'
like 'an empty line' "$(echo | ft-predict -q -m tuned.ft)" '"words":\[\],"tags":\[\],"scores":\[\],"entities":\[\]'
fails 'sentences for a model without tags' 65 ft-predict -m "$SRC/tests/ref/tiny-bert-classify" a.conll

# ---- ft-export ----
ok 'exported' ft-export -q -m tuned.ft --to hf out
is 'transformers names it' "$(grep -A1 architectures out/config.json | tail -n 1 | tr -d ' "')" BertForTokenClassification
is 'with its labels' "$(tr -d ' \n' <out/config.json | grep -o '"id2label":{[^}]*}')" '"id2label":{"0":"O","1":"B-PER","2":"I-PER","3":"B-LOC","4":"I-LOC"}'
is 'and no kind of problem' "$(grep -c problem_type out/config.json)" 0
is 'it predicts the same' "$(ft-predict -q -m out a.conll | cksum)" "$(cksum <said)"
is 'the card names the pipeline' "$(grep pipeline_tag out/README.md)" 'pipeline_tag: token-classification'

# ---- real data ----
if [ -n "$DATA" ] && [ -f "$DATA/datasets/wnut17/emerging.dev.conll" ]; then
	for f in wnut17/wnut17train.conll wnut17/emerging.dev.conll wnut17/emerging.test.annotated bc5cdr/train.tsv; do
		ft-tokenize -q -f conll -m "$SRC/tests/ref/tiny-bert" --no-labels --task tag --labels O,B "$DATA/datasets/$f" | ft-cat | tail -n 1 |
			sed 's/.*"rows":\([0-9]*\),.*"words":\([0-9]*\),.*/\1 \2/'
	done >counts
	is 'sentences and words of wnut17 and bc5cdr' "$(tr '\n' ' ' <counts)" '3394 62730 1009 15733 1287 23394 4560 118170 '
else
	skip 'wnut17 is not here'
fi
done_testing
