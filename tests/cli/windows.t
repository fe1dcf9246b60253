#!/bin/sh
# Documents of several windows: one answer for each by ft-predict, ft-eval and
# ft-train --valid, whatever the order; splits keep them together.
. "$(dirname "$0")/../lib.sh"
M=$SRC/tests/ref/tiny-bert-classify
cd "$T"

# 40 documents of 3 to 40 words.
awk 'BEGIN {
	split("film book story ending the is and quite good dull long slow best", word, " ")
	split("bad fair good", label, " ")
	for (i = 0; i < 40; i++) {
		printf "%s\t", label[i % 3 + 1]
		for (k = 0; k < 3 + (i * 11) % 38; k++)
			printf "%s ", word[(i * i + k * (i % 5 + 1)) % 13 + 1]
		print ""
	}
}' >docs.tsv
W="--max-length 12 --long split --stride 3"
ft-tokenize -q -m "$M" $W docs.tsv >docs.tok || exit 1
ft-batch -q --rows 7 docs.tok >docs.bat || exit 1
ft-batch -q --rows 5 --shuffle 3 docs.tok >mixed.bat || exit 1
windows=$(ft-cat docs.tok | grep -c '"ids"')
ok "there are more windows than documents ($windows)" [ "$windows" -gt 100 ]

# ---- the stream ----
cat >check.py <<'END'
import json, sys
def rows(path):
    for line in open(path):
        r = json.loads(line)
        if "offsets" in r:
            for i, src in enumerate(r["src"]):
                yield src, r["window"][3 * i:3 * i + 3] if "window" in r else [0, 0, 1], r["ids"][r["offsets"][i]:r["offsets"][i + 1]]
        elif "ids" in r:
            yield r["src"], r.get("window", [0, 0, 1]), r["ids"]
tokens = list(rows("tok.jsonl"))
docs = {}
for src, (doc, index, count), ids in tokens:
    assert index == len(docs.setdefault(src, [])), "in order"
    docs[src].append((doc, count, ids))
for src, parts in docs.items():
    assert len({d for d, _, _ in parts}) == 1 and all(c == len(parts) for _, c, _ in parts), src
    for (_, _, a), (_, _, b) in zip(parts, parts[1:]):
        assert a[-4:-1] == b[1:4], "they overlap by the stride"
key = lambda r: (r[0], r[1], r[2])
for path in "bat.jsonl", "mixed.jsonl":
    assert sorted(rows(path), key=key) == sorted(tokens, key=key), path
assert list(rows("mixed.jsonl")) != tokens
END
ft-cat docs.tok >tok.jsonl; ft-cat docs.bat >bat.jsonl; ft-cat mixed.bat >mixed.jsonl
ok "windows say their document, their place and how many there are, through ft-batch and shuffled" python3 check.py
ft-cat --from-json <mixed.jsonl | ft-cat | sed '1d;$d' >back.jsonl
sed '1d;$d' mixed.jsonl >body.jsonl
ok "JSON lines and back" cmp body.jsonl back.jsonl
ok "ft-cat --verify takes them" ft-cat --verify mixed.bat

# A copy of every document, and the windows' own numbers: all on one side.
cat docs.tsv docs.tsv >twice.tsv
ft-tokenize -q -m "$M" $W twice.tsv >twice.tok
ft-batch -q --split train:0.6 twice.tok | ft-cat >train.jsonl
ft-batch -q --split rest:0.6 twice.tok | ft-cat >rest.jsonl
cat >check.py <<'END'
import json
def sources(path):
    return [int(s.split(":")[1]) for line in open(path) for s in json.loads(line).get("src", [])]
a, b = sources("train.jsonl"), sources("rest.jsonl")
side = {**{s: 0 for s in a}, **{s: 1 for s in b}}
assert not set(a) & set(b), "a document on both sides"
assert all(side[i] == side[i + 40] for i in range(1, 41)), "a copy on the other side"
assert 10 < len(set(a)) < 70
END
ok "a split by content keeps the windows of a document and of its copies together" python3 check.py

