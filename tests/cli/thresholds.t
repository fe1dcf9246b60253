#!/bin/sh
# Thresholds of labels: chosen by ft-eval, used by ft-eval and ft-predict.
. "$(dirname "$0")/../lib.sh"
M=$SRC/tests/ref/tiny-bert
cd "$T"

awk 'BEGIN {
	split("film book story ending the is and quite good dull long slow best", word, " ")
	for (i = 0; i < 60; i++) {
		line = ""
		for (k = 0; k < 4 + i % 5; k++)
			line = line word[(i * 5 + k * (i % 7 + 1)) % 13 + 1] " "
		printf "%s%s\t%s\n", i % 3 ? "a" : "", i % 4 ? "" : ",long label", line
	}
}' | sed 's/^,//' >rows.tsv
ft-freeze -q --head 'multilabel:a,long label,rare' --seed 3 "$M" >plan.ft || exit 1
ft-tokenize -q -m plan.ft rows.tsv | ft-batch -q --rows 8 >rows.bat || exit 1

ok "thresholds are chosen" ft-eval -q -m plan.ft --tune-thresholds tuned.json -p half.jsonl rows.bat
ft-eval -q -m plan.ft --json rows.bat >half.json
ft-eval -q -m plan.ft --thresholds tuned.json -p said.jsonl --json rows.bat >report.json
cat >check.py <<'END'
import json
tuned, report, half = (json.load(open(f)) for f in ("tuned.json", "report.json", "half.json"))
t = tuned["thresholds"]
assert list(t) == ["a", "long label", "rare"] and t["rare"] == 0.5 and tuned["f1"]["rare"] == 0
assert tuned["examples"] == 60
rows = [json.loads(line) for line in open("said.jsonl")]
def f1(k, least):
    both = sum(k in r["label"] and r["probabilities"][k] >= least for r in rows)
    return 2 * both / (sum(k in r["label"] for r in rows) + sum(r["probabilities"][k] >= least for r in rows))
for k in "a", "long label":
    best = max(f1(k, r["probabilities"][k]) for r in rows)
    assert abs(best - tuned["f1"][k]) < 1e-9 and abs(report["classes"][k]["f1"] - best) < 1e-9, k
assert all(r["prediction"] == [k for k in t if r["probabilities"][k] >= t[k]] for r in rows)
assert report["macro"]["f1"] > half["macro"]["f1"]
END
ok "they are the best there are, and ft-eval uses them" python3 check.py
ft-predict -q -m plan.ft -f tsv -t 2 --thresholds tuned.json rows.tsv >predict.jsonl
is "ft-predict predicts the same" "$(sed 's/.*"labels":\(\[[^]]*\]\).*/\1/' predict.jsonl)" \
	"$(sed 's/.*"prediction":\(\[[^]]*\]\).*/\1/' said.jsonl)"
ft-eval -q -m plan.ft --tune-thresholds again.json rows.bat >/dev/null
ok "the same bytes again" cmp tuned.json again.json

echo '{"thresholds":{"a":0.5,"long label":0.5}}' >few.json
fails "a label without a threshold" 78 ft-eval -m plan.ft --thresholds few.json rows.bat
like "is named" "$(cat .err)" "^ft-eval: few\.json: has no threshold for the model's label 'rare'$"
sed 's/"long label"/"short label"/' tuned.json >other.json
fails "another label" 78 ft-predict -m plan.ft --thresholds other.json rows.tsv
echo '{"thresholds":{"a":0.5,"long label":0.5,"rare":1.5}}' >high.json
fails "a threshold above 1" 65 ft-eval -m plan.ft --thresholds high.json rows.bat
fails "no such file" 1 ft-eval -m plan.ft --thresholds none.json rows.bat
fails "two ways to say it" 2 ft-eval -m plan.ft --thresholds tuned.json --threshold 0.4 rows.bat
fails "of ft-predict, too" 2 ft-predict -m plan.ft --thresholds tuned.json --threshold 0.4 rows.tsv
C=$SRC/tests/ref/tiny-bert-classify
ft-tokenize -q -m "$C" --no-labels rows.tsv | ft-batch -q >bare.bat
fails "thresholds of classes" 2 ft-eval -m "$C" --tune-thresholds no.json bare.bat
fails "of ft-predict's classes" 2 ft-predict -m "$C" --thresholds tuned.json rows.tsv
ok "leave no file" test ! -e no.json
done_testing
