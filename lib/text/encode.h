/* encode.h - what the files that make examples of rows share: encode.c encodes the rows of
 * a group, example.c writes what they became. */
#ifndef FT_TEXT_ENCODE_H
#define FT_TEXT_ENCODE_H

#include "ft/batch.h"
#include "ft/encode.h"

struct item {               /* a row */
	struct ft_span text, pair, negative, src; /* in the group's arena */
	int32_t label;
	float *targets;         /* there, too; or NULL */
	struct ft_words words;  /* instead of text, with the task tag */
	size_t from, n, pair_from, pair_n, negative_from, negative_n; /* its tokens among those of its chunk; the third
	                                                      text's stand behind the second's */
	size_t invalid;         /* pieces that are not UTF-8 */
};

struct chunk {              /* what a thread makes of some rows */
	struct ft_tok_text text, pair;
	int rc;
	char message[512];      /* messages are kept per thread */
};

struct group;
struct ft_encoder {
	struct ft_encode_options o;
	struct ft_encode_counts n;
	struct ft_writer *out;
	struct group *group;
	struct ft_tok_text example; /* with its special tokens */
	struct ft_pack *texts;      /* of an example of several */
	int32_t *word, *label;      /* [tokens of it]: with the task tag */
	size_t word_cap, label_cap;
};

/* Writes what an encoded row becomes, and counts it. */
int example_write(struct ft_encoder *x, const struct item *it, const struct chunk *c);

#endif
