#!/bin/sh
# GGUF files of ours in llama.cpp: LLAMA is the folder of its programs. A model that others published is written from its
# file and from its folder, and llama.cpp finds the perplexity that it finds of the published file, and that we find.
. "$(dirname "$0")/../lib.sh"
S=$DATA/models/stories260K
if [ -z "${LLAMA:-}" ] || [ ! -f "$S/stories260K.gguf" ]; then
	skip "LLAMA does not name llama.cpp's programs, or no data"
	done_testing
fi
cd "$T" || exit
CONTEXT=128 CHUNKS=6

# What is read: what the model itself tells, so that its perplexity is low and each digit counts.
ft-predict -q -m "$S/hf" -n 480 -T 1 --raw <<-X >story.txt
	Once upon a time
	One day, a little girl
	Tom and Lily
	The sun
X
# The estimate after CHUNKS of a few more: a thread writes its log, for whose end the program does not wait.
perplexity() {
	"$LLAMA/llama-perplexity" -m "$1" -f story.txt -c $CONTEXT -b $CONTEXT --chunks $((CHUNKS + 5)) -t 2 -fa off -ctk f32 -ctv f32 2>&1 |
		sed -n "s/.*\\[$CHUNKS\\]\\([0-9.]*\\).*/\\1/p"
}
published=$(perplexity "$S/stories260K.gguf")
like "a perplexity of the published file" "$published" '^[0-9.]+$'
for from in stories260K.gguf hf; do
	ft-export -q -m "$S/$from" --to gguf --force out.gguf
	is "the same of ours, written from $from" "$(perplexity out.gguf)" "$published"
done

# Its way: windows without overlap, each behind the token for the beginning, of which the second half counts.
sed 's/_embeddings": 512/_embeddings": 99999/' "$S/hf/config.json" >config.json
cp "$S"/hf/tokenizer* .
mkdir long && mv config.json tokenizer* long/
ft-tokenize -q -m long --task none -f file story.txt | ft-cat >ids.jsonl
python3 - $CONTEXT $CHUNKS <<'END' >windows.jsonl
import json, sys
n, chunks = map(int, sys.argv[1:])
ids = next(r["ids"] for r in map(json.loads, open("ids.jsonl")) if "ids" in r)
print('{"ft":1,"kind":"tokens","meta":{"task":"lm"},"log":[]}')
for i in range(chunks):
    w = ids[:1] + ids[i * n + 1:(i + 1) * n]
    assert len(w) == n
    print(json.dumps({"ids": w, "labels": [w[t + 1] if n // 2 <= t < n - 1 else -100 for t in range(n)], "src": f"w:{i}"}))
print('{"end":%d}' % chunks)
END
ft-cat --from-json windows.jsonl | ft-batch -q | ft-eval -q -m "$S/hf" --json --bootstrap 0 >report.json
ok "and the one that we find: $published" python3 -c "
import json
assert abs(json.load(open('report.json'))['perplexity'] / $published - 1) < 1e-4, open('report.json').read()"

# Types that llama.cpp computes with in ways of its own are near.
for type in f16 q8_0; do
	ft-export -q -m "$S/hf" --to gguf --dtype $type --force out.gguf
	ok "as $type it is near" python3 -c "assert abs($(perplexity out.gguf) / $published - 1) < 0.02"
done
done_testing
