/* source.c - which examples make up an epoch, and in which order.
 *
 * One mechanism serves plain epochs, mixing and class balancing. Examples are
 * dealt out to sources: all of them to one, or each file's to its own, or each
 * class's. A source is drawn from in passes, every pass shuffled anew; one that
 * is used up before the epoch ends begins its next pass, and goes on there in
 * the next epoch. An epoch takes a fixed number (quota) from each, in a weighted
 * round robin, so that any stretch of it has the proportions of the whole.
 */
#include "priv.h"
#include "ft/err.h"
#include "ft/rng.h"
#include <stdlib.h>
#include <string.h>

void sources_free(struct ft_order *o)
{
	for (size_t s = 0; s < o->sources; s++) {
		free(o->source[s].all);
		free(o->source[s].pass);
	}
	free(o->source);
}

void source_begin(struct ft_order *o, size_t s, uint64_t pass)
{
	struct source *src = &o->source[s];
	struct ft_rng rng;

	src->passes = pass;
	src->at = 0;
	memcpy(src->pass, src->all, src->n * sizeof *src->all);
	if (!o->shuffle)
		return;
	ft_rng_init(&rng, o->seed, ft_mix(ft_mix(RNG_PASS, s), pass));
	ft_rng_shuffle(&rng, src->pass, src->n);
}

