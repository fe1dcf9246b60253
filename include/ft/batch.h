/* batch.h - from examples to batches: which are kept, in which order they
 * come, and how many go into a batch.
 *
 * ft-batch is these parts in a row:
 *
 *	ft_keep    keeps or leaves an example by its content (splits, folds)
 *	ft_pool    holds the kept ones in memory, packed
 *	ft_order   puts them in order, epoch by epoch, and cuts that into batches
 *	ft_mask    hides tokens for masked-language modelling
 *	ft_pack    lays the rows of one batch end to end
 *
 * and ft_batch_part() cuts one again.
 *
 * All of it is a function of the options and the examples alone: the same
 * input and the same seed give the same batches.
 */
#ifndef FT_BATCH_H
#define FT_BATCH_H

#include "ft/json.h"
#include "ft/stream.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- what to keep, by content ----
 * An example's place is a hash of its token ids (XXH3-64, seeded), so copies
 * of one text always fall on the same side, whatever their labels and
 * wherever they stand; of an example of several texts, of the ids of the first. That of
 * a window is a hash of its document's number: all windows of a document fall on the
 * same side. {0} keeps everything. */
struct ft_keep {
	enum { FT_KEEP_ALL, FT_KEEP_TRAIN, FT_KEEP_REST } part;
	double fraction;        /* of the whole that is FT_KEEP_TRAIN */
	int64_t fold, folds;    /* 1 .. folds; folds 0: no cross-validation */
	bool except;            /* all folds but this one */
	uint64_t seed;
};
/* Parse "train:0.9" or "rest:0.9", and "2/5". FT_EUSAGE. */
int ft_keep_split(struct ft_keep *k, const char *text);
int ft_keep_fold(struct ft_keep *k, const char *text, bool except);
bool ft_keep_test(const struct ft_keep *k, const struct ft_example *e);

/* ---- examples in memory ----
 * Two bytes a token (four where ids exceed 65535; one more where types are not all
 * 0), and for each example 24 bytes (24 more for a window, and for a size), its labels (two
 * or four bytes each; as much for a token's word), its targets and the text of its source;
 * four bytes a text, and eight, where it has several. */
struct ft_pool;
struct ft_pool *ft_pool_new(void); /* NULL: out of memory */
void ft_pool_free(struct ft_pool *p);
int ft_pool_add(struct ft_pool *p, const struct ft_example *e);
size_t ft_pool_count(const struct ft_pool *p);
size_t ft_pool_bytes(const struct ft_pool *p); /* memory in use */
size_t ft_pool_length(const struct ft_pool *p, size_t i); /* tokens of example i */
size_t ft_pool_texts(const struct ft_pool *p, size_t i);
/* Unpacks example i; what *e points to is valid until the next call. */
int ft_pool_get(struct ft_pool *p, size_t i, struct ft_example *e);

/* ---- the order, and where batches end ---- */
struct ft_order_options {
	bool shuffle;             /* else in the order of the pool */
	uint64_t seed;
	size_t rows, tokens;      /* most examples and tokens of a batch; 0: no such limit */
	size_t bucket;            /* windows of so many batches sorted by length; 0: none */
	bool pack;                /* else of `tokens`: each batch as full as it goes, not in order */
	size_t limit;             /* examples; 0: all */
	bool balance;             /* classes equally often */
	const uint64_t *weights;  /* one a file: mixed by them; NULL: one file after the other */
	const size_t *ends;       /* [files]: examples of the pool up to the end of file f */
	size_t files;             /* at least 1 */
};
struct ft_order;
/* Borrows the pool; copies nothing from `o` that it does not need later. NULL
 * on failure: FT_EFORMAT when a file has no example or a class is missing. */
struct ft_order *ft_order_new(struct ft_pool *p, const struct ft_order_options *o);
void ft_order_free(struct ft_order *o);
size_t ft_order_examples(const struct ft_order *o); /* different ones that are used */
size_t ft_order_bytes(const struct ft_order *o);    /* memory in use */

