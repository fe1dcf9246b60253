/* dtype.c - the types stored tensors have, and the way to and from float32.
 *
 * The conversions are branch-free integer arithmetic (and one exact addition),
 * so that compilers vectorise the loops and the result does not depend on the
 * instruction set, on flush-to-zero or on what the processor does to NaNs: a
 * NaN stays a NaN with the upper bits of its payload.
 */
#include "ft/err.h"
#include "ft/tensor.h"
#include <string.h>

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {
#define X(name, bytes) { #name, bytes },
	FT_DTYPES(X)
#undef X
};

size_t ft_dtype_size(enum ft_dtype t)
{
	return (unsigned)t < FT_DTYPE_COUNT ? dtypes[t].size : 0;
}

const char *ft_dtype_name(enum ft_dtype t)
{
	return (unsigned)t < FT_DTYPE_COUNT ? dtypes[t].name : "?";
}

int ft_dtype_parse(const char *name, size_t n)
{
	for (int t = 0; t < FT_DTYPE_COUNT; t++)
		if (strlen(dtypes[t].name) == n && !memcmp(dtypes[t].name, name, n))
			return t;
	return -1;
}

static inline float float_of(uint32_t bits)
{
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

static inline uint32_t bits_of(float f)
{
	uint32_t bits;
	memcpy(&bits, &f, sizeof bits);
	return bits;
}

/* All-ones when `yes`: selects without a branch. */
static inline uint32_t mask_if(int yes)
{
	return -(uint32_t)(yes != 0);
}

/* binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static inline uint32_t f16_widen(uint16_t h)
{
	uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
	uint32_t exponent = magnitude & 0x0f800000;
	/* Bias 15 to bias 127; infinity and NaN get the rest of the way to 255. */
	uint32_t normal = magnitude + ((127 - 15) << 23);
	uint32_t special = magnitude + ((255 - 31) << 23);
	/* A subnormal is fraction × 2^-24: put it below a leading 1 of 2^-14
	 * and take that 1 away, which is exact and meets no float32 subnormal. */
	uint32_t tiny = bits_of(float_of(magnitude + 0x38800000) - float_of(0x38800000));
	uint32_t is_special = mask_if(exponent == 0x0f800000), is_tiny = mask_if(exponent == 0);
	uint32_t out = (normal & ~is_special & ~is_tiny) | (special & is_special) | (tiny & is_tiny);
	return out | (uint32_t)(h & 0x8000) << 16;
}

static inline uint16_t f16_narrow(uint32_t bits)
{
	uint32_t magnitude = bits & 0x7fffffff;
	/* Rounding adds just under half of the last kept bit, and one more when
	 * that bit is odd; a carry runs into the exponent, up to infinity. */
	uint32_t odd = magnitude >> 13 & 1;
	uint32_t normal = (magnitude - ((127 - 15) << 23) + 0xfff + odd) >> 13;
	/* Below 2^-14 adding 0.5 makes the hardware round at 2^-24. */
	uint32_t tiny = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000;
	uint32_t nan = 0x7e00 | (magnitude >> 13 & 0x1ff);
	uint32_t is_tiny = mask_if(magnitude < 0x38800000);
	uint32_t is_huge = mask_if(magnitude >= 0x47800000), is_nan = mask_if(magnitude > 0x7f800000);
	uint32_t out = (normal & ~is_tiny & ~is_huge) | (tiny & is_tiny);
	out |= (0x7c00 & is_huge & ~is_nan) | (nan & is_nan);
	return (uint16_t)(out | (bits >> 16 & 0x8000));
}

/* bfloat16: the upper half of a float32. */
static inline uint16_t bf16_narrow(uint32_t bits)
{
	uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
	uint32_t is_nan = mask_if((bits & 0x7fffffff) > 0x7f800000);
	/* A NaN is made quiet: its remaining payload may be 0, which is infinity. */
	return (uint16_t)((rounded & ~is_nan) | ((bits >> 16 | 0x40) & is_nan));
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

int ft_widen(float *dest, const void *src, enum ft_dtype t, size_t n)
{
	if (n == 0)
		return 0;
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
	default:
		return ft_fail(FT_EFORMAT,
		               "element type %s cannot be used as weights; F32, F16, BF16 and F64 can",
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
	default:
		return ft_fail(FT_EFORMAT, "weights cannot be written as %s; F32, F16 and BF16 can",
		               ft_dtype_name(t));
	}
}
