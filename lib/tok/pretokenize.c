/* pretokenize.c - BertPreTokenizer: words end at white space, and each
 * punctuation character is a word.
 *
 * Most text is ASCII letters, digits, spaces and punctuation: for these the
 * normal form is a table look-up, and words are cut in the same pass. What
 * stands beside another byte goes through tok_normalize(), from one ASCII space
 * or punctuation character to the next, over which no step of the normalisation
 * reaches.
 */
#include "ft/err.h"
#include "priv.h"

#include <string.h>

#define WORD_MAX 128 /* longer words take the other way */

static int emit_word(const struct ft_tok *t, size_t from, size_t to, int type, struct ft_tok_text *x)
{
	const struct ft_tok_scratch *s = x->scratch;
	struct tok_word w = { .s = s->text + from, .n = to - from, .map = s->map + from };
	w.hash = tok_hash(t->vocab.seed, w.s, w.n);
	return t->kind->word(t, &w, type, x);
}

int tok_split(const struct ft_tok *t, size_t from, size_t to, int type, struct ft_tok_text *x)
{
	int rc = FT_OK;
	size_t word = from; /* where the word that is being read begins */
	for (size_t i = from, len; i < to && rc == FT_OK; i += len) {
		int32_t c;
		len = tok_utf8_get(x->scratch->text + i, to - i, &c, NULL);
		unsigned flags = tok_flags(t, c);
		if (!(flags & (TOK_WHITE | TOK_PUNCT)))
			continue;
		if (word < i)
			rc = emit_word(t, word, i, type, x);
		if (rc == FT_OK && !(flags & TOK_WHITE))
			rc = emit_word(t, i, i + len, type, x);
		word = i + len;
	}
	return rc == FT_OK && word < to ? emit_word(t, word, to, type, x) : rc;
}

/* The run of text[n] from `from` to the next ASCII space or punctuation
 * character, the long way; returns where it ends in *end. */
static int split_run(const struct ft_tok *t, const char *text, size_t n, size_t from, uint32_t base, int type,
                     struct ft_tok_text *x, size_t *end)
{
	size_t to = from;
	while (to < n && !t->breaks[(unsigned char)text[to]])
		to++;
	*end = to;
	x->scratch->n = 0;
	int rc = tok_normalize(t, text + from, to - from, base + (uint32_t)from, x->scratch);
	return rc == FT_OK ? tok_split(t, 0, x->scratch->n, type, x) : rc;
}

int tok_split_raw(const struct ft_tok *t, const char *text, size_t n, uint32_t base, int type, struct ft_tok_text *x)
{
	int rc = FT_OK;
	char word[WORD_MAX];
	for (size_t i = 0; i < n && rc == FT_OK;) {
		struct tok_word w = { .s = word, .hash = t->vocab.seed, .base = base + (uint32_t)i };
		size_t at = i;
		unsigned char c = 0;
		for (; at < n && (c = t->letter[(unsigned char)text[at]]) && w.n < WORD_MAX; at++) {
			word[w.n++] = (char)c;
			w.hash = tok_hash_step(w.hash, c);
		}
		if (at < n && !t->breaks[(unsigned char)text[at]]) {
			rc = split_run(t, text, n, i, base, type, x, &i);
			continue;
		}
		if (w.n)
			rc = t->kind->word(t, &w, type, x);
		if (at < n && rc == FT_OK && t->breaks[(unsigned char)text[at]] == TOK_PUNCT) {
			struct tok_word p = { .s = text + at, .n = 1, .base = base + (uint32_t)at };
			p.hash = tok_hash_step(t->vocab.seed, (unsigned char)text[at]);
			rc = t->kind->word(t, &p, type, x);
		}
		i = at + 1;
	}
	return rc;
}
