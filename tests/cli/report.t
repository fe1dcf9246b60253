#!/bin/sh
# ft-report: logs to curves and tables, logs and results to one page.
. "$(dirname "$0")/../lib.sh"
cd "$T"

awk 'BEGIN {
	for (i = 1; i <= 100; i++) {
		printf "{\"step\":%d,\"loss\":%.4f,\"lr\":%.6f,\"tokens\":800}\n", i, 0.2 + 0.5 * exp(-i / 30), 2e-5 * (1 - i / 100)
		if (i % 25 == 0)
			printf "{\"step\":%d,\"valid\":{\"loss\":%.4f,\"accuracy\":%.4f,\"stderr\":{\"accuracy\":0.01}}}\n", i, 0.6 - i / 400 + (i == 100) / 10, 0.5 + i / 300
	}
}' >log.jsonl

out=$(ft-report --ascii -w 40 --height 12 log.jsonl)
is "the table" "$(printf '%s\n' "$out" | tail -n 2)" \
"run            step  training loss     best valid loss  best accuracy
log.jsonl       100         0.2181         0.4125 @ 75        0.8333 @ 100"
is "two drawings" "$(printf '%s\n' "$out" | grep -Ec '^ *(loss|accuracy)$')" 2
is "nothing but ASCII with --ascii" "$(printf '%s' "$out" | LC_ALL=C tr -d '\11\12\40-\176')" ""
like "braille where the locale is UTF-8" "$(LC_ALL=C.UTF-8 TERM=xterm ft-report log.jsonl)" '┤'
is "stdin is read like a file" "$(ft-report -a -w 40 --height 12 <log.jsonl | grep -v '^run\|^stdin')" \
	"$(printf '%s\n' "$out" | grep -v '^run\|^log')"
is "no colours into a pipe" "$(printf '%s' "$out" | tr -cd '\033')" ""

printf '{"step":101,"lo' >>log.jsonl
is "a last line that is being written is passed over" "$(ft-report --ascii -w 40 --height 12 log.jsonl)" "$out"
printf 'ss"\n' >>log.jsonl
fails "but not a broken one" 65 ft-report log.jsonl
like "which is named" "$(cat .err)" '^ft-report: log.jsonl:105: '
sed -i '$d' log.jsonl

printf '%s\n' '{"task":"classify","examples":4,"loss":0.5,"accuracy":0.75,"classes":{"<b>":{"precision":1.0,"recall":0.5,"f1":0.6667,"support":2,"predicted":1},"c":{"precision":0.6667,"recall":1.0,"f1":0.8,"support":2,"predicted":3}},"confusion":{"labels":["<b>","c"],"matrix":[[1,1],[0,2]]},"stderr":{"accuracy":0.2}}' >result.json
like "a result of ft-eval as a table" "$(ft-report result.json)" '^accuracy +0\.7500 +0\.2000$'
ok "a page of both" ft-report --html page.html log.jsonl result.json
like "which has curves" "$(cat page.html)" '<polyline class="line"'
like "and the confusion matrix" "$(cat page.html)" '<th>&lt;b&gt;</th><td[^>]*>1</td><td[^>]*>1</td>'
is "names are escaped" "$(grep -c '<b>' page.html)" 0
is "no script, nothing from elsewhere" "$(grep -Eic '<script|https?://|src=|@import' page.html)" 0
ft-report --html - log.jsonl result.json >again.html
ok "equal inputs give an equal page" cmp page.html again.html

echo '{"a":1}' >other.json
fails "other JSON is refused" 65 ft-report --html kept.html other.json
ok "and no page appears" test ! -e kept.html
fails "an empty file is refused" 65 ft-report /dev/null
fails "a missing file" 1 ft-report missing.jsonl
fails "a width that makes no sense" 2 ft-report -w 3 log.jsonl
done_testing
