/* gguf.c - reading a GGUF file: a header, keys with values, descriptions of tensors, data.
 *
 * Everything is read once from front to back, and compared with the bytes there are
 * before memory is asked for. The checks are those of the reference reader (ggml,
 * src/gguf.cpp), and in addition no NUL in a key or name.
 */
#include "gguf.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

#define STRING_MAX ((uint64_t)1 << 30) /* bytes of a string, elements of an array */
#define NAME_MAX_BYTES 63              /* of a tensor's name */
#define ALIGNMENT 32                   /* unless general.alignment says otherwise */

struct named { const char *name; size_t i; };
struct ft_gguf {
	char *file; /* as given, for messages */
	struct filemap map;
	size_t at;  /* what is before it has been read */
	struct ft_gguf_value *value; /* [keys], as in the file */
	struct ft_gguf_tensor *tensor; /* [tensors] */
	size_t keys, tensors;
	struct named *by_key, *by_name; /* sorted */
	struct ft_arena names; /* of keys and tensors, each terminated */
	size_t alignment;
};

/* ---- reading ---- */

static int fail(const struct ft_gguf *g, const char *what, const char *name, const char *reason)
{
	return ft_fail(FT_EFORMAT, "%s: %s '%.*s': %s", g->file, what, NAME_SHOWN, name, reason);
}

static int fail_short(const struct ft_gguf *g, const char *what)
{
	return ft_fail(FT_EFORMAT, "%s: cut short within %s (%zu bytes)", g->file, what, g->map.bytes);
}

static bool get(struct ft_gguf *g, size_t bytes, uint64_t *v)
{
	if (g->map.bytes - g->at < bytes)
		return false;
	*v = gguf_get(g->map.data + g->at, bytes);
	g->at += bytes;
	return true;
}

/* Moves over a string. */
static int skip_text(struct ft_gguf *g, const char *what, struct ft_span *text)
{
	uint64_t n;
	if (!get(g, 8, &n) || n > g->map.bytes - g->at)
		return fail_short(g, what);
	if (n > STRING_MAX)
		return ft_fail(FT_EFORMAT, "%s: %s: a string of %llu bytes; at most %llu are allowed", g->file, what,
		               (unsigned long long)n, (unsigned long long)STRING_MAX);
	*text = (struct ft_span){ (const char *)g->map.data + g->at, (size_t)n };
	g->at += (size_t)n;
	return FT_OK;
}

/* A key or a name: NULL on failure. */
static const char *get_name(struct ft_gguf *g, const char *what)
{
	struct ft_span s;
	if (skip_text(g, what, &s) < 0)
		return NULL;
	if (!s.n || memchr(s.p, '\0', s.n)) {
		ft_fail(FT_EFORMAT, "%s: %s at byte %zu is empty or holds a NUL", g->file, what, g->at - s.n);
		return NULL;
	}
	char *name = ft_arena_get(&g->names, s.n + 1);
	if (!name)
		return NULL;
	memcpy(name, s.p, s.n);
	name[s.n] = '\0';
	return name;
}

/* ---- keys ---- */

static int read_elements(struct ft_gguf *g, struct ft_gguf_value *v)
{
	v->data = g->map.data + g->at;
	size_t bytes = (size_t)gguf_size(v->type) * v->count; /* at most STRING_MAX of them */
	if (v->type == FT_GGUF_STRING) {
		struct ft_span text;
		int rc = FT_OK;
		for (size_t i = 0; i < v->count && rc == FT_OK; i++)
			rc = skip_text(g, v->key, &text);
		return rc;
	}
	if (bytes > g->map.bytes - g->at)
		return fail_short(g, v->key);
	const unsigned char *p = v->data;
	for (size_t i = 0; v->type == FT_GGUF_BOOL && i < v->count; i++)
		if (p[i] > 1)
			return fail(g, "key", v->key, "a boolean is neither 0 nor 1");
	g->at += bytes;
	return FT_OK;
}

