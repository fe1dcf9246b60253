/* spm_tree.c - from a SentencePiece model to what tokenizer.json would say of it. */
#include "base64.h"
#include "ft/err.h"
#include "spm.h"

#include <stdlib.h>
#include <string.h>

/* ---- merges ---- */

#define MERGED_MAX 512 /* bytes of a piece: finding its parts takes time with their square */

struct scored { float score; uint32_t id; };

static int by_score(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;
	return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x->id > y->id) - (x->id < y->id);
}

static bool is_normal(const struct tok_spm *m, int32_t id)
{
	return id >= 0 && m->piece[id].type == TOK_NORMAL;
}

/* All ways to make a piece of two others. */
static int add_splits(const struct tok_spm *m, const struct tok_vocab *v, struct ft_span s, size_t rank,
                      struct tok_source *src)
{
	uint64_t h = v->seed;
	int rc = FT_OK;
	for (size_t i = 1; i < s.n && rc == FT_OK; i++) {
		h = tok_hash_step(h, (unsigned char)s.p[i - 1]);
		if (((unsigned char)s.p[i] & 0xc0) == 0x80 || !is_normal(m, tok_vocab_find(v, h, "", 0, s.p, i))
		    || !is_normal(m, tok_vocab_id(v, s.p + i, s.n - i)))
			continue;
		rc = tok_source_merge(src, s.p, i, s.p + i, s.n - i);
		if (rc == FT_OK)
			src->merges[src->nmerges - 1].rank = (uint32_t)rank;
	}
	return rc;
}

/* SentencePiece merges neighbours whose sum has the best score, from the left where
 * scores are equal; so all merges to pieces of one score have one rank. */
static int add_merges(const struct tok_spm *m, const struct tok_vocab *v, struct tok_source *src, const char *where)
{
	struct scored *order = ft_alloc(m->n, sizeof *order);
	size_t n = 0, rank = 0;
	if (!order)
		return FT_EFAIL;
	for (size_t i = 0; i < m->n; i++)
		if (is_normal(m, (int32_t)i))
			order[n++] = (struct scored){ m->piece[i].score, (uint32_t)i };
	if (n)
		qsort(order, n, sizeof *order, by_score);
	src->has_merges = true;
	int rc = FT_OK;
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		struct ft_span s = m->piece[order[i].id].text;
		if (s.n > MERGED_MAX)
			rc = ft_fail(FT_EFORMAT, "%s: piece %u has %zu bytes; at most %d are supported", where,
			             order[i].id, s.n, MERGED_MAX);
		if (!i || order[i].score != order[i - 1].score)
			rank = src->nmerges;
		if (rc == FT_OK)
			rc = add_splits(m, v, s, rank, src);
	}
	free(order);
	return rc;
}

/* ---- the vocabulary ---- */

static int add_scores(const struct tok_spm *m, struct tok_source *src)
{
	src->has_scores = !m->bpe; /* where merges say all, scores are kept for those who write them */
	src->single = m->single;
	src->types = ft_alloc(m->n, sizeof *src->types);
	int rc = src->types ? FT_OK : FT_EFAIL;
	for (size_t i = 0; i < m->n && rc == FT_OK; i++) {
		src->types[i] = m->piece[i].type;
		rc = tok_source_score(src, (double)m->piece[i].score);
	}
	return rc;
}

static int add_pieces(const struct tok_spm *m, struct tok_vocab *v, struct tok_source *src, const char *where)
{
	int rc = FT_OK;
	for (size_t i = 0; i < m->n && rc == FT_OK; i++)
		rc = tok_vocab_add(v, m->piece[i].text.p, m->piece[i].text.n, (int64_t)i);
	if (rc < 0)
		return ft_context(rc, "%s", where);
	rc = tok_vocab_build(v, false, where);
	if (rc < 0)
		return rc;
	rc = add_scores(m, src);
	return rc == FT_OK && m->bpe ? add_merges(m, v, src, where) : rc;
}

/* ---- the tree ---- */

static json_t *text_of(struct ft_span s)
{
	return json_stringn(s.p, s.n);
}

