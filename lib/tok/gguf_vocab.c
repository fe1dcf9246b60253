/* gguf_vocab.c - opens the tokenizer inside a GGUF file: pieces, scores, types, merges
 * and special ids under tokenizer.ggml.*, brought into the form of tokenizer.json.
 *
 * What llama.cpp does with them (src/llama-vocab.cpp) is the reference: "llama" is
 * SentencePiece's BPE, "t5" its unigram, "gpt2" BPE of bytes, "bert" WordPiece.
 */
#include "ft/digest.h"
#include "ft/err.h"
#include "ft/gguf.h"
#include "gguf_pre.h"
#include "post.h"
#include "spm.h"

#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."
#define SPACE "\xe2\x96\x81" /* before the first piece of a word */

struct vocab {
	struct ft_tok *t;
	const char *path;
	struct ft_gguf *g;
	struct tok_spm m;       /* the pieces, whatever the kind */
	struct ft_arena names;  /* of pieces that have none */
	struct tok_source src;
	struct tok_named named[TOK_ROLES];
	bool bos, eos;          /* stand around a text */
	json_t *root;
};

/* ---- pieces ---- */

/* A token without text gets one that is in no text. */
static int name_empty(struct vocab *v, size_t i)
{
	char *name = ft_arena_get(&v->names, 32);
	if (!name)
		return FT_EFAIL;
	int n = snprintf(name, 32, "[EMPTY_%zu]", i);
	v->m.piece[i].text = (struct ft_span){ name, (size_t)n };
	return FT_OK;
}

static int read_pieces(struct vocab *v)
{
	int err = FT_OK;
	const struct ft_gguf_value *texts = ft_gguf_array(v->g, KEY "tokens", FT_GGUF_TEXTS, &err);
	const struct ft_gguf_value *types = ft_gguf_array(v->g, KEY "token_type", FT_GGUF_INTS, &err);
	const struct ft_gguf_value *scores = ft_gguf_array(v->g, KEY "scores", FT_GGUF_REALS, &err);
	if (err < 0)
		return err;
	if (!texts || !texts->count || texts->count > INT32_MAX)
		return ft_fail(FT_EFORMAT, KEY "tokens is missing or empty");
	if ((types && types->count < texts->count) || (scores && scores->count < texts->count))
		return ft_fail(FT_EFORMAT, KEY "token_type or " KEY "scores has fewer elements than " KEY "tokens");
	v->m.n = texts->count;
	v->m.piece = ft_alloc(v->m.n, sizeof *v->m.piece);
	int rc = v->m.piece ? FT_OK : FT_EFAIL;
	const void *at = NULL;
	for (size_t i = 0; i < v->m.n && rc == FT_OK; i++) {
		int64_t type = types ? ft_gguf_int_at(types, i) : TOK_NORMAL;
		v->m.piece[i] = (struct tok_spm_piece){ ft_gguf_text_next(texts, &at),
			                                scores ? (float)ft_gguf_real_at(scores, i) : 0,
			                                type > TOK_NORMAL && type <= TOK_BYTE ? (uint8_t)type : TOK_NORMAL };
		if (!v->m.piece[i].text.n)
			rc = name_empty(v, i);
	}
	return rc;
}

/* The id of a role; those outside the vocabulary count as none, as converters write -1. */
static int64_t special_id(const struct vocab *v, const char *key, int64_t absent, int *err)
{
	int64_t id = ft_gguf_int(v->g, key, absent, err);
	return id < 0 || (size_t)id >= v->m.n ? -1 : id;
}

/* The unknown piece is one; what stands around texts is special. */
static void set_types(struct vocab *v)
{
	static const int roles[] = { TOK_BOS, TOK_EOS, TOK_SEP, TOK_PAD, TOK_CLS, TOK_MASK };
	v->m.unk = v->named[TOK_UNK].id;
	for (size_t i = 0; i < v->m.n; i++)
		if (v->m.piece[i].type == TOK_UNKNOWN && v->m.unk >= 0 && (size_t)v->m.unk != i)
			v->m.piece[i].type = TOK_CONTROL;
	if (v->m.unk >= 0)
		v->m.piece[v->m.unk].type = TOK_UNKNOWN;
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		int64_t id = v->named[roles[i]].id;
		if (id >= 0 && v->m.piece[id].type == TOK_NORMAL)
			v->m.piece[id].type = TOK_CONTROL;
	}
}

#define ROLES(bos, eos, unk, sep, pad, cls, mask) \
	{ [TOK_BOS] = bos, [TOK_EOS] = eos, [TOK_UNK] = unk, [TOK_SEP] = sep, [TOK_PAD] = pad, [TOK_CLS] = cls, \
	  [TOK_MASK] = mask }

