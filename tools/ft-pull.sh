#!/bin/sh
# ft-pull - brings a model folder from a hub: config.json, the tokenizer's
# files and the weights as safetensors, over curl.
#
# The files gather in DIR.part and are checked there; DIR appears, by one
# rename, when all are complete. Run again, it goes on where it was cut off.
set -u
LC_ALL=C
export LC_ALL
version=@VERSION@
synopsis='[OPTION]... ORG/NAME'
summary='bring a model folder from a hub'

# letter|name|value|help
options='r|revision|REV|branch, tag or commit (default: main)
o|output|DIR|folder to make (default: NAME)
|sha256|FILE=HEX|digest that FILE must have; may be repeated
|endpoint|URL|the hub (default: $HF_ENDPOINT, or huggingface.co)
q|quiet||no notes and no progress on stderr
h|help|[=man]|print this help, or OPTIONS for the manual page
V|version||print the version'

# ---- what every tool does alike ----
die() { # CODE MESSAGE: one line, control characters shown as '?'
	printf 'ft-pull: %s\n' "$2" | tr -c '\040-\176\200-\377\n' '?' >&2
	exit "$1"
}
note() { [ -n "$quiet" ] || printf 'ft-pull: %s\n' "$1" >&2; }
print() { printf '%s\n' "$1" 2>/dev/null || die 1 'stdout: cannot be written'; }

help() {
	print "Usage: ft-pull $synopsis
$(printf %s "$summary" | sed 's/^b/B/').

Options:
$(printf '%s\n' "$options" | awk -F '|' '{
	value = $3 == "" ? "" : substr($3, 1, 1) == "[" ? $3 : " " $3
	printf "  %s--%-21s %s\n", $1 == "" ? "    " : "-" $1 ", ", $2 value, $4
}')

The manual page ft-pull(1) says more; ft(7) is the overview."
}

help_man() { # mdoc(7), for the OPTIONS section
	print ".Bl -tag -width Ds
$(printf '%s\n' "$options" | awk -F '|' '{
	gsub("-", "\\-", $4)
	value = $3 == "" ? "" : $3 == "[=man]" ? " Ns Op = Ns Ar man" : " Ar " $3
	print ".It" ($1 == "" ? "" : " Fl " $1 " ,") " Fl \\-" $2 value
	print $4
}')
.El"
}

# ---- the command line ----
quiet='' rev=main out='' endpoint=${HF_ENDPOINT:-https://huggingface.co} digests='' repo=''

set_option() { # NAME VALUE
	case $1 in
	revision) rev=$2 ;;
	output) out=$2 ;;
	endpoint) endpoint=$2 ;;
	sha256)
		printf '%s\n' "$2" | grep -Eq '^[^=/ ]+=[0-9A-Fa-f]{64}$' ||
			die 2 "--sha256: '$2' is not FILE=HEX, with 64 hexadecimal digits"
		digests="$digests$2
"
		;;
	quiet) quiet=1 ;;
	help) case $2 in '') help ;; man) help_man ;; *) die 2 "--help: '$2' is not a form of help; 'man' is" ;; esac
		exit 0 ;;
	version) print "ft-pull (ft) $version"; exit 0 ;;
	esac
}
long_of() { printf '%s\n' "$options" | awk -F '|' -v l="$1" '$1 == l { print $2 }'; }
# Does option NAME take a value: yes, no, or nothing when there is none of that name.
takes() { printf '%s\n' "$options" | awk -F '|' -v n="$1" '$2 == n { print $3 == "" || $3 ~ /^\[/ ? "no" : "yes" }'; }

operand() {
	[ -z "$repo" ] || die 2 'one ORG/NAME is expected'
	repo=$1
	[ -n "$repo" ] || die 2 "'' is not the name of a repository"
}
while [ $# -gt 0 ]; do
	arg=$1; shift
	case $arg in
	--) while [ $# -gt 0 ]; do operand "$1"; shift; done ;;
	--*)
		name=${arg#--}; name=${name%%=*}
		case $(takes "$name") in
		yes) case $arg in
			*=*) set_option "$name" "${arg#*=}" ;;
			*) [ $# -gt 0 ] || die 2 "--$name needs a value"
				set_option "$name" "$1"; shift ;;
			esac ;;
		no) case $arg in
			--help=*) set_option help "${arg#*=}" ;;
			*=*) die 2 "--$name takes no value" ;;
			*) set_option "$name" '' ;;
			esac ;;
		*) die 2 "unknown option '--$name'; see ft-pull --help" ;;
		esac ;;
	-?*)
		rest=${arg#-}
		while [ -n "$rest" ]; do
			letter=${rest%"${rest#?}"}; rest=${rest#?}
			case $letter in '|' | ' ') name='' ;; *) name=$(long_of "$letter") ;; esac
			[ -n "$name" ] || die 2 "unknown option '-$letter'; see ft-pull --help"
			if [ "$(takes "$name")" = no ]; then set_option "$name" ''; continue; fi
			if [ -z "$rest" ]; then
				[ $# -gt 0 ] || die 2 "-$letter needs a value"
				rest=$1; shift
			fi
			set_option "$name" "$rest"; rest=''
		done ;;
	*) operand "$arg" ;;
	esac
