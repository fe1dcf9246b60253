/* tokens.c - words that a plan adds to a vocabulary: rows behind those of the base, in the table of words and in what
 * decodes.
 *
 * meta.tokens = {from, added: [TOKEN, …]}: the id of the first, and all of them. They begin as the mean of the base's
 * rows, which gives a decoder no reason to say them (Hewitt, "Initializing New Word Embeddings for Pretrained Language
 * Models", 2021). Where the table itself is frozen the new rows train alone, under the name embed.word.new, and are
 * what a stream keeps of it. */
#include "ft/gguf.h"
#include "ft/mem.h"
#include "ft/tok.h"
#include "priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char weight[] = ".weight", new_rows[] = ".new";

struct ft_tok *ft_model_tokenizer(const struct ft_model *m)
{
	return ft_tok_open_with(m->dir, json_object_get(json_object_get(m->meta, "tokens"), "added"));
}

/* ---- a plan's ---- */

static int append_all(json_t *list, const json_t *more)
{
	size_t i, k;
	json_t *token, *other;
	json_array_foreach(more, i, token) {
		json_array_foreach(list, k, other)
			if (json_equal(token, other))
				return ft_fail(FT_EUSAGE, "'%s' has been added already", json_string_value(token));
		if (json_array_append(list, token) < 0)
			return ft_fail(FT_EFAIL, "out of memory for tokens");
	}
	return FT_OK;
}

/* The vocabulary of config.json, and what is said of the tokenizer, as they are with the tokens. */
static int describe(struct ft_model *m, struct ft_tok *t)
{
	json_t *config = ft_json_deep_copy(m->config);
	json_int_t rows = json_integer_value(json_object_get(config, "vocab_size")), size = (json_int_t)ft_tok_size(t);
	int rc = ft_json_set(m->meta, "config", config);
	m->config = json_object_get(m->meta, "config");
	if (rc == FT_OK && size > rows)
		rc = ft_json_set(config, "vocab_size", json_integer(size));
	return rc ? rc : ft_json_set(m->meta, "tokenizer", ft_tok_describe(t));
}

int tokens_plan(struct ft_model *m, const json_t *more)
{
	json_t *tokens = json_object_get(m->meta, "tokens");
	const json_t *known = json_object_get(json_object_get(m->meta, "tokenizer"), "vocab");
	m->adds = more;
	if (!more)
		return FT_OK;
	if (m->folder || ft_gguf_named(m->dir))
		return ft_fail(FT_EUSAGE, "%s: tokens can be added to a Hugging Face folder, or to what was tuned from one",
		               m->name);
	int rc = FT_OK;
	if (!tokens)
		rc = ft_json_set(m->meta, "tokens", tokens = json_pack("{s:O?, s:[]}", "from", known, "added"));
	json_t *added = json_object_get(tokens, "added");
	rc = rc ? rc : append_all(added, more);
	struct ft_tok *t = rc == FT_OK ? ft_model_tokenizer(m) : NULL;
	rc = rc ? rc : t ? describe(m, t) : ft_last_error();
	ft_tok_free(t);
	return rc < 0 ? ft_context(rc, "--add-tokens") : FT_OK;
}

int tokens_of_folder(struct ft_model *m, const json_t *tokens)
{
	if (!tokens)
		return FT_OK;
	if (!json_is_object(tokens) || !json_is_array(json_object_get(tokens, "added")))
		return ft_fail(FT_EFORMAT, "tokens: not {from, added}");
	int rc = ft_json_set(m->meta, "tokens", ft_json_deep_copy(tokens));
	struct ft_tok *t = rc == FT_OK ? ft_model_tokenizer(m) : NULL;
	rc = rc ? rc : t ? describe(m, t) : ft_last_error();
	ft_tok_free(t);
	return rc;
}

/* ---- parameters that have a row for each word ---- */

int tokens_describe(struct ft_model *m)
{
	const json_t *tokens = json_object_get(m->meta, "tokens");
	int err = FT_OK;
	m->shape.words = ft_json_int(tokens, "from", m->shape.vocabulary, &err);
	if (!err && m->shape.words >= 1 && m->shape.words <= m->shape.vocabulary &&
	    (!tokens || json_is_array(json_object_get(tokens, "added"))))
		return FT_OK;
	return ft_fail(FT_EFORMAT, "%s: tokens: not {from, added}, of a vocabulary of %lld", m->name,
	               (long long)m->shape.vocabulary);
}

bool tokens_grown(const struct ft_model *m, const struct ft_param *p)
{
	if (m->shape.words == m->shape.vocabulary || p->technique)
		return false;
	int64_t words = p->rank == 2 ? p->t.rows : p->t.cols;
	bool head = strncmp(p->name, "head.", 5) == 0 && ft_task_of_words(ft_model_task(m));
	return words == m->shape.vocabulary && (head || strcmp(p->name, "embed.word.weight") == 0);
}

bool tokens_name(const struct ft_model *m, const struct ft_param *p, char *name, size_t size)
{
	size_t n = strlen(p->name), end = sizeof weight - 1;
	if (p->rank != 2 || n < end || strcmp(p->name + n - end, weight) != 0 || !tokens_grown(m, p))
		return false;
	snprintf(name, size, "%.*s%s", (int)(n - end), p->name, new_rows);
	return true;
}

struct ft_param *tokens_find(const struct ft_model *m, const char *name)
{
	char own[TOKENS_NAME];
	for (size_t i = 0; i < m->count; i++)
		if (tokens_name(m, m->params[i], own, sizeof own) && strcmp(own, name) == 0)
			return m->params[i];
	return NULL;
}

