#!/bin/sh
# pipelines/entities without its real data and model: what prepare.py makes of the three
# layouts, and a run of the tiny BERT through run.sh and table.py.
. "$(dirname "$0")/../lib.sh"
P=$SRC/pipelines/entities
cd "$T" || exit 1

mkdir -p data/wnut17 data/snips/Play
for f in wnut17train.conll emerging.test.annotated; do
	awk 'BEGIN { for (i = 0; i < 8; i++) print "the\tO\nfilm\tB-LOC\nplay\tI-LOC\nwas\tO\n" (i % 2 ? "\t" : "") }' >data/wnut17/$f
done
printf '{"Play":[{"data":[{"text":"play "},{"text":"a good","entity":"what"},{"text":"  "},{"text":"book","entity":"what"},{"text":"s at "},{"text":"9","entity":"when"}]}]}' >data/snips/Play/train_Play_full.json
printf '{"Play":[{"data":[{"text":"caf\351 "},{"text":"we","entity":"who"}]}]}' >data/snips/validate_Play.json
ok 'columns' python3 "$P/prepare.py" wnut17 data/wnut17 out/wnut17
is 'become words and tags' "$(sort -u out/wnut17/train.jsonl; wc -l <out/wnut17/test.jsonl)" \
	'{"words": ["the", "film", "play", "was"], "tags": ["O", "B-LOC", "I-LOC", "O"]}
8'
is 'with their labels' "$(tr '\n' ' ' <out/wnut17/labels)" 'O B-LOC I-LOC '
ok 'slots' python3 "$P/prepare.py" snips data/snips out/snips
is 'begin anew where a slot does' "$(cat out/snips/train.jsonl)" \
	'{"words": ["play", "a", "good", "books", "at", "9"], "tags": ["O", "B-what", "I-what", "B-what", "O", "B-when"]}'
is 'Latin-1 is read' "$(cat out/snips/test.jsonl)" '{"words": ["café", "we"], "tags": ["O", "B-who"]}'
ok 'a run' sh -c 'MAX_LENGTH=64 sh "$1/run.sh" "$2" out/wnut17 1 2 >out/wnut17/ours.jsonl' sh "$P" "$SRC/tests/ref/tiny-bert"
is 'has a line for each seed' "$(grep -c '"seed":[12],"seconds":[0-9.]*,"task":"tag","examples":8,.*"words":32,' out/wnut17/ours.jsonl)" 2
for s in 1 2; do echo "{\"words\":32,\"seconds\":$s,\"f1\":0.5,\"precision\":0.4,\"recall\":0.6,\"accuracy\":0.$s}"; done >out/wnut17/reference.jsonl
like 'the table' "$(python3 "$P/table.py" out wnut17)" '^\| wnut17 \| 32 \| accuracy \| 15\.0 ± 7\.1 \| [0-9.]+ ± [0-9.]+ \| 2 \| [0-9]+ \|$'
is 'what is not there is left out' "$(make -s -C "$P" -n data DATA="$T/data" OUT="$T/o" 2>&1 | grep -c 'bc5cdr is not there: left out')" 1
done_testing
