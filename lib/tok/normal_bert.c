/* normal_bert.c - BertNormalizer: control characters out, white space to spaces,
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

static int put_lower(const struct tok_bert *b, struct tok_form *x, int32_t c, struct tok_span at)
{
	if (!b->lower)
		return tok_form_put(x, c, at);
	int32_t out[2];
	size_t n = tok_lower(c, out);
	int rc = tok_form_put(x, out[0], at);
	return rc == FT_OK && n == 2 ? tok_form_put(x, out[1], at) : rc;
}

/* ---- canonical order ---- */

static int compare_marks(const void *a, const void *b)
{
	const struct tok_mark *x = a, *y = b;
	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static int flush_marks(const struct tok_bert *b, struct ft_tok_scratch *s, struct tok_form *x)
{
	int rc = FT_OK;
	if (s->nmarks > 1)
		qsort(s->marks, s->nmarks, sizeof *s->marks, compare_marks);
	for (size_t i = 0; i < s->nmarks && rc == FT_OK; i++)
		rc = put_lower(b, x, s->marks[i].c, s->marks[i].at);
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
static int put_decomposed(const struct ft_tok *t, const struct tok_bert *b, struct ft_tok_scratch *s,
                          struct tok_form *x, int32_t c, struct tok_span at)
{
	unsigned flags = tok_flags(t, c);
	if (flags & TOK_COMBINING)
		return keep_mark(s, c, at);
	/* A mark of class 0 is a base, too: nothing moves over it. */
	if (s->nmarks && (!(flags & TOK_MARK) || tok_combining(c) == 0)) {
		int rc = flush_marks(b, s, x);
		if (rc < 0)
			return rc;
	}
	return flags & TOK_MARK ? FT_OK : put_lower(b, x, c, at);
}

/* One character after clean_text. */
static int put_clean(const struct ft_tok *t, const struct tok_bert *b, struct ft_tok_scratch *s,
                     struct tok_form *x, int32_t c, struct tok_span at)
{
	if (!b->strip)
		return put_lower(b, x, c, at);
	int32_t out[TOK_DECOMPOSED];
	size_t n = tok_decompose(c, false, out);
	int rc = FT_OK;
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = put_decomposed(t, b, s, x, out[i], at);
	return rc;
}

int tok_bert_normalize(const struct ft_tok *t, const struct tok_bert *b, const struct tok_run *in,
                       struct ft_tok_scratch *s, struct tok_form *x)
{
	int rc = FT_OK;
	s->nmarks = 0;
	for (size_t i = 0, len; i < in->n && rc == FT_OK; i += len) {
		int32_t c;
		len = ft_utf8_get(in->s + i, in->n - i, &c, NULL);
		struct tok_span at = tok_run_span(in, i, i + len);
		unsigned flags = tok_flags(t, c);
		if (b->clean && flags & TOK_DROPPED)
			continue;
		if (b->clean && flags & TOK_WHITE)
			c = ' ';
		bool apart = b->chinese && flags & TOK_CHINESE;
		if (apart)
			rc = put_clean(t, b, s, x, ' ', at);
		if (rc == FT_OK)
			rc = put_clean(t, b, s, x, c, at);
		if (apart && rc == FT_OK)
			rc = put_clean(t, b, s, x, ' ', at);
	}
	return rc == FT_OK ? flush_marks(b, s, x) : rc;
}

/* ---- as a stage ---- */

static int load(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	struct tok_bert *b = *state = ft_alloc(1, sizeof *b);
	(void)t;
	if (!b)
		return FT_EFAIL;
	b->clean = ft_json_bool(v, "clean_text", true, &err);
	b->chinese = ft_json_bool(v, "handle_chinese_chars", true, &err);
	b->lower = ft_json_bool(v, "lowercase", true, &err);
	b->strip = ft_json_bool(v, "strip_accents", b->lower, &err); /* null: as lowercase */
	return err;
}

static int normalize(const struct ft_tok *t, const void *state, const struct tok_run *in, struct ft_tok_scratch *s,
                     struct tok_form *out)
{
	return tok_bert_normalize(t, state, in, s, out);
}

const struct tok_stage_kind tok_normal_bert = { "BertNormalizer", load, NULL, .normalize = normalize };