/* Ids of roles, with what they are when the file does not say. */
static int read_roles(struct vocab *v, const int64_t absent[TOK_ROLES])
{
	static const char *const keys[TOK_ROLES] = {
		[TOK_BOS] = KEY "bos_token_id", [TOK_EOS] = KEY "eos_token_id", [TOK_UNK] = KEY "unknown_token_id",
		[TOK_SEP] = KEY "seperator_token_id", [TOK_PAD] = KEY "padding_token_id",
		[TOK_CLS] = KEY "cls_token_id", [TOK_MASK] = KEY "mask_token_id",
	};
	int err = FT_OK;
	for (int i = 0; i < TOK_ROLES; i++)
		v->named[i].id = special_id(v, keys[i], absent[i], &err);
	v->bos = ft_gguf_bool(v->g, KEY "add_bos_token", v->bos, &err);
	v->eos = ft_gguf_bool(v->g, KEY "add_eos_token", v->eos, &err);
	if (err == FT_OK)
		set_types(v);
	return err;
}

/* Names of the roles, once the vocabulary is there. */
static void name_roles(struct vocab *v)
{
	for (int i = 0; i < TOK_ROLES; i++)
		v->named[i].name = v->named[i].id < 0 ? NULL : tok_vocab_piece(&v->t->vocab, (int32_t)v->named[i].id);
}

static json_t *piece_text(const struct vocab *v, size_t id)
{
	return json_string(tok_vocab_piece(&v->t->vocab, (int32_t)id));
}

