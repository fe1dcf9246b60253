/* split_pattern.c - Split: at the matches of a pattern. */
#include "cut.h"
#include "ft/err.h"
#include "regex.h"
#include "scan.h"

#include <stdlib.h>

struct split {
	struct tok_regex *regex;
	tok_scan_fn *scan; /* when there is one, and words are cut as they lie */
	enum tok_behavior behavior;
	bool invert;
};

static int load(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	struct split *p = *state = ft_alloc(1, sizeof *p);
	(void)t;
	if (!p)
		return FT_EFAIL;
	p->invert = ft_json_bool(v, "invert", false, &err);
	if (err < 0 || (err = tok_behavior_load(v, TOK_ISOLATED, &p->behavior)) < 0)
		return err;
	p->regex = tok_regex_load(json_object_get(v, "pattern"));
	if (!p->regex)
		return ft_last_error();
	/* These patterns match all there is: so nothing stands between, and only Removed
	 * (the other way round) and Isolated make sense. */
	if (p->behavior == TOK_ISOLATED || (p->behavior == TOK_REMOVED && p->invert))
		p->scan = tok_scan_find(tok_regex_pattern(p->regex));
	return FT_OK;
}

static void unload(void *state)
{
	struct split *p = state;
	if (p)
		tok_regex_free(p->regex);
	free(p);
}

static int split(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	const struct split *p = state;
	if (p->scan)
		return tok_scan_words(w, stage, p->scan, in);
	struct tok_cutter c = { .w = w, .stage = stage, .in = in, .behavior = p->behavior };
	struct tok_search f = { .regex = p->regex, .s = in->s, .n = in->n, .store = &w->x->scratch->store };
	size_t done = 0, from, to;
	int more, rc = FT_OK;
	while (rc == FT_OK && (more = tok_search_next(&f, &from, &to)) != 0) {
		rc = more < 0 ? more : done < from ? tok_cut(&c, done, from, p->invert) : FT_OK;
		if (rc == FT_OK)
			rc = tok_cut(&c, from, to, !p->invert);
		done = to;
	}
	if (rc == FT_OK && done < in->n)
		rc = tok_cut(&c, done, in->n, p->invert);
	return rc == FT_OK ? tok_cut_end(&c) : rc;
}

const struct tok_stage_kind tok_split_pattern = { "Split", load, unload, .split = split };
