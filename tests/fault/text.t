#!/bin/sh
# Text that is not as text should be, for every reader: the table in ft-tokenize(1), TEXT THAT IS NOT CLEAN.
. "$(dirname "$0")/../lib.sh"
cd "$T"

# Bytes are tokens, so that nothing is lost on the way to ids.
mkdir bytes
cp "$SRC/tests/ref/tokenizers/gpt2/tokenizer.json" bytes/
sed 's/"vocab_size": [0-9]*/"vocab_size": 2000/' "$SRC/tests/ref/tiny-bert/config.json" >bytes/config.json
tokenize() { ft-tokenize -m bytes --task none "$@"; }

# ids FILE [OPTION]...: the ids of each row, a line each.
ids() { file=$1; shift; tokenize -q "$@" "$file" | ft-cat | sed -n 's/^{"ids":\(\[[^]]*\]\).*/\1/p'; }
# as FORMAT TEXT: a file of that format with two rows, of which TEXT (for printf) is the first.
as() {
	case $1 in
	tsv) printf "x\t$2\ny\tz\n" ;;
	csv) printf "x,$2\ny,z\n" ;;
	jsonl) printf "{\"text\":\"$2\"}\n{\"text\":\"z\"}\n" ;;
	conll) printf "$2\tx\n\nz\ty\n" ;;
	*) printf "$2\nz\n" ;;
	esac
}
all='tsv csv jsonl conll lines file'
same() { is "$1" "$(cat one)" "$(cat two)"; [ -s one ] || fail "$1: there is something to compare"; }
task() { [ "$1" != conll ] || echo --task tag --labels x,y; }

# ---- what leaves no trace ----
for f in $all; do
	as $f 'good film' >plain.$f
	printf '\357\273\277' | cat - plain.$f >bom.$f
	sed "s/\$/$(printf '\r')/" plain.$f >crlf.$f
	ids plain.$f -f $f $(task $f) >one
	ids bom.$f -f $f $(task $f) >two
	same "$f: a byte order mark at the start is passed over"
	ids crlf.$f -f $f $(task $f) >two
	[ $f = file ] || same "$f: CRLF ends a line"
	head -c -1 plain.$f >cut.$f
	ids cut.$f -f $f $(task $f) >two
	[ $f = file ] || same "$f: a last line needs no end"
done
printf 'a\r\nb' >cr.txt
is 'file: line ends are text as they are' "$(ids cr.txt -f file)" '[64,201,198,65]'
printf 'a\n\357\273\277b\rc\n' >inside.txt
is 'a byte order mark and CR within are text' "$(ids inside.txt | sed -n 2p)" '[171,119,123,65,201,66]'

# ---- bytes that are no UTF-8 ----
for f in $all; do
	as $f 'g\377d \303 film' >bad.$f
	[ $f != jsonl ] || continue
	as $f 'g\357\277\275d \357\277\275 film' >replaced.$f
	ids bad.$f -f $f $(task $f) >one
	ids replaced.$f -f $f $(task $f) >two
	same "$f: each piece that is not UTF-8 is read as U+FFFD"
	like "$f: and counted" "$(tokenize -f $f $(task $f) bad.$f 2>&1 >/dev/null)" \
		'warning: 1 of [12] rows are not all UTF-8; what is not was read as U\+FFFD'
done
fails 'jsonl: not UTF-8 is not JSON' 65 tokenize -q bad.jsonl
like 'says where' "$(cat .err)" '^ft-tokenize: bad.jsonl:1: unable to decode byte 0xff'
echo '{"text":"a \ud83e b"}' >half.jsonl
fails 'jsonl: half a pair of surrogates' 65 tokenize -q half.jsonl
printf 'a\377\tgood\n' >label.tsv
fails 'labels are compared as bytes: one that is not UTF-8 is none of the names' 65 \
	ft-tokenize -q -m bytes --labels a,b label.tsv
like 'its bytes do not reach the terminal' "$(cat .err)" "label.tsv:1: unknown label 'a.xff'"