static json_t *base64_of(struct ft_span s)
{
	struct ft_buf b = { 0 };
	json_t *v = tok_base64_encode(s.p, s.n, &b) == FT_OK ? json_stringn((char *)b.data, b.len) : NULL;
	ft_buf_free(&b);
	return v;
}

/* [[piece, id], ...] of the pieces that a user has defined. */
static json_t *user_defined(const struct tok_spm *m)
{
	json_t *list = json_array();
	for (size_t i = 0; i < m->n && list; i++) {
		if (m->piece[i].type != TOK_USER || m->isolate_user)
			continue;
		if (json_array_append_new(list, json_pack("[o,I]", text_of(m->piece[i].text), (json_int_t)i)) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static json_t *normalizer_of(const struct tok_spm *m, json_t *user)
{
	json_t *v = json_pack("{s:s, s:b, s:b, s:b, s:b, s:O}", "type", "SentencePiece", "add_dummy_prefix", m->prefix,
	                      "remove_extra_whitespaces", m->squeeze, "escape_whitespaces", m->escape,
	                      "treat_whitespace_as_suffix", m->suffix, "user_defined", user);
	if (!m->charsmap.n || ft_json_set(v, "precompiled_charsmap", base64_of(m->charsmap)) == FT_OK)
		return v;
	json_decref(v);
	return NULL;
}

static json_t *model_of(const struct tok_spm *m)
{
	if (!m->bpe)
		return json_pack("{s:s, s:I, s:b}", "type", "Unigram", "unk_id", (json_int_t)m->unk, "byte_fallback",
		                 m->byte_fallback);
	return json_pack("{s:s, s:o, s:b, s:b}", "type", "BPE", "unk_token", text_of(m->piece[m->unk].text),
	                 "fuse_unk", 1, "byte_fallback", m->byte_fallback);
}

/* Text of ids: spaces for U+2581, bytes for their pieces, and without the one that was put there. */
static json_t *decoder_of(const struct tok_spm *m)
{
	json_t *list = json_array();
	int bad = !list;
	if (m->escape)
		bad |= json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern",
		                                             "String", "\xe2\x96\x81", "content", " "));
	if (m->byte_fallback)
		bad |= json_array_append_new(list, json_pack("{s:s}", "type", "ByteFallback"));
	bad |= json_array_append_new(list, json_pack("{s:s}", "type", "Fuse"));
	if (m->prefix || m->squeeze) /* where several beside each other are one, no text begins with any */
		bad |= json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ",
		                                             "start", m->squeeze ? INT32_MAX : 1, "stop", 0));
	if (bad) {
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list);
}

static json_t *added_of(const struct tok_spm *m)
{
	json_t *list = json_array();
	for (size_t i = 0; i < m->n && list; i++) {
		const struct tok_spm_piece *p = &m->piece[i];
		bool special = p->type == TOK_CONTROL || p->type == TOK_UNKNOWN;
		if (!special && !(p->type == TOK_USER && m->isolate_user))
			continue;
		json_t *token = json_pack("{s:o, s:I, s:b, s:b}", "content", text_of(p->text), "id", (json_int_t)i,
		                          "special", special, "normalized", 0);
		if (json_array_append_new(list, token) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

json_t *tok_spm_tree(const struct tok_spm *m, struct tok_vocab *v, struct tok_source *src, const char *where)
{
	if (add_pieces(m, v, src, where) < 0)
		return NULL;
	json_t *user = user_defined(m);
	json_t *root = json_pack("{s:o, s:o, s:o, s:o}", "normalizer", normalizer_of(m, user), "model", model_of(m),
	                         "decoder", decoder_of(m), "added_tokens", added_of(m));
	int rc = root ? FT_OK : ft_fail(FT_EFAIL, "out of memory");
	if (rc == FT_OK && m->bpe && json_array_size(user))
		rc = ft_json_set(root, "pre_tokenizer",
		                 json_pack("{s:s, s:O}", "type", "SentencePiece", "user_defined", user));
	json_decref(user);
	if (rc == FT_OK)
		return root;
	json_decref(root);
	return NULL;
}
