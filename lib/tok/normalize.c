/* normalize.c - the stages of normalisation, one after the other. */
#include "ft/err.h"
#include "priv.h"

#include <string.h>

/* The most bytes that may become of n: a single stage makes up to 18 characters of
 * one (NFKD of U+FDFA), and nobody's tokenizer does so with a whole text. */
size_t tok_growth_limit(size_t n)
{
	return 4096 + 32 * n;
}

/* What is not UTF-8 is replaced, so that all stages may rely on it. */
static int repair(const struct tok_run *in, struct tok_form *out)
{
	int rc = FT_OK;
	for (size_t i = 0, n; i < in->n && rc == FT_OK; i += n) {
		int32_t c;
		n = ft_utf8_get(in->s + i, in->n - i, &c, NULL);
		rc = tok_form_put(out, c, (struct tok_span){ in->base + (uint32_t)i, in->base + (uint32_t)(i + n) });
	}
	return rc;
}

int tok_normalize(const struct ft_tok *t, const struct tok_run *in, struct ft_tok_scratch *s, struct tok_run *out)
{
	int rc = FT_OK;
	size_t next = 0;
	*out = *in;
	for (size_t i = 0; i < 2; i++)
		s->normal[i].limit = tok_growth_limit(in->n);
	if (ft_utf8_invalid(in->s, in->n)) {
		s->normal[0].n = 0;
		rc = repair(in, &s->normal[0]);
		*out = tok_form_run(&s->normal[0]);
		next = 1;
	}
	for (size_t i = 0; i < t->normalizers.n && rc >= 0 && out->n; i++) {
		const struct tok_stage *stage = &t->normalizers.stage[i];
		struct tok_form *form = &s->normal[next];
		form->n = 0;
		rc = stage->kind->normalize(t, stage->state, out, s, form);
		if (rc == TOK_SAME)
			continue;
		*out = tok_form_run(form);
		next ^= 1;
	}
	return rc < 0 ? rc : FT_OK;
}