# ---- one answer a document ----
ft-predict -m "$M" --combine none docs.tok >windows.jsonl
for how in mean max first; do ft-predict -m "$M" --combine $how docs.tok >$how.jsonl; done
cat >check.py <<'END'
import json
rows = [json.loads(line) for line in open("windows.jsonl")]
docs = {}
for r in rows:
    docs.setdefault(r["src"], []).append(r["probabilities"])
for how in "mean", "max", "first":
    said = [json.loads(line) for line in open(how + ".jsonl")]
    assert [r["src"] for r in said] == ["docs.tsv:%d" % (i + 1) for i in range(40)], "one line each, in order"
    for r in said:
        p = docs[r["src"]]
        want = {k: p[0][k] if how == "first" else max(w[k] for w in p) if how == "max" else sum(w[k] for w in p) / len(p)
                for k in p[0]}
        total = sum(want.values())
        assert all(abs(r["probabilities"][k] - want[k] / total) < 1e-6 for k in want), (how, r)
        assert r["label"] == max(r["probabilities"], key=r["probabilities"].get)
assert sum("window" in r for r in rows) > 100 and all(r["window"] < r["windows"] for r in rows if "window" in r)
END
ok "mean, max and first follow from the windows" python3 check.py
ft-predict -q -m "$M" -f tsv -t 2 $W docs.tsv >text.jsonl
ok "text gives what its tokens give" cmp text.jsonl mean.jsonl
ft-predict -q -m "$M" -f tsv -t 2 $W -g 1 docs.tsv >single.jsonl
is "one window at a time: the same labels" "$(grep -o '"label":"[a-z]*"' single.jsonl)" "$(grep -o '"label":"[a-z]*"' mean.jsonl)"
ft-predict -q -m "$M" -f tsv -t 2 $W -g 3 --keep-text docs.tsv >kept.jsonl
cat >check.py <<'END'
import json
texts = [line.rstrip("\n").split("\t")[1] for line in open("docs.tsv")]
assert [json.loads(line)["text"] for line in open("kept.jsonl")] == texts
END
ok "--keep-text repeats each row's own text" python3 check.py
ft-predict -q -m "$M" -f tsv -t 2 $W --vectors mean --normalize docs.tsv >vectors.jsonl
cat >check.py <<'END'
import json
rows = [json.loads(line)["vector"] for line in open("vectors.jsonl")]
assert len(rows) == 40 and all(abs(sum(x * x for x in v) - 1) < 1e-5 for v in rows)
END
ok "vectors of documents" python3 check.py
head -n 1 docs.tsv | cut -f 2 >one.txt
is "a file as one text" "$(ft-predict -q -m "$M" -f file $W one.txt one.txt | wc -l)" 2

# ---- measured by document ----
ft-eval -q -m "$M" --json -p said.jsonl docs.bat >report.json
ft-eval -q -m "$M" --json mixed.bat >mixed.json
cat >check.py <<'END'
import json, math
report, mixed = json.load(open("report.json")), json.load(open("mixed.json"))
said, mean = ([json.loads(line) for line in open(f)] for f in ("said.jsonl", "mean.jsonl"))
labels = [line.split("\t")[0] for line in open("docs.tsv")]
assert report["examples"] == 40 and report["windows"] == sum(1 for line in open("windows.jsonl"))
by_src = {r["src"]: r for r in mean}
assert sorted(r["src"] for r in said) == sorted(by_src)
for r in said:
    assert r["label"] == labels[int(r["src"].split(":")[1]) - 1]
    assert r["prediction"] == by_src[r["src"]]["label"]
