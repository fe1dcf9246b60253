/* form.c - text on its way through a tokenizer: bytes, and for each of them the
 * bytes of the source it came from. */
#include "ft/err.h"
#include "priv.h"
#include "regex.h"

#include <stdlib.h>
#include <string.h>

int tok_form_grow(struct tok_form *x, size_t more)
{
	size_t need = x->n + more, cap = x->cap; /* of a text below 4 GiB */
	if (x->limit && need > x->limit)
		return ft_fail(FT_EFORMAT, "the tokenizer makes more than %zu bytes of a piece of text, which is too"
		               " much", x->limit);
	if (need <= x->cap)
		return FT_OK;
	/* Both arrays grow together; `cap` counts only what both have. */
	int rc = ft_grow(&x->s, &cap, need, 1);
	cap = x->cap;
	if (rc == FT_OK)
		rc = ft_grow(&x->map, &cap, need, sizeof *x->map);
	if (rc == FT_OK)
		x->cap = cap;
	return rc;
}

int tok_form_append(struct tok_form *x, const char *s, size_t n, struct tok_span at)
{
	int rc = tok_form_grow(x, n);
	if (rc < 0)
		return rc;
	if (n)
		memcpy(x->s + x->n, s, n);
	for (size_t i = 0; i < n; i++)
		x->map[x->n + i] = at;
	x->n += n;
	return FT_OK;
}

int tok_form_put(struct tok_form *x, int32_t c, struct tok_span at)
{
	char bytes[4];
	return tok_form_append(x, bytes, ft_utf8_put(c, bytes), at);
}

int tok_form_copy(struct tok_form *x, const struct tok_run *r, size_t from, size_t to)
{
	int rc = tok_form_grow(x, to - from);
	if (rc < 0 || from == to)
		return rc;
	struct tok_span *map = x->map + x->n;
	memcpy(x->s + x->n, r->s + from, to - from);
	x->n += to - from;
	if (r->map) {
		memcpy(map, r->map + from, (to - from) * sizeof *map);
		return FT_OK;
	}
	for (size_t i = from, n; i < to; i += n) {
		int32_t c;
		n = (unsigned char)r->s[i] < 0x80 ? 1 : ft_utf8_get(r->s + i, to - i, &c, NULL);
		for (size_t k = 0; k < n; k++)
			*map++ = (struct tok_span){ r->base + (uint32_t)i, r->base + (uint32_t)(i + n) };
	}
	return FT_OK;
}

int tok_form_prefix(struct tok_form *x, const struct tok_run *r, const char *prefix, size_t n)
{
	int32_t c;
	size_t first = ft_utf8_get(r->s, r->n, &c, NULL);
	return tok_form_append(x, prefix, n, tok_run_span(r, 0, first));
}

void tok_form_free(struct tok_form *x)
{
	free(x->s);
	free(x->map);
	*x = (struct tok_form){ 0 };
}

/* ---- scratch ---- */

void tok_scratch_free(struct ft_tok_scratch *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < 2; i++)
		tok_form_free(&s->normal[i]);
	for (size_t i = 0; i < TOK_STAGES; i++) {
		tok_form_free(&s->split[i][0]);
		tok_form_free(&s->split[i][1]);
	}
	tok_search_free(s->store);
	free(s->marks);
	free(s);
}
