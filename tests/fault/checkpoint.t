#!/bin/sh
# Checkpoints that are damaged, of another run, in use, or that cannot be written.
# FT_TEST_LONG=1 lets each call fail.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

R=$SRC/tests/ref data=$SRC/pipelines/sentiment/data
head -n 48 "$data/train.tsv" >train.tsv
head -n 24 "$data/valid.tsv" >valid.tsv
{
	ft-freeze -q -H classify:neg,pos "$R/tiny-bert" >plan.ft && ft-freeze -q --seed 1 -H classify:neg,pos "$R/tiny-bert" >other.ft &&
		ft-tokenize -q -m plan.ft --max-length 40 train.tsv >train.tok &&
		ft-tokenize -q -m plan.ft --max-length 40 valid.tsv | ft-batch -q >valid.bat &&
		ft-tokenize -q -m plan.ft --max-length 20 valid.tsv | ft-batch -q >other-valid.bat &&
		ft-batch -q -r 8 -e 3 -s 1 train.tok | ft-cat >train.json && ft-cat --from-json train.json >train.bat &&
		ft-batch -q -r 8 -e 3 -s 2 train.tok >shuffled.bat
} || { fail 'streams'; done_testing; }
train() { env ${hook:-} ft-train -j 1 "$@"; }
# run ARGUMENTS: the run that all this is about, in one place. Its output is got.ft.
run() { train -m plan.ft --lr 1e-2 --log log --valid valid.bat --checkpoint ck -o got.ft "$@"; }
same() { cmp got.ft want.ft && cmp log want.log; }
train -q -m plan.ft --lr 1e-2 --log want.log --valid valid.bat train.bat >want.ft

# Checkpoints of this run after steps 10 and 15, and when it is finished.
run -q --every 10 train.bat && mv ck.1 older && run -q train.bat && rm ck && run -q --every 5 train.bat && mv ck.1 newer &&
	mv ck finished && same || fail 'checkpoints'
# puts NEWEST BEFORE: as if a run had left these; -: none.
puts() {
	rm -f ck ck.1 got.ft
	[ "$1" = - ] || cp "$1" ck
	[ "$2" = - ] || cp "$2" ck.1
}

# ---- going on ----
puts newer -
is 'one checkpoint is enough' "$(run train.bat 2>err; head -n 1 err; same 2>&1)" 'ft-train: ck: going on after step 15'
like 'ft-cat shows it' "$(ft-cat newer)" '^\{"tensor":"optimizer/square/layer.1.ffn.down.weight","dtype":"F32","shape":\[[0-9]*\],'
like 'and verifies it' "$(ft-cat --verify newer)" '^newer: checkpoint: [0-9]* tensors, [0-9]* bytes, digest ok$'
like 'and says of what it was made' "$(ft-cat --log newer)" '^ft-train .* --lr=1e-2'
puts finished -
is 'a finished one gives the result again' "$(run train.bat 2>&1; same 2>&1)" 'ft-train: ck: the run is finished'
puts finished -
is 'also to a pipe, from a pipe, with other threads' "$(
	cat train.bat | ft-train -q -j 2 -m plan.ft --lr 1e-2 --log log --valid valid.bat --checkpoint ck | cmp - want.ft 2>&1)" ''
puts - older
is 'the one before is used when the newest is not there' "$(run train.bat 2>err; head -n 1 err; same 2>&1)" \
	'ft-train: warning: ck is not there; going on from the one before, ck.1'

# ---- damage: every so many bytes a bit, or the end, is lost ----
size=$(wc -c <newer)
flip() { # FILE AT: a byte, changed
	byte=$(dd if="$1" bs=1 skip="$2" count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
	printf "\\$(printf '%03o' $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
damaged() { # WHAT: ck, which is damaged; goes on from ck.1
	rc=0
	run -q train.bat 2>err || rc=$?
	[ $rc = 0 ] && same && grep -q '^ft-train: warning: ck: .*; going on from the one before, ck.1$' err ||
		{ echo "# $1: exit $rc"; cat err; }
}
is 'any bit may be wrong' "$(
	for k in 0 1 2 3 4 5 6 7 8; do
		puts newer older
		at=$(((size - 1) * k / 8))
		flip ck $at
		damaged "byte $at"
	done 2>&1)" ''
is 'it may be cut anywhere' "$(
	for n in 0 1 3 100 $((size / 3)) $((size - 1)); do
		puts newer older
		head -c $n newer >ck
		damaged "cut at $n"
	done 2>&1)" ''
