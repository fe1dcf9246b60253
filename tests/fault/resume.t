#!/bin/sh
# Killed at any moment and run again, ft-train ends with the same bytes, of the model
# and of the log. FT_TEST_LONG=1 kills at every system call of a save, and 200 times at random.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cd "$T"

R=$SRC/tests/ref data=$SRC/pipelines/sentiment/data
head -n 48 "$data/train.tsv" >train.tsv
head -n 24 "$data/valid.tsv" >valid.tsv
{
	ft-freeze -q -H classify:neg,pos "$R/tiny-bert" >plan.ft && ft-tokenize -q -m plan.ft --max-length 40 train.tsv >train.tok &&
		ft-tokenize -q -m plan.ft --max-length 40 valid.tsv | ft-batch -q >valid.bat &&
		ft-batch -q -r 8 -e 3 -s 1 train.tok >train.bat && ft-batch -q -r 8 train.tok >unknown.bat &&
		ft-freeze -q -H mlm "$R/tiny-bert-mlm" >mlm.ft && ft-tokenize -q --no-labels --max-length 40 -m mlm.ft train.tsv |
		ft-batch -q --mask -r 8 -s 1 -e 2 >mlm.bat && ft-train -q -m plan.ft --steps 2 unknown.bat >tuned.ft &&
		ft-freeze -q -H classify:neg,pos --lora 'r=2,sites=layer.1.attn.*' "$R/tiny-bert" >lora.ft &&
		ft-freeze -q -H classify:neg,pos --lora 'r=2,dora,sites=embed.word' "$R/tiny-bert" >dora.ft &&
		ft-freeze -q -l 1 -f 'layer.1.ffn.*' -r 'pool.*=0.1' tuned.ft >part.ft
} || { fail 'streams'; done_testing; }

preload=$T/calls.so
if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -shared -fPIC -o "$preload" "$SRC/tests/fault/calls.c" 2>cc.err ||
	! LD_PRELOAD=$preload FT_CALL_COUNT=count ft-cat --version >version 2>&1 || [ ! -s count ]; then
	skip 'calls cannot be counted here'
	preload=
fi

# train ARGUMENTS: with what is in $hook as its environment, and on $pipe as a pipe.
hook='' pipe='' every=2
train() {
	if [ "$pipe" ]; then cat "$pipe" | env $hook ft-train -j 1 "$@"; else env $hook ft-train -j 1 "$@"; fi
}
# whole ARGUMENTS: what is wanted, without a checkpoint.
whole() { train "$@" --log want.log >want.ft 2>err || { fail "$*"; sed 's/^/# /' err; }; }
fresh() { rm -rf ck* .ck* log got.ft; }
# again ARGUMENTS: the same, with the checkpoint; how it differs from what is wanted.
again() {
	train "$@" --log log --checkpoint ck --every $every >got.ft 2>err && cmp got.ft want.ft && cmp log want.log ||
		{ echo "# $*: "; sed 's/^/# /' err; }
	left=$(ls -A | grep -e '^\.ck' -e 'ck\.new' -e 'ck\.lock')
	[ "$left" = '' ] || echo "# left: $left"
}
# dies AT ARGUMENTS: killed at that call.
dies() {
	hook="LD_PRELOAD=$preload FT_CALL_AT=$1 FT_CALL_SIGNAL=9" rc=0
	shift
	train "$@" --log log --checkpoint ck --every $every >got.ft 2>err || rc=$?
	[ $rc = 137 ] || { echo "# $hook: exit $rc, not killed"; sed 's/^/# /' err; }
	hook=''
}
# calls ARGUMENTS: how many there are.
calls() {
	fresh
	hook="LD_PRELOAD=$preload FT_CALL_COUNT=count"
	train "$@" --log log --checkpoint ck --every $every >got.ft 2>err
	hook=''
	cat count
}

