/* cut.h - cutting a text at matches: what becomes of a match and of what stands
 * between (tokenizer.json's `behavior`). */
#ifndef FT_TOK_CUT_H
#define FT_TOK_CUT_H

#include "priv.h"

enum tok_behavior { TOK_REMOVED, TOK_ISOLATED, TOK_MERGED_PREVIOUS, TOK_MERGED_NEXT, TOK_CONTIGUOUS };
/* "Removed", ... as the reference writes them; FT_EFORMAT. */
int tok_behavior_load(const json_t *v, enum tok_behavior absent, enum tok_behavior *out);

/* A text is covered from its start to its end by calls of tok_cut(), each a match or
 * what stands between two; the parts that come of them go on to the next stage. */
struct tok_cutter {
	const struct tok_walk *w;
	size_t stage; /* that cuts */
	const struct tok_run *in;
	enum tok_behavior behavior;
	bool before;  /* the last part was a match */
	bool waits;   /* from..to is not given on yet */
	size_t from, to;
};
int tok_cut(struct tok_cutter *c, size_t from, size_t to, bool match);
int tok_cut_end(struct tok_cutter *c); /* after the last */

/* Cuts `in` at the characters that `test` is true of. */
int tok_cut_chars(struct tok_cutter *c, bool (*test)(const struct ft_tok *t, int32_t c));

#endif