/* Tokens that are cut out of the raw text. */
static json_t *added_tokens(const struct vocab *v)
{
	json_t *list = json_array();
	for (size_t i = 0; i < v->m.n && list; i++) {
		int type = v->m.piece[i].type;
		if (type != TOK_CONTROL && type != TOK_UNKNOWN && type != TOK_USER)
			continue;
		json_t *token = json_pack("{s:o, s:I, s:b, s:b}", "content", piece_text(v, i), "id", (json_int_t)i,
		                          "special", type != TOK_USER, "normalized", 0);
		if (json_array_append_new(list, token) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

/* ---- the kinds ---- */

static int load_spm(struct vocab *v, bool bpe)
{
	static const int64_t llama[TOK_ROLES] = ROLES(1, 2, 0, -1, -1, -1, -1);
	static const int64_t t5[TOK_ROLES] = ROLES(-1, 1, 2, -1, 0, -1, -1);
	struct tok_spm *m = &v->m;
	int err = FT_OK;
	v->bos = bpe;
	v->eos = !bpe;
	int rc = read_roles(v, bpe ? llama : t5);
	m->bpe = bpe;
	m->escape = m->isolate_user = true;
	m->prefix = ft_gguf_bool(v->g, KEY "add_space_prefix", bpe, &err);
	m->squeeze = !bpe && ft_gguf_bool(v->g, KEY "remove_extra_whitespaces", false, &err);
	const struct ft_gguf_value *map = ft_gguf_array(v->g, KEY "precompiled_charsmap", FT_GGUF_INTS, &err);
	if (map && map->type != FT_GGUF_U8 && map->type != FT_GGUF_I8)
		err = ft_fail(FT_EFORMAT, KEY "precompiled_charsmap is not an array of bytes");
	if (rc < 0 || err < 0)
		return rc < 0 ? rc : err;
	if (map && !bpe)
		m->charsmap = (struct ft_span){ map->data, map->count };
	for (size_t i = 0; i < m->n; i++)
		m->byte_fallback |= m->piece[i].type == TOK_BYTE;
	rc = tok_spm_check(m, KEY "tokens");
	if (rc < 0)
		return rc;
	v->root = tok_spm_tree(m, &v->t->vocab, &v->src, KEY "tokens");
	return v->root ? FT_OK : ft_last_error();
}

static int add_vocab(struct vocab *v)
{
	int rc = FT_OK;
	for (size_t i = 0; i < v->m.n && rc == FT_OK; i++) {
		struct ft_span s = v->m.piece[i].text;
		if (memchr(s.p, '\0', s.n) || ft_utf8_invalid(s.p, s.n))
			return ft_fail(FT_EFORMAT, KEY "tokens: element %zu is not UTF-8 text", i);
		rc = tok_vocab_add(&v->t->vocab, s.p, s.n, (int64_t)i);
	}
	return rc < 0 ? rc : tok_vocab_build(&v->t->vocab, false, KEY "tokens");
}

/* "a b": the space between is not the first character. */
static int read_merges(struct vocab *v)
{
	int err = FT_OK, rc = FT_OK;
	const struct ft_gguf_value *list = ft_gguf_array(v->g, KEY "merges", FT_GGUF_TEXTS, &err);
	const void *at = NULL;
	if (!list)
		return err < 0 ? err : ft_fail(FT_EFORMAT, KEY "merges is missing");
	v->src.has_merges = true;
	for (size_t i = 0; i < list->count && rc == FT_OK; i++) {
		struct ft_span s = ft_gguf_text_next(list, &at);
		const char *space = s.n > 2 ? memchr(s.p + 1, ' ', s.n - 2) : NULL;
		size_t left = space ? (size_t)(space - s.p) : 0;
		rc = space ? tok_source_merge(&v->src, s.p, left, space + 1, s.n - left - 1)
		           : ft_fail(FT_EFORMAT, KEY "merges: element %zu is not two parts with a space between", i);
	}
	return rc;
}

static int read_text(const struct vocab *v, const char *key, const char *absent, char *out, size_t size)
{
	int err = FT_OK;
	struct ft_span s = ft_gguf_text(v->g, key, &err);
	if (!s.p)
		s = (struct ft_span){ absent, strlen(absent) };
	if (err == FT_OK && (s.n >= size || memchr(s.p, '\0', s.n)))
		err = ft_fail(FT_EFORMAT, "%s is not a name", key);
	if (err == FT_OK) {
		memcpy(out, s.p, s.n);
		out[s.n] = '\0';
	}
	return err;
}

static int load_gpt2(struct vocab *v)
{
	static const int64_t none[TOK_ROLES] = ROLES(-1, -1, -1, -1, -1, -1, -1);
	char name[40];
	struct tok_gguf_pre pre;
	int rc = read_text(v, KEY "pre", "default", name, sizeof name);
	if (rc == FT_OK)
		rc = tok_gguf_pre(&pre, name);
	if (rc < 0)
		return rc;
	v->bos = pre.bos;
	v->root = json_pack("{s:{s:s, s:b}, s:{s:s}, s:o, s:o*}", "model", "type", "BPE", "ignore_merges",
	                    pre.ignore_merges, "decoder", "type", "ByteLevel", "pre_tokenizer", pre.splitter,
	                    "normalizer", pre.normalizer);
	rc = v->root ? read_roles(v, none) : ft_fail(FT_EFAIL, "out of memory");
	if (rc == FT_OK)
		rc = add_vocab(v);
	if (rc == FT_OK)
		rc = read_merges(v);
	if (rc < 0)
		return rc;
	name_roles(v);
	rc = ft_json_set(v->root, "added_tokens", added_tokens(v));
	if (rc < 0 || !pre.sep)
		return rc;
	json_t *post = tok_post_processor("bAe", "bAeeBe", v->named);
	return post ? ft_json_set(v->root, "post_processor", post) : ft_last_error();
}

/* Inside a word a piece has no mark, where BERT's vocabulary has ##; at the beginning it has one. */
static int add_wordpiece(struct vocab *v, size_t i, struct ft_buf *text)
{
	struct ft_span s = v->m.piece[i].text;
	bool first = s.n > 3 && memcmp(s.p, SPACE, 3) == 0;
	bool named = v->m.piece[i].type != TOK_NORMAL || (s.p[0] == '[' && s.p[s.n - 1] == ']');
	if (memchr(s.p, '\0', s.n) || ft_utf8_invalid(s.p, s.n))
		return ft_fail(FT_EFORMAT, KEY "tokens: element %zu is not UTF-8 text", i);
	text->len = 0;
	int rc = first || named ? FT_OK : ft_buf_append(text, "##", 2);
	if (rc == FT_OK)
		rc = first ? ft_buf_append(text, s.p + 3, s.n - 3) : ft_buf_append(text, s.p, s.n);
	return rc < 0 ? rc : tok_vocab_add(&v->t->vocab, (char *)text->data, text->len, (int64_t)i);
}

static int load_bert(struct vocab *v)
{
	static const int64_t bert[TOK_ROLES] = ROLES(-1, -1, 100, 102, 0, 101, 103);
	struct ft_buf text = { 0 };
	int err = FT_OK;
	bool lower = ft_gguf_bool(v->g, KEY "normalizer.lowercase", true, &err);
	bool strip = ft_gguf_bool(v->g, KEY "normalizer.strip_accents", lower, &err);
	int rc = err < 0 ? err : read_roles(v, bert);
	if (rc == FT_OK && v->named[TOK_BOS].id >= 0 && !ft_gguf_find(v->g, KEY "cls_token_id"))
		v->named[TOK_CLS].id = v->named[TOK_BOS].id;
	for (size_t i = 0; i < v->m.n && rc == FT_OK; i++)
		rc = add_wordpiece(v, i, &text);
	ft_buf_free(&text);
	if (rc == FT_OK)
		rc = tok_vocab_build(&v->t->vocab, false, KEY "tokens");
	if (rc < 0)
		return rc;
	name_roles(v);
	if (!v->named[TOK_UNK].name)
		return ft_fail(FT_EFORMAT, KEY "unknown_token_id is not in the vocabulary");
	v->root = json_pack("{s:{s:s, s:b, s:b, s:b, s:b}, s:{s:s}, s:{s:s, s:s, s:s, s:i}, s:{s:s, s:s, s:b}, s:o}",
	                    "normalizer", "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", 1,
	                    "strip_accents", strip, "lowercase", lower, "pre_tokenizer", "type", "BertPreTokenizer",
	                    "model", "type", "WordPiece", "unk_token", v->named[TOK_UNK].name,
	                    "continuing_subword_prefix", "##", "max_input_chars_per_word", 100, "decoder", "type",
	                    "WordPiece", "prefix", "##", "cleanup", 1, "added_tokens", added_tokens(v));
	if (!v->root)
		return ft_fail(FT_EFAIL, "out of memory");
	json_t *post = tok_post_processor("cAs", "cAsB1s1", v->named);
	return post ? ft_json_set(v->root, "post_processor", post) : ft_last_error();
}

static int load_kind(struct vocab *v)
{
	char model[24];
	int rc = read_text(v, KEY "model", "", model, sizeof model);
	if (rc == FT_OK)
		rc = read_pieces(v);
	if (rc < 0)
		return rc;
	if (strcmp(model, "llama") == 0 || strcmp(model, "t5") == 0)
		return load_spm(v, *model == 'l');
	if (strcmp(model, "gpt2") == 0)
		return load_gpt2(v);
	if (strcmp(model, "bert") == 0)
		return load_bert(v);
	return ft_fail(FT_EFORMAT, KEY "model '%s' is not supported (llama, t5, gpt2 and bert are)", model);
}

/* ---- the whole ---- */

static void add_number(struct ft_digest *d, uint64_t n)
{
	ft_digest_add(d, &n, sizeof n);
}

/* Over what decides the ids: the tree, pieces, scores, types and merges. */
static int digest(struct vocab *v)
{
	struct ft_digest *d = ft_digest_new();
	char *text = ft_json_dumps(v->root, JSON_COMPACT | JSON_SORT_KEYS);
	int rc = d && text ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a digest");
	if (rc == FT_OK)
		ft_digest_add(d, text, strlen(text));
	for (size_t i = 0; i < v->m.n && rc == FT_OK; i++) {
		const struct tok_spm_piece *p = &v->m.piece[i];
		add_number(d, p->text.n);
		ft_digest_add(d, p->text.p, p->text.n);
		ft_digest_add(d, &p->score, sizeof p->score);
		ft_digest_add(d, &p->type, 1);
	}
	for (size_t i = 0; i < v->src.nmerges && rc == FT_OK; i++) {
		const struct tok_merge *m = &v->src.merges[i];
		add_number(d, m->left);
		ft_digest_add(d, v->src.text.data + m->at, (size_t)m->left + m->right);
	}
	if (rc == FT_OK)
		ft_digest_hex(d, v->t->digest);
	ft_digest_free(d);
	free(text);
	return rc;
}

static int load(struct vocab *v)
{
	int rc = load_kind(v);
	if (rc < 0)
		return ft_context(rc, "%s", v->path);
	name_roles(v);
	if (!json_object_get(v->root, "post_processor")) {
		json_t *post = tok_post_processor_plain(v->bos, v->eos, v->named);
		rc = post ? ft_json_set(v->root, "post_processor", post) : ft_context(ft_last_error(), "%s", v->path);
	}
	if (rc == FT_OK)
		rc = tok_load_tree(v->t, v->root, &v->src, v->path);
	return rc == FT_OK ? digest(v) : rc;
}

int tok_gguf_there(const char *path)
{
	struct ft_gguf *g = ft_gguf_open(path);
	int there = !g ? ft_last_error() : ft_gguf_find(g, KEY "tokens") != NULL; /* "none" is a model, too */
	ft_gguf_close(g);
	return there;
}

int tok_load_gguf(struct ft_tok *t, const char *path)
{
	struct vocab v = { .t = t, .path = path, .g = ft_gguf_open(path) };
	int rc = v.g ? load(&v) : ft_last_error();
	for (int i = 0; i < TOK_ROLES && rc == FT_OK; i++)
		t->role[i] = (int32_t)v.named[i].id;
	tok_source_done(t, v.root, &v.src);
	tok_spm_free(&v.m);
	ft_arena_free(&v.names);
	ft_gguf_close(v.g);
	return rc;
}
