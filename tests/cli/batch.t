#!/bin/sh
# ft-batch: what goes in comes out once an epoch, in an order that depends on
# the options alone; what is wrong is refused with a reason.
. "$(dirname "$0")/../lib.sh"

# tokens N SEED [CLASSES]: a tokens stream of N examples; every tenth repeats the text before it.
tokens() {
	awk -v n="$1" -v x="$2" -v classes="${3:-2}" 'BEGIN {
		print "{\"ft\":1,\"kind\":\"tokens\",\"meta\":{\"tokenizer\":{\"digest\":\"d1\",\"vocab\":1000,\"mask\":4," \
		      "\"special\":[0,1,2,3,4]},\"task\":\"classify\",\"labels\":[\"neg\",\"pos\",\"odd\"],\"max_length\":64}}"
		for (i = 1; i <= n; i++) {
			if (i % 10) {
				ids = "2"
				x = (x * 69069 + 12345) % 16777216
				for (k = x % 30; k >= 0; k--) {
					x = (x * 69069 + 12345) % 16777216
					ids = ids "," 5 + x % 995
				}
			}
			printf "{\"ids\":[%s,3],\"labels\":[%d],\"src\":\"t%s.tsv:%d\"}\n", ids, i % 7 ? 0 : 1 + i % (classes - 1), seed, i
		}
		print "{\"end\":" n "}"
	}' | ft-cat --from-json
}

# look EXPRESSION FILE...: Python over `streams`, one a file: (header, records, end).
look() {
	expression=$1; shift
	for file in "$@"; do ft-cat "$file" || exit; done | python3 -c '
import json, sys
from collections import Counter
from itertools import chain
streams, lines = [], [json.loads(l) for l in sys.stdin]
for l in lines:
    if "ft" in l: streams.append((l, [], None))
    elif "end" in l: streams[-1] = streams[-1][:2] + (l,)
    else: streams[-1][1].append(l)
header, records, end = streams[0]
meta = header["meta"]
def src(records, epoch=None):
    return list(chain(*(r["src"] for r in records if epoch is None or r["epoch"] == epoch)))
def rows(r):
    o = r["offsets"]
    return [r["ids"][a:b] for a, b in zip(o, o[1:])]
print(eval("(" + sys.argv[1] + ")"))' "$expression"
}

tokens 500 1 >"$T/a.tok" || exit
tokens 100 2 >"$T/b.tok"
all='["t.tsv:%d" % i for i in range(1, 501)]'

# ---- the plain case ----
ft-batch "$T/a.tok" >"$T/plain.bat"
is 'by default 32 rows in the order of the input' \
	"$(look "src(records) == $all, [len(r['src']) for r in records] == [32] * 15 + [20]" "$T/plain.bat")" '(True, True)'
is 'what flows through is not counted ahead' "$(look "meta.get('batches'), meta['epochs']" "$T/plain.bat")" '(None, 1)'
is 'the end says what was done' "$(look "[end[k] for k in ('end', 'read', 'kept', 'rows')]" "$T/plain.bat")" '[16, 500, 500, 500]'
ft-batch <"$T/a.tok" | cmp - "$T/plain.bat" && pass 'a pipe gives the same bytes' || fail 'a pipe gives the same bytes'
ft-batch -o "$T/o.bat" "$T/a.tok" && cmp "$T/o.bat" "$T/plain.bat" && pass 'so does -o' || fail 'so does -o'
is 'tokens, labels and sources of a row stay together' "$(
	look "[(i, l, s) for r in streams[1][1] for i, l, s in zip(rows(r), r['labels'], r['src'])]
	      == [(r['ids'], r['labels'][0], r['src']) for r in records]" "$T/a.tok" "$T/plain.bat")" True

# ---- epochs and shuffles ----
ft-batch --epochs 3 --shuffle 1 "$T/a.tok" >"$T/s1.bat"
ok 'counts in the header are those of the records' ft-cat --verify "$T/s1.bat"
is 'three shuffled epochs, each a permutation, all different' \
	"$(look "[sorted(src(records, e)) == sorted($all) for e in range(3)], len({tuple(src(records, e)) for e in range(3)})" "$T/s1.bat")" \
	'([True, True, True], 3)'
