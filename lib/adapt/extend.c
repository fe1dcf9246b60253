/* extend.c - a batch with tokens of techniques before its rows. */
#include "priv.h"

#include <string.h>

/* Tokens before row r: none where the row goes on from what a cache holds, which has them. */
static int64_t tokens_before(const struct ft_graph *g, size_t r, int64_t tokens)
{
	return ft_graph_past(g, r) ? 0 : tokens;
}

static int find_offsets(struct ft_graph *g, const struct ft_batch *b, int64_t tokens, int32_t *offsets)
{
	int64_t added = offsets[0] = 0;
	for (size_t r = 0; r < b->rows; r++) {
		added += tokens_before(g, r, tokens);
		if (added + b->offsets[r + 1] > INT32_MAX)
			return ft_fail(FT_EMATCH, "a batch of %zu rows with %lld tokens before each has too many", b->rows,
			               (long long)tokens);
		offsets[r + 1] = (int32_t)(b->offsets[r + 1] + added);
	}
	return FT_OK;
}

static void fill_row(const struct ft_batch *b, size_t r, int32_t *ids, uint8_t *types, size_t before)
{
	size_t from = (size_t)b->offsets[r], n = (size_t)b->offsets[r + 1] - from;
	for (size_t i = 0; i < before; i++)
		ids[i] = -1 - (int32_t)i;
	memcpy(ids + before, b->ids + from, n * sizeof *ids);
	if (!types)
		return;
	memset(types, 0, before);
	memcpy(types + before, b->types + from, n);
}

/* Where the part of a batch stands in the whole, of which every row has as many tokens more. */
static const struct ft_part *extend_part(struct ft_graph *g, const struct ft_part *p, int64_t tokens)
{
	struct ft_part *e = p ? ft_graph_alloc(g, sizeof *e) : NULL;
	if (!e)
		return NULL;
	*e = *p;
	e->tokens.first += tokens * p->rows.first;
	e->tokens.n += tokens * p->rows.n;
	e->tokens.jump += tokens * p->rows.jump;
	return e;
}

const struct ft_batch *extend_batch(struct ft_graph *g, const struct ft_batch *b, int64_t tokens)
{
	if (tokens == 0)
		return b;
	struct ft_batch *e = ft_graph_alloc(g, sizeof *e);
	int32_t *offsets = ft_graph_alloc(g, (b->rows + 1) * sizeof *offsets);
	int rc = e && offsets ? find_offsets(g, b, tokens, offsets) : FT_EFAIL;
	if (rc < 0)
		return ft_graph_fail(g, rc), NULL;
	size_t total = (size_t)offsets[b->rows];
	int32_t *ids = ft_graph_alloc(g, total * sizeof *ids);
	uint8_t *types = b->types ? ft_graph_alloc(g, total) : NULL;
	if (!ids || (b->types && !types))
		return NULL;
	for (size_t r = 0; r < b->rows; r++)
		fill_row(b, r, ids + offsets[r], types ? types + offsets[r] : NULL, (size_t)tokens_before(g, r, tokens));
	*e = *b;
	e->ids = ids;
	e->types = types;
	e->offsets = offsets;
	e->words = NULL; /* whoever wants tokens' own looks at b */
	e->tokens = total;
	e->part = extend_part(g, b->part, tokens);
	return e->part || !b->part ? e : NULL;
}
