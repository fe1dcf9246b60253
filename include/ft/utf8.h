/* utf8.h - UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef FT_UTF8_H
#define FT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads one character of n > 0 bytes; returns how many bytes it is. What is
 * not UTF-8 gives U+FFFD with *bad set (when not NULL; never cleared). */
size_t ft_utf8_get(const char *text, size_t n, int32_t *c, bool *bad);
/* Writes a character that is one; returns its bytes. */
size_t ft_utf8_put(int32_t c, char out[4]);
/* How many pieces of `text` are not UTF-8, each of which is read as one U+FFFD:
 * the longest run that could begin a character, or one byte. 0: all is well. */
size_t ft_utf8_invalid(const char *text, size_t n);

#endif
