/* lanes.h - vectors as wide as a register of the instruction set that a file is
 * compiled for, and how squares of numbers are turned in them. */
#ifndef FT_TENSOR_LANES_H
#define FT_TENSOR_LANES_H

#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
#define LANES 16
#elif defined __AVX2__
#define LANES 8
#else
#define LANES 4
#endif

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef uint64_t vp __attribute__((vector_size(4 * LANES))); /* pairs of words */
#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const void *p)
{
	vf v;
	memcpy(&v, p, sizeof v);
	return v;
}

INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
/* Minus nothing: that, unlike plus, is folded away, as it keeps the sign of zero. */
INLINE vf splat(float x) { return x - (vf){ 0 }; }

/* 16 bytes from each of LANES / 4 rows that are `stride` apart, one behind the other. */
INLINE vu load_quarters(const unsigned char *p, int64_t stride)
{
	typedef uint32_t v4 __attribute__((vector_size(16)));
	v4 q[LANES / 4];
#pragma GCC unroll 4
	for (int i = 0; i < LANES / 4; i++)
		memcpy(&q[i], p + i * stride, sizeof q[i]);
#if LANES == 16
#define JOIN4(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
	return __builtin_shufflevector(JOIN4(q[0], q[1]), JOIN4(q[2], q[3]), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
	                               14, 15);
#undef JOIN4
#elif LANES == 8
	return __builtin_shufflevector(q[0], q[1], 0, 1, 2, 3, 4, 5, 6, 7);
#else
	return q[0];
#endif
}

/* Within each quarter of 16 bytes: the lower words of both, by turns; the higher ones; the lower pairs of words; the
 * higher ones. */
#if LANES == 16
#define WORDS_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define WORDS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define PAIRS_LOW(a, b) ((vu)__builtin_shufflevector((vp)(a), (vp)(b), 0, 8, 2, 10, 4, 12, 6, 14))
#define PAIRS_HIGH(a, b) ((vu)__builtin_shufflevector((vp)(a), (vp)(b), 1, 9, 3, 11, 5, 13, 7, 15))
#elif LANES == 8
#define WORDS_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define WORDS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define PAIRS_LOW(a, b) ((vu)__builtin_shufflevector((vp)(a), (vp)(b), 0, 4, 2, 6))
#define PAIRS_HIGH(a, b) ((vu)__builtin_shufflevector((vp)(a), (vp)(b), 1, 5, 3, 7))
#else
#define WORDS_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define WORDS_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define PAIRS_LOW(a, b) ((vu)__builtin_shufflevector((vp)(a), (vp)(b), 0, 2))
#define PAIRS_HIGH(a, b) ((vu)__builtin_shufflevector((vp)(a), (vp)(b), 1, 3))
#endif

/* Within each quarter the words of w[0..3], which are a square of 4 x 4, are turned: w[c][r] becomes w[r][c]. */
INLINE void turn_quarters(vu w[4])
{
	vu a = WORDS_LOW(w[0], w[1]), b = WORDS_HIGH(w[0], w[1]), c = WORDS_LOW(w[2], w[3]), d = WORDS_HIGH(w[2], w[3]);
	w[0] = PAIRS_LOW(a, c), w[1] = PAIRS_HIGH(a, c), w[2] = PAIRS_LOW(b, d), w[3] = PAIRS_HIGH(b, d);
}

/* w[c][i] = 32-bit word c of the 16 bytes at p + i * stride. Rows four apart lie in one vector, so that
 * squares are turned without leaving their quarters, which is what processors do fastest. */
INLINE void turn_words(vu w[4], const unsigned char *p, int64_t stride)
{
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		w[i] = load_quarters(p + i * stride, 4 * stride);
	turn_quarters(w);
}

#if LANES > 4
/* v[c], v[4 + c], ...: their quarters are turned. */
INLINE void turn_among(vu v[LANES], int c)
{
#if LANES == 16
#define LOW_HALVES(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH_HALVES(a, b) __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#define EVEN_QUARTERS(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define ODD_QUARTERS(a, b) __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
	vu a = LOW_HALVES(v[c], v[4 + c]), b = HIGH_HALVES(v[c], v[4 + c]);
	vu d = LOW_HALVES(v[8 + c], v[12 + c]), e = HIGH_HALVES(v[8 + c], v[12 + c]);
	v[c] = EVEN_QUARTERS(a, d), v[4 + c] = ODD_QUARTERS(a, d);
	v[8 + c] = EVEN_QUARTERS(b, e), v[12 + c] = ODD_QUARTERS(b, e);
#else
	vu a = v[c], b = v[4 + c];
	v[c] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
	v[4 + c] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
#endif
}
#endif

/* LANES vectors, turned: v[i][j] becomes v[j][i]. */
INLINE void turn(vf v[LANES])
{
	vu w[LANES];
	memcpy(w, v, sizeof w);
#pragma GCC unroll 4
	for (int i = 0; i < LANES; i += 4)
		turn_quarters(w + i);
#if LANES > 4
#pragma GCC unroll 4
	for (int c = 0; c < 4; c++)
		turn_among(w, c);
#endif
	memcpy(v, w, sizeof w);
}

#endif
