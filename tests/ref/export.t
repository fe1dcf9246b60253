#!/bin/sh
# ft-export --to hf of every family: the configuration changes only where it must, and with PYTHON=… (a Python
# with transformers) the folder loads there and gives the outputs of the model it was made of (export-check.py).
. "$(dirname "$0")/../lib.sh"
cd "$SRC/tests/ref/encoders" || exit 1

# What differs between two config.json but for what an export may change.
differences() {
	python3 - "$1/config.json" "$2/config.json" <<'EOF'
import json, sys
a, b = (json.load(open(p)) for p in sys.argv[1:])
may = {"dtype", "torch_dtype", "problem_type"}
print(" ".join(sorted(k for k in a.keys() | b.keys() if k not in may and a.get(k) != b.get(k))))
EOF
}

for model in */tiny* ../tiny-bert ../tiny-bert-classify ../tiny-bert-mlm ../tiny-bert-tag; do
	name=$(echo "$model" | tr / -)
	ok "$model" ft-export -q -m "$model" "$T/$name"
	is 'nothing else changes in its configuration' "$(differences "$model" "$T/$name")" ''
	ok 'in half precision' ft-export -q --dtype bf16 -m "$model" "$T/$name-bf16"
done

# ---- another head ----
ft-freeze -q -H classify:a,b,c,d roberta/tiny-mlm 2>/dev/null >"$T/plan.ft"
ft-export -q -m "$T/plan.ft" "$T/other" 2>/dev/null
is 'a new head changes what is about heads' "$(differences roberta/tiny-mlm "$T/other")" 'architectures id2label label2id'

if [ -z "${PYTHON:-}" ]; then
	skip 'no PYTHON with transformers'
	done_testing
fi
mkdir "$T/check"
"$PYTHON" ../export-check.py "$T/check" >"$T/table" 2>"$T/log"
is 'export-check.py comes to its end' "$?" 0
is 'transformers loads every tensor and gives the same outputs' "$(grep -v '^ok' "$T/table")" ''
is 'in so many cases' "$(grep -c '^ok' "$T/table")" 222
mkdir "$T/tokens"
"$PYTHON" ../export-tokens-check.py "$T/tokens" >"$T/table" 2>"$T/log"
is 'export-tokens-check.py comes to its end' "$?" 0
cp "$T/table" "$T/words"
is 'transformers reads tokens that were added' "$(grep -v '^ok' "$T/table")" ''
is 'in so many cases' "$(grep -cv '^ok peft' "$T/table")" 3
if "$PYTHON" -c 'import peft' 2>/dev/null; then
	mkdir "$T/peft"
	"$PYTHON" ../export-peft-check.py "$T/peft" >"$T/table" 2>"$T/log"
	is 'export-peft-check.py comes to its end' "$?" 0
	is 'PEFT loads every adapter and gives the same outputs' "$(grep -v '^ok' "$T/table")" ''
	is 'in so many cases' "$(grep -c '^ok' "$T/table")" 148
	is 'tokens that were added are in five more' "$(grep -c '^ok peft' "$T/words")" 5
else
	skip 'no peft in PYTHON'
fi
done_testing
