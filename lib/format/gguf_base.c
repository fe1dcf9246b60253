/* gguf_base.c - a GGUF file as a base: its tensors by the names that transformers gives
 * them, as transformers holds them.
 *
 * What a converter has changed is undone. Most tensors stay where they are in the file;
 * those whose rows are in another order, and the norms that hold 1 more, are copied.
 */
#include "base.h"
#include "ft/err.h"
#include "ft/mem.h"
#include "gguf_arch.h"

#include <stdlib.h>
#include <string.h>

struct gguf_base {
	struct ft_base base;
	struct ft_gguf *file;
	const struct gguf_arch *arch;
	struct ft_stored *tensor; /* [count], by name */
	size_t count;
	struct ft_arena memory;   /* names, and what has been changed */
};

static const struct gguf_base *gguf_of(const struct ft_base *b)
{
	return (const struct gguf_base *)b;
}

/* ---- tensors ---- */

static int refuse(const struct ft_gguf_tensor *t, const char *reason)
{
	return ft_fail(FT_EFORMAT, "tensor '%s' %s", t->name, reason);
}

static int set_type(struct ft_stored *s, const struct ft_gguf_tensor *t)
{
	switch (t->type) {
	case FT_GGML_F32: s->dtype = FT_F32; break;
	case FT_GGML_F16: s->dtype = FT_F16; break;
	case FT_GGML_BF16: s->dtype = FT_BF16; break;
	case FT_GGML_Q8_0: s->dtype = FT_Q8_0; break;
	case FT_GGML_Q4_0: s->dtype = FT_Q4_0; break;
	default:
		return ft_fail(FT_EFORMAT, "tensor '%s': type %s is not supported; F32, F16, BF16, Q8_0 and Q4_0 are", t->name,
		               ft_ggml_name(t->type));
	}
	return FT_OK;
}

static int64_t member(const struct gguf_base *b, const char *key)
{
	return json_integer_value(json_object_get(b->base.config, key));
}

/* Rows of heads, or elements of a bias, as transformers has them. */
static int order_rows(struct gguf_base *b, struct ft_stored *s, const struct ft_gguf_tensor *t, enum gguf_how how)
{
	size_t heads = (size_t)member(b, how == GGUF_QUERY ? b->arch->heads : b->arch->kv_heads);
	size_t rows = t->rank ? (size_t)t->shape[0] : 1;
	if (rows % (2 * heads) || !rows)
		return ft_fail(FT_EFORMAT, "tensor '%s': %zu rows are not pairs in each of %zu heads", t->name, rows, heads);
	void *copy = ft_arena_get(&b->memory, t->bytes);
	if (!copy)
		return FT_EFAIL;
	gguf_permute(copy, t->data, rows, t->bytes / rows, heads, false);
	s->data = copy;
	return FT_OK;
}

static int lower_norm(struct gguf_base *b, struct ft_stored *s, const struct ft_gguf_tensor *t)
{
	size_t n = t->rank == 1 ? (size_t)t->shape[0] : 0;
	if (!n)
		return refuse(t, "is not the weight of a norm");
	float *copy = ft_arena_get(&b->memory, n * sizeof *copy); /* the file has half of these bytes at least */
	int rc = copy ? ft_widen(copy, s->data, s->dtype, n) : FT_EFAIL;
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		copy[i] -= 1;
	s->data = copy;
	s->dtype = FT_F32;
	s->bytes = n * sizeof *copy;
	return rc;
}

static int change(struct gguf_base *b, struct ft_stored *s, const struct ft_gguf_tensor *t, enum gguf_how how)
{
	switch (how) {
	case GGUF_QUERY:
	case GGUF_KEY: return order_rows(b, s, t, how);
	case GGUF_NORM: return lower_norm(b, s, t);
	case GGUF_TURNED: s->turned = true; return FT_OK;
	case GGUF_AS_IS: break;
	}
	return FT_OK;
}

