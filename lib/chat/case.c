/* case.c - letter case, and which characters repr() shows, with libutf8proc. One character
 * becomes one character, but for the German sharp s, whose upper case is SS. */
#include "priv.h"

#include <utf8proc.h>

static bool cased(int32_t c)
{
	return utf8proc_tolower(c) != c || utf8proc_toupper(c) != c;
}

static void put(struct build *b, int32_t c, bool up, uint8_t mark)
{
	char out[4];
	if (up && c == 0xdf)
		build_add(b, "SS", 2, mark);
	else
		build_add(b, out, char_put(up ? utf8proc_toupper(c) : utf8proc_tolower(c), out), mark);
}

const struct text *letters(struct run *r, const struct text *t, enum letters how)
{
	struct build b = { .run = r };
	bool first = true;
	size_t len;
	int32_t c;
	for (size_t i = 0; i < t->n; i += len) {
		len = char_get(t->s + i, t->n - i, &c);
		put(&b, c, how == UPPER || (how >= TITLE && first), mark_at(t, i));
		first = how == TITLE && !cased(c);
		spend(r, 1);
	}
	return build_done(&b);
}

/* The filter's words begin behind white space and some punctuation, so that "don't" is one. */
const struct text *title_filter(struct run *r, const struct text *t)
{
	struct build b = { .run = r };
	bool first = true;
	size_t len;
	int32_t c;
	for (size_t i = 0; i < t->n; i += len) {
		len = char_get(t->s + i, t->n - i, &c);
		put(&b, c, first, mark_at(t, i));
		first = is_white(c) || (c < 0x80 && c && strchr("-({[<", (int)c));
		spend(r, 1);
	}
	return build_done(&b);
}

bool is_printable(int32_t c)
{
	utf8proc_category_t k = utf8proc_category(c);
	return c == ' ' || (k != UTF8PROC_CATEGORY_CN && k != UTF8PROC_CATEGORY_ZS && k != UTF8PROC_CATEGORY_ZL &&
	                    k != UTF8PROC_CATEGORY_ZP && k != UTF8PROC_CATEGORY_CC && k != UTF8PROC_CATEGORY_CF &&
	                    k != UTF8PROC_CATEGORY_CS && k != UTF8PROC_CATEGORY_CO);
}
