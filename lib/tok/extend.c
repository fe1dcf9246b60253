/* extend.c - tokens that are added to a tokenizer.json: the text that it then has, and the tokenizer of that. */
#include "ft/err.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- where added_tokens ends, in a text that is known to be a JSON object ---- */

static const char *skip_string(const char *p)
{
	for (p++; *p != '"'; p++)
		p += *p == '\\';
	return p;
}

/* The bracket that closes the one at p, or the next at depth 0 where p has none. */
static const char *closing(const char *p)
{
	int depth = 0;
	for (;; p++) {
		if (*p == '"')
			p = skip_string(p);
		else if (*p == '[' || *p == '{')
			depth++;
		else if ((*p == ']' || *p == '}') && --depth <= 0)
			return p;
	}
}

/* The value of the member `key` of the object at p, or NULL. */
static const char *find_member(const char *p, const char *key)
{
	size_t n = strlen(key);
	for (p++; *p != '}'; p++) {
		if (*p == '[' || *p == '{')
			p = closing(p);
		if (*p != '"')
			continue;
		const char *name = p + 1, *colon;
		p = skip_string(p);
		colon = p + 1 + strspn(p + 1, " \t\r\n");
		if (*colon != ':' || (size_t)(p - name) != n || memcmp(name, key, n) != 0)
			continue;
		return colon + 1 + strspn(colon + 1, " \t\r\n");
	}
	return NULL;
}

/* ---- the new text ---- */

/* As transformers' add_tokens() makes them: looked for in normalised text, and not special. */
static int put_token(struct ft_buf *b, const char *token, size_t id, bool first)
{
	json_t *v = json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id, "content", token, "single_word",
	                      0, "lstrip", 0, "rstrip", 0, "normalized", 1, "special", 0);
	char *text = v ? ft_json_dumps(v, JSON_COMPACT) : NULL;
	int rc = text ? ft_buf_printf(b, "%s%s", first ? "" : ",", text) : ft_fail(FT_EFAIL, "out of memory for a token");
	free(text);
	json_decref(v);
	return rc;
}

static int put_tokens(struct ft_buf *b, const struct ft_tok *t, const json_t *tokens, bool first)
{
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < json_array_size(tokens); i++) {
		const char *token = json_string_value(json_array_get(tokens, i));
		if (!token || !*token || strlen(token) != json_string_length(json_array_get(tokens, i)))
			return ft_fail(FT_EFORMAT, "tokens: number %zu is no text", i);
		if (ft_tok_id(t, token) >= 0)
			return ft_fail(FT_EUSAGE, "'%s' is a token already", token);
		rc = put_token(b, token, ft_tok_size(t) + i, first && i == 0);
	}
	return rc;
}

static int extend(const char *text, const struct ft_tok *t, const json_t *tokens, struct ft_buf *out)
{
	const char *object = strchr(text, '{'), *value = find_member(object, "added_tokens");
	bool array = value && *value == '[';
	const char *at = array ? closing(value) : value ? value : object + 1;
	bool first = !array || value + 1 + strspn(value + 1, " \t\r\n") == at;
	int rc = ft_buf_append(out, text, (size_t)(at - text));
	rc = rc || array ? rc : ft_buf_printf(out, value ? "[" : "\"added_tokens\":[");
	rc = rc ? rc : put_tokens(out, t, tokens, first);
	rc = rc || array ? rc : ft_buf_printf(out, value ? "]" : "],");
	at += value && !array ? strlen("null") : 0;
	return rc ? rc : ft_buf_append(out, at, strlen(at));
}

int ft_tok_json_add(const char *dir, const json_t *tokens, struct ft_buf *out)
{
	struct ft_buf text = { 0 };
	bool missing = true;
	char *path = ft_format("%s/%s", dir, ft_tok_files[0]);
	int rc = path ? tok_read_file(path, &text, &missing) : FT_EFAIL;
	if (rc == FT_OK && missing)
		rc = ft_fail(FT_EUSAGE, "%s: has no %s, which is what tokens can be added to", dir, ft_tok_files[0]);
	struct ft_tok *t = rc == FT_OK ? ft_tok_open(dir) : NULL;
	rc = rc ? rc : t ? ft_buf_append(&text, "", 1) : ft_last_error();
	if (rc == FT_OK && t->vocab.ids != t->vocab.count) /* readers count tokens, and would take an id that is there */
		rc = ft_fail(FT_EUSAGE, "%s: %zu tokens have ids up to %zu: where some are left out none can be added", path,
		             t->vocab.count, t->vocab.ids - 1);
	rc = rc ? rc : extend((const char *)text.data, t, tokens, out);
	ft_tok_free(t);
	ft_buf_free(&text);
	free(path);
	return rc;
}

struct ft_tok *ft_tok_open_with(const char *dir, const json_t *tokens)
{
	struct ft_buf text = { 0 };
	struct ft_tok *t = NULL;
	if (!tokens)
		return ft_tok_open(dir);
	if (ft_tok_json_add(dir, tokens, &text) == FT_OK)
		t = tok_open(dir, &text, NULL);
	ft_buf_free(&text);
	return t;
}
