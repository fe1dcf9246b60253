/* bpe_pairs.c - the merges as a hash table: open addressing, linear probing, at most
 * two thirds full. */
#include "bpe.h"
#include "ft/err.h"

#include <stdlib.h>
#include <string.h>

/* As in vocab.c: merges made to collide must not cost quadratic time. */
#define PROBE_MAX 256
static const uint64_t seeds[] = { 0, 0x243F6A8885A308D3u, 0x13198A2E03707344u, 0xA4093822299F31D0u };
#define SEEDS (sizeof seeds / sizeof *seeds)

/* The ids of a merge's parts, and of both together. */
static int resolve(const struct tok_vocab *v, const char *text, const struct tok_merge *m, size_t prefix_n,
                   int32_t id[3])
{
	const char *left = text + m->at, *right = left + m->left;
	if (m->right < prefix_n)
		return ft_fail(FT_EFORMAT, "'%.*s' is shorter than continuing_subword_prefix", (int)m->right, right);
	const char *rest = right + prefix_n;
	size_t rest_n = m->right - prefix_n;
	uint64_t h = tok_hash(v->seed, left, m->left);
	id[0] = tok_vocab_find(v, h, "", 0, left, m->left);
	id[1] = tok_vocab_id(v, right, m->right);
	id[2] = tok_vocab_find(v, tok_hash(h, rest, rest_n), left, m->left, rest, rest_n);
	for (int i = 0; i < 3; i++)
		if (id[i] < 0)
			return ft_fail(FT_EFORMAT, "'%.*s%.*s' is not in the vocabulary", i == 1 ? 0 : (int)m->left, left,
			               i == 0 ? 0 : i == 1 ? (int)m->right : (int)rest_n, i == 1 ? right : rest);
	return FT_OK;
}

/* Of equal pairs the last counts, as in the reference. False: pairs crowd. */
static bool put(struct bpe_pairs *p, uint64_t key, uint64_t merged)
{
	size_t last = ((size_t)1 << (64 - p->shift)) - 1, i = bpe_slot(p, key);
	for (int step = 0; step < PROBE_MAX; step++, i = (i + 1) & last)
		if (p->slot[i].key == BPE_NONE || p->slot[i].key == key) {
			p->slot[i] = (struct bpe_pair){ key, merged };
			return true;
		}
	return false;
}

static int fill(struct bpe_pairs *p, const int32_t *made)
{
	for (size_t s = 0; s < SEEDS; s++) {
		p->seed = seeds[s];
		memset(p->slot, 0xff, ((size_t)1 << (64 - p->shift)) * sizeof *p->slot);
		size_t rank = 0;
		while (rank < p->ranks && put(p, p->by_rank[rank], (uint64_t)rank << 32 | (uint32_t)made[rank]))
			rank++;
		if (rank == p->ranks)
			return FT_OK;
	}
	return ft_fail(FT_EFORMAT, "the pairs are made to collide");
}

int bpe_pairs_make(struct bpe_pairs *p, const struct tok_vocab *v, const struct tok_source *src, size_t prefix_n,
                   const char *where)
{
	unsigned bits = 4;
	while (((size_t)1 << bits) * 2 < 3 * src->nmerges)
		bits++;
	p->shift = 64 - bits;
	p->ranks = src->nmerges;
	int rc = FT_OK;
	int32_t *made = ft_alloc(p->ranks, sizeof *made), id[3] = { -1, -1, -1 };
	p->by_rank = ft_alloc(p->ranks, sizeof *p->by_rank);
	p->slot = ft_alloc((size_t)1 << bits, sizeof *p->slot);
	if (!made || !p->by_rank || !p->slot)
		rc = FT_EFAIL;
	for (size_t i = 0; i < p->ranks && rc == FT_OK; i++) {
		rc = resolve(v, (const char *)src->text.data, &src->merges[i], prefix_n, id);
		if (rc < 0) {
			ft_context(rc, "%s: model.merges[%zu]", where, i);
			break;
		}
		p->by_rank[i] = bpe_key(id[0], id[1]);
		made[i] = id[2];
	}
	if (rc == FT_OK && (rc = fill(p, made)) < 0)
		rc = ft_context(rc, "%s: model.merges", where);
	free(made);
	return rc;
}

void bpe_pairs_free(struct bpe_pairs *p)
{
	free(p->slot);
	free(p->by_rank);
}
