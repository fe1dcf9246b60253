#!/bin/sh
# A GGUF file where a MODEL is asked for.
. "$(dirname "$0")/../lib.sh"

cd "$T" || exit
ref=$SRC/tests/ref
cp "$ref/gguf/llama.gguf" tiny.gguf
echo hello >text.txt

ft-freeze -q tiny.gguf >plan.ft
is 'a plan of it' "$(ft-cat plan.ft | sed -n '1s/.*"family":"\([a-z0-9]*\)".*/\1/p')" llama
like 'names the file' "$(ft-cat plan.ft | head -n 1)" '"path":"tiny.gguf"'
cp tiny.gguf other.gguf
printf X >>other.gguf
fails 'another file is not its base' 78 ft-predict -m plan.ft --base other.gguf --tokens /dev/null
like 'by its digest' "$(cat .err)" 'other.gguf has [0-9a-f]{32}'
fails 'without a tokenizer no text' 65 ft-tokenize -m tiny.gguf --no-labels -f lines text.txt
fails 'a file that is not there' 1 ft-predict -m nothing.gguf text.txt
echo hello >text.gguf
fails 'a file that is none' 65 ft-predict -m text.gguf text.txt
like 'it says so' "$(cat .err)" 'text.gguf: is not a GGUF file'

if [ -n "$DATA" ]; then
	stories=$DATA/models/stories260K
	ft-predict -q --raw -n 60 -m "$stories/stories260K.gguf" >file.txt <<-'X'
	Once upon a time
	X
	ft-predict -q --raw -n 60 -m "$stories/hf" >folder.txt <<-'X'
	Once upon a time
	X
	is 'file and folder tell the same story' "$(cat file.txt)" "$(cat folder.txt)"
	like 'which is the published one' "$(cat "$stories/golden_greedy.txt")" "$(head -c 60 file.txt)"
else
	skip 'no data'
	skip 'no data'
fi
done_testing