is 'counts: 16 batches an epoch' "$(look "meta['batches'], meta['examples'], meta['rows'], meta['tokens'] == end['tokens']" "$T/s1.bat")" \
	'(48, 500, 1500, True)'
ft-batch -e3 -s1 -j1 "$T/a.tok" | ft-cat | sed 1d >"$T/again"
ft-cat "$T/s1.bat" | sed 1d | diff -q - "$T/again" >/dev/null && pass 'the same seed gives the same stream' || fail 'the same seed'
is 'another seed gives another order' \
	"$(ft-batch -e3 -s2 "$T/a.tok" >"$T/s2.bat"; look "src(records) == src(streams[1][1])" "$T/s1.bat" "$T/s2.bat")" False
ft-batch -t 100 -s1 "$T/a.tok" >"$T/t.bat"
is 'a token budget is kept, and nothing is lost' \
	"$(look "max(len(r['ids']) for r in records) <= 100, sorted(src(records)) == sorted($all)" "$T/t.bat")" '(True, True)'
ft-batch -t 100 "$T/a.tok" >"$T/t1.bat"
ft-batch -t 100 --bucket 1000 "$T/a.tok" >"$T/t2.bat"
is 'as it comes: a budget of tokens too' "$(look "src(records) == $all, max(len(r['ids']) for r in records) <= 100" "$T/t1.bat")" '(True, True)'
is 'buckets sort by length' "$(look "[len(i) for r in records for i in rows(r)] == sorted(len(i) for r in records for i in rows(r))" "$T/t2.bat")" True

# ---- selection ----
ft-batch --split train:0.8 "$T/a.tok" >"$T/train.bat"
ft-batch --split rest:0.8 "$T/a.tok" >"$T/rest.bat"
is 'a split and its complement make the whole' \
	"$(look "sorted(src(records) + src(streams[1][1])) == sorted($all), 350 < len(src(records)) < 450" "$T/train.bat" "$T/rest.bat")" '(True, True)'
is 'no text is on both sides, though texts repeat' \
	"$(look "len({tuple(i) for r in records for i in rows(r)} & {tuple(i) for r in streams[1][1] for i in rows(r)}),
	         max(Counter(tuple(i) for r in records for i in rows(r)).values())" "$T/train.bat" "$T/rest.bat")" '(0, 2)'
for i in 1 2 3 4; do
	ft-batch --fold $i/4 "$T/a.tok" >"$T/fold$i.bat"
	ft-batch --except-fold $i/4 -s 5 "$T/a.tok" >"$T/except$i.bat"
done
is 'four folds make the whole' "$(look "sorted(chain(*(src(s[1]) for s in streams))) == sorted($all)" "$T"/fold?.bat)" True
is 'except-fold is the complement' "$(look "sorted(chain(*(src(s[1]) for s in streams))) == sorted($all)" "$T/fold3.bat" "$T/except3.bat")" True
ft-batch -n 50 -s 1 "$T/a.tok" >"$T/n50.bat"
ft-batch -n 200 -s 1 -e 2 "$T/a.tok" >"$T/n200.bat"
is '--limit takes a random part, a smaller one a part of a larger' \
	"$(look "len(set(src(records))), set(src(records)) < set(src(streams[1][1], 0)), set(src(streams[1][1], 0)) == set(src(streams[1][1], 1))" \
	   "$T/n50.bat" "$T/n200.bat")" '(50, True, True)'
is '--limit without a shuffle takes the first' "$(ft-batch -n 40 "$T/a.tok" >"$T/n.bat"; look "src(records) == $all[:40]" "$T/n.bat")" True
like '--limit beyond the input is noted' "$(ft-batch -n 600 -s 1 -o /dev/null "$T/a.tok" 2>&1)" 'only 500 examples'

