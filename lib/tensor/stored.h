/* stored.h - numbers of a matrix as it is stored (FT_F32, FT_F16, FT_BF16 and the types in
 * blocks), widened into registers. Exactly what ft_widen() makes of them: but for the payload of
 * a NaN, which no sum keeps.
 *
 * A row is given by where it begins, at any alignment, and a number by its place in the row. The
 * type is a constant wherever these are inlined. */
#ifndef FT_TENSOR_STORED_H
#define FT_TENSOR_STORED_H

#include "ft/tensor.h"
#include "blocks.h"
#include "half.h"
#include "lanes.h"

#ifdef __F16C__
#include <immintrin.h>
#endif

/* Bytes of n numbers; of a type in blocks, whole blocks. */
INLINE int64_t stored_bytes(enum ft_dtype t, int64_t n)
{
	switch (t) {
	case FT_Q8_0: return n / FT_BLOCK * Q8_0_BYTES;
	case FT_Q4_0:
	case FT_NF4: return n / FT_BLOCK * Q4_0_BYTES;
	case FT_F32: return 4 * n;
	default: return 2 * n;
	}
}

INLINE float half_at(const unsigned char *p)
{
	uint16_t h;
	memcpy(&h, p, sizeof h);
#ifdef __F16C__
	return _cvtsh_ss(h);
#else
	return float_of(f16_widen(h));
#endif
}

INLINE vf load_f16(const unsigned char *p)
{
#if LANES == 16
	return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
#elif LANES == 8
	return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
#else
	return (vf){ half_at(p), half_at(p + 2), half_at(p + 4), half_at(p + 6) };
#endif
}

INLINE vf load_bf16(const unsigned char *p)
{
	uint16_t h __attribute__((vector_size(2 * LANES)));
	memcpy(&h, p, sizeof h);
	return (vf)(__builtin_convertvector(h, vu) << 16);
}

INLINE vf load_q8_0(const unsigned char *block, int64_t i)
{
	int8_t q __attribute__((vector_size(LANES)));
	memcpy(&q, block + 2 + i, sizeof q);
	return __builtin_convertvector(__builtin_convertvector(q, vi), vf) * splat(half_at(block));
}

INLINE vf load_q4_0(const unsigned char *block, int64_t i)
{
	uint8_t q __attribute__((vector_size(LANES)));
	memcpy(&q, block + 2 + i % (FT_BLOCK / 2), sizeof q);
	vi v = __builtin_convertvector(q, vi);
	v = ((i < FT_BLOCK / 2 ? v : v >> 4) & 15) - 8;
	return __builtin_convertvector(v, vf) * splat(half_at(block));
}

/* The levels of the lowest four bits of each lane. */
INLINE vf widen_levels(vi q)
{
#if LANES == 16
	const vf all = { NF4_LEVELS };
	return (vf)_mm512_permutexvar_ps((__m512i)q, (__m512)all); /* which looks at no other bits */
#elif LANES == 8
	const __m256i at = (__m256i)q;
	__m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(nf4_levels), at);
	__m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(nf4_levels + 8), at);
	return (vf)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(at, 28)));
#else
	return (vf){ nf4_levels[q[0] & 15], nf4_levels[q[1] & 15], nf4_levels[q[2] & 15], nf4_levels[q[3] & 15] };
#endif
}

INLINE vf load_nf4(const unsigned char *block, int64_t i)
{
	uint8_t q __attribute__((vector_size(LANES)));
	memcpy(&q, block + 2 + i % (FT_BLOCK / 2), sizeof q);
	vi v = __builtin_convertvector(q, vi);
	return widen_levels(i < FT_BLOCK / 2 ? v : v >> 4) * splat(half_at(block));
}

