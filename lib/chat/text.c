/* text.c - texts whose bytes know where they came from. */
#include "priv.h"

const struct text *text_of(struct run *r, const char *s, size_t n, uint8_t mark)
{
	struct text *t = take(r, 1, sizeof *t);
	*t = (struct text){ .s = s, .n = n, .mark = n ? mark : 0 };
	return t;
}

const struct text *text_str(struct run *r, const char *s)
{
	return text_of(r, s, strlen(s), 0);
}

const struct text *text_part(struct run *r, const struct text *t, size_t from, size_t to)
{
	if (from == 0 && to == t->n)
		return t;
	struct text *part = take(r, 1, sizeof *part);
	*part = (struct text){ .s = t->s + from, .n = to - from, .mark = to > from ? t->mark : 0 };
	if (t->marks && to > from)
		part->marks = t->marks + from;
	return part;
}

const struct text *text_join(struct run *r, const struct text *a, const struct text *b)
{
	if (!a->n || !b->n)
		return a->n ? a : b;
	struct build out = { .run = r };
	build_text(&out, a);
	build_text(&out, b);
	return build_done(&out);
}

uint8_t mark_of(const struct text *t)
{
	uint8_t all = t->mark;
	for (size_t i = 0; t->marks && i < t->n; i++)
		all |= t->marks[i];
	return all;
}

bool text_is(const struct text *t, const char *s)
{
	return t->n == strlen(s) && memcmp(t->s, s, t->n) == 0;
}

bool text_same(const struct text *a, const struct text *b)
{
	return a->n == b->n && memcmp(a->s, b->s, a->n) == 0;
}

size_t text_find(const struct text *t, size_t from, const struct text *part)
{
	const char *p = from > t->n ? NULL : memmem(t->s + from, t->n - from, part->s, part->n);
	return p ? (size_t)(p - t->s) : SIZE_MAX;
}

size_t text_rfind(struct run *r, const struct text *t, size_t before, const struct text *part)
{
	if (part->n > before)
		return SIZE_MAX;
	for (size_t i = before - part->n + 1; i-- > 0;) {
		if (memcmp(t->s + i, part->s, part->n) == 0)
			return i;
		if (i % 64 == 0) /* text and part may agree almost everywhere */
			spend(r, part->n / 64 + 1);
	}
	return SIZE_MAX;
}

/* ---- characters ---- */
static bool inside(char c) /* a byte of a character, but not the first */
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t char_get(const char *s, size_t n, int32_t *c)
{
	unsigned char first = (unsigned char)*s;
	size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	*c = len == 1 ? first : first & (0x7f >> len);
	if (len > n)
		len = n;
	for (size_t i = 1; i < len; i++)
		*c = *c << 6 | (s[i] & 0x3f);
	return len;
}

size_t char_put(int32_t c, char out[4])
{
	if (c < 0x80)
		return out[0] = (char)c, 1;
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(0xf00 >> n | c);
	return n;
}

size_t text_chars(const struct text *t)
{
	size_t chars = 0;
	for (size_t i = 0; i < t->n; i++)
		chars += !inside(t->s[i]);
	return chars;
}

size_t text_at(const struct text *t, size_t i)
{
	size_t at = 0;
	for (; at < t->n; at++)
		if (!inside(t->s[at]) && i-- == 0)
			break;
	return at;
}

/* What str.isspace() and \s of a regular expression take for white space. */
bool is_white(int32_t c)
{
	return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* ---- building ---- */
static void build_reserve(struct build *b, size_t more)
{
	size_t need = b->n + more; /* of what is in memory both */
	if (need <= b->cap)
		return;
	size_t cap = 2 * b->cap > need ? 2 * b->cap : need < 64 ? 64 : need;
	char *s = take(b->run, cap, 2);
	uint8_t *marks = (uint8_t *)s + cap;
	if (b->n) {
		memcpy(s, b->s, b->n);
		memcpy(marks, b->marks, b->n);
	}
	b->s = s;
	b->marks = marks;
	b->cap = cap;
}

void build_add(struct build *b, const char *s, size_t n, uint8_t mark)
{
	if (!n)
		return;
	spend(b->run, n / 64);
	build_reserve(b, n);
	memcpy(b->s + b->n, s, n);
	memset(b->marks + b->n, mark, n);
	b->mixed = b->mixed || (b->n && b->mark != mark);
	b->mark = mark;
	b->n += n;
}

void build_part(struct build *b, const struct text *t, size_t from, size_t to)
{
	if (from == to)
		return;
	build_add(b, t->s + from, to - from, t->mark);
	if (t->marks) {
		memcpy(b->marks + b->n - (to - from), t->marks + from, to - from);
		b->mixed = true;
	}
}

const struct text *build_done(struct build *b)
{
	struct text *t = take(b->run, 1, sizeof *t);
	*t = (struct text){ .s = b->n ? b->s : "", .n = b->n, .marks = b->mixed ? b->marks : NULL,
	                    .mark = b->mixed ? 0 : b->mark };
	return t;
}

/* ---- stripping and replacing ---- */
static bool stripped(const struct text *t, size_t at, size_t len, const struct text *chars)
{
	int32_t c;
	if (!chars) {
		char_get(t->s + at, len, &c);
		return is_white(c);
	}
	struct text one = { .s = t->s + at, .n = len };
	for (size_t i = 0; (i = text_find(chars, i, &one)) != SIZE_MAX; i++)
		if (!inside(chars->s[i]))
			return true;
	return false;
}

/* Without the white space at its ends, or without those of `chars`. */
const struct text *strip(struct run *r, const struct text *t, const struct text *chars, bool left, bool right)
{
	size_t from = 0, to = t->n, len;
	int32_t c;
	while (left && from < to && (len = char_get(t->s + from, to - from, &c), stripped(t, from, len, chars)))
		from += len;
	while (right && to > from) {
		size_t last = to - 1;
		while (last > from && inside(t->s[last]))
			last--;
		if (!stripped(t, last, to - last, chars))
			break;
		to = last;
	}
	return text_part(r, t, from, to);
}

/* An empty `old` stands before each character and at the end. */
static const struct text *between(struct run *r, const struct text *t, const struct text *new, int64_t most)
{
	struct build b = { .run = r };
	size_t len;
	int32_t c;
	for (size_t i = 0; i < t->n; i += len) {
		len = char_get(t->s + i, t->n - i, &c);
		if (most != 0) {
			build_text(&b, new);
			most--;
		}
		build_part(&b, t, i, i + len);
		spend(r, 1);
	}
	if (most != 0)
		build_text(&b, new);
	return build_done(&b);
}

const struct text *replace(struct run *r, const struct text *t, const struct text *old, const struct text *new,
                           int64_t most)
{
	if (!old->n)
		return between(r, t, new, most);
	struct build b = { .run = r };
	size_t at = 0, found;
	for (; most != 0 && (found = text_find(t, at, old)) != SIZE_MAX; most--) {
		spend(r, 1);
		build_part(&b, t, at, found);
		build_text(&b, new);
		at = found + old->n;
	}
	if (!at)
		return t;
	build_part(&b, t, at, t->n);
	return build_done(&b);
}
