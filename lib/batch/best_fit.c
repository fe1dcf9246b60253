/* best_fit.c - batches as full as they go: examples from the longest to the shortest, each into the
 * batch in which it leaves the least room (best fit decreasing: at most 11/9 of the fewest batches that
 * there could be; D. S. Johnson, "Near-optimal bin packing algorithms", 1973).
 *
 * Batches with room are held in lists by how much they have, and a bitmap says which lists there are; so an
 * example costs a look at tokens / 64 words at most.
 */
#include "priv.h"
#include "ft/err.h"
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct bins {
	uint32_t *of;     /* [items]: the batch of each */
	uint32_t *next;   /* [batches]: in its list */
	uint32_t *rows;   /* [batches] */
	uint32_t *first;  /* [tokens + 1]: the first batch with so much room, or NONE */
	uint64_t *filled; /* bits of lists that are not empty */
	size_t n, tokens;
};

static int bins_new(struct bins *b, size_t items, size_t tokens)
{
	*b = (struct bins){ .tokens = tokens };
	b->of = ft_alloc(items, sizeof *b->of);
	b->next = ft_alloc(items, sizeof *b->next);
	b->rows = ft_alloc(items, sizeof *b->rows);
	b->first = ft_alloc(tokens + 1, sizeof *b->first);
	b->filled = ft_alloc(tokens / 64 + 1, sizeof *b->filled);
	return b->of && b->next && b->rows && b->first && b->filled ? 0 : FT_EFAIL;
}

static void bins_free(struct bins *b)
{
	free(b->of);
	free(b->next);
	free(b->rows);
	free(b->first);
	free(b->filled);
}

/* The least room that a batch has, of at least `length`; or tokens + 1. */
static size_t find_room(const struct bins *b, size_t length)
{
	size_t word = length / 64;
	uint64_t bits = length <= b->tokens ? b->filled[word] & ~0ull << length % 64 : 0;

	while (!bits && length <= b->tokens && ++word <= b->tokens / 64)
		bits = b->filled[word];
	return bits ? word * 64 + (size_t)__builtin_ctzll(bits) : b->tokens + 1;
}

static void put_bin(struct bins *b, uint32_t bin, size_t room)
{
	bool empty = !(b->filled[room / 64] >> room % 64 & 1);

	b->next[bin] = empty ? NONE : b->first[room];
	b->first[room] = bin;
	b->filled[room / 64] |= 1ull << room % 64;
}

static uint32_t take_bin(struct bins *b, size_t room)
{
	uint32_t bin = b->first[room];

	b->first[room] = b->next[bin];
	if (b->next[bin] == NONE)
		b->filled[room / 64] &= ~(1ull << room % 64);
	return bin;
}

static void place(struct bins *b, uint32_t item, size_t length, size_t most_rows)
{
	size_t room = find_room(b, length);
	uint32_t bin = room <= b->tokens ? take_bin(b, room) : (uint32_t)b->n++;

	room = room <= b->tokens ? room : b->tokens;
	b->of[item] = bin;
	b->rows[bin]++;
	if (length < room && (!most_rows || b->rows[bin] < most_rows))
		put_bin(b, bin, room - length);
}

/* Items from the longest to the shortest, equal ones in the order of the epoch: indices in the low half of o->key. */
static int sort_items(struct ft_order *o)
{
	if (ft_grow(&o->key, &o->key_cap, o->total, sizeof *o->key))
		return FT_EFAIL;
	for (size_t i = 0; i < o->total; i++)
		o->key[i] = (uint64_t)(UINT32_MAX - ft_pool_length(o->pool, o->item[i])) << 32 | i;
	sort_keys(o->key, o->total);
	return 0;
}

/* Puts the items of each batch behind those of the one before, in the order of the epoch. */
static int lay_out(struct ft_order *o, const struct bins *b)
{
	size_t at = 0;

	if (ft_grow(&o->cut, &o->cut_cap, b->n + 2, sizeof *o->cut))
		return FT_EFAIL;
	o->batches = b->n;
	o->cut[0] = 0;
	for (size_t k = 0; k < b->n; k++) { /* cut[k + 1]: where batch k goes on; then where it ends */
		o->cut[k + 1] = (uint32_t)at;
		at += b->rows[k];
	}
	for (size_t i = 0; i < o->total; i++)
		o->item_alt[o->cut[b->of[i] + 1]++] = o->item[i];
	memcpy(o->item, o->item_alt, o->total * sizeof *o->item);
	return 0;
}

int cut_best_fit(struct ft_order *o)
{
	struct bins b;
	size_t all = 0; /* more room than for all of them is of no use */

	for (size_t i = 0; i < o->total; i++)
		all += ft_pool_length(o->pool, o->item[i]);
	int rc = bins_new(&b, o->total, o->tokens < all ? o->tokens : all);
	if (!rc)
		rc = sort_items(o);
	for (size_t i = 0; !rc && i < o->total; i++) {
		uint32_t item = (uint32_t)o->key[i];

		place(&b, item, ft_pool_length(o->pool, o->item[item]), o->rows);
	}
	if (!rc)
		rc = lay_out(o, &b);
	bins_free(&b);
	return rc < 0 || !o->shuffle ? rc : shuffle_batches(o);
}
