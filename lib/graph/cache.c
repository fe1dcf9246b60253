/* cache.c - the past of rows: their lengths, and each layer's keys and values. */
#include "cache.h"

#include "ft/err.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

/* What one layer has of one row. A head's keys lie one behind the other, as they are read. */
struct kept {
	float *k, *v; /* [heads, cap, size] each, in one piece of memory */
	int64_t cap;
};

struct ft_cache {
	int64_t *length; /* [rows] */
	int64_t lead;    /* keys of a row with a past before those of its tokens */
	size_t rows, row_cap;
	struct kept *kept; /* [layers][rows], as kept[layer * row_cap + row] */
	size_t layers;
	int64_t heads, size; /* of a token's keys, and numbers of each; all layers alike */
};

struct ft_cache *ft_cache_new(void) { return ft_alloc(1, sizeof(struct ft_cache)); }

static void free_kept(struct kept *k)
{
	free(k->k);
	*k = (struct kept){ 0 };
}

void ft_cache_free(struct ft_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->layers * c->row_cap; i++)
		free_kept(&c->kept[i]);
	free(c->kept);
	free(c->length);
	free(c);
}

int64_t ft_cache_length(const struct ft_cache *c, size_t r) { return r < c->rows ? c->length[r] : 0; }

void cache_lead(struct ft_cache *c, int64_t lead) { c->lead = lead; }

int64_t cache_past(const struct ft_cache *c, size_t r)
{
	int64_t length = ft_cache_length(c, r);
	return length ? c->lead + length : 0;
}

void ft_cache_cut(struct ft_cache *c, size_t r, int64_t length)
{
	if (r < c->rows && length < c->length[r])
		c->length[r] = length;
}

size_t ft_cache_bytes(const struct ft_cache *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->layers * c->row_cap; i++)
		n += (size_t)(c->kept[i].cap * c->heads * c->size) * 2 * sizeof(float);
	return n;
}

/* Room for `rows` rows and `layers` layers; what is there keeps its place. */
static int fit(struct ft_cache *c, size_t layers, size_t rows)
{
	if (layers <= c->layers && rows <= c->row_cap)
		return FT_OK;
	layers = layers > c->layers ? layers : c->layers;
	rows = rows > c->row_cap ? rows : c->row_cap;
	struct kept *kept = ft_alloc(layers * rows, sizeof *kept);
	int64_t *length = kept ? ft_alloc(rows, sizeof *length) : NULL;
	if (!length) {
		free(kept);
		return FT_EFAIL;
	}
	for (size_t l = 0; l < c->layers; l++)
		memcpy(kept + l * rows, c->kept + l * c->row_cap, c->row_cap * sizeof *kept);
	if (c->rows)
		memcpy(length, c->length, c->rows * sizeof *length);
	free(c->kept);
	free(c->length);
	c->kept = kept;
	c->length = length;
	c->layers = layers;
	c->row_cap = rows;
	return FT_OK;
}

int ft_cache_add(struct ft_cache *c, const struct ft_batch *b)
{
	int rc = fit(c, c->layers, b->rows);
	if (rc < 0)
		return rc;
	for (size_t r = 0; r < b->rows; r++)
		c->length[r] = (r < c->rows ? c->length[r] : 0) + b->offsets[r + 1] - b->offsets[r];
	c->rows = b->rows;
	return FT_OK;
}

/* The first `used` tokens of each head, from memory for `cap` of them to memory for more, or as many. */
static void copy_heads(const struct ft_cache *c, float *to, int64_t to_cap, const float *from, int64_t cap,
                       int64_t used)
{
	for (int64_t h = 0; used && h < c->heads; h++)
		memcpy(to + h * to_cap * c->size, from + h * cap * c->size, (size_t)(used * c->size) * sizeof *to);
}

/* Memory for `cap` tokens, of which the first `used` are those of `from`. */
static int make_kept(const struct ft_cache *c, struct kept *k, int64_t cap, const struct kept *from, int64_t used)
{
	int64_t all = cap * c->heads * c->size;
	float *p = ft_alloc_whole((size_t)all, 2 * sizeof *p);
	if (!p)
		return FT_EFAIL;
	copy_heads(c, p, cap, from->k, from->cap, used);
	copy_heads(c, p + all, cap, from->v, from->cap, used);
	*k = (struct kept){ p, p + all, cap };
	return FT_OK;
}

/* Room for `n` tokens. */
static int grow(const struct ft_cache *c, struct kept *k, int64_t used, int64_t n)
{
	struct kept more;
	int64_t cap = k->cap ? k->cap : 16;
	if (n <= k->cap)
		return FT_OK;
	while (cap < n)
		cap *= 2;
	if (make_kept(c, &more, cap, k, used) < 0)
		return FT_EFAIL;
	free_kept(k);
	*k = more;
	return FT_OK;
}

