/* bpe.h - what the files of byte-pair encoding share. */
#ifndef FT_TOK_BPE_H
#define FT_TOK_BPE_H

#include "priv.h"

#define BPE_NONE UINT64_MAX
#define BPE_SPACE "\xe2\x96\x81" /* U+2581, which SentencePiece writes for a space */
#define BPE_AFFIX_MAX 255        /* bytes of a prefix or suffix */

/* ---- pairs of pieces, and what they become ---- */
struct bpe_pair {
	uint64_t key;    /* the left id, then the right one; BPE_NONE: free */
	uint64_t merged; /* the rank, then the id of both together */
};
struct bpe_pairs {
	struct bpe_pair *slot;
	unsigned shift;  /* 64 minus log2 of their number */
	uint64_t seed;
	/* For long words, the pairs by their left part, and by the symbol with which the right
	 * one begins. */
	int32_t *first;   /* [ids]: that symbol, which no merge makes */
	uint32_t *birth;  /* [ids]: no piece is made before the turn of this rank */
	uint32_t *rights; /* [ids + 1]: where those of each left part begin in `right` */
	struct bpe_right { int32_t id, first; uint32_t rank; } *right;
	const struct tok_vocab *vocab;
};
/* Makes the table of the merges of `src`; `prefix_n` bytes of each right part are
 * not part of the result. */
int bpe_pairs_make(struct bpe_pairs *p, const struct tok_vocab *v, const struct tok_source *src, size_t prefix_n,
                   const char *where);
void bpe_pairs_free(struct bpe_pairs *p);

static inline uint64_t bpe_key(int32_t left, int32_t right)
{
	return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline size_t bpe_slot(const struct bpe_pairs *p, uint64_t key)
{
	uint64_t h = (key ^ p->seed) * 0x9E3779B97F4A7C15u;
	return (size_t)((h ^ h >> 32) * 0xD6E8FEB86659FD93u >> p->shift);
}

/* The text from a symbol on to the end of its word, by which pieces are known that cannot
 * come of it. */
struct bpe_ahead {
	const char *s;
	size_t n;
	bool letters; /* pieces spell bytes as letters */
	bool opaque;  /* pieces need not be written as the text is: nothing is known by it */
};
/* Where the known symbols of a long word end (bpe_merge.c). */
struct bpe_border {
	int32_t left, behind;   /* the last that is known; the next, or how it begins */
	struct bpe_ahead ahead; /* from `behind` on */
	size_t cell;            /* of `behind` */
	uint64_t level;         /* the highest item that had its turn */
	uint64_t rank;          /* the lowest of the pairs that `left` may now have with what is behind */
	uint64_t change;        /* from this level on it may have others */
};
/* Sets rank and change, each BPE_NONE when there is none. */
void bpe_border_look(const struct bpe_pairs *p, struct bpe_border *b);
/* Rank and id of left and right together, as in bpe_pair; BPE_NONE: they do not merge. */
static inline uint64_t bpe_merged(const struct bpe_pairs *p, int32_t left, int32_t right)
{
	uint64_t key = bpe_key(left, right);
	size_t last = ((size_t)1 << (64 - p->shift)) - 1;
	for (size_t i = bpe_slot(p, key);; i = (i + 1) & last) {
		if (p->slot[i].key == key)
			return p->slot[i].merged;
		if (p->slot[i].key == BPE_NONE)
			return BPE_NONE;
	}
}

/* ---- merging ---- */
struct bpe_tokens { /* of one word: pieces, and where each ends in it */
	int32_t *id;
	uint32_t *end;
	size_t n, cap;
};
int bpe_tokens_reserve(struct bpe_tokens *k, size_t n);

struct bpe_heap { /* {0} is an empty one */
	uint64_t *item;
	size_t n, cap;
	uint32_t *span;
	size_t span_cap;
};
/* Merges neighbours until none is left that does: always the pair of the lowest rank,
 * of equals the leftmost. When more of the word follows, `a` is the text from the first
 * symbol on, and only those tokens are left that do not depend on what follows the last
 * symbol; they may be none. Else it is NULL. */
int bpe_merge(const struct bpe_pairs *p, struct bpe_tokens *k, struct bpe_heap *h, const struct bpe_ahead *a);

/* ---- words seen before ---- */
#define BPE_KEY_BYTES 15 /* of words that are kept */
#define BPE_KEY_TOKENS 3
#define BPE_CACHE_BITS 15 /* 32,768 words of 32 bytes a thread */
struct bpe_word {
	uint64_t low, high; /* bytes of the word; in the last its length. 0: free */
	int32_t id[BPE_KEY_TOKENS];
	uint8_t end[BPE_KEY_TOKENS], count;
};
struct bpe_cache {
	struct bpe_word *word;
	unsigned shift;
};
/* A block of a long word: the next one is often the same, as in a line of dashes. Which of
 * its tokens count is also a matter of the text behind it, as far as a piece may reach. */
#define BPE_BLOCK 4096
#define BPE_BEHIND 1024
struct bpe_block {
	char text[BPE_BLOCK + BPE_BEHIND];
	size_t n;               /* bytes of the block; 0: none */
	struct bpe_tokens tokens;
};

/* ---- what one thread works with ---- */
struct bpe_work {
	struct bpe_cache cache;
	struct bpe_tokens tokens;
	struct bpe_block block; /* the last */
	struct bpe_heap heap;
	char *spelled; /* [2 * longest piece]: a word as letters */
};

struct bpe {
	struct bpe_pairs pairs;
	int32_t byte[256];     /* ids of bytes: letters of ByteLevel, or <0x00> and on; -1: none */
	bool fallback;         /* an unknown character becomes its bytes */
	bool ignore_merges;    /* a word that is a piece is that piece */
	bool fuse_unk;
	bool opaque;           /* pieces need not be written as the text is: there is a prefix or a suffix,
	                        * or what is not known is left out, or merged by its name */
	bool cuts;             /* no piece holds U+2581 behind another character: words may be cut there */
	int32_t unk;           /* -1: unknown characters are left out */
	char *prefix, *suffix; /* of pieces inside a word, of its last one; or NULL */
};

/* ---- bpe_encode.c: as struct tok_kind has them ---- */
int bpe_word(const struct ft_tok *t, const struct tok_run *w, int type, struct ft_tok_text *x);
int bpe_words(const struct tok_walk *w, tok_scan_fn *scan, const struct tok_run *in);

#endif
