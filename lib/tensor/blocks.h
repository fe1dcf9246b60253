/* blocks.h - ggml's types in blocks: FT_BLOCK elements share a scale in float16.
 *
 *   Q8_0: the scale d, 32 signed bytes q;    x = q d
 *   Q4_0: the scale d, 16 bytes, in byte j q of element j (low) and of element
 *         j + 16 (high);                     x = (q - 8) d
 *
 * Both products have at most 19 bits, so widening rounds nothing.
 */
#ifndef FT_TENSOR_BLOCKS_H
#define FT_TENSOR_BLOCKS_H

#include "ft/tensor.h"

#include <stddef.h>

#define Q8_0_BYTES (2 + FT_BLOCK)
#define Q4_0_BYTES (2 + FT_BLOCK / 2)

/* n: a multiple of FT_BLOCK; the blocks at any alignment. */
void q8_0_widen(float *dest, const unsigned char *src, size_t n);
void q4_0_widen(float *dest, const unsigned char *src, size_t n);
int q8_0_narrow(unsigned char *dest, const float *src, size_t n);
int q4_0_narrow(unsigned char *dest, const float *src, size_t n);

#endif
