/* words.h - sentences that come in words with a tag each, for token classification.
 *
 * A row becomes an example in three steps: ft_words_read() takes words and tags of
 * any format, ft_words_encode() makes tokens word by word, ft_words_align() says
 * of each token of the example which word it belongs to and which label it has.
 */
#ifndef FT_WORDS_H
#define FT_WORDS_H

#include "ft/json.h"
#include "ft/mem.h"
#include "ft/text.h"
#include "ft/tok.h"

struct ft_words {
	struct ft_span *word; /* [n], none of them empty */
	int32_t *tag;         /* [n]: of each word the number of its label; NULL: not read */
	size_t *first;        /* [n + 1], by ft_words_encode() */
	size_t n;
};

/* Reads a row, copied into the arena. What came as `text` is split at ASCII white
 * space, its tags are split likewise or a JSON array; in JSON a tag may be the
 * number of its label. `l` NULL: the tags are not read. A tag that is not known,
 * and another number of tags than words, are FT_EFORMAT with file and line. */
int ft_words_read(const struct ft_row *row, const struct ft_labels *l, struct ft_arena *a, struct ft_words *w);

/* The tokens of the words, as transformers makes them with is_split_into_words:
 * APPENDS to x, with offsets from the start of each word; word k is the tokens
 * first[k] .. first[k + 1] - 1 of x, which may be none. */
int ft_words_encode(const struct ft_tok *t, const struct ft_words *w, struct ft_tok_text *x);
size_t ft_words_silent(const struct ft_words *w); /* words that have no token */

/* The example that ft_tok_wrap() makes of one part of the tokens, of which there
 * are `parts` (ft_tok_parts, ft_tok_part): for each of its tokens the number of
 * its word, -1 for special tokens, and the label. A word's tag is the label of its
 * first token; of the others it is FT_IGNORE, or with `rest` rest[tag]. A
 * word in the overlap of two parts has a label in just one of them: that in
 * which it stands further from the edge. `label` may be NULL. */
struct ft_words_part {
	const struct ft_tok_slice *slice;
	size_t i, parts, stride;
};
void ft_words_align(const struct ft_tok *t, const struct ft_words *w, const struct ft_words_part *p,
                    const int32_t *rest, int32_t *word, int32_t *label);

/* For each label that of the words' other tokens: I-X for B-X where there is such a
 * label, else the label itself. [names], from malloc; NULL on failure. */
int32_t *ft_words_rest(const json_t *names);

/* The words of tokens that have none: runs of equal numbers >= 0, with their text
 * decoded, in the arena; number[n] counts them anew from 0. */
int ft_words_decode(const struct ft_tok *t, const int32_t *ids, int32_t *number, size_t n, struct ft_arena *a,
                    struct ft_words *w);

#endif
