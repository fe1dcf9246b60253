/* vocab_json.h - reading tokenizer.json without paying for its vocabulary. */
#ifndef FT_TOK_VOCAB_JSON_H
#define FT_TOK_VOCAB_JSON_H

#include "ft/json.h"
#include "vocab.h"

/* Parses text[n] (the file `where`) with model.vocab, when it is an object,
 * read into v (not yet built) and {} in the result. New reference; NULL on
 * failure. */
json_t *tok_json_parse(const char *where, const char *text, size_t n, struct tok_vocab *v);

#endif