bool tokens_fit(const struct ft_model *m, const struct ft_param *p, int64_t from, int64_t rows, int64_t cols)
{
	if (!m->adds || !tokens_grown(m, p))
		return rows == p->t.rows - from && cols == p->t.cols;
	return p->rank == 2 ? cols == p->t.cols && rows <= p->t.rows - from : rows == 1 && cols <= p->t.cols;
}

/* ---- their numbers ---- */

static int64_t words_of(const struct ft_param *p) { return p->rank == 2 ? p->t.rows : p->t.cols; }
static int64_t width_of(const struct ft_param *p) { return p->rank == 2 ? p->t.cols : 1; }

/* Rows from `from` on as the mean of the first `count`; of a vector, numbers. */
static int fill_mean(struct ft_param *p, int64_t count, int64_t from)
{
	int64_t width = width_of(p);
	double *sum = ft_alloc((size_t)width, sizeof *sum);
	if (!sum)
		return FT_EFAIL;
	for (int64_t i = 0; i < count * width; i++)
		sum[i % width] += (double)p->t.data[i];
	for (int64_t i = from * width; i < words_of(p) * width; i++)
		p->t.data[i] = (float)(sum[i % width] / (double)count);
	free(sum);
	return FT_OK;
}

int tokens_fill(const struct ft_model *m, struct ft_param *p)
{
	return p->there < words_of(p) ? fill_mean(p, m->shape.words, p->there) : FT_OK;
}

int tokens_load(const struct ft_model *m, struct ft_param *p, const struct ft_stored *t,
                int (*load)(const struct ft_model *m, struct ft_param *base, const struct ft_stored *t))
{
	struct ft_param base = *p;
	int64_t from = m->shape.words, width = width_of(p);
	size_t given = p->stored ? (size_t)(p->there * width) : 0;
	if (t->rank != p->rank || t->shape[0] < from || t->shape[0] > words_of(p))
		return ft_fail(FT_EFORMAT, "%s: tensor '%s' has not the %lld rows of the vocabulary", m->dir, t->name,
		               (long long)from);
	*(p->rank == 2 ? &base.t.rows : &base.t.cols) = t->shape[0];
	float *own = ft_alloc(given + 1, sizeof *own);
	if (!own)
		return FT_EFAIL;
	if (given)
		memcpy(own, p->t.data + from * width, given * sizeof *own);
	int rc = load(m, &base, t);
	rc = rc ? rc : fill_mean(p, from, t->shape[0]);
	if (rc == FT_OK && given)
		memcpy(p->t.data + from * width, own, given * sizeof *own);
	free(own);
	p->kept = p->rank == 2 ? from : 0;
	return rc;
}

/* ---- rows that are not the base's ---- */

/* Its places are rows of the matrix, each once; *own: all of them are new ones. */
static int check_indices(const struct ft_model *m, const struct ft_param *p, const json_t *indices, bool *own)
{
	unsigned char *seen = ft_alloc((size_t)p->t.rows, 1);
	int rc = seen ? FT_OK : FT_EFAIL;
	for (size_t i = 0; rc == FT_OK && i < json_array_size(indices); i++) {
		const json_t *v = json_array_get(indices, i);
		json_int_t row = json_integer_value(v);
		if (!json_is_integer(v) || row < 0 || row >= p->t.rows)
			rc = ft_fail(FT_EFORMAT, "token %lld: '%s' has %lld rows", (long long)row, p->name, (long long)p->t.rows);
		else if (seen[row]++)
			rc = ft_fail(FT_EFORMAT, "token %lld is there twice", (long long)row);
		*own = *own && row >= m->shape.words;
	}
	free(seen);
	return rc;
}

int tokens_take(const struct ft_model *m, struct ft_param *p, const struct ft_stored *t, const json_t *indices,
                const char *where)
{
	size_t n = json_array_size(indices), cols = (size_t)p->t.cols;
	bool own = tokens_grown(m, p);
	int rc = check_indices(m, p, indices, &own);
	if (rc == FT_OK && (t->rank != 2 || t->shape[0] != (int64_t)n || t->shape[1] != p->t.cols))
		rc = ft_fail(FT_EFORMAT, "tensor '%s' is not of %zu rows with %zu numbers", t->name, n, cols);
	float *rows = rc == FT_OK ? ft_alloc(n * cols + 1, sizeof *rows) : NULL;
	rc = rc ? rc : rows ? ft_widen(rows, t->data, t->dtype, n * cols) : FT_EFAIL;
	rc = rc < 0 ? ft_context(rc, "%s", where) : param_base(m, p);
	for (size_t i = 0; rc == FT_OK && i < n; i++)
		memcpy(p->t.data + json_integer_value(json_array_get(indices, i)) * p->t.cols, rows + i * cols,
		       cols * sizeof *rows);
	free(rows);
	p->stored = rc == FT_OK;
	p->kept = own ? m->shape.words : 0;
	p->there = p->t.rows - p->kept;
	return rc;
}

int ft_model_rows(const struct ft_model *m, const struct ft_param *p, int64_t **rows, size_t *n)
{
	*n = 0;
	*rows = ft_alloc((size_t)p->t.rows, sizeof **rows);
	int rc = *rows ? FT_OK : FT_EFAIL;
	for (int64_t i = 0; rc >= 0 && i < p->t.rows; i++) {
		rc = param_differs(m, p, i);
		if (rc > 0)
			(*rows)[(*n)++] = i;
	}
	if (rc >= 0)
		return FT_OK;
	free(*rows);
	*rows = NULL;
	return rc;
}
