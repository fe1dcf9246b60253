/* blocks.h - types in blocks: FT_BLOCK elements share a scale in float16. Q8_0 and Q4_0 are ggml's.
 *
 *   Q8_0: the scale d, 32 signed bytes q;    x = q d
 *   Q4_0: the scale d, 16 bytes, in byte j q of element j (low) and of element
 *         j + 16 (high);                     x = (q - 8) d
 *
 *   NF4:  as Q4_0, but for             x = level[q] d
 *
 * The first two products have at most 19 bits, so widening rounds nothing.
 */
#ifndef FT_TENSOR_BLOCKS_H
#define FT_TENSOR_BLOCKS_H

#include "ft/tensor.h"

#include <stddef.h>

#define Q8_0_BYTES (2 + FT_BLOCK)
#define Q4_0_BYTES (2 + FT_BLOCK / 2)
#define NF4_BYTES Q4_0_BYTES

/* Quantiles of the normal distribution, scaled to [-1, 1], one of them 0 (Dettmers et al., "QLoRA", 2023, appendix E).
 * bitsandbytes has the same, with a scale in float32 for 64 elements. */
#define NF4_LEVELS                                                                                                   \
	-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,             \
		-0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,      \
		0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,               \
		0.7229568362236023f, 1.0f
static const float nf4_levels[16] = { NF4_LEVELS };

/* n: a multiple of FT_BLOCK; the blocks at any alignment. */
void q8_0_widen(float *dest, const unsigned char *src, size_t n);
void q4_0_widen(float *dest, const unsigned char *src, size_t n);
void nf4_widen(float *dest, const unsigned char *src, size_t n);
int q8_0_narrow(unsigned char *dest, const float *src, size_t n);
int q4_0_narrow(unsigned char *dest, const float *src, size_t n);
int nf4_narrow(unsigned char *dest, const float *src, size_t n);

#endif