/* LANES numbers of a row from the i-th on: of a type in blocks, i is a multiple of LANES. */
INLINE vf load_stored(enum ft_dtype t, const unsigned char *row, int64_t i)
{
	switch (t) {
	case FT_F16: return load_f16(row + 2 * i);
	case FT_BF16: return load_bf16(row + 2 * i);
	case FT_Q8_0: return load_q8_0(row + stored_bytes(t, i), i % FT_BLOCK);
	case FT_Q4_0: return load_q4_0(row + stored_bytes(t, i), i % FT_BLOCK);
	case FT_NF4: return load_nf4(row + stored_bytes(t, i), i % FT_BLOCK);
	default: return load(row + 4 * i);
	}
}

/* One number. */
INLINE float stored_at(enum ft_dtype t, const unsigned char *row, int64_t i)
{
	uint16_t h;
	float f;
	const unsigned char *block = row + stored_bytes(t, i);
	int64_t in = i % FT_BLOCK, half = FT_BLOCK / 2;
	switch (t) {
	case FT_F16: return half_at(row + 2 * i);
	case FT_BF16:
		memcpy(&h, row + 2 * i, sizeof h);
		return float_of((uint32_t)h << 16);
	case FT_Q8_0: return (float)(signed char)block[2 + in] * half_at(block);
	case FT_NF4: return nf4_levels[block[2 + in % half] >> (in < half ? 0 : 4) & 15] * half_at(block);
	case FT_Q4_0: return (float)((block[2 + in % half] >> (in < half ? 0 : 4) & 15) - 8) * half_at(block);
	default:
		memcpy(&f, row + 4 * i, sizeof f);
		return f;
	}
}

/* ---- a few numbers of each of LANES rows, turned by words and then widened ---- */

#define BF16_AT_ONCE 8

/* ---- the same without leaving the registers ---- */

INLINE int64_t numbers_at_once(enum ft_dtype t) { return t == FT_BF16 ? BF16_AT_ONCE : LANES; }
#define NUMBERS_AT_ONCE (LANES > BF16_AT_ONCE ? LANES : BF16_AT_ONCE)

/* v[i] = number `at` + i of each of LANES rows, for numbers_at_once() of them; not of a type in blocks. */
INLINE void turn_numbers(enum ft_dtype t, vf v[NUMBERS_AT_ONCE], const unsigned char *p, int64_t stride, int64_t at)
{
	if (t == FT_BF16) {
		vu w[4];
		turn_words(w, p + 2 * at, stride);
#pragma GCC unroll 8
		for (int i = 0; i < BF16_AT_ONCE; i++)
			v[i] = (vf)(i % 2 ? w[i / 2] & 0xffff0000 : w[i / 2] << 16);
		return;
	}
#pragma GCC unroll 16
	for (int i = 0; i < LANES; i++)
		v[i] = load_stored(t, p + i * stride, at);
	turn(v);
}

/* panel[BF16_AT_ONCE][width] */
INLINE void turn_bf16(float *panel, int64_t width, const unsigned char *p, int64_t stride)
{
	vf v[NUMBERS_AT_ONCE];
	turn_numbers(FT_BF16, v, p, stride, 0);
#pragma GCC unroll 8
	for (int i = 0; i < BF16_AT_ONCE; i++)
		store(panel + i * width, v[i]);
}

#if LANES > 4
/* Numbers of 16 bits that are `stride` bytes apart. (Written to memory one by one and read as one, they would have to
 * wait for each other.) */
INLINE __m128i load_eight(const unsigned char *p, int64_t stride)
{
	typedef uint16_t v8 __attribute__((vector_size(16)));
	uint16_t x[8];
#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
		memcpy(&x[i], p + i * stride, sizeof x[i]);
	return (__m128i)(v8){ x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7] };
}
#endif

/* The scales of blocks that are `stride` bytes apart. */
INLINE vf load_scales(const unsigned char *block, int64_t stride)
{
#if LANES == 16
	return (vf)_mm512_cvtph_ps(_mm256_set_m128i(load_eight(block + 8 * stride, stride), load_eight(block, stride)));
#elif LANES == 8
	return (vf)_mm256_cvtph_ps(load_eight(block, stride));
#else
	return (vf){ half_at(block), half_at(block + stride), half_at(block + 2 * stride), half_at(block + 3 * stride) };
#endif
}

