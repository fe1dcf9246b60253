/* replace.h - a pattern and what it becomes: a normalizer and a decoder. */
#ifndef FT_TOK_REPLACE_H
#define FT_TOK_REPLACE_H

#include "regex.h"

struct ft_tok;
struct tok_replace {
	struct tok_regex *pattern;
	char *content;
	size_t n; /* bytes of content */
};
int tok_replace_load(struct ft_tok *t, const json_t *v, void **state);
void tok_replace_unload(void *state);

#endif
