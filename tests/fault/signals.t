#!/bin/sh
# Signals: ft-train finishes its step, saves it, and dies of the signal; run again it ends
# with the same bytes. Without a checkpoint it ends at once and says so.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

R=$SRC/tests/ref data=$SRC/pipelines/sentiment/data
head -n 48 "$data/train.tsv" >train.tsv
head -n 24 "$data/valid.tsv" >valid.tsv
{
	ft-freeze -q -H classify:neg,pos "$R/tiny-bert" >plan.ft && ft-tokenize -q -m plan.ft --max-length 40 train.tsv >train.tok &&
		ft-tokenize -q -m plan.ft --max-length 40 valid.tsv | ft-batch -q >valid.bat &&
		ft-batch -q -r 8 -e 3 -s 1 train.tok >train.bat
} || { fail 'streams'; done_testing; }
set -- -j 1 -m plan.ft --valid valid.bat --valid-every 5
ft-train "$@" -q --log want.log train.bat >want.ft
same() { cmp got.ft want.ft && cmp log want.log; }
# go on: what is not as it should be
again() { ft-train "$@" -q --log log --checkpoint ck train.bat >got.ft 2>err && same || { echo '# again:'; cat err; }; }
fresh() { rm -rf ck ck.1 log got.ft; }

# ---- while it waits for a batch ----
fresh
mkfifo pipe
ft-train "$@" --log log --checkpoint ck -o got.ft pipe 2>err &
pid=$!
exec 9>pipe
head -c 3000 train.bat >&9
n=0
while [ ! -s ck.lock ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
sleep 0.1
kill -TERM $pid
rc=0
wait $pid 2>/dev/null || rc=$?
exec 9>&-
is 'SIGTERM while it waits: the status is of the signal' $rc 143
like 'and it says where it goes on' "$(tail -n 1 err)" '^ft-train: stopped by SIGTERM; the same command goes on after step [0-9]*$'
is 'no model, no lock; a checkpoint' "$(ls got.ft ck.lock 2>/dev/null; ls ck)" ck
is 'the next run has the same end' "$(again "$@" 2>&1)" ''

# until_caught PID: it catches SIGTERM (bit 14), and has had time to begin to wait.
until_caught() {
	n=0
	while [ $((0x$(sed -n 's/^SigCgt:[^0-9a-f]*//p' /proc/"$1"/status) >> 14 & 1)) = 0 ] && [ $n -lt 200 ]; do
		sleep 0.05; n=$((n + 1))
	done
	sleep 0.1
}
fresh
ft-train "$@" -q --log log --checkpoint ck -o got.ft pipe 2>err &
pid=$!
until_caught $pid
kill -TERM $pid
rc=0
wait $pid 2>/dev/null || rc=$?
like 'SIGTERM before anybody writes' "$rc $(cat err)" '^143 ft-train: stopped by SIGTERM (while waiting for pipe|before anything was read)$'
ft-train "$@" -q --log log --checkpoint ck -o got.ft pipe 2>err &
pid=$!
until_caught $pid
kill -USR1 $pid
sleep 0.1
exec 9>pipe
sleep 0.1
kill -USR1 $pid
sleep 0.1
cat train.bat >&9
exec 9>&-
rc=0
wait $pid || rc=$?
is 'SIGUSR1 then, and before the first batch' "$rc $(same 2>&1)" '0 '

# Not compressed, batches come one by one: the first seven, and the rest.
find_python 'msgpack, zstandard'
[ -z "$python" ] || $python -c 'import msgpack, zstandard
stream = zstandard.ZstdDecompressor().decompressobj().decompress(open("train.bat", "rb").read())
u = msgpack.Unpacker()
u.feed(stream)
for _ in range(8):
    u.skip()
open("seven", "wb").write(stream[:u.tell()])
open("rest", "wb").write(stream[u.tell():])'
# start ARGUMENTS: it has seven batches, and log has $seen. finish: it gets the rest; the status, and what differs.
start() {
	fresh
	ft-train "$@" --log log --checkpoint ck -o got.ft pipe 2>err &
	pid=$!
	exec 9>pipe
	cat seven >&9
	n=0
	while ! grep -q "$seen" log 2>/dev/null && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
	sleep 0.1
}
finish() {
	cat rest >&9
	exec 9>&-
	rc=0
	wait $pid || rc=$?
	echo "$rc $(same 2>&1)" >end
}
if [ -n "$python" ]; then
	seen='"step":7,'
	start "$@"
	kill -USR1 $pid
	n=0
	while ! grep -q saved err && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
	is 'SIGUSR1 while it waits: it saves' "$(ls ck) $(grep saved err)" 'ck ft-train: step 7 is saved in ck'
	cp ck early.ck
	kill -USR1 $pid
	finish
	is 'and goes on to the same end' "$(cat end)" '0 '
	rm -f got.ft ck.1
	mv early.ck ck
	is 'as does a run from what was saved' "$(again "$@" 2>&1)" ''

	start "$@"
	mkdir ck.new
	kill -USR1 $pid
	sleep 0.1
	is 'where it cannot, it still waits' "$(ls ck 2>/dev/null; kill -0 $pid; echo $?)" 0
	finish
	is 'and fails when the step is done' "$(cut -c1 end) $(tail -n 1 err)" '1 ft-train: checkpoint: ck.new: Is a directory'
	rmdir ck.new

	# A step of four batches, begun before the validation after an epoch of six, has no way back.
	seen='"valid"'
	set -- -j 1 -m plan.ft --valid valid.bat --accumulate 4
	mv want.ft want-1.ft; mv want.log want-1.log
	ft-train "$@" -q --log want.log train.bat >want.ft
	start "$@"
	kill -USR1 $pid
	sleep 0.1
	is 'where it would be another run, it does not' "$(ls ck 2>/dev/null)" ''
	finish
	is 'but when the step is done' "$(cat end) $(grep saved err)" '0  ft-train: step 2 is saved in ck'
	mv want-1.ft want.ft; mv want-1.log want.log
	set -- -j 1 -m plan.ft --valid valid.bat --valid-every 5
else
	skip 'no python3-msgpack and python3-zstandard'
fi

# ---- without a checkpoint ----
ft-train "$@" -o got2.ft pipe 2>err &
pid=$!
exec 9>pipe
head -c 3000 train.bat >&9
sleep 0.3
kill -TERM $pid
rc=0
wait $pid 2>/dev/null || rc=$?
exec 9>&-
is 'without a checkpoint it ends at once' $rc 143
like 'and says that nothing was written' "$(cat err)" 'ft-train: stopped: nothing was written \(--checkpoint FILE keeps what is done\)$'
is 'which is true' "$(ls -A | grep got2)" ''

# ---- at a given call ----
preload=$T/calls.so
if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -shared -fPIC -o "$preload" "$SRC/tests/fault/calls.c" 2>cc.err ||
	! LD_PRELOAD=$preload FT_CALL_COUNT=count ft-cat --version >version 2>&1 || [ ! -s count ]; then
	skip 'signals cannot be sent at a call here'
	done_testing
fi
# sent SIGNAL AT ARGUMENTS: at the AT-th write; what it leaves is gone on with. The status, and what is wrong.
signals=--default-signal # what the test was started with may be ignored, as by nohup
sent() {
	signal=$1 at=$2 rc=0; shift 2
	env $signals LD_PRELOAD="$preload" FT_CALL=write FT_CALL_AT="$at" FT_CALL_SIGNAL="$signal" ft-train "$@" --log log --checkpoint ck \
		--every 4 train.bat >got.ft 2>err || rc=$?
	echo $rc
}
fresh
LD_PRELOAD=$preload FT_CALL=write FT_CALL_COUNT=count ft-train "$@" -q --log log --checkpoint ck --every 4 train.bat >got.ft
calls=$(cat count)
is 'at any write, also within a save and before a validation: saved, and the same in the end' "$(
	n=2
	while [ $n -lt $((calls - 2)) ]; do
		fresh
		rc=$(sent 15 $n "$@" -q)
		[ "$rc" = 143 ] && [ -e ck ] || { echo "# call $n: exit $rc"; cat err; }
		again "$@"
		n=$((n + 3))
	done 2>&1)" ''
