#!/bin/sh
# Load: memory does not grow with the length of a stream or of training, descriptors are given back, and who waits for a
# slow reader does nothing meanwhile. With FT_TEST_LONG=1: ten million examples, a million steps, a minute.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"
PATH=$T:$PATH
if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -o peak "$SRC/tests/fault/peak.c" 2>cc.err; then
	skip 'memory cannot be measured here'
	done_testing
fi

few=2000 many=20000 steps=10000 seconds=1
[ -z "${FT_TEST_LONG:-}" ] || few=100000 many=10000000 steps=1000000 seconds=60

# A network of next to nothing: what is measured is what surrounds it.
mkdir base
cp "$SRC/tests/ref/tiny-bert/tokenizer.json" base/
cat >base/config.json <<END
{"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 113, "hidden_size": 4, "num_hidden_layers": 1,
 "num_attention_heads": 2, "intermediate_size": 4, "max_position_embeddings": 64}
END
lines() { awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) print (i % 2 ? "pos" : "neg") "\ta fine day " i % 100 }'; }
{
	ft-freeze -q --init --head classify:neg,pos base -o plan.ft && lines 64 >train.tsv &&
		ft-tokenize -q -m plan.ft train.tsv -o train.tok && ft-batch -q -r 8 train.tok -o train.bat &&
		ft-train -q -m plan.ft train.bat -o tuned.ft
} || { fail 'streams'; done_testing; }

# ---- a long stream, through every tool ----
# through N FOLDER: the memory of each is in a file of that folder. Prints how many examples came out at the ends.
through() {
	mkdir -p "$2"
	lines "$1" | peak "$2/ft-tokenize" ft-tokenize -q -f tsv -m plan.ft | peak "$2/ft-batch" ft-batch -q -r 64 |
		peak "$2/ft-teach" ft-teach -q -m tuned.ft |
		peak "$2/ft-train" ft-train -q -m plan.ft --steps 99999999 --distill-stored >"$2.ft"
	ft-cat --header "$2.ft" | sed 's/.*"supervised":\([0-9]*\).*/\1/'
	lines "$1" | ft-tokenize -q -f tsv -m plan.ft | peak "$2/ft-cat --join" ft-cat --join - | peak "$2/ft-cat" ft-cat |
		peak "$2/ft-cat --from-json" ft-cat --from-json | peak "$2/ft-cat --text" ft-cat --text -m plan.ft | wc -l
	lines "$1" | ft-tokenize -q -f tsv -m plan.ft | ft-batch -q -r 64 |
		peak "$2/ft-eval" ft-eval -q --bootstrap 0 --json -m tuned.ft -p "$2.json" | sed 's/.*"examples":\([0-9]*\).*/\1/'
	wc -l <"$2.json"
	rm "$2.json"
	lines "$1" | peak "$2/ft-predict" ft-predict -q -f tsv -m tuned.ft | wc -l
	lines "$1" | ft-tokenize -q -f tsv -m plan.ft | peak "$2/ft-predict --tokens" ft-predict -q --tokens -m tuned.ft | wc -l
}
through $few few >few.out 2>few.err
through $many many >many.out 2>many.err
is "all $many examples came through" "$(tr '\n' ' ' <many.out)$(cat few.err many.err)" "$many $many $many $many $many $many "
for file in few/*; do
	what=${file#few/}
	grown=$(($(cat "many/$what") - $(cat "$file"))) may=4096
	[ "$what" != ft-eval ] || may=$((may + many * 48 / 1024)) # a row for each example, of which curves and errors are made
	ok "$what: $many examples take no more memory than $few: $(cat "many/$what") KiB, $grown more" [ $grown -le $may ]
done

# ---- many steps, with all that a run does now and then ----
train() { # STEPS FILE
	rm -f ck* log
	lines "$1" | ft-tokenize -q -f tsv -m plan.ft | ft-batch -q -r 1 | (ulimit -n 24; peak "$2" ft-train -q -j 1 -m plan.ft --steps "$1" \
		--schedule constant --valid train.bat --valid-every $(($1 / 50)) --checkpoint ck --every $(($1 / 50)) --log log >out.ft)
}
ok "$((steps / 10)) steps" train $((steps / 10)) short
ok "$steps steps, in 24 descriptors" train $steps long
grown=$(($(cat long) - $(cat short)))
ok "take no more memory: $(cat long) KiB, $grown more" [ $grown -le 2048 ]
is 'all were done' "$(ft-cat --header out.ft | sed 's/.*"steps":\([0-9]*\).*/\1/')" $steps

# ---- a reader that takes a KiB a second, of a writer that has more than enough ----
waits() { # COMMAND...
	python3 "$SRC/tests/fault/slow.py" $seconds "$@" >slow || { fail "$*"; return; }
	read -r cpu memory <slow
	ok "$*: waiting costs $cpu s of processor in $seconds s, and $memory KiB" \
		awk -v cpu="$cpu" -v s=$seconds -v kib="$memory" 'BEGIN { exit cpu > 0.05 * s || kib > 1024 }'
}
waits ft-predict -q -f tsv -m tuned.ft
waits sh -c 'ft-tokenize -q -f tsv -m plan.ft | ft-batch -q | exec ft-teach -q -m tuned.ft'
if [ -n "${FT_TEST_LONG:-}" ]; then
	waits ft-tokenize -q -f tsv -m plan.ft
	waits sh -c 'ft-tokenize -q -f tsv -m plan.ft | exec ft-batch -q'
	waits sh -c 'ft-tokenize -q -f tsv -m plan.ft | exec ft-cat'
fi
done_testing
