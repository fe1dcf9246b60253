/* write.c - records and headers as JSON text.
 *
 * Written straight into a buffer: a batch holds thousands of numbers, and a tree
 * of objects for them would cost twenty times their size.
 */
#include "ft/err.h"
#include "ft/lines.h"
#include "priv.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *key;
	enum ft_dtype dtype;
} bins[] = {
	{ "ids", FT_I32 }, { "types", FT_U8 }, { "labels", FT_I32 }, { "words", FT_I32 },
	{ "offsets", FT_I32 }, { "targets", FT_F32 }, { "shape", FT_I64 }, { "window", FT_I64 },
	{ "size", FT_I64 }, { "teacher", FT_F32 }, { "teacher_ids", FT_I32 }, { "reference", FT_F32 },
};

int lines_dtype(struct ft_span key, int data)
{
	for (size_t i = 0; i < sizeof bins / sizeof *bins; i++)
		if (key.n == strlen(bins[i].key) && !memcmp(key.p, bins[i].key, key.n))
			return bins[i].dtype;
	if (key.n == 4 && !memcmp(key.p, "data", 4) && (data == FT_F32 || data == FT_F16 || data == FT_BF16))
		return data;
	return -1;
}

static int put(struct ft_buf *b, const char *text)
{
	return ft_buf_append(b, text, strlen(text));
}

static int put_string(struct ft_buf *b, const char *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	int rc = ft_buf_reserve(b, 6 * n + 2);

	if (rc < 0)
		return rc;
	b->data[b->len++] = '"';
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '"' || c == '\\') {
			b->data[b->len++] = '\\';
			b->data[b->len++] = c;
		} else if (c < 0x20 || c == 0x7f) {
			memcpy(b->data + b->len, "\\u00", 4);
			b->data[b->len + 4] = (unsigned char)hex[c >> 4];
			b->data[b->len + 5] = (unsigned char)hex[c & 15];
			b->len += 6;
		} else {
			b->data[b->len++] = c;
		}
	}
	b->data[b->len++] = '"';
	return FT_OK;
}

static int put_hex(struct ft_buf *b, const char *name, const void *p, size_t n)
{
	const unsigned char *byte = p;
	int rc = ft_buf_printf(b, "{\"%s\":\"", name);

	for (size_t i = 0; i < n && !rc; i++)
		rc = ft_buf_printf(b, "%02x", byte[i]);
	return rc < 0 ? rc : put(b, "\"}");
}

/* The shortest of %.{from}g .. %.{to}g that reads back as v. A real without a
 * point or an exponent would come back as an integer, and -0 as 0. */
static int put_real(struct ft_buf *b, double v, int from, int to, bool single)
{
	char text[40];

	for (int digits = from; digits <= to; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (single ? (float)strtod(text, NULL) == (float)v : strtod(text, NULL) == v)
			break;
	}
	if (!strpbrk(text, ".en") && (!single || (v == 0 && signbit(v))))
		strcat(text, ".0");
	return put(b, text);
}

static int put_int(struct ft_buf *b, int64_t v)
{
	char text[24], *p = text + sizeof text;
	uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (v < 0)
		*--p = '-';
	return ft_buf_append(b, p, (size_t)(text + sizeof text - p));
}

/* ---- headers ---- */

static int put_array(struct ft_buf *b, const json_t *v)
{
	const json_t *item;
	size_t i;
	int rc = put(b, "[");

	json_array_foreach(v, i, item) {
		if (!rc && i)
			rc = put(b, ",");
		if (!rc)
			rc = ft_lines_json(b, item);
	}
	return rc < 0 ? rc : put(b, "]");
}

static int put_object(struct ft_buf *b, const json_t *v)
{
	const char *key, *comma = "";
	json_t *item;
	int rc = put(b, "{");

	json_object_foreach((json_t *)v, key, item) {
		if (!rc)
			rc = put(b, comma);
		if (!rc)
			rc = put_string(b, key, strlen(key));
		if (!rc)
			rc = put(b, ":");
		if (!rc)
			rc = ft_lines_json(b, item);
		comma = ",";
	}
	return rc < 0 ? rc : put(b, "}");
}

