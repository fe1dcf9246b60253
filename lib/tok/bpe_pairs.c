/* bpe_pairs.c - the merges as a hash table: open addressing, linear probing, at most
 * two thirds full. */
#include "bpe.h"
#include "bytelevel.h"
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
			return ft_fail(FT_EFORMAT, "'%.*s%.*s' is not in the vocabulary", i == 1 ? 0 : (int)m->left,
			               left, i == 0 ? 0 : i == 1 ? (int)m->right : (int)rest_n, i == 1 ? right : rest);
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

static int fill(struct bpe_pairs *p, const struct bpe_pair *pair, size_t n)
{
	for (size_t s = 0; s < SEEDS; s++) {
		p->seed = seeds[s];
		memset(p->slot, 0xff, ((size_t)1 << (64 - p->shift)) * sizeof *p->slot);
		size_t i = 0;
		while (i < n && put(p, pair[i].key, pair[i].merged))
			i++;
		if (i == n)
			return FT_OK;
	}
	return ft_fail(FT_EFORMAT, "the pairs are made to collide");
}

/* ---- by their left part ---- */

static int32_t first_symbol(const struct bpe_pairs *p, int32_t id)
{
	while (p->first[id] != id)
		id = p->first[id];
	return id;
}

/* A piece begins as the left part of the merge that makes it, which is shorter. */
static void find_first(struct bpe_pairs *p, const struct bpe_pair *pair, size_t n, size_t ids)
{
	for (size_t i = 0; i < ids; i++)
		p->first[i] = (int32_t)i;
	for (size_t i = 0; i < n; i++) {
		int32_t left = (int32_t)(pair[i].key >> 32), both = (int32_t)(uint32_t)pair[i].merged;
		if (left != both) /* a right part may be a prefix alone */
			p->first[both] = left;
	}
	for (size_t i = 0; i < ids; i++)
		p->first[i] = first_symbol(p, (int32_t)i);
}

/* A piece is made by a merge, of parts that were made before. Each round raises what the
 * one before has found; ranks in the usual order need no second one. */
#define ROUNDS 64
static int find_births(struct bpe_pairs *p, const struct bpe_pair *pair, size_t n, size_t ids)
{
	uint32_t *now = ft_alloc(ids, sizeof *now);
	if (!now)
		return FT_EFAIL;
	bool changed = true;
	for (int round = 0; round < ROUNDS && changed; round++) {
		memset(now, 0xff, ids * sizeof *now);
		for (size_t i = 0; i < n; i++) {
			uint32_t left = p->birth[pair[i].key >> 32], right = p->birth[(uint32_t)pair[i].key];
			uint32_t rank = (uint32_t)(pair[i].merged >> 32), *made = &now[(uint32_t)pair[i].merged];
			uint32_t both = left > right ? left : right, at = both > rank ? both : rank;
			*made = at < *made ? at : *made;
		}
		changed = false;
		for (size_t i = 0; i < ids; i++) {
			uint32_t birth = now[i] == UINT32_MAX ? 0 : now[i]; /* a symbol */
			changed |= birth != p->birth[i];
			p->birth[i] = birth;
		}
	}
	free(now);
	return FT_OK;
}

/* Where each value begins, [ids + 1], when n values are sorted; the last element is spare. */
static uint32_t *count_starts(const struct bpe_right *r, const int32_t *value, size_t n, size_t ids)
{
	uint32_t *start = ft_alloc(ids + 2, sizeof *start);
	for (size_t i = 0; i < n && start; i++)
		start[value ? value[i] + 2 : r[i].first + 2]++;
	for (size_t i = 2; i < ids + 2 && start; i++)
		start[i] += start[i - 1];
	return start;
}