done

[ -n "$repo" ] || die 2 'ORG/NAME is missing; see ft-pull --help'
plain_name() { printf '%s\n' "$1" | grep -Eq '^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?$'; }
plain_name "$repo" || die 2 "'$repo' is not the name of a repository (ORG/NAME)"
printf '%s\n' "$rev" | grep -Eq '^[A-Za-z0-9._/-]+$' || die 2 "--revision: '$rev' is not the name of a revision"
case $endpoint in https://?* | http://?*) endpoint=${endpoint%/} ;; *) die 2 "--endpoint: '$endpoint' is not an http or https address" ;; esac
: "${out:=${repo##*/}}"
out=${out%/}
part=$out.part
command -v curl >/dev/null || die 1 'curl is missing (Debian: apt-get install curl)'

# ---- bringing one file ----
scheme='=https'
case $endpoint in http://*) scheme='=http,https' ;; esac
bar=''
[ -t 2 ] && [ -z "$quiet" ] && bar=1
case ${HF_TOKEN:-} in *[!A-Za-z0-9._-]*) die 2 'HF_TOKEN: not a token' ;; esac

# curl, whose own messages come on stdout. The token, if any, goes through a
# pipe: arguments are for all to see.
fetch() {
	if [ -n "${HF_TOKEN:-}" ]; then printf 'header = "Authorization: Bearer %s"\n' "$HF_TOKEN"; fi |
		if [ -n "$bar" ]; then curl -K - --progress-bar "$@"; else curl -K - --silent "$@"; fi
}
# The last header NAME of the answer, without quotes.
header() { tr -d '\r"' <"$part/.head" | awk -F ': *' -v n="$1" 'tolower($1) == n { v = $2 } END { print v }'; }
status() { awk '/^HTTP\// { s = $2 } END { print s }' "$part/.head" 2>/dev/null; }
bytes() { wc -c <"$1" | tr -d ' '; }

# try FILE: one attempt at $part/FILE.part, or at what is missing of it. Returns
# 0 when it is all there, 4 when the hub has no such file, 18 when it was cut
# and can go on, 33 when it must begin anew; else $why says why not.
try() {
	rm -f "$part/.head"
	[ -z "$bar" ] || echo "$1" >&2
	why=$(fetch --dump-header "$part/.head" --continue-at - --output "$part/$1.part" --write-out '%{errormsg}' \
		--proto "$scheme" --proto-redir "$scheme" --location --fail --connect-timeout 30 \
		--speed-limit 1 --speed-time 60 --user-agent "ft-pull/$version" "$url")
	rc=$? code=$(status)
	case $rc in
	0)
		[ -f "$part/$1.part" ] || : >"$part/$1.part" # an empty file
		return 0 ;;
	22)
		case $code in
		404) return 4 ;;
		416) # nothing is left to send: is it all there, or another file?
			[ "$(header content-range)" = "bytes */$(bytes "$part/$1.part")" ] || return 33 ;;
		401 | 403) why="the hub refuses ($code); HF_TOKEN may help"; return 1 ;;
		408 | 429 | 5??) why="the hub answers $code"; return 18 ;;
		*) why="the hub answers $code"; return 1 ;;
		esac ;;
	18 | 28 | 52 | 55 | 56 | 92) return 18 ;;
	33) return 33 ;;
	*) return 1 ;;
	esac
}

# pull FILE: 0 when $part/FILE is complete and checked, 4 when the hub has none.
pull() {
	url=$endpoint/$repo/resolve/$commit/$1
	[ ! -f "$part/$1" ] || return 0
	for left in 3 2 1 0; do
		try "$1"
		case $? in
		0) break ;;
		4) return 4 ;;
		33) rm -f "$part/$1.part"; why="$why (begun anew)" ;;
		18) [ "$left" = 0 ] || sleep 1 ;;
		*) left=0 ;;
		esac
		[ "$left" != 0 ] || die 1 "$url: $why; run again to go on"
	done
	check "$1"
	mv -f "$part/$1.part" "$part/$1" || die 1 "$part/$1: cannot be written"
}

# ---- checking one file ----
damaged() { rm -f "$part/$1.part"; die 65 "$1: $2; it was deleted"; }

# The digest that was asked for, and the one the hub tells of large files.
check() {
	asked=$(printf '%s' "$digests" | sed -n "s/^$(printf %s "$1" | sed 's/[.]/\\./g')=//p" | tail -n 1 | tr A-F a-f)
	told=$(header x-linked-etag)
	[ "${#told}" = 64 ] || told=''
	if [ -n "$asked$told" ]; then
		have=$(sha256sum <"$part/$1.part") || die 1 "$part/$1.part: cannot be read"
		have=${have%% *}
		[ "${asked:-$have}" = "$have" ] || damaged "$1" "its sha256 is $have, not $asked"
		[ "${told:-$have}" = "$have" ] || damaged "$1" "its sha256 is $have, not $told as the hub says"
	fi
	case $1 in
	*.safetensors) check_safetensors "$1" ;;
	*.json) head -c 1 "$part/$1.part" | grep -q '[[{]' || damaged "$1" 'not JSON' ;;
	esac
}

