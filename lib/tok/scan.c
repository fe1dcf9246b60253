/* scan.c - the patterns of GPT-2, GPT-4 and their like, written out by hand: some
 * ten times the speed of a regular expression, and the same cuts (tests/unit/scan.c
 * holds them against PCRE2). Classes of characters are those of priv.h.
 *
 * Each pattern is a list of alternatives, of which the first that matches counts.
 * That every character is a letter, a number, white space or something else, and
 * each of these is matched by some alternative, is why words lie end to end.
 */
#include "scan.h"

#include <string.h>

#define NUMBER_LETTER_BLANK (TOK_NUMBER | TOK_LETTER | TOK_BLANK)

/* The class of the character at s[i], i < n, and its bytes in *len. */
static inline unsigned class_at(const char *s, size_t n, size_t i, size_t *len)
{
	unsigned char b = (unsigned char)s[i];
	*len = 1;
	if (b < 0x80)
		return tok_classes[b];
	int32_t c;
	*len = ft_utf8_get(s + i, n - i, &c, NULL);
	return tok_class(c);
}

/* The end of the run of characters of the classes `set` that begins at i; when `not`,
 * of all other characters. */
static inline size_t run_of(const char *s, size_t n, size_t i, unsigned set, bool not)
{
	for (size_t len; i < n; i += len)
		if (((class_at(s, n, i, &len) & set) != 0) == not)
			break;
	return i;
}

/* run_of() the classes `letters`, of which ASCII's are taken eight at a time. */
static inline size_t letters_of(const char *s, size_t n, size_t i, unsigned letters)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	const uint64_t ones = 0x0101010101010101u, tops = 0x80 * ones;
	while (n - i >= 8) {
		uint64_t eight;
		memcpy(&eight, s + i, 8);
		uint64_t low = (eight | 0x20 * ones) & ~tops; /* in lower case */
		uint64_t letter = (low + (0x80 - 'a') * ones) & ~(low + (0x80 - 'z' - 1) * ones) & ~eight & tops;
		if (letter != tops) {
			i += (size_t)__builtin_ctzll(letter ^ tops) / 8;
			break;
		}
		i += 8;
	}
#endif
	return run_of(s, n, i, letters, false);
}

static inline bool is_line_end(char c)
{
	return c == '\n' || c == '\r';
}

/* 's 't 're 've 'm 'll 'd behind the apostrophe at s[i - 1]: its bytes, or 0. */
static size_t contraction(const char *s, size_t n, size_t i)
{
	if (i >= n)
		return 0;
	switch (s[i]) {
	case 's': case 't': case 'm': case 'd': return 1;
	case 'r': case 'v': return i + 1 < n && s[i + 1] == 'e' ? 2 : 0;
	case 'l': return i + 1 < n && s[i + 1] == 'l' ? 2 : 0;
	default: return 0;
	}
}

/* The same in any case. U+017F is an s in another case. */
static size_t contraction_any(const char *s, size_t n, size_t i)
{
	if (i >= n)
		return 0;
	if (n - i >= 2 && memcmp(s + i, "\xc5\xbf", 2) == 0)
		return 2;
	char low[2] = { (char)(s[i] | 32), i + 1 < n ? (char)(s[i + 1] | 32) : '\0' };
	return contraction(low, n - i < 2 ? 1 : 2, 0);
}

/* \s+(?!\S)|\s+ at a run of white space from..to: but for its last character, unless
 * the text ends there or there is no other. */
