/* predict.c - from logits to probabilities, and their text in JSON. */
#include "ft/err.h"
#include "ft/metric.h"
#include "ft/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

size_t ft_argmax(const float *v, size_t n)
{
	size_t top = 0;
	for (size_t i = 1; i < n; i++)
		if (v[i] > v[top])
			top = i;
	return top;
}

void ft_probabilities(enum ft_task task, const float *logits, size_t n, float *out)
{
	if (task == FT_TASK_CLASSIFY || task == FT_TASK_TAG) {
		double top = n ? (double)logits[ft_argmax(logits, n)] : 0.0, sum = 0.0;
		for (size_t i = 0; i < n; i++)
			sum += exp((double)logits[i] - top);
		for (size_t i = 0; i < n; i++)
			out[i] = (float)(exp((double)logits[i] - top) / sum);
		return;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = task == FT_TASK_MULTILABEL ? (float)(1.0 / (1.0 + exp(-(double)logits[i]))) : logits[i];
}

/* ---- numbers: vectors are hundreds of them a row, and printf is too slow ---- */

#define DIGITS 9
#define FLOAT_BYTES 20 /* room for one: "-0.0000123456789" is the longest */

/* Writes `digits` digits of v at p. */
static void put_digits(char *p, uint32_t v, int digits)
{
	for (int i = digits - 1; i >= 0; i--) {
		p[i] = (char)('0' + v % 10);
		v /= 10;
	}
}

/* v at p with 9 significant digits, trailing zeros left out. Returns the length. */
static size_t write_float(char *p, float v)
{
	static const double scale[] = { 1e13, 1e12, 1e11, 1e10, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0 };
	static const double least[] = { 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8 };
	char *start = p, digit[DIGITS + 1];
	double x = fabs((double)v);
	if (x == 0.0) {
		*p = '0';
		return 1;
	}
	if (!isfinite(x))
		return (size_t)snprintf(p, FLOAT_BYTES, "null");
	if (x < 1e-5 || x >= 1e8)
		return (size_t)snprintf(p, FLOAT_BYTES, "%.9g", (double)v);
	int power = 0; /* x is in [10^(power - 5), 10^(power - 4)) */
	while (power < 13 && x >= least[power])
		power++;
	/* One rounding of the product, far below half of the ninth digit. */
	uint32_t digits = (uint32_t)(x * scale[power] + 0.5);
	if (digits >= 1000000000) {
		digits /= 10;
		power++;
	}
	put_digits(digit, digits, DIGITS);
	int kept = DIGITS, whole = power - 4; /* digits before the point, when positive */
	while (kept > 1 && digit[kept - 1] == '0')
		kept--;
	if (v < 0)
		*p++ = '-';
	if (whole <= 0) {
		memcpy(p, "0.0000", 6);
		p += 2 - whole;
		memcpy(p, digit, DIGITS);
		return (size_t)(p + kept - start);
	}
	memcpy(p, digit, DIGITS);
	if (kept <= whole)
		return (size_t)(p + whole - start);
	p[whole] = '.';
	memcpy(p + whole + 1, digit + whole, (size_t)(DIGITS - whole));
	return (size_t)(p + kept + 1 - start);
}

int ft_put_float(struct ft_buf *b, float v)
{
	int rc = ft_buf_reserve(b, FLOAT_BYTES);
	if (rc == FT_OK)
		b->len += write_float((char *)b->data + b->len, v);
	return rc;
}

int ft_put_floats(struct ft_buf *b, const float *v, size_t n)
{
	size_t bytes;
	if (!ft_mul(n, FLOAT_BYTES + 1, &bytes) || !ft_add(bytes, 2, &bytes))
		return ft_fail_memory(n);
	int rc = ft_buf_reserve(b, bytes);
	if (rc < 0)
		return rc;
	char *p = (char *)b->data + b->len;
	*p++ = '[';
	for (size_t i = 0; i < n; i++) {
		if (i)
			*p++ = ',';
		p += write_float(p, v[i]);
	}
	*p++ = ']';
	b->len = (size_t)(p - (char *)b->data);
	return FT_OK;
}

/* ---- strings ---- */

/* Writes one code point that begins at s, of n bytes there. Returns the bytes
 * it took of s; out (room for 6) and *len get what stands for it in JSON. */
static size_t escape(const char *s, size_t n, char *out, size_t *len)
{
	unsigned char c = (unsigned char)*s;
	static const char from[] = "\"\\\n\t\r\b\f";
	if (c >= 0x80) {
		int32_t point;
		size_t used = ft_utf8_get(s, n, &point, NULL);
		*len = ft_utf8_put(point, out);
		return used;
	}
	const char *named = memchr(from, c, sizeof from - 1);
	if (named) {
		out[0] = '\\';
		out[1] = "\"\\ntrbf"[named - from];
		*len = 2;
		return 1;
	}
	if (c < 0x20) {
		char text[7];
		*len = (size_t)snprintf(text, sizeof text, "\\u%04x", c);
		memcpy(out, text, *len);
		return 1;
	}
	*out = (char)c;
	*len = 1;
	return 1;
}

int ft_put_string(struct ft_buf *b, const char *s, size_t n)
{
	size_t bytes;
	if (!ft_mul(n, 6, &bytes) || !ft_add(bytes, 2, &bytes))
		return ft_fail_memory(n);
	int rc = ft_buf_reserve(b, bytes);
	if (rc < 0)
		return rc;
	b->data[b->len++] = '"';
	for (size_t i = 0, len; i < n; b->len += len)
		i += escape(s + i, n - i, (char *)b->data + b->len, &len);
	b->data[b->len++] = '"';
	return FT_OK;
}

/* ---- labels ---- */

json_t *ft_label_names(const struct ft_model *m, int *err)
{
	size_t n = ft_model_outputs(m);
	if (ft_task_of_words(ft_model_task(m)) || n == 0 || !ft_model_label(m, 0))
		return NULL;
	json_t *names = json_array();
	for (size_t i = 0; i < n; i++) {
		if (json_array_append_new(names, json_string(ft_model_label(m, i))) == 0)
			continue;
		*err = ft_fail(FT_EFAIL, "out of memory for the labels");
		json_decref(names);
		return NULL;
	}
	return names;
}

int ft_put_label(struct ft_buf *b, const json_t *labels, size_t i)
{
	const json_t *name = json_array_get(labels, i);
	if (!name)
		return ft_buf_printf(b, "%zu", i);
	return ft_put_string(b, json_string_value(name), json_string_length(name));
}

int ft_put_labels(struct ft_buf *b, const json_t *labels, const float *p, size_t n, const double *least)
{
	int rc = ft_buf_append(b, "[", 1);
	for (size_t i = 0, count = 0; i < n && rc == FT_OK; i++) {
		if ((double)p[i] < (least ? least[i] : 0.5))
			continue;
		rc = count++ ? ft_buf_append(b, ",", 1) : FT_OK;
		if (rc == FT_OK)
			rc = ft_put_label(b, labels, i);
	}
	return rc == FT_OK ? ft_buf_append(b, "]", 1) : rc;
}

int ft_put_probabilities(struct ft_buf *b, const json_t *labels, const float *p, size_t n)
{
	if (json_array_size(labels) != n)
		return ft_put_floats(b, p, n);
	int rc = FT_OK;
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		rc = ft_buf_append(b, i ? "," : "{", 1);
		if (rc == FT_OK)
			rc = ft_put_label(b, labels, i);
		if (rc == FT_OK)
			rc = ft_buf_append(b, ":", 1);
		if (rc == FT_OK)
			rc = ft_put_float(b, p[i]);
	}
	return rc == FT_OK ? ft_buf_append(b, "}", 1) : rc;
}

