/* normalize.c - BertNormalizer: control characters out, white space to spaces,
 * Chinese set off by spaces, decomposition without accents, lower case; in the
 * reference's order, character by character, each byte of the result with the
 * bytes of the source it came from.
 *
 * Decomposed text has its combining characters in canonical order. Those that
 * are removed anyway need none; of the few that stay, runs are kept back and
 * sorted when the next base character comes.
 */
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

static int reserve(struct ft_tok_scratch *s, size_t more)
{
	size_t need, cap = s->cap;
	if (!ft_add(s->n, more, &need))
		return ft_fail_memory(SIZE_MAX);
	if (need <= s->cap)
		return FT_OK;
	/* Both arrays grow together; `cap` counts only what both have. */
	int rc = ft_grow(&s->text, &cap, need, 1);
	cap = s->cap;
	if (rc == FT_OK)
		rc = ft_grow(&s->map, &cap, need, sizeof *s->map);
	if (rc == FT_OK)
		s->cap = cap;
	return rc;
}

static int put(struct ft_tok_scratch *s, int32_t c, struct tok_span at)
{
	if (s->cap - s->n < 4) {
		int rc = reserve(s, 4);
		if (rc < 0)
			return rc;
	}
	size_t n = tok_utf8_put(c, s->text + s->n);
	for (size_t i = 0; i < n; i++)
		s->map[s->n + i] = at;
	s->n += n;
	return FT_OK;
}

static int put_lower(const struct ft_tok *t, struct ft_tok_scratch *s, int32_t c, struct tok_span at)
{
	if (!t->normal.lower)
		return put(s, c, at);
	int32_t out[2];
	size_t n = tok_lower(c, out);
	int rc = put(s, out[0], at);
	return rc == FT_OK && n == 2 ? put(s, out[1], at) : rc;
}

/* ---- canonical order ---- */

static int compare_marks(const void *a, const void *b)
{
	const struct tok_mark *x = a, *y = b;
	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static int flush_marks(const struct ft_tok *t, struct ft_tok_scratch *s)
{
	int rc = FT_OK;
	if (s->nmarks > 1)
		qsort(s->marks, s->nmarks, sizeof *s->marks, compare_marks);
	for (size_t i = 0; i < s->nmarks && rc == FT_OK; i++)
		rc = put_lower(t, s, s->marks[i].c, s->marks[i].at);
	s->nmarks = 0;
	return rc;
}

static int keep_mark(struct ft_tok_scratch *s, int32_t c, struct tok_span at)
{
	int rc = ft_grow(&s->marks, &s->marks_cap, s->nmarks + 1, sizeof *s->marks);
	if (rc == FT_OK) {
		s->marks[s->nmarks] = (struct tok_mark){ c, tok_combining(c), s->nmarks, at };
		s->nmarks++;
	}
	return rc;
}

/* One character of the decomposed text. */
static int put_decomposed(const struct ft_tok *t, struct ft_tok_scratch *s, int32_t c, struct tok_span at)
{
	unsigned flags = tok_flags(t, c);
	if (flags & TOK_COMBINING)
		return keep_mark(s, c, at);
	/* A mark of class 0 is a base, too: nothing moves over it. */
	if (s->nmarks && (!(flags & TOK_MARK) || tok_combining(c) == 0)) {
		int rc = flush_marks(t, s);
		if (rc < 0)
			return rc;
	}
	return flags & TOK_MARK ? FT_OK : put_lower(t, s, c, at);
}

/* One character after clean_text. */
static int put_clean(const struct ft_tok *t, struct ft_tok_scratch *s, int32_t c, struct tok_span at)
{
	if (!t->normal.strip)
		return put_lower(t, s, c, at);
	int32_t out[TOK_DECOMPOSED];
	size_t n = tok_decompose(c, out);
	int rc = FT_OK;
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = put_decomposed(t, s, out[i], at);
	return rc;
}

int tok_normalize(const struct ft_tok *t, const char *text, size_t n, uint32_t base, struct ft_tok_scratch *s)
{
	int rc = FT_OK;
	s->nmarks = 0;
	for (size_t i = 0, len; i < n && rc == FT_OK; i += len) {
		int32_t c;
		len = tok_utf8_get(text + i, n - i, &c, NULL);
		struct tok_span at = { base + (uint32_t)i, base + (uint32_t)(i + len) };
		unsigned flags = tok_flags(t, c);
		if (t->normal.clean && flags & TOK_DROPPED)
			continue;
		if (t->normal.clean && flags & TOK_WHITE)
			c = ' ';
		bool apart = t->normal.chinese && flags & TOK_CHINESE;
		if (apart)
			rc = put_clean(t, s, ' ', at);
		if (rc == FT_OK)
			rc = put_clean(t, s, c, at);
		if (apart && rc == FT_OK)
			rc = put_clean(t, s, ' ', at);
	}
	return rc == FT_OK ? flush_marks(t, s) : rc;
}
