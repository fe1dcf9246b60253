#!/bin/sh
# ft-export --to hf of every family: the configuration changes only where it must, and with PYTHON=… (a Python
# with transformers) the folder loads there and gives the outputs of the model it was made of.
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

for model in */tiny*; do
	case $model in */tiny*safetensors) continue ;; esac
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
HF_HUB_OFFLINE=1 "$PYTHON" - "$T" >"$T/table" 2>"$T/log" <<'EOF'
import glob, json, os, sys
import torch, transformers
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

CLASSES = {"tiny": (AutoModel, "forward", "last_hidden_state"), "tiny-mlm": (AutoModelForMaskedLM, "mlm", "logits"),
           "tiny-classify": (AutoModelForSequenceClassification, "classify", "logits")}
torch.set_num_threads(1)

def padded(rows, filler):
    width = max(len(r) for r in rows)
    return torch.tensor([r + [filler] * (width - len(r)) for r in rows])

for folder in sorted(glob.glob("*/tiny*/")):
    family, kind = folder.split("/")[:2]
    auto, task, output = CLASSES[kind]
    rows = json.loads(open(f"{family}/{task}.jsonl").readline())["ids"]
    want = load_file(f"{family}/{task}.safetensors")[output]
    model, info = auto.from_pretrained(os.path.join(sys.argv[1], f"{family}-{kind}"), dtype=torch.float32,
                                       attn_implementation="eager", output_loading_info=True)
    with torch.no_grad():
        got = model.eval()(input_ids=padded(rows, 1), attention_mask=padded([[1] * len(r) for r in rows], 0))[output]
    if kind != "tiny-classify":
        got = torch.cat([got[i, :len(r)] for i, r in enumerate(rows)])
    loaded = not (info["missing_keys"] or info["unexpected_keys"] or info["mismatched_keys"])
    print(family, kind, type(model).__name__, "loaded" if loaded else info, (got - want).abs().max().item() < 1e-6)
EOF
sed 's/^/# /' "$T/table"
is 'transformers loads every tensor and gives the same outputs' "$(grep -c 'loaded True$' "$T/table")" \
	"$(ls -d */tiny*/ | wc -l)"
done_testing
