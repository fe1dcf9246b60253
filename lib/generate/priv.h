/* priv.h - what the files of lib/generate share. */
#ifndef FT_GENERATE_PRIV_H
#define FT_GENERATE_PRIV_H

#include "ft/cache.h"
#include "ft/err.h"
#include "ft/generate.h"

/* ---- spell.c: tokens of an answer become text as they come ---- */
struct spelling {
	const struct ft_tok *tok;
	const struct ft_generate_options *o;
	const int32_t *prompt; /* its last tokens: what stands before decides about spaces */
	size_t nprompt;
	size_t from;           /* text of the tokens before it has been said */
	size_t said;           /* bytes of the text from there on that have, too */
	struct ft_buf context, now; /* scratch */
};
void spell_begin(struct spelling *s, const struct ft_tok *t, const struct ft_generate_options *o, const int32_t *prompt,
                 size_t n);
/* Adds to a->text what the tokens of `a` say and was not said before; text that may be the
 * beginning of a stop or of a character waits, unless `last`. 1: a stop was met. */
int spell_more(struct spelling *s, struct ft_answer *a, bool last);
void spell_free(struct spelling *s);

bool is_end(const struct ft_generate_options *o, int32_t id);
int answer_add(struct ft_answer *a, int32_t id, double logprob);
/* The most tokens that the model takes. */
int64_t most_tokens(const struct ft_model *m);

/* ---- beam.c: one row ---- */
int beam_search(struct ft_model *m, struct ft_graph *g, const struct ft_generate_options *o, const int32_t *prompt,
                size_t n, struct ft_answer *a);

#endif