/* A token's keys or values, into their places. */
static void put_token(const struct ft_cache *c, float *to, int64_t cap, int64_t token, const float *from)
{
	for (int64_t h = 0; h < c->heads; h++)
		memcpy(to + (h * cap + token) * c->size, from + h * c->size, (size_t)c->size * sizeof *to);
}

int cache_keep(struct ft_cache *c, size_t layer, size_t rows, size_t r, const float *k, const float *v, int64_t n,
               int64_t ld, int64_t heads, int64_t size)
{
	int rc = fit(c, layer + 1, rows);
	if (rc < 0)
		return rc;
	if (c->heads && (c->heads != heads || c->size != size))
		return ft_fail(FT_EFAIL, "layers with keys of %lld x %lld and of %lld x %lld numbers share a cache",
		               (long long)c->heads, (long long)c->size, (long long)heads, (long long)size);
	c->heads = heads;
	c->size = size;
	struct kept *kept = &c->kept[layer * c->row_cap + r];
	int64_t past = cache_past(c, r);
	rc = grow(c, kept, past, past + n);
	for (int64_t i = 0; rc == FT_OK && i < n; i++) {
		put_token(c, kept->k, kept->cap, past + i, k + i * ld);
		put_token(c, kept->v, kept->cap, past + i, v + i * ld);
	}
	return rc;
}

void cache_get(const struct ft_cache *c, size_t layer, size_t r, int64_t head, const float **k, const float **v)
{
	const struct kept *kept = &c->kept[layer * c->row_cap + r];
	*k = kept->k + head * kept->cap * c->size;
	*v = kept->v + head * kept->cap * c->size;
}

/* Copies of rows that more than one row goes on from; the first of them takes the
 * memory itself. */
static int copy_kept(const struct ft_cache *c, const struct kept *from, int64_t used, struct kept *to)
{
	*to = (struct kept){ 0 };
	return from->k ? make_kept(c, to, from->cap, from, used) : FT_OK;
}

static bool taken_before(const int32_t *index, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (index[j] == index[i])
			return true;
	return false;
}

/* One layer's rows of the new order into `next` [cap]. */
static int select_layer(const struct ft_cache *c, const struct kept *now, const int32_t *index, size_t n,
                        struct kept *next)
{
	for (size_t i = 0; i < n; i++) {
		const struct kept *from = &now[index[i]];
		if (!taken_before(index, i))
			next[i] = *from;
		else if (copy_kept(c, from, cache_past(c, (size_t)index[i]), &next[i]) < 0)
			return FT_EFAIL;
	}
	return FT_OK;
}

/* Frees the copies of a selection that was not finished. */
static void drop_copies(struct kept *next, size_t layers, size_t cap, const int32_t *index, size_t n)
{
	for (size_t l = 0; l < layers; l++)
		for (size_t i = 0; i < n; i++)
			if (taken_before(index, i))
				free_kept(&next[l * cap + i]);
}

/* Frees the rows that nothing goes on from. */
static void drop_rows(struct ft_cache *c, const int32_t *index, size_t n)
{
	for (size_t r = 0; r < c->row_cap; r++) {
		bool goes_on = false;
		for (size_t i = 0; i < n; i++)
			goes_on |= (size_t)index[i] == r;
		for (size_t l = 0; !goes_on && l < c->layers; l++)
			free_kept(&c->kept[l * c->row_cap + r]);
	}
}

int ft_cache_select(struct ft_cache *c, const int32_t *index, size_t n)
{
	int rc = fit(c, c->layers, n);
	struct kept *next = rc < 0 ? NULL : ft_alloc(c->layers * c->row_cap, sizeof *next);
	int64_t *length = next ? ft_alloc(c->row_cap, sizeof *length) : NULL;
	rc = length ? rc : FT_EFAIL;
	for (size_t l = 0; rc == FT_OK && l < c->layers; l++)
		rc = select_layer(c, c->kept + l * c->row_cap, index, n, next + l * c->row_cap);
	if (rc < 0) {
		drop_copies(next, next ? c->layers : 0, c->row_cap, index, n);
		free(next);
		free(length);
		return rc;
	}
	for (size_t i = 0; i < n; i++)
		length[i] = c->length[index[i]];
	drop_rows(c, index, n);
	free(c->kept);
	free(c->length);
	c->kept = next;
	c->length = length;
	c->rows = n;
	return FT_OK;
}
