#!/bin/sh
# ft-eval: the report, criteria, comparison, predictions, and what is refused.
. "$(dirname "$0")/../lib.sh"
M=$SRC/tests/ref/tiny-bert-classify
cd "$T"

# 60 labelled rows of words that the tiny vocabulary has.
awk 'BEGIN {
	split("film book story ending", noun, " "); split("good dull long slow quite best", word, " ")
	split("bad fair good", label, " ")
	for (i = 0; i < 60; i++)
		printf "%s\tThe %s is %s and %s\n", label[(i * 7 + int(i / 5)) % 3 + 1], noun[i % 4 + 1], \
		       word[i % 6 + 1], word[int(i / 3) % 6 + 1]
}' >test.tsv
ft-tokenize -q -m "$M" test.tsv >test.tok || exit 1
ft-batch -q --rows 7 test.tok >test.bat || exit 1

table=$(ft-eval -m "$M" test.bat)
like "the number of examples" "$table" '^60 examples$'
like "a metric with its standard error" "$table" '^accuracy +0\.[0-9]{4} +0\.[0-9]{4}$'
like "a class with its examples" "$table" '^fair( +[01]\.[0-9]{4}){3} +24 +[0-9]+$'
like "the confusion matrix" "$table" '^confusion matrix: a row is an actual class'

ft-eval -m "$M" --json test.bat >one.json
is "one line of JSON" "$(wc -l <one.json)" 1
ok "a pipe gives the same bytes as a file" sh -c "cat test.bat | ft-eval -m '$M' --json | cmp - one.json"
ok "one thread gives the same bytes as many" sh -c "ft-eval -j1 -m '$M' --json test.bat | cmp - one.json"
like "--limit counts examples, inside a batch too" "$(ft-eval -m "$M" --limit 10 --json test.bat)" '"examples":10,'
like "--bootstrap 0: no standard errors" \
	"$(ft-eval -m "$M" --bootstrap 0 --json test.bat | grep -c stderr || true)" '^0$'

# What the report says follows from the predictions, computed by others.
ok "predictions to a file" ft-eval -m "$M" -p all.jsonl test.bat
cat >check.py <<'END'
import json, math, sys
rows = [json.loads(line) for line in open("all.jsonl")]
report = json.load(open("one.json"))
n = len(rows)
assert [r["src"] for r in rows] == ["test.tsv:%d" % (i + 1) for i in range(60)], "sources in order"
assert [r["label"] for r in rows] == [line.split("\t")[0] for line in open("test.tsv")], "labels"
right = sum(r["label"] == r["prediction"] for r in rows) / n
loss = -sum(math.log(r["probabilities"][r["label"]]) for r in rows) / n
assert all(r["prediction"] == max(r["probabilities"], key=r["probabilities"].get) for r in rows), "predictions"
assert abs(report["accuracy"] - right) < 1e-9, "accuracy"
assert abs(report["loss"] - loss) < 1e-6, "loss"
f1 = []
for i, a in enumerate(report["confusion"]["labels"]):
    counts = [sum(r["label"] == a and r["prediction"] == b for r in rows) for b in report["confusion"]["labels"]]
    assert report["confusion"]["matrix"][i] == counts, "confusion of " + a
    predicted = sum(r["prediction"] == a for r in rows)
    f1.append(2 * counts[i] / (sum(counts) + predicted) if sum(counts) + predicted else 0)
assert abs(report["macro"]["f1"] - sum(f1) / 3) < 1e-9, "macro F1"
theory = math.sqrt(right * (1 - right) / n)
assert abs(report["stderr"]["accuracy"] / theory - 1) < 0.15, "standard error"
END
ok "the report follows from the predictions" python3 check.py

fails "--fail-below that is not met" 3 ft-eval -m "$M" --fail-below accuracy=1.01 test.bat
like "says which" "$(cat .err)" '^ft-eval: accuracy is 0\.[0-9]+, below 1\.01$'
is "and prints the report all the same" "$(cat .out)" "$table"
fails "--fail-above, and a class" 3 ft-eval -m "$M" --fail-above loss=0 --fail-below classes.good.f1=1.1 test.bat
like "names both" "$(cat .err)" 'classes\.good\.f1 is .* below 1\.1; loss is .* above 0$'
ok "criteria that are met" ft-eval -m "$M" --fail-below macro.f1=0 --fail-above loss=100 test.bat
fails "a metric that this model has not" 2 ft-eval -m "$M" --fail-below spearman=0.5 test.bat
fails "a criterion without a number" 2 ft-eval -m "$M" --fail-below accuracy=good test.bat

# A baseline: the same network with other weights in the head.
ft-freeze -q --init "$M" >other.ft || exit 1
ft-eval -m "$M" --baseline "$M" --json test.bat >self.json
like "against itself there is no difference" "$(cat self.json)" '"difference":\{"loss":0\.0,"accuracy":0\.0,.*"p":1\.0'
ft-eval -m "$M" --baseline other.ft --json test.bat >pair.json
ft-eval -m other.ft --json test.bat >other.json
cat >check.py <<'END'
import json
pair, a, b = (json.load(open(f)) for f in ("pair.json", "one.json", "other.json"))
d = pair["comparison"]["difference"]
assert abs(d["accuracy"] - (a["accuracy"] - b["accuracy"])) < 1e-8
assert abs(d["macro"]["f1"] - (a["macro"]["f1"] - b["macro"]["f1"])) < 1e-8
m = pair["comparison"]["mcnemar"]
assert (m["only_model"] - m["only_baseline"]) / 60 - d["accuracy"] < 1e-8
assert pair["baseline"]["loss"] == b["loss"]
assert pair["comparison"]["stderr"]["accuracy"] > 0
END
ok "the difference to a baseline" python3 check.py
like "as a table" "$(ft-eval -m "$M" --baseline other.ft test.bat)" '^accuracy +[01]\.[0-9]+ +[01]\.[0-9]+ +[-+]0\.[0-9]+ +0\.[0-9]+$'

ft-tokenize -q -m "$M" --no-labels test.tsv | ft-batch -q >bare.bat
fails "without labels there is nothing to compare with" 65 ft-eval -m "$M" bare.bat
like "and ft-predict is named" "$(cat .err)" 'ft-predict'
fails "a model without a head" 2 ft-eval -m "$SRC/tests/ref/tiny-bert" test.bat
fails "no model" 2 ft-eval test.bat
fails "a tokens stream" 65 ft-eval -m "$M" test.tok
fails "two files" 2 ft-eval -m "$M" test.bat test.bat
head -c 700 test.bat >cut.bat
fails "a stream that was cut" 76 ft-eval -m "$M" -p cut.jsonl cut.bat
ok "leaves no predictions" test ! -e cut.jsonl
fails "no room for the report" 1 sh -c "ft-eval -m '$M' test.bat >/dev/full"

ft-eval --metrics >metrics
is "--metrics lists them" "$(cut -d' ' -f1 metrics | sort | uniq -d | wc -l) $(grep -c '^accuracy  ' metrics)" "0 1"
missing=
for m in $(cut -d' ' -f1 metrics); do
	grep -q "^\.It Li.* $m\|^\.It Li $m" "$SRC/man/ft-eval.1" || missing="$missing $m"
done
is "the manual page has each" "$missing" ""
done_testing