is 'and the damaged one never takes the place of the one before' "$(
	puts newer older
	flip ck $((size / 2))
	run -q --every 100 train.bat 2>err
	cmp ck.1 older 2>&1)" ''
puts newer -
flip ck $((size / 2))
fails 'damaged, and no other' 65 run -q train.bat
like 'says what to do' "$(cat .err)" '^ft-train: ck: .*; there is no ck\.1, either; remove it to begin anew$'
puts newer older
head -c 9000 newer >ck
head -c 8000 older >ck.1
fails 'both damaged' 76 run -q train.bat
like 'says so of both' "$(cat .err)" '^ft-train: ck: .*cut short.*: ck\.1: .*cut short'
is 'and nothing is written' "$(ls got.ft 2>/dev/null)" ''
puts want.ft -
fails 'a file of another kind' 65 run -q train.bat
is 'is left alone' "$(cmp ck want.ft 2>&1)" ''
python3 - <<'END'
whole = open("newer", "rb").read()
end = whole.rindex(b"\x82\xa3end")
digest = whole.index(b"\xa6digest", end)
open("undigested", "wb").write(whole[:end] + b"\x81" + whole[end + 1:digest])
open("null", "wb").write(whole[:digest] + b"\xa6digest\xc0")
END
for what in undigested null; do
	puts $what older
	ok "one whose end has no digest is damaged: $what" run -q train.bat
	like 'and says so' "$(cat .out)" '^ft-train: warning: ck: no digest at its end; going on from the one before, ck\.1$'
done
puts newer -
others='.ck.new.a1b2c3d .ck.newxa1b2c3 .kc.new.a1b2c3 xck.new.a1b2c3'
touch ck.new .ck.new.a1b2c3 $others
ok 'what killed runs have left' run -q train.bat
is 'is removed, and nothing else' "$(ls -A | grep '\(ck\|kc\)\.new' | tr '\n' ' ')" "$others "
rm $others
rm ck; mkdir ck
fails 'a folder' 2 run -q train.bat
rmdir ck
fails 'a device' 2 ft-train -q -m plan.ft --checkpoint /dev/null train.bat
fails 'a folder that is not there' 1 ft-train -q -m plan.ft --checkpoint nowhere/ck train.bat
fails '--every alone' 2 ft-train -q -m plan.ft --every 3 train.bat
fails '--every -1' 2 ft-train -q -m plan.ft --checkpoint ck --every -1 train.bat

# ---- of another run: 78, and each difference ----
differs() { # DESCRIPTION PATTERN COMMAND...
	what=$1 pattern=$2; shift 2
	puts newer -
	fails "$what" 78 "$@"
	like "$what: both values" "$(cat .err)" "$pattern"
	[ ! -e got.ft ] && cmp -s ck newer || fail "$what: all is as it was"
}
base='-q -m plan.ft --checkpoint ck -o got.ft'
differs 'an option' '\(--lr: 1e-2 then, 2e-2 now\); remove ck and ck\.1' ft-train $base --lr 2e-2 --log log --valid valid.bat train.bat
differs 'an option more' '\(--seed: not given then, 4 now\)' run -q --seed 4 train.bat
differs 'one less, and a flag' '\(--lr: 1e-2 then, not given now; --recompute: not given then, given now\)' \
	ft-train $base --recompute --log log --valid valid.bat train.bat
differs 'weights of classes' '\(--class-weight: not given then, neg=2, pos=3 now\)' \
	run -q --class-weight neg=2 --class-weight pos=3 train.bat
