/* encode.h - from rows of text to the examples of a tokens stream.
 *
 * Rows are gathered in groups, which are encoded by as many threads as there are and
 * written in the order in which they came. A row becomes one example, or none or
 * several where it is too long (ft_tok_parts); one of several texts that are looked at
 * one by one, for the task embed.
 */
#ifndef FT_ENCODE_H
#define FT_ENCODE_H

#include "ft/stream.h"
#include "ft/text.h"
#include "ft/tok.h"
#include "ft/words.h"

/* X(name): what the end of a tokens stream counts; of sentences in words the second list,
 * too. Blank lines and comments are counted by who reads them. */
#define FT_ENCODE_COUNTED(X)                                                                           \
	X(rows) X(examples) X(tokens) X(truncated) X(dropped) X(split) X(empty) X(blank) X(invalid_utf8)
#define FT_ENCODE_COUNTED_WORDS(X) X(words) X(words_without_tokens) X(comments)
struct ft_encode_counts {
#define X(name) int64_t name;
	FT_ENCODE_COUNTED(X) FT_ENCODE_COUNTED_WORDS(X)
#undef X
	int64_t unread; /* labels that nobody asked for; not in the stream */
};

/* What rows become; all of it is borrowed. */
struct ft_encode_options {
	const struct ft_tok *tok;
	struct ft_tok_limit limit;
	enum ft_task task;
	struct ft_labels *labels; /* NULL: none are read */
	size_t targets;           /* floats of a row: regress, multilabel, and embed with scores; else 0 */
	const int32_t *rest;      /* of each label, that of a word's other tokens (ft_words_rest); or NULL */
	const char *prompt;       /* goes before every text; or NULL */
	int64_t vocab;            /* rows of the model's embedding, which ids stay below; 0: not known */
};

struct ft_encoder;
struct ft_encoder *ft_encoder_new(const struct ft_encode_options *o, struct ft_writer *out); /* NULL on failure */
void ft_encoder_free(struct ft_encoder *x); /* NULL is fine */
/* Takes a row, and its label when they are read: both are copied. Failures of earlier rows
 * of the group may come out here; the message has file and line. */
int ft_encoder_add(struct ft_encoder *x, const struct ft_row *row);
int ft_encoder_flush(struct ft_encoder *x); /* writes what is still gathered */
struct ft_encode_counts *ft_encoder_counts(struct ft_encoder *x);

#endif
