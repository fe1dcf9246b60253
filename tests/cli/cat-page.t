#!/bin/sh
# The examples of ft-stream(5) are true: its bytes are a stream, its digest is
# right, and its stage in Python works.
. "$(dirname "$0")/../lib.sh"

page=$SRC/man/ft-stream.5
# block N: the N-th literal display of the page, as it is shown.
block() { awk -v n="$1" '/^\.Ed/ { on = 0 } on; /^\.Bd -literal/ { on = ++k == n }' "$page" | sed 's/\\e/\\/g; s/\\-/-/g'; }
bytes() { # hexadecimal numbers and quoted text as bytes
	python3 -c '
import re, sys
for word in re.findall(r"\"[^\"]*\"|[0-9a-f]{2}", sys.stdin.read()):
    sys.stdout.buffer.write(word[1:-1].encode() if word[0] == "\"" else bytes.fromhex(word))'
}

block 1 | bytes >"$T/page.tok"
is 'the bytes of the page are a stream' "$(ft-cat --verify "$T/page.tok" 2>&1 | sed 's/.*tok: //')" \
	'tokens: 1 examples, 3 tokens, 1 labels, no digest'
is 'and say what the page says' "$(ft-cat "$T/page.tok" | sed 's/,"log":\[\]//')" "$(block 3)"
{ block 1 | sed '$d'; block 2; } | bytes >"$T/digest.tok"
is 'the digest of the page is right' "$(ft-cat --verify "$T/digest.tok" 2>&1 | sed 's/.*, //')" 'digest ok'
sed 's/a\.tsv:1/a.tsv:2/' "$T/digest.tok" >"$T/changed.tok"
fails 'and fits no other record' 65 ft-cat --verify "$T/changed.tok"
block 3 | ft-cat --from-json >"$T/json.tok"
is 'its JSON lines make the same records' "$(ft-cat "$T/json.tok" | sed -n 2p)" "$(ft-cat "$T/page.tok" | sed -n 2p)"

find_python 'msgpack, zstandard'
if [ -z "$python" ]; then skip 'no python3-msgpack and python3-zstandard'; done_testing; fi
block 4 >"$T/stage.py"
{ block 3 | sed '$d'; echo '{"ids":[5],"labels":[0],"src":"a.tsv:2"}'; echo '{"end":2}'; } | ft-cat --from-json >"$T/two.tok"
is 'the stage of the page drops what it says' "$($python "$T/stage.py" <"$T/two.tok" | ft-cat --verify)" \
	'stdin: tokens: 1 examples, 3 tokens, 1 labels, no digest'
is 'and passes the rest on' "$($python "$T/stage.py" <"$T/two.tok" | ft-cat | sed -n 2p)" "$(ft-cat "$T/page.tok" | sed -n 2p)"
head -c 150 "$T/two.tok" >"$T/cut.tok"
rc=0; $python "$T/stage.py" <"$T/cut.tok" >/dev/null || rc=$?
is 'it refuses a cut stream' "$rc" 76

done_testing
