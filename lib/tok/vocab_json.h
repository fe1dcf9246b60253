/* vocab_json.h - reading tokenizer.json without paying for what is large in it. */
#ifndef FT_TOK_VOCAB_JSON_H
#define FT_TOK_VOCAB_JSON_H

#include "ft/json.h"
#include "priv.h"

/* Parses text[n] (the file `where`) with model.vocab read into v (not yet built) and,
 * as far as it has scores, into src; with model.merges in src; and with {} or [] for
 * both in the result. New reference; NULL on failure. */
json_t *tok_json_parse(const char *where, const char *text, size_t n, struct tok_vocab *v, struct tok_source *src);

#endif