static int add_tensor(struct gguf_base *b, const struct ft_gguf_tensor *t)
{
	char name[GGUF_NAME];
	enum gguf_how how;
	int layer;
	if (b->arch->pairs && strcmp(t->name, "rope_freqs.weight") == 0)
		return FT_OK; /* a part of the config */
	if (!gguf_translate(b->arch, t->name, false, name, &layer, &how))
		return ft_fail(FT_EFORMAT, "tensor '%s' is not one that a %s has", t->name, b->arch->name);
	if (layer >= member(b, b->arch->fields[0][0].member))
		return refuse(t, "is of a layer beyond the last");
	struct ft_stored *s = &b->tensor[b->count++];
	char *copy = ft_arena_get(&b->memory, strlen(name) + 1);
	if (!copy)
		return FT_EFAIL;
	*s = (struct ft_stored){ .name = strcpy(copy, name), .rank = t->rank, .data = t->data, .bytes = t->bytes };
	memcpy(s->shape, t->shape, sizeof s->shape < sizeof t->shape ? sizeof s->shape : sizeof t->shape);
	int rc = set_type(s, t);
	return rc ? rc : change(b, s, t, how);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct ft_stored *)a)->name, ((const struct ft_stored *)b)->name);
}

static int add_tensors(struct gguf_base *b)
{
	int rc = FT_OK;
	b->tensor = ft_alloc(ft_gguf_tensors(b->file), sizeof *b->tensor);
	if (!b->tensor)
		return FT_EFAIL;
	for (size_t i = 0; i < ft_gguf_tensors(b->file) && rc == FT_OK; i++)
		rc = add_tensor(b, ft_gguf_tensor(b->file, i));
	if (rc == FT_OK) /* there is one: the table of words */
		qsort(b->tensor, b->count, sizeof *b->tensor, compare);
	return rc;
}

/* ---- the kind ---- */

static size_t count(const struct ft_base *b)
{
	return gguf_of(b)->count;
}

static const struct ft_stored *at(const struct ft_base *b, size_t i)
{
	return i < gguf_of(b)->count ? &gguf_of(b)->tensor[i] : NULL;
}

static const struct ft_stored *find(const struct ft_base *b, const char *name)
{
	struct ft_stored wanted = { .name = name };
	size_t n = gguf_of(b)->count;
	return n ? bsearch(&wanted, gguf_of(b)->tensor, n, sizeof wanted, compare) : NULL;
}

static int digest(const struct ft_base *b, struct ft_digest *d)
{
	filemap_digest(gguf_bytes(gguf_of(b)->file), d);
	return FT_OK;
}

static void let_go(const struct ft_base *b)
{
	filemap_let_go(gguf_bytes(gguf_of(b)->file));
}

static void close_file(struct ft_base *base)
{
	struct gguf_base *b = (struct gguf_base *)base;
	ft_gguf_close(b->file);
	ft_arena_free(&b->memory);
	free(b->tensor);
	free(b);
}

static const struct base_kind kind = {
	.count = count, .at = at, .find = find, .digest = digest, .let_go = let_go, .close = close_file,
};

static int open_file(struct gguf_base *b, const char *path, unsigned flags)
{
	b->file = ft_gguf_open(path);
	if (!b->file)
		return ft_last_error();
	b->base.config = gguf_config(b->file, &b->arch);
	int rc = !b->base.config ? ft_last_error() : flags & FT_BASE_BARE ? FT_OK : add_tensors(b);
	return rc < 0 ? ft_context(rc, "%s", path) : FT_OK;
}

struct ft_base *gguf_base_open(const char *path, unsigned flags)
{
	struct gguf_base *b = ft_alloc(1, sizeof *b);
	if (!b)
		return NULL;
	b->base.kind = &kind;
	if (open_file(b, path, flags) == FT_OK)
		return &b->base;
	ft_base_close(&b->base);
	return NULL;
}
