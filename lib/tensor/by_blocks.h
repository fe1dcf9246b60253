/* by_blocks.h - products of few rows with weights in blocks (FT_Q8_0, FT_Q4_0), whose sums within a block are whole
 * numbers: weights are neither turned nor widened to floats, and are read as fast as memory gives them.
 *
 * A segment of a row of A is taken in a unit of its own, a power of two, as whole numbers of 29 bits and a sign:
 * 2^15 high + low, both of 16 bits. What is at least a 32nd of the greatest stays what it was, as a float has 24 bits;
 * the rest is wrong by half a unit at most, 2^-29 of the greatest. Times the numbers of a block they are summed
 * exactly: each of 8 sums is of 4 products, has 24 bits, and becomes a float as it is. Only then comes the scale of the
 * block.
 *
 * It is AVX2's, which waits for memory already.
 */
#ifndef FT_TENSOR_BY_BLOCKS_H
#define FT_TENSOR_BY_BLOCKS_H

#include "product.h"
#include "stored.h"

#include <math.h>

/* Numbers of a unit, which is part of the numerics. */
#define SEGMENT 1024
/* Segments, of all rows, that are made at a time: 64 KiB. */
#define SEGMENTS (4 * PRODUCT_BY_BLOCKS)
/* Bytes of B that are sent for ahead of time, since not every processor sees the next line coming: of 512 to 4096 the
 * fastest. */
#define BLOCKS_AHEAD 2048
#define WHOLE_BITS 29
#define LOW_BITS 15

struct segment {
	int16_t high[SEGMENT], low[SEGMENT];
	float unit; /* NaN: of a number that is not finite */
};

/* The bits of the greatest magnitude of n numbers, a NaN greater than all; n is a multiple of LANES. */
INLINE uint32_t greatest(const float *x, int64_t n)
{
	__m256i most = _mm256_setzero_si256();
	uint32_t lane[LANES], top = 0;
	for (int64_t i = 0; i < n; i += LANES)
		most = _mm256_max_epi32(most, (__m256i)((vi)load(x + i) & INT32_MAX));
	memcpy(lane, &most, sizeof lane);
	for (int i = 0; i < LANES; i++)
		top = lane[i] > top ? lane[i] : top;
	return top;
}

INLINE float power_of_two(int e) { return float_of((uint32_t)(e + 127) << 23); }

/* Of n numbers, a multiple of 2 LANES. */
static void take_segment(struct segment *s, const float *x, int64_t n)
{
	const uint32_t top = greatest(x, n), infinite = 0x7f800000;
	int e = (int)(top >> 23) - 126; /* all are below 2^e */
	e = e < -90 ? -90 : e;
	const vf scale = splat(top < infinite ? power_of_two(WHOLE_BITS - e) : 0);
	s->unit = top < infinite ? power_of_two(e - WHOLE_BITS) : NAN;
	for (int64_t i = 0; i < n; i += 2 * LANES) {
		vi whole[2], high[2];
		for (int h = 0; h < 2; h++) {
			whole[h] = (vi)_mm256_cvtps_epi32((__m256)(load(x + i + h * LANES) * scale));
			high[h] = (whole[h] + (1 << (LOW_BITS - 1))) >> LOW_BITS;
			whole[h] -= high[h] << LOW_BITS;
		}
		/* Two halves of one register each are joined by quarters: they are put back in order. */
		__m256i a = _mm256_packs_epi32((__m256i)high[0], (__m256i)high[1]);
		__m256i b = _mm256_packs_epi32((__m256i)whole[0], (__m256i)whole[1]);
		_mm256_storeu_si256((void *)(s->high + i), _mm256_permute4x64_epi64(a, 0xd8));
		_mm256_storeu_si256((void *)(s->low + i), _mm256_permute4x64_epi64(b, 0xd8));
	}
}

/* Half a block of numbers each. */
struct halves { __m256i half[2]; };
INLINE struct halves halves_of(enum ft_dtype t, const unsigned char *block)
{
	const unsigned char *p = block + 2;
	if (t == FT_Q8_0)
		return (struct halves){ { _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)p)),
		                          _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(p + 16))) } };
	const __m256i pairs = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)p)), zero = _mm256_set1_epi16(8);
	return (struct halves){ { _mm256_sub_epi16(_mm256_and_si256(pairs, _mm256_set1_epi16(15)), zero),
	                          _mm256_sub_epi16(_mm256_srli_epi16(pairs, 4), zero) } };
}

INLINE vf scale_of(const unsigned char *block)
{
	int16_t h;
	memcpy(&h, block, sizeof h);
	return (vf)_mm256_cvtph_ps(_mm_set1_epi16(h));
}