# ---- several files ----
sed_b() { ft-cat "$T/b.tok" | sed 's/t\.tsv/b.tsv/' | ft-cat --from-json; }
sed_b >"$T/B.tok"
ft-batch "$T/a.tok" "$T/B.tok" >"$T/ab.bat"
is 'files follow one another' "$(look "src(records) == $all + ['b.tsv:%d' % i for i in range(1, 101)]" "$T/ab.bat")" True
ft-batch --mix 4,1 -r 10 -s 1 -e 2 "$T/a.tok" "$T/B.tok" >"$T/mix.bat"
is '--mix 4,1: eight and two of ten in every batch; the first file once an epoch' \
	"$(look "{sum(s[0] == 'b' for s in r['src']) for r in records if len(r['src']) == 10},
	         sorted(s for s in src(records, 1) if s[0] == 't') == sorted($all),
	         set(Counter(s for s in src(records) if s[0] == 'b').values())" "$T/mix.bat")" '({2}, True, {2, 3})'
sed_b | ft-cat | sed 's/"d1"/"d2"/' | ft-cat --from-json >"$T/other.tok"
fails 'other tokenizers do not mix' 78 ft-batch "$T/a.tok" "$T/other.tok"
like 'and the two are named' "$(cat "$T/.err")" 'a\.tok and .*other\.tok differ in tokenizer'

# ---- balance ----
tokens 300 3 3 >"$T/c.tok"
ft-batch --balance -s 1 "$T/c.tok" >"$T/bal.bat"
is 'balanced classes are equally frequent' "$(look "len(set(Counter(l for r in records for l in r['labels']).values()))" "$T/bal.bat")" 1
is 'and every example is there' "$(look "len(set(src(records)))" "$T/bal.bat")" 300

# ---- masking ----
ft-batch --mask -s 1 -e 2 "$T/a.tok" >"$T/m.bat"
is 'masked: the task is mlm, labels of classes are gone' "$(look "meta['task'], 'labels' in meta" "$T/m.bat")" "('mlm', False)"
is 'labels are the tokens before, and no special token' "$(
	look "all(l in (-100, o) and (l == -100 or o > 4) and (l != -100 or i == o)
	      for r in records for ids, labels, s in zip(rows(r), rows(dict(r, ids=r['labels'])), r['src'])
	      for i, l, o in zip(ids, labels, {q['src']: q['ids'] for q in streams[1][1]}[s]))" "$T/m.bat" "$T/a.tok")" True
is 'every row has one, epochs differ' "$(
	look "min(sum(l != -100 for l in labels) for r in records for labels in rows(dict(r, ids=r['labels']))) >= 1,
	      {s: i for r in records if r['epoch'] == 0 for s, i in zip(r['src'], rows(r))}
	      == {s: i for r in records if r['epoch'] == 1 for s, i in zip(r['src'], rows(r))}" "$T/m.bat")" '(True, False)'
is 'as it comes, masks are those of the first epoch' "$(
	ft-batch --mask "$T/a.tok" >"$T/m1.bat"; ft-batch --mask -e 2 "$T/a.tok" >"$T/m2.bat"
	look "[r['ids'] for r in records] == [r['ids'] for r in streams[1][1] if r['epoch'] == 0]" "$T/m1.bat" "$T/m2.bat")" True

