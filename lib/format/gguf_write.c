/* gguf_write.c - the bytes of a GGUF file, version 3 (gguf_write.h). */
#include "gguf_write.h"
#include "ft/err.h"
#include "ft/file.h"

#include <string.h>

#define ALIGNMENT 32 /* what readers take when no key says another */
#define VERSION 3

/* ---- pieces of a file ---- */

static int put(struct ft_buf *b, uint64_t v, size_t bytes) /* little endian */
{
	unsigned char p[8];
	for (size_t i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> 8 * i);
	return ft_buf_append(b, p, bytes);
}

static int put_text(struct ft_buf *b, struct ft_span s)
{
	int rc = put(b, s.n, 8);
	return rc ? rc : ft_buf_append(b, s.p, s.n);
}

static int put_name(struct ft_buf *b, const char *name)
{
	return put_text(b, (struct ft_span){ name, strlen(name) });
}

static uint32_t bits_of(float v)
{
	uint32_t bits;
	memcpy(&bits, &v, sizeof bits);
	return bits;
}

/* ---- keys ---- */

static int put_key(struct gguf_writer *w, const char *key, enum ft_gguf_type type)
{
	w->nkeys++;
	int rc = put_name(&w->keys, key);
	return rc ? rc : put(&w->keys, type, 4);
}

static int put_list(struct gguf_writer *w, const char *key, enum ft_gguf_type type, size_t n)
{
	int rc = put_key(w, key, FT_GGUF_ARRAY);
	rc = rc ? rc : put(&w->keys, type, 4);
	return rc ? rc : put(&w->keys, n, 8);
}

int gguf_put_whole(struct gguf_writer *w, const char *key, int64_t v)
{
	if (v < 0 || v > UINT32_MAX)
		return ft_fail(FT_EUSAGE, "key '%s': %lld is beyond what a GGUF file says", key, (long long)v);
	int rc = put_key(w, key, FT_GGUF_U32);
	return rc ? rc : put(&w->keys, (uint64_t)v, 4);
}

int gguf_put_real(struct gguf_writer *w, const char *key, double v)
{
	int rc = put_key(w, key, FT_GGUF_F32);
	return rc ? rc : put(&w->keys, bits_of((float)v), 4);
}

int gguf_put_bool(struct gguf_writer *w, const char *key, bool v)
{
	int rc = put_key(w, key, FT_GGUF_BOOL);
	return rc ? rc : put(&w->keys, v, 1);
}

int gguf_put_text(struct gguf_writer *w, const char *key, struct ft_span v)
{
	int rc = put_key(w, key, FT_GGUF_STRING);
	return rc ? rc : put_text(&w->keys, v);
}

int gguf_put_texts(struct gguf_writer *w, const char *key, const struct ft_span *v, size_t n)
{
	int rc = put_list(w, key, FT_GGUF_STRING, n);
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = put_text(&w->keys, v[i]);
	return rc;
}

int gguf_put_reals(struct gguf_writer *w, const char *key, const float *v, size_t n)
{
	int rc = put_list(w, key, FT_GGUF_F32, n);
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = put(&w->keys, bits_of(v[i]), 4);
	return rc;
}

int gguf_put_wholes(struct gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
	int rc = put_list(w, key, FT_GGUF_I32, n);
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = put(&w->keys, (uint32_t)v[i], 4);
	return rc;
}

int gguf_put_bools(struct gguf_writer *w, const char *key, const bool *v, size_t n)
{
	int rc = put_list(w, key, FT_GGUF_BOOL, n);
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = put(&w->keys, v[i], 1);
	return rc;
}

int gguf_put_copy(struct gguf_writer *w, const struct ft_gguf_value *v)
{
	int rc = v->is_array ? put_list(w, v->key, v->type, v->count) : put_key(w, v->key, v->type);
	const void *at = NULL;
	if (v->type != FT_GGUF_STRING)
		return rc ? rc : ft_buf_append(&w->keys, v->data, v->count * (size_t)gguf_size(v->type));
	for (size_t i = 0; i < v->count && rc == FT_OK; i++)
		rc = put_text(&w->keys, ft_gguf_text_next(v, &at));
	return rc;
}

/* ---- tensors ---- */

static size_t padding(size_t n)
{
	return -n & (ALIGNMENT - 1);
}

int gguf_add(struct gguf_writer *w, const char *name, enum ft_ggml_type type, int rank, const int64_t *shape,
             size_t bytes)
{
	w->ntensors++;
	int rc = put_name(&w->tensors, name);
	rc = rc ? rc : put(&w->tensors, (uint64_t)rank, 4);
	for (int i = rank; i-- && rc == FT_OK;)
		rc = put(&w->tensors, (uint64_t)shape[i], 8);
	rc = rc ? rc : put(&w->tensors, type, 4);
	rc = rc ? rc : put(&w->tensors, w->data, 8);
	if (!ft_add(w->data, bytes, &w->data) || !ft_add(w->data, padding(w->data), &w->data))
		return ft_fail(FT_EFAIL, "tensor '%s': the tensors together have too many bytes", name);
	return rc;
}

static int write_padding(int fd, const char *path, size_t n)
{
	static const char zeros[ALIGNMENT];
	return ft_write_all(fd, zeros, padding(n), path);
}

int gguf_write_head(const struct gguf_writer *w, int fd, const char *path)
{
	struct ft_buf head = { 0 };
	int rc = ft_buf_append(&head, "GGUF", 4);
	rc = rc ? rc : put(&head, VERSION, 4);
	rc = rc ? rc : put(&head, w->ntensors, 8);
	rc = rc ? rc : put(&head, w->nkeys, 8);
	rc = rc ? rc : ft_write_all(fd, head.data, head.len, path);
	rc = rc ? rc : ft_write_all(fd, w->keys.data, w->keys.len, path);
	rc = rc ? rc : ft_write_all(fd, w->tensors.data, w->tensors.len, path);
	rc = rc ? rc : write_padding(fd, path, head.len + w->keys.len + w->tensors.len);
	ft_buf_free(&head);
	return rc;
}

int gguf_write_data(int fd, const char *path, const void *data, size_t bytes)
{
	int rc = ft_write_all(fd, data, bytes, path);
	return rc ? rc : write_padding(fd, path, bytes);
}

void gguf_writer_free(struct gguf_writer *w)
{
	ft_buf_free(&w->keys);
	ft_buf_free(&w->tensors);
	*w = (struct gguf_writer){ 0 };
}
