/* config.c - tokenizer_config.json and special_tokens_map.json, and the older
 * form of a tokenizer that consists of these and vocab.txt, one piece a line. */
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

static const struct { const char *key, *absent; } roles[TOK_ROLES] = {
	[TOK_PAD] = { "pad_token", "[PAD]" }, [TOK_UNK] = { "unk_token", "[UNK]" },
	[TOK_CLS] = { "cls_token", "[CLS]" }, [TOK_SEP] = { "sep_token", "[SEP]" },
	[TOK_MASK] = { "mask_token", "[MASK]" },
	[TOK_BOS] = { "bos_token", NULL }, [TOK_EOS] = { "eos_token", NULL },
};

/* A file that need not be there. */
static int read_json(const char *path, json_t **out)
{
	struct ft_buf text = { 0 };
	bool missing;
	int rc = tok_read_file(path, &text, &missing);
	if (rc == FT_OK && !missing) {
		*out = ft_json_parse(path, (const char *)text.data, text.len);
		rc = *out ? FT_OK : ft_last_error();
		if (rc == FT_OK && !json_is_object(*out))
			rc = ft_fail(FT_EFORMAT, "%s: must be an object", path);
	}
	ft_buf_free(&text);
	return rc;
}

/* A special token is named by a string or by {"content": "[SEP]", ...}. */
static const char *token_name(const json_t *obj, const char *key)
{
	const json_t *v = json_object_get(obj, key);
	return json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
}

int tok_config_read(struct tok_config *c, const char *dir)
{
	const struct { const char *name; json_t **out; } files[] = {
		{ "tokenizer_config.json", &c->tokenizer }, { "special_tokens_map.json", &c->special },
		{ "added_tokens.json", &c->added }, { "config.json", &c->model },
	};
	int rc = FT_OK;
	for (size_t i = 0; i < sizeof files / sizeof *files && rc == FT_OK; i++) {
		char *path = ft_format("%s/%s", dir, files[i].name);
		rc = path ? read_json(path, files[i].out) : FT_EFAIL;
		if (i == 0)
			c->path = path;
		else
			free(path);
	}
	for (int i = 0; i < TOK_ROLES; i++) {
		const char *name = token_name(c->tokenizer, roles[i].key);
		if (!name)
			name = token_name(c->special, roles[i].key);
		c->given[i] = name != NULL;
		c->token[i] = name ? name : roles[i].absent;
	}
	return rc;
}

void tok_config_free(struct tok_config *c)
{
	json_decref(c->tokenizer);
	json_decref(c->special);
	json_decref(c->added);
	json_decref(c->model);
	free(c->path);
}

/* 1, 0; -1: neither is said. */
static int flag_of(const json_t *v)
{
	return json_is_true(v) ? 1 : json_is_false(v) ? 0 : -1;
}

int tok_config_agrees(const struct tok_config *c, const json_t *normalizer)
{
	static const char *const options[][2] = {
		{ "do_lower_case", "lowercase" }, { "tokenize_chinese_chars", "handle_chinese_chars" },
		{ "strip_accents", "strip_accents" },
	};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		int theirs = flag_of(json_object_get(c->tokenizer, options[i][0]));
		int ours = flag_of(json_object_get(normalizer, options[i][1]));
		if (theirs >= 0 && ours >= 0 && theirs != ours)
			return ft_fail(FT_EMATCH, "%s: %s is %s, but %s in tokenizer.json is %s; make them agree",
			               c->path, options[i][0], theirs ? "true" : "false", options[i][1],
			               ours ? "true" : "false");
	}
	return FT_OK;
}

/* ---- added tokens ---- */

