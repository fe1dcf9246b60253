/* words.c - tokens of a text that comes in words, and to which word each belongs. */
#include "ft/err.h"
#include "ft/words.h"
#include "priv.h"

#include <string.h>

int ft_words_encode(const struct ft_tok *t, const struct ft_words *w, struct ft_tok_text *x)
{
	int rc = FT_OK;
	/* The reference encodes each word as a text of its own. */
	for (size_t k = 0; k < w->n && rc == FT_OK; k++) {
		w->first[k] = x->n;
		rc = ft_tok_encode(t, w->word[k].p, w->word[k].n, 0, x);
	}
	w->first[w->n] = x->n;
	return rc;
}

size_t ft_words_silent(const struct ft_words *w)
{
	size_t n = 0;
	for (size_t k = 0; k < w->n; k++)
		n += w->first[k] == w->first[k + 1];
	return n;
}

/* Numbers and labels of the tokens of a slice, of which those of words that begin in
 * own .. end - 1 have one. */
static void align_slice(const struct ft_words *w, const struct ft_words_part *p, const int32_t *rest, int32_t *word,
                        int32_t *label)
{
	size_t from = p->slice->from, n = p->slice->n, half = p->stride / 2, k = 0;
	size_t own = p->i ? from + half : from;
	size_t end = from + n - (p->i + 1 < p->parts ? p->stride - half : 0);
	for (size_t i = 0; i < n; i++) {
		while (w->first[k + 1] <= from + i)
			k++;
		size_t first = w->first[k];
		word[i] = (int32_t)k;
		if (!label)
			continue;
		label[i] = FT_IGNORE;
		if (w->tag && first >= own && first < end && (first == from + i || rest))
			label[i] = first == from + i ? w->tag[k] : rest[w->tag[k]];
	}
}

void ft_words_align(const struct ft_tok *t, const struct ft_words *w, const struct ft_words_part *p,
                    const int32_t *rest, int32_t *word, int32_t *label)
{
	size_t at = 0;
	for (size_t i = 0; i < t->single.count; i++) {
		if (t->single.steps[i].what == TOK_STEP_A) {
			align_slice(w, p, rest, word + at, label ? label + at : NULL);
			at += p->slice->n;
		} else { /* a special token */
			word[at] = -1;
			if (label)
				label[at] = FT_IGNORE;
			at++;
		}
	}
}

/* ---- words of tokens ---- */

static size_t count_runs(const int32_t *number, size_t n)
{
	size_t runs = 0;
	for (size_t i = 0; i < n; i++)
		runs += number[i] >= 0 && (i == 0 || number[i] != number[i - 1]);
	return runs;
}

static int decode_run(const struct ft_tok *t, const int32_t *ids, size_t n, struct ft_arena *a, struct ft_span *out)
{
	struct ft_buf text = { 0 };
	int rc = ft_tok_decode(t, ids, n, false, &text);
	size_t skip = 0;
	while (skip < text.len && text.data[skip] == ' ') /* a word's own space before it is not its text */
		skip++;
	char *copy = rc == FT_OK ? ft_arena_get(a, text.len - skip) : NULL;
	if (copy && text.len > skip)
		memcpy(copy, text.data + skip, text.len - skip);
	*out = (struct ft_span){ copy, text.len - skip };
	ft_buf_free(&text);
	return copy ? FT_OK : ft_last_error();
}

int ft_words_decode(const struct ft_tok *t, const int32_t *ids, int32_t *number, size_t n, struct ft_arena *a,
                    struct ft_words *w)
{
	*w = (struct ft_words){ .n = count_runs(number, n) };
	w->word = ft_arena_get(a, w->n * sizeof *w->word);
	int rc = w->word ? FT_OK : FT_EFAIL;
	size_t k = 0;
	for (size_t from = 0, to; from < n && rc == FT_OK; from = to) {
		for (to = from + 1; to < n && number[to] == number[from]; to++)
			;
		if (number[from] < 0)
			continue;
		rc = decode_run(t, ids + from, to - from, a, &w->word[k]);
		for (size_t i = from; i < to; i++)
			number[i] = (int32_t)k;
		k++;
	}
	return rc;
}