# ---- what is refused ----
# refused DESCRIPTION REASON PRODUCER OPTION...: what the command PRODUCER prints is refused in little time and memory.
refused() {
	what=$1 reason=$2 producer=$3; shift 3
	rc=$(eval "$producer" | {
		ft-tokenize --version | grep -q sanitizer || ulimit -v 300000
		timeout 5 ft-tokenize -q -m bytes --task none "$@" >/dev/null 2>err; echo $?
	})
	is "$what" "$rc $(cat err)" "65 ft-tokenize: stdin:$reason"
}
for f in $all; do
	line=1
	[ $f = file ] || line=2
	[ $f != conll ] || line=3
	is "$f: NUL" "$(as $f 'one' | sed "s/z/z$(printf '\001')/" | tr '\001' '\000' | tokenize -q -f $f $(task $f) 2>&1 >/dev/null)" \
		"ft-tokenize: stdin:$line: has a NUL byte; this is not text"
	kind=line
	[ $f != file ] || kind=file
	[ $f != conll ] || kind=sentence
	refused "$f: one line of 100 MB" "1: the $kind is longer than 16777216 bytes" \
		"head -c 100000000 /dev/zero | tr '\\0' a" -f $f $(task $f)
done
refused 'jsonl: an escaped NUL' "1: 'text' holds a NUL character" 'echo "{\"text\":\"a\\\\u0000\"}"' -f jsonl
for f in tsv csv conll; do
	separator=$(printf '\t')
	[ $f != csv ] || separator=,
	refused "$f: ten million columns" '1: more than 65536 columns' \
		"(echo a; head -c 10000000 /dev/zero) | tr '\\n\\0' '$separator'" -f $f $(task $f)
done
(yes '{"text":' | head -n 100000 | tr -d '\n'; echo) >deep.jsonl
fails 'jsonl: nested too deeply' 65 timeout 5 ft-tokenize -q -m bytes --task none deep.jsonl

# ---- whatever a pipe begins with ----
printf 'the film\nthe\n' >p.txt
python3 - <<'END'
import bz2, gzip, io, lzma, tarfile, zipfile
text = open("p.txt", "rb").read()
open("p.gz", "wb").write(gzip.compress(text))
open("p.bz2", "wb").write(bz2.compress(text))
open("p.xz", "wb").write(lzma.compress(text))
with zipfile.ZipFile("p.zip", "w") as z:
    z.writestr("p.txt", text)
with tarfile.open("p.tar", "w") as t:
    t.add("p.txt")
open("skip.zst", "wb").write(b"\x50\x2a\x4d\x18\x02\0\0\0xy")
END
zstd -qf p.txt -o p.zst 2>/dev/null || python3 -c 'import zstandard; open("p.zst", "wb").write(zstandard.compress(open("p.txt", "rb").read()))'
cat skip.zst p.zst >p.skip
tokens() { ft-tokenize -q -m bytes --task none -f lines "$@" | ft-cat | grep '"ids"' | sed 's/,"src.*//'; }
want=$(tokens p.txt)
for f in p.gz p.bz2 p.xz p.zip p.tar p.zst p.skip; do
	is "$f" "$(tokens $f)" "$want"
	is "$f in a pipe" "$(cat $f | tokens -)" "$want"
	is "$f in a pipe, byte by byte" "$(python3 -c 'import os, sys
for b in open(sys.argv[1], "rb").read(): os.write(1, bytes([b]))' $f | tokens -)" "$want"
done
size=$(wc -c <p.zip) bad=''
for n in $(seq $((size / 2)) $((size - 1))); do
	rc=0
	head -c $n p.zip | ft-tokenize -q -m bytes --task none -f lines - >x.tok 2>err || rc=$?
	[ $rc = 65 ] && grep -q 'cut short' err || bad="$bad $n"
done
is 'a zip archive that is cut in a pipe, anywhere in its second half' "$bad" ''
is 'behind a long comment' "$(python3 -c '
import zipfile
with zipfile.ZipFile("long.zip", "w") as z:
    z.writestr("p.txt", open("p.txt", "rb").read())
    z.comment = b"x" * 65535
