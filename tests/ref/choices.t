#!/bin/sh
# Questions with choices, from JSON lines to acc and acc_norm, against lm-evaluation-harness (make-choices.py).
. "$(dirname "$0")/../lib.sh"
R=$SRC/tests/ref
cd "$T" || exit

cat >check.py <<'END'
import json, sys
name = sys.argv[1]
got, want = json.load(open("report.json")), json.load(open(sys.argv[2]))[name]
for key in ("acc", "acc_norm", "acc_bytes"):
    assert abs(got[key] - want[key]) < 1e-9, (key, got[key], want[key])
    assert 0 < got["stderr"][key] < 0.3
tokens = sum(sum(y != -100 for y in r["labels"]) for r in map(json.loads, open("tokens.jsonl")) if r.get("targets") == [1])
assert abs(got["loss"] * tokens / -want["logprob"] - 1) < 2e-6, (got["loss"] * tokens, want["logprob"])
END
for tokenizer in smollm llama3; do
	cp -r "$R/choices" $tokenizer && cp "$R/tokenizers/$tokenizer/tokenizer.json" $tokenizer/
done
for name in smollm.apart smollm.joined smollm.long llama3.apart llama3.joined; do
	m=${name%.*}
	ft-tokenize -q -m "$m" "$R/choices/${name#*.}.jsonl" >x.tok && ft-cat x.tok >tokens.jsonl || exit 1
	ft-batch -q --tokens 256 x.tok | ft-eval -q -m "$m" --json >report.json
	ok "$name: as lm-evaluation-harness" python3 check.py "$name" "$R/choices/expected.json"
done
done_testing
