/* members.c - walking the members of a JSON object without a tree.
 *
 * A safetensors header may have 100 MB, and a tree of it many times that. So
 * only the borders between the members are found here, by counting brackets
 * outside of strings, and each small piece is then parsed by jansson. Since
 * every piece must be JSON by itself, the whole is JSON too.
 */
#include "ft/err.h"
#include "priv.h"

#include <string.h>

int member_fail(const struct members *it, const char *place, const char *reason)
{
	return ft_fail(FT_EFORMAT, "%s: header: byte %zu: %s", it->file, 8 + (size_t)(place - it->text),
	               reason);
}

static int fail_here(const struct members *it, const char *reason)
{
	return member_fail(it, it->text + it->at, it->at < it->len ? reason : "ends too early");
}

json_t *member_json(const struct members *it, const char *piece, size_t n, size_t flags)
{
	json_error_t e;
	bool no_memory;
	json_t *v = ft_json_decode(piece, n, flags | JSON_DECODE_ANY, &e, &no_memory);
	if (!v && no_memory)
		ft_fail(FT_EFAIL, "%s: out of memory", it->file);
	else if (!v)
		member_fail(it, piece + (e.position > 0 && (size_t)e.position < n ? e.position : 0), e.text);
	return v;
}

struct members members_of(const char *file, const char *text, size_t len, size_t at)
{
	return (struct members){ .file = file, .text = text, .len = len, .at = at };
}

static int peek(const struct members *it)
{
	return it->at < it->len ? (unsigned char)it->text[it->at] : -1;
}

static void skip_space(struct members *it)
{
	while (it->at < it->len && memchr(" \t\r\n", it->text[it->at], 4))
		it->at++;
}

static int skip_string(struct members *it)
{
	for (it->at++; it->at < it->len; it->at++) {
		if (it->text[it->at] == '"') {
			it->at++;
			return FT_OK;
		}
		if (it->text[it->at] == '\\')
			it->at++;
	}
	it->at = it->len;
	return fail_here(it, "");
}

/* An array or object, up to the bracket that brings the depth back to 0. */
static int skip_nested(struct members *it)
{
	size_t depth = 0;
	while (it->at < it->len) {
		char c = it->text[it->at];
		if (c == '"') {
			int rc = skip_string(it);
			if (rc < 0)
				return rc;
			continue;
		}
		it->at++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return FT_OK;
	}
	return fail_here(it, "");
}

static int skip_value(struct members *it)
{
	int c = peek(it);
	if (c < 0 || c == ',' || c == '}' || c == ']')
		return fail_here(it, "a value expected");
	if (c == '"')
		return skip_string(it);
	if (c == '{' || c == '[')
		return skip_nested(it);
	while (it->at < it->len && !memchr(",}] \t\r\n", it->text[it->at], 7))
		it->at++;
	return FT_OK;
}

int members_next(struct members *it, struct member *m)
{
	if (!it->begun)
		it->at++; /* the opening brace */
	skip_space(it);
	if (peek(it) == '}') {
		it->at++;
		return 0;
	}
	if (it->begun) {
		if (peek(it) != ',')
			return fail_here(it, "',' or '}' expected");
		it->at++;
		skip_space(it);
	}
	it->begun = true;
	if (peek(it) != '"')
		return fail_here(it, "a name in quotes expected");
	m->key = it->text + it->at;
	int rc = skip_string(it);
	if (rc < 0)
		return rc;
	m->key_len = (size_t)(it->text + it->at - m->key);
	skip_space(it);
	if (peek(it) != ':')
		return fail_here(it, "':' expected");
	it->at++;
	skip_space(it);
	m->value = it->text + it->at;
	rc = skip_value(it);
	m->value_len = (size_t)(it->text + it->at - m->value);
	return rc < 0 ? rc : 1;
}