differs 'another plan' '\(plan: [0-9a-f]{32} then, [0-9a-f]{32} now\)' \
	ft-train -q -m other.ft --checkpoint ck -o got.ft --lr 1e-2 --log log --valid valid.bat train.bat
differs 'other batches, in the header' '\(header of the batches: [0-9a-f]{32} then, [0-9a-f]{32} now\)' run -q shuffled.bat
differs 'another validation' '\(validation data: [0-9a-f]{32} then, [0-9a-f]{32} now\)' \
	ft-train $base --lr 1e-2 --log log --valid other-valid.bat train.bat
differs 'none' '\(validation data: [0-9a-f]{32} then, none now\)' ft-train $base --lr 1e-2 --log log train.bat
differs 'no log' '\(log: there then, none now\)' ft-train $base --lr 1e-2 --valid valid.bat train.bat
[ "$(ft-train --version | sed -n 's/^Numerics: \([a-z0-9]*\).*/\1/p')" = base ] && skip 'there are no other kernels' ||
	differs 'other kernels' "\\(kernels: [a-z0-9]* then, base now\\)" env FT_ISA=base ft-train $base --lr 1e-2 \
		--log log --valid valid.bat train.bat
sed '4s/"labels":\[\([01]\),/"labels":[9\1,/; s/"labels":\[90,/"labels":[1,/; s/"labels":\[91,/"labels":[0,/' train.json |
	ft-cat --from-json >changed.bat
differs 'another label in batch 3' 'changed\.bat is not what ck was made with \(digest of the first 15 batches: [0-9a-f]{32} then, [0-9a-f]{32} now\)' \
	run -q changed.bat
{ head -n 5 train.json; echo '{"end":4}'; } | ft-cat --from-json >short.bat
differs 'fewer batches' 'short\.bat has 4 batches, ck has seen 15' run -q short.bat
{ head -n 19 train.json; sed -n 2p train.json; echo '{"end":19}'; } | ft-cat --from-json >more.bat
puts finished -
fails 'more batches than a finished run had' 78 run -q more.bat
like 'says so' "$(cat .err)" 'more\.bat has more than the 18 batches that ck was made with'
is 'the log is not cut by any of these' "$(cmp log want.log 2>&1)" ''
sed 's/"loss":/"lost":/' want.log >log
differs 'another log' '\(log: began with [0-9]* bytes of digest [0-9a-f]{32}, has [0-9]* of [0-9a-f]{32} now\)' run -q train.bat
rm log
differs 'the log has gone' 'has 0 of [0-9a-f]{32} now' run -q train.bat
cp want.log log
puts newer -
ft-train -q --lr 1e-2 --metric accuracy -m plan.ft --checkpoint cm --every 5 --valid valid.bat train.bat >x.ft
mv cm.1 cm
fails 'the same options in another order' 78 ft-train -q --metric accuracy --lr 1e-2 -m plan.ft --checkpoint cm --valid valid.bat train.bat
like 'since the model repeats them' "$(cat .err)" 'the order of the options'
rm -f cm cm.1
ft-cat --data newer | sed '1s/"options":\["--lr=1e-2"/"options":[7,"--lr=1e-2"/' | ft-cat --from-json >odd
puts odd -
fails 'an option that is none' 78 run -q train.bat
like 'is one of another run' "$(cat .err)" 'the order of the options'
train -q -m plan.ft --log /dev/null --checkpoint cm --every 5 train.bat >x.ft
mv cm.1 cm
is 'a log that keeps nothing need not be as it was' "$(
	train -m plan.ft --log /dev/null --checkpoint cm train.bat 2>err | cmp - x.ft; head -n 1 err)" 'ft-train: cm: going on after step 15'
rm -f cm cm.1

ft-export -q -m want.ft teacher && ft-export -q -m other.ft another || fail 'teachers in folders'
ft-train -q -m plan.ft --distill teacher --checkpoint cm --every 5 train.bat >x.ft
mv cm.1 cm
fails 'another teacher' 78 ft-train -q -m plan.ft --distill another --checkpoint cm train.bat
like 'of both the digest' "$(cat .err)" '--distill: teacher then, another now.*; teacher: [0-9a-f]{32} then, [0-9a-f]{32} now'
fails 'no teacher' 1 ft-train -q -m plan.ft --distill nobody --checkpoint cm train.bat
rm -rf cm cm.1 another

