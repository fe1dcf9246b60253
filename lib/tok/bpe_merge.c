/* bpe_merge.c - byte-pair encoding of some symbols: neighbours merge, the pair of the
 * lowest rank first, of equals the leftmost.
 *
 * Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units",
 * ACL 2016. Few symbols, which is what nearly all words have, are searched for the
 * lowest rank again and again; more of them have a heap.
 *
 * A word may be a whole book, where no space or no pattern divides it. It is taken in
 * blocks, and of a block's result those tokens count that are the same whatever
 * follows. For that, the end of the block is kept in mind as a border behind which
 * symbols are not known, but for how the first of them begins. The last symbol before
 * it may merge with that one as soon as it is the turn of the lowest rank that it has as
 * the left part of a pair, the right part of which begins so, as the text goes on, and
 * may have been made by then; from there on it is not known itself, but for how it
 * begins. What is known when all merges are done stays, and the next block begins
 * behind it.
 */
#include "bpe.h"
#include "ft/err.h"

#include <stdlib.h>
#include <string.h>

#define SHORT 48 /* symbols that are searched */

int bpe_tokens_reserve(struct bpe_tokens *k, size_t n)
{
	size_t cap = k->cap;
	if (n <= cap)
		return FT_OK;
	int rc = ft_grow(&k->id, &cap, n, sizeof *k->id);
	cap = k->cap;
	if (rc == FT_OK)
		rc = ft_grow(&k->end, &cap, n, sizeof *k->end);
	if (rc == FT_OK)
		k->cap = cap;
	return rc;
}

/* ---- few symbols ---- */

static void merge_short(const struct bpe_pairs *p, struct bpe_tokens *k)
{
	uint64_t pair[SHORT]; /* [n - 1]: what symbols i and i + 1 become */
	size_t n = k->n;
	for (size_t i = 0; i + 1 < n; i++)
		pair[i] = bpe_merged(p, k->id[i], k->id[i + 1]);
	while (n > 1) {
		size_t best = 0;
		for (size_t i = 1; i + 1 < n; i++)
			if (pair[i] >> 32 < pair[best] >> 32)
				best = i;
		if (pair[best] == BPE_NONE)
			break;
		k->id[best] = (int32_t)(uint32_t)pair[best];
		k->end[best] = k->end[best + 1];
		n--;
		for (size_t i = best + 1; i < n; i++) {
			k->id[i] = k->id[i + 1];
			k->end[i] = k->end[i + 1];
			pair[i - 1] = pair[i];
		}
		if (best + 1 < n)
			pair[best] = bpe_merged(p, k->id[best], k->id[best + 1]);
		if (best > 0)
			pair[best - 1] = bpe_merged(p, k->id[best - 1], k->id[best]);
	}
	k->n = n;
}

/* ---- many: a heap of pairs, each its rank and the cell of its left symbol ---- */

static void sift_down(struct bpe_heap *h, size_t i, uint64_t item)
{
	for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
		child += child + 1 < h->n && h->item[child + 1] < h->item[child];
		if (item <= h->item[child])
			break;
		h->item[i] = h->item[child];
	}
	h->item[i] = item;
}

static int push(struct bpe_heap *h, uint64_t item)
{
	int rc = ft_grow(&h->item, &h->cap, h->n + 1, sizeof *h->item);
	if (rc < 0)
		return rc;
	size_t i = h->n++;
	for (; i > 0 && h->item[(i - 1) / 2] > item; i = (i - 1) / 2)
		h->item[i] = h->item[(i - 1) / 2];
	h->item[i] = item;
	return FT_OK;
}

static void pop(struct bpe_heap *h)
{
	uint64_t last = h->item[--h->n];
	if (h->n)
		sift_down(h, 0, last);
}

/* Symbols lie in cells, one for each of those at the start. The first and the last cell of
 * a symbol know how many it has, by which its neighbours are found; the id of the others
 * is -1. */
struct merger {
	const struct bpe_pairs *p;
	struct bpe_heap *heap;
	struct bpe_tokens *k;
	uint32_t *span;
	size_t known;   /* cells whose symbols are known */
	const struct bpe_ahead *text;
	struct bpe_border border; /* as it was looked at last */
};

static uint64_t item_of(uint64_t merged, size_t cell)
{
	return (merged >> 32) << 32 | cell;
}

