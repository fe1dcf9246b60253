/* bpe.c - byte-pair encoding as a kind of tokenizer: what tokenizer.json says of it, and
 * what each thread works with. bpe_encode.c does the work. */
#include "bpe.h"
#include "bytelevel.h"
#include "ft/err.h"

#include <stdlib.h>
#include <string.h>

/* ---- loading ---- */

static int load_options(struct ft_tok *t, struct bpe *p, const json_t *model)
{
	int err = FT_OK;
	double dropout = ft_json_real(model, "dropout", 0, &err);
	const char *unk = ft_json_str(model, "unk_token", NULL, &err);
	const char *prefix = ft_json_str(model, "continuing_subword_prefix", "", &err);
	const char *suffix = ft_json_str(model, "end_of_word_suffix", "", &err);
	p->fuse_unk = ft_json_bool(model, "fuse_unk", false, &err);
	p->fallback = ft_json_bool(model, "byte_fallback", false, &err);
	p->ignore_merges = ft_json_bool(model, "ignore_merges", false, &err);
	if (err < 0)
		return err;
	if (dropout != 0)
		return ft_fail(FT_EFORMAT, "dropout is %g: merges left out by chance are not supported", dropout);
	if (strlen(prefix) > BPE_AFFIX_MAX || strlen(suffix) > BPE_AFFIX_MAX)
		return ft_fail(FT_EFORMAT, "continuing_subword_prefix and end_of_word_suffix may have %d bytes",
		               BPE_AFFIX_MAX);
	if (p->fallback && (*prefix || *suffix))
		return ft_fail(FT_EFORMAT, "byte_fallback with continuing_subword_prefix or end_of_word_suffix"
		               " is not supported");
	p->unk = unk ? tok_vocab_id(&t->vocab, unk, strlen(unk)) : -1;
	if (unk && p->unk < 0)
		return ft_fail(FT_EFORMAT, "unk_token '%s' is not in the vocabulary", unk);
	t->role[TOK_UNK] = p->unk;
	if ((*prefix && !(p->prefix = ft_strdup(prefix))) || (*suffix && !(p->suffix = ft_strdup(suffix))))
		return FT_EFAIL;
	return FT_OK;
}

/* Whether the words are bytes: then letters need not be written. Sets p->byte. */
static bool takes_bytes(const struct ft_tok *t, struct bpe *p)
{
	if (!t->splitters.n || t->splitters.stage[t->splitters.n - 1].kind != &tok_split_bytelevel)
		return false;
	bool all = !p->prefix && !p->suffix;
	for (int b = 0; b < 256 && all; b++) {
		char letter[4];
		size_t n = ft_utf8_put(tok_byte_letter((unsigned char)b), letter);
		p->byte[b] = tok_vocab_id(&t->vocab, letter, n);
		all = p->byte[b] >= 0;
	}
	return all;
}

/* Whether the last splitter only spells bytes, which the kind takes as they are; one before it that does so, too, would
 * then pass for the last. */
static bool does_nothing(const struct tok_chain *c)
{
	const struct tok_stage *last = &c->stage[c->n - 1];
	return tok_bytelevel_is_plain(last) && (c->n == 1 || last[-1].kind != &tok_split_bytelevel);
}

/* Whether no merge makes a piece with U+2581 behind another character. */
static bool can_cut(const struct tok_source *src)
{
	for (size_t i = 0; i < src->nmerges; i++) {
		const struct tok_merge *m = &src->merges[i];
		const char *s = (const char *)src->text.data + m->at, *end = s + m->left + m->right;
		for (const char *p = s; (p = memmem(p, (size_t)(end - p), BPE_SPACE, 3)); p += 3)
			if (p > s && (p - s < 3 || memcmp(p - 3, BPE_SPACE, 3) != 0))
				return false;
	}
	return true;
}

/* Whether a merge has a part that stands for unknown characters. */
static int joins_unknown(const struct ft_tok *t, struct bpe *p)
{
	bool *stands = ft_alloc(t->vocab.ids, sizeof *stands);
	if (!stands)
		return FT_EFAIL;
	if (p->unk >= 0)
		stands[p->unk] = true;
	for (int b = 0; b < 256 && p->fallback; b++)
		if (p->byte[b] >= 0)
			stands[p->byte[b]] = true;
	for (size_t i = 0; i < (size_t)1 << (64 - p->pairs.shift); i++) {
		uint64_t key = p->pairs.slot[i].key;
		p->opaque |= key != BPE_NONE && (stands[key >> 32] || stands[(uint32_t)key]);
	}
	free(stands);
	return FT_OK;
}

/* Whether a character may be left out, so that its neighbours come together. */
static bool may_leave_out(const struct ft_tok *t, const struct bpe *p)
{
	bool all = p->fallback;
	for (int b = 0; b < 256 && all; b++)
		all = p->byte[b] >= 0;
	return !t->bytes && p->unk < 0 && !all;
}

static int load(struct ft_tok *t, const json_t *model, struct tok_source *src, const char *where)
{
	struct bpe *p = t->state = ft_alloc(1, sizeof *p);
	if (!p)
		return FT_EFAIL;
	if (!t->vocab.slots || src->has_scores)
		return ft_fail(FT_EFORMAT, "%s: model.vocab is missing or not an object of ids", where);
	if (!src->has_merges)
		return ft_fail(FT_EFORMAT, "%s: model.merges is missing or not an array", where);
	int rc = load_options(t, p, model);
	if (rc < 0)
		return ft_context(rc, "%s: model", where);
	rc = bpe_pairs_make(&p->pairs, &t->vocab, src, p->prefix ? strlen(p->prefix) : 0, where);
	t->bytes = takes_bytes(t, p);
	if (t->bytes && does_nothing(&t->splitters))
		tok_chain_drop(&t->splitters);
	if (!t->bytes && p->fallback)
		tok_vocab_bytes(&t->vocab, p->byte);
	bool leaves_out = may_leave_out(t, p), affixes = p->prefix || p->suffix;
	p->opaque = affixes || leaves_out;
	if (rc == FT_OK && !t->bytes && (p->unk >= 0 || p->fallback))
		rc = joins_unknown(t, p);
	p->cuts = !t->bytes && !affixes && !leaves_out && can_cut(src);
	return rc;
}

static void work_free(void *work)
{
	struct bpe_work *k = work;
	free(k->cache.word);
	free(k->tokens.id);
	free(k->tokens.end);
	free(k->block.tokens.id);
	free(k->block.tokens.end);
	free(k->heap.item);
	free(k->heap.span);
	free(k->spelled);
	free(k);
}

static void unload(struct ft_tok *t)
{
	struct bpe *p = t->state;
	if (!p)
		return;
	bpe_pairs_free(&p->pairs);
	free(p->prefix);
	free(p->suffix);
	free(p);
}

/* ---- what a thread works with ---- */

static void *work_new(const struct ft_tok *t)
{
	struct bpe_work *k = ft_alloc(1, sizeof *k);
	if (!k)
		return NULL;
	k->cache.shift = 64 - BPE_CACHE_BITS;
	k->cache.word = ft_alloc((size_t)1 << BPE_CACHE_BITS, sizeof *k->cache.word);
	k->spelled = ft_alloc(2 * t->vocab.longest + 4, 1);
	if (k->cache.word && k->spelled && bpe_tokens_reserve(&k->tokens, 64) == FT_OK)
		return k;
	work_free(k);
	return NULL;
}

const struct tok_kind tok_bpe = {
	.name = "bpe", .load = load, .word = bpe_word, .unload = unload, .words = bpe_words,
	.work_new = work_new, .work_free = work_free
};
