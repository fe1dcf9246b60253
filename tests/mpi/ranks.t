#!/bin/sh
# Several ranks of mpirun: the same bytes for any number of them; one that dies ends all, and the run goes on.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/ranks.sh"
cd "$T" || exit 1
data=$SRC/pipelines/sentiment/data

head -n 48 "$data/train.tsv" >train.tsv
head -n 24 "$data/valid.tsv" >valid.tsv
ft-freeze -H classify:neg,pos "$SRC/tests/ref/tiny-bert" >plan.ft
ft-tokenize -q -m plan.ft --max-length 40 train.tsv >train.tok
ft-tokenize -q -m plan.ft --max-length 40 valid.tsv | ft-batch >valid.bat
ft-batch -r 8 -e 2 -s 1 train.tok >train.bat   # 12 steps
ft-batch -r 8 -e 60 -s 1 train.tok >long.bat   # 360

# ---- the same bytes ----
# alike NAME OPTION...: 1, 2 and 4 ranks against one process without mpirun.
alike() {
	what=$1; shift
	ft-train -q -j 1 --shards 8 --log one.log "$@" >one.ft
	for n in 1 2 4; do
		rm -f n.ft n.log
		ranks "$n" -q -j 1 --shards 8 --log n.log -o n.ft "$@" >said 2>&1
		is "$what: $n ranks, the same model and log" "$(cmp n.ft one.ft 2>&1; cmp n.log one.log 2>&1; cat said)" ''
	done
}
alike 'a network' -m plan.ft train.bat
alike 'validated, averaged, of several batches a step' -m plan.ft --accumulate 5 --ema 0.9 --valid valid.bat --valid-every 1 --patience 9 train.bat
ranks 2 -q -j 2 --shards 8 -m plan.ft train.bat -o a.ft; ranks 4 -q -j 3 --shards 8 -m plan.ft train.bat -o b.ft
ft-train -q -j 2 --shards 8 -m plan.ft train.bat >one.ft
is 'whatever threads a rank has' "$(cmp a.ft one.ft 2>&1; cmp b.ft one.ft 2>&1)" ''
mkdir base
cp "$SRC"/tests/ref/tokenizers/smollm/tokenizer.json base/
cat >base/config.json <<END
{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 377, "hidden_size": 32,
 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48, "eos_token_id": 376,
 "max_position_embeddings": 64, "initializer_range": 0.3, "tie_word_embeddings": true, "rms_norm_eps": 1e-5}
END
ft-freeze -q --init -o lm.ft base
cut -f2 valid.tsv >texts.txt
ft-tokenize -q -m lm.ft --max-length 32 texts.txt | ft-batch -r 8 >lm.bat
alike 'a table that is the decoder, too' -m lm.ft --rdrop 1 --dropout 0.1 lm.bat

# ---- memory ----
sed 's/"hidden_size": 32/"hidden_size": 384/; s/"intermediate_size": 48/"intermediate_size": 1024/; s/layers": 2/layers": 6/' \
	base/config.json >c.json && mv c.json base/config.json
ft-freeze -q --init -o large.ft base
${CC:-cc} -o peak "$SRC/tests/fault/peak.c"
printf '#!/bin/sh\nexec ./peak peak.$OMPI_COMM_WORLD_RANK ft-train "$@"\n' >each && chmod +x each
for n in 1 2 4; do
	rm -f peak.*
	ranks "$n" -q -j 1 --shards 4 --plan --json -m large.ft lm.bat >plan.json
	mpi "$n" ./each -q -j 1 --shards 4 -m large.ft -o n.ft lm.bat >said 2>&1
	planned=$(sed 's/.*"peak":\([0-9]*\).*/\1/' plan.json) had=$(sort -n peak.* | tail -n 1)
	is "$n ranks: the plan is said once" "$(wc -l <plan.json)" 1
	if ft-train --version | grep -q sanitizer; then skip 'memory under a sanitizer'; continue; fi
	like 'and the largest stays within 5 % of it' "$((102400 * had / planned))" '^(9[5-9]|10[0-5])$'
