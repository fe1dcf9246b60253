/* encode.h - what the files that make examples of rows share: encode.c encodes the rows of
 * a group (dialogue.c those that are conversations), example.c and lm.c write what they became. */
#ifndef FT_TEXT_ENCODE_H
#define FT_TEXT_ENCODE_H

#include "ft/batch.h"
#include "dialogue.h"
#include "ft/encode.h"

struct item {               /* a row */
	struct ft_span text, pair, negative, src; /* in the group's arena */
	int32_t label;
	float *targets;         /* there, too; or NULL */
	struct ft_words words;  /* instead of text, with the task tag */
	size_t from, n, pair_from, pair_n, negative_from, negative_n; /* its tokens among those of its chunk; the third
	                                                      text's stand behind the second's */
	size_t invalid;         /* pieces that are not UTF-8 */
	bool completes;         /* lm: text is a prompt of `prompt` bytes and a completion */
	size_t prompt;          /* without white space at its end, when it is a question */
	size_t said_from;       /* the byte that the completion, or the choice, begins with */
	struct ft_window choice; /* lm: which choice of which question; count 0: of none */
	size_t stretch, stretches; /* lm: the first of those of its chunk, and how many */
	json_t *messages, *tools; /* lm: a conversation; or NULL */
	size_t said, said_n;    /* its text among that of its chunk */
	bool shortened;         /* it has lost its oldest turns */
	enum side { ALONE, CHOSEN, REJECTED } side; /* lm: of two rows that are one example */
	bool judged;            /* lm: and whether it is good, 1 or 0 */
	float good;
};

struct stretch {            /* tokens of a row that are learnt one after the other */
	size_t from, to;        /* counted from the row's first */
	size_t base, begin, end; /* the bytes of text that they stand for, of what begins at `base` */
};

struct chunk {              /* what a thread makes of some rows */
	struct ft_tok_text text, pair;
	struct stretch *stretch; /* [nstretch] */
	size_t nstretch, stretch_cap;
	struct dialogue dialogue; /* the conversation at hand */
	struct ft_buf said;     /* those before it, rendered */
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
	struct ft_encode_counts before; /* lm: those before an example of two */
	int32_t *word, *label;      /* [tokens of it]: with the tasks tag and lm */
	size_t word_cap, label_cap;
	int32_t *ids;               /* lm: of a row with the tokens around it */
	size_t ids_cap;
};

/* ---- example.c ---- */
/* Writes what an encoded row becomes, and counts it. */
int example_write(struct ft_encoder *x, const struct item *it, const struct chunk *c);
/* Writes an example that is there but for its source, and its label unless it has one a token. */
int example_put(struct ft_encoder *x, const struct item *it, struct ft_example *e);

/* ---- lm.c ---- */
/* Tokens of a row, appended to c->text, and which of them are learnt. */
int lm_encode(const struct ft_encode_options *o, struct item *it, struct chunk *c);
int lm_write(struct ft_encoder *x, const struct item *it, const struct chunk *c);
int lm_stretch(struct chunk *c, struct item *it, struct stretch s); /* tokens that are learnt, in order */

/* ---- dialogue.c ---- */
/* The same as lm_encode() of a conversation. */
int dialogue_encode(const struct ft_encode_options *o, struct item *it, struct chunk *c);

#endif
