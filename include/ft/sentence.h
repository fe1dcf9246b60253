/* sentence.h - sentence-transformers folders: how one vector is made of a text.
 *
 * Beside the model, modules.json lists what a text goes through: the network
 * itself, a pooling of its hidden states, scaling to length 1. Two generations
 * of these files are read (up to 5.3 of sentence-transformers, and from 5.4);
 * the older one, which every version reads, is written.
 */
#ifndef FT_SENTENCE_H
#define FT_SENTENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the hidden states of a text's tokens become one vector. X(name, key of the
 * older files, name in the newer), in the order in which vectors of several
 * modes are joined. */
#define FT_POOLINGS(X)                                                        \
	X(CLS, "pooling_mode_cls_token", "cls")              /* the first */  \
	X(MAX, "pooling_mode_max_tokens", "max")             /* of each component */ \
	X(MEAN, "pooling_mode_mean_tokens", "mean")                           \
	X(MEAN_SQRT, "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens") /* sum / sqrt(tokens) */ \
	X(WEIGHTED_MEAN, "pooling_mode_weightedmean_tokens", "weightedmean")  /* token i = 1, 2, … weighs i */ \
	X(LAST, "pooling_mode_lasttoken", "lasttoken")
enum ft_pooling_mode {
#define X(name, old, new) FT_POOL_##name,
	FT_POOLINGS(X)
#undef X
	FT_POOLING_MODES
};

struct ft_pooling {
	enum ft_pooling_mode mode[FT_POOLING_MODES]; /* their vectors are joined in this order */
	size_t modes;
	bool normalize;      /* the result is scaled to length 1 */
	bool lower_case;     /* texts are made lower case, whatever the tokenizer does */
	bool with_prompt;    /* tokens of a prompt count in the pooling */
	int64_t width;       /* of a hidden state; 0: not said */
	int64_t max_length;  /* tokens of a text, special ones included; 0: not said */
	char *prompt;        /* goes before every text; NULL: none */
};

/* Reads the files of `dir` that say how vectors are made. 1: *p is filled, to be
 * freed. 0: not such a folder (it has no modules.json), *p is {0}. Modules other
 * than those above, a model in a folder of its own, and models that are not for
 * one vector a text are FT_EFORMAT. */
int ft_pooling_read(struct ft_pooling *p, const char *dir);
void ft_pooling_free(struct ft_pooling *p);
/* Writes files that say this into the folder `dir`: modules.json, 1_Pooling/, … */
int ft_pooling_write(const struct ft_pooling *p, const char *dir);
const char *ft_pooling_name(enum ft_pooling_mode mode); /* "mean": that of the newer files */
int ft_pooling_parse(const char *name);                 /* an ft_pooling_mode, or -1 */

#endif
