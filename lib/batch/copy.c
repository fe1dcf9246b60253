/* copy.c - a batch that outlives the record it was read from. */
#include "ft/batch.h"
#include "ft/err.h"
#include <string.h>

/* A copy of an array; NULL of NULL, and with *rc when there is no memory. */
static void *copy(struct ft_arena *a, const void *from, size_t n, size_t size, int *rc)
{
	void *to = from ? ft_arena_get(a, n * size) : NULL;

	if (to)
		memcpy(to, from, n * size);
	else if (from)
		*rc = FT_EFAIL;
	return to;
}

static struct ft_span *copy_spans(struct ft_arena *a, const struct ft_span *from, size_t n, int *rc)
{
	struct ft_span *to = copy(a, from, n, sizeof *from, rc);

	for (size_t i = 0; to && i < n; i++)
		to[i].p = copy(a, from[i].p, from[i].n, 1, rc);
	return to;
}

int ft_batch_copy(struct ft_arena *a, const struct ft_batch *b, struct ft_batch *to)
{
	size_t examples = ft_batch_examples(b);
	int rc = FT_OK;

	*to = *b;
	to->ids = copy(a, b->ids, b->tokens, sizeof *b->ids, &rc);
	to->types = copy(a, b->types, b->tokens, 1, &rc);
	to->offsets = copy(a, b->offsets, b->rows + 1, sizeof *b->offsets, &rc);
	to->labels = copy(a, b->labels, b->nlabels, sizeof *b->labels, &rc);
	to->words = copy(a, b->words, b->tokens, sizeof *b->words, &rc);
	to->targets = copy(a, b->targets, b->ntargets, sizeof *b->targets, &rc);
	to->windows = copy(a, b->windows, b->rows, sizeof *b->windows, &rc);
	to->sizes = copy(a, b->sizes, examples, sizeof *b->sizes, &rc);
	to->src = copy_spans(a, b->src, examples, &rc);
	to->teacher = copy(a, b->teacher, b->nteacher, sizeof *b->teacher, &rc);
	to->teacher_ids = copy(a, b->teacher_ids, b->nteacher, sizeof *b->teacher_ids, &rc);
	to->reference = copy(a, b->reference, b->rows, sizeof *b->reference, &rc);
	return rc;
}
