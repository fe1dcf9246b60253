/* json.c - jansson with our errors. */
#include "ft/json.h"
#include "ft/err.h"
#include "ft/mem.h"
#include "ft/file.h"
#include "ft/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_FLAGS (JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

/* Where the number that begins at text[i] ends; `*whole`: it has neither fraction nor exponent. */
static size_t number_end(const char *text, size_t i, size_t n, bool *whole)
{
	for (*whole = true; i < n && (isdigit((unsigned char)text[i]) || memchr("+-.eE", text[i], 5)); i++)
		*whole = *whole && !memchr(".eE", text[i], 3);
	return i;
}

/* Copies the text, with ".0" behind whole numbers that do not fit 64 bits. */
static int mark_long(struct ft_buf *out, const char *text, size_t n)
{
	bool quoted = false, whole = false;
	int rc = FT_OK;
	for (size_t i = 0, end; rc == FT_OK && i < n; i = end) {
		bool number = !quoted && (text[i] == '-' || isdigit((unsigned char)text[i]));
		end = number ? number_end(text, i, n, &whole) : i + 1;
		if (quoted && text[i] == '\\' && end < n)
			end++;
		else if (text[i] == '"')
			quoted = !quoted;
		rc = ft_buf_append(out, text + i, end - i);
		errno = 0;
		if (rc == FT_OK && number && whole && end < n && (strtoll(text + i, NULL, 10), errno == ERANGE))
			rc = ft_buf_append(out, ".0", 2);
	}
	return rc;
}

/* jansson refuses whole numbers beyond 64 bits, and transformers writes one for
 * "no limit": these are read as reals. */
static json_t *decode(const char *text, size_t n, json_error_t *e, bool *no_memory)
{
	json_t *v = ft_json_decode(text, n, LOAD_FLAGS, e, no_memory);
	if (v || json_error_code(e) != json_error_numeric_overflow)
		return v;
	struct ft_buf marked = { 0 };
	*no_memory = mark_long(&marked, text, n) < 0;
	if (!*no_memory)
		v = ft_json_decode((const char *)marked.data, marked.len, LOAD_FLAGS, e, no_memory);
	ft_buf_free(&marked);
	return v;
}

/* The whole file; 0, or fails. */
static int read_file(struct ft_buf *b, const char *path)
{
	FILE *f = fopen(path, "rb");
	int rc = f ? FT_OK : ft_fail_errno("%s", path);
	for (size_t n = 1; rc == FT_OK && n;) {
		rc = ft_buf_reserve(b, 1 << 16);
		n = rc == FT_OK ? fread(b->data + b->len, 1, 1 << 16, f) : 0;
		b->len += n;
		if (rc == FT_OK && !n && ferror(f))
			rc = ft_fail_errno("%s", path);
	}
	if (f)
		fclose(f);
	return rc;
}

json_t *ft_json_load(const char *path)
{
	struct ft_buf text = { 0 };
	json_error_t e;
	json_t *v = NULL;
	bool no_memory;
	if (read_file(&text, path) == FT_OK) {
		v = decode((const char *)text.data, text.len, &e, &no_memory);
		if (!v && no_memory)
			ft_fail(FT_EFAIL, "%s: out of memory", path);
		else if (!v)
			ft_fail(FT_EFORMAT, "%s:%d:%d: %s", path, e.line, e.column, e.text);
	}
	ft_buf_free(&text);
	return v;
}

json_t *ft_json_parse(const char *where, const char *text, size_t n)
{
	json_error_t e;
	bool no_memory;
	json_t *v = decode(text, n, &e, &no_memory);
	if (!v && no_memory)
		ft_fail(FT_EFAIL, "%s: out of memory", where);
	else if (!v)
		ft_fail(FT_EFORMAT, "%s: %s (line %d, column %d)", where, e.text, e.line, e.column);
	return v;
}

char *ft_json_dumps(const json_t *v, size_t flags)
{
	char *text = json_dumps(v, flags);
	if (text && !ft_json_incomplete())
		return text;
	free(text);
	ft_fail(FT_EFAIL, "out of memory while writing JSON");
	return NULL;
}

int ft_json_save(const char *path, const json_t *v)
{
	char *text = ft_json_dumps(v, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
	if (!text)
		return ft_context(FT_EFAIL, "%s", path);
	struct ft_outfile *f = ft_outfile_open(path);
	int rc = f ? ft_write_all(ft_outfile_fd(f), text, strlen(text), path) : ft_last_error();
	if (rc == FT_OK)
		rc = ft_write_all(ft_outfile_fd(f), "\n", 1, path);
	if (rc == FT_OK)
		rc = ft_outfile_commit(f);
	ft_outfile_free(f);
	free(text);
	return rc;
}

char *ft_json_text(const json_t *v)
{
	return ft_json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
}

int ft_json_set(json_t *obj, const char *key, json_t *value_taken)
{
	return json_object_set_new(obj, key, value_taken) < 0 ? ft_fail(FT_EFAIL, "out of memory for '%s'", key) : FT_OK;
}

int ft_json_append(json_t *array, json_t *value_taken)
{
	return json_array_append_new(array, value_taken) < 0 ? ft_fail(FT_EFAIL, "out of memory for a list") : FT_OK;
}

int ft_json_no_string(const char *text, int code, const char *fmt, ...)
{
	char why[1000];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	if (ft_utf8_invalid(text, strlen(text)))
		return ft_fail(code, "%s", why);
	return ft_fail(FT_EFAIL, "out of memory for a text");
}

json_t *ft_json_get(const json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);
	return json_is_null(v) ? NULL : v;
}

/* The member when it is there and not null; sets *err unless it has a type
 * for which `right` holds. */
static const json_t *member(const json_t *obj, const char *key, const char *type, int *err, int right(const json_t *))
{
	const json_t *v = ft_json_get(obj, key);
	if (!v || right(v))
		return v;
	int rc = ft_fail(FT_EFORMAT, "%s: must be %s", key, type);
	if (err)
		*err = rc;
	return NULL;
}

static int is_int(const json_t *v) { return json_is_integer(v); }
static int is_number(const json_t *v) { return json_is_number(v); }
static int is_bool(const json_t *v) { return json_is_boolean(v); }
static int is_string(const json_t *v) { return json_is_string(v); }

int64_t ft_json_int(const json_t *obj, const char *key, int64_t absent, int *err)
{
	const json_t *v = member(obj, key, "a whole number", err, is_int);
	return v ? json_integer_value(v) : absent;
}

double ft_json_real(const json_t *obj, const char *key, double absent, int *err)
{
	const json_t *v = member(obj, key, "a number", err, is_number);
	return v ? json_number_value(v) : absent;
}

bool ft_json_bool(const json_t *obj, const char *key, bool absent, int *err)
{
	const json_t *v = member(obj, key, "true or false", err, is_bool);
	return v ? json_is_true(v) : absent;
}

const char *ft_json_str(const json_t *obj, const char *key, const char *absent, int *err)
{
	const json_t *v = member(obj, key, "a string", err, is_string);
	return v ? json_string_value(v) : absent;
}