/* One more, unless `list` has it. */
static int append_token(json_t *list, const json_t *options, const char *content, json_int_t id, bool special)
{
	for (size_t k = 0; k < json_array_size(list); k++) {
		const char *other = json_string_value(json_object_get(json_array_get(list, k), "content"));
		if (other && strcmp(other, content) == 0)
			return FT_OK;
	}
	json_t *token = options ? ft_json_copy(options)
	                        : json_pack("{s:s, s:b}", "content", content, "special", special);
	if (json_object_set_new(token, "id", json_integer(id)) == 0 && json_array_append_new(list, token) == 0)
		return FT_OK;
	return ft_fail(FT_EFAIL, "out of memory");
}

static bool is_named(const struct tok_config *c, const char *content)
{
	for (int i = 0; i < TOK_ROLES; i++)
		if (c->token[i] && strcmp(c->token[i], content) == 0)
			return true;
	return false;
}

static int compare_tokens(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "id"));
	json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "id"));
	return (x > y) - (x < y);
}

/* By rising id: those that the vocabulary lacks get theirs in this order. */
static json_t *sorted(json_t *list_taken)
{
	size_t n = json_array_size(list_taken);
	json_t **item = ft_alloc(n, sizeof *item), *out = item ? json_array() : NULL;
	int rc = out ? FT_OK : ft_fail(FT_EFAIL, "out of memory for added tokens");
	for (size_t i = 0; i < n && out; i++)
		item[i] = json_array_get(list_taken, i);
	if (out && n)
		qsort(item, n, sizeof *item, compare_tokens);
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = ft_json_append(out, json_incref(item[i]));
	free(item);
	json_decref(list_taken);
	if (rc == FT_OK)
		return out;
	json_decref(out);
	return NULL;
}

json_t *tok_config_added(const struct tok_config *c, const struct tok_vocab *v)
{
	json_t *list = json_array(), *value;
	const char *key;
	int rc = list ? FT_OK : ft_fail(FT_EFAIL, "out of memory");
	/* {"100": {"content": "[UNK]", ...}} */
	json_object_foreach(json_object_get(c->tokenizer, "added_tokens_decoder"), key, value) {
		const char *content = json_string_value(json_object_get(value, "content"));
		if (rc == FT_OK && !json_is_object(value))
			rc = ft_fail(FT_EFORMAT, "%s: added_tokens_decoder must hold objects", c->path);
		if (rc == FT_OK)
			rc = append_token(list, value, content ? content : "", strtoll(key, NULL, 10), false);
	}
	/* {"<token>": 50257} */
	json_object_foreach(c->added, key, value)
		if (rc == FT_OK)
			rc = append_token(list, NULL, key, json_is_integer(value) ? json_integer_value(value) : -1,
			                  is_named(c, key));
	for (int i = 0; i < TOK_ROLES && rc == FT_OK; i++) {
		int32_t id = c->token[i] ? tok_vocab_id(v, c->token[i], strlen(c->token[i])) : -1;
		if (id >= 0)
			rc = append_token(list, NULL, c->token[i], id, true);
	}
	if (rc == FT_OK)
		return sorted(list);
	json_decref(list);
	return NULL;
}

/* ---- vocab.txt ---- */

