/* split_metaspace.c - Metaspace: spaces become visible, one more may stand before the
 * text, and each begins a word. */
#include "cut.h"
#include "ft/err.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST, NEVER, ALWAYS };
struct metaspace {
	char bytes[4]; /* what stands for a space */
	size_t n;
	int prepend;
	bool split;
};

static int load(struct ft_tok *t, const json_t *v, void **state)
{
	static const char *const schemes[] = { [FIRST] = "first", [NEVER] = "never", [ALWAYS] = "always" };
	int err = FT_OK;
	int32_t c = 0;
	struct metaspace *p = *state = ft_alloc(1, sizeof *p);
	(void)t;
	if (!p)
		return FT_EFAIL;
	const char *scheme = ft_json_str(v, "prepend_scheme", "always", &err);
	bool prefix = ft_json_bool(v, "add_prefix_space", true, &err); /* older files */
	p->split = ft_json_bool(v, "split", true, &err);
	if (err < 0 || (err = tok_load_char(v, "replacement", &c)) < 0)
		return err;
	p->n = ft_utf8_put(c, p->bytes);
	for (p->prepend = FIRST; p->prepend <= ALWAYS && strcmp(scheme, schemes[p->prepend]) != 0;)
		p->prepend++;
	if (p->prepend > ALWAYS)
		return ft_fail(FT_EFORMAT, "prepend_scheme '%s' is not known", scheme);
	if (!prefix && json_object_get(v, "prepend_scheme") && p->prepend != NEVER)
		return ft_fail(FT_EFORMAT, "add_prefix_space and prepend_scheme contradict each other");
	if (!prefix)
		p->prepend = NEVER;
	return FT_OK;
}

static bool begins(const struct metaspace *p, const char *s, size_t n)
{
	return n >= p->n && memcmp(s, p->bytes, p->n) == 0;
}

static int rewrite(const struct metaspace *p, const struct tok_run *in, struct tok_form *out)
{
	int rc = FT_OK;
	size_t done = 0;
	bool at_start = (in->map ? in->map[0].begin : in->base) == 0;
	out->n = 0;
	if (*in->s != ' ' && !begins(p, in->s, in->n) && (p->prepend == ALWAYS || (p->prepend == FIRST && at_start)))
		rc = tok_form_prefix(out, in, p->bytes, p->n);
	for (const char *space; rc == FT_OK && (space = memchr(in->s + done, ' ', in->n - done));) {
		size_t at = (size_t)(space - in->s);
		rc = tok_form_copy(out, in, done, at);
		if (rc == FT_OK)
			rc = tok_form_append(out, p->bytes, p->n, tok_run_span(in, at, at + 1));
		done = at + 1;
	}
	return rc == FT_OK ? tok_form_copy(out, in, done, in->n) : rc;
}

static int split(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	const struct metaspace *p = state;
	struct tok_form *form = &w->x->scratch->split[stage][0];
	int rc = rewrite(p, in, form);
	struct tok_run all = tok_form_run(form);
	if (rc < 0 || !p->split)
		return rc < 0 ? rc : tok_walk_on(w, stage + 1, &all);
	for (size_t from = 0, to; from < all.n && rc == FT_OK; from = to) {
		size_t at = from + (begins(p, all.s + from, all.n - from) ? p->n : 0);
		const char *next = at < all.n ? memmem(all.s + at, all.n - at, p->bytes, p->n) : NULL;
		to = next ? (size_t)(next - all.s) : all.n;
		struct tok_run word = tok_run_part(&all, from, to);
		rc = tok_walk_on(w, stage + 1, &word);
	}
	return rc;
}

const struct tok_stage_kind tok_split_metaspace = { "Metaspace", load, NULL, .split = split };