/* Sorts by the first symbol of the right part, then, keeping that order, by the left. */
static int index_left(struct bpe_pairs *p, const struct bpe_pair *pair, size_t n, size_t ids)
{
	struct bpe_right *by_first = ft_alloc(n, sizeof *by_first);
	int32_t *left = ft_alloc(n, sizeof *left);
	uint32_t *start = NULL;
	int rc = FT_EFAIL;
	p->first = ft_alloc(ids, sizeof *p->first);
	p->birth = ft_alloc(ids, sizeof *p->birth);
	p->right = ft_alloc(n, sizeof *p->right);
	if (!by_first || !left || !p->first || !p->birth || !p->right || find_births(p, pair, n, ids) < 0)
		goto out;
	find_first(p, pair, n, ids);
	for (size_t i = 0; i < n; i++) {
		int32_t id = (int32_t)(uint32_t)pair[i].key;
		p->right[i] = (struct bpe_right){ id, p->first[id], (uint32_t)(pair[i].merged >> 32) };
	}
	if (!(start = count_starts(p->right, NULL, n, ids)))
		goto out;
	for (size_t i = 0; i < n; i++) {
		size_t to = start[p->right[i].first + 1]++;
		by_first[to] = p->right[i];
		left[to] = (int32_t)(pair[i].key >> 32);
	}
	if (!(p->rights = count_starts(NULL, left, n, ids)))
		goto out;
	for (size_t i = 0; i < n; i++)
		p->right[p->rights[left[i] + 1]++] = by_first[i];
	rc = FT_OK;
out:
	free(by_first);
	free(left);
	free(start);
	return rc;
}

/* Whether a piece may stand at the start of the text. */
static bool fits(const char *piece, const struct bpe_ahead *a)
{
	size_t n = strlen(piece), i = 0;
	if (a->opaque)
		return true;
	if (!a->letters)
		return n <= a->n && memcmp(piece, a->s, n) == 0;
	for (size_t at = 0, len; at < n; at += len, i++) {
		int32_t c;
		len = ft_utf8_get(piece + at, n - at, &c, NULL);
		if (i == a->n || tok_letter_byte(c) != (unsigned char)a->s[i])
			return false;
	}
	return true;
}

void bpe_border_look(const struct bpe_pairs *p, struct bpe_border *b)
{
	const char *begins = tok_vocab_piece(p->vocab, b->behind);
	size_t n = strlen(begins), low = p->rights[b->left], end = p->rights[b->left + 1];
	int32_t first = p->first[b->behind];
	for (size_t high = end; low < high;) {
		size_t mid = (low + high) / 2;
		if (p->right[mid].first < first)
			low = mid + 1;
		else
			high = mid;
	}
	b->rank = b->change = BPE_NONE;
	for (; low < end && p->right[low].first == first; low++) {
		const struct bpe_right *r = &p->right[low];
		const char *piece = tok_vocab_piece(p->vocab, r->id);
		if (strncmp(piece, begins, n) != 0 || !fits(piece, &b->ahead))
			continue;
		/* A piece is made behind the border only: at no smaller cell. */
		uint64_t birth = r->id == b->behind ? 0 : (uint64_t)p->birth[r->id] << 32 | b->cell;
		if (birth <= b->level)
			b->rank = r->rank < b->rank ? r->rank : b->rank;
		else
			b->change = birth < b->change ? birth : b->change;
	}
}

/* ---- all of it ---- */

int bpe_pairs_make(struct bpe_pairs *p, const struct tok_vocab *v, const struct tok_source *src, size_t prefix_n,
                   const char *where)
{
	unsigned bits = 4;
	while (((size_t)1 << bits) * 2 < 3 * src->nmerges)
		bits++;
	p->shift = 64 - bits;
	p->vocab = v;
	int rc = FT_OK;
	int32_t id[3] = { -1, -1, -1 };
	struct bpe_pair *pair = ft_alloc(src->nmerges, sizeof *pair);
	p->slot = ft_alloc((size_t)1 << bits, sizeof *p->slot);
	if (!pair || !p->slot)
		rc = FT_EFAIL;
	for (size_t i = 0; i < src->nmerges && rc == FT_OK; i++) {
		const struct tok_merge *m = &src->merges[i];
		rc = resolve(v, (const char *)src->text.data, m, prefix_n, id);
		if (rc < 0)
			ft_context(rc, "%s: model.merges[%zu]", where, i);
		pair[i] = (struct bpe_pair){ bpe_key(id[0], id[1]), (uint64_t)m->rank << 32 | (uint32_t)id[2] };
	}
	if (rc == FT_OK)
		rc = index_left(p, pair, src->nmerges, v->ids);
	if (rc == FT_OK && (rc = fill(p, pair, src->nmerges)) < 0)
		ft_context(rc, "%s: model.merges", where);
	free(pair);
	return rc;
}

void bpe_pairs_free(struct bpe_pairs *p)
{
	free(p->slot);
	free(p->first);
	free(p->birth);
	free(p->rights);
	free(p->right);
}
