/* base64.h - bytes as text (RFC 4648, section 4), as tokenizer.json holds charsmaps. */
#ifndef FT_TOK_BASE64_H
#define FT_TOK_BASE64_H

#include "ft/mem.h"

int tok_base64_encode(const void *bytes, size_t n, struct ft_buf *out); /* appended, without a NUL */
int tok_base64_decode(const char *text, size_t n, struct ft_buf *out);  /* appended; FT_EFORMAT */

#endif
