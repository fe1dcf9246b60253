/* The scanners of known patterns against PCRE2, which reads the patterns themselves:
 * the same words in any text. And what becomes of other patterns. */
#include "lib/tok/regex.h"
#include "lib/tok/scan.h"
#include "tests/tap.h"

#include <stdlib.h>

static void *store; /* for searches */
static uint64_t state = 88172645463325252u;
static uint32_t random_below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) * n >> 32);
}

/* ---- classes ---- */

static int32_t *common;  /* characters of which both think the same */
static size_t ncommon;

static bool matches(struct tok_regex *r, const char *s, size_t n)
{
	struct tok_search f = { .regex = r, .s = s, .n = n, .store = &store };
	size_t from, to;
	return tok_search_next(&f, &from, &to) == 1;
}

/* PCRE2 may know fewer characters than our table; it must not think otherwise of one. */
static void classes(void)
{
	static const struct { const char *pattern; unsigned class; } sets[] = {
		{ "[\\p{Lu}\\p{Lt}]", TOK_UPPER }, { "\\p{Ll}", TOK_LOWER }, { "[\\p{Lm}\\p{Lo}]", TOK_OTHER_LETTER },
		{ "\\p{M}", TOK_ACCENT }, { "\\p{N}", TOK_NUMBER }, { "\\s", TOK_BLANK },
	};
	size_t wrong = 0, unknown = 0;
	struct tok_regex *r[6];
	for (size_t i = 0; i < 6; i++)
		r[i] = tok_regex_new(sets[i].pattern);
	common = malloc(0x30000 * sizeof *common);
	for (int32_t c = 1; c < 0x30000; c++) {
		if (c >= 0xD800 && c < 0xE000)
			continue;
		char s[4];
		size_t n = ft_utf8_put(c, s);
		unsigned theirs = 0;
		for (size_t i = 0; i < 6; i++)
			theirs |= matches(r[i], s, n) ? sets[i].class : 0;
		wrong += theirs && theirs != tok_class(c);
		if (theirs == tok_class(c))
			common[ncommon++] = c;
		else
			unknown++;
	}
	for (size_t i = 0; i < 6; i++)
		tok_regex_free(r[i]);
	is_int((long long)wrong, 0, "PCRE2 agrees about the classes of characters");
	ok(unknown < 12000, "or does not know them yet: %zu characters", unknown);
}

/* ---- texts ---- */

#define TEXT 20000

/* Pieces that tell the patterns apart, runs, and any character. */
static size_t make_text(char *out)
{
	static const char *const pieces[] = {
		" ", "  ", "\n", "\r\n", "\t", " \n ", "\n\n\n", "'", "'s", "'S", "'t", "'re", "'RE", "'vE", "'ll",
		"'lL", "'d", "'l", "'r", "'\xc5\xbf", "''", "don't", "Word", "WORD", "word", "HTTPServer", "x1",
		"123", "4567", "0", ".", "...", "!?", "/", "//\n", "é", "É", "e\xcc\x81", "\xcc\x81",
		"\xcc\x81\xcc\x81", "漢字", "かな", "ǅ", "ʰ", "ª", "٣٤", "½", "Ⅷ", "\xc2\xa0", "\xe3\x80\x80",
		"\xe1\xa0\x8e", "\xc2\x85", "\xe2\x80\xa8", "🦙", "\xe2\x80\x8d", "\xef\xb8\x8f", "_", "-", "a_b",
		"\x7f", "\x1c", "हिन्दी", "العربية", "한국어",
	};
	size_t n = 0;
	while (n < TEXT - 400) {
		uint32_t kind = random_below(10), times = kind == 9 ? 1 + random_below(60) : 1;
		char c[4];
		size_t len = 0;
		const char *piece = pieces[random_below(sizeof pieces / sizeof *pieces)];
		if (kind > 6)
			len = ft_utf8_put(common[random_below((uint32_t)ncommon)], c), piece = c;
		else
			len = strlen(piece);
		for (uint32_t i = 0; i < times; i++, n += len)
			memcpy(out + n, piece, len);
	}
	return n;
}

/* Words of s[n] that differ. */
static size_t compare(struct tok_regex *r, tok_scan_fn *scan, const char *s, size_t n)
{
	struct tok_search f = { .regex = r, .s = s, .n = n, .store = &store };
	size_t at = 0, from, to, words = 0;
	while (at < n) {
		size_t end = scan(s, n, at);
		int rc = tok_search_next(&f, &from, &to);
		if (rc != 1 || from != at || to != end) {
			printf("# at byte %zu: %zu, wanted %zu to %zu\n", at, end, from, to);
			return SIZE_MAX;
		}
		at = end;
		words++;
	}
	return words;
}