# Header length, header, data: the largest data offset must be the end of the file.
check_safetensors() {
	size=$(bytes "$part/$1.part")
	[ "$size" -ge 8 ] || damaged "$1" "$size bytes are no safetensors file"
	n=$(od -A n -t u1 -N 8 "$part/$1.part" | awk '{ for (i = 8; i > 0; i--) n = n * 256 + $i; printf "%.0f", n }')
	[ "${#n}" -le 9 ] && [ "$n" -le 100000000 ] && [ $((n + 8)) -le "$size" ] ||
		damaged "$1" "no safetensors file (its header would have $n bytes)"
	end=$(tail -c +9 "$part/$1.part" | head -c "$n" | tr -d ' \n\r\t' | grep -o '"data_offsets":\[[0-9]*,[0-9]*\]' |
		awk -F '[],]' '$2 > m { m = $2 } END { printf "%.0f", m }')
	[ "$size" -eq $((8 + n + end)) ] || damaged "$1" "$size bytes, where its header speaks of $((8 + n + end))"
}

# ---- the folder ----
[ ! -e "$out" ] || die 1 "$out: exists already; -o names another folder"
origin="$endpoint $repo $rev"
if [ -e "$part" ]; then
	[ "$(sed -n 1p "$part/.origin" 2>/dev/null)" = "$origin" ] ||
		die 1 "$part: holds something else than a part of $repo at $rev; remove it, or choose another folder with -o"
	note "going on in $part"
else
	mkdir -p "$part" && printf '%s\n' "$origin" >"$part/.origin" || die 1 "$part: cannot be written"
fi
# All files come from one commit, also when the branch moves meanwhile.
commit=$(sed -n 2p "$part/.origin")
if [ -z "$commit" ]; then
	commit=$rev
	rm -f "$part/config.json"
	pull config.json || die 1 "$endpoint/$repo: no config.json at revision '$rev' (or no such repository)"
	commit=$(header x-repo-commit)
	printf '%s\n' "$commit" | grep -Eq '^[0-9a-f]{40,64}$' || commit=$rev
	printf '%s\n' "$commit" >>"$part/.origin" || die 1 "$part: cannot be written"
fi
[ "$commit" = "$rev" ] || note "$repo at commit $commit"
pull config.json || die 1 "$endpoint/$repo: no config.json at commit $commit"

tokenizer=''
for file in tokenizer.json vocab.txt vocab.json merges.txt tokenizer_config.json special_tokens_map.json added_tokens.json; do
	pull "$file"
	case $?$file in 0tokenizer.json | 0vocab.txt | 0vocab.json) tokenizer=1 ;; esac
done
for file in tokenizer.model spiece.model sentencepiece.bpe.model spm.model; do
	[ -n "$tokenizer" ] || ! pull "$file" || tokenizer=1
done
[ -n "$tokenizer" ] || note "$repo has neither tokenizer.json nor an older form of it: ft-tokenize will not be able to use it"

# How a sentence-transformers model makes one vector of a text: these files, and a folder for some modules.
if pull modules.json; then
	for file in sentence_bert_config.json config_sentence_transformers.json; do pull "$file"; done
	for folder in $(grep -o '"path": *"[^"]*"' "$part/modules.json" | sed 's/.*"\([^"]*\)"$/\1/' | sort -u); do
		case $folder in *[!A-Za-z0-9._-]* | .*) die 65 "modules.json: '$folder' is not the name of a folder in this one" ;; esac
		mkdir -p "$part/$folder" || die 1 "$part/$folder: cannot be made"
		for file in config.json model.safetensors; do pull "$folder/$file"; done
		rmdir "$part/$folder" 2>/dev/null
	done
fi

if ! pull model.safetensors; then
	index=model.safetensors.index.json
	pull "$index" || die 1 "$repo has no model.safetensors (weights in a pickle, pytorch_model.bin, are not brought)"
	shards=$(grep -o '"[^"]*\.safetensors"' "$part/$index" | tr -d '"' | sort -u)
	[ -n "$shards" ] || die 65 "$index: names no file"
	for file in $shards; do
		case $file in *[!A-Za-z0-9._-]* | .*) die 65 "$index: '$file' is not the name of a file in the folder" ;; esac
		pull "$file" || die 65 "$index: the hub has no '$file'"
	done
fi
printf '%s' "$digests" | while IFS='=' read -r file _; do
	[ -f "$part/$file" ] || die 2 "--sha256: '$file' is not one of the files that were brought"
done || exit

rm -f "$part/.origin" "$part/.head"
sync "$part"/* "$part"/*/* "$part" 2>/dev/null || sync
mv "$part" "$out" || die 1 "$out: cannot be made"
sync "$(dirname "$out")" 2>/dev/null || sync
note "$out: $(du -sk "$out" | awk '{ printf "%.1f MB", $1 / 1000 }')"
