/* safetensors.c - reading a safetensors file: u64 length, JSON header, data.
 *
 * The file is mapped, not read; tensors point into the mapping. Everything the
 * header says is compared with the bytes there are. Stricter than the
 * reference reader where two readers could see two things in one file:
 * duplicate names, unknown fields of an entry and padding other than spaces
 * are refused.
 */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

/* Far above what an entry needs; bounds the JSON tree of one. */
#define ENTRY_MAX ((size_t)1 << 16)

struct ft_safetensors {
	char *file; /* as given, for messages */
	struct filemap map;
	const unsigned char *area; /* the data after the header */
	size_t area_bytes;
	struct ft_stored *item; /* [count], by position in the file */
	size_t count, cap;
	/* [count], sorted: found by bisection, which no choice of names slows. */
	const struct ft_stored **by_name;
	char *names; /* all names, each terminated; never more bytes than the header */
	size_t names_len;
};

static int fail_tensor(const struct ft_safetensors *s, const char *name, const char *reason)
{
	return ft_fail(FT_EFORMAT, "%s: tensor '%.*s': %s", s->file, NAME_SHOWN, name, reason);
}

/* ---- one entry ---- */

static int read_dtype(const struct ft_safetensors *s, struct ft_stored *t, const json_t *v)
{
	if (!json_is_string(v))
		return fail_tensor(s, t->name, v ? "dtype is not a string" : "dtype is missing");
	int dtype = ft_dtype_parse(json_string_value(v), json_string_length(v));
	if (dtype < 0)
		return ft_fail(FT_EFORMAT, "%s: tensor '%.*s': unknown dtype '%.20s'", s->file, NAME_SHOWN,
		               t->name, json_string_value(v));
	t->dtype = (enum ft_dtype)dtype;
	return FT_OK;
}

/* Sets shape and the bytes it needs. */
static int read_shape(const struct ft_safetensors *s, struct ft_stored *t, const json_t *v)
{
	if (!json_is_array(v))
		return fail_tensor(s, t->name, v ? "shape is not an array" : "shape is missing");
	if (json_array_size(v) > FT_RANK)
		return ft_fail(FT_EFORMAT, "%s: tensor '%.*s': %zu dimensions; at most %d are supported",
		               s->file, NAME_SHOWN, t->name, json_array_size(v), FT_RANK);
	bool empty = false, fits = true;
	size_t bytes = ft_dtype_size(t->dtype);
	t->rank = (int)json_array_size(v);
	for (int i = 0; i < t->rank; i++) {
		const json_t *d = json_array_get(v, (size_t)i);
		if (json_typeof(d) != JSON_INTEGER || json_integer_value(d) < 0)
			return fail_tensor(s, t->name, "shape: a dimension is not a whole number from 0");
		t->shape[i] = json_integer_value(d);
		/* A 0 must not hide that the other dimensions overflow. */
		if (t->shape[i] == 0)
			empty = true;
		else
			fits = fits && ft_mul(bytes, (size_t)t->shape[i], &bytes);
	}
	if (!fits)
		return fail_tensor(s, t->name, "shape: the number of bytes overflows");
	t->bytes = empty ? 0 : bytes;
	return FT_OK;
}

static void print_shape(const struct ft_stored *t, char *text, size_t n)
{
	size_t at = 0;
	text[0] = '\0';
	for (int i = 0; i < t->rank && at < n; i++)
		at += (size_t)snprintf(text + at, n - at, "%s%lld", i ? ", " : "", (long long)t->shape[i]);
}

static int read_offsets(const struct ft_safetensors *s, struct ft_stored *t, const json_t *v)
{
	if (!json_is_array(v) || json_array_size(v) != 2)
		return fail_tensor(s, t->name,
		                   v ? "data_offsets is not [begin, end]" : "data_offsets is missing");
	json_int_t offset[2];
	for (size_t i = 0; i < 2; i++) {
		const json_t *o = json_array_get(v, i);
		offset[i] = json_integer_value(o);
		if (json_typeof(o) != JSON_INTEGER || offset[i] < 0)
			return fail_tensor(s, t->name, "data_offsets: not whole numbers from 0");
	}
	char shape[FT_RANK * 24];
	print_shape(t, shape, sizeof shape);
	if (offset[1] < offset[0] || (size_t)(offset[1] - offset[0]) != t->bytes)
		return ft_fail(
			FT_EFORMAT,
			"%s: tensor '%.*s': data_offsets [%lld, %lld] do not match %s [%s] (%zu bytes)",
			s->file, NAME_SHOWN, t->name, (long long)offset[0], (long long)offset[1],
			ft_dtype_name(t->dtype), shape, t->bytes);
	if ((uintmax_t)offset[1] > s->area_bytes)
		return ft_fail(
			FT_EFORMAT,
			"%s: tensor '%.*s': data_offsets [%lld, %lld] lie beyond the %zu bytes of data",
			s->file, NAME_SHOWN, t->name, (long long)offset[0], (long long)offset[1],
			s->area_bytes);
	t->data = s->area + offset[0];
	return FT_OK;
}

