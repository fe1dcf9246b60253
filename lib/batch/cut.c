/* cut.c - where batches end, with and without buckets of like length.
 *
 * A batch ends before the row that would exceed its budget. With buckets, the
 * examples of some batches in a row are sorted by length before they are cut,
 * and the batches of the whole epoch are then shuffled: rows of a batch are of
 * like length, and long and short batches still come in any order.
 */
#include "priv.h"
#include "ft/err.h"
#include "ft/rng.h"
#include <stdlib.h>
#include <string.h>

size_t batch_end(const struct ft_order *o, size_t from, size_t n)
{
	size_t tokens = 0, i;

	for (i = from; i < n && (!o->rows || i - from < o->rows); i++) {
		tokens += ft_pool_length(o->pool, o->item[i]);
		if (o->tokens && tokens > o->tokens && i > from)
			break;
	}
	return i;
}

static int add_cut(struct ft_order *o, size_t end)
{
	if (ft_grow(&o->cut, &o->cut_cap, o->batches + 2, sizeof *o->cut))
		return FT_EFAIL;
	o->cut[0] = 0;
	o->cut[++o->batches] = (uint32_t)end;
	return 0;
}

static int cut_range(struct ft_order *o, size_t from, size_t to)
{
	while (from < to) {
		from = batch_end(o, from, to);
		if (add_cut(o, from) < 0)
			return FT_EFAIL;
	}
	return 0;
}

int cut_plain(struct ft_order *o)
{
	return cut_range(o, 0, o->total);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void sort_keys(uint64_t *key, size_t n)
{
	qsort(key, n, sizeof *key, compare_u64);
}

/* Sorts item[from..to) by length; equal ones keep their order. */
static int sort_window(struct ft_order *o, size_t from, size_t to)
{
	size_t n = to - from;

	if (ft_grow(&o->key, &o->key_cap, n, sizeof *o->key))
		return FT_EFAIL;
	for (size_t i = 0; i < n; i++)
		o->key[i] = (uint64_t)ft_pool_length(o->pool, o->item[from + i]) << 32 | i;
	sort_keys(o->key, n);
	for (size_t i = 0; i < n; i++)
		o->item_alt[i] = o->item[from + (uint32_t)o->key[i]];
	memcpy(o->item + from, o->item_alt, n * sizeof *o->item);
	return 0;
}

static void swap(uint32_t **a, uint32_t **b)
{
	uint32_t *t = *a;

	*a = *b;
	*b = t;
}

int shuffle_batches(struct ft_order *o)
{
	struct ft_rng rng;
	size_t at = 0;

	free(o->cut_alt);
	free(o->turn);
	o->cut_alt = ft_alloc(o->cut_cap, sizeof *o->cut_alt);
	o->turn = ft_alloc(o->batches, sizeof *o->turn);
	if (!o->cut_alt || !o->turn)
		return FT_EFAIL;
	for (size_t b = 0; b < o->batches; b++)
		o->turn[b] = (uint32_t)b;
	ft_rng_init(&rng, o->seed, ft_mix(RNG_BATCHES, (uint64_t)o->epoch));
	ft_rng_shuffle(&rng, o->turn, o->batches);
	for (size_t b = 0; b < o->batches; b++) {
		size_t from = o->cut[o->turn[b]], n = o->cut[o->turn[b] + 1] - from;

		memcpy(o->item_alt + at, o->item + from, n * sizeof *o->item);
		at += n;
		o->cut_alt[b + 1] = (uint32_t)at;
	}
	swap(&o->item, &o->item_alt);
	swap(&o->cut, &o->cut_alt);
	return 0;
}

int cut_buckets(struct ft_order *o)
{
	for (size_t from = 0, to; from < o->total; from = to) {
		to = from;
		for (size_t b = 0; b < o->bucket && to < o->total; b++)
			to = batch_end(o, to, o->total);
		if (sort_window(o, from, to) < 0 || cut_range(o, from, to) < 0)
			return FT_EFAIL;
	}
	return o->shuffle ? shuffle_batches(o) : 0;
}