# ---- of another run that is finished: it stands in nobody's way ----
puts finished -
cp want.log log
ft-train -q -m plan.ft --lr 2e-2 train.bat >other-result.ft
is 'a finished run does not hinder another one' "$(
	ft-train -m plan.ft --lr 2e-2 --checkpoint ck train.bat 2>err | cmp - other-result.ft 2>&1; head -n 1 err)" \
	"ft-train: ck is of another run, which is finished: beginning anew (--lr: 1e-2 then, 2e-2 now; log: there then, none now; validation data: $(
		ft-cat --header finished | sed 's/.*"validation data":"\([0-9a-f]*\)".*/\1/') then, none now)"

# ---- in use ----
puts - -
{ head -c 3000 train.bat; sleep 20; } 2>/dev/null | ft-train -q -m plan.ft --checkpoint ck -o got.ft &
pid=$!
n=0
while [ ! -s ck.lock ] && [ $n -lt 100 ]; do sleep 0.05; n=$((n + 1)); done
fails 'two runs on one checkpoint' 75 ft-train -q -m plan.ft --checkpoint ck train.bat
is 'the second is told which has it' "$(cat .err)" "ft-train: ck: in use by another run, process $pid"
kill -9 $pid
wait $pid 2>/dev/null
ok 'a lock that was left behind stops nobody' ft-train -q -m plan.ft --checkpoint ck -o got.ft train.bat
is 'and is gone' "$(ls -A | grep 'ck\.lock')" ''

# ---- asked to stop while it waits for the batches that it has seen ----
puts newer -
{
	head -c 3000 train.bat
	n=0
	while [ ! -s ck.lock ] && [ $((n += 1)) -le 500 ]; do sleep 0.02; done
	kill "$(cat ck.lock)"
	while [ -e ck.lock ] && [ $((n += 1)) -le 1000 ]; do sleep 0.02; done
} | run -q 2>err
is 'asked to stop while it passes over batches' "$? $(head -n 1 err)" '143 ft-train: stopped by SIGTERM; the same command goes on after step 15'
is 'and it does' "$(run -q train.bat 2>&1; same 2>&1)" ''

# ---- a full disk ----
if unshare -rm sh -c 'mkdir -p disk && mount -t tmpfs -o size=64k tmpfs disk' 2>/dev/null; then
	# Sizes at which none fits, one does, two do, and three, which it takes to keep one.
	full() {
		unshare -rm sh -c '
			mount -t tmpfs -o size=$1 tmpfs disk || exit
			ft-train -q -j 1 -m plan.ft --checkpoint disk/ck --every 4 -o got.ft train.bat 2>err
			echo "exit $?"
			sed -n "s/^ft-train: checkpoint: disk\/ck.new: No space left on device (\([0-9]*\) bytes are needed, \([0-9]*\) are free)$/full \1 \2/p" err
			for f in disk/ck disk/ck.1; do [ ! -e $f ] || ft-cat --verify $f >verify 2>&1 && [ ! -e $f ] || echo "$f whole"; done
			ls -A disk | grep -v -e "^ck$" -e "^ck.1$"' sh "$1" | awk '
			$1 == "full" { print ($3 < $2 ? "full" : "full, " $2 " needed, " $3 " free"); next } { print }' | tr '\n' ' '
	}
	puts - -
	ft-train -q -m plan.ft --checkpoint ck --every 4 train.bat >x.ft
	need=$(wc -c <ck.1)
	mkdir -p disk
	rm -f got.ft
	is 'no room for one' "$(full $((need / 2)))" 'exit 1 full '
	is 'room for one' "$(full $((need * 3 / 2)))" 'exit 1 full disk/ck whole '
	is 'for two' "$(full $((need * 5 / 2)))" 'exit 1 full disk/ck whole disk/ck.1 whole '
	is 'no model is written' "$(ls got.ft 2>/dev/null)" ''
	is 'for all' "$(full $((need * 4)))" 'exit 0 disk/ck whole disk/ck.1 whole '
