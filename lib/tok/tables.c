/* tables.c - a tokenizer as tables (tok_tables.h), whatever file it comes from. What the
 * tables say is what llama.cpp's converter would write (conversion/base.py, gguf-py).
 */
#include "ft/tok_tables.h"
#include "ft/err.h"
#include "ft/gguf.h"
#include "gguf_pre.h"
#include "priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDED_SCORE (-1000.0f) /* of tokens that no merge makes */

static int refuse(const char *reason)
{
	return ft_fail(FT_EUSAGE, "a GGUF file has no form for this tokenizer: %s", reason);
}

/* ---- pieces ---- */

static const struct tok_added *find_added(const struct ft_tok *t, int32_t id)
{
	size_t low = 0, high = t->nadded;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (t->added[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < t->nadded && t->added[low].id == id ? &t->added[low] : NULL;
}

/* Some models do not call special what is. */
static bool looks_special(const char *s)
{
	size_t n = strlen(s);
	return (n > 3 && strncmp(s, "<|", 2) == 0 && strcmp(s + n - 2, "|>") == 0) ||
	       (n > 8 && strncmp(s, "<unused", 7) == 0 && s[n - 1] == '>') ||
	       strcmp(s, "<pad>") == 0 || strcmp(s, "<mask>") == 0;
}

static bool is_byte(const char *s)
{
	return strlen(s) == 6 && strncmp(s, "<0x", 3) == 0 && s[5] == '>';
}

static int32_t type_of(const struct ft_tok_tables *x, const char *piece, int32_t id)
{
	const struct tok_source *src = &x->kept->src;
	int32_t type = src->types && (size_t)id < src->nscores ? src->types[id] : TOK_NORMAL;
	const struct tok_added *a = find_added(x->tok, id);
	bool llama = x->score != NULL;
	if (type != TOK_NORMAL)
		return type;
	if (llama && id == x->role.unk)
		return TOK_UNKNOWN;
	if (a)
		return a->special || looks_special(piece) ? TOK_CONTROL : TOK_USER;
	return llama && is_byte(piece) ? TOK_BYTE : TOK_NORMAL;
}

/* Those that are cut out of raw text have spaces where the vocabulary has U+2581. */
static int with_spaces(struct ft_tok_tables *x, const char *piece, struct ft_span *s)
{
	char *copy = ft_arena_get(&x->memory, strlen(piece) + 1), *to = copy;
	if (!copy)
		return FT_EFAIL;
	while (*piece) {
		bool mark = strncmp(piece, "\xe2\x96\x81", 3) == 0;
		*to++ = mark ? ' ' : *piece;
		piece += mark ? 3 : 1;
	}
	*s = (struct ft_span){ copy, (size_t)(to - copy) };
	return FT_OK;
}

static int unused_piece(struct ft_tok_tables *x, size_t id)
{
	char *name = ft_arena_get(&x->memory, 32);
	if (!name)
		return FT_EFAIL;
	int n = snprintf(name, 32, "[PAD%zu]", id);
	x->piece[id] = (struct ft_span){ name, (size_t)n };
	x->type[id] = TOK_UNUSED;
	return FT_OK;
}

static int add_pieces(struct ft_tok_tables *x)
{
	int rc = FT_OK;
	for (size_t i = 0; i < x->n && rc == FT_OK; i++) {
		const char *piece = ft_tok_piece(x->tok, (int32_t)i);
		if (!piece) {
			rc = unused_piece(x, i);
			continue;
		}
		x->type[i] = type_of(x, piece, (int32_t)i);
		x->piece[i] = (struct ft_span){ piece, strlen(piece) };
		if (x->type[i] == TOK_USER && find_added(x->tok, (int32_t)i))
			rc = with_spaces(x, piece, &x->piece[i]);
	}
	return rc;
}

/* ---- merges, and the scores that stand for them ---- */

/* The better a merge, the higher the score of what it makes; of several the best counts. */
static int scores_of_merges(struct ft_tok_tables *x)
{
	const struct tok_source *src = &x->kept->src;
	for (size_t i = 0; i < x->n; i++)
		x->score[i] = find_added(x->tok, (int32_t)i) ? ADDED_SCORE : -(float)src->nmerges;
	for (size_t i = src->nmerges; i--;) {
		const struct tok_merge *m = &src->merges[i];
		int32_t id = tok_vocab_id(&x->tok->vocab, (const char *)src->text.data + m->at, (size_t)m->left + m->right);
		if (id < 0 || (size_t)id >= x->n || m->rank >= 1u << 24)
			return refuse("its merges are too many, or make what is no piece");
		x->score[id] = -(float)m->rank;
	}
	return FT_OK;
}

static int add_scores(struct ft_tok_tables *x)
{
	const struct tok_source *src = &x->kept->src;
	x->score = ft_arena_get(&x->memory, x->n * sizeof *x->score);
	if (!x->score)
		return FT_EFAIL;
	if (!src->nscores)
		return scores_of_merges(x);
	for (size_t i = 0; i < x->n; i++)
		x->score[i] = i < src->nscores ? (float)src->scores[i] : ADDED_SCORE;
	return FT_OK;
}

static int add_merges(struct ft_tok_tables *x)
{
	const struct tok_source *src = &x->kept->src;
	x->merge = ft_arena_get(&x->memory, (src->nmerges + 1) * sizeof *x->merge);
	if (!x->merge)
		return FT_EFAIL;
	for (size_t i = 0; i < src->nmerges; i++) {
		const struct tok_merge *m = &src->merges[i];
		const char *s = (const char *)src->text.data + m->at;
		size_t n = (size_t)m->left + m->right;
		char *text = ft_arena_get(&x->memory, n + 1);
		if (!text)
			return FT_EFAIL;
		if (memchr(s, ' ', n))
			return refuse("a part of a merge has a space");
		memcpy(text, s, m->left);
		text[m->left] = ' ';
		memcpy(text + m->left + 1, s + m->left, m->right);
		x->merge[i] = (struct ft_span){ text, n + 1 };
	}
	x->merges = src->nmerges;
	return FT_OK;
}

/* ---- what stands around a text ---- */

static bool has_type(const json_t *stage, const char *type)
{
	const char *own = json_string_value(json_object_get(stage, "type"));
	return own && strcmp(own, type) == 0;
}

/* Whether a stage puts a space before the first word. */
static bool puts_space(const json_t *stage)
{
	if (has_type(stage, "SentencePiece"))
		return json_is_true(json_object_get(stage, "add_dummy_prefix"));
	if (has_type(stage, "Metaspace")) {
		const char *scheme = json_string_value(json_object_get(stage, "prepend_scheme"));
		return scheme ? strcmp(scheme, "never") != 0 : !json_is_false(json_object_get(stage, "add_prefix_space"));
	}
	size_t i;
	json_t *part;
	json_array_foreach(json_object_get(stage, has_type(stage, "Sequence") ? "normalizers" : ""), i, part)
		if (puts_space(part))
			return true;
	return has_type(stage, "Prepend");
}

/* One special token before a text, and one behind it, at most. */
static int read_template(struct ft_tok_tables *x)
{
	const struct tok_template *p = &x->tok->single;
	bool behind = false;
	for (size_t i = 0; i < p->count; i++) {
		const struct tok_step *s = &p->steps[i];
		int32_t *role = behind ? &x->role.eos : &x->role.bos;
		bool *adds = behind ? &x->add_eos : &x->add_bos;
		if (s->what != TOK_STEP_SPECIAL) {
			behind = true;
			continue;
		}
		if (*adds || (*role >= 0 && *role != s->id))
			return refuse("it puts more around a text than its bos and eos");
		*adds = true;
		*role = s->id;
	}
	return FT_OK;
}

static void read_roles(struct ft_tok_tables *x)
{
	static const struct { size_t at; int role; } roles[] = {
#define ROLE(name, index) { offsetof(struct ft_tok_tables, role.name), index }
		ROLE(bos, TOK_BOS), ROLE(eos, TOK_EOS), ROLE(unk, TOK_UNK), ROLE(sep, TOK_SEP), ROLE(pad, TOK_PAD),
		ROLE(cls, TOK_CLS), ROLE(mask, TOK_MASK),
	};
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
		*(int32_t *)((char *)x + roles[i].at) = x->tok->role[roles[i].role];
}

/* ---- the chat template ---- */

static int set_template(struct ft_tok_tables *x, const json_t *v)
{
	const char *s = json_string_value(v);
	return s ? ft_buf_append(&x->chat_template, s, json_string_length(v)) : FT_OK;
}

static int chat_template_of_file(struct ft_tok_tables *x, const char *path)
{
	int err = FT_OK;
	struct ft_gguf *g = ft_gguf_open(path);
	struct ft_span s = g ? ft_gguf_text(g, "tokenizer.chat_template", &err) : (struct ft_span){ 0 };
	int rc = !g ? ft_last_error() : err ? err : ft_buf_append(&x->chat_template, s.p ? s.p : "", s.n);
	ft_gguf_close(g);
	return rc;
}

/* A file of its own, or what tokenizer_config.json says: a text, or a list of named ones. */
static int read_chat_template(struct ft_tok_tables *x, const char *dir)
{
	struct tok_config c = { 0 };
	bool missing;
	if (ft_gguf_named(dir))
		return chat_template_of_file(x, dir);
	char *path = ft_format("%s/chat_template.jinja", dir);
	int rc = path ? tok_read_file(path, &x->chat_template, &missing) : FT_EFAIL;
	free(path);
	if (rc < 0 || !missing)
		return rc;
	rc = tok_config_read(&c, dir);
	const json_t *v = json_object_get(c.tokenizer, "chat_template");
	size_t i;
	json_t *named;
	if (rc == FT_OK && json_is_array(v)) {
		json_array_foreach(v, i, named) {
			const char *name = json_string_value(json_object_get(named, "name"));
			if (name && strcmp(name, "default") == 0)
				v = json_object_get(named, "template");
		}
	}
	rc = rc ? rc : set_template(x, v);
	tok_config_free(&c);
	return rc;
}

/* ---- the whole ---- */

static int fill_kind(struct ft_tok_tables *x)
{
	const json_t *root = x->kept->root, *model = json_object_get(root, "model");
	if (!x->kept->src.has_merges)
		return refuse("it is no BPE");
	x->model = json_is_true(json_object_get(model, "byte_fallback")) ? "llama" : "gpt2";
	x->pre = (struct ft_span){ "default", 7 };
	if (*x->model == 'l') {
		x->space_prefix = puts_space(json_object_get(root, "normalizer")) ||
		                  puts_space(json_object_get(root, "pre_tokenizer"));
		return add_scores(x);
	}
	x->pre = tok_gguf_pre_of(root);
	return x->pre.n ? add_merges(x) : refuse("llama.cpp has no name for how it cuts texts into words");
}

static int fill(struct ft_tok_tables *x, const char *dir, size_t size)
{
	if (ft_tok_size(x->tok) > size)
		return ft_fail(FT_EMATCH, "%s: the tokenizer has %zu tokens, the model %zu", dir, ft_tok_size(x->tok), size);
	x->n = size;
	x->piece = ft_arena_get(&x->memory, size * sizeof *x->piece);
	x->type = ft_arena_get(&x->memory, size * sizeof *x->type);
	if (!x->piece || !x->type)
		return FT_EFAIL;
	read_roles(x);
	int rc = fill_kind(x);
	rc = rc ? rc : read_template(x);
	rc = rc ? rc : add_pieces(x);
	return rc ? rc : read_chat_template(x, dir);
}

int ft_tok_tables_open(struct ft_tok_tables *x, const char *dir, size_t size)
{
	*x = (struct ft_tok_tables){ 0 };
	x->kept = ft_alloc(1, sizeof *x->kept);
	x->tok = x->kept ? tok_open(dir, NULL, x->kept) : NULL;
	int rc = x->tok ? fill(x, dir, size) : ft_last_error();
	if (rc < 0)
		ft_tok_tables_close(x);
	return rc;
}

void ft_tok_tables_close(struct ft_tok_tables *x)
{
	ft_tok_free(x->tok);
	if (x->kept) {
		json_decref(x->kept->root);
		tok_source_free(&x->kept->src);
	}
	free(x->kept);
	ft_buf_free(&x->chat_template);
	ft_arena_free(&x->memory);
	*x = (struct ft_tok_tables){ 0 };
}
