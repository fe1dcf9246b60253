/* split_chars.c - the pre-tokenizers that look at single characters: white space,
 * punctuation, digits, a delimiter. */
#include "cut.h"
#include "ft/err.h"

#include <string.h>

static bool is_white(const struct ft_tok *t, int32_t c)
{
	return tok_flags(t, c) & TOK_WHITE;
}

static bool is_punctuation(const struct ft_tok *t, int32_t c)
{
	return tok_flags(t, c) & TOK_PUNCT;
}

static bool is_numeric(const struct ft_tok *t, int32_t c)
{
	(void)t;
	return tok_is_numeric(c);
}

/* ---- WhitespaceSplit ---- */

static int split_white(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	struct tok_cutter c = { .w = w, .stage = stage, .in = in, .behavior = TOK_REMOVED };
	(void)state;
	return tok_cut_chars(&c, is_white);
}

const struct tok_stage_kind tok_split_white = { "WhitespaceSplit", .split = split_white };

/* ---- Whitespace: \w+|[^\w\s]+ ---- */

static int kind_of(const struct ft_tok *t, int32_t c)
{
	return is_white(t, c) ? 0 : tok_is_word(c) ? 1 : 2;
}

static int split_words(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	struct tok_cutter c = { .w = w, .stage = stage, .in = in, .behavior = TOK_REMOVED };
	size_t from = 0, n;
	int before = 0, rc = FT_OK;
	(void)state;
	for (size_t i = 0; i < in->n && rc == FT_OK; i += n) {
		int32_t ch;
		n = ft_utf8_get(in->s + i, in->n - i, &ch, NULL);
		int kind = kind_of(w->t, ch);
		if (i && kind != before) {
			rc = tok_cut(&c, from, i, before == 0);
			from = i;
		}
		before = kind;
	}
	return rc == FT_OK ? tok_cut(&c, from, in->n, before == 0) : rc;
}

const struct tok_stage_kind tok_split_words = { "Whitespace", .split = split_words };

/* ---- Punctuation ---- */

static int load_punctuation(struct ft_tok *t, const json_t *v, void **state)
{
	enum tok_behavior *b = *state = ft_alloc(1, sizeof *b);
	(void)t;
	return b ? tok_behavior_load(v, TOK_ISOLATED, b) : FT_EFAIL;
}

static int split_punctuation(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	struct tok_cutter c = { .w = w, .stage = stage, .in = in, .behavior = *(const enum tok_behavior *)state };
	return tok_cut_chars(&c, is_punctuation);
}

const struct tok_stage_kind tok_split_punctuation = {
	"Punctuation", load_punctuation, NULL, .split = split_punctuation
};

/* ---- Digits ---- */

static int load_digits(struct ft_tok *t, const json_t *v, void **state)
{
	int err = FT_OK;
	enum tok_behavior *b = *state = ft_alloc(1, sizeof *b);
	(void)t;
	if (!b)
		return FT_EFAIL;
	*b = ft_json_bool(v, "individual_digits", false, &err) ? TOK_ISOLATED : TOK_CONTIGUOUS;
	tok_classes_fill();
	return err;
}

static int split_digits(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	struct tok_cutter c = { .w = w, .stage = stage, .in = in, .behavior = *(const enum tok_behavior *)state };
	return tok_cut_chars(&c, is_numeric);
}

const struct tok_stage_kind tok_split_digits = { "Digits", load_digits, NULL, .split = split_digits };

/* ---- CharDelimiterSplit ---- */

static int load_delimiter(struct ft_tok *t, const json_t *v, void **state)
{
	int32_t *c = *state = ft_alloc(1, sizeof *c);
	(void)t;
	return c ? tok_load_char(v, "delimiter", c) : FT_EFAIL;
}

static int split_delimiter(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	struct tok_cutter c = { .w = w, .stage = stage, .in = in, .behavior = TOK_REMOVED };
	char bytes[4];
	size_t n = ft_utf8_put(*(const int32_t *)state, bytes), done = 0;
	int rc = FT_OK;
	for (const char *p; rc == FT_OK && (p = memmem(in->s + done, in->n - done, bytes, n));) {
		size_t at = (size_t)(p - in->s);
		rc = tok_cut(&c, done, at, false);
		done = at + n;
	}
	return rc == FT_OK ? tok_cut(&c, done, in->n, false) : rc;
}

const struct tok_stage_kind tok_split_delimiter = {
	"CharDelimiterSplit", load_delimiter, NULL, .split = split_delimiter
};
