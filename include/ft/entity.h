/* entity.h - named entities, slots, chunks: runs of words in a sequence of tags.
 *
 * A tag is a prefix and a type, "B-PER", or "O" for outside. The usual reading is
 * that of conlleval and of seqeval's default mode: B begins an entity, and so does
 * whatever follows an entity of another type or none, so I-PER after O does; S is
 * an entity alone, E ends one. L and U are other names of E and S. A tag without
 * such a prefix ("PER") is read as I-PER. The strict reading is that of seqeval's
 * strict mode with IOB2: only B begins an entity, and only I of the same type
 * goes on with it; other I are no entity.
 *
 * (Ramshaw & Marcus, "Text chunking using transformation-based learning", 1995; Tjong Kim
 * Sang & De Meulder, "Introduction to the CoNLL-2003 shared task", 2003.)
 */
#ifndef FT_ENTITY_H
#define FT_ENTITY_H

#include "ft/json.h"
#include "ft/mem.h"
#include "ft/stream.h"
#include "ft/words.h"

struct ft_entity {
	int32_t type;       /* index into ft_tags_types() */
	size_t first, last; /* words */
};

/* What the names of labels mean. */
struct ft_tags;
/* `names`: array of strings, of which a reference is kept. NULL on failure. */
struct ft_tags *ft_tags_new(const json_t *names);
void ft_tags_free(struct ft_tags *t); /* NULL is fine */
size_t ft_tags_count(const struct ft_tags *t);        /* labels */
const json_t *ft_tags_names(const struct ft_tags *t); /* borrowed */
const json_t *ft_tags_types(const struct ft_tags *t); /* names of the types, as the labels bring them; borrowed */
/* FT_EUSAGE names a label that IOB2 has not. */
int ft_tags_strict(const struct ft_tags *t);
/* The entities of tag[n], each in 0 .. count - 1, by their ends; at most n. */
size_t ft_tags_entities(const struct ft_tags *t, const int32_t *tag, size_t n, bool strict, struct ft_entity *out);

/* ---- predictions ---- */
/* What a model says of one sentence. */
struct ft_tagged {
	const struct ft_words *words;
	const int32_t *number; /* [tokens]: of each token's word, rising; -1: none */
	const float *logits;   /* [tokens, labels] */
	size_t tokens;
};
/* Appends "words":[…],"tags":[…],"scores":[…],"entities":[{"type":…,"first":…,"last":…,
 * "text":…,"score":…},…]. A word's tag is the top label of its first token and its score the probability
 * of that; both are null for a word without tokens, over which entities go on.
 * An entity's text is its words with spaces between them, its score the mean of theirs. */
int ft_put_tagged(struct ft_buf *b, const struct ft_tags *t, const struct ft_tagged *s, struct ft_arena *scratch);

/* Whether label i of a batch with one label a token counts where words are counted:
 * it is there, and no other of its row's word comes before it. `begin`: where its
 * row begins. */
bool ft_tag_counts(const struct ft_batch *b, size_t begin, size_t i);
/* Appends "label":[…],"prediction":[…] of a row's words that have a label.
 * `logits` are of its first label; the return value is how many labels it has, or <0. */
int64_t ft_put_tag_row(struct ft_buf *b, const json_t *names, const struct ft_batch *batch, size_t row,
                       const float *logits, size_t outputs);

#endif