else
	skip 'no file system of a size can be mounted here'
fi

# ---- a call that fails: one line, and the next run goes on ----
preload=$T/calls.so
if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -shared -fPIC -o "$preload" "$SRC/tests/fault/calls.c" 2>cc.err ||
	! LD_PRELOAD=$preload FT_CALL_COUNT=count ft-cat --version >version 2>&1 || [ ! -s count ]; then
	skip 'calls cannot fail here'
	done_testing
fi
puts - -
ft-train -q -m plan.ft --steps 4 --log want.log --valid valid.bat --valid-every 2 train.bat >want.ft
set -- -m plan.ft --steps 4 --log log --valid valid.bat --valid-every 2 --checkpoint ck --every 2 -o got.ft train.bat
# failing CALL ERRNO STEP: each (STEP-th) of these calls
failing() {
	call=$1 errno=$2 step=$3 k=1; shift 3
	[ -z "${FT_TEST_LONG:-}" ] || step=1
	puts - -
	rm -f log
	hook="LD_PRELOAD=$preload FT_CALL=$call FT_CALL_COUNT=count"
	train -q "$@"
	n=$(cat count)
	while [ "$k" -le "$n" ]; do
		puts - -
		rm -f log
		hook="LD_PRELOAD=$preload FT_CALL=$call FT_CALL_AT=$k FT_CALL_ERRNO=$errno" rc=0
		train -q "$@" 2>err || rc=$?
		hook=''
		# A previous name that cannot be removed or linked does no harm; nor does a last checkpoint when the model is there.
		case $rc in
		1) [ "$(wc -l <err)" = 1 ] || { echo "# $call $k: not one line"; cat err; } ;;
		0) [ ! -s err ] || grep -q 'warning: checkpoint: .*; the model is written all the same$' err ||
			{ echo "# $call $k: nobody noticed"; cat err; } ;;
		*) echo "# $call $k: exit $rc"; cat err ;;
		esac
		for f in ck ck.1; do [ ! -e $f ] || ft-cat --verify $f >verify || echo "# $call $k: $f is damaged"; done
		train -q "$@" 2>err && same || { echo "# $call $k: not the same"; cat err; }
		k=$((k + step))
	done
}
is 'write: no space' "$(failing write 28 4 "$@" 2>&1)" ''
is 'fsync: an error of the device' "$(failing fsync 5 2 "$@" 2>&1)" ''
is 'rename, link, unlink: not permitted' "$(for call in rename link unlink; do failing $call 1 1 "$@"; done 2>&1)" ''
is 'ftruncate' "$(failing ftruncate 5 1 "$@" 2>&1)" ''
is 'fstat: an error of the device' "$(failing fstat 5 1 "$@" 2>&1)" ''
ft-train -q -j 1 -m plan.ft --steps 2 --distill teacher --log want.log train.bat >want.ft
is 'also where the teacher is read' "$(
	failing fstat 5 1 -m plan.ft --steps 2 --distill teacher --log log --checkpoint ck --every 1 -o got.ft train.bat 2>&1)" ''
ft-train -q -j 1 -m plan.ft --steps 4 --log want.log --valid valid.bat --valid-every 2 train.bat >want.ft

