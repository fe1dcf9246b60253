/* save.c - a tokenizer as the files of a Hugging Face folder, of one that lies in a GGUF
 * file: tokenizer.json, and tokenizer_config.json for what that has no place for.
 */
#include "ft/err.h"
#include "ft/file.h"
#include "ft/tok_tables.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

static int put_json(struct ft_buf *b, const json_t *v)
{
	char *text = v ? ft_json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	int rc = text ? ft_buf_append(b, text, strlen(text)) : ft_fail(FT_EFAIL, "out of memory for a tokenizer");
	free(text);
	return rc;
}

static int put_string(struct ft_buf *b, const char *s, size_t n)
{
	json_t *v = json_stringn(s, n);
	int rc = v ? put_json(b, v) : ft_fail(FT_EFORMAT, "a piece of the tokenizer is not UTF-8");
	json_decref(v);
	return rc;
}

static int put_vocab(struct ft_buf *b, const struct ft_tok *t)
{
	int rc = ft_buf_append(b, "{", 1);
	bool first = true;
	for (size_t i = 0; i < t->vocab.ids && rc == FT_OK; i++) {
		const char *piece = tok_vocab_piece(&t->vocab, (int32_t)i);
		if (!piece)
			continue;
		rc = first ? FT_OK : ft_buf_append(b, ",", 1);
		rc = rc ? rc : put_string(b, piece, strlen(piece));
		rc = rc ? rc : ft_buf_printf(b, ":%zu", i);
		first = false;
	}
	return rc ? rc : ft_buf_append(b, "}", 1);
}

static int put_merges(struct ft_buf *b, const struct tok_source *src)
{
	int rc = ft_buf_append(b, "[", 1);
	for (size_t i = 0; i < src->nmerges && rc == FT_OK; i++) {
		const struct tok_merge *m = &src->merges[i];
		const char *s = (const char *)src->text.data + m->at;
		rc = ft_buf_printf(b, "%s[", i ? "," : "");
		rc = rc ? rc : put_string(b, s, m->left);
		rc = rc ? rc : ft_buf_append(b, ",", 1);
		rc = rc ? rc : put_string(b, s + m->left, m->right);
		rc = rc ? rc : ft_buf_append(b, "]", 1);
	}
	return rc ? rc : ft_buf_append(b, "]", 1);
}

/* ---- what tokenizer.json has, of a tree that has less or says it otherwise ---- */

/* SentencePiece's own stage, as two that others know. */
static json_t *plain_normalizer(const json_t *v)
{
	bool prefix = json_is_true(json_object_get(v, "add_dummy_prefix"));
	json_t *space = json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ", "content",
	                          "\xe2\x96\x81");
	json_t *first = prefix ? json_pack("{s:s, s:s}", "type", "Prepend", "prepend", "\xe2\x96\x81") : NULL;
	return json_pack(prefix ? "{s:s, s:[o, o]}" : "{s:s, s:[o]}", "type", "Sequence", "normalizers",
	                 prefix ? first : space, space);
}

static int set_absent(json_t *obj, const char *key, json_t *value_taken)
{
	if (json_object_get(obj, key)) {
		json_decref(value_taken);
		return 0;
	}
	return json_object_set_new(obj, key, value_taken);
}

static int complete(json_t *root)
{
	json_t *normalizer = json_object_get(root, "normalizer"), *token, *decoder = json_object_get(root, "decoder");
	const char *type = json_string_value(json_object_get(normalizer, "type"));
	const char *name;
	size_t i;
	int rc = 0;
	json_object_foreach(json_object_get(json_object_get(root, "post_processor"), "special_tokens"), name, token)
		rc |= set_absent(token, "id", json_string(name)) | set_absent(token, "tokens", json_pack("[s]", name));
	if (type && strcmp(type, "SentencePiece") == 0)
		rc |= json_object_set_new(root, "normalizer", plain_normalizer(normalizer));
	json_array_foreach(json_object_get(root, "added_tokens"), i, token) {
		rc |= set_absent(token, "single_word", json_false()) | set_absent(token, "lstrip", json_false()) |
		      set_absent(token, "rstrip", json_false()) | set_absent(token, "normalized", json_false());
	}
	type = json_string_value(json_object_get(decoder, "type"));
	if (type && strcmp(type, "ByteLevel") == 0)
		rc |= set_absent(decoder, "add_prefix_space", json_true()) | set_absent(decoder, "trim_offsets", json_true()) |
		      set_absent(decoder, "use_regex", json_true());
	rc |= set_absent(root, "version", json_string("1.0"));
	return rc ? ft_fail(FT_EFAIL, "out of memory for a tokenizer") : FT_OK;
}

