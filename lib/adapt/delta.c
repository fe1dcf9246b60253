/* delta.c - what techniques add to the modules of a network, as matrices of low rank. */
#include "priv.h"

#include "ft/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ft_delta_fold(struct ft_delta *d)
{
	int64_t out = d->table ? d->weight->t.cols : d->weight->t.rows;
	float scale = (float)(d->alpha / (d->root ? sqrt((double)d->r) : (double)d->r));
	for (int64_t i = 0; i < out * d->r; i++)
		d->b[i] *= scale;
	d->alpha = (double)d->r;
	d->root = false;
}

/* sum = [a; a'], [b, b']: exact but for the scales, which b takes. Takes d's arrays over. */
static int add(struct ft_delta *sum, struct ft_delta *d)
{
	int64_t in = d->table ? d->weight->t.rows : d->weight->t.cols,
	        out = d->table ? d->weight->t.cols : d->weight->t.rows;
	int64_t r = sum->r + d->r;
	if (sum->r == 0) {
		*sum = *d;
		*d = (struct ft_delta){ 0 };
		return FT_OK;
	}
	ft_delta_fold(sum);
	ft_delta_fold(d);
	float *a = ft_alloc((size_t)(r * in), sizeof *a), *b = ft_alloc((size_t)(r * out), sizeof *b);
	if (!a || !b) {
		free(a);
		free(b);
		return FT_EFAIL;
	}
	memcpy(a, sum->a, (size_t)(sum->r * in) * sizeof *a);
	memcpy(a + sum->r * in, d->a, (size_t)(d->r * in) * sizeof *a);
	for (int64_t i = 0; i < out; i++) {
		memcpy(b + i * r, sum->b + i * sum->r, (size_t)sum->r * sizeof *b);
		memcpy(b + i * r + sum->r, d->b + i * d->r, (size_t)d->r * sizeof *b);
	}
	free(sum->a);
	free(sum->b);
	sum->a = a;
	sum->b = b;
	sum->r = r;
	sum->alpha = (double)r;
	sum->dropout = fmax(sum->dropout, d->dropout);
	return FT_OK;
}

static void free_delta(struct ft_delta *d)
{
	free(d->module);
	free(d->a);
	free(d->b);
	free(d->lengths);
}

/* All that is attached at a site, as one. */
static int sum_of(const struct attached *a, const struct site *s, struct ft_delta *sum)
{
	int rc = FT_OK;
	for (; a && rc == FT_OK; a = a->next) {
		struct ft_delta d = { .weight = s->weight, .module = ft_strdup(s->file) };
		if (!a->kind->delta || !s->weight)
			rc = ft_fail(FT_EUSAGE,
			             "%s at %s is not a matrix of low rank, and a folder has one kind; --to hf merges them",
			             a->adapter->name, s->name);
		rc = rc ? rc : d.module ? a->kind->delta(a, &d) : FT_EFAIL;
		if (rc == FT_OK && sum->r && d.lengths)
			rc = ft_fail(FT_EUSAGE,
			             "%s at %s scales rows (dora), which another technique stands above; --to hf merges them",
			             a->adapter->name, s->name);
		rc = rc ? rc : add(sum, &d);
		free_delta(&d);
	}
	return rc;
}

int ft_model_deltas(const struct ft_model *m, struct ft_delta **deltas, size_t *n)
{
	struct sites s = { 0 };
	int rc = sites_collect((struct ft_model *)(uintptr_t)m, &s);
	*n = 0;
	*deltas = rc < 0 ? NULL : ft_alloc(s.count, sizeof **deltas);
	rc = *deltas ? rc : FT_EFAIL;
	for (size_t i = 0; rc == FT_OK && i < s.count; i++) {
		const struct attached *a = adapt_at(m, s.at[i].name);
		if (a)
			rc = sum_of(a, &s.at[i], &(*deltas)[(*n)++]);
	}
	sites_free(&s);
	if (rc < 0) {
		ft_deltas_free(*deltas, *n);
		*deltas = NULL;
	}
	return rc;
}

void ft_deltas_free(struct ft_delta *deltas, size_t n)
{
	for (size_t i = 0; deltas && i < n; i++)
		free_delta(&deltas[i]);
	free(deltas);
}
