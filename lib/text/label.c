/* label.c - what a row's label says: a class, a set of labels, or numbers. */
#include "ft/err.h"
#include "ft/utf8.h"
#include "priv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ft_labels {
	enum ft_task task;
	json_t *index;    /* {name: index}: jansson's hash table */
	size_t count;     /* names, or numbers of a row */
	char *known;      /* the names, for a message */
};

/* ---- the names ---- */

static int add_name(json_t *names, const char *option, const char *p, size_t n)
{
	json_t *name = n ? json_stringn(p, n) : NULL;
	if (!n || (!name && ft_utf8_invalid(p, n)))
		return ft_fail(FT_EUSAGE, "--%s: %s", option, n ? "a name is not UTF-8" : "an empty name");
	return ft_json_append(names, name);
}

static int names_of_file(json_t *names, const char *option, const char *path)
{
	const struct ft_text_options o = { .format = FT_TEXT_LINES };
	struct ft_text *t = ft_text_open(path, &o);
	struct ft_row row;
	int rc = t ? 1 : ft_last_error();
	while (rc > 0 && (rc = ft_text_next(t, &row)) > 0)
		if (row.text.n)
			rc = add_name(names, option, row.text.p, row.text.n) < 0 ? ft_last_error() : 1;
	ft_text_close(t);
	return rc;
}

json_t *ft_label_list(const char *option, const char *value)
{
	json_t *names = json_array();
	int rc = FT_OK;
	if (!names)
		return ft_fail(FT_EFAIL, "out of memory for labels"), NULL;
	if (value[0] == '@' || (!strchr(value, ',') && access(value, R_OK) == 0)) {
		rc = names_of_file(names, option, value + (value[0] == '@'));
	} else {
		for (const char *p = value; rc == FT_OK; p++) {
			size_t n = strcspn(p, ",");
			rc = add_name(names, option, p, n);
			p += n;
			if (!*p)
				break;
		}
	}
	for (size_t i = 0; rc == FT_OK && i < json_array_size(names); i++)
		for (size_t k = 0; k < i && rc == FT_OK; k++)
			if (json_equal(json_array_get(names, i), json_array_get(names, k)))
				rc = ft_fail(FT_EUSAGE, "--%s: '%s' stands twice", option,
				             json_string_value(json_array_get(names, i)));
	if (rc == FT_OK && !json_array_size(names))
		rc = ft_fail(FT_EUSAGE, "--%s: '%s' holds no names", option, value);
	if (rc == FT_OK)
		return names;
	json_decref(names);
	return NULL;
}

/* ---- looking up ---- */

/* "neg, pos, …" within some 200 bytes. */
static char *list_names(const json_t *names)
{
	struct ft_buf b = { 0 };
	size_t i;
	json_t *v;
	int rc = ft_buf_reserve(&b, 1);
	json_array_foreach((json_t *)names, i, v) {
		bool full = b.len > 200;
		if (rc == FT_OK)
			rc = ft_buf_printf(&b, "%s%s", i ? ", " : "", full ? "…" : json_string_value(v));
		if (full)
			break;
	}
	char *text = rc == FT_OK ? ft_strndup((char *)b.data, b.len) : NULL;
	ft_buf_free(&b);
	return text;
}

static int index_names(struct ft_labels *l, const json_t *names)
{
	size_t i;
	json_t *v;
	l->count = json_array_size(names);
	l->index = json_object();
	if (!l->index)
		return ft_fail(FT_EFAIL, "out of memory for labels");
	json_array_foreach((json_t *)names, i, v) {
		const char *name = json_string_value(v);
		if (!name)
			return ft_fail(FT_EFORMAT, "labels: entry %zu is not a string", i);
		if (json_object_get(l->index, name))
			return ft_fail(FT_EFORMAT, "labels: '%s' stands twice", name);
		if (json_object_set_new(l->index, name, json_integer((json_int_t)i)) < 0)
			return ft_fail(FT_EFAIL, "out of memory for labels");
	}
	l->known = list_names(names);
	if (!l->known)
		return FT_EFAIL;
	return l->count ? FT_OK : ft_fail(FT_EFORMAT, "labels: there are none");
}

struct ft_labels *ft_labels_new(enum ft_task task, const json_t *names, size_t outputs)
{
	struct ft_labels *l = ft_alloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->task = task;
	l->count = outputs;
	if (task == FT_TASK_REGRESS || index_names(l, names) == FT_OK)
		return l;
	ft_labels_free(l);
	return NULL;
}

void ft_labels_free(struct ft_labels *l)
{
	if (!l)
		return;
	json_decref(l->index);
	free(l->known);
	free(l);
}

int32_t label_find(const struct ft_labels *l, const char *name, size_t n)
{
	const json_t *v = json_object_getn(l->index, name, n);
	return v ? (int32_t)json_integer_value(v) : -1;
}

size_t label_count(const struct ft_labels *l)
{
	return l->count;
}

const char *label_names(const struct ft_labels *l)
{
	return l->known;
}