static void scanners(void)
{
	static const char *const ends[] = { "'", "a'", " '", "x'r", "x'v", "x'l", "x'R", "x'\xc5\xbf", "A", "Aa", "1", " " };
	char *text = malloc(TEXT);
	const char *pattern;
	for (size_t i = 0; (pattern = tok_scan_pattern(i)); i++) {
		struct tok_regex *r = tok_regex_new(pattern);
		tok_scan_fn *scan = tok_scan_find(pattern);
		size_t words = 0, bytes = 0;
		for (int k = 0; r && k < 60 && words != SIZE_MAX; k++) {
			size_t n = make_text(text);
			size_t found = compare(r, scan, text, n);
			words = found == SIZE_MAX ? found : words + found;
			bytes += n;
		}
		for (size_t k = 0; r && k < sizeof ends / sizeof *ends && words != SIZE_MAX; k++)
			if (compare(r, scan, ends[k], strlen(ends[k])) == SIZE_MAX)
				words = SIZE_MAX;
		ok(r && words != SIZE_MAX && words > 1000, "pattern %zu cuts as PCRE2 does: %zu words of %zu bytes", i,
		   words, bytes);
		tok_regex_free(r);
	}
	free(text);
	ok(!tok_scan_find("\\s+") && !tok_scan_find(NULL), "other patterns have no scanner");
}

/* ---- other patterns ---- */

static void patterns(void)
{
	static const struct { const char *pattern, *text; size_t from, to; } cases[] = {
		{ "\\s+", "a\xe1\xa0\x8e b", 4, 5 },      /* U+180E is no white space */
		{ "[\\s]", "\xe1\xa0\x8e\xc2\xa0", 3, 5 },
		{ "\\S+", "\xe1\xa0\x8e b", 0, 3 },
		{ "[\\S]+", "\xe1\xa0\x8e b", 0, 3 },
		{ "\\w+", "-e\xcc\x81_1-", 1, 6 },        /* marks and connectors are word characters */
		{ "\\h+", "xyz09aFg", 3, 7 },             /* hexadecimal digits */
		{ "^b", "a\nb", 2, 3 },                   /* at every line */
		{ "a$", "a\nb", 0, 1 },
		{ "[a[bc]d]+", "xabcdx", 1, 5 },          /* a class in a class joins it */
		{ "[^(\\s|[.,])]+", "(a.b", 1, 2 },
		{ "[[:digit:]x]+", "a1x", 1, 3 },
		{ "[]a]+", "b]a", 1, 3 },
		{ "[a\\]]+", "b]a", 1, 3 },
		{ "(?i:ab)", "xAb", 1, 3 },
		{ "\\p{Han}+", "a漢字", 1, 7 },
		{ "x?+y", "xxy", 1, 3 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tok_regex *r = tok_regex_new(cases[i].pattern);
		const char *text = cases[i].text;
		struct tok_search f = { .regex = r, .s = text, .n = strlen(text), .store = &store };
		size_t from = 0, to = 0;
		ok(r && tok_search_next(&f, &from, &to) == 1 && from == cases[i].from && to == cases[i].to,
		   "%s finds %zu to %zu", cases[i].pattern, from, to);
		tok_regex_free(r);
	}
	static const struct { const char *pattern, *reason; } bad[] = {
		{ "a(", "the pattern 'a(': missing closing parenthesis" }, { "[a", "missing terminating ]" },
		{ "[a&&b]", "&& in a class" }, { "[a[^b]]", "a negated class in a class" },
		{ "[\\W]", "\\W in a class" },
		{ "a{99999}", "too" }, { "(?<n", "the pattern" }, { "\\", "\\" }, { "[[:alpha", "[: without :]" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct tok_regex *r = tok_regex_new(bad[i].pattern);
		ok(!r && ft_last_error() == FT_EFORMAT && strstr(ft_message(), bad[i].reason), "%s is refused",
		   bad[i].pattern);
		tok_regex_free(r);
	}
	char deep[2001];
	memset(deep, '(', 1000);
	memset(deep + 1000, ')', 1000);
	deep[2000] = '\0';
	ok(!tok_regex_new(deep) && ft_last_error() == FT_EFORMAT, "parentheses in a thousand parentheses");
}

static void without_end(void)
{
	struct tok_regex *r = tok_regex_new("(a+)+$");
	char text[5001];
	memset(text, 'a', 5000);
	text[4999] = 'b';
	struct tok_search f = { .regex = r, .s = text, .n = 5000, .store = &store };
	size_t from, to;
	ok(r && tok_search_next(&f, &from, &to) == FT_EFORMAT && strstr(ft_message(), "(a+)+$"),
	   "a pattern that backtracks without end is given up");
	tok_regex_free(r);
}

/* Matches of nothing, as the reference counts them. */
static void empty_matches(void)
{
	static const struct { const char *pattern, *text, *found; } cases[] = {
		{ "x*", "axb", "0-0 1-2 3-3 " }, { "", "é1", "0-0 2-2 3-3 " }, { "(?=b)", "ab", "1-1 " },
		{ "a|", "aab", "0-1 1-2 3-3 " },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tok_regex *r = tok_regex_new(cases[i].pattern);
		const char *text = cases[i].text;
		struct tok_search f = { .regex = r, .s = text, .n = strlen(text), .store = &store };
		size_t from, to;
		char found[100] = "";
		while (tok_search_next(&f, &from, &to) == 1)
			snprintf(found + strlen(found), sizeof found - strlen(found), "%zu-%zu ", from, to);
		is_str(found, cases[i].found, cases[i].pattern);
		tok_regex_free(r);
	}
}

int main(void)
{
	tok_classes_fill();
	classes();
	scanners();
	patterns();
	without_end();
	empty_matches();
	free(common);
	tok_search_free(store);
	return tap_done();
}