# ---- a read that fails as it goes on ----
read_fails() {
	k=0 n=0 failed=0
	while [ $((k += 1)) -le "$((n ? n : 1))" ]; do
		puts newer -
		cp want.log log
		hook="LD_PRELOAD=$preload FT_CALL=read FT_CALL_AT=$((n ? k : 0)) FT_CALL_ERRNO=5 FT_CALL_COUNT=count" rc=0
		run -q --every 100 train.bat 2>err || rc=$?
		hook=''
		[ $rc != 1 ] || failed=$((failed + 1))
		[ $rc = 0 ] || { [ $rc = 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q 'Input/output error' err; } ||
			{ echo "# read $k of $n: exit $rc"; cat err; }
		[ $n != 0 ] || { n=$(cat count); k=0; } # the first time none did
	done
	[ $failed -gt 9 ] || echo "# of $n reads only $failed failed"
}
cp want.log want.few && cp want.ft few.ft
train -q -m plan.ft --lr 1e-2 --log want.log --valid valid.bat train.bat >want.ft
is 'a read fails as it goes on' "$(read_fails 2>&1)" ''
cp want.few want.log && cp few.ft want.ft

# ---- calls that fail where it is known what follows ----
begin() { rm -f ck ck.1 log got.ft; }
half() { # a run whose second save fails
	begin
	hook="LD_PRELOAD=$preload FT_CALL=rename FT_CALL_AT=3 FT_CALL_ERRNO=1"
	train -q -m plan.ft --steps 4 --log log --checkpoint ck --every 2 -o got.ft train.bat 2>err
	hook=''
}
# ends WHAT WANT CALL AT ERRNO [VARIABLE...]: code and last line, but for those of steps, of the run
ends() {
	what=$1 want=$2 call=$3 at=$4 errno=$5; shift 5
	hook="LD_PRELOAD=$preload FT_CALL=$call FT_CALL_AT=$at FT_CALL_ERRNO=$errno $*" rc=0
	train -m plan.ft --steps 4 --log log --checkpoint ck --every 2 -o got.ft train.bat 2>err || rc=$?
	hook=''
	is "$what" "$rc $(grep '^ft-train: [^s]\|^ft-train: stopped' err | tail -n 1)" "$want"
}
begin
ends 'a file system without locks' '0 ft-train: warning: ck.lock: No locks available: take care that no other run uses it' flock 1 37
begin
ends 'the lock goes away with the run that had it: another one is made' '0 ' flock 1 0 FT_CALL_UNLINK=ck.lock
begin
ends 'the output cannot be made what open() makes' '1 ft-train: checkpoint: ck.new: Operation not permitted' fchmod 1 1
begin
ends 'a folder that cannot be synced' '0 ' fsync 3 22
half
ends 'the log cannot be read' '1 ft-train: log: Input/output error' pread 1 5
half
ends 'nor when it is gone on with' '1 ft-train: log: Input/output error' pread 2 5
half
ends 'an interruption is none' '0 ft-train: ck: going on after step 2' pread 1 4
begin
ends 'how much is free is not known' '1 ft-train: checkpoint: ck.new: No space left on device' write+fstatvfs 4 28 FT_CALL_ON=1
begin
ends 'asked to stop, it cannot save' '143 ft-train: checkpoint: log: Invalid argument' fsync 3 22 FT_CALL_ON=1 FT_CALL_SIGNAL=15
half
ends 'neither linked nor renamed' '1 ft-train: checkpoint: ck.1: Operation not permitted' link+rename 2 1 FT_CALL_ON=1
half
ln -sf log log.1 && rm log && ln -s log.1 log
ends 'a log that is a link to itself' '1 ft-train: log: Too many levels of symbolic links' fsync 1000 5
begin
ln -s ck ck
ends 'a checkpoint that is one' '1 ft-train: ck: Too many levels of symbolic links' fsync 1000 5
begin
begin
ends 'a signal while the last checkpoint is saved' \
	'143 ft-train: stopped by SIGTERM when all was done; the same command writes the model' rename 6 0 FT_CALL_SIGNAL=15
ends 'the same command does' '0 ft-train: ck: the run is finished' fsync 1000 5
begin
ends 'one while another is' '143 ft-train: stopped by SIGTERM; the same command goes on after step 3' rename 2 0 FT_CALL_SIGNAL=15
ends 'it goes on' '0 ft-train: ck: going on after step 3' fsync 1000 5
begin
exec 9>ck.lock && flock 9
ends 'in use by what says no number' '75 ft-train: ck: in use by another run' fsync 1000 5
exec 9>&-
begin
done_testing
