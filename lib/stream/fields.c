/* fields.c - a record as named fields: building one, looking into one. */
#include "ft/err.h"
#include "ft/stream.h"

#include <string.h>

static struct ft_field *new_field(struct ft_rec *r, const char *key, enum ft_field_type type)
{
	/* Callers build from a fixed set of keys; the last place is a sink. */
	size_t i = r->count < FT_REC_FIELDS ? r->count++ : FT_REC_FIELDS - 1;
	r->field[i] = (struct ft_field){ .key = { key, strlen(key) }, .type = type };
	return &r->field[i];
}

void ft_rec_int(struct ft_rec *r, const char *key, int64_t v) { new_field(r, key, FT_INT)->i = v; }
void ft_rec_real(struct ft_rec *r, const char *key, double v) { new_field(r, key, FT_REAL)->real = v; }
void ft_rec_str(struct ft_rec *r, const char *key, struct ft_span v) { new_field(r, key, FT_STR)->bytes = v; }

void ft_rec_bin(struct ft_rec *r, const char *key, const void *p, size_t bytes)
{
	new_field(r, key, FT_BIN)->bytes = (struct ft_span){ p, bytes };
}

void ft_rec_strs(struct ft_rec *r, const char *key, const struct ft_span *v, size_t n)
{
	struct ft_field *f = new_field(r, key, FT_STRS);
	f->strs = v;
	f->nstrs = n;
}

const struct ft_field *ft_rec_find(const struct ft_rec *r, const char *key)
{
	size_t n = strlen(key);
	for (size_t i = 0; i < r->count; i++)
		if (r->field[i].key.n == n && memcmp(r->field[i].key.p, key, n) == 0)
			return &r->field[i];
	return NULL;
}

const void *ft_rec_array(const struct ft_rec *r, const char *key, size_t size, size_t *count, int *err)
{
	const struct ft_field *f = ft_rec_find(r, key);
	*count = 0;
	if (!f)
		return NULL;
	if (f->type != FT_BIN || f->bytes.n % size) {
		*err = ft_fail(FT_EFORMAT, "%s: must be a bin of %zu-byte numbers", key, size);
		return NULL;
	}
	*count = f->bytes.n / size;
	return f->bytes.p;
}