static int read_value(struct ft_gguf *g, struct ft_gguf_value *v)
{
	uint64_t type, count = 1;
	v->key = get_name(g, "a key");
	if (!v->key)
		return ft_last_error();
	if (!get(g, 4, &type))
		return fail_short(g, v->key);
	v->is_array = type == FT_GGUF_ARRAY;
	if (v->is_array && (!get(g, 4, &type) || !get(g, 8, &count)))
		return fail_short(g, v->key);
	if (gguf_size(type) < 0 || type == FT_GGUF_ARRAY)
		return ft_fail(FT_EFORMAT, "%s: key '%.*s': unknown type %llu", g->file, NAME_SHOWN, v->key,
		               (unsigned long long)type);
	/* Each element has a byte at least, but a string eight. */
	if (count > STRING_MAX || count > (g->map.bytes - g->at) / (type == FT_GGUF_STRING ? 8 : 1))
		return ft_fail(FT_EFORMAT, "%s: key '%.*s': %llu elements are more than the file has", g->file,
		               NAME_SHOWN, v->key, (unsigned long long)count);
	v->type = (enum ft_gguf_type)type;
	v->count = (size_t)count;
	return read_elements(g, v);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int sort(const struct ft_gguf *g, const char *what, struct named *list, size_t n)
{
	if (n)
		qsort(list, n, sizeof *list, compare);
	for (size_t i = 1; i < n; i++)
		if (!strcmp(list[i - 1].name, list[i].name))
			return fail(g, what, list[i].name, "appears twice");
	return FT_OK;
}

static const struct named *find(const struct named *list, size_t n, const char *name)
{
	struct named wanted = { name, 0 };
	return n ? bsearch(&wanted, list, n, sizeof *list, compare) : NULL;
}

static int read_keys(struct ft_gguf *g)
{
	int rc = FT_OK;
	for (size_t i = 0; i < g->keys && rc == FT_OK; i++) {
		rc = read_value(g, &g->value[i]);
		g->by_key[i] = (struct named){ g->value[i].key, i };
	}
	return rc == FT_OK ? sort(g, "key", g->by_key, g->keys) : rc;
}

static int read_alignment(struct ft_gguf *g)
{
	const struct ft_gguf_value *v = ft_gguf_find(g, "general.alignment");
	uint64_t n = v && v->type == FT_GGUF_U32 && !v->is_array ? gguf_get(v->data, 4) : v ? 0 : ALIGNMENT;
	if (!n || n & (n - 1))
		return fail(g, "key", "general.alignment", "is not a power of two as a u32");
	g->alignment = (size_t)n;
	return FT_OK;
}

/* ---- tensors ---- */

static bool find_type(uint64_t type, size_t *elements, size_t *bytes)
{
	switch (type) {
#define X(name, number, n, size) case number: *elements = n; *bytes = size; return true;
	FT_GGML_TYPES(X)
#undef X
	}
	return false;
}

/* Dimensions, of which a file gives the innermost first; and the bytes they need. */
static int read_shape(struct ft_gguf *g, struct ft_gguf_tensor *t)
{
	uint64_t rank, dim, type;
	if (!get(g, 4, &rank))
		return fail_short(g, t->name);
	if (rank > FT_GGUF_RANK)
		return fail(g, "tensor", t->name, "has more than 4 dimensions");
	t->rank = (int)rank;
	for (int i = t->rank; i--;) {
		if (!get(g, 8, &dim))
			return fail_short(g, t->name);
		if (dim > INT64_MAX)
			return fail(g, "tensor", t->name, "a dimension is negative");
		t->shape[i] = (int64_t)dim;
	}
	if (!get(g, 4, &type))
		return fail_short(g, t->name);
	size_t block, size, row = t->rank ? (size_t)t->shape[t->rank - 1] : 1;
	if (!find_type(type, &block, &size))
		return ft_fail(FT_EFORMAT, "%s: tensor '%.*s': unknown type %llu", g->file, NAME_SHOWN, t->name,
		               (unsigned long long)type);
	t->type = (enum ft_ggml_type)type;
	if (row % block)
		return ft_fail(FT_EFORMAT, "%s: tensor '%.*s': rows of %zu elements are not whole blocks of %zu (%s)",
		               g->file, NAME_SHOWN, t->name, row, block, ft_ggml_name(t->type));
	/* A 0 must not hide that the other dimensions overflow. */
	bool empty = row == 0, fits = ft_mul(empty ? 1 : row / block, size, &t->bytes);
	for (int i = 0; i + 1 < t->rank; i++) {
		empty |= t->shape[i] == 0;
		fits = fits && (t->shape[i] == 0 || ft_mul(t->bytes, (size_t)t->shape[i], &t->bytes));
	}
	if (empty)
		t->bytes = 0;
	return fits ? FT_OK : fail(g, "tensor", t->name, "the number of bytes overflows");
}

static bool pad(const struct ft_gguf *g, size_t n, size_t *padded)
{
	bool fits = ft_add(n, g->alignment - 1, padded);
	*padded &= ~(g->alignment - 1);
	return fits;
}

/* Tensors follow each other, each at the next aligned place; *end is where the last ends. */
static int read_tensor(struct ft_gguf *g, struct ft_gguf_tensor *t, size_t *end)
{
	uint64_t offset;
	size_t begin;
	t->name = get_name(g, "a tensor's name");
	if (!t->name)
		return ft_last_error();
	if (strlen(t->name) > NAME_MAX_BYTES)
		return fail(g, "tensor", t->name, "has a name of more than 63 bytes");
	int rc = read_shape(g, t);
	if (rc < 0)
		return rc;
	if (!get(g, 8, &offset))
		return fail_short(g, t->name);
	if (!pad(g, *end, &begin) || offset != begin)
		return ft_fail(FT_EFORMAT, "%s: tensor '%.*s': lies at %llu of the data, not at %zu, behind the one before",
		               g->file, NAME_SHOWN, t->name, (unsigned long long)offset, begin);
	if (!ft_add(begin, t->bytes, end))
		return fail(g, "tensor", t->name, "the number of bytes overflows");
	t->data = (const void *)(uintptr_t)begin; /* until it is known where the data is */
	return FT_OK;
}

static int read_tensors(struct ft_gguf *g)
{
	size_t end = 0, area, last;
	int rc = FT_OK;
	for (size_t i = 0; i < g->tensors && rc == FT_OK; i++) {
		rc = read_tensor(g, &g->tensor[i], &end);
		g->by_name[i] = (struct named){ g->tensor[i].name, i };
	}
	if (rc == FT_OK)
		rc = sort(g, "tensor", g->by_name, g->tensors);
	if (rc < 0 || !g->tensors)
		return rc;
	pad(g, g->at, &area); /* which is not beyond all numbers: it is in the file */
	if (!ft_add(area, end, &last) || last > g->map.bytes)
		return ft_fail(FT_EFORMAT, "%s: cut short: the tensors need %zu bytes behind byte %zu, the file has %zu",
		               g->file, end, g->at, g->map.bytes);
	for (size_t i = 0; i < g->tensors; i++)
		g->tensor[i].data = g->map.data + area + (uintptr_t)g->tensor[i].data;
	return FT_OK;
}

/* ---- the whole ---- */

static int read_header(struct ft_gguf *g)
{
	uint64_t version, tensors, keys;
	if (g->map.bytes < 4 || memcmp(g->map.data, "GGUF", 4) != 0)
		return ft_fail(FT_EFORMAT, "%s: is not a GGUF file", g->file);
	g->at = 4;
	if (!get(g, 4, &version) || !get(g, 8, &tensors) || !get(g, 8, &keys))
		return fail_short(g, "the header");
	if (version && !(version & 0xffff))
		return ft_fail(FT_EFORMAT, "%s: is for machines with the other byte order", g->file);
	if (version < 2 || version > 3)
		return ft_fail(FT_EFORMAT, "%s: GGUF version %llu; 2 and 3 are supported", g->file,
		               (unsigned long long)version);
	/* A key takes 14 bytes at least, a tensor 25. */
	size_t left = g->map.bytes - g->at;
	if (keys > left / 14 || tensors > left / 25)
		return ft_fail(FT_EFORMAT, "%s: %llu keys and %llu tensors are more than %zu bytes can hold", g->file,
		               (unsigned long long)keys, (unsigned long long)tensors, g->map.bytes);
	g->keys = (size_t)keys;
	g->tensors = (size_t)tensors;
	g->value = ft_alloc(g->keys, sizeof *g->value);
	g->tensor = ft_alloc(g->tensors, sizeof *g->tensor);
	g->by_key = ft_alloc(g->keys, sizeof *g->by_key);
	g->by_name = ft_alloc(g->tensors, sizeof *g->by_name);
	return g->value && g->tensor && g->by_key && g->by_name ? FT_OK : FT_EFAIL;
}

static int read_file(struct ft_gguf *g)
{
	int rc = filemap_open(&g->map, g->file);
	if (rc == FT_OK)
		rc = read_header(g);
	if (rc == FT_OK)
		rc = read_keys(g);
	if (rc == FT_OK)
		rc = read_alignment(g);
	return rc == FT_OK ? read_tensors(g) : rc;
}

struct ft_gguf *ft_gguf_open(const char *path)
{
	struct ft_gguf *g = ft_alloc(1, sizeof *g);
	if (g && (!(g->file = ft_strdup(path)) || read_file(g) < 0)) {
		ft_gguf_close(g);
		return NULL;
	}
	return g;
}

void ft_gguf_close(struct ft_gguf *g)
{
	if (!g)
		return;
	filemap_close(&g->map);
	ft_arena_free(&g->names);
	free(g->value);
	free(g->tensor);
	free(g->by_key);
	free(g->by_name);
	free(g->file);
	free(g);
}

const struct filemap *gguf_bytes(const struct ft_gguf *g)
{
	return &g->map;
}

bool ft_gguf_named(const char *path)
{
	size_t n = strlen(path);
	return n > 5 && strcmp(path + n - 5, ".gguf") == 0;
}

size_t ft_gguf_keys(const struct ft_gguf *g)
{
	return g->keys;
}

const struct ft_gguf_value *ft_gguf_key(const struct ft_gguf *g, size_t i)
{
	return i < g->keys ? &g->value[i] : NULL;
}

const struct ft_gguf_value *ft_gguf_find(const struct ft_gguf *g, const char *key)
{
	const struct named *found = find(g->by_key, g->keys, key);
	return found ? &g->value[found->i] : NULL;
}

size_t ft_gguf_tensors(const struct ft_gguf *g)
{
	return g->tensors;
}

const struct ft_gguf_tensor *ft_gguf_tensor(const struct ft_gguf *g, size_t i)
{
	return i < g->tensors ? &g->tensor[i] : NULL;
}

const struct ft_gguf_tensor *ft_gguf_tensor_find(const struct ft_gguf *g, const char *name)
{
	const struct named *found = find(g->by_name, g->tensors, name);
	return found ? &g->tensor[found->i] : NULL;
}

const char *ft_ggml_name(enum ft_ggml_type t)
{
	switch (t) {
#define X(name, number, elements, bytes) case FT_GGML_##name: return #name;
	FT_GGML_TYPES(X)
#undef X
	}
	return "?";
}