static int read_entry(const struct ft_safetensors *s, struct ft_stored *t, json_t *entry)
{
	if (json_typeof(entry) != JSON_OBJECT)
		return fail_tensor(s, t->name, "the entry is not an object");
	const char *key;
	json_t *value;
	json_object_foreach(entry, key, value)
		if (strcmp(key, "dtype") && strcmp(key, "shape") && strcmp(key, "data_offsets"))
			return ft_fail(FT_EFORMAT, "%s: tensor '%.*s': unknown field '%.40s'", s->file,
			               NAME_SHOWN, t->name, key);
	int rc = read_dtype(s, t, json_object_get(entry, "dtype"));
	if (rc == FT_OK)
		rc = read_shape(s, t, json_object_get(entry, "shape"));
	if (rc == FT_OK)
		rc = read_offsets(s, t, json_object_get(entry, "data_offsets"));
	return rc;
}

/* ---- the header ---- */

/* Appends the decoded text of a key to the names; it is never longer than the
 * key's own text with its quotes. NULL on failure. */
static const char *keep_name(struct ft_safetensors *s, const struct members *it, const struct member *m)
{
	json_t *v = member_json(it, m->key, m->key_len, 0);
	if (!v)
		return NULL;
	char *name = s->names + s->names_len;
	memcpy(name, json_string_value(v), json_string_length(v) + 1);
	s->names_len += json_string_length(v) + 1;
	json_decref(v);
	return name;
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Checks that __metadata__ maps strings to strings, or is null, as some writers
 * leave it. The content is not kept. */
static int check_metadata(struct ft_safetensors *s, const struct members *header, const struct member *whole)
{
	if (whole->value_len == 4 && !memcmp(whole->value, "null", 4))
		return FT_OK;
	if (whole->value[0] != '{')
		return member_fail(header, whole->value, "__metadata__ is not an object");
	struct members it = members_of(header->file, header->text, header->len,
	                               (size_t)(whole->value - header->text));
	struct member m;
	const char **keys = NULL;
	size_t count = 0, cap = 0;
	int rc;
	while ((rc = members_next(&it, &m)) > 0) {
		json_t *v = m.value[0] == '"' ? member_json(&it, m.value, m.value_len, JSON_ALLOW_NUL) : NULL;
		if (!v) {
			rc = m.value[0] == '"' ? FT_EFORMAT
			                       : member_fail(&it, m.value, "__metadata__: not a string");
			goto out;
		}
		json_decref(v);
		rc = ft_grow(&keys, &cap, count + 1, sizeof *keys);
		if (rc < 0)
			goto out;
		if (!(keys[count++] = keep_name(s, &it, &m))) {
			rc = ft_last_error();
			goto out;
		}
	}
	if (count)
		qsort(keys, count, sizeof *keys, compare_text);
	for (size_t i = 1; i < count && rc == 0; i++)
		if (!strcmp(keys[i - 1], keys[i]))
			rc = ft_fail(FT_EFORMAT, "%s: __metadata__: '%.*s' appears twice", s->file,
			             NAME_SHOWN, keys[i]);
out:
	free(keys);
	return rc;
}

static int add_tensor(struct ft_safetensors *s, const struct members *it, const struct member *m,
                      const char *name)
{
	struct ft_stored t = { .name = name };
	if (m->value_len > ENTRY_MAX)
		return fail_tensor(s, name, "the entry is longer than 65536 bytes");
	json_t *entry = member_json(it, m->value, m->value_len, JSON_REJECT_DUPLICATES);
	if (!entry)
		return FT_EFORMAT;
	int rc = read_entry(s, &t, entry);
	json_decref(entry);
	if (rc == FT_OK)
		rc = ft_grow(&s->item, &s->cap, s->count + 1, sizeof t);
	if (rc == FT_OK)
		s->item[s->count++] = t;
	return rc;
}

static int read_header(struct ft_safetensors *s, const char *text, size_t len)
{
	if (len == 0 || text[0] != '{')
		return ft_fail(FT_EFORMAT, "%s: the header does not begin with '{'", s->file);
	struct members it = members_of(s->file, text, len, 0);
	struct member m;
	bool metadata = false;
	int rc;
	while ((rc = members_next(&it, &m)) > 0) {
		const char *name = keep_name(s, &it, &m);
		if (!name)
			return ft_last_error();
		if (strcmp(name, "__metadata__")) {
			rc = add_tensor(s, &it, &m, name);
		} else if (metadata) {
			rc = ft_fail(FT_EFORMAT, "%s: __metadata__ appears twice", s->file);
		} else {
			metadata = true;
			rc = check_metadata(s, &it, &m);
		}
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	for (; it.at < len; it.at++)
		if (text[it.at] != ' ')
			return member_fail(&it, text + it.at, "only spaces may follow the header's object");
	return FT_OK;
}

/* ---- the whole ---- */

static int compare_place(const void *a, const void *b)
{
	const struct ft_stored *x = a, *y = b;
	const unsigned char *p = x->data, *q = y->data;
	if (p != q)
		return p < q ? -1 : 1;
	/* An empty tensor comes before its neighbour at the same place. */
	return x->bytes != y->bytes ? (x->bytes < y->bytes ? -1 : 1) : strcmp(x->name, y->name);
}

/* Tensors must cover the data exactly: no overlap, no hole, nothing behind. */
static int check_layout(const struct ft_safetensors *s)
{
	size_t end = 0;
	for (size_t i = 0; i < s->count; i++) {
		const struct ft_stored *t = &s->item[i];
		size_t begin = (size_t)((const unsigned char *)t->data - s->area);
		if (begin < end)
			return ft_fail(
				FT_EFORMAT,
				"%s: tensor '%.*s': begins at %zu, inside of '%.*s', which ends at %zu",
				s->file, NAME_SHOWN, t->name, begin, NAME_SHOWN, s->item[i - 1].name, end);
		if (begin > end)
			return ft_fail(FT_EFORMAT,
			               "%s: tensor '%.*s': begins at %zu, but the data before it ends at %zu",
			               s->file, NAME_SHOWN, t->name, begin, end);
		end += t->bytes;
	}
	if (end != s->area_bytes)
		return ft_fail(FT_EFORMAT, "%s: %zu bytes of data, but the tensors have %zu", s->file,
		               s->area_bytes, end);
	return FT_OK;
}

static int compare_name(const void *a, const void *b)
{
	const struct ft_stored *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static int index_names(struct ft_safetensors *s)
{
	s->by_name = ft_alloc(s->count, sizeof *s->by_name);
	if (!s->by_name)
		return FT_EFAIL;
	for (size_t i = 0; i < s->count; i++)
		s->by_name[i] = &s->item[i];
	if (s->count)
		qsort(s->by_name, s->count, sizeof *s->by_name, compare_name);
	for (size_t i = 1; i < s->count; i++)
		if (!strcmp(s->by_name[i - 1]->name, s->by_name[i]->name))
			return fail_tensor(s, s->by_name[i]->name, "appears twice in the header");
	return FT_OK;
}

static int read_file(struct ft_safetensors *s)
{
	int rc = filemap_open(&s->map, s->file);
	if (rc < 0)
		return rc;
	if (s->map.bytes < 8)
		return ft_fail(FT_EFORMAT, "%s: %zu bytes; a safetensors file has at least 8", s->file,
		               s->map.bytes);
	uint64_t len = 0;
	for (int i = 7; i >= 0; i--)
		len = len << 8 | s->map.data[i];
	if (len > SAFETENSORS_HEADER_MAX)
		return ft_fail(FT_EFORMAT, "%s: a header of %llu bytes; at most %u are allowed", s->file,
		               (unsigned long long)len, SAFETENSORS_HEADER_MAX);
	if (len > s->map.bytes - 8)
		return ft_fail(FT_EFORMAT, "%s: a header of %llu bytes in a file of %zu: it was cut short",
		               s->file, (unsigned long long)len, s->map.bytes);
	s->area = s->map.data + 8 + len;
	s->area_bytes = s->map.bytes - 8 - (size_t)len;
	s->names = ft_alloc((size_t)len, 1);
	rc = s->names ? read_header(s, (const char *)s->map.data + 8, (size_t)len) : FT_EFAIL;
	if (rc < 0)
		return rc;
	if (s->count)
		qsort(s->item, s->count, sizeof *s->item, compare_place);
	rc = index_names(s);
	return rc < 0 ? rc : check_layout(s);
}

struct ft_safetensors *ft_safetensors_open(const char *path)
{
	struct ft_safetensors *s = ft_alloc(1, sizeof *s);
	if (s && (!(s->file = ft_strdup(path)) || read_file(s) < 0)) {
		ft_safetensors_close(s);
		return NULL;
	}
	return s;
}

size_t ft_safetensors_count(const struct ft_safetensors *s)
{
	return s->count;
}

const struct ft_stored *ft_safetensors_at(const struct ft_safetensors *s, size_t i)
{
	return i < s->count ? &s->item[i] : NULL;
}

const struct ft_stored *ft_safetensors_find(const struct ft_safetensors *s, const char *name)
{
	struct ft_stored wanted = { .name = name };
	const struct ft_stored *key = &wanted;
	if (!s->count)
		return NULL;
	const struct ft_stored **found = bsearch(&key, s->by_name, s->count, sizeof *s->by_name,
	                                         compare_name);
	return found ? *found : NULL;
}

const struct filemap *safetensors_bytes(const struct ft_safetensors *s)
{
	return &s->map;
}

void ft_safetensors_close(struct ft_safetensors *s)
{
	if (!s)
		return;
	filemap_close(&s->map);
	free(s->item);
	free(s->by_name);
	free(s->names);
	free(s->file);
	free(s);
}
