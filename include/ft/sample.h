/* sample.h - the choice of the next token from a model's logits.
 *
 * What is done to them, in this order, is what transformers does: the repetition penalty
 * (Keskar et al., 2019), temperature, top-k (Fan et al., 2018), top-p (Holtzman et al.,
 * 2020), min-p (Nguyen et al., 2024).
 */
#ifndef FT_SAMPLE_H
#define FT_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ft_sample_options {
	double temperature; /* 0: the most likely token, and what follows below does nothing */
	int64_t top_k;      /* only the k most likely; 0: all */
	double top_p;       /* only the most likely that make up p together; 1: all */
	double min_p;       /* only those with at least this share of the most likely's probability; 0: all */
	double penalty;     /* of tokens that have been: positive logits are divided by it, others multiplied; 1: none */
	uint64_t seed;
};
#define FT_SAMPLE_GREEDY ((struct ft_sample_options){ .top_p = 1, .penalty = 1 })

struct ft_sampler;
/* FT_EUSAGE, naming the option, when one is out of range. */
int ft_sample_check(const struct ft_sample_options *o);
struct ft_sampler *ft_sampler_new(const struct ft_sample_options *o, size_t vocabulary); /* NULL: out of memory */
void ft_sampler_free(struct ft_sampler *s);                                            /* NULL is fine */

/* The next token of `logits` [vocabulary], which are changed; `seen` [n] are the tokens so far.
 * The choice is a function of seed, row and place alone. *logprob (or NULL): the logarithm of
 * the probability that the model gave it, before anything was done. */
int32_t ft_sample(struct ft_sampler *s, float *logits, const int32_t *seen, size_t n, uint64_t row, uint64_t place,
                  double *logprob);
/* The probabilities that it chooses by: [vocabulary]; logits are changed. Valid until the next call. */
const float *ft_sample_weights(struct ft_sampler *s, float *logits, const int32_t *seen, size_t n);

#endif
