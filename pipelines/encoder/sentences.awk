# Turn books (one paragraph a line) into one sentence a line, for pre-training.
#
# Usage: LC_ALL=C awk -f ../prose.awk -f sentences.awk BOOK... >SENTENCES
#
# Works on bytes, so run it with LC_ALL=C: then every awk gives the same output.  Curly quotes and long
# dashes become the plain characters that people type today.  Pieces under MIN words are joined to their
# neighbour in the paragraph, longer ones than MAX words are cut, preferably behind a comma.  Headings,
# tables of contents, footnotes and lines in capitals are left out, and so are repetitions.

BEGIN {
	MIN = 5
	MAX = 45
	n = split("mr mrs ms messrs mme mlle dr st rev revd hon rt capt col gen maj lt lieut sgt serg prof sr jr esq " \
		"gov sen pres supt no nos vol vols p pp ch chap sec fig figs art vs viz cf ibid op i.e e.g etc bros co " \
		"mt ft jan feb aug sept oct nov dec", list, " ")
	for (i = 1; i <= n; i++)
		abbreviation[list[i]] = 1
}

# Plain characters for typographic ones; "_" marks italics in these texts, [64] a page or a note.
function plain(s) {
	gsub(/\342\200[\234\235]/, "\"", s)
	gsub(/\342\200[\230\231]/, "'", s)
	gsub(/\342\200\246/, "...", s)
	gsub(/\342\200[\223\224\225]/, " - ", s)
	gsub(/--+/, " - ", s)
	gsub(/\302\240/, " ", s)
	gsub(/_/, "", s)
	gsub(/ ?\[[0-9]+\]/, "", s)
	gsub(/[ \t\r]+/, " ", s)
	sub(/^ /, "", s)
	sub(/ $/, "", s)
	return s
}

function ends_sentence(word, following,    bare) {
	if (following == "")
		return 1
	if (following !~ /^["'(\[]*[A-Z0-9]/ && following !~ /^["(\[]/)
		return 0
	bare = word
	sub(/["')\]]+$/, "", bare)
	if (bare !~ /[.!?]$/)
		return 0
	if (bare !~ /\.$/)
		return 1
	sub(/\.$/, "", bare)
	sub(/^["'(\[]+/, "", bare)
	return !(tolower(bare) in abbreviation) && bare !~ /^[A-Za-z]$/ && bare !~ /^([A-Z]\.)+[A-Z]$/
}

# Print one sentence, without a quotation mark that has lost its partner.
function put(s,    t) {
	t = s
	if (gsub(/"/, "", t) % 2)
		if (!sub(/^"/, "", s) && !sub(/"$/, "", s))
			sub(/"/, "", s)
	gsub(/^[ \-]+|[ \-]+$/, "", s)
	if (split(s, parts, " ") >= 3 && !(s in seen)) {
		seen[s] = 1
		print s
	}
}

# The words first..last as one line, or as several when there are too many.
function put_words(first, last,    i, cut, s) {
	while (last - first + 1 > MAX) {
		cut = first + MAX - 1
		for (i = cut; i > first + 19; i--)
			if (word[i] ~ /[,;:]["']?$/ || word[i] == "-") {
				cut = i
				break
			}
		# Leave no stump behind.
		if (last - cut < MIN)
			cut = last - MIN
		put_words(first, cut)
		first = cut + 1
	}
	s = word[first]
	for (i = first + 1; i <= last; i++)
		s = s " " word[i]
	put(s)
}

{
	$0 = plain($0)
	if (!is_prose($0))
		next
	nwords = split($0, word, " ")
	nsentences = 0
	begin = 1
	for (i = 1; i <= nwords; i++)
		if (ends_sentence(word[i], word[i + 1]) && (i - begin + 1 >= MIN || i == nwords)) {
			start[++nsentences] = begin
			begin = i + 1
		}
	# A short last sentence goes with the one before it.
	if (nsentences > 1 && nwords - start[nsentences] + 1 < MIN)
		nsentences--
	start[nsentences + 1] = nwords + 1
	for (k = 1; k <= nsentences; k++)
		put_words(start[k], start[k + 1] - 1)
	delete word
}
