/* read.c - JSON lines back into records. */
#include "ft/err.h"
#include "ft/lines.h"
#include "priv.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int fail_key(const char *key, const char *expected)
{
	return ft_fail(FT_EFORMAT, "%s: expected %s", key, expected);
}

/* {"bin": hex} or {"real": hex}: *n bytes into memory of the arena. */
static void *parse_hex(const char *key, const char *name, const json_t *obj, struct ft_arena *a, size_t *n)
{
	const json_t *text = json_object_get(obj, name);
	const char *p = json_string_value(text);
	unsigned char *out;

	if (!p || json_object_size(obj) != 1 || strspn(p, "0123456789abcdef") != json_string_length(text)
	    || json_string_length(text) % 2) {
		fail_key(key, "{\"bin\": \"hex digits\"}");
		return NULL;
	}
	*n = json_string_length(text) / 2;
	out = ft_arena_get(a, *n);
	for (size_t i = 0; out && i < *n; i++) {
		char pair[3] = { p[2 * i], p[2 * i + 1], 0 };

		out[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return out;
}

/* One number into `to`. */
static int store(const char *key, const json_t *v, enum ft_dtype t, unsigned char *to)
{
	json_int_t i = json_integer_value(v);
	int32_t narrow = (int32_t)i;
	int64_t wide = i;
	float real = (float)json_number_value(v);

	switch (t) {
	case FT_U8:
		if (!json_is_integer(v) || i < 0 || i > UINT8_MAX)
			return fail_key(key, "whole numbers from 0 to 255");
		*to = (unsigned char)i;
		return FT_OK;
	case FT_I32:
		if (!json_is_integer(v) || i != narrow)
			return fail_key(key, "whole numbers of 32 bits");
		memcpy(to, &narrow, sizeof narrow);
		return FT_OK;
	case FT_I64:
		if (!json_is_integer(v))
			return fail_key(key, "whole numbers");
		memcpy(to, &wide, sizeof wide);
		return FT_OK;
	default:
		if (!json_is_number(v) || !isfinite(real))
			return fail_key(key, "numbers that 32-bit floating point can hold");
		return ft_narrow(to, &real, t, 1);
	}
}

static int parse_numbers(const char *key, const json_t *v, enum ft_dtype t, struct ft_arena *a,
                         struct ft_rec *rec)
{
	size_t size = ft_dtype_size(t), n = json_array_size(v);
	unsigned char *out = ft_arena_get(a, n * size);

	if (!out)
		return FT_EFAIL;
	for (size_t i = 0; i < n; i++) {
		int rc = store(key, json_array_get(v, i), t, out + i * size);

		if (rc < 0)
			return rc;
	}
	ft_rec_bin(rec, key, out, n * size);
	return FT_OK;
}

static int parse_strings(const char *key, const json_t *v, struct ft_arena *a, struct ft_rec *rec)
{
	size_t n = json_array_size(v);
	struct ft_span *out = ft_arena_get(a, n * sizeof *out);

	if (!out)
		return FT_EFAIL;
	for (size_t i = 0; i < n; i++) {
		const json_t *s = json_array_get(v, i);

		if (!json_is_string(s))
			return fail_key(key, "an array of strings");
		out[i] = (struct ft_span){ json_string_value(s), json_string_length(s) };
	}
	ft_rec_strs(rec, key, out, n);
	return FT_OK;
}

static int parse_object(const char *key, const json_t *v, struct ft_arena *a, struct ft_rec *rec)
{
	bool is_real = json_object_get(v, "real") != NULL;
	size_t n;
	void *p = parse_hex(key, is_real ? "real" : "bin", v, a, &n);
	double real;

	if (!p)
		return ft_last_error();
	if (!is_real) {
		ft_rec_bin(rec, key, p, n);
		return FT_OK;
	}
	if (n != sizeof real)
		return fail_key(key, "16 hex digits");
	memcpy(&real, p, sizeof real);
	ft_rec_real(rec, key, real);
	return FT_OK;
}

static int parse_field(const char *key, const json_t *v, int data, struct ft_arena *a, struct ft_rec *rec)
{
	int t = lines_dtype((struct ft_span){ key, strlen(key) }, data);

	switch (json_typeof(v)) {
	case JSON_INTEGER: ft_rec_int(rec, key, json_integer_value(v)); return FT_OK;
	case JSON_REAL: ft_rec_real(rec, key, json_real_value(v)); return FT_OK;
	case JSON_STRING:
		ft_rec_str(rec, key, (struct ft_span){ json_string_value(v), json_string_length(v) });
		return FT_OK;
	case JSON_OBJECT: return parse_object(key, v, a, rec);
	case JSON_ARRAY:
		if (t >= 0)
			return parse_numbers(key, v, (enum ft_dtype)t, a, rec);
		return parse_strings(key, v, a, rec);
	default: return fail_key(key, "a number, a string or an array");
	}
}

int ft_lines_parse(const json_t *obj, int data, struct ft_arena *a, struct ft_rec *rec)
{
	const char *key;
	json_t *v;

	rec->count = 0;
	if (!json_is_object(obj))
		return ft_fail(FT_EFORMAT, "a record must be an object");
	if (json_object_size(obj) > FT_REC_FIELDS)
		return ft_fail(FT_EFORMAT, "a record of %zu fields; at most %d are allowed", json_object_size(obj),
		               FT_REC_FIELDS);
	json_object_foreach((json_t *)obj, key, v) {
		int rc = parse_field(key, v, data, a, rec);

		if (rc < 0)
			return rc;
	}
	return FT_OK;
}
