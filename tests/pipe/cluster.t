#!/bin/sh
# pipelines/cluster: data in parts is the data; and its job for Slurm, with stand-ins for that. Tools that were built with
# MPI train in two processes, others in one.
. "$(dirname "$0")/../lib.sh"
. "$SRC/tests/mpi/mpi.sh"
cd "$T" || exit 1
data=$SRC/pipelines/sentiment/data
head -n 40 "$data/train.tsv" >train.tsv
head -n 16 "$data/valid.tsv" >valid.tsv
ranks=1 several=''
ft-train --version | grep -q MPI && command -v mpirun >/dev/null && ranks=2 several='mpirun --oversubscribe -n 2'
recipe() { # OUT VARIABLE=VALUE...
	out=$1; shift
	make -s -j2 -C "$SRC/pipelines/cluster" BIN="$BUILD/bin" MODEL="$SRC/tests/ref/tiny-bert" EPOCHS=2 TEST="$T/valid.tsv" \
		OUT="$T/$out" "$@"
}
same() { ft-cat "$1" | sed '1d; s/"src":"[^"]*"//; s/"inputs":.*//; /^{"end"/s/"digest":"[^"]*"//'; }

ok 'three parts, and training in processes' recipe out FILES="$T/train.tsv" PARTS=3 RANKS=$ranks MPIRUN="$several"
ft-tokenize -q -m out/plan.ft train.tsv -o whole.tok
is 'the tokens are those of the whole' "$(same out/train.tok)" "$(same whole.tok)"
is 'each known by its part' "$(ft-cat out/train.tok | grep -o '"src":"[0-9].tsv:1"' | tr '\n' ' ')" '"src":"1.tsv:1" "src":"2.tsv:1" "src":"3.tsv:1" '
like 'the model is measured' "$(cat out/tuned.json)" '"examples":16'
is 'and the checkpoint is gone' "$(ls out/*.ck* 2>/dev/null)" ''
ok 'files as they come' recipe files FILES="$T/train.tsv $T/valid.tsv" data
ft-tokenize -q -m out/plan.ft train.tsv valid.tsv -o both.tok
is 'are joined in their order' "$(ft-cat files/train.tok | sed '1d;$d')" "$(ft-cat both.tok | sed '1d;$d')"

# ---- the job: srun ends its tasks twice, when there is another step in the log ----
job=$SRC/pipelines/cluster/train.sbatch
ok 'the script is one of a POSIX shell' sh -n "$job"
ft-batch -q -r 8 -e 40 -s 1 out/train.tok >long.bat
ft-train -q -m out/plan.ft --shards 4 --log want.log --lr 1e-2 long.bat >want.ft
mkdir bin
cat >bin/srun <<END
#!/bin/sh
echo run >>runs
[ "\$(wc -l <runs)" -le 2 ] || exec $several "\$@"
lines=\$(cat tuned.ft.log 2>/dev/null | wc -l)
cat >task <<'EOS'
#!/bin/sh
echo \$\$ >pid
exec "\$@"
EOS
chmod +x task
rm -f pid
$several ./task "\$@" &
while [ "\$(cat tuned.ft.log 2>/dev/null | wc -l)" -le "\$lines" ] || [ ! -s pid ]; do
	kill -0 \$! 2>/dev/null || break
	sleep 0.01
done
kill -TERM "\$(cat pid)" 2>/dev/null
wait \$!
END
printf '#!/bin/sh\necho "$*" >>requeued\n' >bin/scontrol
chmod +x bin/srun bin/scontrol
PATH=$T/bin:$PATH SLURM_JOB_ID=4711
export PATH SLURM_JOB_ID
n=0
while [ ! -e tuned.ft ] && [ $n -lt 9 ]; do
	sh "$job" out/plan.ft long.bat tuned.ft --shards 4 --lr 1e-2 -j 1 >>said 2>&1 || { fail "job $n"; cat said; done_testing; }
	n=$((n + 1))
done
is 'it was put back when its time was up' "$(cat requeued | tr '\n' ' ')" 'requeue 4711 requeue 4711 '
is 'and has the end of an undisturbed run' "$(cmp tuned.ft want.ft 2>&1; cmp tuned.ft.log want.log 2>&1; ls tuned.ft.*)" 'tuned.ft.log'
done_testing
