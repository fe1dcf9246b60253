/* split_bert.c - BertPreTokenizer: words end at white space, and each
 * punctuation character is a word.
 *
 * Most text is ASCII letters, digits, spaces and punctuation: for these the
 * normal form is a table look-up, and words are cut in the same pass. What
 * stands beside another byte goes through tok_bert_normalize(), from one ASCII space
 * or punctuation character to the next, over which no step of the normalisation
 * reaches.
 */
#include "ft/err.h"
#include "priv.h"

#include <string.h>

#define WORD_MAX 128 /* longer words take the other way */



static int split(const struct tok_walk *w, size_t stage, const void *state, const struct tok_run *in)
{
	int rc = FT_OK;
	size_t word = 0; /* where the word that is being read begins */
	(void)state;
	for (size_t i = 0, len; i < in->n && rc == FT_OK; i += len) {
		int32_t c;
		len = ft_utf8_get(in->s + i, in->n - i, &c, NULL);
		unsigned flags = tok_flags(w->t, c);
		if (!(flags & (TOK_WHITE | TOK_PUNCT)))
			continue;
		struct tok_run before = tok_run_part(in, word, i), own = tok_run_part(in, i, i + len);
		if (before.n)
			rc = tok_walk_on(w, stage + 1, &before);
		if (rc == FT_OK && !(flags & TOK_WHITE))
			rc = tok_walk_on(w, stage + 1, &own);
		word = i + len;
	}
	struct tok_run last = tok_run_part(in, word, in->n);
	return rc == FT_OK && last.n ? tok_walk_on(w, stage + 1, &last) : rc;
}

const struct tok_stage_kind tok_split_bert = { "BertPreTokenizer", .split = split };

/* ---- with BertNormalizer, in one pass ---- */

void tok_plain_set(struct ft_tok *t)
{
	static const struct tok_bert none = { false, false, false, false };
	const struct tok_stage *first = t->normalizers.stage;
	if (t->splitters.n != 1 || t->splitters.stage[0].kind != &tok_split_bert || t->normalizers.n > 1
	    || (t->normalizers.n && first->kind != &tok_normal_bert))
		return;
	t->plain = t->normalizers.n ? first->state : &none;
	for (int c = 0; c < 0x80; c++) {
		unsigned flags = t->chars[c];
		if (t->plain->clean && flags & TOK_DROPPED)
			continue;
		t->breaks[c] = flags & TOK_WHITE ? TOK_WHITE : flags & TOK_PUNCT;
		if (c > ' ' && !t->breaks[c])
			t->letter[c] = (uint8_t)(t->plain->lower && c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
}

/* The run of in->s from `from` to the next ASCII space or punctuation character,
 * the long way; returns where it ends in *end. */
static int split_run(const struct tok_walk *w, const struct tok_run *in, size_t from, size_t *end)
{
	struct ft_tok_scratch *s = w->x->scratch;
	size_t to = from;
	while (to < in->n && !w->t->breaks[(unsigned char)in->s[to]])
		to++;
	*end = to;
	struct tok_run part = tok_run_part(in, from, to);
	s->normal[0].n = 0;
	s->normal[0].limit = 0;
	int rc = tok_bert_normalize(w->t, w->t->plain, &part, s, &s->normal[0]);
	struct tok_run normal = tok_form_run(&s->normal[0]);
	return rc == FT_OK ? split(w, 0, NULL, &normal) : rc;
}

int tok_split_raw(const struct tok_walk *w, const struct tok_run *in)
{
	const struct ft_tok *t = w->t;
	const char *text = in->s;
	int rc = FT_OK;
	char word[WORD_MAX];
	struct tok_run r = { .s = word };
	for (size_t i = 0; i < in->n && rc == FT_OK;) {
		size_t at = i, n = 0;
		uint64_t hash = t->vocab.seed;
		unsigned char c = 0;
		for (; at < in->n && (c = t->letter[(unsigned char)text[at]]) && n < WORD_MAX; at++) {
			word[n++] = (char)c;
			hash = tok_hash_step(hash, c);
		}
		if (at < in->n && !t->breaks[(unsigned char)text[at]]) {
			rc = split_run(w, in, i, &i);
			continue;
		}
		if (n) {
			r.n = n;
			r.hash = hash;
			r.base = in->base + (uint32_t)i;
			rc = t->kind->word(t, &r, w->type, w->x);
		}
		if (at < in->n && rc == FT_OK && t->breaks[(unsigned char)text[at]] == TOK_PUNCT) {
			word[0] = text[at];
			r.n = 1;
			r.hash = tok_hash_step(t->vocab.seed, (unsigned char)text[at]);
			r.base = in->base + (uint32_t)at;
			rc = t->kind->word(t, &r, w->type, w->x);
		}
		i = at + 1;
	}
	return rc;
}
