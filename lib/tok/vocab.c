/* vocab.c - pieces and their ids: open addressing, linear probing, at most half full. */
#include "vocab.h"
#include "ft/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A vocabulary made so that all pieces fall on few slots must not cost
 * quadratic time: beyond this many steps another seed is tried. */
#define PROBE_MAX 256
static const uint64_t seeds[] = { 0x243F6A8885A308D3u, 0x13198A2E03707344u, 0xA4093822299F31D0u, 0x082EFA98EC4E6C89u };
#define SEEDS (sizeof seeds / sizeof *seeds)

static size_t first_slot(const struct tok_vocab *v, uint64_t h)
{
	return (size_t)(h >> v->shift);
}

static size_t last_slot(const struct tok_vocab *v)
{
	return ((size_t)1 << (64 - v->shift)) - 1;
}

int tok_vocab_add(struct tok_vocab *v, const char *piece, size_t n, int64_t id)
{
	if (id < 0 || id > INT32_MAX)
		return ft_fail(FT_EFORMAT, "piece '%.*s': the id %lld is out of range", (int)n, piece, (long long)id);
	if (n >= UINT32_MAX || v->text.len >= UINT32_MAX - n)
		return ft_fail(FT_EFORMAT, "the vocabulary is larger than 4 GiB");
	int rc = ft_grow(&v->entries, &v->cap, v->count + 1, sizeof *v->entries);
	if (rc < 0 || (rc = ft_buf_reserve(&v->text, n + 1)) < 0)
		return rc;
	v->entries[v->count++] = (struct tok_entry){ { (uint32_t)v->text.len, (uint32_t)n }, (int32_t)id };
	memcpy(v->text.data + v->text.len, piece, n);
	v->text.len += n;
	v->text.data[v->text.len++] = '\0';
	if (n > v->longest)
		v->longest = n;
	return FT_OK;
}

static const char *text_of(const struct tok_vocab *v, struct tok_place p)
{
	return (const char *)v->text.data + p.at;
}

/* Fills v->place. The ids decide how much memory that takes: they may not be
 * far more than the pieces that are there. */
static int index_ids(struct tok_vocab *v, const char *where)
{
	size_t limit = 4 * v->count + 65536;
	for (size_t i = 0; i < v->count; i++) {
		struct tok_entry e = v->entries[i];
		if ((size_t)e.id >= limit)
			return ft_fail(FT_EFORMAT, "%s: piece '%s' has id %d, which is too large for %zu pieces", where,
			               text_of(v, e.place), e.id, v->count);
		if ((size_t)e.id >= v->ids)
			v->ids = (size_t)e.id + 1;
	}
	v->place = ft_alloc(v->ids, sizeof *v->place);
	if (!v->place)
		return FT_EFAIL;
	memset(v->place, 0xff, v->ids * sizeof *v->place);
	for (size_t i = 0; i < v->count; i++) {
		struct tok_entry e = v->entries[i];
		if (v->place[e.id].at != UINT32_MAX)
			return ft_fail(FT_EFORMAT, "%s: pieces '%s' and '%s' have the same id %d", where,
			               text_of(v, v->place[e.id]), text_of(v, e.place), e.id);
		v->place[e.id] = e.place;
	}
	return FT_OK;
}

/* memcmp() for the few bytes of a piece, without a call. */
static inline bool same_bytes(const char *a, const char *b, size_t n)
{
	uint64_t x = 0, y = 0;
	for (; n > 8; a += 8, b += 8, n -= 8) {
		memcpy(&x, a, 8);
		memcpy(&y, b, 8);
		if (x != y)
			return false;
	}
	if (n >= 4) { /* the first four and the last four, which may overlap */
		uint32_t first[2], last[2];
		memcpy(&first[0], a, 4);
		memcpy(&first[1], b, 4);
		memcpy(&last[0], a + n - 4, 4);
		memcpy(&last[1], b + n - 4, 4);
		return first[0] == first[1] && last[0] == last[1];
	}
	while (n && *a == *b)
		a++, b++, n--;
	return n == 0;
}

