#!/bin/sh
# The pipelines on long documents, topics and domain text: they run on a made-up data set, and say so where there
# is none.
. "$(dirname "$0")/../lib.sh"
OMP_WAIT_POLICY=passive; export OMP_WAIT_POLICY
P=$SRC/pipelines
cd "$T"

# Comments with sentiment and topics, documents with labels: all in one row.
mkdir data
awk 'BEGIN {
	split("film book story ending the is and quite good dull long slow best", word, " ")
	split("train valid test", part, " "); split("privacy-policy terms-of-service", kind, " ")
	for (p = 1; p <= 3; p++) for (i = 0; i < 24; i++) {
		text = ""
		for (k = 0; k < 40; k++)
			text = text " " word[(i * (p + 4) + k * (i % 7 + 1)) % 13 + 1]
		printf "{\"id\":\"%d\",\"label\":\"%s\",\"sentiment\":%d,\"topics\":[%s],\"text\":\"%d%s\"}\n", i, kind[i % 2 + 1], \
		       i % 5 + 1, i % 3 ? "\"food, drink\"" : "\"staff\",\"food, drink\"", 100 * p + i, text > "data/" part[p] ".jsonl"
	}
}'
run() { # PIPELINE VARIABLE=VALUE...
	pipeline=$1; shift
	make -s -C "$P/$pipeline" BIN="$BUILD/bin" MODEL="$SRC/tests/ref/tiny-bert" DATA="$T/data" OUT="$T/$pipeline" SEEDS=1 "$@"
}
ok "legal: by windows and by the first" run legal LENGTH=24 STRIDE=4 SKIP=10 FIRST_EPOCHS=1 WINDOWS_EPOCHS=1 ours
is "three ways to combine" "$(grep -o '"combine":"[a-z]*"' legal/windows.jsonl | tr '\n' ' ')" '"combine":"mean" "combine":"first" "combine":"max" '
like "documents are measured" "$(head -n 1 legal/windows.jsonl)" '"examples":24,.*"windows":[0-9]{2,}'
ok "topics" run feedback-topics EPOCHS=1 LEAST=5 LENGTH=32 ours
is "two sets of thresholds" "$(grep -o '"thresholds":[^,]*' feedback-topics/ours.jsonl | tr '\n' ' ')" '"thresholds":0.5 "thresholds":"tuned" '
ok "domain" run domain LENGTH=32 EPOCHS=1 TASK_EPOCHS=1 ours
like "the task from the tuned model" "$(tail -n 1 domain/task.jsonl)" '"from":"domain",.*"accuracy":[0-9.]+'
like "hidden tokens for others" "$(grep -c offsets domain/held.jsonl)" "^[1-9]"
for pipeline in legal feedback-topics domain similarity few-shot medical-summaries; do
	like "$pipeline: skipped without data" "$(make -s -C "$P/$pipeline" DATA="$T/none" ours)" '^skipped: .*/none has no [a-z0-9*.-]+;'
done
like "and without a model" "$(make -s -C "$P/legal" DATA="$T/data" MODEL="$T/none" ours)" '^skipped: no model in .*/none;'
done_testing
