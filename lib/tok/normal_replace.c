/* normal_replace.c - what matches a pattern becomes another text. */
#include "ft/err.h"
#include "priv.h"
#include "replace.h"

#include <stdlib.h>
#include <string.h>

int tok_replace_load(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	struct tok_replace *p = *state = ft_alloc(1, sizeof *p);
	(void)t;
	if (!p)
		return FT_EFAIL;
	const char *content = ft_json_str(v, "content", NULL, &err);
	if (err < 0)
		return err;
	if (!content)
		return ft_fail(FT_EFORMAT, "content must be a string");
	if (!(p->content = ft_strdup(content)))
		return FT_EFAIL;
	p->n = strlen(content);
	return (p->pattern = tok_regex_load(json_object_get(v, "pattern"))) ? FT_OK : ft_last_error();
}

void tok_replace_unload(void *state)
{
	struct tok_replace *p = state;
	if (!p)
		return;
	tok_regex_free(p->pattern);
	free(p->content);
	free(p);
}

/* The new text has the place of the last character that it replaces, as in the
 * reference; where it replaces nothing, of the one before. */
static struct tok_span place(const struct tok_run *in, size_t from, size_t to)
{
	size_t last = to;
	if (to == 0)
		return (struct tok_span){ 0, 0 };
	(void)from;
	while (--last > 0 && tok_utf8_inside(in->s[last]))
		;
	return tok_run_span(in, last, to);
}

static int normalize(const struct ft_tok *t, const void *state, const struct tok_run *in, struct ft_tok_scratch *s,
                     struct tok_form *out)
{
	const struct tok_replace *p = state;
	struct tok_search f = { .regex = p->pattern, .s = in->s, .n = in->n, .store = &s->store };
	size_t done = 0, from, to;
	int more, rc = FT_OK;
	(void)t;
	while (rc == FT_OK && (more = tok_search_next(&f, &from, &to)) != 0) {
		rc = more < 0 ? more : tok_form_copy(out, in, done, from);
		if (rc == FT_OK)
			rc = tok_form_append(out, p->content, p->n, place(in, from, to));
		done = to;
	}
	if (rc == FT_OK && done == 0 && out->n == 0)
		return TOK_SAME;
	return rc == FT_OK ? tok_form_copy(out, in, done, in->n) : rc;
}

const struct tok_stage_kind tok_normal_replace = {
	"Replace", tok_replace_load, tok_replace_unload, .normalize = normalize
};