/* Room for a source of n examples, filled with first, first + 1, ... */
static int source_init(struct source *src, size_t first, size_t n)
{
	src->all = ft_alloc(n, sizeof *src->all);
	src->pass = ft_alloc(n, sizeof *src->pass);
	if (!src->all || !src->pass)
		return FT_EFAIL;
	for (size_t i = 0; i < n; i++)
		src->all[i] = (uint32_t)(first + i);
	src->n = n;
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Keeps the first `limit` of source 0 as its first pass orders them. A smaller
 * limit keeps a part of what a larger one keeps. */
static void apply_limit(struct ft_order *o, size_t limit)
{
	struct source *src = &o->source[0];

	if (!limit || limit >= src->n)
		return;
	source_begin(o, 0, 0);
	src->n = limit;
	memcpy(src->all, src->pass, limit * sizeof *src->all);
	qsort(src->all, limit, sizeof *src->all, compare_u32);
}

struct labelled {
	int32_t label;
	uint32_t item;
};

static int compare_labelled(const void *a, const void *b)
{
	const struct labelled *x = a, *y = b;

	if (x->label != y->label)
		return x->label < y->label ? -1 : 1;
	return (x->item > y->item) - (x->item < y->item);
}

static int read_class(struct ft_pool *p, size_t i, struct labelled *out)
{
	struct ft_example e;
	int rc = ft_pool_get(p, i, &e);

	if (rc < 0)
		return rc;
	if (e.nlabels != 1 || e.labels[0] == FT_IGNORE)
		return ft_fail(FT_EFORMAT, "%.*s: --balance needs one class for each example",
		               (int)e.src.n, e.src.p);
	*out = (struct labelled){ e.labels[0], (uint32_t)i };
	return 0;
}

/* One source per run of equal labels. */
static int deal_classes(const struct labelled *v, size_t n, struct source **out, size_t *count)
{
	size_t classes = 1;

	for (size_t i = 1; i < n; i++)
		classes += v[i].label != v[i - 1].label;
	*out = ft_alloc(classes, sizeof **out);
	if (!*out)
		return FT_EFAIL;
	*count = classes;
	for (size_t i = 0, c = 0, end; i < n; i = end, c++) {
		struct source *src = &(*out)[c];

		for (end = i; end < n && v[end].label == v[i].label; end++)
			;
		if (source_init(src, 0, end - i) < 0)
			return FT_EFAIL;
		for (size_t k = i; k < end; k++)
			src->all[k - i] = v[k].item;
	}
	return 0;
}

/* Replaces the only source by one for each class. */
static int split_by_class(struct ft_order *o)
{
	struct source whole = o->source[0], *classes = NULL;
	struct labelled *v = ft_alloc(whole.n, sizeof *v);
	size_t count = 0;
	int rc = v ? 0 : FT_EFAIL;

	for (size_t i = 0; !rc && i < whole.n; i++)
		rc = read_class(o->pool, whole.all[i], &v[i]);
	if (!rc) {
		qsort(v, whole.n, sizeof *v, compare_labelled);
		rc = deal_classes(v, whole.n, &classes, &count);
		sources_free(o);
		o->source = classes;
		o->sources = count;
	}
	free(v);
	return rc;
}

/* n * weight / base, rounded to the nearest, at least 1. */
static int share(size_t n, uint64_t weight, uint64_t base, size_t *out)
{
	unsigned __int128 q = ((unsigned __int128)n * weight * 2 + base) / base / 2;

	if (q > UINT32_MAX)
		return ft_fail(FT_EUSAGE, "--mix: an epoch would have more than %u examples", UINT32_MAX);
	*out = q ? (size_t)q : 1;
	return 0;
}

/* Source 0 is taken whole, or, of classes, the largest; the others by their weights. */
static int set_quotas(struct ft_order *o, const uint64_t *weights)
{
	size_t largest = 0;
	int rc = 0;

	for (size_t s = 0; s < o->sources; s++)
		largest = o->source[s].n > largest ? o->source[s].n : largest;
	o->total = o->examples = 0;
	for (size_t s = 0; s < o->sources && !rc; s++) {
		if (weights)
			rc = share(o->source[0].n, weights[s], weights[0], &o->source[s].quota);
		else
			o->source[s].quota = largest;
		o->total += o->source[s].quota;
		o->examples += o->source[s].n;
	}
	if (!rc && o->total > UINT32_MAX)
		rc = ft_fail(FT_EUSAGE, "an epoch would have more than %u examples", UINT32_MAX);
	return rc;
}

int sources_make(struct ft_order *o, const struct ft_order_options *opt)
{
	size_t count = opt->weights ? opt->files : 1;
	int rc = 0;

	o->source = ft_alloc(count, sizeof *o->source);
	if (!o->source)
		return FT_EFAIL;
	o->sources = count;
	for (size_t s = 0; s < count; s++) {
		size_t from = s ? opt->ends[s - 1] : 0;
		size_t to = opt->weights ? opt->ends[s] : opt->ends[opt->files - 1];

		if (to <= from)
			return ft_fail(FT_EFORMAT, "input %zu has no examples", s + 1);
		if (source_init(&o->source[s], from, to - from) < 0)
			return FT_EFAIL;
	}
	apply_limit(o, opt->limit);
	if (opt->balance)
		rc = split_by_class(o);
	return rc < 0 ? rc : set_quotas(o, opt->weights);
}

/* The source furthest behind its share (smooth weighted round robin: over a
 * whole epoch each gets exactly its quota). */
static size_t next_source(struct ft_order *o)
{
	size_t best = 0;

	for (size_t s = 0; s < o->sources; s++) {
		o->source[s].credit += (int64_t)o->source[s].quota;
		if (o->source[s].credit > o->source[best].credit)
			best = s;
	}
	o->source[best].credit -= (int64_t)o->total;
	return best;
}

void sources_draw(struct ft_order *o)
{
	bool equal = true; /* then it is a plain round robin, without the search */

	for (size_t s = 0; s < o->sources; s++) {
		equal &= o->source[s].quota == o->source[0].quota;
		o->source[s].credit = 0;
	}
	for (size_t i = 0; i < o->total; i++) {
		size_t s = equal ? i % o->sources : next_source(o);
		struct source *src = &o->source[s];

		if (src->at == src->n)
			source_begin(o, s, src->passes + 1);
		o->item[i] = src->pass[src->at++];
	}
}
