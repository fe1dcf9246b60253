/* charsmap.h - the replacements of a SentencePiece model: a trie from what may
 * stand in a text to what it becomes (`precompiled_charsmap`).
 */
#ifndef FT_TOK_CHARSMAP_H
#define FT_TOK_CHARSMAP_H

#include "ft/json.h"
#include "ft/stream.h"
#include <stddef.h>
#include <stdint.h>

struct tok_charsmap;
/* Of the n bytes as a model stores them, copied. NULL: FT_EFORMAT. */
struct tok_charsmap *tok_charsmap_new(const void *bytes, size_t n);
void tok_charsmap_free(struct tok_charsmap *c);

/* Where a walk over one text stands; {0} at its start. */
struct tok_charsmap_state {
	size_t cluster; /* bytes left of the grapheme cluster that was looked up in vain */
};
/* The next bytes of s[n], n > 0, which is UTF-8: how many they are (> 0), and in *to
 * what they become; to->p is s where they stay as they are, else it lies in the trie. */
size_t tok_charsmap_next(const struct tok_charsmap *c, const char *s, size_t n, struct tok_charsmap_state *st,
                         struct ft_span *to);

/* The longest beginning of s[n], n > 0, that the trie knows: how many bytes it is (0:
 * none), and in *to what it becomes; as SentencePiece does it, clusters or not. */
size_t tok_charsmap_longest(const struct tok_charsmap *c, const char *s, size_t n, struct ft_span *to);

/* Whether a character of ASCII stays as it is wherever ASCII, or nothing, follows. */
bool tok_charsmap_leaves(const struct tok_charsmap *c, unsigned char ascii);

/* The charsmap that a member holds as base64; NULL with *there false when there is none. */
struct tok_charsmap *tok_charsmap_load(const json_t *v, const char *key, bool *there);

#endif
