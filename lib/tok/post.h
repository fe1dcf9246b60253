/* post.h - the post_processor that tokenizer.json would have, from a line of letters. */
#ifndef FT_TOK_POST_H
#define FT_TOK_POST_H

#include "priv.h"

struct tok_named { const char *name; int64_t id; }; /* of a role; NULL, or an id below 0: there is none */

/* A TemplateProcessing: letters are A and B, and b, e, s, c for bos, eos, sep, cls; a digit is
 * the type of what stands before it. NULL: FT_EFORMAT, when a token is missing. */
json_t *tok_post_processor(const char *single, const char *pair, const struct tok_named named[TOK_ROLES]);
/* With bos before each text, and eos behind it. */
json_t *tok_post_processor_plain(bool bos, bool eos, const struct tok_named named[TOK_ROLES]);

#endif