static int read_lines(struct tok_vocab *v, const char *path, const struct ft_buf *text)
{
	const char *at = (const char *)text->data, *end = at + text->len;
	size_t line = 0;
	while (end > at && (end[-1] == '\n' || end[-1] == '\r')) /* empty lines at the end are no pieces */
		end--;
	if (end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
		at += 3;
	for (const char *next; at < end; at = next, line++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		next = stop ? stop + 1 : end;
		stop = stop ? stop : end;
		if (stop > at && stop[-1] == '\r')
			stop--;
		size_t n = (size_t)(stop - at);
		if (ft_utf8_invalid(at, n) || memchr(at, '\0', n))
			return ft_fail(FT_EFORMAT, "%s:%zu: not UTF-8 text", path, line + 1);
		int rc = tok_vocab_add(v, at, n, (int64_t)line);
		if (rc < 0)
			return ft_context(rc, "%s:%zu", path, line + 1);
	}
	return line ? FT_OK : ft_fail(FT_EFORMAT, "%s: is empty", path);
}

/* The bytes of vocab.txt and all that was taken from the files beside it. */
static int digest(struct ft_tok *t, const struct ft_buf *text, const struct tok_config *c, const json_t *normalizer)
{
	json_t *o = json_pack("{s:O, s:O, s:O, s:s, s:s, s:s, s:s, s:s}", "lower",
	                      json_object_get(normalizer, "lowercase"), "chinese",
	                      json_object_get(normalizer, "handle_chinese_chars"), "strip",
	                      json_object_get(normalizer, "strip_accents"), "pad", c->token[TOK_PAD], "unk",
	                      c->token[TOK_UNK], "cls", c->token[TOK_CLS], "sep", c->token[TOK_SEP], "mask",
	                      c->token[TOK_MASK]);
	const json_t *added = json_object_get(c->tokenizer, "added_tokens_decoder");
	if (o && added)
		json_object_set(o, "added", (json_t *)added);
	char *options = o ? ft_json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	int rc = options ? tok_set_digest(t, text->data, text->len, options, strlen(options))
	                 : ft_fail(FT_EFAIL, "out of memory for a digest");
	json_decref(o);
	free(options);
	return rc;
}

/* What tokenizer.json would say. */
static json_t *tree_of(const struct ft_tok *t, const char *path, const struct tok_config *c)
{
	int err = FT_OK;
	bool lower = ft_json_bool(c->tokenizer, "do_lower_case", true, &err);
	bool chinese = ft_json_bool(c->tokenizer, "tokenize_chinese_chars", true, &err);
	bool strip = ft_json_bool(c->tokenizer, "strip_accents", lower, &err);
	if (err < 0) {
		ft_context(err, "%s", c->path);
		return NULL;
	}
	const char *cls = c->token[TOK_CLS], *sep = c->token[TOK_SEP];
	int32_t cls_id = tok_vocab_id(&t->vocab, cls, strlen(cls));
	int32_t sep_id = tok_vocab_id(&t->vocab, sep, strlen(sep));
	if (cls_id < 0 || sep_id < 0) {
		ft_fail(FT_EFORMAT, "%s: the special token '%s' is not in the vocabulary", path,
		        cls_id < 0 ? cls : sep);
		return NULL;
	}
	json_t *added = tok_config_added(c, &t->vocab);
	if (!added)
		return NULL;
	json_t *root = json_pack(
		"{s:{s:s, s:b, s:b, s:b, s:b}, s:{s:s}, s:{s:s, s:s, s:s, s:i}, s:{s:s, s:s, s:b}, s:o,"
		" s:{s:s, s:[s,i], s:[s,i]}}",
		"normalizer", "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", chinese,
		"strip_accents", strip, "lowercase", lower, "pre_tokenizer", "type", "BertPreTokenizer",
		"model", "type", "WordPiece", "unk_token", c->token[TOK_UNK], "continuing_subword_prefix", "##",
		"max_input_chars_per_word", 100, "decoder", "type", "WordPiece", "prefix", "##", "cleanup", 1,
		"added_tokens", added, "post_processor", "type", "BertProcessing", "sep", sep, sep_id, "cls", cls,
		cls_id);
	if (!root)
		ft_fail(FT_EFAIL, "out of memory");
	return root;
}

int tok_load_vocab_txt(struct ft_tok *t, const char *path, const struct ft_buf *text, const struct tok_config *c)
{
	struct tok_source src = { .added_where = c->path };
	int rc = read_lines(&t->vocab, path, text);
	/* A piece that stands on two lines has the id of the later one, as in the reference. */
	if (rc == FT_OK)
		rc = tok_vocab_build(&t->vocab, true, path);
	if (rc < 0)
		return rc;
	json_t *root = tree_of(t, path, c);
	rc = root ? tok_load_tree(t, root, &src, path) : ft_last_error();
	if (rc == FT_OK)
		rc = digest(t, text, c, json_object_get(root, "normalizer"));
	json_decref(root);
	return rc;
}