done
ft-train -q -j 1 --shards 4 -m large.ft -o one.ft lm.bat
least=$(ranks 4 -q -j 1 --shards 4 --plan --json --recompute -m large.ft lm.bat | sed 's/.*"peak":\([0-9]*\).*/\1/')
ranks 4 -j 1 --shards 4 --memory $(((least + planned) / 2)) -m large.ft -o n.ft lm.bat >said 2>&1
is '--memory: they choose alike, and say so once' "$(grep -c 'computed twice' said) $(cmp n.ft one.ft 2>&1)" '1 '

# ---- what cannot be ----
# refused NAME CODE PATTERN RANKS ARGUMENT...
refused() {
	what=$1 code=$2 pattern=$3; shift 3
	rc=0; ranks "$@" >said 2>&1 </dev/null || rc=$?
	is "$what: $code, once" "$rc $(grep -c '^ft-train: ' said)" "$code 1"
	like 'and why' "$(grep '^ft-train' said)" "$pattern"
}
refused 'standard input is there for one of them' 2 'stdin: each of 2 ranks reads it' 2 -q --shards 2 -m plan.ft
refused 'as is a pipe' 2 '/dev/null: each of 2 ranks' 2 -q --shards 2 -m plan.ft --valid /dev/null train.bat
refused 'more ranks than shards' 2 'ranks must be a power of two that divides' 4 -q --shards 2 -m plan.ft train.bat
refused 'as many as do not divide them' 2 'ranks must be' 2 -q --shards 3 -m plan.ft train.bat
refused 'no shards' 2 '--shards N says' 2 -q -m plan.ft train.bat
refused 'no file' 1 'none.bat: No such file' 2 -q --shards 2 -m plan.ft none.bat
head -c 3000 train.bat >cut.bat
refused 'a cut stream' 76 'cut' 2 -q --shards 2 -m plan.ft -o none.ft cut.bat
wild='--shards 8 --lr 1e3 --clip 0 --warmup 0 --schedule constant --optimizer sgd -m plan.ft'
fails 'a loss that is not finite' 3 ft-train -q $wild --log one.log -o none.ft long.bat
refused 'with ranks, too' 3 "^$(sed 's/[][().*+?]/\\&/g' .err)\$" 4 -q $wild --log n.log -o none.ft long.bat
is 'is in the log with its rows, on whatever rank they are' "$(cmp n.log one.log 2>&1)$(tail -n 1 n.log | grep -c '"applied":false,"rows":"train.tsv:')" 1
is 'nothing is written then' "$(ls none.ft 2>/dev/null)" ''

# Rank 1 reads something else.
other() { # FILE OF RANK 1
	printf '#!/bin/sh\n[ $OMPI_COMM_WORLD_RANK = 0 ] || set -- "$@" %s\n[ $OMPI_COMM_WORLD_RANK != 0 ] || set -- "$@" train.bat\nexec ft-train "$@"\n' "$1" >each
	chmod +x each
}
ft-batch -r 8 -e 2 -s 2 train.tok >seed.bat
other seed.bat
rc=0; mpi 2 ./each -q --shards 2 -m plan.ft -o none.ft >said 2>&1 || rc=$?
is 'other batches on one of them' "$rc $(grep '^ft-train' said)" '78 ft-train: rank 1 has other options, inputs or kernels than rank 0'
ft-cat train.bat | sed '9s/\[2,/[4,/' | ft-cat --from-json >x.bat
ft-cat train.bat | ft-cat --from-json >y.bat
printf '#!/bin/sh\n[ $OMPI_COMM_WORLD_RANK = 0 ] && exec ft-train "$@" y.bat\nexec ft-train "$@" x.bat\n' >each
rc=0; mpi 2 ./each -q --shards 2 -m plan.ft -o none.ft >said 2>&1 || rc=$?
is 'other records under the same header' "$rc $(grep '^ft-train' said)" '78 ft-train: rank 1 has other batches than rank 0'

