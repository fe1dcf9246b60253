/* bytelevel.h - the letters that stand for bytes in byte-level vocabularies: those
 * of Latin-1 that can be seen stand for themselves, the 68 other bytes for
 * U+0100 and up, in order. (Radford et al., "Language Models are Unsupervised
 * Multitask Learners", 2019.) */
#ifndef FT_TOK_BYTELEVEL_H
#define FT_TOK_BYTELEVEL_H

#include "priv.h"

int32_t tok_byte_letter(unsigned char byte);
int tok_letter_byte(int32_t c); /* -1: it stands for none */
/* Whether a ByteLevel that splits does no more than to write letters. */
bool tok_bytelevel_is_plain(const struct tok_stage *s);
/* Appends each byte of `in` as its letter. */
int tok_bytes_spell(const struct tok_run *in, struct tok_form *out);
/* Appends the bytes that s[n] spells; false, and nothing appended, when a letter stands for none. */
bool tok_bytes_read(const char *s, size_t n, char *out, size_t *len);

#endif