right = sum(r["label"] == r["prediction"] for r in said) / 40
loss = -sum(math.log(r["probabilities"][r["label"]]) for r in said) / 40
assert abs(report["accuracy"] - right) < 1e-9 and abs(report["loss"] - loss) < 1e-6
assert abs(report["stderr"]["accuracy"] / math.sqrt(right * (1 - right) / 40) - 1) < 0.2, "errors over documents"
assert mixed["confusion"] == report["confusion"] and abs(mixed["loss"] - report["loss"]) < 1e-6, "shuffled"
END
ok "ft-eval measures documents, in any order" python3 check.py
like "the table says both" "$(ft-eval -q -m "$M" docs.bat)" "^40 examples \($windows windows\)\$"
like "--combine none measures windows" "$(ft-eval -q -m "$M" --combine none --json docs.bat)" "\"examples\":$windows,"
like "--limit counts documents" "$(ft-eval -q -m "$M" --limit 11 --json docs.bat)" '"examples":11,'
like "and windows with --combine none" "$(ft-eval -q -m "$M" --limit 11 --combine none --json docs.bat)" '"examples":11,'
like "a baseline on the same documents" "$(ft-eval -q -m "$M" --baseline "$M" --json mixed.bat)" '"difference":\{"loss":0\.0,'
for t in "multilabel:bad,fair,good" regress; do
	ft-freeze -q --head "$t" "$M" >plan.ft
	case $t in
	regress) sed 's/^bad/1/; s/^fair/2/; s/^good/3.5/' docs.tsv >t.tsv ;;
	*) sed 's/^fair/fair,bad/' docs.tsv >t.tsv ;;
	esac
	ft-tokenize -q -m plan.ft $W t.tsv | ft-batch -q --rows 9 >t.bat
	ft-eval -q -m plan.ft -p said.jsonl --json t.bat >report.json
	like "${t%%:*}: documents" "$(cat report.json)" '"examples":40,'
	cat >check.py <<'END'
import json
report = json.load(open("report.json"))
rows = [json.loads(line) for line in open("said.jsonl")]
if report["task"] == "regress":
    want = sum((r["label"] - r["prediction"]) ** 2 for r in rows) / 40
    assert abs(report["mse"] - want) < 1e-5 and abs(report["loss"] - want) < 1e-5
else:
    import math
    loss = [-math.log(p if k in r["label"] else 1 - p) for r in rows for k, p in r["probabilities"].items()]
    assert abs(report["loss"] - sum(loss) / len(loss)) < 1e-6
END
	ok "its loss is that of the combined outputs" python3 check.py
done

# ---- in training ----
ft-freeze -q "$M" >plan.ft
ft-batch -q --rows 16 --shuffle 1 docs.tok | ft-train -q -m plan.ft --lr 1e-3 --steps 3 --valid docs.bat --log log.jsonl >tuned.ft
valid=$(grep -o '"valid":{"task":"classify","examples":[0-9]*' log.jsonl | head -n 1)
like "ft-train --valid counts documents" "$valid" ':40$'
ft-eval -q -m tuned.ft --json docs.bat >report.json
cat >check.py <<'END'
import json
report = json.load(open("report.json"))
last = [json.loads(line)["valid"] for line in open("log.jsonl") if '"valid"' in line][-1]
assert last["confusion"] == report["confusion"] and abs(last["loss"] - report["loss"]) < 1e-6
END
ok "as ft-eval measures them" python3 check.py

# ---- what is refused ----
ft-batch -q --limit 30 docs.tok >part.bat
fails "a document that is not whole" 65 ft-eval -m "$M" part.bat
like "is named" "$(cat .err)" 'docs\.tsv:[0-9]+: only [0-9]+ of its [0-9]+ windows came; --combine none'
ok "but taken window by window" ft-eval -q -m "$M" --combine none part.bat
sed 's/"labels":\[0,/"labels":[1,/' bat.jsonl | ft-cat --from-json >other.bat
fails "windows with different labels" 65 ft-eval -m "$M" other.bat
like "say so" "$(cat .err)" 'windows of one document have different labels'
fails "another way to combine" 2 ft-eval -m "$M" --combine sum docs.bat
fails "of ft-predict" 2 ft-predict -m "$M" --combine sum docs.tok
fails "of ft-train" 2 ft-train -m plan.ft --combine sum docs.bat
fails "a stride without --long split" 2 ft-predict -m "$M" --stride 2 one.txt
fails "a stride that leaves no room" 2 ft-predict -m "$M" --long split --max-length 8 --stride 6 one.txt
done_testing
