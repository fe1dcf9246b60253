#!/bin/sh
# ft-teach: predictions in batches are those that ft-train asks a model for.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
R=$SRC/tests/ref
head -n 24 "$SRC/pipelines/sentiment/data/train.tsv" >train.tsv
tensors() { ft-cat "$1" | grep '^{"tensor'; }
same() { tensors "$1" >a; tensors "$2" | cmp - a; }

for head in classify:neg,pos multilabel:neg,pos; do
	ft-freeze -H $head "$R/tiny-bert" >plan.ft
	ft-tokenize -q -m plan.ft --max-length 24 train.tsv | ft-batch -r 8 -e 3 -s 1 >train.bat
	ft-train -q -m plan.ft --lr 5e-3 train.bat >teacher.ft
	ft-teach -q -m teacher.ft train.bat >taught.bat
	ft-train -q -m plan.ft --distill teacher.ft train.bat >asked.ft
	ft-train -q -m plan.ft --distill-stored taught.bat >read.ft
	ok "${head%%:*}: stored predictions teach the same, to the byte" same asked.ft read.ft
done
is 'nothing else changes' "$(ft-cat taught.bat | sed 's/,"teacher":[^]]*\]//' | grep '"ids"' | cksum)" "$(ft-cat train.bat | grep '"ids"' | cksum)"
ft-tokenize -q -m plan.ft --max-length 24 train.tsv | ft-batch -r 8 -e 3 -s 1 | ft-teach -q -m teacher.ft | cmp - taught.bat
is 'a pipe gives the same bytes' "$?" 0
ok 'and so does any number of threads' sh -c 'ft-teach -q -j 3 -m teacher.ft train.bat | cmp - taught.bat'
ok 'JSON lines hold it' sh -c 'ft-cat taught.bat | ft-cat --from-json | ft-train -q -m plan.ft --distill-stored >x.ft'
ok 'to the byte' same x.ft read.ft
ft-train -q -m plan.ft --distill teacher.ft --rdrop 1 train.bat >asked.ft
ft-train -q -m plan.ft --distill-stored --rdrop 1 taught.bat >read.ft
ok 'with R-Drop, too' same asked.ft read.ft
ft-freeze -H tag:O,B-X "$R/tiny-bert" >tag.ft
printf 'a\tO\ngood\tB-X\n\nbad\tO\none\tO\n' >words.conll
ft-tokenize -q -m tag.ft words.conll | ft-batch >words.bat
ft-teach -q -m tag.ft words.bat | ft-train -q -m tag.ft --distill-stored --dropout 0 --log log.jsonl >x.ft
is 'tags of words: of itself a model learns nothing' "$(python3 -c 'import json; print(abs(json.loads(open("log.jsonl").readline())["distill"]) < 1e-6)')" True

# ---- words ----
ft-freeze -H lm "$R/decoders/llama/tiny-lm" >lm.ft
ft-freeze --init --seed 4 -H lm "$R/decoders/llama/tiny-lm" >other.ft
ft-cat --from-json "$R/lm/texts.jsonl" | ft-batch -r 2 >lm.bat
distill() { python3 -c 'import json; print(*[json.loads(l)["distill"] for l in open("log.jsonl")])'; }
ft-train -q -m lm.ft --dropout 0 --distill other.ft --log log.jsonl lm.bat >x.ft
distill >asked.txt
ft-teach -q -m other.ft --top 40 lm.bat | ft-train -q -m lm.ft --dropout 0 --distill-stored --log log.jsonl >x.ft
is 'all words of the vocabulary are as good as the teacher' "$(distill | python3 -c '
a, b = (list(map(float, open(f).read().split())) for f in ("asked.txt", "/dev/stdin"))
print(len(a) > 2, all(abs(x - y) < 1e-5 for x, y in zip(a, b)))')" 'True True'
is 'the likeliest come first, as many as asked for' "$(ft-teach -q -m other.ft --top 3 lm.bat | ft-cat | grep '"ids"' | python3 -c '
import json, sys
for b in map(json.loads, sys.stdin):
    n = sum(y != -100 for y in b["labels"])
    t = b["teacher"]
    assert len(t) == len(b["teacher_ids"]) == 3 * n
    assert all(t[i] >= t[i + 1] >= t[i + 2] for i in range(0, 3 * n, 3)), t
print("yes")')" yes
fails 'more words than there are' 2 ft-teach -q -m lm.ft --top 41 lm.bat
fails 'or none' 2 ft-teach -q -m lm.ft --top 0 lm.bat

# ---- references of preferences ----
cat >pairs.json <<'END'
{"ft":1,"kind":"tokens","meta":{"task":"lm"}}
{"ids":[5,6,7,8,5,6,9],"offsets":[0,4,7],"labels":[-100,7,8,2,-100,9,2]}
{"ids":[9,6,7,5,6,9,4],"offsets":[0,3,7],"labels":[-100,7,8,-100,9,2,3]}
{"end":2}
END
ft-cat --from-json pairs.json | ft-batch -e 4 >pairs.bat
ft-teach -q -m lm.ft pairs.bat >known.bat
is 'of two texts their log-probabilities' "$(ft-cat known.bat | grep -c '"reference":\[-[0-9.]*,-[0-9.]*,-[0-9.]*,-[0-9.]*\]')" 4
ft-train -q -m lm.ft --dpo --lr 1e-3 --warmup 0 pairs.bat >asked.ft
ft-train -q -m - --dpo --lr 1e-3 --warmup 0 known.bat <lm.ft >read.ft
ok 'are the reference of DPO, to the byte' same asked.ft read.ft

# ---- what does not fit ----
fails 'batches without predictions' 78 ft-train -q -m lm.ft --distill-stored lm.bat
like 'it is said who makes them' "$(cat .err)" 'ft-teach'
fails 'two teachers' 2 ft-train -q -m plan.ft --distill teacher.ft --distill-stored taught.bat
ft-cat taught.bat | sed 's/"teacher":\[[^,]*,/"teacher":[/' | ft-cat --from-json >bad.bat
fails 'predictions of something else' 78 ft-train -q -m plan.ft --distill-stored bad.bat
ft-teach -q -m lm.ft pairs.bat | ft-cat | sed 's/"reference":\[[^,]*,/"reference":[/' | ft-cat --from-json >bad.bat
fails 'references that are not one a row' 65 ft-train -q -m lm.ft --dpo bad.bat
ft-teach -q -m other.ft --top 2 lm.bat | ft-cat | sed 's/"teacher_ids":\[/&-1,/; s/"teacher":\[/&0,/' | ft-cat --from-json >bad.bat
fails 'ids below 0' 65 ft-train -q -m lm.ft --distill-stored bad.bat
ft-teach -q -m other.ft --top 2 lm.bat | ft-cat | sed 's/"teacher_ids":\[[0-9]*/"teacher_ids":[99/' | ft-cat --from-json >bad.bat
fails 'ids beyond the vocabulary' 78 ft-train -q -m lm.ft --distill-stored bad.bat
ft-freeze -H embed "$R/tiny-bert" >embed.ft
ft-tokenize -q -m embed.ft --no-labels train.tsv | ft-batch >embed.bat
fails 'a head that predicts nothing' 2 ft-teach -q -m embed.ft embed.bat
done_testing