static int put_model(struct ft_buf *b, const struct ft_tok *t, const struct tok_kept *kept)
{
	const char *key;
	json_t *v, *model = json_object_get(kept->root, "model");
	int rc = ft_buf_append(b, "\"model\":{", 9);
	json_object_foreach(model, key, v) {
		rc = rc ? rc : put_string(b, key, strlen(key));
		rc = rc ? rc : ft_buf_append(b, ":", 1);
		rc = rc ? rc : put_json(b, v);
		rc = rc ? rc : ft_buf_append(b, ",", 1);
	}
	rc = rc ? rc : ft_buf_append(b, "\"vocab\":", 8);
	rc = rc ? rc : put_vocab(b, t);
	rc = rc ? rc : ft_buf_append(b, ",\"merges\":", 10);
	rc = rc ? rc : put_merges(b, &kept->src);
	return rc ? rc : ft_buf_append(b, "}}\n", 3);
}

static int put_tokenizer(struct ft_buf *b, const struct ft_tok *t, const struct tok_kept *kept)
{
	static const char *const members[] = {
		"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder",
	};
	int rc = ft_buf_append(b, "{", 1);
	json_t *null = json_null();
	for (size_t i = 0; i < sizeof members / sizeof *members && rc == FT_OK; i++) {
		const json_t *v = json_object_get(kept->root, members[i]);
		rc = ft_buf_printf(b, "\"%s\":", members[i]);
		rc = rc ? rc : put_json(b, v ? v : null);
		rc = rc ? rc : ft_buf_append(b, ",", 1);
	}
	return rc ? rc : put_model(b, t, kept);
}

/* ---- the files ---- */

static int write_file(const char *dir, const char *name, const struct ft_buf *text)
{
	char *path = ft_format("%s/%s", dir, name);
	struct ft_outfile *out = path ? ft_outfile_open(path) : NULL;
	int rc = out ? ft_write_all(ft_outfile_fd(out), text->data, text->len, path) : ft_last_error();
	if (rc == FT_OK)
		rc = ft_outfile_commit(out);
	ft_outfile_free(out);
	free(path);
	return rc;
}

static int write_config(const struct ft_tok_tables *x, const char *dir)
{
	json_t *v = json_pack("{s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces",
	                      0);
	int rc = v ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a tokenizer");
#define X(name, key)                                                                        \
	if (rc == FT_OK && x->role.name >= 0 && ft_tok_piece(x->tok, x->role.name))          \
		rc = ft_json_set(v, #name "_token", json_string(ft_tok_piece(x->tok, x->role.name)));
	FT_TOK_ROLES(X)
#undef X
	if (rc == FT_OK && x->chat_template.len)
		rc = ft_json_set(v, "chat_template", json_stringn((char *)x->chat_template.data, x->chat_template.len));
	char *path = ft_format("%s/tokenizer_config.json", dir);
	rc = rc ? rc : path ? ft_json_save(path, v) : FT_EFAIL;
	free(path);
	json_decref(v);
	return rc;
}

int ft_tok_tables_save(const struct ft_tok_tables *x, const char *dir)
{
	struct ft_buf text = { 0 };
	int rc = complete(x->kept->root);
	rc = rc ? rc : put_tokenizer(&text, x->tok, x->kept);
	rc = rc ? rc : write_file(dir, "tokenizer.json", &text);
	ft_buf_free(&text);
	return rc ? rc : write_config(x, dir);
}
