/* unigram.h - what the files of Unigram share. */
#ifndef FT_TOK_UNIGRAM_H
#define FT_TOK_UNIGRAM_H

#include "priv.h"
#include "trie.h"
#include <string.h>

struct unigram {
	struct tok_trie trie;
	double *score;        /* [ids] of the pieces in the trie */
	float *score32;       /* [ids] the same, when sums are float32 */
	double unk_score;
	double most;          /* the largest of their magnitudes */
	int32_t unk;          /* -1: none */
	bool single;          /* sums are float32 */
	bool typed;           /* as SentencePiece: a run of unknown characters is not looked up whole */
	bool has_bytes;       /* falls back to bytes, */
	int32_t byte[256];    /* whose pieces these are */
	bool cuts;            /* every way comes by each place before U+2581 behind another character */
	size_t window;        /* a power of two, more than the longest step */
};

static inline size_t unigram_char(unsigned char lead) /* bytes of a character */
{
	return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* ---- words seen before (unigram_words.c) ---- */
#define UNIGRAM_BYTES 15 /* of words that are kept */
#define UNIGRAM_TOKENS 8
#define UNIGRAM_BITS 17  /* 131,072 words of 64 bytes a thread; those that are used take memory */
struct unigram_word {        /* a line of the processor's cache */
	uint64_t low, high;  /* the bytes, and in the last of 16 how many they are; 0: free */
	float margin;        /* by how much its best way is better than the next */
	uint8_t count, used, end[UNIGRAM_TOKENS];
	uint8_t unknown;     /* a bit for each token that is unknown characters */
	int32_t id[UNIGRAM_TOKENS];
};
struct unigram_words {
	void *memory;
	struct unigram_word *word; /* in it, aligned */
};
int unigram_words_make(struct unigram_words *c);
void unigram_words_free(struct unigram_words *c);
/* Where a word is looked for: known a while before it is needed, so that it is there by then. */
struct unigram_key { uint64_t low, high; size_t home; };
/* Of the word s[n], 0 < n <= UNIGRAM_BYTES, of which `room` bytes may be read. */
static inline struct unigram_key unigram_words_key(const struct unigram_words *c, const char *s, size_t n, size_t room)
{
	uint64_t v[2] = { 0, 0 };
	if (room < 16)
		memcpy(v, s, n);
	else
		memcpy(v, s, 16);
	unsigned bits = (unsigned)n * 8;
	uint64_t low = bits < 64 ? v[0] & (((uint64_t)1 << bits) - 1) : v[0];
	uint64_t high = (bits > 64 ? v[1] & (((uint64_t)1 << (bits - 64)) - 1) : 0) | (uint64_t)n << 56;
	__uint128_t m = (__uint128_t)(low ^ 0x9E3779B97F4A7C15u) * (high ^ 0xD6E8FEB86659FD93u);
	size_t home = (size_t)(((uint64_t)m ^ (uint64_t)(m >> 64)) * 0x9E3779B97F4A7C15u >> (64 - UNIGRAM_BITS));
	__builtin_prefetch(&c->word[home]);
	return (struct unigram_key){ low, high, home };
}
/* NULL: it is not kept, as it is new and others are used more, or as its best way has too
 * many pieces, or bytes. */
const struct unigram_word *unigram_words_find(const struct ft_tok *t, struct unigram_words *c, struct unigram_key key,
                                              const char *s, size_t n);
static inline const struct unigram_word *unigram_words_get(const struct ft_tok *t, struct unigram_words *c,
                                                           struct unigram_key key, const char *s, size_t n)
{
	struct unigram_word *w = &c->word[key.home];
	if (w->low != key.low || w->high != key.high || !w->count)
		return unigram_words_find(t, c, key, s, n);
	w->used = true;
	return w;
}
/* Whether rounding cannot make another way of a word the best where the sum so far is `here`. */
static inline bool unigram_is_clear(const struct unigram *u, const struct unigram_word *w, double here)
{
	/* Each of at most UNIGRAM_BYTES additions on two ways is off by half a unit in the last place. */
	double magnitude = (here < 0 ? -here : here) + UNIGRAM_BYTES * u->most;
	return (double)w->margin > 2 * UNIGRAM_BYTES * magnitude * (u->single ? 0x1p-24 : 0x1p-52);
}

#endif
