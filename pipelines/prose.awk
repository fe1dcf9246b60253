# prose.awk - which paragraphs of a book are running text; read before the programs that turn books into training
# text (encoder/sentences.awk, lm/paragraphs.awk).

# A paragraph that is running text: ends as a sentence does, mostly small letters, few digits.
function is_prose(s,    small, great, digits, t) {
	if (s ~ /^[\[*#|]/ || s ~ /[|=~<>]/ || s ~ /\. ?\. ?\. ?\. ?\./ || s ~ /Footnote|FOOTNOTE|Gutenberg|[Ww]ww\./)
		return 0
	if (s !~ /[.!?:;,\-]["')\]]*$/)
		return 0
	t = s; small = gsub(/[a-z]/, "", t)
	great = gsub(/[A-Z]/, "", t)
	digits = gsub(/[0-9]/, "", t)
	return small >= 8 && small > 4 * great && small > 8 * digits
}
