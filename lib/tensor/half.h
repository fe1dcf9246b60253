/* half.h - float16 and bfloat16, one value: branch-free integer arithmetic (and one exact
 * addition). */
#ifndef FT_TENSOR_HALF_H
#define FT_TENSOR_HALF_H

#include <stdint.h>
#include <string.h>

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

#endif
