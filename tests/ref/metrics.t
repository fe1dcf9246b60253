#!/bin/sh
# ft-eval against PyTorch: losses and predictions of the tiny BERT's four heads,
# and the metrics that follow from PyTorch's own logits. (Metrics on made-up
# data against scikit-learn: tests/unit/metric.c.)
. "$(dirname "$0")/../lib.sh"
R=$SRC/tests/ref
cd "$T"

# The classifier of tiny-bert-classify also serves for the other two tasks.
for task in multi_label_classification regression; do
	mkdir $task
	cp "$R"/tiny-bert-classify/* $task/
	sed "s/\"id2label\"/\"problem_type\": \"$task\", &/" "$R/tiny-bert-classify/config.json" >$task/config.json
done

# A batch of the reference as a stream in JSON lines, for ft-cat.
cat >convert.py <<'END'
import json, sys
ref, name = sys.argv[1:]
batch = json.loads(open(f"{ref}/tiny-bert-expected/{name}.jsonl").readline())
flat = lambda rows: [x for row in rows for x in row]
offsets = [0]
for row in batch["ids"]:
    offsets.append(offsets[-1] + len(row))
record = {"ids": flat(batch["ids"]), "offsets": offsets, "types": flat(batch["types"])}
if name == "classify":
    record["labels"] = batch["labels"]
elif name == "mlm":
    record["labels"] = flat(batch["labels"])
else:
    record["targets"] = flat(batch["labels"])
record["src"] = [f"{name}:{i}" for i in range(len(batch["ids"]))]
for line in {"ft": 1, "kind": "batches", "meta": {}, "log": []}, record, {"end": 1}:
    print(json.dumps(line))
END

cat >check.py <<'END'
import array, json, math, struct, sys
ref, name = sys.argv[1:]
report = json.load(open("report.json"))
want = json.load(open(f"{ref}/tiny-bert-expected/expected.json"))["loss"][name]
assert abs(report["loss"] / want - 1) < 1e-5, (report["loss"], want)
if name == "mlm":
    assert abs(report["perplexity"] / math.exp(want) - 1) < 1e-4
    sys.exit()
data = open(f"{ref}/tiny-bert-expected/{name}.safetensors", "rb").read()
n = struct.unpack("<Q", data[:8])[0]
entry = json.loads(data[8:8 + n])["logits"]
begin, end = (8 + n + x for x in entry["data_offsets"])
logits = array.array("f", data[begin:end])
rows, outputs = entry["shape"]
said = [json.loads(line) for line in open("said.jsonl")]
assert len(said) == rows
labels = ["bad", "fair", "good"]
right = 0
for i, row in enumerate(said):
    x = logits[i * outputs:(i + 1) * outputs]
    if name == "classify":
        total = sum(math.exp(v) for v in x)
        p = dict(zip(labels, (math.exp(v) / total for v in x)))
        right += max(p, key=p.get) == row["label"]
    elif name == "multilabel":
        p = {k: 1 / (1 + math.exp(-v)) for k, v in zip(labels, x)}
        assert row["prediction"] == [k for k in labels if p[k] >= 0.5]
        right += row["prediction"] == row["label"]
    else:
        p = dict(enumerate(x))
        row["probabilities"] = dict(enumerate(row["prediction"]))
    assert all(abs(row["probabilities"][k] - p[k]) < 1e-5 for k in p), (i, p)
metric = {"classify": "accuracy", "multilabel": "subset_accuracy"}.get(name)
assert not metric or abs(report[metric] - right / rows) < 1e-9
if name == "regress3":
    assert abs(report["mse"] / want - 1) < 1e-5 and len(report["outputs"]) == 3
END

for pair in classify:$R/tiny-bert-classify multilabel:multi_label_classification regress3:regression \
            mlm:$R/tiny-bert-mlm mlm:$R/tiny-bert-legacy; do
	name=${pair%%:*} model=${pair#*:}
	python3 convert.py "$R" "$name" | ft-cat --from-json >batch || exit 1
	if [ "$name" = mlm ]; then
		ft-eval -m "$model" --json batch >report.json
	else
		ft-eval -m "$model" --json -p said.jsonl batch >report.json
	fi
	ok "$name: as PyTorch ($(basename "$model"))" python3 check.py "$R" "$name"
done
done_testing