fresh
is 'SIGTERM' "$(sent 15 9 "$@") $(grep stopped err)" '143 ft-train: stopped by SIGTERM; the same command goes on after step 5'
is 'SIGHUP, in the run that goes on' "$(sent 1 9 "$@") $(grep stopped err)" '129 ft-train: stopped by SIGHUP; the same command goes on after step 9'
is 'the same in the end' "$(again "$@" 2>&1)" ''
fresh
is 'SIGUSR1 saves, and it goes on' "$(sent 10 4 "$@") $(same 2>&1)" '0 '
like 'and it says so' "$(cat err)" '^ft-train: step [1-4] is saved in ck$'
fresh
is 'an ignored signal is ignored' "$(signals=; trap '' HUP; sent 1 9 "$@") $(same 2>&1)" '0 '

# ---- a storm of them ----
fresh
ft-train "$@" -q --log log --checkpoint ck --every 1 train.bat >got.ft 2>err &
pid=$!
(
	n=0
	while [ ! -s ck.lock ] && [ $n -lt 500 ]; do sleep 0.01; n=$((n + 1)); done
	while [ -e ck.lock ]; do kill -USR1 $pid 2>/dev/null || break; done
) &
storm=$!
rc=0
wait $pid 2>/dev/null || rc=$?
wait $storm 2>/dev/null
is 'a storm of SIGUSR1 changes nothing' "$rc $(same 2>&1)" '0 '
done_testing