/* ---- predictions ---- */

static int put(struct ft_buf *b, const char *text)
{
	return ft_buf_append(b, text, strlen(text));
}

static int put_class(struct ft_buf *b, const json_t *labels, const float *p, size_t n, size_t top)
{
	int rc = put(b, "\"label\":");
	if (rc == FT_OK)
		rc = ft_put_label(b, labels, top);
	if (rc == FT_OK)
		rc = put(b, ",\"score\":");
	if (rc == FT_OK)
		rc = ft_put_float(b, p[top]);
	if (rc == FT_OK)
		rc = put(b, ",\"probabilities\":");
	return rc == FT_OK ? ft_put_probabilities(b, labels, p, n) : rc;
}

static int put_set(struct ft_buf *b, const json_t *labels, const float *p, size_t n, const double *least)
{
	int rc = put(b, "\"labels\":");
	if (rc == FT_OK)
		rc = ft_put_labels(b, labels, p, n, least);
	if (rc == FT_OK)
		rc = put(b, ",\"probabilities\":");
	return rc == FT_OK ? ft_put_probabilities(b, labels, p, n) : rc;
}

static int put_values(struct ft_buf *b, const float *v, size_t n)
{
	int rc = put(b, n == 1 ? "\"value\":" : "\"values\":");
	if (rc == FT_OK)
		rc = n == 1 ? ft_put_float(b, *v) : ft_put_floats(b, v, n);
	return rc;
}

int ft_put_prediction(struct ft_buf *b, enum ft_task task, const json_t *labels, const float *logits, size_t n,
                      const double *least, float *scratch)
{
	ft_probabilities(task, logits, n, scratch);
	switch (task) {
	case FT_TASK_CLASSIFY: return put_class(b, labels, scratch, n, ft_argmax(logits, n));
	case FT_TASK_MULTILABEL: return put_set(b, labels, scratch, n, least);
	default: return put_values(b, logits, n);
	}
}