# ---- what a checkpoint holds goes to all of them ----
kept='-q -j 1 --shards 2 --valid valid.bat --valid-every 2 -m plan.ft'
ft-train $kept train.bat >one.ft
for what in 'from the beginning' 'from step 10' 'when it is finished'; do
	rm -f v.ft
	ranks 2 $kept --checkpoint v.ck --every 5 -o v.ft train.bat >said 2>&1
	is "validated, with checkpoints, $what: the same model" "$(cat said; cmp v.ft one.ft 2>&1)" ''
	[ "$what" != 'from the beginning' ] || mv v.ck.1 v.ck
done
rm -f none.ft
ranks 2 -q -j 1 --shards 2 -m plan.ft --checkpoint y.ck --every 10 -o y.ft y.bat
mv y.ck.1 y.ck
{ ft-cat train.bat | head -n 6; echo '{"end":5}'; } | ft-cat --from-json >few.bat
head -c $(($(wc -c <y.bat) / 2)) y.bat >half.bat
for file in few half; do
	printf '#!/bin/sh\n[ $OMPI_COMM_WORLD_RANK = 0 ] && exec ft-train "$@" y.bat\nexec ft-train "$@" %s.bat\n' $file >each
	rc=0; mpi 2 ./each -q -j 1 --shards 2 -m plan.ft --checkpoint y.ck -o none.ft >said 2>&1 || rc=$?
	echo "$rc $(grep '^ft-train' said)" >$file.said
done
like 'one that has fewer batches' "$(cat few.said)" '^78 ft-train: .*few.bat has fewer than 10 batches$'
like 'or half a stream' "$(cat half.said)" '^76 ft-train: .*half.bat: .*cut short'
is 'writes nothing' "$(ls none.ft 2>/dev/null)" ''

# ---- one dies, all end; the run goes on with another number of them ----
ft-train -q --shards 4 -m plan.ft --log want.log --lr 1e-2 long.bat >want.ft
cat >each <<'EOS'
#!/bin/sh
echo $$ >pid.$OMPI_COMM_WORLD_RANK
exec ft-train "$@"
EOS
# interrupted SIGNAL RANK RANKS: when there is another line in the log, one of them gets a signal. Status: what mpirun says.
interrupted() {
	lines=$(cat got.log 2>/dev/null | wc -l)
	rm -f pid.*
	mpi "$3" ./each -q -j 1 --shards 4 -m plan.ft --log got.log --checkpoint got.ck --every 1 --lr 1e-2 -o got.ft long.bat >said 2>&1 &
	while [ "$(cat got.log 2>/dev/null | wc -l)" -le "$lines" ] || [ ! -s pid."$2" ] || [ ! -e got.ck ]; do
		kill -0 $! 2>/dev/null || break
		sleep 0.02
	done
	kill -"$1" "$(cat pid."$2")" 2>/dev/null
	wait $!
}
rc=0; interrupted KILL 1 2 || rc=$?
is 'kill -9 of rank 1 of 2: the status says so, and there is no model' "$rc $(ls got.ft 2>/dev/null)" '137 '
rc=0; interrupted KILL 0 4 || rc=$?
is 'kill -9 of rank 0 of 4, which went on' "$rc $(ls got.ft 2>/dev/null)" '137 '
rc=0; interrupted TERM 3 4 || rc=$?
is 'SIGTERM for one of 4: all stop' "$rc $(ls got.ft 2>/dev/null)" '143 '
like 'when the step is saved' "$(cat said)" 'stopped by SIGTERM; the same command goes on after step [0-9]+'
rc=0; interrupted USR1 1 2 || rc=$?
is 'SIGUSR1 saves; 2 go on to the end, with the same model and log' \
	"$rc $(grep '^ft-train' said; cmp got.ft want.ft 2>&1; cmp got.log want.log 2>&1)" '0 '
rm got.ft
ok 'the finished run gives its model again' ranks 4 -q --shards 4 -m plan.ft --log got.log --checkpoint got.ck --lr 1e-2 -o got.ft long.bat
is 'the same one' "$(cmp got.ft want.ft 2>&1)" ''
done_testing
