/* charsmap.c - `precompiled_charsmap`: the bytes of a trie (little endian, first how
 * many there are), and behind them strings, each with a NUL at its end.
 *
 * The trie is a double array: the child of a node for byte c is the unit at (node's
 * offset ^ c), when that has the label c; a value is the unit at the offset itself.
 * What it says is believed only within its bounds: an index beyond them is no match.
 *
 * Yata, "darts-clone"; Kudo and Richardson, "SentencePiece", 2018.
 */
#include "charsmap.h"
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define RULE_MAX 256  /* bytes of a rule; a trie that is made to go in circles ends here */
#define CLUSTER_MAX 6 /* grapheme clusters of so many bytes are not looked up whole */

struct tok_charsmap {
	uint32_t *unit; /* [units] */
	size_t units;
	char *text;     /* [n], and a NUL */
	size_t n;
	bool leaves[128]; /* characters of ASCII that begin no rule of ASCII alone; never CR, behind which LF counts */
};

/* ---- the trie ---- */

static size_t offset_of(uint32_t unit)
{
	return (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
}

/* From the node *at (an offset) over byte c. False: no such child. */
static bool step(const struct tok_charsmap *c, size_t *at, unsigned char byte, bool *leaf)
{
	size_t next = *at ^ byte;
	if (next >= c->units || (c->unit[next] & 0x800000ffu) != byte)
		return false;
	*leaf = c->unit[next] >> 8 & 1;
	*at = next ^ offset_of(c->unit[next]);
	return true;
}

/* Where the text begins that the value at `at` names; SIZE_MAX: it names none. */
static size_t value_of(const struct tok_charsmap *c, size_t at)
{
	size_t from = at < c->units ? c->unit[at] & 0x7fffffffu : SIZE_MAX;
	return from > c->n || ((unsigned char)c->text[from] & 0xc0) == 0x80 ? SIZE_MAX : from;
}

/* The length of the longest beginning of s[n] that is in the trie, or of the shortest; 0: none. */
static size_t find(const struct tok_charsmap *c, const char *s, size_t n, bool shortest, struct ft_span *to)
{
	size_t at = offset_of(c->unit[0]), found = 0, text = 0;
	bool leaf;
	n = n < RULE_MAX ? n : RULE_MAX;
	for (size_t i = 0; i < n && s[i] && step(c, &at, (unsigned char)s[i], &leaf); i++) {
		size_t value = leaf ? value_of(c, at) : SIZE_MAX;
		if (value == SIZE_MAX)
			continue;
		found = i + 1;
		text = value;
		if (shortest)
			break;
	}
	if (found)
		*to = (struct ft_span){ c->text + text, strlen(c->text + text) };
	return found;
}

size_t tok_charsmap_longest(const struct tok_charsmap *c, const char *s, size_t n, struct ft_span *to)
{
	unsigned char first = (unsigned char)*s;
	if (first < 128 && c->leaves[first] && (n == 1 || (unsigned char)s[1] < 128))
		return 0;
	return find(c, s, n, false, to);
}

bool tok_charsmap_leaves(const struct tok_charsmap *c, unsigned char ascii)
{
	return c->leaves[ascii];
}

/* ---- grapheme clusters ---- */

/* utf8proc 2.8 knows Unicode 15.0, the reference 17.0: what was added since and
 * extends a cluster counts as another such character. (Conjuncts, which the rules
 * have since, are longer than what is looked up.) */
static int32_t older(int32_t c)
{
	static const struct { int32_t first, last; } added[] = {
		{ 0x897, 0x897 }, { 0x1ACF, 0x1ADD }, { 0x1AE0, 0x1AEB }, { 0x10D69, 0x10D6D }, { 0x10EFA, 0x10EFC },
		{ 0x113B8, 0x113C0 }, { 0x113C2, 0x113C2 }, { 0x113C5, 0x113C5 }, { 0x113C7, 0x113CA },
		{ 0x113CC, 0x113D0 }, { 0x113D2, 0x113D2 }, { 0x113E1, 0x113E2 }, { 0x11B60, 0x11B67 },
		{ 0x11F5A, 0x11F5A }, { 0x1611E, 0x1612F }, { 0x1E5EE, 0x1E5EF }, { 0x1E6E3, 0x1E6E3 },
		{ 0x1E6E6, 0x1E6E6 }, { 0x1E6EE, 0x1E6EF }, { 0x1E6F5, 0x1E6F5 },
	};
	if (c < added[0].first)
		return c;
	for (size_t i = 0; i < sizeof added / sizeof *added && c >= added[i].first; i++)
		if (c <= added[i].last)
			return 0x300;
	return c;
}

/* Bytes of the first extended grapheme cluster of s[n]. */
static size_t cluster_of(const char *s, size_t n)
{
	int32_t before, after, state = 0;
	size_t at = ft_utf8_get(s, n, &before, NULL);
	while (at < n) {
		size_t len = ft_utf8_get(s + at, n - at, &after, NULL);
		if (utf8proc_grapheme_break_stateful(older(before), older(after), &state))
			break;
		before = after;
		at += len;
	}
	return at;
}

/* ASCII that stays as it is, up to a character that may be part of a cluster. */
static size_t plain_run(const struct tok_charsmap *c, const char *s, size_t n)
{
	size_t i = 0;
	while (i < n && (unsigned char)s[i] < 128 && c->leaves[(unsigned char)s[i]])
		i++;
	return i && i < n && (unsigned char)s[i] >= 128 ? i - 1 : i;
}

/* The reference looks a short cluster up whole and takes the first, hence shortest,
 * rule that begins it; for the whole of it. Then it tries the characters. */
size_t tok_charsmap_next(const struct tok_charsmap *c, const char *s, size_t n, struct tok_charsmap_state *st,
                         struct ft_span *to)
{
	size_t used = st->cluster ? 0 : plain_run(c, s, n);
	if (!used && !st->cluster) {
		size_t cluster = cluster_of(s, n);
		if (cluster < CLUSTER_MAX && find(c, s, cluster, true, to))
			return cluster;
		st->cluster = cluster;
	}
	if (!used) {
		int32_t ch;
		used = ft_utf8_get(s, n, &ch, NULL);
		st->cluster -= used < st->cluster ? used : st->cluster;
		if (find(c, s, used, true, to))
			return used;
	}
	*to = (struct ft_span){ s, used };
	return used;
}

/* ---- loading ---- */

static uint32_t get32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool leaves(const struct tok_charsmap *c, unsigned char ascii)
{
	size_t root = offset_of(c->unit[0]), at = root, next;
	bool leaf, child = false;
	if (!step(c, &at, ascii, &leaf))
		return true;
	for (unsigned char b = 1; b < 128 && !child; b++) {
		next = at;
		child = step(c, &next, b, &(bool){ false });
	}
	return !leaf && !child;
}

static int load(struct tok_charsmap *c, const unsigned char *p, size_t n)
{
	size_t bytes = n >= 4 ? get32(p) : 0;
	if (bytes < 4 || bytes % 4 || bytes > n - 4)
		return ft_fail(FT_EFORMAT, "precompiled_charsmap of %zu bytes is cut short or has no trie", n);
	c->units = bytes / 4;
	c->n = n - 4 - bytes;
	const char *text = (const char *)p + 4 + bytes;
	if (ft_utf8_invalid(text, c->n))
		return ft_fail(FT_EFORMAT, "precompiled_charsmap: the replacements are not UTF-8");
	c->unit = ft_alloc(c->units, sizeof *c->unit);
	c->text = ft_alloc(c->n + 1, 1);
	if (!c->unit || !c->text)
		return FT_EFAIL;
	for (size_t i = 0; i < c->units; i++)
		c->unit[i] = get32(p + 4 + 4 * i);
	memcpy(c->text, text, c->n);
	for (int i = 1; i < 128; i++)
		c->leaves[i] = i != '\r' && leaves(c, (unsigned char)i);
	c->leaves[0] = true; /* ends every look-up */
	return FT_OK;
}

struct tok_charsmap *tok_charsmap_new(const void *bytes, size_t n)
{
	struct tok_charsmap *c = ft_alloc(1, sizeof *c);
	if (c && load(c, bytes, n) < 0) {
		tok_charsmap_free(c);
		return NULL;
	}
	return c;
}

void tok_charsmap_free(struct tok_charsmap *c)
{
	if (!c)
		return;
	free(c->unit);
	free(c->text);
	free(c);
}
