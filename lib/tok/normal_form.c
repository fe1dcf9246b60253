/* normal_form.c - the normal forms of Unicode: NFD, NFC, NFKD, NFKC.
 *
 * A character is decomposed, the marks behind a base are put in canonical order,
 * and, for the composed forms, base and marks are joined again. What is joined has
 * the place of its base, as in the reference. (Unicode Standard Annex 15.)
 */
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

struct form { bool compatible, composed; };

/* Whether c stays as it is, whatever stands beside it. */
static bool is_inert(const struct form *f, int32_t c)
{
	if (c < 0x80)
		return true;
	if (f->composed && !f->compatible && (c < 0x300 || (c >= 0xAC00 && c <= 0xD7A3)))
		return true;
	if (tok_class(c) & TOK_ACCENT || (c >= 0x1100 && c < 0x1200)) /* marks; parts of Hangul syllables */
		return false;
	int32_t out[TOK_DECOMPOSED];
	return tok_decompose(c, f->compatible, out) == 1 && out[0] == c;
}

/* How many bytes of `in` from the start on are inert. */
static size_t inert_bytes(const struct form *f, const struct tok_run *in)
{
	size_t i = 0, n;
	for (int32_t c; i < in->n; i += n) {
		n = ft_utf8_get(in->s + i, in->n - i, &c, NULL);
		if (!is_inert(f, c))
			break;
	}
	return i;
}

/* ---- a base and the marks behind it: s->marks ---- */

static int compare_marks(const void *a, const void *b)
{
	const struct tok_mark *x = a, *y = b;
	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static void sort_marks(struct ft_tok_scratch *s)
{
	size_t first = s->nmarks && s->marks[0].class == 0;
	if (s->nmarks - first > 1)
		qsort(s->marks + first, s->nmarks - first, sizeof *s->marks, compare_marks);
}

static void compose(struct ft_tok_scratch *s)
{
	size_t to = 1;
	int last = 0; /* class of the mark before, when it was not joined */
	if (!s->nmarks || s->marks[0].class)
		return;
	for (size_t i = 1; i < s->nmarks; i++) {
		struct tok_mark m = s->marks[i];
		int32_t both = to == 1 || last < m.class ? tok_compose(s->marks[0].c, m.c) : -1;
		if (both >= 0) {
			s->marks[0].c = both;
		} else {
			s->marks[to++] = m;
			last = m.class;
		}
	}
	s->nmarks = to;
}

static int flush(struct ft_tok_scratch *s, struct tok_form *out)
{
	int rc = FT_OK;
	for (size_t i = 0; i < s->nmarks && rc == FT_OK; i++)
		rc = tok_form_put(out, s->marks[i].c, s->marks[i].at);
	s->nmarks = 0;
	return rc;
}

/* One character of the decomposed text. */
static int add(const struct form *f, struct ft_tok_scratch *s, struct tok_form *out, int32_t c, struct tok_span at)
{
	int class = c < 0x300 ? 0 : tok_combining(c), rc = FT_OK;
	if (class == 0) {
		sort_marks(s);
		if (f->composed) {
			compose(s);
			int32_t both = s->nmarks == 1 && s->marks[0].class == 0 ? tok_compose(s->marks[0].c, c) : -1;
			if (both >= 0) {
				s->marks[0].c = both;
				return FT_OK;
			}
		}
		rc = flush(s, out);
	}
	if (rc == FT_OK)
		rc = ft_grow(&s->marks, &s->marks_cap, s->nmarks + 1, sizeof *s->marks);
	if (rc == FT_OK) {
		s->marks[s->nmarks] = (struct tok_mark){ c, class, s->nmarks, at };
		s->nmarks++;
	}
	return rc;
}

static int normalize(const struct ft_tok *t, const void *state, const struct tok_run *in, struct ft_tok_scratch *s,
                     struct tok_form *out)
{
	const struct form *f = state;
	(void)t;
	size_t start = inert_bytes(f, in);
	if (start == in->n)
		return TOK_SAME;
	int32_t c, parts[TOK_DECOMPOSED];
	size_t n;
	while (start > 0 && ((unsigned char)in->s[--start] & 0xc0) == 0x80) /* what stands before may be a base */
		;
	int rc = tok_form_copy(out, in, 0, start);
	s->nmarks = 0;
	for (size_t i = start; i < in->n && rc == FT_OK; i += n) {
		n = ft_utf8_get(in->s + i, in->n - i, &c, NULL);
		struct tok_span at = tok_run_span(in, i, i + n);
		size_t count = c < 0x80 ? (parts[0] = c, 1) : tok_decompose(c, f->compatible, parts);
		for (size_t k = 0; k < count && rc == FT_OK; k++)
			rc = add(f, s, out, parts[k], at);
	}
	sort_marks(s);
	if (f->composed)
		compose(s);
	if (rc == FT_OK)
		rc = flush(s, out);
	bool same = rc == FT_OK && out->n == in->n && memcmp(out->s, in->s, in->n) == 0;
	return same ? TOK_SAME : rc;
}

static int load(const char *type, void **state)
{
	struct form *f = *state = ft_alloc(1, sizeof *f);
	if (!f)
		return FT_EFAIL;
	f->compatible = type[2] == 'K';
	f->composed = type[strlen(type) - 1] == 'C';
	tok_classes_fill();
	return FT_OK;
}

#define FORM(name, type)                                                             \
	static int load_##name(struct ft_tok *t, const json_t *v, void **state)      \
	{                                                                            \
		(void)t, (void)v;                                                    \
		return load(type, state);                                            \
	}                                                                            \
	const struct tok_stage_kind tok_normal_##name = { type, load_##name, NULL, .normalize = normalize };
FORM(nfd, "NFD")
FORM(nfc, "NFC")
FORM(nfkd, "NFKD")
FORM(nfkc, "NFKC")
