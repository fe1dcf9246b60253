/* ngram.c - numbers for words and n-grams, and how many n-grams two texts share.
 *
 * An n-gram is the node that its last symbol leads to from the node of the n - 1 symbols
 * before it, so equal n-grams have equal numbers whatever their symbols are, without
 * a hash that could be the same for different ones.
 */
#include "ft/digest.h"
#include "ft/err.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

struct slot {
	uint64_t key;        /* from << 32 | symbol */
	uint32_t generation; /* another than that of its paths: empty */
	int32_t node;
};

static struct slot *find(struct slot *slot, size_t slots, uint32_t generation, uint64_t key)
{
	size_t i = ft_hash(&key, sizeof key, 0) & (slots - 1);
	while (slot[i].generation == generation && slot[i].key != key)
		i = (i + 1) & (slots - 1);
	return &slot[i];
}

static int widen(struct paths *p)
{
	size_t slots = p->slots ? 2 * p->slots : 1024;
	struct slot *slot = ft_alloc(slots, sizeof *slot);
	if (!slot || p->nodes > INT32_MAX / 2) {
		free(slot);
		return ft_fail_memory(slots * sizeof *slot);
	}
	p->generation += p->generation == 0; /* that of empty slots */
	for (size_t i = 0; i < p->slots; i++)
		if (p->slot[i].generation == p->generation)
			*find(slot, slots, p->generation, p->slot[i].key) = p->slot[i];
	free(p->slot);
	p->slot = slot;
	p->slots = slots;
	return FT_OK;
}

void paths_clear(struct paths *p)
{
	p->nodes = 0;
	if (++p->generation)
		return;
	for (size_t i = 0; i < p->slots; i++)
		p->slot[i].generation = 0;
	p->generation = 1;
}

int32_t paths_step(struct paths *p, int32_t from, int32_t symbol)
{
	uint64_t key = (uint64_t)(uint32_t)from << 32 | (uint32_t)symbol;
	if (2 * ((size_t)p->nodes + 1) > p->slots && widen(p) < 0)
		return FT_EFAIL;
	struct slot *s = find(p->slot, p->slots, p->generation, key);
	if (s->generation != p->generation)
		*s = (struct slot){ key, p->generation, ++p->nodes };
	return s->node;
}

void paths_free(struct paths *p)
{
	free(p->slot);
	*p = (struct paths){ 0 };
}

/* ---- sequences ---- */

int sequences_push(struct sequences *s, int32_t symbol)
{
	if (ft_grow(&s->symbol, &s->cap, s->n + 1, sizeof *s->symbol) < 0)
		return FT_EFAIL;
	s->symbol[s->n++] = symbol;
	return FT_OK;
}

int sequences_end(struct sequences *s)
{
	if (ft_grow(&s->end, &s->end_cap, s->count + 1, sizeof *s->end) < 0)
		return FT_EFAIL;
	s->end[s->count++] = s->n;
	return FT_OK;
}

struct sequence sequences_get(const struct sequences *s, size_t i)
{
	size_t from = i ? s->end[i - 1] : 0, n = s->end[i] - from;
	return (struct sequence){ n ? s->symbol + from : NULL, n };
}

void sequences_free(struct sequences *s)
{
	free(s->symbol);
	free(s->end);
	*s = (struct sequences){ 0 };
}

/* ---- n-grams ---- */

/* node[i], of the n-1 symbols from i on, becomes that of n; there are s.n - n + 1. */
static int lengthen(struct ngrams *g, struct sequence s, size_t n, int32_t *node)
{
	for (size_t i = 0; i + n <= s.n; i++)
		if ((node[i] = paths_step(&g->paths, node[i], s.symbol[i + n - 1])) < 0)
			return FT_EFAIL;
	return FT_OK;
}

/* g->most: how often each n-gram is in that of the sequences where it is most frequent. */
static int count_most(struct ngrams *g, const struct sequence *b, size_t nb, size_t n, const int32_t *node)
{
	size_t nodes = (size_t)g->paths.nodes + 1;
	if (ft_grow(&g->count, &g->count_cap, nodes, sizeof *g->count) < 0 ||
	    ft_grow(&g->most, &g->most_cap, nodes, sizeof *g->most) < 0)
		return FT_EFAIL;
	memset(g->count, 0, nodes * sizeof *g->count);
	memset(g->most, 0, nodes * sizeof *g->most);
	for (size_t k = 0; k < nb; node += b[k++].n) {
		for (size_t i = 0; i + n <= b[k].n; i++) {
			int32_t count = ++g->count[node[i]];
			g->most[node[i]] = count > g->most[node[i]] ? count : g->most[node[i]];
		}
		for (size_t i = 0; i + n <= b[k].n; i++)
			g->count[node[i]] = 0;
	}
	return FT_OK;
}

int ngrams_match(struct ngrams *g, struct sequence a, const struct sequence *b, size_t nb, int orders, double *match)
{
	size_t total = a.n;
	for (size_t k = 0; k < nb; k++)
		total += b[k].n;
	if (ft_grow(&g->node, &g->node_cap, total + 1, sizeof *g->node) < 0)
		return FT_EFAIL;
	memset(g->node, 0, total * sizeof *g->node);
	for (size_t n = 1; n <= (size_t)orders; n++) {
		int32_t *of_b = g->node + a.n, *node = of_b;
		paths_clear(&g->paths);
		int rc = lengthen(g, a, n, g->node);
		for (size_t k = 0; k < nb && rc == FT_OK; node += b[k++].n)
			rc = lengthen(g, b[k], n, node);
		if (rc == FT_OK)
			rc = count_most(g, b, nb, n, of_b);
		if (rc < 0)
			return rc;
		match[n - 1] = 0;
		for (size_t i = 0; i + n <= a.n; i++)
			match[n - 1] += g->most[g->node[i]]-- > 0;
	}
	return FT_OK;
}

void ngrams_free(struct ngrams *g)
{
	paths_free(&g->paths);
	free(g->node);
	free(g->count);
	free(g->most);
	*g = (struct ngrams){ 0 };
}
