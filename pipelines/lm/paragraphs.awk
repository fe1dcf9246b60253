# Turn books (one paragraph a line) into plain text for a language model: running text and speech,
# a paragraph a line.
#
# Usage: LC_ALL=C awk -f ../prose.awk -f paragraphs.awk BOOK >TEXT
#
# Works on bytes, so run it with LC_ALL=C: then every awk gives the same output.  Curly quotes and long
# dashes become the plain characters that people type today.  Headings, lists, tables, footnotes and
# lines in capitals are left out, and paragraphs with racist slurs, which a model would say again.

# Plain characters for typographic ones; "_" marks italics in these texts, [64] a page or a note.
function plain(s) {
	gsub(/\342\200[\234\235]/, "\"", s)
	gsub(/\342\200[\230\231]/, "'", s)
	gsub(/\342\200\246/, "...", s)
	gsub(/ ?\342\200[\223\224\225] ?/, " - ", s)
	gsub(/ ?--+ ?/, " - ", s)
	gsub(/\302\240/, " ", s)
	gsub(/_/, "", s)
	gsub(/ ?\[[0-9]+\]/, "", s)
	gsub(/[ \t\r]+/, " ", s)
	sub(/^ /, "", s)
	sub(/ $/, "", s)
	return s
}

function has_slur(s) {
	return tolower(s) ~ /nigg(er|ah|ra)|pickaninn|dark(ey|ie|y)s?([^a-z]|$)|chinam[ae]n|chinee|injun|redskin|squaw|half-breed|mulatto/
}

{
	s = plain($0)
	if (is_prose(s) && !has_slur(s))
		print s
}
