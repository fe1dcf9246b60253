#!/bin/sh
# The job of pipelines/requeue with stand-ins for Slurm: its time is up again and again,
# and it ends with the bytes of an undisturbed run.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

job=$SRC/pipelines/requeue/train.sbatch
ok 'the script is one of a POSIX shell' sh -n "$job"
head -n 48 "$SRC/pipelines/sentiment/data/train.tsv" >train.tsv
{
	ft-freeze -q -H classify:neg,pos "$SRC/tests/ref/tiny-bert" >plan.ft &&
		ft-tokenize -q -m plan.ft --max-length 40 train.tsv | ft-batch -q -r 8 -e 60 -s 1 >train.bat
} || { fail 'streams'; done_testing; }
ft-train -q -m plan.ft --log want.log --lr 1e-2 train.bat >want.ft

# srun runs its command for less time than it takes, three times: until there is another step in the log.
mkdir bin
cat >bin/srun <<'END'
#!/bin/sh
echo run >>runs
[ "$(wc -l <runs)" -le 3 ] || exec "$@"
lines=$(cat tuned.ft.log 2>/dev/null | wc -l)
"$@" &
pid=$!
while [ "$(cat tuned.ft.log 2>/dev/null | wc -l)" -le "$lines" ] && kill -0 $pid 2>/dev/null; do
	sleep 0.01
done
kill -TERM $pid 2>/dev/null
wait $pid
END
cat >bin/scontrol <<'END'
#!/bin/sh
echo "$*" >>requeued
END
chmod +x bin/srun bin/scontrol
PATH=$T/bin:$PATH SLURM_JOB_ID=4711
export PATH SLURM_JOB_ID
n=0
while [ ! -e tuned.ft ] && [ $n -lt 50 ]; do
	sh "$job" plan.ft train.bat tuned.ft --lr 1e-2 -j 1 >>said 2>&1 || { fail "job $n"; cat said; done_testing; }
	n=$((n + 1))
done
like 'it was put back each time its time was up' "$(sort -u requeued; wc -l <requeued)" '^requeue 4711'
is 'and has the same end' "$(cmp tuned.ft want.ft 2>&1; cmp tuned.ft.log want.log 2>&1)" ''
is 'the checkpoint is gone' "$(ls tuned.ft.* | tr '\n' ' ')" 'tuned.ft.log '
printf '#!/bin/sh\nexec "$@"\n' >bin/srun
fails 'a failure ends the job' 76 sh "$job" plan.ft /dev/null none.ft
is 'and puts nothing back' "$(wc -l <requeued | tr -d ' ')" "$((n - 1))"
done_testing
