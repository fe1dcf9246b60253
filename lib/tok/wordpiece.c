/* wordpiece.c - WordPiece: from the left, always the longest piece that fits;
 * pieces inside a word carry the continuation prefix ("##"). A word with a hole,
 * or with too many characters, is one unknown token.
 *
 * Wu et al., "Google's Neural Machine Translation System", 2016, section 4.1.
 */
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

/* Longer words are legal in the reference, but the time for one word grows with
 * the square of this. */
#define CHARS_MAX 1000

struct wordpiece {
	int32_t unk;
	size_t max_chars;
	char *prefix; /* of continuations */
	size_t prefix_n;
	uint64_t prefix_hash; /* where the hashes of continuations go on */
};

/* Pieces end with characters: so do they where nothing was changed. */
static inline int emit(const struct tok_run *w, size_t from, size_t to, int32_t id, int type, struct ft_tok_text *x)
{
	if (!w->map)
		return tok_emit(x, id, type, w->base + (uint32_t)from, w->base + (uint32_t)to);
	return tok_emit_part(x, id, type, w, from, to);
}

static size_t count_chars(const char *s, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		count += (s[i] & 0xc0) != 0x80;
	return count;
}

static int word(const struct ft_tok *t, const struct tok_run *w, int type, struct ft_tok_text *x)
{
	const struct wordpiece *p = t->state;
	size_t before = x->n;
	if (w->n > p->max_chars && count_chars(w->s, w->n) > p->max_chars)
		return emit(w, 0, w->n, p->unk, type, x);
	uint64_t hash = w->hash ? w->hash : tok_hash(t->vocab.seed, w->s, w->n);
	int32_t whole = tok_vocab_find(&t->vocab, hash, "", 0, w->s, w->n);
	if (whole >= 0)
		return emit(w, 0, w->n, whole, type, x);
	int rc = FT_OK;
	const char *lead = "";
	size_t lead_n = 0;
	hash = t->vocab.seed;
	for (size_t at = 0, len = 0; at < w->n && rc == FT_OK; at += len) {
		int32_t id = tok_vocab_longest(&t->vocab, hash, lead, lead_n, w->s + at, w->n - at, &len);
		if (id < 0) { /* a hole: the pieces so far do not count */
			x->n = before;
			return emit(w, 0, w->n, p->unk, type, x);
		}
		rc = emit(w, at, at + len, id, type, x);
		lead = p->prefix;
		lead_n = p->prefix_n;
		hash = p->prefix_hash;
	}
	return rc;
}

static int load(struct ft_tok *t, const json_t *model, struct tok_source *src, const char *where)
{
	struct wordpiece *p = t->state = ft_alloc(1, sizeof *p);
	if (!p)
		return FT_EFAIL;
	int err = FT_OK;
	const char *unk = ft_json_str(model, "unk_token", NULL, &err);
	const char *prefix = ft_json_str(model, "continuing_subword_prefix", NULL, &err);
	int64_t max = ft_json_int(model, "max_input_chars_per_word", -1, &err);
	if (err < 0)
		return ft_context(err, "%s: model", where);
	const char *missing = !unk ? "unk_token" : !prefix ? "continuing_subword_prefix"
	                    : max < 0 ? "max_input_chars_per_word" : NULL;
	if (missing)
		return ft_fail(FT_EFORMAT, "%s: model.%s is missing or negative", where, missing);
	if (max > CHARS_MAX)
		return ft_fail(FT_EFORMAT,
		               "%s: model.max_input_chars_per_word is %lld; at most %d is supported", where,
		               (long long)max, CHARS_MAX);
	if (!t->vocab.slots || src->has_scores)
		return ft_fail(FT_EFORMAT, "%s: model.vocab is missing or not an object of ids", where);
	p->unk = tok_vocab_id(&t->vocab, unk, strlen(unk));
	if (p->unk < 0)
		return ft_fail(FT_EFORMAT, "%s: model.unk_token '%s' is not in the vocabulary", where, unk);
	p->max_chars = (size_t)max;
	p->prefix_n = strlen(prefix);
	p->prefix_hash = tok_hash(t->vocab.seed, prefix, p->prefix_n);
	t->role[TOK_UNK] = p->unk;
	p->prefix = ft_strdup(prefix);
	return p->prefix ? FT_OK : FT_EFAIL;
}

static void unload(struct ft_tok *t)
{
	struct wordpiece *p = t->state;
	if (p)
		free(p->prefix);
	free(p);
}

const struct tok_kind tok_wordpiece = { .name = "wordpiece", .load = load, .word = word, .unload = unload };
