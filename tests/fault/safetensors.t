#!/bin/sh
# Broken model folders are refused in one line, and a disk that fails under
# ft-export leaves nothing behind.
. "$(dirname "$0")/../lib.sh"
export OMP_WAIT_POLICY=passive
cp -r "$SRC/tests/ref/tiny-bert-classify" "$T/m"
cd "$T"
whole=$(wc -c <m/model.safetensors)
cp m/model.safetensors good

# ---- cut weights: in the length, in the header, at its end, in the data ----
header=$(od -An -tu8 -N8 good | tr -d ' ')
bad=0
for n in 0 1 7 8 9 100 $((header / 2)) $((header + 7)) $((header + 8)) $((header + 9)) $((whole - 1)); do
	head -c "$n" good >m/model.safetensors
	rc=0
	ft-export -m m out 2>err >stdout || rc=$?
	[ $rc = 65 ] && [ "$(wc -l <err)" = 1 ] && [ ! -s stdout ] && [ ! -e out ] && grep -q 'model.safetensors: ' err ||
		{ bad=$((bad + 1)); echo "# cut at $n: exit $rc"; sed 's/^/# /' err; }
done
is 'weights cut at eleven places: 65, one line, no output' "$bad" 0
{ cat good; printf x; } >m/model.safetensors
fails 'a byte too many' 65 ft-export -m m out
like 'says how many there are' "$(cat .err)" 'model.safetensors: [0-9]+ bytes of data, but the tensors have [0-9]+$'

# ---- lengths that lie; little memory and time are needed to see it ----
for length in '\377\377\377\377\377\377\377\377' '\370\377\377\377\377\377\377\377' '\000\341\365\005\0\0\0\0' \
	'\377\340\365\005\0\0\0\0' '\0\0\0\0\001\0\0\0'; do
	{ printf "$length"; tail -c +9 good; } >m/model.safetensors
	(ft-export --version | grep -q sanitizer || ulimit -v 500000; fails "a header of $length bytes" 65 timeout 2 ft-export -m m out)
done >lengths
is 'five lengths that lie' "$(grep -c '^ok' lengths)" 5

if ! ft-export --version | grep -q sanitizer; then
	truncate -s 4G m/model.safetensors
	rc=0
	(ulimit -v 900000; exec ft-export -q -m m out) 2>err || rc=$?
	is 'a file for which there is no room' "$rc $(cat err)" \
		'1 ft-export: m/model.safetensors: cannot map 4294967296 bytes: Cannot allocate memory'
fi

# ---- each byte of the header changed: refused, or another valid file ----
bad=0 n=8
while [ $n -lt 400 ]; do
	{ head -c $n good; printf '\001'; tail -c +$((n + 2)) good; } >m/model.safetensors
	rc=0
	timeout 5 ft-export -m m out 2>err || rc=$?
	[ $rc = 65 ] && [ "$(wc -l <err)" = 1 ] || { bad=$((bad + 1)); echo "# byte $n: exit $rc"; }
	n=$((n + 13))
done
is 'a control character anywhere in the header is refused' "$bad" 0
{ head -c 60 good; printf '\033[31m'; tail -c +66 good; } >m/model.safetensors
fails 'an escape sequence in a name' 65 ft-export -m m out
is 'does not reach the terminal' "$(tr -cd '\033' <.err | wc -c | tr -d ' ')" 0

# ---- what is not a file ----
rm m/model.safetensors && mkdir m/model.safetensors
fails 'a folder in the place of the weights' 1 ft-export -m m out
rmdir m/model.safetensors && mkfifo m/model.safetensors
fails 'a fifo in their place' 1 timeout 5 ft-export -m m out
rm m/model.safetensors
fails 'no weights' 1 ft-export -m m out
echo x >m/pytorch_model.bin
fails 'weights in a pickle' 1 ft-export -m m out
like 'says why it is not read' "$(cat .err)" 'pytorch_model.bin, a pickle, which is not read because it can run code'
rm m/pytorch_model.bin
cp good m/model.safetensors
is 'no attempt left anything' "$(ls -A | grep -c -e '^out' -e '^\.out\.')" 0

# ---- a disk that fails ----
if ! strace -o /dev/null true 2>/dev/null; then
	skip 'strace cannot be used here'
else
	ASAN_OPTIONS=detect_leaks=0 # leaks cannot be looked for under strace
	export ASAN_OPTIONS
	for call in fsync renameat2,rename write; do
		bad=0 failed=0 n=1
		while [ $n -le 12 ]; do
			rc=0
			strace -f -qq -o trace -e trace=$call -e inject=$call:error=EIO:when=$n \
				ft-export -q -m m out 2>err || rc=$?
			if [ $rc = 0 ]; then
				[ -e out/model.safetensors ] || bad=$((bad + 1))
			else
				failed=$((failed + 1))
				[ $rc = 1 ] && grep -q 'Input/output error' err || bad=$((bad + 1))
				# Only the last step, syncing the parent, comes after the name is given.
				[ ! -e out ] || cmp -s out/model.safetensors good || bad=$((bad + 1))
			fi
			[ -z "$(ls -A | grep '^\.out\.')" ] || { bad=$((bad + 1)); rm -rf .out.*; }
			rm -rf out
			n=$((n + 1))
		done
		is "$call fails once, at each of its first 12 calls: all or nothing" "$bad" 0
		is "$call was needed" "$((failed > 2))" 1
	done
	# A file system that cannot exchange two names: the way around it.
	for error in EINVAL EPERM; do
		ft-export -q -m "$SRC/tests/ref/tiny-bert-mlm" out
		rc=0
		strace -f -qq -o trace -e trace=renameat2 -e inject=renameat2:error=$error ft-export -q --force -m m out 2>err || rc=$?
		cmp -s out/model.safetensors good && new=1 || new=0
		is "$error from an exchange of folders: replaced, or unchanged" \
			"$rc $new $(ls -A | grep -c '^\.out\.')" "$([ $error = EINVAL ] && echo 0 1 0 || echo 1 0 0)"
		rm -rf out
	done
	# SIGKILL at any write: the name appears only when everything is there.
	bad=0 n=1
	while [ $n -le 12 ]; do
		strace -f -qq -o trace -e trace=write,fsync -e inject=write,fsync:signal=KILL:when=$n \
			ft-export -q -m m out >killed 2>&1
		[ ! -e out ] || cmp -s out/model.safetensors good || bad=$((bad + 1))
		rm -rf out .out.*
		n=$((n + 1))
	done
	is 'killed at any of the first 12 writes: all or nothing' "$bad" 0
fi
done_testing
