#!/bin/sh
# The pipelines that compare techniques, and remedies against forgetting: with a network of next to nothing they run, on their
# own data and on what a user brings.
. "$(dirname "$0")/../lib.sh"
OMP_WAIT_POLICY=passive; export OMP_WAIT_POLICY
P=$SRC/pipelines
cd "$T"

run() { # PIPELINE VARIABLE=VALUE|TARGET...
	pipeline=$1; shift
	make -s -C "$P/$pipeline" BIN="$BUILD/bin" MODEL="$SRC/tests/ref/tiny-bert" OUT="$T/$pipeline" SEEDS=1 "$@"
}
# Questions as TREC has them, and a text that is not of the task.
mkdir -p data/trec-questions
for part in train test; do # no text is in both
	awk -v part=$part 'BEGIN { split("ABBR DESC ENTY HUM LOC NUM", kind, " ")
		for (i = 0; i < 60; i++) printf "%s:x the film is %s %d %s ?\n", kind[i % 6 + 1], kind[6 - i % 6], i, part }' >data/trec-questions/TREC.$part
done
ok 'TREC' run compare-techniques trec DATA="$T/data" NAMES='head lora'
is 'a row for each technique' "$(sed -n 's/^| \([a-z]*\) |.*/\1/p' compare-techniques/trec/table.md | tr '\n' ' ')" 'technique head lora '
ok 'another seed' run compare-techniques trec DATA="$T/data" NAMES='head lora' SEEDS='1 2'
is 'is added to the table' "$(grep -c ' ± ' compare-techniques/trec/table.md)" 2
like 'with what it trains' "$(grep '^| head' compare-techniques/trec/table.md)" '^\| head \| [0-9]+ \| [0-9.]+ % \|'

ok 'remedies' run forgetting FIRST_EPOCHS=1 SECOND_EPOCHS=1 NAMES='none ewc replay'
ok 'another seed of remedies' run forgetting FIRST_EPOCHS=1 SECOND_EPOCHS=1 NAMES='none ewc replay' SEEDS='1 2'
is 'is added, too' "$(ls forgetting/*.2.jsonl | wc -l)" 3
is 'and nothing is made again' "$(run forgetting FIRST_EPOCHS=1 SECOND_EPOCHS=1 NAMES='none ewc replay' SEEDS='1 2' -n | grep -c ft-)" 0
is 'a row for each remedy' "$(grep -c -E '^\| (none|ewc|replay) \|' forgetting/table.md)" 3
done_testing