'; cat long.zip | tokens -)" "$want"
head -c $(($(wc -c <long.zip) - 1)) long.zip >cut.zip
fails 'of which the end is missing' 65 sh -c 'cat cut.zip | ft-tokenize -q -m bytes --task none -f lines -'
if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -shared -fPIC -o calls.so "$SRC/tests/fault/calls.c" 2>cc.err; then
	skip 'calls cannot fail here'
else
	# The first read is of the processors; those of the pipe follow.
	for f in p.txt p.gz p.zip p.tar p.skip; do
		bad=''
		for at in 2 3 4 5; do
			rc=0
			cat $f | LD_PRELOAD=$T/calls.so FT_CALL=read FT_CALL_AT=$at FT_CALL_ERRNO=5 FT_CALL_COUNT=count \
				ft-tokenize -q -m bytes --task none -f lines - >x.tok 2>err || rc=$?
			[ "$(cat count)" -ge $at ] || break
			case "$rc $(cat err)" in
			'1 ft-tokenize: stdin: Input/output error' | '1 ft-tokenize: stdin/p.txt: Input/output error') ;;
			*) bad="$bad read $at: $rc $(cat err)" ;;
			esac
		done
		is "$f in a pipe that fails" "$at$bad" "$at"
	done
fi

# ---- files, and what stands in them ----
if [ -e calls.so ]; then
	# A call that fails is said, or changes nothing. (The first are those of the model.)
	for call in fstat lseek; do
		for f in p.txt p.gz p.zip p.tar; do
			bad='' said=0
			for at in 1 2 3 4 5 6 7 8 9; do
				rc=0
				LD_PRELOAD=$T/calls.so FT_CALL=$call FT_CALL_AT=$at FT_CALL_ERRNO=5 FT_CALL_COUNT=count \
					ft-tokenize -q -m bytes --task none -f lines $f >x.tok 2>err || rc=$?
				[ "$(cat count)" -ge $at ] || break
				case "$rc $(cat err)" in
				'1 ft-tokenize: '*': Input/output error') said=$((said + 1)) ;;
				'0 ') [ "$(ft-cat x.tok | grep '"ids"' | sed 's/,"src.*//')" = "$want" ] || bad="$bad $at" ;;
				*) bad="$bad $at: $rc $(cat err)" ;;
				esac
			done
			is "$f: $call fails" "$bad" ''
			[ "$call $f" != 'fstat p.zip' ] || is 'which is said of the file, and of its end' "$((said >= 2))" 1
		done
	done
fi
if ft-cat --version | grep -q sanitizer || ! ${CC:-cc} -O1 -shared -fPIC -o archives.so "$SRC/tests/fault/archives.c" -ldl 2>cc.err; then
	skip 'libarchive cannot fail here'
else
	for f in p.txt p.gz; do
		bad=''
		for at in $(seq 1 40); do
			rc=0
			LD_PRELOAD=$T/archives.so FT_ARCHIVE_AT=$at FT_ARCHIVE_COUNT=count \
				ft-tokenize -q -m bytes --task none -f lines $f >x.tok 2>err || rc=$?
			[ "$(cat count)" -ge $at ] || break
			case "$rc $(cat err)" in
			"1 ft-tokenize: $f: no memory" | "1 ft-tokenize: $f: out of memory") ;;
			*) bad="$bad $at: $rc $(cat err)" ;;
			esac
		done
		is "$f: libarchive has no memory at one of $((at - 1)) calls" "$bad" ''
		[ $at -gt 10 ] || fail 'there are such calls'
	done
fi
fails 'a folder on standard input' 1 sh -c 'ft-tokenize -q -m bytes --task none -f lines - <bytes'
is 'says so' "$(cat .err)" 'ft-tokenize: stdin: is a folder'
is 'a file on standard input goes on where it was left' "$( { read -r line && tokens -; } <p.txt)" "$(echo the | tokens -)"
python3 - <<'END'
import gzip, io, lzma, tarfile, zipfile
zipped = open("p.zip", "rb").read()
open("p.zip.gz", "wb").write(gzip.compress(zipped))
open("p.zip.xz", "wb").write(lzma.compress(zipped))
open("none.gz", "wb").write(gzip.compress(b""))
open("none.xz", "wb").write(lzma.compress(b""))
text = open("p.txt", "rb").read()
with zipfile.ZipFile("names.zip", "w") as z:
    z.writestr("caf\u00e9 \u65e5.txt", text)
    z.writestr("b\u00e9.txt", text)