/* The slot of a piece, or the free one where it belongs; NULL after PROBE_MAX. */
static struct tok_slot *find_slot(const struct tok_vocab *v, uint64_t h, struct tok_place p)
{
	size_t last = last_slot(v), i = first_slot(v, h);
	for (int step = 0; step < PROBE_MAX; step++, i = (i + 1) & last) {
		struct tok_slot *s = &v->slots[i];
		if (s->id < 0)
			return s;
		bool alike = s->tag == (uint32_t)h && s->place.n == p.n;
		if (alike && same_bytes(text_of(v, s->place), text_of(v, p), p.n))
			return s;
	}
	return NULL;
}

/* 1: done, 0: pieces crowd, <0: error. */
static int fill(struct tok_vocab *v, bool repeats, const char *where)
{
	memset(v->slots, 0xff, (last_slot(v) + 1) * sizeof *v->slots);
	for (size_t i = 0; i < v->count; i++) {
		struct tok_place p = v->entries[i].place;
		uint64_t h = tok_hash(v->seed, text_of(v, p), p.n);
		struct tok_slot *s = find_slot(v, h, p);
		if (!s)
			return 0;
		if (s->id >= 0 && !repeats)
			return ft_fail(FT_EFORMAT, "%s: piece '%s' stands twice (ids %d and %d)", where,
			               text_of(v, p), s->id, v->entries[i].id);
		*s = (struct tok_slot){ (uint32_t)h, v->entries[i].id, p };
	}
	return 1;
}

int tok_vocab_build(struct tok_vocab *v, bool repeats, const char *where)
{
	int rc = index_ids(v, where);
	unsigned bits = 4;
	while (((size_t)1 << bits) < 2 * v->count)
		bits++;
	v->shift = 64 - bits;
	if (rc == FT_OK && !(v->slots = ft_alloc((size_t)1 << bits, sizeof *v->slots)))
		rc = FT_EFAIL;
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < SEEDS; i++) {
		v->seed = seeds[i];
		rc = fill(v, repeats, where);
		if (rc)
			break;
	}
	free(v->entries);
	v->entries = NULL;
	v->cap = 0;
	return rc > 0 ? FT_OK : rc < 0 ? rc : ft_fail(FT_EFORMAT, "%s: the pieces are made to collide", where);
}

void tok_vocab_free(struct tok_vocab *v)
{
	ft_buf_free(&v->text);
	free(v->entries);
	free(v->place);
	free(v->slots);
	*v = (struct tok_vocab){ 0 };
}

int32_t tok_vocab_find(const struct tok_vocab *v, uint64_t h, const char *lead, size_t lead_n, const char *s, size_t n)
{
	size_t last = last_slot(v);
	for (size_t i = first_slot(v, h);; i = (i + 1) & last) {
		const struct tok_slot *slot = &v->slots[i];
		if (slot->id < 0)
			return -1;
		if (slot->tag != (uint32_t)h || slot->place.n != lead_n + n)
			continue;
		const char *piece = text_of(v, slot->place);
		if ((!lead_n || same_bytes(piece, lead, lead_n)) && same_bytes(piece + lead_n, s, n))
			return slot->id;
	}
}

int32_t tok_vocab_longest(const struct tok_vocab *v, uint64_t h, const char *lead, size_t lead_n,
                          const char *s, size_t n, size_t *len)
{
	size_t limit = v->longest > lead_n ? v->longest - lead_n : 0;
	int32_t best = -1;
	for (size_t i = 0; i < n && i < limit; i++) {
		h = tok_hash_step(h, (unsigned char)s[i]);
		int32_t id = tok_vocab_find(v, h, lead, lead_n, s, i + 1);
		if (id >= 0) {
			best = id;
			*len = i + 1;
		}
	}
	return best;
}

int32_t tok_vocab_id(const struct tok_vocab *v, const char *s, size_t n)
{
	return v->slots ? tok_vocab_find(v, tok_hash(v->seed, s, n), "", 0, s, n) : -1;
}

void tok_vocab_bytes(const struct tok_vocab *v, int32_t id[256])
{
	for (int b = 0; b < 256; b++) {
		char name[8];
		int n = snprintf(name, sizeof name, "<0x%02X>", b);
		id[b] = tok_vocab_id(v, name, (size_t)n);
	}
}
