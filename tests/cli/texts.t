#!/bin/sh
# ft-eval --texts: generated texts beside references, without a model.
. "$(dirname "$0")/../lib.sh"
cd "$T"

cat >a.jsonl <<'END'
{"id":1,"answer":"The cat sat on the mat.","reference":"the cat sat on a mat"}
{"id":2,"answer":"It rains.","reference":["It is raining","It rains!"]}

{"id":3,"answer":"","reference":[]}
{"id":4,"answer":"A dog\nruns","reference":"The running dog"}
END
sed 's/The cat/My cat/' a.jsonl >b.jsonl

table=$(ft-eval --texts a.jsonl)
like "a table says how many" "$table" '^4 examples$'
like "and each metric with its error" "$table" '^exact_match +0\.7500 +0\.[0-9]+$'
like "and how BLEU was counted" "$table" '^bleu: nrefs:var\|case:mixed\|eff:yes\|tok:13a\|smooth:exp$'
ft-eval --texts --json -p each.jsonl a.jsonl >a.json
cat >check.py <<'END'
import json
a = json.load(open("a.json"))
each = [json.loads(line) for line in open("each.jsonl")]
assert a["task"] == "texts" and a["examples"] == 4 and a["stem"] is False
assert [e["src"] for e in each] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:4", "a.jsonl:5"]
assert [e["exact_match"] for e in each] == [1, 1, 1, 0] and [e["token_f1"] for e in each][2] == 1
for k in ("precision", "recall", "f1"):
    assert abs(a["rougeL"][k] - sum(e["rougeL"][k] for e in each) / 4) < 1e-8
assert each[3]["rougeL"]["f1"] == 1 / 3 or abs(each[3]["rougeL"]["f1"] - 1 / 3) < 1e-8
assert a["bleu_parts"]["words"] == 13 and 0 < a["bleu_parts"]["brevity_penalty"] <= 1
assert 0 < a["stderr"]["chrf"] and a["bootstrap"]["resamples"] == 1000
END
ok "JSON, and a line for each text" python3 check.py
is "from stdin it is the same" "$(ft-eval --texts --json <a.jsonl)" "$(cat a.json)"
is "and on one thread" "$(ft-eval --texts --json -j 1 a.jsonl)" "$(cat a.json)"
gzip -k a.jsonl
is "compressed" "$(ft-eval --texts --json a.jsonl.gz)" "$(cat a.json)"
like "of whole words" "$(cat a.json)" '"rouge1":\{"precision":0\.541666667'
like "of stems there are more" "$(ft-eval --texts --stem -n 9 --json a.jsonl)" '"rouge1":\{"precision":0\.625,.*"stem":true'
sed 's/"answer"/"text"/; s/"reference"/"label"/' a.jsonl >named.jsonl
is "other names" "$(ft-eval --texts --answer text --reference label --json named.jsonl)" "$(cat a.json)"
is "--limit" "$(ft-eval --texts --limit 2 --json a.jsonl | grep -o '"examples":[0-9]*')" '"examples":2'

ft-eval --texts --baseline b.jsonl --json a.jsonl >pair.json
cat >check.py <<'END'
import json
pair, a = json.load(open("pair.json")), json.load(open("a.json"))
d, e = pair["comparison"]["difference"], pair["comparison"]["stderr"]
assert d["exact_match"] == 0.25 and 0 < e["exact_match"] < 0.5 and d["chrf"] > 0 and d["rouge2"]["f1"] > 0
assert pair["rouge1"] == a["rouge1"] and pair["baseline"]["exact_match"] == 0.5
END
ok "a second file is a baseline" python3 check.py
like "as a table" "$(ft-eval --texts --baseline b.jsonl a.jsonl)" '^exact_match +0\.7500 +0\.5000 +\+0\.2500 '
sed 's/a mat/the floor/' a.jsonl >c.jsonl
fails "of other references there is none" 78 ft-eval --texts --baseline c.jsonl a.jsonl

fails "--fail-below" 3 ft-eval --texts --fail-below rougeL.f1=0.99 a.jsonl
like "says which" "$(cat .err)" '^ft-eval: rougeL\.f1 is 0\.[0-9]+, below 0\.99$'
fails "a metric of models" 2 ft-eval --texts --fail-below accuracy=0.5 a.jsonl
like "says of what" "$(cat .err)" "'accuracy' is no metric of texts"
fails "no model and no texts" 2 ft-eval a.jsonl
fails "both" 2 ft-eval --texts -m "$SRC/tests/ref/tiny-bert-classify" a.jsonl
echo '{"answer":"x"}' >bad.jsonl
fails "no reference" 65 ft-eval --texts bad.jsonl
like "says where" "$(cat .err)" "^ft-eval: bad\.jsonl:1: has no 'reference'$"
echo '{"answer":"x","reference":["a",1]}' >bad.jsonl
fails "a reference that is no text" 65 ft-eval --texts bad.jsonl
like "says which of them" "$(cat .err)" "bad\.jsonl:1: 'reference': entry 2 is not a string$"
echo '{"answer":"x","reference":7}' >bad.jsonl
fails "a number" 65 ft-eval --texts -p none.jsonl bad.jsonl
ok "leaves no scores" test ! -e none.jsonl
fails "no lines" 65 ft-eval --texts /dev/null
done_testing
