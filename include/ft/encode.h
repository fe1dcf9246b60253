/* encode.h - from rows of text to the examples of a tokens stream.
 *
 * Rows are gathered in groups, which are encoded by as many threads as there are and
 * written in the order in which they came. A row becomes one example, or none or
 * several where it is too long (ft_tok_parts); one of several texts that are looked at
 * one by one, for the task embed.
 *
 * For the task lm a row is a text, a prompt and its completion, or a conversation; or a preference: two of them, an
 * example of two texts of which the first is better. A completion that is said to be good or not has that as its
 * target. A question is as many examples as it has choices, which are told by their windows. Tokens are laid in windows
 * such that each is learnt once: the label of a place is the token behind it, also where that one is the first of the
 * next window, and FT_IGNORE where a window repeats places of the one before.
 */
#ifndef FT_ENCODE_H
#define FT_ENCODE_H

#include "ft/chat.h"
#include "ft/stream.h"
#include "ft/text.h"
#include "ft/tok.h"
#include "ft/words.h"

/* X(name): what the end of a tokens stream counts; of sentences in words the second list,
 * too. Blank lines and comments are counted by who reads them. */
#define FT_ENCODE_COUNTED(X)                                                                           \
	X(rows) X(examples) X(tokens) X(truncated) X(dropped) X(split) X(empty) X(blank) X(invalid_utf8)
#define FT_ENCODE_COUNTED_WORDS(X) X(words) X(words_without_tokens) X(comments)
/* The same of the task lm: tokens that are learnt; rows of which none is, which are left out; and conversations
 * that have lost their oldest turns. */
#define FT_ENCODE_COUNTED_LM(X) X(supervised) X(unsupervised) X(shortened)
struct ft_encode_counts {
#define X(name) int64_t name;
	FT_ENCODE_COUNTED(X) FT_ENCODE_COUNTED_WORDS(X) FT_ENCODE_COUNTED_LM(X)
#undef X
	int64_t unread; /* labels that nobody asked for; not in the stream */
};

/* ---- the task lm ---- */
/* What is learnt: completions, and what the assistant says in a conversation; there only the last time; or all. */
enum ft_learn { FT_LEARN_REPLIES, FT_LEARN_LAST, FT_LEARN_ALL };
int ft_learn_parse(const char *name); /* "replies", "last", "all"; -1: none of them */
/* Special tokens around a text, where it is not split. */
#define FT_EDGES 8
struct ft_edges {
	int32_t before[FT_EDGES], after[FT_EDGES];
	size_t nbefore, nafter;
	int32_t end;   /* stands behind a completion when nothing else does; -1: nothing does */
	bool endless;  /* a completion should have an end, and the tokenizer names none */
};
/* `wrap` is "auto", "none", "bos", "eos" or "both". With "auto" the tokenizer's template decides,
 * and a completion gets an end of text. Ids that the tokenizer does not say are those of `config`, a
 * config.json, or NULL. FT_EUSAGE. */
int ft_edges_choose(struct ft_edges *e, const struct ft_tok *t, const json_t *config, const char *wrap);
/* How many tokens at the beginning of a text, of n, are those before a text, written out in it. They are left out, so
 * that none stands there twice: no model has seen that. */
size_t ft_edges_written(const struct ft_edges *e, const int32_t *ids, size_t n);

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
	enum ft_learn learn;      /* lm */
	struct ft_edges edges;    /* lm */
	bool judged;              /* lm: whether completions are good is kept, where rows say it */
	bool questions;           /* lm: all rows are questions with choices; else none is */
	const struct ft_chat *chat; /* lm, rows are conversations; else NULL, and none is */
};

/* Ids of a conversation up to where the model answers: its template's text, in which no message can
 * write special tokens. `whole` is replaced. */
int ft_chat_encode(const struct ft_chat *c, const struct ft_tok *t, const json_t *messages, const json_t *tools,
                   struct ft_tok_text *whole);

struct ft_encoder;
struct ft_encoder *ft_encoder_new(const struct ft_encode_options *o, struct ft_writer *out); /* NULL on failure */
void ft_encoder_free(struct ft_encoder *x); /* NULL is fine */
/* Takes a row, and its label when they are read: both are copied. Failures of earlier rows
 * of the group may come out here; the message has file and line. */
int ft_encoder_add(struct ft_encoder *x, const struct ft_row *row);
int ft_encoder_flush(struct ft_encoder *x); /* writes what is still gathered */
struct ft_encode_counts *ft_encoder_counts(struct ft_encoder *x);

#endif
