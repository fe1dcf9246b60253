/* cut.c - matches and what stands between them, to parts. */
#include "cut.h"
#include "ft/err.h"

#include <string.h>

int tok_behavior_load(const json_t *v, enum tok_behavior absent, enum tok_behavior *out)
{
	static const char *const names[] = {
		[TOK_REMOVED] = "Removed", [TOK_ISOLATED] = "Isolated", [TOK_MERGED_PREVIOUS] = "MergedWithPrevious",
		[TOK_MERGED_NEXT] = "MergedWithNext", [TOK_CONTIGUOUS] = "Contiguous",
	};
	int err = FT_OK;
	const char *name = ft_json_str(v, "behavior", names[absent], &err);
	if (err < 0)
		return err;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0) {
			*out = (enum tok_behavior)i;
			return FT_OK;
		}
	return ft_fail(FT_EFORMAT, "behavior '%s' is not known", name);
}

static int give(struct tok_cutter *c, size_t from, size_t to)
{
	if (from == to)
		return FT_OK;
	struct tok_run part = tok_run_part(c->in, from, to);
	return tok_walk_on(c->w, c->stage + 1, &part);
}

/* What waits goes on, and from..to waits. */
static int push(struct tok_cutter *c, size_t from, size_t to)
{
	int rc = c->waits ? give(c, c->from, c->to) : FT_OK;
	c->from = from;
	c->to = to;
	c->waits = true;
	return rc;
}

int tok_cut_end(struct tok_cutter *c)
{
	int rc = c->waits ? give(c, c->from, c->to) : FT_OK;
	c->waits = false;
	return rc;
}

int tok_cut(struct tok_cutter *c, size_t from, size_t to, bool match)
{
	bool before = c->before, joins = false;
	c->before = match;
	switch (c->behavior) {
	case TOK_REMOVED:
		return match ? FT_OK : give(c, from, to);
	case TOK_ISOLATED:
		return give(c, from, to);
	case TOK_MERGED_PREVIOUS: joins = match && !before; break;
	case TOK_MERGED_NEXT: joins = !match && before; break;
	default: joins = match == before; break; /* TOK_CONTIGUOUS */
	}
	if (!joins || !c->waits)
		return push(c, from, to);
	c->to = to;
	return FT_OK;
}

int tok_cut_chars(struct tok_cutter *c, bool (*test)(const struct ft_tok *t, int32_t c))
{
	const struct tok_run *in = c->in;
	size_t done = 0, n;
	int rc = FT_OK;
	for (size_t i = 0; i < in->n && rc == FT_OK; i += n) {
		int32_t ch;
		n = ft_utf8_get(in->s + i, in->n - i, &ch, NULL);
		if (!test(c->w->t, ch))
			continue;
		if (done < i)
			rc = tok_cut(c, done, i, false);
		if (rc == FT_OK)
			rc = tok_cut(c, i, i + n, true);
		done = i + n;
	}
	if (rc == FT_OK && done < in->n)
		rc = tok_cut(c, done, in->n, false);
	return rc == FT_OK ? tok_cut_end(c) : rc;
}
