/* part.c - some examples of a batch as a batch. */
#include "ft/batch.h"
#include "ft/err.h"
#include <stdlib.h>

/* Where something of a part stands: b's own place is that of a whole batch, or again of a part. */
static struct ft_place place(const struct ft_place *outer, size_t from, size_t n, size_t all)
{
	int64_t whole = outer ? outer->n + outer->jump : (int64_t)all;

	return (struct ft_place){ (outer ? outer->first : 0) + (int64_t)from, (int64_t)n, whole - (int64_t)n };
}

static size_t supervised(const struct ft_batch *b, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t t = from; b->labels && b->nlabels == b->tokens && t < to; t++)
		n += b->labels[t] != FT_IGNORE;
	return n;
}

static int rebase(struct ft_batch_part *p, const struct ft_batch *b, size_t row, size_t rows)
{
	if (ft_grow(&p->offsets, &p->cap, rows + 1, sizeof *p->offsets) < 0)
		return FT_EFAIL;
	for (size_t r = 0; r <= rows; r++)
		p->offsets[r] = b->offsets[row + r] - b->offsets[row];
	p->batch.offsets = p->offsets;
	return FT_OK;
}

/* A teacher's logits are of supervised tokens, or of rows: as many for each. */
static int part_teacher(struct ft_batch_part *p, const struct ft_batch *b, size_t row)
{
	bool words = b->labels && b->nlabels == b->tokens;
	size_t units = words ? supervised(b, 0, b->tokens) : b->rows, before, n;

	if (!b->nteacher)
		return FT_OK;
	if (!units || b->nteacher % units)
		return ft_fail(FT_EMATCH, "%zu logits of a teacher, which are not as many for each of %zu %s", b->nteacher,
		               units, words ? "supervised tokens" : "rows");
	before = words ? supervised(b, 0, (size_t)b->offsets[row]) : row;
	n = words ? supervised(&p->batch, 0, p->batch.tokens) : p->batch.rows;
	p->batch.nteacher = b->nteacher / units * n;
	p->batch.teacher = b->teacher + b->nteacher / units * before;
	p->batch.teacher_ids = b->teacher_ids ? b->teacher_ids + b->nteacher / units * before : NULL;
	return FT_OK;
}

int ft_batch_part(struct ft_batch_part *p, const struct ft_batch *b, size_t from, size_t to)
{
	size_t texts = ft_batch_texts(b), examples = ft_batch_examples(b), row = from * texts;
	size_t token = (size_t)b->offsets[row], n = (size_t)b->offsets[to * texts] - token;
	size_t labels = examples ? b->nlabels / examples : 0, targets = examples ? b->ntargets / examples : 0;
	bool words = b->nlabels == b->tokens;
	const struct ft_part *outer = b->part;

	p->batch = *b;
	p->batch.rows = (to - from) * texts;
	p->batch.tokens = n;
	p->batch.ids = b->ids + token;
	p->batch.types = b->types ? b->types + token : NULL;
	p->batch.words = b->words ? b->words + token : NULL;
	p->batch.labels = b->labels ? b->labels + (words ? token : from * labels) : NULL;
	p->batch.nlabels = words ? n : (to - from) * labels;
	p->batch.targets = b->targets ? b->targets + from * targets : NULL;
	p->batch.ntargets = (to - from) * targets;
	p->batch.windows = b->windows ? b->windows + row : NULL;
	p->batch.sizes = b->sizes ? b->sizes + from : NULL;
	p->batch.src = b->src ? b->src + from : NULL;
	p->batch.reference = b->reference ? b->reference + row : NULL;
	p->place.tokens = place(outer ? &outer->tokens : NULL, token, n, b->tokens);
	p->place.rows = place(outer ? &outer->rows : NULL, row, p->batch.rows, b->rows);
	p->place.units = place(outer ? &outer->units : NULL, supervised(b, 0, token), supervised(b, token, token + n),
	                       supervised(b, 0, b->tokens));
	p->batch.part = &p->place;
	return rebase(p, b, row, p->batch.rows) < 0 ? FT_EFAIL : part_teacher(p, b, row);
}

void ft_batch_part_free(struct ft_batch_part *p)
{
	free(p->offsets);
	*p = (struct ft_batch_part){ .cap = 0 };
}

size_t ft_batch_cut(const struct ft_batch *b, size_t i, size_t n)
{
	size_t texts = ft_batch_texts(b), examples = ft_batch_examples(b), e = 0;
	/* Of examples whose first token stands before the share, in whole numbers: tokens * i does not overflow. */
	while (e < examples && (uint64_t)b->offsets[e * texts] * n < (uint64_t)b->tokens * i)
		e++;
	return e;
}
