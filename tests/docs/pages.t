#!/bin/sh
# The documents are whole and say what is there: pages, README, headers.
. "$(dirname "$0")/../lib.sh"
cd "$SRC" || exit 1
tools=$(ls tools/*.c tools/*.sh 2>/dev/null | sed 's|tools/||; s|\.[a-z]*$||')
documents=$(ls ./*.md man/*.[1-8] pipelines/*/README.md pipelines/*/*/README.md)

have_mandoc=$(command -v mandoc)

# ---- every tool has a page, which names its options; every page is clean ----
for tool in $tools; do
	page=man/$tool.1
	ok "$tool has a page" test -f "$page"
	[ -f "$page" ] || continue
	"$tool" --help >"$T/help"
	summary=$(sed -n '/^Usage/d; /^  or:/d; p; q' "$T/help" | tr '[:upper:]' '[:lower:]' | sed 's/\.$//')
	is "$tool: the page has the same summary" "$(sed -n 's/^\.Nd //p' "$page" | tr '[:upper:]' '[:lower:]')" "$summary"
	is "$tool: SYNOPSIS names it" "$(sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESC/p' "$page" | grep -c '^\.Nm')" \
		"$(grep -c -e '^Usage:' -e '^  or: ' "$T/help")"
	grep -o -e ' --[a-z0-9-]*' "$T/help" | sort -u | sed 's/^ --//' >"$T/names"
	missing=''
	while read -r name; do
		grep -q -e "Fl \\\\-$name\\b" "$page" || missing="$missing --$name"
	done <"$T/names"
	is "$tool: the page has all options of --help" "$missing" ''
	ok "ft.7 names $tool" grep -q "^\.It Xr $tool 1\$" man/ft.7
	ok "README names $tool" grep -q "$tool" README.md
done
if [ -n "$have_mandoc" ]; then
	for page in man/*.[1-8]; do
		is "$page: mandoc has nothing to say" "$(mandoc -T lint -W warning "$page" 2>&1)" ''
	done
else
	skip 'no mandoc'
fi
is 'every page that is referred to is there' "$(sed -n 's/^\.Xr \(ft[a-z-]*\) \([1-8]\).*/man\/\1.\2/p' man/*.[1-8] | sort -u |
	while read -r page; do [ -f "$page" ] || echo "$page"; done)" ''
# Words in these pages that look like options are options of some tool.
for tool in $tools; do "$tool" --help; done | grep -o -e '--[a-z][a-z0-9-]*' | sort -u >"$T/all-options"
is 'every long option that a page speaks of exists' "$(
	for page in man/*.[17]; do
		sed '/BEGIN OPTIONS/,/END OPTIONS/d' "$page" |
			grep -o -e 'Fl \\-[a-z][a-z0-9-]*' -e '\bft-[a-z]* [^|]*' -e '^ *--[a-z-]*' | grep -v '^ft-.*curl' |
			sed 's/\\-/-/g; s/Fl -/--/g' | grep -o -e '--[a-z][a-z0-9-]*' | sort -u | comm -23 - "$T/all-options" |
			sed "s|^|$page: |"
	done | grep -v -e ': --option$')" ''

# ---- exit codes ----
sed -n 's/^[\t ]*X(FT_[A-Z]*, \([0-9]*\), "\(.*\)").*/\1 \2/p' include/ft/err.h >"$T/codes"
like 'err.h is understood' "$(cat "$T/codes")" '^65 malformed input$'
ft7=$(tr '\n' ' ' <man/ft.7 | tr '[:upper:]' '[:lower:]')
while read -r code meaning; do
	case $ft7 in
	*".it $code $meaning"*) pass "ft.7 has exit status $code" ;;
	*) fail "ft.7 has exit status $code: $meaning" ;;
	esac
done <"$T/codes"
for page in man/*.1; do
	is "$page: its exit statuses are those there are" "$(sed -n '/^\.Sh EXIT STATUS/,/^\.Sh EX/p' "$page" |
		sed -n 's/^\.It \([0-9]*\)$/\1/p' | grep -vx -e 0 -e "$(cut -d ' ' -f 1 "$T/codes" | sed ':a;N;$!ba;s/\n/\\|/g')")" ''
done

# ---- headers ----
for header in include/ft/*.h; do
	ok "$header compiles alone" sh -c 'echo "#include \"${1#include/}\"" |
		${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Iinclude -Wall -Wextra -Werror -fsyntax-only -x c -' - "$header"
done

# ---- README and the others: links lead somewhere, words belong ----
for document in *.md pipelines/*/README.md pipelines/*/*/README.md; do
	is "$document: relative links lead to something" "$(
		grep -o '](\([^)]*\))' "$document" | sed 's/^](//; s/)$//; s/#.*//' | grep -v -e '^https\?:' -e '^$' | while read -r link; do
			[ -e "$(dirname "$document")/$link" ] || echo "$link"
		done)" ''
done
is 'README, CONTRIBUTING: the files they name are there' "$(grep -o '`[a-zA-Z0-9_./-]*/[a-zA-Z0-9_.*-]*`' README.md CONTRIBUTING.md |
	sed 's/.*`\(.*\)`/\1/' | sort -u | grep -v NAME | grep -e '^lib/' -e '^tools/' -e '^tests/' -e '^man/' -e '^include/' -e '^pipelines/' |
	while read -r path; do ls -d $path >/dev/null 2>&1 || echo "$path"; done)" ''
is 'every function, structure and file of tables that CONTRIBUTING names is there' "$(
	grep -o -e '`[a-z_]*()`' -e '`struct [a-z_]*`' -e '`enum [a-z_]*`' CONTRIBUTING.md | tr -d '`()' | sort -u | while read -r name; do
		grep -rqw -e "${name#struct ft_noun}" include lib tools || echo "$name"
	done | grep -v -x -e ft_noun_verb -e out)" ''
is 'every target of the Makefile that README and CONTRIBUTING name is there' "$(
	grep -o '`make [a-z-]*' README.md CONTRIBUTING.md | sed 's/.* //' | sort -u | while read -r target; do
		grep -q "^$target:" Makefile || echo "$target"
	done)" ''
is 'no document has what belongs elsewhere' "$(
	grep -n -i -e '\bTODO\b' -e '\bFIXME\b' -e '\bXXX\b' -e '/home/' -e '/work/' -e '/root/' -e '/tmp/s' -e '\.\./shared' $documents |
		grep -v 'XXXXXX')" ''
done_testing
