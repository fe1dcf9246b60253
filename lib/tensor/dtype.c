/* dtype.c - the types stored tensors have, and the way to and from float32.
 *
 * The conversions are branch-free integer arithmetic (and one exact addition),
 * so that compilers vectorise the loops and the result does not depend on the
 * instruction set, on flush-to-zero or on what the processor does to NaNs: a
 * NaN stays a NaN with the upper bits of its payload.
 */
#include "ft/err.h"
#include "ft/mem.h"
#include "ft/tensor.h"
#include "blocks.h"
#include "half.h"

#include <string.h>
#include <strings.h>

static const struct {
	const char *name;
	size_t block, bytes; /* elements and bytes of a block */
} dtypes[] = {
#define X(name, bytes) { #name, 1, bytes },
	FT_DTYPES(X)
#undef X
#define X(name, elements, bytes) { #name, elements, bytes },
	FT_BLOCK_DTYPES(X)
#undef X
};

size_t ft_dtype_size(enum ft_dtype t)
{
	return ft_dtype_block(t) == 1 ? dtypes[t].bytes : 0;
}

size_t ft_dtype_block(enum ft_dtype t)
{
	return (unsigned)t < FT_DTYPE_COUNT ? dtypes[t].block : 0;
}

bool ft_dtype_bytes(enum ft_dtype t, size_t n, size_t *bytes)
{
	size_t block = ft_dtype_block(t);
	return block && n % block == 0 && ft_mul(n / block, dtypes[t].bytes, bytes);
}

const char *ft_dtype_name(enum ft_dtype t)
{
	return (unsigned)t < FT_DTYPE_COUNT ? dtypes[t].name : "?";
}

int ft_dtype_parse(const char *name, size_t n)
{
	for (int t = 0; t < FT_DTYPE_COUNT; t++)
		if (dtypes[t].block == 1 && strlen(dtypes[t].name) == n && !memcmp(dtypes[t].name, name, n))
			return t;
	return -1;
}

int ft_dtype_of_weights(const char *name)
{
	for (int t = 0; t < FT_DTYPE_COUNT; t++)
		if (t != FT_F64 && ft_dtype_widens((enum ft_dtype)t) && strcasecmp(dtypes[t].name, name) == 0)
			return t;
	return -1;
}

bool ft_dtype_widens(enum ft_dtype t)
{
	return (unsigned)t <= FT_F64 || ft_dtype_block(t) > 1;
}

static void widen_f16(float *restrict dest, const unsigned char *restrict src, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t h;
		memcpy(&h, src + 2 * i, 2);
		dest[i] = float_of(f16_widen(h));
	}
}

static void widen_bf16(float *restrict dest, const unsigned char *restrict src, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t h;
		memcpy(&h, src + 2 * i, 2);
		dest[i] = float_of((uint32_t)h << 16);
	}
}

static void widen_f64(float *restrict dest, const unsigned char *restrict src, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		double d;
		memcpy(&d, src + 8 * i, 8);
		dest[i] = (float)d;
	}
}

static int fail_blocks(enum ft_dtype t, size_t n)
{
	return ft_fail(FT_EFORMAT, "%zu elements are not whole blocks of %zu (%s)", n, ft_dtype_block(t), ft_dtype_name(t));
}

int ft_widen(float *dest, const void *src, enum ft_dtype t, size_t n)
{
	if (n == 0)
		return 0;
	if (ft_dtype_block(t) > 1 && n % ft_dtype_block(t))
		return fail_blocks(t, n);
	switch (t) {
	case FT_F32:
		memcpy(dest, src, n * sizeof *dest);
		return 0;
	case FT_F16:
		widen_f16(dest, src, n);
		return 0;
	case FT_BF16:
		widen_bf16(dest, src, n);
		return 0;
	case FT_F64:
		widen_f64(dest, src, n);
		return 0;
	case FT_Q8_0:
		q8_0_widen(dest, src, n);
		return 0;
	case FT_Q4_0:
		q4_0_widen(dest, src, n);
		return 0;
	case FT_NF4:
		nf4_widen(dest, src, n);
		return 0;
	default:
		return ft_fail(FT_EFORMAT,
		               "element type %s cannot be used as weights; F32, F16, BF16, F64, Q8_0 and Q4_0 can",
		               ft_dtype_name(t));
	}
}

static void narrow_f16(unsigned char *restrict dest, const float *restrict src, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t h = f16_narrow(bits_of(src[i]));
		memcpy(dest + 2 * i, &h, 2);
	}
}

static void narrow_bf16(unsigned char *restrict dest, const float *restrict src, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t h = bf16_narrow(bits_of(src[i]));
		memcpy(dest + 2 * i, &h, 2);
	}
}

int ft_narrow(void *dest, const float *src, enum ft_dtype t, size_t n)
{
	if (n == 0)
		return 0;
	if (ft_dtype_block(t) > 1 && n % ft_dtype_block(t))
		return fail_blocks(t, n);
	switch (t) {
	case FT_F32:
		memcpy(dest, src, n * sizeof *src);
		return 0;
	case FT_F16:
		narrow_f16(dest, src, n);
		return 0;
	case FT_BF16:
		narrow_bf16(dest, src, n);
		return 0;
	case FT_Q8_0:
		return q8_0_narrow(dest, src, n);
	case FT_Q4_0:
		return q4_0_narrow(dest, src, n);
	case FT_NF4:
		return nf4_narrow(dest, src, n);
	default:
		return ft_fail(FT_EFORMAT, "weights cannot be written as %s; F32, F16, BF16, Q8_0 and Q4_0 can",
		               ft_dtype_name(t));
	}
}

void ft_tensor_floats(const struct ft_tensor *t, int64_t row, int64_t n, float *dest)
{
	size_t cols = (size_t)t->cols, count = (size_t)n * cols, skip = 0;
	if (!t->stored) {
		memcpy(dest, t->data + (size_t)row * cols, count * sizeof *dest);
		return;
	}
	ft_dtype_bytes(t->dtype, (size_t)row * cols, &skip);
	ft_widen(dest, (const unsigned char *)t->stored + skip, t->dtype, count);
}