named = open("names.zip", "rb").read()
open("odd.zip", "wb").write(named.replace("b\u00e9".encode(), b"b\xff\xfe"))
with tarfile.open("links.tar", "w") as t:
    one = tarfile.TarInfo("one.txt")
    one.size = len(text)
    t.addfile(one, io.BytesIO(text))
    link = tarfile.TarInfo("link.txt")
    link.type, link.linkname, link.size = tarfile.LNKTYPE, "one.txt", len(text)
    t.fileobj.write(link.tobuf() + text + b"\0" * (512 - len(text)))
END
for f in p.zip.gz p.zip.xz; do
	is "$f in a pipe" "$(cat $f | tokens -)" "$want"
done
for f in none.gz none.xz; do
	is "$f is an empty text" "$(ft-tokenize -q -m bytes --task none -f lines $f | ft-cat | tail -n 1 | grep -o '"rows":[0-9]*')" '"rows":0'
done
src() { ft-tokenize -q -m bytes --task none -f lines "$@" | ft-cat | sed -n 's/.*"src":"\([^"]*\)".*/\1/p' | tr '\n' ' '; }
is 'names beyond ASCII' "$(LC_ALL=C src names.zip)" 'names.zip/café 日.txt:1 names.zip/café 日.txt:2 names.zip/bé.txt:1 names.zip/bé.txt:2 '
is 'are chosen by' "$(LC_ALL=C src --member '*日*' names.zip)" 'names.zip/café 日.txt:1 names.zip/café 日.txt:2 '
is 'one that is not what it is said to be' "$(src odd.zip)" 'odd.zip/café 日.txt:1 odd.zip/café 日.txt:2 odd.zip/?:1 odd.zip/?:2 '
is 'of a link nothing is read, whatever stands behind it' "$(src links.tar)" 'links.tar/one.txt:1 links.tar/one.txt:2 '
if [ -e calls.so ]; then
	# A pipe of three bytes at a time that fails; every other read is interrupted.
	bad=''
	for at in $(seq 2 40); do
		rc=0
		cat p.gz | LD_PRELOAD=$T/calls.so FT_CALL=read FT_CALL_AT=$at FT_CALL_ERRNO=5 FT_CALL_MOST=3 FT_CALL_COUNT=count \
			ft-tokenize -q -m bytes --task none -f lines - >x.tok 2>err || rc=$?
		[ "$(cat count)" -ge $at ] || break
		[ "$rc $(cat err)" = '1 ft-tokenize: stdin: Input/output error' ] || bad="$bad $at: $rc $(cat err)"
	done
	is 'p.gz in a pipe of a few bytes at a time that fails' "$at$bad" "$at"
fi
odd=$(printf 'a\tb\377.jsonl')
echo '{' >"$odd"
fails 'a name that is no text' 65 ft-tokenize -q -m bytes --task none "$odd"
like 'is told as one line of it' "$(cat .err)" 'ft-tokenize: a[?]b[?].jsonl:1: '

# ---- a long line that is asked for ----
if [ -z "${FT_TEST_LONG:-}" ]; then
	skip 'texts of 100 MB: FT_TEST_LONG=1'
	done_testing
fi
for kind in wordpiece/uncased tokenizers/gpt2 tokenizers/llama2 sentencepiece/t5; do
	cp "$SRC/tests/ref/$kind/tokenizer.json" bytes/
	for letter in a ' ' , '\377'; do
		head -c 100000000 /dev/zero | tr '\0' "$letter" |
			timeout 120 ft-tokenize -q -m bytes --task none -f lines --max-line 200000000 >long.tok
		is "$kind: 100 MB of '$letter'" "$? $(ft-cat long.tok | wc -l)" '0 3'
	done
done
done_testing
