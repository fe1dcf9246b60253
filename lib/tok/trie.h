/* trie.h - strings with ids, and all of them that begin a text: a double array, in
 * which a step over one byte is one look at memory.
 */
#ifndef FT_TOK_TRIE_H
#define FT_TOK_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text is walked from each of its places for as long as a key may be. */
#define TOK_KEY_MAX 1024
struct tok_key {
	const char *s; /* [n], 0 < n <= TOK_KEY_MAX; borrowed while the trie is built */
	uint32_t n;
	int32_t id;    /* >= 0 */
};
#define TOK_LABEL 9             /* bits of a unit's label */
#define TOK_UNLABELLED 256u     /* no byte leads there */
struct tok_unit {
	uint32_t base; /* the child for byte c is unit base ^ c; and, below it, the label: the byte that leads here */
	int32_t id;    /* of the string that ends here, or -1 */
};
struct tok_trie {
	struct tok_unit *unit; /* [units]; the root is 0 */
	size_t units;          /* a multiple of 256; 0 before it is built */
};

/* Of equal keys the one with the highest id counts; there may be none. They are sorted
 * in place. FT_EFORMAT when one is too long, or they are more than a trie can hold. */
int tok_trie_build(struct tok_trie *t, struct tok_key *keys, size_t n);
void tok_trie_free(struct tok_trie *t);

/* From the node *at (0 at the start) over a byte. False: nothing goes on so. */
static inline bool tok_trie_step(const struct tok_trie *t, uint32_t *at, unsigned char byte)
{
	uint32_t next = t->unit[*at].base >> TOK_LABEL ^ byte;
	*at = next;
	return (t->unit[next].base & ((1u << TOK_LABEL) - 1)) == byte;
}

/* The longest key that begins s[n]: its id, and its length in *len; or -1. */
static inline int32_t tok_trie_longest(const struct tok_trie *t, const char *s, size_t n, size_t *len)
{
	int32_t best = -1;
	uint32_t at = 0;
	for (size_t i = 0; i < n && tok_trie_step(t, &at, (unsigned char)s[i]); i++)
		if (t->unit[at].id >= 0) {
			best = t->unit[at].id;
			*len = i + 1;
		}
	return best;
}

#endif