/* sum + scale times the products of a block with numbers at x. */
INLINE vf add_block(vf sum, struct halves w, const int16_t *x, vf scale)
{
	__m256i a = _mm256_madd_epi16(w.half[0], _mm256_loadu_si256((const void *)x));
	__m256i b = _mm256_madd_epi16(w.half[1], _mm256_loadu_si256((const void *)(x + FT_BLOCK / 2)));
	return (vf)_mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(a, b)), (__m256)scale, (__m256)sum);
}

INLINE float join(vf high, vf low)
{
	float lane[LANES];
	store(lane, (vf)_mm256_fmadd_ps((__m256)high, _mm256_set1_ps(1 << LOW_BITS), (__m256)low));
	for (int half = LANES / 2; half; half /= 2)
		for (int l = 0; l < half; l++)
			lane[l] += lane[l + half];
	return lane[0];
}

/* c += segments of `rows` rows of A, `apart` from row to row, times a segment of a column of B. (Of more columns at a
 * time memory is read at two thirds of the rate, of more rows sums do not stay in registers.) */
INLINE void sum_segment(enum ft_dtype t, int rows, float *c, int64_t ldc, const struct segment *x, int64_t apart,
                        const unsigned char *column, int64_t n)
{
	vf high[PRODUCT_BY_BLOCKS], low[PRODUCT_BY_BLOCKS];
#pragma GCC unroll 4
	for (int i = 0; i < rows; i++)
		high[i] = low[i] = splat(0);
	for (int64_t l = 0; l < n; l += FT_BLOCK, column += stored_bytes(t, FT_BLOCK)) {
		__builtin_prefetch(column + BLOCKS_AHEAD);
		const struct halves numbers = halves_of(t, column);
		const vf scale = scale_of(column);
#pragma GCC unroll 4
		for (int i = 0; i < rows; i++) {
			high[i] = add_block(high[i], numbers, x[i * apart].high + l, scale);
			low[i] = add_block(low[i], numbers, x[i * apart].low + l, scale);
		}
	}
	for (int i = 0; i < rows; i++)
		c[i * ldc] += join(high[i], low[i]) * x[i * apart].unit;
}

/* c [rows, n] += `all` segments of each row of A times k numbers of each of n columns of B. */
INLINE void add_columns(enum ft_dtype t, int rows, float *c, int64_t ldc, const struct segment *x, int64_t all,
                        int64_t n, const unsigned char *columns, int64_t stride, int64_t k)
{
	for (int64_t j = 0; j < n; j++, columns += stride)
		for (int64_t s = 0, l = 0; s < all; s++, l += SEGMENT)
			sum_segment(t, rows, c + j, ldc, x + s, all, columns + stored_bytes(t, l),
			            k - l < SEGMENT ? k - l : SEGMENT);
}

static void begin_rows(float *c, int64_t ldc, int64_t m, int64_t n, enum product_start start, const float *bias)
{
	for (int64_t i = 0; i < m && start != PRODUCT_ADD; i++)
		if (start == PRODUCT_BIAS)
			memcpy(c + i * ldc, bias, (size_t)n * sizeof *c);
		else
			memset(c + i * ldc, 0, (size_t)n * sizeof *c);
}

_Static_assert(PRODUCT_BY_BLOCKS == 4, "a case for each number of rows");
/* As product.h says. */
static void by_blocks(float *c, int64_t ldc, const float *a, int64_t lda, const struct product_matrix *b, int64_t j,
                      int64_t m, int64_t n, int64_t k, enum product_start start, const float *bias)
{
	struct segment x[SEGMENTS];
	const int64_t stride = stored_bytes(b->type, b->ld), most = SEGMENTS / m;
	begin_rows(c, ldc, m, n, start, bias);
	for (int64_t l = 0, depth; l < k; l += depth) {
		depth = k - l < most * SEGMENT ? k - l : most * SEGMENT;
		const int64_t all = (depth + SEGMENT - 1) / SEGMENT;
		const unsigned char *w = b->data + j * stride + stored_bytes(b->type, l);
		for (int64_t s = 0; s < m * all; s++) {
			int64_t at = s % all * SEGMENT, left = depth - at;
			take_segment(&x[s], a + s / all * lda + l + at, left < SEGMENT ? left : SEGMENT);
		}
		switch (m) {
#define X(rows)                                                                               \
	case rows:                                                                            \
		if (b->type == FT_Q8_0)                                                       \
			add_columns(FT_Q8_0, rows, c, ldc, x, all, n, w, stride, depth);      \
		else                                                                          \
			add_columns(FT_Q4_0, rows, c, ldc, x, all, n, w, stride, depth);      \
		break;
		X(1) X(2) X(3) X(4)
#undef X
		}
	}
}

#endif
