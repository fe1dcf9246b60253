#!/bin/sh
# Sentence vectors through the tools against sentence-transformers: texts to vectors, pairs to measures; with PYTHON=… (a
# Python with sentence-transformers) folders there and back (export-sentences-check.py). Losses and gradients:
# tests/unit/embed.c.
. "$(dirname "$0")/../lib.sh"
R=$SRC/tests/ref/sentences
cd "$T"
cp -r "$SRC/tests/ref/tiny-bert" bert

cat >check.py <<'END'
import array, json, struct, sys
want = json.load(open(sys.argv[1] + "/expected.json"))
said = [json.loads(line) for line in sys.stdin]
if sys.argv[2] in want["evaluation"]:
    wanted = want["evaluation"][sys.argv[2]]
    for path, value in wanted.items():
        found = said[0]
        for key in path.split(".") if path not in found else [path]:
            found = found[key]
        assert abs(found - value) < 2e-6, (path, found, value)
    other = {"scored": "mrr@10", "ranked": "cosine"}[sys.argv[2]]
    assert other not in said[0], "measures that the data does not have are left out"
    sys.exit()
data = open(sys.argv[1] + "/expected.safetensors", "rb").read()
n = struct.unpack("<Q", data[:8])[0]
begin, end = (8 + n + x for x in json.loads(data[8:8 + n])[sys.argv[2]]["data_offsets"])
v = array.array("f", data[begin:end])
mine = [x for row in said for x in row["vector"]]
assert len(v) == len(mine), (len(v), len(mine))
worst = max(abs(a - b) for a, b in zip(v, mine))
assert worst < 3e-6, worst
END
python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["texts"], sep="\n")' "$R/expected.json" >texts.txt

# as TITLE KEY COMMAND...: what the command prints is what the reference says under KEY.
as() {
	title=$1 key=$2; shift 2
	"$@" >said.jsonl
	ok "$title" sh -c "python3 check.py '$R' '$key' <said.jsonl"
}

# ---- vectors ----
as 'a pooling by name' vectors.mean ft-predict -q -m bert --vectors mean texts.txt
as 'of length 1' vectors.cls.1 ft-predict -q -m bert --vectors cls --normalize texts.txt
as 'the maximum' vectors.max ft-predict -q -m bert --vectors max texts.txt
ft-freeze -q --head embed:cls,mean --normalize bert >joined.ft
as 'a model that makes vectors needs no option' vectors.joined.1 ft-predict -q -m joined.ft texts.txt
as 'nor with auto' vectors.joined.1 ft-predict -q -m joined.ft --vectors auto texts.txt
ft-export -q -m joined.ft joined
as 'nor after an export' vectors.joined.1 ft-predict -q -m joined texts.txt
ft-freeze -q --head embed:weightedmean bert >weighted.ft
ft-tokenize -q -m weighted.ft texts.txt >texts.tok
as 'of a tokens stream' vectors.weighted ft-predict -q -m weighted.ft texts.tok

# ---- measures ----
ft-freeze -q --head embed bert >plan.ft
cat >scored.sh <<END
ft-tokenize -q -m plan.ft --text 2 --pair 3 --label 1 $R/pairs.tsv | ft-batch -q --rows 4 | ft-eval -q -m plan.ft --json --bootstrap 9
END
sed 's/--label 1//; s/--rows 4/--rows 2 --shuffle 5/' scored.sh >ranked.sh
as 'pairs with scores' scored sh scored.sh
as 'pairs without' ranked sh ranked.sh
sed 's/--pair 3/& --negative 4/' ranked.sh >triples.sh
as 'hard negatives are not searched' ranked sh triples.sh

# ---- folders that sentence-transformers saved, or loads ----
if [ -z "${PYTHON:-}" ]; then
	skip 'no PYTHON with sentence-transformers'
	done_testing
fi
mkdir check
"$PYTHON" "$SRC/tests/ref/export-sentences-check.py" check >table 2>log
is 'export-sentences-check.py comes to its end' "$?" 0
is 'vectors stay the same' "$(grep -v '^ok' table)" ''
is 'in so many cases' "$(grep -c '^ok' table)" 56
done_testing
