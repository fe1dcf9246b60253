#!/bin/sh
# What every tool does alike: help, version, wrong options, a standard output that cannot be written.
. "$(dirname "$0")/../lib.sh"
cd "$T" || exit 1
tools=$(cd "$SRC/tools" && ls ft-*.c ft-*.sh 2>/dev/null | sed 's/\.[a-z]*$//')
version=$(sed -n 's/^VERSION *:= *//p' "$SRC/Makefile")

# quiet DESCRIPTION COMMAND...: succeeds, and says nothing on stderr.
quiet() {
	quiet_what=$1; shift
	if "$@" >"$T/said" 2>"$T/.err" </dev/null && [ ! -s "$T/.err" ]; then pass "$quiet_what"; else
		fail "$quiet_what"; sed 's/^/# /' "$T/.err" | head -n 5
	fi
}

for tool in $tools; do
	quiet "$tool --help" "$tool" --help
	is "$tool --help begins with how to use it" "$(head -n 1 said | cut -d ' ' -f 1,2)" "Usage: $tool"
	is "$tool --help fits into 80 columns" "$(grep -c '.\{81\}' said)" 0
	cp said help
	quiet "$tool -h" "$tool" -h
	ok "$tool -h is the same" cmp said help
	quiet "$tool --version" "$tool" --version
	is "$tool --version says name and version" "$(head -n 1 said)" "$tool (ft) $version"
	quiet "$tool --help=man" "$tool" --help=man
	fails "$tool: an unknown form of help" 2 "$tool" --help=html
	fails "$tool: an unknown option" 2 "$tool" --nonsense
	like "$tool: it is named, with where to look" "$(cat .err)" "^$tool: unknown option '--nonsense'; see $tool --help\$"
	fails "$tool: an unknown letter" 2 "$tool" -Z
	fails "$tool: an abbreviated option" 2 "$tool" --vers
	fails "$tool: a value for a flag" 2 "$tool" --quiet=yes
	fails "$tool: help to a full disk" 1 sh -c '"$0" --help >/dev/full' "$tool"
	fails "$tool: help to a closed output" 1 sh -c '"$0" --help >&-' "$tool"
	like "$tool: which is said" "$(cat .err)" "^$tool: stdout"
	# Options that take a value say so when there is none.
	name=$(grep -o -e '--[a-z-]* [A-Z]' help | sed 's/ .*//' | tail -n 1)
	fails "$tool: $name without its value" 2 "$tool" "$name"
done

# ---- operands that are missing ----
for tool in ft-tokenize ft-train ft-eval ft-predict ft-export; do
	fails "$tool: no model" 2 "$tool"
	like "$tool: it is asked for" "$(cat .err)" '-m|MODEL'
	case $tool in
	ft-eval) continue ;; # opens its stream first
	ft-export) set -- x ;;
	*) set -- ;;
	esac
	fails "$tool: a model that is not there" 1 "$tool" -m "$T/nothing" "$@"
	like "$tool: it is named" "$(cat .err)" "$T/nothing"
done
fails 'ft-freeze: no model' 2 ft-freeze
fails 'ft-merge: models that are not there' 1 ft-merge "$T/nothing" "$T/nothing"
fails 'ft-pull: no repository' 2 ft-pull

# ---- numbers ----
fails 'a number that is none' 2 ft-batch --rows ten
fails 'a number that goes on' 2 ft-batch --rows 10x
fails 'a number too large' 2 ft-batch --rows 99999999999999999999
fails 'a real number that is none' 2 ft-train --lr fast
fails 'a number that is infinite' 2 ft-train --lr inf

# ---- a stream whose writer cannot write, or whose reader has gone ----
M=$SRC/tests/ref/tiny-bert
printf 'neg\tbad\npos\tgood\n' >a.tsv
ft-freeze -H classify:neg,pos "$M" >plan.ft
ft-tokenize -q -m plan.ft a.tsv >a.tok
ft-batch -e 2 a.tok >a.bat
ft-train -q -m plan.ft a.bat >tuned.ft
for command in "ft-freeze $M" 'ft-tokenize -q -m plan.ft a.tsv' 'ft-batch a.tok' 'ft-train -q -m plan.ft a.bat' \
	'ft-merge -q tuned.ft plan.ft' 'ft-eval -q -m tuned.ft a.bat' 'ft-predict -q -m tuned.ft a.tsv' 'ft-cat a.bat'; do
	quiet "$command" $command
	fails "$command, to a full disk" 1 sh -c "$command >/dev/full"
	fails "$command, to a closed output" 1 sh -c "$command >&-"
	is "$command, to a reader that left" "$({ { $command; echo $? >rc; } | true; } 2>&1; cat rc)" "$(
		# quickly written output may all fit into the pipe
		case $(cat rc) in 0) echo 0 ;; *) echo 141 ;; esac)"
done
# -o: nothing appears, nothing stays.
mkdir out
chmod 555 out
if [ "$(id -u)" != 0 ]; then
	fails '-o where nothing may be written' 1 ft-batch -o out/x a.tok
else
	skip 'root may write everywhere'
fi
chmod 755 out
fails '-o in a folder that is not there' 1 ft-batch -o nowhere/x a.tok
printf old >out/x
fails '-o of a run that fails' 76 ft-batch -o out/x /dev/null
is 'leaves the old file' "$(cat out/x)" old
is 'and no other' "$(ls -A out)" x
ok '-o' ft-batch -o out/x a.tok
ok 'makes a whole stream' ft-cat --verify out/x
is 'and leaves no other file' "$(ls -A out)" x
ok '-o - is standard output' sh -c 'ft-batch -o - a.tok | cmp - out/x'
ok '- is standard input' sh -c 'ft-batch - <a.tok | cmp - out/x'
ok '-- ends the options' sh -c 'cp a.tok ./-a && ft-batch -- -a | ft-cat --verify'
done_testing
