/* safetensors_write.c - writing a safetensors file, byte for byte as the
 * reference writer does: tensors by descending rank of their type, then by
 * name, so that every tensor begins at a multiple of its element size; the
 * header padded with spaces to a multiple of 8.
 */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

/* The reference's order of types (safetensors/src/tensor.rs, enum Dtype). */
static const unsigned char dtype_rank[FT_DTYPE_COUNT] = {
	[FT_BOOL] = 0,    [FT_U8] = 4,          [FT_I8] = 5,           [FT_F8_E5M2] = 6, [FT_F8_E4M3] = 7,
	[FT_F8_E8M0] = 8, [FT_F8_E4M3FNUZ] = 9, [FT_F8_E5M2FNUZ] = 10, [FT_I16] = 11,    [FT_U16] = 12,
	[FT_F16] = 13,    [FT_BF16] = 14,       [FT_I32] = 15,         [FT_U32] = 16,    [FT_F32] = 17,
	[FT_C64] = 18,    [FT_F64] = 19,        [FT_I64] = 20,         [FT_U64] = 21,
};

static int compare_order(const void *a, const void *b)
{
	const struct ft_stored *x = *(const struct ft_stored *const *)a,
			       *y = *(const struct ft_stored *const *)b;
	if (x->dtype != y->dtype)
		return dtype_rank[y->dtype] - dtype_rank[x->dtype];
	return strcmp(x->name, y->name);
}

static int compare_name(const void *a, const void *b)
{
	const struct ft_stored *x = *(const struct ft_stored *const *)a,
			       *y = *(const struct ft_stored *const *)b;
	return strcmp(x->name, y->name);
}

/* Checks what the caller says of a tensor, as a reader would. */
static int check_tensor(const char *path, const struct ft_stored *t)
{
	size_t bytes = ft_dtype_size(t->dtype);
	bool good = bytes > 0 && t->rank >= 0 && t->rank <= FT_RANK;
	for (int i = 0; good && i < t->rank; i++)
		good = t->shape[i] >= 0 && ft_mul(bytes, (size_t)t->shape[i], &bytes);
	if (!good || bytes != t->bytes || !strcmp(t->name, "__metadata__"))
		return ft_fail(FT_EFAIL,
		               "%s: tensor '%.*s': name, shape, type and %zu bytes cannot be written", path,
		               NAME_SHOWN, t->name, t->bytes);
	return FT_OK;
}

/* Copies of the pointers in file order; NULL on failure. */
static const struct ft_stored **in_order(const char *path, const struct ft_stored *t, size_t n)
{
	const struct ft_stored **order = ft_alloc(n, sizeof *order);
	if (!order)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		order[i] = &t[i];
		if (check_tensor(path, &t[i]) < 0)
			goto fail;
	}
	if (n)
		qsort(order, n, sizeof *order, compare_name);
	for (size_t i = 1; i < n; i++)
		if (!strcmp(order[i - 1]->name, order[i]->name)) {
			ft_fail(FT_EFAIL, "%s: tensor '%.*s' is given twice", path, NAME_SHOWN,
			        order[i]->name);
			goto fail;
		}
	if (n)
		qsort(order, n, sizeof *order, compare_order);
	return order;
fail:
	free(order);
	return NULL;
}

static int put_name(struct ft_buf *b, const char *path, const char *name)
{
	json_t *v = json_string(name);
	char *text = v ? ft_json_dumps(v, JSON_ENCODE_ANY) : NULL;
	json_decref(v);
	if (!text)
		return ft_json_no_string(name, FT_EFAIL, "%s: tensor '%.*s': the name is not UTF-8", path, NAME_SHOWN, name);
	int rc = ft_buf_append(b, text, strlen(text));
	free(text);
	return rc;
}

static int put_entry(struct ft_buf *b, const char *path, const struct ft_stored *t, size_t begin, size_t *end)
{
	if (!ft_add(begin, t->bytes, end))
		return ft_fail(FT_EFAIL, "%s: the tensors together have too many bytes", path);
	int rc = ft_buf_append(b, ",", 1);
	if (rc == FT_OK)
		rc = put_name(b, path, t->name);
	if (rc == FT_OK)
		rc = ft_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", ft_dtype_name(t->dtype));
	for (int i = 0; i < t->rank && rc == FT_OK; i++)
		rc = ft_buf_printf(b, "%s%lld", i ? "," : "", (long long)t->shape[i]);
	if (rc == FT_OK)
		rc = ft_buf_printf(b, "],\"data_offsets\":[%zu,%zu]}", begin, *end);
	return rc;
}

/* The length, the JSON and its padding. */
static int put_header(struct ft_buf *b, const char *path, const struct ft_stored **order, size_t n)
{
	unsigned char length[8] = { 0 };
	size_t end = 0;
	int rc = ft_buf_append(b, length, sizeof length);
	/* transformers will not load a file that does not say this. */
	if (rc == FT_OK)
		rc = ft_buf_printf(b, "{\"__metadata__\":{\"format\":\"pt\"}");
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = put_entry(b, path, order[i], end, &end);
	if (rc == FT_OK)
		rc = ft_buf_append(b, "}", 1);
	while (rc == FT_OK && b->len % 8)
		rc = ft_buf_append(b, " ", 1);
	if (rc < 0)
		return rc;
	size_t header = b->len - sizeof length;
	if (header > SAFETENSORS_HEADER_MAX)
		return ft_fail(FT_EFAIL, "%s: a header of %zu bytes; at most %u are allowed", path, header,
		               SAFETENSORS_HEADER_MAX);
	for (int i = 0; i < 8; i++)
		b->data[i] = (unsigned char)(header >> 8 * i);
	return FT_OK;
}

int ft_safetensors_write(const char *path, const struct ft_stored *t, size_t n)
{
	struct ft_buf header = { 0 };
	struct ft_outfile *out = NULL;
	const struct ft_stored **order = in_order(path, t, n);
	int rc = order ? put_header(&header, path, order, n) : ft_last_error();
	if (rc < 0)
		goto out;
	out = ft_outfile_open(path);
	rc = out ? ft_write_all(ft_outfile_fd(out), header.data, header.len, path) : ft_last_error();
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = ft_write_all(ft_outfile_fd(out), order[i]->data, order[i]->bytes, path);
	if (rc == FT_OK)
		rc = ft_outfile_commit(out);
out:
	ft_outfile_free(out);
	ft_buf_free(&header);
	free(order);
	return rc;
}
