/* trie.c - building a double array. Nodes are placed one after the other; each takes
 * the first place in a window of blocks of 256 units where all its children fit.
 *
 * Aoe, "An Efficient Digital Search Algorithm by Using a Double-Array Structure", 1989;
 * addresses by exclusive or, and the window, as in Yata's darts-clone.
 */
#include "trie.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 256u
#define WINDOW 16u   /* blocks whose gaps are filled */
#define TRIES 256    /* places that are tried for one node */
#define UNITS_MAX ((size_t)1 << (32 - TOK_LABEL))

/* Block 0 has the root alone: nodes without children have base 0, where no byte leads anywhere. */
struct builder {
	struct tok_trie *t;
	size_t units, links; /* what the arrays have room for */
	struct link { uint32_t before, after; bool based; } *link; /* free units are a ring; `based`: some node's base */
	uint32_t free;       /* one of the ring, or 0 */
};

/* Keys that have `depth` bytes in common, which lead to unit `at`. */
struct range { size_t from, to; uint32_t depth, at; };

/* ---- free units ---- */

static void take(struct builder *b, uint32_t i)
{
	struct link *l = &b->link[i];
	if (l->after == i)
		b->free = 0;
	else if (b->free == i)
		b->free = l->after;
	b->link[l->before].after = l->after;
	b->link[l->after].before = l->before;
	l->after = 0;
}

static bool is_free(const struct builder *b, uint32_t i)
{
	return b->link[i].after != 0;
}

static void give(struct builder *b, uint32_t i)
{
	uint32_t first = b->free ? b->free : i, last = b->free ? b->link[first].before : i;
	b->link[i] = (struct link){ last, first, false };
	b->link[last].after = i;
	b->link[first].before = i;
	b->free = first;
}

static int add_block(struct builder *b)
{
	size_t from = b->t->units, to = from + BLOCK;
	if (to > UNITS_MAX)
		return ft_fail(FT_EFORMAT, "the vocabulary is too large: more than %zu nodes", UNITS_MAX);
	int rc = ft_grow(&b->t->unit, &b->units, to, sizeof *b->t->unit);
	if (rc == FT_OK)
		rc = ft_grow(&b->link, &b->links, to, sizeof *b->link);
	if (rc < 0)
		return rc;
	b->t->units = to;
	for (size_t i = from; i < to; i++) {
		b->t->unit[i] = (struct tok_unit){ TOK_UNLABELLED, -1 };
		b->link[i] = (struct link){ 0, 0, false };
		if (from)
			give(b, (uint32_t)i);
	}
	for (uint32_t i = 0; i < BLOCK && from > WINDOW * BLOCK; i++) {
		uint32_t old = (uint32_t)from - WINDOW * BLOCK + i;
		if (is_free(b, old))
			take(b, old);
	}
	return FT_OK;
}

/* ---- nodes ---- */

static bool fits(const struct builder *b, uint32_t base, const uint8_t *label, size_t n)
{
	if (b->link[base].based)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_free(b, base ^ label[i]))
			return false;
	return true;
}

static int place(struct builder *b, const uint8_t *label, size_t n, uint32_t *base)
{
	uint32_t at = b->free;
	for (int i = 0; at && i < TRIES; i++) {
		*base = at ^ label[0];
		if (fits(b, *base, label, n))
			return FT_OK;
		at = b->link[at].after;
		if (at == b->free)
			break;
	}
	*base = (uint32_t)b->t->units;
	return add_block(b);
}

/* Gives the node its children, and appends them to the ranges that are to be done. */
static int split(struct builder *b, const struct tok_key *keys, struct range r, struct range *todo, size_t *count)
{
	uint8_t label[BLOCK];
	size_t n = 0, first = *count;
	for (; r.from < r.to && keys[r.from].n == r.depth; r.from++) /* the last of equal keys comes last */
		b->t->unit[r.at].id = keys[r.from].id;
	for (size_t i = r.from, from; i < r.to; n++) {
		label[n] = (uint8_t)keys[i].s[r.depth];
		for (from = i; i < r.to && (uint8_t)keys[i].s[r.depth] == label[n]; i++)
			;
		todo[(*count)++] = (struct range){ from, i, r.depth + 1, 0 };
	}
	uint32_t base = 0;
	int rc = n ? place(b, label, n, &base) : FT_OK;
	if (rc < 0 || !n)
		return rc;
	b->link[base].based = true;
	b->t->unit[r.at].base |= base << TOK_LABEL;
	for (size_t i = 0; i < n; i++) {
		uint32_t child = base ^ label[i];
		take(b, child);
		b->t->unit[child].base = label[i];
		todo[first + i].at = child;
	}
	return FT_OK;
}

static int compare(const void *a, const void *b)
{
	const struct tok_key *x = a, *y = b;
	int order = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
	if (!order)
		order = (x->n > y->n) - (x->n < y->n);
	return order ? order : (x->id > y->id) - (x->id < y->id);
}

int tok_trie_build(struct tok_trie *t, struct tok_key *keys, size_t n)
{
	*t = (struct tok_trie){ 0 };
	struct builder b = { .t = t };
	struct range *todo = NULL;
	size_t count = 0, cap = 0;
	for (size_t i = 0; i < n; i++)
		if (keys[i].n > TOK_KEY_MAX)
			return ft_fail(FT_EFORMAT, "a piece of %u bytes; at most %d are supported", keys[i].n,
			               TOK_KEY_MAX);
	if (n)
		qsort(keys, n, sizeof *keys, compare);
	int rc = add_block(&b);
	if (rc == FT_OK)
		rc = ft_grow(&todo, &cap, BLOCK, sizeof *todo);
	if (rc == FT_OK)
		todo[count++] = (struct range){ 0, n, 0, 0 };
	while (rc == FT_OK && count) {
		struct range r = todo[--count];
		rc = ft_grow(&todo, &cap, count + BLOCK, sizeof *todo);
		if (rc == FT_OK)
			rc = split(&b, keys, r, todo, &count);
	}
	free(todo);
	free(b.link);
	if (rc < 0)
		tok_trie_free(t);
	return rc;
}

void tok_trie_free(struct tok_trie *t)
{
	free(t->unit);
	*t = (struct tok_trie){ 0 };
}
