/* dir.c - the chat template of a Hugging Face folder. */
#include "dir.h"

#include "ft/err.h"
#include "ft/gguf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MOST ((size_t)4 << 20)

/* A file that need not be there; 1 when it is. */
static int read_text(const char *path, struct ft_buf *b)
{
	FILE *f = fopen(path, "rb");
	int rc = f ? FT_OK : errno == ENOENT ? FT_OK : ft_fail_errno("%s", path);
	size_t n = 1;
	while (f && rc == FT_OK && n && b->len <= FILE_MOST) {
		rc = ft_buf_reserve(b, 1 << 14);
		n = rc == FT_OK ? fread(b->data + b->len, 1, 1 << 14, f) : 0;
		b->len += n;
	}
	if (rc == FT_OK && f && ferror(f))
		rc = ft_fail_errno("%s", path);
	if (rc == FT_OK && b->len > FILE_MOST)
		rc = ft_fail(FT_EFORMAT, "%s: more than %zu MiB", path, FILE_MOST >> 20);
	if (f)
		fclose(f);
	return rc < 0 ? rc : f != NULL;
}

/* A template in a file of its own; nothing happens where there is none. */
static int add_file(struct ft_chat *c, const char *dir, const char *file, bool tools)
{
	struct ft_buf text = { 0 };
	char *path = ft_format("%s/%s", dir, file);
	int rc = path ? read_text(path, &text) : FT_EFAIL;
	if (rc > 0)
		rc = chat_add(c, tools, path, text.data ? (const char *)text.data : "", text.len);
	ft_buf_free(&text);
	free(path);
	return rc;
}

static int add_text(struct ft_chat *c, const char *path, const json_t *v, bool tools)
{
	if (!json_is_string(v))
		return ft_fail(FT_EFORMAT, "%s: chat_template must be a text, or a list of named texts", path);
	char *name = ft_format("%s: chat_template%s", path, tools ? " (tool_use)" : "");
	int rc = name ? chat_add(c, tools, name, json_string_value(v), json_string_length(v)) : FT_EFAIL;
	free(name);
	return rc;
}

/* chat_template of tokenizer_config.json: a text, or [{"name": …, "template": …}, …]. */
static int add_member(struct ft_chat *c, const char *path, const json_t *config)
{
	const json_t *v = ft_json_get(config, "chat_template"), *one;
	size_t i;
	int rc = FT_OK;
	if (!v)
		return FT_OK;
	if (json_typeof(v) != JSON_ARRAY)
		return add_text(c, path, v, false);
	json_array_foreach((json_t *)v, i, one) {
		const char *name = json_string_value(json_object_get(one, "name"));
		bool tools = name && strcmp(name, "tool_use") == 0, own = name && strcmp(name, "default") == 0;
		if (rc == FT_OK && (tools || own) && !chat_has(c, tools))
			rc = add_text(c, path, json_object_get(one, "template"), tools);
	}
	return rc;
}

/* Special tokens are given as texts or as {"content": …}. */
static int add_tokens(json_t *tokens, const json_t *config)
{
	const char *key;
	json_t *v;
	int rc = FT_OK;
	json_object_foreach((json_t *)config, key, v) {
		size_t n = strlen(key);
		json_t *text = json_is_object(v) ? json_object_get(v, "content") : v;
		if (n > 6 && strcmp(key + n - 6, "_token") == 0 && json_is_string(text))
			rc = rc < 0 ? rc : ft_json_set(tokens, key, json_incref(text));
	}
	return rc;
}

/* The object in a JSON file; NULL with *rc FT_OK where there is none. */
static json_t *load(const char *path, int *rc)
{
	struct ft_buf text = { 0 };
	json_t *v = NULL;
	*rc = read_text(path, &text);
	if (*rc > 0) {
		v = ft_json_parse(path, text.data ? (const char *)text.data : "", text.len);
		*rc = v ? FT_OK : ft_last_error();
	}
	ft_buf_free(&text);
	return v;
}

/* special_tokens_map.json is older: what tokenizer_config.json says holds. */
static int add_config(struct ft_chat *c, const char *dir, json_t *tokens)
{
	static const char *const files[] = { "special_tokens_map.json", "tokenizer_config.json" };
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < sizeof files / sizeof *files; i++) {
		char *path = ft_format("%s/%s", dir, files[i]);
		json_t *config = path ? load(path, &rc) : NULL;
		rc = path ? rc : FT_EFAIL;
		if (rc == FT_OK && config)
			rc = add_tokens(tokens, config);
		if (rc == FT_OK && config && i == 1 && !chat_has(c, false))
			rc = add_member(c, path, config);
		json_decref(config);
		free(path);
	}
	return rc;
}

static int add_folder(struct ft_chat *c, const char *dir, json_t *tokens)
{
	int rc = add_file(c, dir, "chat_template.jinja", false);
	rc = rc < 0 ? rc : add_file(c, dir, "additional_chat_templates/tool_use.jinja", true);
	return rc < 0 ? rc : add_config(c, dir, tokens);
}

struct ft_chat *ft_chat_of_dir(const char *dir)
{
	struct ft_chat *c = chat_empty();
	json_t *tokens = json_object();
	int rc = c && tokens ? FT_OK : ft_fail_memory(sizeof *tokens);
	if (rc == FT_OK)
		rc = ft_gguf_named(dir) ? chat_add_gguf(c, dir, tokens) : add_folder(c, dir, tokens);
	if (rc == FT_OK && !chat_has(c, false))
		rc = ft_fail(FT_EFORMAT,
		             "%s: no chat template (chat_template.jinja, chat_template in tokenizer_config.json, or "
		             "tokenizer.chat_template of a GGUF file)",
		             dir);
	if (c)
		chat_give_tokens(c, tokens);
	else
		json_decref(tokens);
	if (rc < 0) {
		ft_chat_free(c);
		return NULL;
	}
	return c;
}