static size_t before_last(const char *s, size_t n, size_t from, size_t to)
{
	if (to == n)
		return to;
	size_t last = to - 1;
	while (last > from && tok_utf8_inside(s[last]))
		last--;
	return last > from ? last : to;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t scan_blank(const char *s, size_t n, size_t at)
{
	size_t to = run_of(s, n, at, TOK_BLANK, false);
	for (size_t i = to; i > at; i--)
		if (is_line_end(s[i - 1]))
			return i;
	return before_last(s, n, at, to);
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t tok_scan_gpt2(const char *s, size_t n, size_t at)
{
	size_t len, i = at;
	unsigned class = class_at(s, n, i, &len);
	if (s[i] == '\'') {
		size_t more = contraction(s, n, i + 1);
		if (more)
			return i + 1 + more;
	}
	if (s[i] == ' ' && i + 1 < n) {
		size_t next;
		unsigned behind = class_at(s, n, i + 1, &next);
		if (!(behind & TOK_BLANK)) {
			class = behind;
			len = 1 + next;
		}
	}
	if (class & TOK_LETTER)
		return letters_of(s, n, i + len, TOK_LETTER);
	if (class & TOK_NUMBER)
		return run_of(s, n, i + len, TOK_NUMBER, false);
	if (!(class & TOK_BLANK))
		return run_of(s, n, i + len, NUMBER_LETTER_BLANK, true);
	return before_last(s, n, at, run_of(s, n, i + len, TOK_BLANK, false));
}

/* \p{N}{1,digits} behind the first, which ends at i */
static inline size_t scan_digits(const char *s, size_t n, size_t i, int digits)
{
	for (size_t len; digits > 1 && i < n && class_at(s, n, i, &len) & TOK_NUMBER; digits--)
		i += len;
	return i;
}

/* What the newer patterns have behind their letters:
 * \p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * `letters` are the classes that take the place of \p{L}; with `slash`, [\r\n/]*. */
static inline size_t scan_rest(const char *s, size_t n, size_t at, int digits, unsigned letters, bool slash)
{
	size_t len, i = at;
	unsigned class = class_at(s, n, i, &len);
	if (class & TOK_NUMBER)
		return scan_digits(s, n, i + len, digits);
	if (s[i] == ' ' && i + 1 < n && !(class_at(s, n, i + 1, &len) & (TOK_NUMBER | TOK_BLANK | letters))) {
		class = 0;
		len++;
	}
	if (class & TOK_BLANK)
		return scan_blank(s, n, at);
	i = run_of(s, n, i + len, TOK_NUMBER | TOK_BLANK | letters, true);
	while (i < n && (is_line_end(s[i]) || (slash && s[i] == '/')))
		i++;
	return i;
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+| and the rest */
static inline size_t scan_gpt4(const char *s, size_t n, size_t at, int digits, unsigned letters)
{
	size_t len, i = at;
	if (s[i] == '\'') {
		size_t more = contraction_any(s, n, i + 1);
		if (more)
			return i + 1 + more;
	}
	unsigned class = class_at(s, n, i, &len);
	if (class & letters)
		return letters_of(s, n, i + len, letters);
	if (!(class & TOK_NUMBER) && !is_line_end(s[i])) {
		size_t end = letters_of(s, n, i + len, letters);
		if (end > i + len)
			return end;
	}
	return scan_rest(s, n, at, digits, letters, false);
}

/* GPT-4, Llama 3 */
static size_t scan_cl100k(const char *s, size_t n, size_t at)
{
	return scan_gpt4(s, n, at, 3, TOK_LETTER);
}

/* Qwen 2, 2.5, 3: digits one by one */
static size_t scan_qwen2(const char *s, size_t n, size_t at)
{
	return scan_gpt4(s, n, at, 1, TOK_LETTER);
}

/* Qwen 3.5: marks are letters */
static size_t scan_qwen35(const char *s, size_t n, size_t at)
{
	return scan_gpt4(s, n, at, 1, TOK_LETTER | TOK_ACCENT);
}

/* [^\r\n\p{L}\p{N}]?[Lu Lt Lm Lo M]*[Ll Lm Lo M]+|[^\r\n\p{L}\p{N}]?[Lu Lt Lm Lo M]+[Ll Lm Lo M]*
 * from i on, behind what may stand before the letters: the end, or i. The first set
 * is greedy, and gives back what the second needs: back to its last member. */
static size_t scan_cased(const char *s, size_t n, size_t i)
{
	size_t len, at = i, both = i; /* where the last member of both sets ends */
	unsigned class = 0;
	for (; at < n; at += len) {
		class = class_at(s, n, at, &len);
		if (!(class & (TOK_UPPER | TOK_OTHER_LETTER | TOK_ACCENT)))
			break;
		if (!(class & TOK_UPPER))
			both = at + len;
	}
	if (at < n && class & TOK_LOWER)
		return run_of(s, n, at, TOK_LOWER | TOK_OTHER_LETTER | TOK_ACCENT, false);
	return both > i ? both : at;
}

static inline size_t scan_gpt4o(const char *s, size_t n, size_t at, int digits, bool contractions)
{
	size_t len, start = at;
	/* A mark may stand before the letters, too, but is one of them: the same. */
	if (!(class_at(s, n, at, &len) & (TOK_LETTER | TOK_NUMBER | TOK_ACCENT)) && !is_line_end(s[at]))
		start += len;
	size_t end = scan_cased(s, n, start);
	if (end == start)
		return scan_rest(s, n, at, digits, TOK_LETTER, true);
	if (contractions && end < n && s[end] == '\'') {
		size_t more = contraction_any(s, n, end + 1);
		end += more ? 1 + more : 0;
	}
	return end;
}

static size_t scan_o200k(const char *s, size_t n, size_t at)
{
	return scan_gpt4o(s, n, at, 3, true);
}

static size_t scan_tekken(const char *s, size_t n, size_t at)
{
	return scan_gpt4o(s, n, at, 1, false);
}

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define BEFORE "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define TAIL "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const struct { const char *pattern; tok_scan_fn *scan; } known[] = {
	{ "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", tok_scan_gpt2 },
	{ "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", tok_scan_gpt2 },
	{ CONTRACTIONS "|" BEFORE "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" TAIL, scan_cl100k },
	{ CONTRACTIONS "|" BEFORE "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" TAIL, scan_qwen2 },
	{ CONTRACTIONS "|" BEFORE "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" TAIL, scan_qwen35 },
	{ BEFORE UPPER "*" LOWER "+" CONTRACTIONS "?|" BEFORE UPPER "+" LOWER "*" CONTRACTIONS
	  "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" TAIL, scan_o200k },
	{ BEFORE UPPER "*" LOWER "+|" BEFORE UPPER "+" LOWER "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" TAIL,
	  scan_tekken },
};

int tok_scan_words(const struct tok_walk *w, size_t stage, tok_scan_fn *scan, const struct tok_run *in)
{
	int rc = 0;
	if (stage + 1 == w->t->splitters.n && w->t->kind->words)
		return w->t->kind->words(w, scan, in);
	for (size_t at = 0, end; at < in->n && rc == 0; at = end) {
		end = scan(in->s, in->n, at);
		struct tok_run word = tok_run_part(in, at, end);
		rc = tok_walk_on(w, stage + 1, &word);
	}
	return rc;
}

tok_scan_fn *tok_scan_find(const char *pattern)
{
	tok_classes_fill();
	for (size_t i = 0; pattern && i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].pattern, pattern) == 0)
			return known[i].scan;
	return NULL;
}

const char *tok_scan_pattern(size_t i)
{
	return i < sizeof known / sizeof *known ? known[i].pattern : NULL;
}
