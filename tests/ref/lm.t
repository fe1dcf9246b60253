#!/bin/sh
# ft-eval of a causal language model against transformers: losses of tokens, words and bytes,
# and questions answered by the likeliest choice. (Made-up numbers: tests/unit/metric.c.)
. "$(dirname "$0")/../lib.sh"
R=$SRC/tests/ref
M=$R/decoders/llama/tiny-lm
cd "$T"

cat >check.py <<'END'
import json, sys
ref, name = sys.argv[1:]
got, want = json.load(open("report.json")), json.load(open(f"{ref}/lm/expected.json"))[name]
for key, value in want.items():
    assert abs(got[key] / value - 1) < 2e-6, (key, got[key], value)
assert got["task"] == "lm" and got["stderr"]["loss"] > 0
for key in ("accuracy", "bits_per_byte") if name == "texts" else ("acc", "acc_norm", "acc_bytes"):
    assert 0 < got["stderr"][key] < 1, key
    assert key in want
END
for name in texts questions; do
	ft-cat --from-json <"$R/lm/$name.jsonl" >$name.tok || exit 1
	ft-batch -q --rows 5 --shuffle 3 $name.tok >$name.bat || exit 1
	ft-eval -q -m "$M" --json $name.bat >report.json
	ok "$name: as transformers" python3 check.py "$R" $name
done
table=$(ft-eval -q -m "$M" texts.bat)
like "a table of texts" "$table" '^bits_per_byte +[0-9.]+ +[0-9.]+$'
is "without what is of choices" "$(echo "$table" | grep -c '^acc[ _]')" 0
table=$(ft-eval -q -m "$M" questions.bat)
like "a table of questions" "$table" "^20 examples of [0-9]+ choices$"
like "with their metrics" "$table" '^acc_norm +0\.[0-9]+ +0\.[0-9]+$'
is "and no others" "$(echo "$table" | grep -c '^perplexity\|^accuracy')" 0
is "in any order" "$(ft-batch -q questions.tok | ft-eval -q -m "$M" --json --bootstrap 0 | grep -o '"acc.*')" \
	"$(ft-eval -q -m "$M" --json --bootstrap 0 questions.bat | grep -o '"acc.*')"
fails "no such metric of tokens" 2 ft-eval -m "$M" --fail-below accuracy=0.5 questions.bat

sed 's/"size":[^]]*\],//' "$R/lm/questions.jsonl" | ft-cat --from-json | ft-batch -q >bare.bat
is "without sizes" "$(ft-eval -q -m "$M" --json --bootstrap 0 bare.bat | grep -o '"acc[a-z_]*"')" '"acc"'
grep -v '"window":\[3,1,' "$R/lm/questions.jsonl" | sed "s/\"end\":.*/\"end\":1}/" | ft-cat --from-json | ft-batch -q >cut.bat
fails "a choice that is missing" 65 ft-eval -m "$M" cut.bat
like "is named" "$(cat .err)" 'questions:4: only [0-9] of its [0-9] choices came'
sed 's/"targets":\[1.0\]/"targets":[0.0]/' "$R/lm/questions.jsonl" | ft-cat --from-json | ft-batch -q >wrong.bat
fails "no right choice" 65 ft-eval -m "$M" wrong.bat
like "is named, too" "$(cat .err)" 'questions:[0-9]+: none of its choices is right'
{ sed '$d' "$R/lm/texts.jsonl"; sed 1d "$R/lm/questions.jsonl"; } | ft-cat --from-json >both.tok
ft-batch -q --rows 1 both.tok >both.bat
fails "texts and choices" 65 ft-eval -m "$M" both.bat
sed 's/"window":[^]]*\],//' "$R/lm/questions.jsonl" | ft-cat --from-json | ft-batch -q >loose.bat
fails "choices of no question" 65 ft-eval -m "$M" loose.bat
ft-freeze -q "$M" >plan.ft
fails "choices are not trained on" 78 ft-train -q -m plan.ft -o none.ft questions.bat
like "it says why" "$(cat .err)" 'measured, not trained on'
ok "but training can be validated by them" ft-train -q -m plan.ft --valid questions.bat --metric acc -o tuned.ft texts.bat
done_testing
