/* generate.h - how a causal language model goes on from texts.
 *
 * Rows are run side by side over one key/value cache (cache.h); what a row is answered
 * depends on the others only by rounding, and a choice by chance not on their number or
 * order, but on seed, row and place.
 */
#ifndef FT_GENERATE_H
#define FT_GENERATE_H

#include "ft/cache.h"
#include "ft/model.h"
#include "ft/sample.h"
#include "ft/tok.h"

struct ft_generate_options {
	struct ft_sample_options sample;
	int64_t max_new;        /* most tokens of an answer */
	int64_t beams;          /* beam search of so many; 0, 1: none */
	double length_penalty;  /* beams are compared by log-probability / length^this */
	const int32_t *ends;    /* tokens that end an answer */
	size_t nends;
	const char *const *stops; /* texts that end it */
	size_t nstops;
	uint64_t first_row;     /* number of the first row, for chance */
	struct ft_cache *cache; /* of a single row, without beams: the first ft_cache_length() tokens of the
	                           prompt are of its past already, and it keeps what follows; or NULL */
};

enum ft_finish {
	FT_FINISH_STOP,    /* one of `ends` or `stops` */
	FT_FINISH_LENGTH,  /* max_new */
	FT_FINISH_CONTEXT, /* as many tokens as the model takes */
};
const char *ft_finish_name(enum ft_finish f); /* "stop", "length", "context" */

struct ft_answer {
	int32_t *ids;       /* [n], with a token that ended it */
	size_t n, cap;
	double logprob;     /* sum over the tokens, as the model gave them */
	struct ft_buf text; /* without what ended it */
	enum ft_finish finish;
};
void ft_answer_free(struct ft_answer *a); /* leaves {0} */

/* Called with more text of row `row` as soon as it is certain. <0 ends the generation. */
typedef int ft_said(void *ctx, size_t row, const char *text, size_t n);

/* Answers each row of `prompts` (ids and offsets count) into answers [rows], each {0} or
 * used before. `said` may be NULL; with beams it comes at the end. Prompts longer than the
 * model takes: FT_EMATCH. */
int ft_generate(struct ft_model *m, struct ft_graph *g, const struct ft_tok *t, const struct ft_generate_options *o,
                const struct ft_batch *prompts, ft_said *said, void *ctx, struct ft_answer *answers);

/* The tokens that end an answer of this model: of generation_config.json or config.json in
 * its folder, and the tokenizer's end of text. *ids from malloc. How many, or <0. */
int ft_generate_ends(const struct ft_model *m, const struct ft_tok *t, int32_t **ids);

#endif