int ft_lines_json(struct ft_buf *b, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_NULL: return put(b, "null");
	case JSON_TRUE: return put(b, "true");
	case JSON_FALSE: return put(b, "false");
	case JSON_INTEGER: return put_int(b, json_integer_value(v));
	case JSON_REAL: return put_real(b, json_real_value(v), 6, 17, false);
	case JSON_STRING: return put_string(b, json_string_value(v), json_string_length(v));
	case JSON_ARRAY: return put_array(b, v);
	case JSON_OBJECT: return put_object(b, v);
	}
	return ft_fail(FT_EFAIL, "a JSON value of no known type");
}

/* ---- records ---- */

static int64_t int_at(const unsigned char *p, enum ft_dtype t)
{
	int32_t narrow;
	int64_t wide;

	if (t == FT_U8)
		return *p;
	if (t == FT_I32) {
		memcpy(&narrow, p, sizeof narrow);
		return narrow;
	}
	memcpy(&wide, p, sizeof wide);
	return wide;
}

static bool all_finite(const unsigned char *p, size_t n, size_t size, enum ft_dtype t)
{
	float v;

	for (size_t i = 0; i < n; i++)
		if (ft_widen(&v, p + i * size, t, 1) < 0 || !isfinite(v))
			return false;
	return true;
}

static int put_numbers(struct ft_buf *b, const unsigned char *p, size_t n, enum ft_dtype t)
{
	bool real = t == FT_F32 || t == FT_F16 || t == FT_BF16;
	size_t size = ft_dtype_size(t);
	int rc = put(b, "[");

	for (size_t i = 0; i < n && !rc; i++) {
		float v;

		if (i)
			rc = put(b, ",");
		if (!rc && real)
			rc = ft_widen(&v, p + i * size, t, 1);
		if (!rc)
			rc = real ? put_real(b, (double)v, 6, 9, true) : put_int(b, int_at(p + i * size, t));
	}
	return rc < 0 ? rc : put(b, "]");
}

static int put_bin(struct ft_buf *b, const struct ft_field *f, int data)
{
	int t = lines_dtype(f->key, data);
	const unsigned char *p = (const unsigned char *)f->bytes.p;
	size_t size = t < 0 ? 1 : ft_dtype_size((enum ft_dtype)t), n = f->bytes.n / size;
	bool real = t == FT_F32 || t == FT_F16 || t == FT_BF16;

	if (t < 0 || f->bytes.n % size || (real && !all_finite(p, n, size, (enum ft_dtype)t)))
		return put_hex(b, "bin", p, f->bytes.n);
	return put_numbers(b, p, n, (enum ft_dtype)t);
}

static int put_strings(struct ft_buf *b, const struct ft_span *v, size_t n)
{
	int rc = put(b, "[");

	for (size_t i = 0; i < n && !rc; i++) {
		if (i)
			rc = put(b, ",");
		if (!rc)
			rc = put_string(b, v[i].p, v[i].n);
	}
	return rc < 0 ? rc : put(b, "]");
}

static int put_field(struct ft_buf *b, const struct ft_field *f, int data)
{
	switch (f->type) {
	case FT_INT: return put_int(b, f->i);
	case FT_REAL:
		if (!isfinite(f->real))
			return put_hex(b, "real", &f->real, sizeof f->real);
		return put_real(b, f->real, 6, 17, false);
	case FT_STR: return put_string(b, f->bytes.p, f->bytes.n);
	case FT_BIN: return put_bin(b, f, data);
	case FT_STRS: return put_strings(b, f->strs, f->nstrs);
	}
	return ft_fail(FT_EFAIL, "a field of no known type");
}

int ft_lines_record(struct ft_buf *b, const struct ft_rec *rec, int data)
{
	int rc = put(b, "{");

	for (size_t i = 0; i < rec->count && !rc; i++) {
		if (i)
			rc = put(b, ",");
		if (!rc)
			rc = put_string(b, rec->field[i].key.p, rec->field[i].key.n);
		if (!rc)
			rc = put(b, ":");
		if (!rc)
			rc = put_field(b, &rec->field[i], data);
	}
	return rc < 0 ? rc : put(b, "}");
}