static int push_pair(struct merger *m, size_t left, size_t right)
{
	uint64_t merged = bpe_merged(m->p, m->k->id[left], m->k->id[right]);
	return merged == BPE_NONE ? FT_OK : push(m->heap, item_of(merged, left));
}

/* Merges the symbol of an item's cell with the next, if they still are a pair of that rank. */
static int merge_at(struct merger *m, uint64_t item)
{
	size_t cell = (uint32_t)item, right = cell + m->span[cell];
	int32_t *id = m->k->id;
	if (id[cell] < 0 || right >= m->known)
		return FT_OK;
	uint64_t merged = bpe_merged(m->p, id[cell], id[right]);
	if (merged == BPE_NONE || item_of(merged, cell) != item)
		return FT_OK;
	size_t end = right + m->span[right];
	id[cell] = (int32_t)(uint32_t)merged;
	id[right] = -1;
	m->span[cell] = m->span[end - 1] = (uint32_t)(end - cell);
	int rc = cell > 0 ? push_pair(m, cell - m->span[cell - 1], cell) : FT_OK;
	return rc == FT_OK && end < m->known ? push_pair(m, cell, end) : rc;
}

/* Before the turn of `next`: symbols at the end that may have merged with what follows are
 * no longer known. */
static void forget(struct merger *m, uint64_t next)
{
	struct bpe_border *b = &m->border;
	const int32_t *id = m->k->id;
	b->level = next > b->level ? next : b->level;
	while (m->known > 0) {
		size_t cell = m->known - m->span[m->known - 1], done = m->k->end[m->known - 1];
		if (b->left != id[cell] || b->cell != m->known || b->change <= b->level) {
			b->left = id[cell];
			b->behind = id[m->known];
			b->cell = m->known;
			b->ahead = *m->text;
			b->ahead.s += done;
			b->ahead.n -= done;
			bpe_border_look(m->p, b);
		}
		if (b->rank == BPE_NONE || (b->rank << 32 | cell) > next)
			break;
		m->known = cell;
	}
}

/* Leaves only the known symbols, one after the other. */
static void compact(struct bpe_tokens *k, const uint32_t *span, size_t cells)
{
	size_t to = 0;
	for (size_t i = 0, next; i < cells; i = next) {
		next = i + span[i];
		k->id[to] = k->id[i];
		k->end[to++] = k->end[next - 1];
	}
	k->n = to;
}

static int fill(struct merger *m)
{
	struct bpe_heap *h = m->heap;
	const struct bpe_tokens *k = m->k;
	int rc = ft_grow(&h->item, &h->cap, k->n, sizeof *h->item);
	h->n = 0;
	for (size_t i = 0; i + 1 < k->n && rc == FT_OK; i++) {
		uint64_t merged = bpe_merged(m->p, k->id[i], k->id[i + 1]);
		if (merged != BPE_NONE)
			h->item[h->n++] = item_of(merged, i);
	}
	for (size_t i = h->n / 2; i-- > 0 && rc == FT_OK;)
		sift_down(h, i, h->item[i]);
	return rc;
}

static int merge_long(const struct bpe_pairs *p, struct bpe_tokens *k, struct bpe_heap *h, const struct bpe_ahead *a)
{
	struct merger m = { .p = p, .heap = h, .k = k, .known = a && k->n ? k->n - 1 : k->n, .text = a,
	                    .border = { .left = -1 } };
	int rc = ft_grow(&h->span, &h->span_cap, k->n, sizeof *h->span);
	m.span = h->span;
	for (size_t i = 0; i < k->n && rc == FT_OK; i++)
		m.span[i] = 1;
	if (rc == FT_OK)
		rc = fill(&m);
	while (rc == FT_OK && h->n) {
		uint64_t item = h->item[0];
		pop(h);
		if (a) /* the last symbol is only looked at */
			forget(&m, item);
		rc = merge_at(&m, item);
	}
	if (rc == FT_OK && a)
		forget(&m, UINT64_MAX);
	if (rc == FT_OK)
		compact(k, m.span, m.known);
	return rc;
}

int bpe_merge(const struct bpe_pairs *p, struct bpe_tokens *k, struct bpe_heap *h, const struct bpe_ahead *a)
{
	if (k->n > SHORT || a)
		return merge_long(p, k, h, a);
	merge_short(p, k);
	return FT_OK;
}