/* One epoch: batch b is item[cut[b]] .. item[cut[b + 1] - 1], indices into the pool. */
struct ft_epoch {
	const uint32_t *item;
	const uint32_t *cut;      /* [batches + 1] */
	size_t items, batches, rows, tokens; /* rows: texts of the items */
	int64_t number;           /* 0, 1, ... */
};
/* The next epoch; what *e points to is valid until the next call. */
int ft_order_next(struct ft_order *o, struct ft_epoch *e);
void ft_order_rewind(struct ft_order *o); /* back to epoch 0 */

/* ---- masked-language modelling ----
 * Chooses each token that is not special with probability p, and one where
 * that chose none; of the chosen 80 % become [MASK], 10 % another token, 10 %
 * stay as they are. Labels are the ids before, FT_IGNORE where not chosen.
 * (Devlin et al., "BERT", NAACL 2019, section 3.1; made anew each time an example
 * comes, as Liu et al., "RoBERTa", 2019, section 4.1.) */
struct ft_mask;
/* `tokenizer`: the meta object of a tokens stream. NULL: FT_EFORMAT when it
 * does not say mask, special and vocab; FT_EUSAGE when p is not in (0, 1]. */
struct ft_mask *ft_mask_new(const json_t *tokenizer, double p, uint64_t seed);
void ft_mask_free(struct ft_mask *m);
bool ft_mask_possible(const struct ft_mask *m, const struct ft_example *e); /* a token that may be masked */
/* Replaces ids and labels of *e by masked ones, valid until the next call.
 * The choice depends on the seed, the example's number and `pass` (how many times
 * it came before) alone. */
int ft_mask_apply(struct ft_mask *m, uint64_t example, uint64_t pass, struct ft_example *e);

/* ---- one batch ---- */
struct ft_pack;
struct ft_pack *ft_pack_new(void); /* NULL: out of memory */
void ft_pack_free(struct ft_pack *p);
/* Adds an example, copied: a row for each of its texts; one of a document (ft/docs.h)
 * has no tokens. FT_EFORMAT, naming its source, when its labels or its number of texts
 * are not as of those before it. */
int ft_pack_add(struct ft_pack *p, const struct ft_example *e);
size_t ft_pack_examples(const struct ft_pack *p);
size_t ft_pack_tokens(const struct ft_pack *p);
/* The batch so far; valid until the next add or clear. */
int ft_pack_batch(struct ft_pack *p, struct ft_batch *b);
void ft_pack_clear(struct ft_pack *p);

/* ---- a batch in parts ----
 * Examples from .. to - 1 of b: a view of b, valid while b is, but for its offsets, which are p's own. Dropout falls on
 * them as it does in the whole batch, so that losses and gradients of parts sum up to those of the whole where a loss
 * is a sum over examples. {0} is valid, and can be used again. FT_EMATCH: predictions of a teacher that are not as
 * many for each supervised token, or row, of b. */
struct ft_batch_part {
	struct ft_batch batch;
	struct ft_part place;
	int32_t *offsets;
	size_t cap;
};
int ft_batch_part(struct ft_batch_part *p, const struct ft_batch *b, size_t from, size_t to);
void ft_batch_part_free(struct ft_batch_part *p);
/* A copy of a whole batch, which lives as long as what the arena gives. */
int ft_batch_copy(struct ft_arena *a, const struct ft_batch *b, struct ft_batch *to);
/* Where part i of n begins, an example: parts have about as many tokens each, and may have none. */
size_t ft_batch_cut(const struct ft_batch *b, size_t i, size_t n);

/* ---- meta of joined streams ----
 * The meta object of what is made from all of `r`: they must agree in
 * tokenizer, task, labels and outputs, and in the chat template where they have one (FT_EMATCH
 * names the two and the key);
 * max_length becomes the largest, counts of batches add up. New reference, NULL on failure. */
json_t *ft_meta_join(struct ft_reader *const *r, size_t n);
/* Notes the same at the end: what all say in theirs, which have been read. Numbers add up, lists follow one another,
 * and what differs otherwise is left out. */
int ft_notes_join(struct ft_writer *w, struct ft_reader *const *r, size_t n);

#endif
