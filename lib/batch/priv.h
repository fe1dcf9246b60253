/* priv.h - parts of ft_order that lie in several files. */
#ifndef FT_BATCH_PRIV_H
#define FT_BATCH_PRIV_H

#include "ft/batch.h"

/* Streams of random numbers under one seed. */
enum { RNG_PASS = 0x50415353, RNG_BATCHES = 0x42415443 };

/* Examples drawn in passes: each of a pass once, then the next pass. */
struct source {
	uint32_t *all;   /* [n], ascending */
	uint32_t *pass;  /* [n], in the order of the present pass */
	size_t n, at;    /* at: the next one of the pass */
	uint64_t passes; /* passes begun before this one */
	size_t quota;    /* how many an epoch takes */
	int64_t credit;  /* of the weighted round robin */
};

struct ft_order {
	struct ft_pool *pool;
	bool shuffle, pack;
	uint64_t seed;
	size_t rows, tokens, bucket;
	struct source *source;
	size_t sources;
	size_t total;    /* the sum of quotas: examples of an epoch */
	size_t examples; /* different ones */
	int64_t epoch;   /* the next one */
	uint32_t *item, *cut;
	size_t item_cap, cut_cap, batches;
	uint32_t *item_alt, *cut_alt, *turn; /* for what changes the order; the caps are those above */
	uint64_t *key;                       /* for sorting a window */
	size_t key_cap;
};

/* ---- cut.c ---- */
/* Where the batch that begins at item `from` ends, at most `n`. */
size_t batch_end(const struct ft_order *o, size_t from, size_t n);
/* Cuts o->item[total] into batches. */
int cut_plain(struct ft_order *o);
/* Sorts by length inside windows, cuts, and shuffles the batches. */
int cut_buckets(struct ft_order *o);
/* Puts the batches of an epoch into another order. */
int shuffle_batches(struct ft_order *o);
void sort_keys(uint64_t *key, size_t n);

/* ---- best_fit.c ---- */
/* Puts the items together so that batches are full. */
int cut_best_fit(struct ft_order *o);

/* ---- source.c ---- */
/* Fills in o->source from the options; the pool must not be empty. */
int sources_make(struct ft_order *o, const struct ft_order_options *opt);
void sources_free(struct ft_order *o);
void source_begin(struct ft_order *o, size_t s, uint64_t pass);
/* The examples of the next epoch into o->item[total]. */
void sources_draw(struct ft_order *o);

#endif
