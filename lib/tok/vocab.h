/* vocab.h - a set of pieces, each with an id: a hash table that also finds the
 * longest piece that begins a text.
 *
 * The hash of a text is carried on from the hash of a shorter one byte by byte,
 * so that all beginnings of a word are looked up in one pass.
 */
#ifndef FT_TOK_VOCAB_H
#define FT_TOK_VOCAB_H

#include "ft/mem.h"
#include <stdbool.h>
#include <stdint.h>

struct tok_place { uint32_t at, n; };           /* a piece in `text`, where a NUL follows it */
struct tok_entry { struct tok_place place; int32_t id; };
struct tok_slot {         /* what a look-up needs, in one place */
	uint32_t tag;     /* low half of the hash */
	int32_t id;       /* -1: free */
	struct tok_place place;
};

struct tok_vocab {
	struct ft_buf text;
	struct tok_entry *entries; /* as they were added */
	size_t count, cap;
	struct tok_place *place; /* [ids]; at UINT32_MAX: no such id */
	size_t ids;             /* ids are below it */
	struct tok_slot *slots; /* after tok_vocab_build */
	unsigned shift;         /* 64 minus log2 of their number */
	uint64_t seed;
	size_t longest;         /* bytes of the longest piece */
};

/* Adds a piece (no NUL inside); looked up only after the next build. */
int tok_vocab_add(struct tok_vocab *v, const char *piece, size_t n, int64_t id);
/* Makes the table. Ids must be 0.. without great gaps, and differ; of equal
 * pieces the last counts when `repeats`, else they are an error. `where` names
 * the file in errors. */
int tok_vocab_build(struct tok_vocab *v, bool repeats, const char *where);
void tok_vocab_free(struct tok_vocab *v);

static inline const char *tok_vocab_piece(const struct tok_vocab *v, int32_t id)
{
	if (id < 0 || (size_t)id >= v->ids || v->place[id].at == UINT32_MAX)
		return NULL;
	return (const char *)v->text.data + v->place[id].at;
}

/* ---- hashing ---- */
static inline uint64_t tok_hash_step(uint64_t h, unsigned char c)
{
	return (h ^ c) * 0x9E3779B97F4A7C15u;
}

static inline uint64_t tok_hash(uint64_t h, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = tok_hash_step(h, (unsigned char)s[i]);
	return h;
}

/* The id of the piece that is lead[lead_n] followed by s[n], or -1. h is the hash
 * of both: that of the lead (begun with v->seed), carried on over s. */
int32_t tok_vocab_find(const struct tok_vocab *v, uint64_t h, const char *lead, size_t lead_n, const char *s, size_t n);
/* The longest piece that is the lead and then a beginning of s[n]: its id, and in
 * *len how much of s it takes (> 0); or -1. h is the hash of the lead alone. */
int32_t tok_vocab_longest(const struct tok_vocab *v, uint64_t h, const char *lead, size_t lead_n,
                          const char *s, size_t n, size_t *len);
/* The id of a whole piece, or -1. */
int32_t tok_vocab_id(const struct tok_vocab *v, const char *s, size_t n);
/* The ids of <0x00> to <0xFF>, to which unknown characters fall back; -1 for those that are not there. */
void tok_vocab_bytes(const struct tok_vocab *v, int32_t id[256]);

#endif