# ---- whatever the options: killed three times on the way ----
survives() { # DESCRIPTION ARGUMENTS
	what=$1; shift
	whole "$@"
	fresh
	is "$what: a checkpoint changes nothing" "$(again "$@" 2>&1)" ''
	n=$(calls "$@")
	fresh
	is "$what: killed at calls $((n / 2)), $((n / 5)) and $((n / 6)) of $n" "$(
		{
			dies $((n / 2)) "$@"
			dies $((n / 5)) "$@"
			dies $((n / 6)) "$@"
			again "$@"
		} 2>&1)" ''
	like "$what: it went on" "$(cat err)" 'going on after step [1-9]'
}
if [ "$preload" ]; then
	survives 'three epochs, dropout' -m plan.ft train.bat
	survives 'validation, the best is kept' -m plan.ft --lr 1e-2 --schedule constant --valid valid.bat train.bat
	survives 'SGD, accumulated, a short last step' -m plan.ft --optimizer sgd --lr 0.05 --accumulate 4 --valid valid.bat \
		--valid-every 1 train.bat
	survives 'patience' -m plan.ft --lr 5e-3 --valid-every 3 --patience 2 --metric accuracy --valid valid.bat train.bat
	survives '--steps, warmup, another seed' -m plan.ft --steps 11 --warmup 4 --schedule cosine --seed 3 --dropout 0.3 train.bat
	survives 'a stream of unknown length' -m plan.ft unknown.bat
	survives 'masked words, weights of rows' -m mlm.ft --lr 1e-2 --weight-decay 0 mlm.bat
	survives 'a part of a tuned model' -m part.ft --lr 1e-2 --recompute train.bat
	survives 'Lion, an average of weights' -m plan.ft --optimizer lion --ema 0.8 --valid valid.bat train.bat
	survives 'shards' -m plan.ft --shards 4 --accumulate 2 --lr 1e-2 train.bat
	survives 'Adafactor, two passes' -m plan.ft --optimizer adafactor --relative --lr 0.01 --rdrop 1 train.bat
	survives 'AdamW in 8 bits, near the base' -m plan.ft --optimizer adamw8bit --lr 1e-2 --l2-sp 0.1 train.bat
	survives 'LoRA above layers that are kept' -m lora.ft --lr 1e-2 --trunk keep --seed 5 train.bat
	survives 'DoRA at the words' -m dora.ft --lr 1e-2 --seed 5 train.bat
	survives 'a teacher' -m plan.ft --distill tuned.ft train.bat
	pipe=train.bat
	survives 'a pipe' -m plan.ft --class-weight pos=2
	pipe=''
fi

# ---- at every call of a whole run, with several saves ----
if [ "$preload" ]; then
	set -- -m plan.ft --steps 4 --valid valid.bat --valid-every 2 train.bat
	whole "$@"
	n=$(calls "$@") k=1
	is "killed at each of $n calls" "$(
		while [ "$k" -le "$n" ]; do
			fresh
			dies $k "$@"
			again "$@"
			k=$((k + 1))
		done 2>&1)" ''
	is 'killed again and again on the way' "$(
		fresh
		k=1
		while [ "$k" -le 20 ]; do
			hook="LD_PRELOAD=$preload FT_CALL_AT=$((k + 8)) FT_CALL_SIGNAL=9"
			train "$@" --log log --checkpoint ck --every $every >got.ft 2>err || true
			k=$((k + 1))
		done 2>&1
		hook=''
		again "$@" 2>&1)" ''
fi

# ---- at each system call of saves: when they are done, what is named is whole, and the run goes on ----
if strace -o /dev/null true 2>/dev/null && ! ft-cat --version | grep -q sanitizer; then
	set -- -m plan.ft --steps 4 train.bat
	whole "$@"
	fresh
	strace -o saves ft-train -j 1 "$@" --log log --checkpoint ck --every 2 >got.ft 2>err
	first=$(grep -n 'ck\.new' saves | head -n 1 | cut -d : -f 1) last=$(grep -n 'ck\.lock' saves | tail -n 1 | cut -d : -f 1)
	step=9
	[ -z "${FT_TEST_LONG:-}" ] || step=1
	# Each as its name and how many of that name there were: "rename 2". How often memory and random numbers are asked
	# for differs from run to run.
	sed 's/(.*//' saves | awk -v from=$first -v to=$last -v step=$step '
		{ n[$1]++ } NR >= from && NR <= to && (NR - from) % step == 0 && $1 !~ /^(brk|getrandom)$/ { print $1, n[$1] }' >points
	is "killed at $(wc -l <points) of $((last - first + 1)) system calls" "$(
		while read -r name nth; do
			fresh
			strace -o trace -e trace=$name -e inject=$name:signal=KILL:when=$nth ft-train -j 1 "$@" --log log --checkpoint ck --every 2 \
				>got.ft 2>err
			grep -q '+++ killed by SIGKILL +++' trace || echo "# $name $nth: not killed"
			for f in ck ck.1; do [ ! -e $f ] || ft-cat --verify $f >verify 2>&1 || echo "# $name $nth: $(cat verify)"; done
			again "$@"
		done <points 2>&1)" ''
	like 'that is two saves, read back' "$(sed -n "${first},${last}p" saves | tr '\n' ' ')" 'ck\.new.*fsync.*rename.*fsync.*ck\.new.*fsync.*rename'
else
	skip 'system calls cannot be counted here'
fi

# ---- at random, in any state ----
times=12
[ -z "${FT_TEST_LONG:-}" ] || times=200
every=1
set -- -m plan.ft --valid valid.bat --valid-every 4 train.bat
whole "$@"
fresh
awk -v n=$times 'BEGIN { srand(7); for (i = 0; i < n; i++) printf "%.4f\n", 0.01 + 0.2 * rand() ^ 2 }' >delays
is "killed $times times at random" "$(
	while read -r delay; do
		timeout --foreground -s KILL "$delay" ft-train -j 1 "$@" --log log --checkpoint ck --every $every >got.ft 2>err || true
		ls ck.new .ck.* >>seen 2>/dev/null
		# Once it is done it begins again, now and then.
		grep -q 'is finished' err && fresh
	done <delays
	again "$@" 2>&1)" ''
done_testing