/* A piece of a block: as many numbers as 16 bytes hold. */
INLINE int piece_of(enum ft_dtype t) { return t == FT_Q8_0 ? FT_BLOCK / 2 : FT_BLOCK; }

#ifdef __FMA__
/* A number q of few bits, from bit `place` on in the fraction of a float whose exponent makes that bit 1, is the float
 * 2^(23 - place) + q without converting it. Times the scale, less the scale times what is too much, is what the number
 * stands for: exactly, as the scale has 11 bits, what is too much 13 at most, and the two are one operation. With
 * scales that are not finite the sums are not, either. */
#define PLACES 3
INLINE int place(int i) { return 8 + 4 * i; }

/* The scales of blocks, and less[i]: the scales times what is too much at place(i). */
struct scales { vf d, less[PLACES]; };
INLINE struct scales scales_of(enum ft_dtype t, const unsigned char *block, int64_t stride)
{
	struct scales s = { .d = load_scales(block, stride) };
	const float zero = t == FT_Q8_0 ? 128 : 8;
	for (int i = 0; i < PLACES; i++)
		s.less[i] = s.d * -((float)(1 << (23 - place(i))) + zero);
	return s;
}

/* What `bits` bits of each word stand for, from bit `from` on, which is a multiple of `bits`: 8 of Q8_0, which have a
 * sign, or 4 of Q4_0. Words are shifted as seldom as may be. */
INLINE vf widen_bits(vu w, int from, int bits, const struct scales *s)
{
	const int last = bits == 8 ? place(0) : place(PLACES - 1);
	const int at = from < place(0) ? from + 8 : from <= last ? from : bits == 8 ? last : from - 12;
	const uint32_t sign = bits == 8 ? 1u << (at + 7) : 0, exponent = (uint32_t)(127 + 23 - at) << 23;
	vu in = at > from ? w << (at - from) : w >> (from - at);
	in = (in & ((1u << bits) - 1) << at) ^ (exponent | sign);
#if LANES == 16
	return (vf)_mm512_fmadd_ps((__m512)in, (__m512)s->d, (__m512)s->less[(at - place(0)) / 4]);
#else
	return (vf)_mm256_fmadd_ps((__m256)in, (__m256)s->d, (__m256)s->less[(at - place(0)) / 4]);
#endif
}
#else
struct scales { vf d; };
INLINE struct scales scales_of(enum ft_dtype t, const unsigned char *block, int64_t stride)
{
	(void)t;
	return (struct scales){ load_scales(block, stride) };
}

INLINE vf widen_bits(vu w, int from, int bits, const struct scales *s)
{
	vi q = bits == 8 ? (vi)(w << (24 - from)) >> 24 : (vi)(w >> from & 15) - 8;
	return __builtin_convertvector(q, vf) * s->d;
}
#endif

/* The i-th number of a piece of LANES rows whose words were turned; i is a constant. */
INLINE vf widen_turned(enum ft_dtype t, const vu w[4], int i, const struct scales *s)
{
	vu word = w[i % 16 / 4];
	int from = i % 4 * 8 + i / 16 * 4;
	if (t == FT_NF4)
		return widen_levels((vi)(word >> from)) * s->d;
	return widen_bits(word, from, t == FT_Q8_0 ? 8 : 4, s);
}

/* A block of each: panel[FT_BLOCK][width] */
INLINE void turn_block(enum ft_dtype t, float *panel, int64_t width, const unsigned char *block, int64_t stride)
{
	const struct scales d = scales_of(t, block, stride);
	for (int part = 0; part < FT_BLOCK; part += piece_of(t)) {
		vu w[4];
		turn_words(w, block + 2 + part, stride);
#pragma GCC unroll 32
		for (int i = 0; i < piece_of(t); i++)
			store(panel + (part + i) * width, widen_turned(t, w, i, &d));
	}
}

#endif
