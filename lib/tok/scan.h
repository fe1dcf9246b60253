/* scan.h - the patterns by which the great families of byte-level tokenizers cut
 * text into words, written out by hand. */
#ifndef FT_TOK_SCAN_H
#define FT_TOK_SCAN_H

#include "priv.h"

/* A tok_scan_fn says where the word that begins at s[at], at < n, ends. s is UTF-8 with
 * n bytes. Every text is covered: what is behind a word begins the next. */
tok_scan_fn tok_scan_gpt2;
/* Gives each word of `in` to the stage behind this one. */
int tok_scan_words(const struct tok_walk *w, size_t stage, tok_scan_fn *scan, const struct tok_run *in);
/* Of the pattern with just this text; NULL: there is none. Fills the table of classes. */
tok_scan_fn *tok_scan_find(const char *pattern);
/* The i-th pattern that tok_scan_find() knows; NULL behind the last. */
const char *tok_scan_pattern(size_t i);

#endif
