/* unicode.c - characters as the reference sees them: pinned properties from
 * unicode_data.h, letter case and decomposition from libutf8proc with the
 * reference's differences. The only file here with utf8proc.h.
 *
 * A newer libutf8proc does not change the result: what Unicode assigns later
 * has no entry in the pinned tables, and properties of assigned characters that
 * are used here (decomposition, combining class, lower case) are stable.
 */
#include "priv.h"

#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

struct tok_range { int32_t first, last; };
struct tok_class { int32_t first, last; int class; };
struct tok_case { int32_t first, last, add; };
#include "unicode_data.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool in(const struct tok_range *r, size_t n, int32_t c)
{
	while (n) {
		size_t half = n / 2;
		if (c > r[half].last) {
			r += half + 1;
			n -= half + 1;
		} else if (c < r[half].first) {
			n = half;
		} else {
			return true;
		}
	}
	return false;
}

static const struct { const struct tok_range *r; size_t n; uint8_t flag; } sets[] = {
	{ dropped, COUNT(dropped), TOK_DROPPED }, { white, COUNT(white), TOK_WHITE },
	{ chinese, COUNT(chinese), TOK_CHINESE }, { marks, COUNT(marks), TOK_MARK },
	{ punctuation, COUNT(punctuation), TOK_PUNCT },
};

void tok_chars_fill(uint8_t table[TOK_TABLE])
{
	memset(table, 0, TOK_TABLE);
	for (size_t i = 0; i < COUNT(sets); i++)
		for (size_t k = 0; k < sets[i].n; k++)
			for (int32_t c = sets[i].r[k].first; c <= sets[i].r[k].last && c < TOK_TABLE; c++)
				table[c] |= sets[i].flag;
	for (size_t k = 0; k < COUNT(combining); k++)
		for (int32_t c = combining[k].first; c <= combining[k].last && c < TOK_TABLE; c++)
			table[c] |= TOK_COMBINING;
}

unsigned tok_chars_above(int32_t c)
{
	unsigned flags = 0;
	for (size_t i = 0; i < COUNT(sets); i++)
		if (in(sets[i].r, sets[i].n, c))
			flags |= sets[i].flag;
	return flags;
}

bool tok_is_word(int32_t c)
{
	switch (utf8proc_category(c)) {
	case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO: case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_ND:
	case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_PC: return true;
	default: return in(more_word, COUNT(more_word), c);
	}
}

int tok_combining(int32_t c)
{
	for (size_t i = 0; i < COUNT(combining); i++)
		if (c >= combining[i].first && c <= combining[i].last)
			return combining[i].class;
	/* Only marks that are removed are asked for otherwise. */
	return in(marks, COUNT(marks), c) ? utf8proc_get_property(c)->combining_class : 0;
}

size_t tok_decompose(int32_t c, bool compatible, int32_t out[TOK_DECOMPOSED])
{
	out[0] = c;
	bool hangul = c >= 0xAC00 && c <= 0xD7A3;
	if (!hangul && utf8proc_get_property(c)->decomp_seqindex == UINT16_MAX)
		return 1;
	if (in(whole, COUNT(whole), c) || (compatible && in(whole_compatible, COUNT(whole_compatible), c)))
		return 1;
	int last = 0, how = UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
	utf8proc_ssize_t n = utf8proc_decompose_char(c, out, TOK_DECOMPOSED, (utf8proc_option_t)how, &last);
	return n >= 1 && n <= TOK_DECOMPOSED ? (size_t)n : (out[0] = c, 1);
}

int32_t tok_compose(int32_t a, int32_t b)
{
	if (a >= 0x1100 && a < 0x1113 && b >= 0x1161 && b < 0x1176) /* Hangul: a lead and a vowel */
		return 0xAC00 + ((a - 0x1100) * 21 + (b - 0x1161)) * 28;
	if (a >= 0xAC00 && a <= 0xD7A3) /* and a tail; libutf8proc swallows U+11A7, which is none */
		return (a - 0xAC00) % 28 == 0 && b > 0x11A7 && b < 0x11C3 ? a + (b - 0x11A7) : -1;
	utf8proc_int32_t pair[2] = { a, b };
	if (utf8proc_normalize_utf32(pair, 2, UTF8PROC_STABLE | UTF8PROC_COMPOSE) != 1)
		return -1;
	return in(whole, COUNT(whole), pair[0]) ? -1 : pair[0];
}

bool tok_is_accent(int32_t c)
{
	if (c == 0x1CF2 || c == 0x1CF3) /* were marks once */
		return true;
	utf8proc_category_t k = utf8proc_category(c);
	bool mark = k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
	return mark && !in(kept_marks, COUNT(kept_marks), c);
}

bool tok_is_numeric(int32_t c)
{
	return tok_class(c) == TOK_NUMBER || in(more_numeric, COUNT(more_numeric), c);
}

/* ---- classes of regular expressions ---- */

uint8_t tok_classes[TOK_TABLE];

uint8_t tok_class_above(int32_t c)
{
	static const uint8_t class[] = {
		[UTF8PROC_CATEGORY_LU] = TOK_UPPER, [UTF8PROC_CATEGORY_LT] = TOK_UPPER,
		[UTF8PROC_CATEGORY_LL] = TOK_LOWER, [UTF8PROC_CATEGORY_LM] = TOK_OTHER_LETTER,
		[UTF8PROC_CATEGORY_LO] = TOK_OTHER_LETTER, [UTF8PROC_CATEGORY_MN] = TOK_ACCENT,
		[UTF8PROC_CATEGORY_MC] = TOK_ACCENT, [UTF8PROC_CATEGORY_ME] = TOK_ACCENT,
		[UTF8PROC_CATEGORY_ND] = TOK_NUMBER, [UTF8PROC_CATEGORY_NL] = TOK_NUMBER,
		[UTF8PROC_CATEGORY_NO] = TOK_NUMBER, [UTF8PROC_CATEGORY_CO] = 0,
	};
	if (in(white, COUNT(white), c))
		return TOK_BLANK;
	size_t low = 0, high = COUNT(more_classes);
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (c > more_classes[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < COUNT(more_classes) && c >= more_classes[low].first)
		return (uint8_t)more_classes[low].class;
	return class[utf8proc_category(c)];
}

static void fill_classes(void)
{
	for (int32_t c = 0; c < TOK_TABLE; c++)
		tok_classes[c] = tok_class_above(c);
}

void tok_classes_fill(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, fill_classes);
}

size_t tok_lower(int32_t c, int32_t out[2])
{
	if (c == 0x130) { /* the one character whose lower case is two */
		out[0] = 'i';
		out[1] = 0x307;
		return 2;
	}
	out[0] = utf8proc_tolower(c);
	if (out[0] == c && c >= more_lower[0].first)
		for (size_t i = 0; i < COUNT(more_lower); i++)
			if (c >= more_lower[i].first && c <= more_lower[i].last)
				out[0] = c + more_lower[i].add;
	return 1;
}
