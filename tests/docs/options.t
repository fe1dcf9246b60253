#!/bin/sh
# The OPTIONS of every page are what the tool's own table says, and the script
# that holds them to it notices when not.
. "$(dirname "$0")/../lib.sh"
options=$SRC/tests/docs/options
BIN=$BUILD/bin
export BIN

ok 'the OPTIONS of all pages are up to date (make golden writes them)' "$options"

cp -r "$SRC/man" "$T/man"
MAN=$T/man
export MAN
ok '--write' "$options" --write
ok 'then nothing differs' "$options"
is 'without the table a page is as it was' "$(sed '/BEGIN OPTIONS/,/END OPTIONS/d' "$T/man/ft-cat.1")" \
	"$(sed '/BEGIN OPTIONS/,/END OPTIONS/d' "$SRC/man/ft-cat.1")"
sed -i 's/^\.It .*Fl \\-from-json/&x/' "$T/man/ft-cat.1"
fails 'an option of another name is noticed' 1 "$options"
like 'and the page named' "$(cat "$T/.err")" 'man/ft-cat\.1: OPTIONS differ'
ok 'and mended' sh -c '"$0" --write && "$0"' "$options"
sed -i '/END OPTIONS/d' "$T/man/ft-cat.1"
cp "$T/man/ft-cat.1" "$T/before"
fails 'a page without the end mark is refused' 1 "$options" --write
ok 'and left alone' cmp "$T/man/ft-cat.1" "$T/before"
cp "$SRC/man/ft-cat.1" "$T/man/ft-cat.1"
"$options" --write
cp "$T/man/ft-cat.1" "$T/man/ft-dog.1"
fails 'a page without a tool is named' 1 sh -c '"$0" 2>&1 | grep ft-dog.1 >&2; exit 1' "$options"
done_testing
