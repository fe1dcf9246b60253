# lib.sh - what the shell tests share; sourced, not run. TAP on stdout.
# $SRC: the repository; $T: a fresh folder, removed at the end; $DATA: real test
# data beside the repository, or empty; the tools are on PATH.
set -u
SRC=$(cd "$(dirname "$0")" && while [ ! -f Makefile ] || [ ! -d lib ]; do cd ..; done && pwd)
: "${BUILD:=$SRC/build}"
case $BUILD in /*) ;; *) BUILD=$SRC/$BUILD ;; esac
PATH=$BUILD/bin:$PATH
DATA=$(cd "$SRC/../shared/data" 2>/dev/null && pwd || true)
T=$(mktemp -d "${TMPDIR:-/tmp}/ft-test.XXXXXX")
trap 'rm -rf "$T"' EXIT
LC_ALL=C.UTF-8
export PATH LC_ALL SRC T DATA BUILD
tap_n=0 tap_bad=0

pass() { tap_n=$((tap_n + 1)); echo "ok $tap_n - $1"; }
fail() { tap_n=$((tap_n + 1)); tap_bad=$((tap_bad + 1)); echo "not ok $tap_n - $1"; }

# ok DESCRIPTION COMMAND...: the command succeeds.
ok() {
	tap_what=$1; shift
	if "$@" >"$T/.out" 2>&1; then pass "$tap_what"; else
		tap_rc=$?; fail "$tap_what"; echo "# exit $tap_rc: $*"; sed 's/^/# /' "$T/.out" | head -n 20
	fi
}

# is DESCRIPTION GOT WANT
is() {
	if [ "$2" = "$3" ]; then pass "$1"; else
		fail "$1"; printf '%s\n' "got: $2" "wanted: $3" | head -n 40 | sed 's/^/# /'
	fi
}

# like DESCRIPTION GOT ERE
like() {
	if printf '%s\n' "$2" | grep -Eq -e "$3"; then pass "$1"; else
		fail "$1"; printf '%s\n' "got: $2" "wanted a match of: $3" | head -n 40 | sed 's/^/# /'
	fi
}

# fails DESCRIPTION CODE COMMAND...: exits with CODE, says why in one line on
# stderr (left in $T/.err), nothing on stdout is asked.
fails() {
	tap_what=$1 tap_want=$2; shift 2
	tap_rc=0; "$@" >"$T/.out" 2>"$T/.err" </dev/null || tap_rc=$?
	tap_lines=$(grep -c . "$T/.err" || true)
	if [ "$tap_rc" = "$tap_want" ] && [ "$tap_lines" = 1 ]; then pass "$tap_what"; else
		fail "$tap_what"; echo "# exit $tap_rc, wanted $tap_want: $*"; sed 's/^/# /' "$T/.err" | head -n 10
	fi
}

# find_python MODULES: $python is one that has them ("a, b"), Debian's or another; or empty.
find_python() {
	python=
	for tap_python in python3 /usr/bin/python3; do
		[ -n "$python" ] || ! $tap_python -c "import $1" 2>/dev/null || python=$tap_python
	done
}

# skip REASON: one skipped test.
skip() { tap_n=$((tap_n + 1)); echo "ok $tap_n # skip $1"; }

done_testing() { echo "1..$tap_n"; [ "$tap_bad" = 0 ]; exit; }
