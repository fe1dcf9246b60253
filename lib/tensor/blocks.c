/* blocks.c - types in blocks (blocks.h). ggml's are narrowed exactly as its
 * quantize_row_q8_0_ref() and quantize_row_q4_0_ref() do (without fused
 * multiply-adds, as this file is compiled); NF4 to the nearest level.
 */
#include "ft/err.h"
#include "ft/tensor.h"
#include "blocks.h"
#include "half.h"

#include <math.h>

static inline float scale_of(const unsigned char *block)
{
	uint16_t d;
	memcpy(&d, block, sizeof d);
	return float_of(f16_widen(d));
}

void q8_0_widen(float *restrict dest, const unsigned char *restrict src, size_t n)
{
	for (; n; n -= FT_BLOCK, src += Q8_0_BYTES, dest += FT_BLOCK) {
		float d = scale_of(src);
		const signed char *q = (const signed char *)src + 2;
		for (int i = 0; i < FT_BLOCK; i++)
			dest[i] = (float)q[i] * d;
	}
}

void q4_0_widen(float *restrict dest, const unsigned char *restrict src, size_t n)
{
	for (; n; n -= FT_BLOCK, src += Q4_0_BYTES, dest += FT_BLOCK) {
		float d = scale_of(src);
		const unsigned char *q = src + 2;
		for (int i = 0; i < FT_BLOCK / 2; i++) {
			dest[i] = (float)((q[i] & 15) - 8) * d;
			dest[i + FT_BLOCK / 2] = (float)((q[i] >> 4) - 8) * d;
		}
	}
}

void nf4_widen(float *restrict dest, const unsigned char *restrict src, size_t n)
{
	for (; n; n -= FT_BLOCK, src += NF4_BYTES, dest += FT_BLOCK) {
		float d = scale_of(src);
		const unsigned char *q = src + 2;
		for (int i = 0; i < FT_BLOCK / 2; i++) {
			dest[i] = nf4_levels[q[i] & 15] * d;
			dest[i + FT_BLOCK / 2] = nf4_levels[q[i] >> 4] * d;
		}
	}
}

/* The first of the values of largest magnitude; NaN when one is not finite. */
static float peak_of(const float *x)
{
	float peak = 0, nothing = 0;
	for (int i = 0; i < FT_BLOCK; i++) {
		if (fabsf(x[i]) > fabsf(peak))
			peak = x[i];
		nothing += x[i] * 0;
	}
	return peak + nothing;
}

/* Writes the scale d, and gives 1/d: 0 where all is 0, or too small for a float. */
static int put_scale(unsigned char *block, float d, enum ft_dtype t, float *inverse)
{
	uint16_t half = f16_narrow(bits_of(d));
	if ((half & 0x7c00) == 0x7c00)
		return ft_fail(FT_EFORMAT, "weights that are not finite, or too large, cannot be written as %s",
		               ft_dtype_name(t));
	memcpy(block, &half, sizeof half);
	*inverse = 1 / d;
	if (!isfinite(*inverse))
		*inverse = 0;
	return FT_OK;
}

int q8_0_narrow(unsigned char *dest, const float *src, size_t n)
{
	for (; n; n -= FT_BLOCK, src += FT_BLOCK, dest += Q8_0_BYTES) {
		float inverse = 0;
		int rc = put_scale(dest, fabsf(peak_of(src)) / 127, FT_Q8_0, &inverse);
		if (rc < 0)
			return rc;
		for (int i = 0; i < FT_BLOCK; i++)
			dest[2 + i] = (unsigned char)(signed char)roundf(src[i] * inverse);
	}
	return FT_OK;
}

static unsigned q4_0_of(float x, float inverse)
{
	int q = (int)(x * inverse + 8.5f);
	return (unsigned)(q < 15 ? q : 15);
}

int q4_0_narrow(unsigned char *dest, const float *src, size_t n)
{
	for (; n; n -= FT_BLOCK, src += FT_BLOCK, dest += Q4_0_BYTES) {
		float inverse = 0;
		int rc = put_scale(dest, peak_of(src) / -8, FT_Q4_0, &inverse);
		if (rc < 0)
			return rc;
		for (int i = 0; i < FT_BLOCK / 2; i++)
			dest[2 + i] = (unsigned char)(q4_0_of(src[i], inverse) |
			                              q4_0_of(src[i + FT_BLOCK / 2], inverse) << 4);
	}
	return FT_OK;
}

/* How many of the middles between levels x is above. */
static unsigned nf4_of(float x)
{
	unsigned q = 0;
	for (int i = 0; i < 15; i++)
		q += x > (nf4_levels[i] + nf4_levels[i + 1]) / 2;
	return q;
}

int nf4_narrow(unsigned char *dest, const float *src, size_t n)
{
	for (; n; n -= FT_BLOCK, src += FT_BLOCK, dest += NF4_BYTES) {
		float inverse = 0;
		int rc = put_scale(dest, fabsf(peak_of(src)), FT_NF4, &inverse);
		if (rc < 0)
			return rc;
		for (int i = 0; i < FT_BLOCK / 2; i++)
			dest[2 + i] = (unsigned char)(nf4_of(src[i] * inverse) | nf4_of(src[i + FT_BLOCK / 2] * inverse) << 4);
	}
	return FT_OK;
}
