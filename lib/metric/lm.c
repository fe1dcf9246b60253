/* lm.c - metrics of a language model: over supervised tokens, resampled by row,
 * because the tokens of one text are not independent. */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>

/* One row's supervised tokens, whose units begin at *unit. */
static int add_row(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b, size_t r,
                   size_t *unit)
{
	struct lm_row row = { 0 };
	for (int32_t i = b->offsets[r]; i < b->offsets[r + 1]; i++) {
		if (b->labels[i] == FT_IGNORE)
			continue;
		if (*unit >= out->units)
			return ft_fail(FT_EMATCH, "a batch has more labels than the %zu losses there are", out->units);
		if (!isfinite(out->loss[*unit]))
			return metric_not_finite(b, r, "the loss");
		row.loss += (double)out->loss[*unit];
		row.tokens++;
		row.right += out->hits[*unit];
		++*unit;
	}
	if (row.tokens == 0)
		return FT_OK;
	row.size = b->sizes ? b->sizes[r] : (struct ft_size){ -1, -1, -1 };
	t->lm.unsized |= row.size.bytes < 0;
	t->lm.row[t->rows++] = row;
	return FT_OK;
}

static int add(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	if (!b->labels || b->nlabels != b->tokens)
		return ft_fail(FT_EFORMAT, "a batch has %zu labels for %zu tokens", b->nlabels, b->tokens);
	if (b->targets)
		return ft_fail(FT_EFORMAT, "some examples are choices, others are not");
	int rc = ft_grow(&t->lm.row, &t->lm.cap, t->rows + b->rows, sizeof *t->lm.row);
	size_t unit = 0;
	for (size_t r = 0; r < b->rows && rc == FT_OK; r++)
		rc = add_row(t, out, b, r, &unit);
	if (rc == FT_OK && unit != out->units)
		rc = ft_fail(FT_EMATCH, "a batch has %zu labels, but %zu losses", unit, out->units);
	return rc;
}

static size_t scratch(const struct ft_metric *t)
{
	(void)t;
	return 0;
}

static void values(const struct ft_metric *t, const uint32_t *weight, void *memory, double *v)
{
	double loss = 0.0, tokens = 0.0, right = 0.0, words = 0.0, bytes = 0.0;
	(void)memory;
	for (size_t i = 0; i < t->rows; i++) {
		const struct lm_row *r = &t->lm.row[i];
		double w = weight ? (double)weight[i] : 1.0;
		loss += w * r->loss;
		tokens += w * r->tokens;
		right += w * r->right;
		words += w * (double)r->size.words;
		bytes += w * (double)r->size.bytes;
	}
	v[METRIC_LOSS] = loss / tokens;
	v[METRIC_PERPLEXITY] = exp(loss / tokens);
	v[METRIC_ACCURACY] = right / tokens;
	v[METRIC_WORD_PERPLEXITY] = exp(loss / words);
	v[METRIC_BYTE_PERPLEXITY] = exp(loss / bytes);
	v[METRIC_BITS_PER_BYTE] = loss / bytes / M_LN2;
}

static bool has(const struct ft_metric *t, size_t id)
{
	if (id >= METRIC_ACC && id <= METRIC_ACC_BYTES)
		return false; /* of choices, in choice.c */
	return id < METRIC_WORD_PERPLEXITY || id > METRIC_BITS_PER_BYTE || !t->lm.unsized;
}

static void release(struct ft_metric *t)
{
	free(t->lm.row);
}

const struct metric_kind metric_lm = {
	.add = add,
	.scratch = scratch,
	.values = values,
	.has = has,
	.free = release,
};