# ---- what is wrong ----
fails 'an example beyond the budget' 2 ft-batch -t 20 "$T/a.tok"
like 'is named, with both numbers' "$(cat "$T/.err")" 't\.tsv:[0-9]+: has [0-9]+ tokens, more than --tokens 20'
fails 'so it is with epochs' 2 ft-batch -t 20 -e 2 -o "$T/none.bat" "$T/a.tok"
is 'and no file appears' "$(ls "$T" | grep -c none)" 0
tokens 0 1 >"$T/empty.tok"
fails 'no examples' 65 ft-batch "$T/empty.tok"
fails 'no examples, with a shuffle' 65 ft-batch -s 1 "$T/empty.tok"
fails 'nothing kept' 65 ft-batch --split train:0.000001 "$T/b.tok"
fails 'no examples to mix in' 65 ft-batch --mix 1,1 "$T/a.tok" "$T/empty.tok"
fails 'batches are no tokens' 65 ft-batch "$T/s1.bat"
like 'and that is said' "$(cat "$T/.err")" 'a batches stream, where a tokens stream is wanted'
fails 'text is no stream' 65 ft-batch "$0"
fails 'a missing file' 1 ft-batch "$T/nothing"
fails 'an empty file' 76 ft-batch /dev/null
for bad in '--rows 0' '--tokens 0' '--epochs 0' '--bucket 0' '--limit 0' '--shuffle -1' '--rows x' '--split 0.9' \
           '--split train:2' '--fold 5/4' '--fold 1/4 --except-fold 2/4' '--mix 1' '--mix 1,2,3' '--mix 1,0' '--mix 1,x' \
           '--mix 1,1 --balance' '--mask=2' '--mask=x' '--nonsense'; do
	fails "refused: $bad" 2 ft-batch $bad "$T/a.tok" "$T/b.tok"
done
ft-cat "$T/a.tok" | sed 's/"mask":4,//' | ft-cat --from-json >"$T/nomask.tok"
fails 'no mask token' 65 ft-batch --mask "$T/nomask.tok"
ft-cat "$T/a.tok" | sed '100s/"labels":\[.\],//' | ft-cat --from-json >"$T/unlabelled.tok"
fails 'a label is missing' 65 ft-batch "$T/unlabelled.tok"
like 'and its line is named' "$(cat "$T/.err")" 't\.tsv:99: has no label'
fails 'balancing needs classes' 65 ft-batch --balance "$T/unlabelled.tok"

# ---- cut and aborted input ----
tokens 3 1 >"$T/small.tok"
size=$(wc -c <"$T/small.tok") wrong=0 n=1
while [ $n -lt "$size" ]; do
	head -c $n "$T/small.tok" >"$T/cut.tok"
	rc=0; ft-batch -o "$T/cut.bat" "$T/cut.tok" 2>/dev/null || rc=$?
	# Fewer bytes than a magic number are no stream at all.
	case $rc in 76) ;; 65) [ $n -lt 4 ] || wrong=$n ;; *) wrong=$n ;; esac
	[ ! -e "$T/cut.bat" ] || wrong=$n
	n=$((n + 7))
done
is 'cut anywhere, a stream is refused and nothing appears' "$wrong" 0
fails 'upstream gave up' 76 sh -c 'ft-batch -t 20 "$1" 2>/dev/null | ft-cat --verify' - "$T/a.tok"
like 'the reason is passed on' "$(cat "$T/.err")" 'gave up: .*more than --tokens 20'

# ---- memory ----
big() { # a stream of N examples of 200 tokens, without compression
	python3 -c '
import struct, sys
out, n = sys.stdout.buffer, int(sys.argv[1])
out.write(b"\x83\xa2ft\x01\xa4kind\xa6tokens\xa4meta\x80")
record = b"\x81\xa3ids\xc5" + struct.pack(">H", 800) + struct.pack("<200i", *range(200))
for i in range(n): out.write(record)
out.write(b"\x81\xa3end\xce" + struct.pack(">I", n))' "$1"
}
peak() { # bytes of memory at most in use, in KiB
	python3 -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"
}
if ft-batch --version | grep -q sanitizer; then skip 'memory under a sanitizer'; done_testing; fi
big 2000 >"$T/2000.tok"; big 50000 >"$T/50000.tok"
small=$(peak ft-batch "$T/2000.tok") large=$(peak ft-batch "$T/50000.tok")
[ "$large" -lt $((small + 4000)) ] && pass 'one pass has flat memory' || fail "one pass has flat memory: $small, $large KiB"
held=$(peak ft-batch -s 1 "$T/50000.tok") # 50000 x (2 x 200 + 24 + 16) bytes: 21 MiB
[ "$held" -lt $((small + 30000)) ] && pass 'a shuffle holds two bytes a token' || fail "a shuffle holds two bytes a token: $held KiB"

done_testing
