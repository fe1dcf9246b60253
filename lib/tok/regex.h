/* regex.h - the regular expressions of tokenizer.json: literal strings, or patterns
 * in Oniguruma's Ruby syntax, which PCRE2 executes. */
#ifndef FT_TOK_REGEX_H
#define FT_TOK_REGEX_H

#include "ft/json.h"
#include <stdbool.h>
#include <stddef.h>

struct tok_regex;
/* NULL: FT_EFORMAT names the pattern and what is wrong with it. */
struct tok_regex *tok_regex_new(const char *pattern);
/* {"String": "x"} or {"Regex": "x+"}, tokenizer.json's `pattern`. */
struct tok_regex *tok_regex_load(const json_t *pattern);
void tok_regex_free(struct tok_regex *r); /* NULL is fine */
/* The pattern as it was written; NULL for a literal string. */
const char *tok_regex_pattern(const struct tok_regex *r);

/* A search through one text, which must be UTF-8: {.regex, .s, .n, .store} at its start.
 * What PCRE2 needs for it lies in *store, NULL at first: searches one in another may have
 * the same, but not those of two threads. */
struct tok_search {
	const struct tok_regex *regex;
	const char *s;
	size_t n;
	void **store;
	size_t at, last;  /* private: where it goes on; the end of the match before, or 0 */
	bool begun;
};
/* 1: the next match is *from .. *to, which may be empty; 0: there is none; <0: error,
 * also when the pattern backtracks without end. Empty matches right behind another
 * are left out, as in the reference. */
int tok_search_next(struct tok_search *f, size_t *from, size_t *to);
void tok_search_free(void *store); /* NULL is fine */

#endif