__attribute__((format(printf, 2, 3)))
static int fail(const struct ft_row *row, const char *fmt, ...)
{
	char reason[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	return ft_fail(FT_EFORMAT, "%.*s: %s", (int)row->src.n, row->src.p, reason);
}

static int find(const struct ft_labels *l, const struct ft_row *row, const char *name, size_t n, int32_t *index)
{
	*index = label_find(l, name, n);
	if (*index < 0)
		return fail(row, "unknown label '%.*s'; known: %s", (int)(n < 100 ? n : 100), name, l->known);
	return FT_OK;
}

/* A name in JSON: a string, or how a whole number or a boolean is written. */
static int find_json(const struct ft_labels *l, const struct ft_row *row, const json_t *v, int32_t *index)
{
	char text[32];
	switch (json_typeof(v)) {
	case JSON_STRING: return find(l, row, json_string_value(v), json_string_length(v), index);
	case JSON_INTEGER: snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(v)); break;
	case JSON_TRUE: strcpy(text, "true"); break;
	case JSON_FALSE: strcpy(text, "false"); break;
	default: return fail(row, "the label is not a name");
	}
	return find(l, row, text, strlen(text), index);
}

/* ---- sets of labels ---- */

static int set_label(float *targets, int32_t index)
{
	targets[index] = 1.0f;
	return FT_OK;
}

static int read_set_json(const struct ft_labels *l, const struct ft_row *row, const json_t *array, float *targets)
{
	size_t i;
	json_t *v;
	int32_t index = 0;
	json_array_foreach((json_t *)array, i, v) {
		int rc = find_json(l, row, v, &index);
		if (rc < 0)
			return rc;
		set_label(targets, index);
	}
	return FT_OK;
}

/* "a,b": of names that are not JSON, since those would begin with '['. */
static int read_set_text(const struct ft_labels *l, const struct ft_row *row, float *targets)
{
	const char *at = row->label.p, *end = at + row->label.n;
	int32_t index = 0;
	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
		while (at < stop && *at == ' ')
			at++;
		size_t n = (size_t)(stop - at);
		while (n && at[n - 1] == ' ')
			n--;
		int rc = find(l, row, at, n, &index);
		if (rc < 0)
			return rc;
		set_label(targets, index);
		at = stop + 1;
	}
	return FT_OK;
}

/* ---- numbers ---- */

static int set_number(const struct ft_row *row, double x, float *target)
{
	*target = (float)x;
	return isfinite(*target) ? FT_OK : fail(row, "the label is not a finite number");
}

static int read_numbers_json(const struct ft_labels *l, const struct ft_row *row, const json_t *v, float *targets)
{
	size_t n = json_is_array(v) ? json_array_size(v) : 1;
	if (n != l->count)
		return fail(row, "the label has %zu number%s where %zu are expected", n, n == 1 ? "" : "s", l->count);
	for (size_t i = 0; i < n; i++) {
		const json_t *x = json_is_array(v) ? json_array_get(v, i) : v;
		if (!json_is_number(x))
			return fail(row, "the label is not a number");
		int rc = set_number(row, json_number_value(x), &targets[i]);
		if (rc < 0)
			return rc;
	}
	return FT_OK;
}

static int read_number_text(const struct ft_labels *l, const struct ft_row *row, float *targets)
{
	char text[64], *end = text;
	if (row->label.n < sizeof text && row->label.n) {
		memcpy(text, row->label.p, row->label.n);
		text[row->label.n] = '\0';
		double x = strtod(text, &end);
		if (end != text && !*end)
			return l->count == 1 ? set_number(row, x, targets)
			                     : fail(row, "the label has 1 number where %zu are expected", l->count);
	}
	return fail(row, "the label '%.*s' is not a number", (int)(row->label.n < 60 ? row->label.n : 60),
	            row->label.p);
}

/* ---- rows ---- */

/* v: of a label that is no text; or NULL. */
static int read_value(const struct ft_labels *l, const struct ft_row *row, const json_t *v, int32_t *index,
                      float *targets)
{
	if (l->task == FT_TASK_REGRESS)
		return v ? read_numbers_json(l, row, v, targets) : read_number_text(l, row, targets);
	if (l->task == FT_TASK_MULTILABEL) {
		memset(targets, 0, l->count * sizeof *targets);
		if (json_is_array(v))
			return read_set_json(l, row, v, targets);
		if (!v)
			return read_set_text(l, row, targets);
		int rc = find_json(l, row, v, index);
		return rc < 0 ? rc : set_label(targets, *index);
	}
	return v ? find_json(l, row, v, index) : find(l, row, row->label.p, row->label.n, index);
}

int ft_labels_read(struct ft_labels *l, const struct ft_row *row, int32_t *index, float *targets)
{
	if (!row->label.p && !row->json)
		return fail(row, "has no label; --format says how it is written, --no-labels reads texts alone");
	/* In TSV and CSV an array is written as JSON. */
	bool array = !row->json && l->task != FT_TASK_CLASSIFY && row->label.n && row->label.p[0] == '[';
	if (!array)
		return read_value(l, row, json_is_string(row->json) ? NULL : row->json, index, targets);
	char where[256];
	snprintf(where, sizeof where, "%.*s: label", (int)row->src.n, row->src.p);
	json_t *v = ft_json_parse(where, row->label.p, row->label.n);
	int rc = v ? read_value(l, row, v, index, targets) : ft_last_error();
	json_decref(v);
	return rc;
}
