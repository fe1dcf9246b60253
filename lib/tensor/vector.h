/* vector.h - functions of vectors (lanes.h), and sums over 16 lanes, which every
 * instruction set adds up alike, whatever its vectors hold.
 */
#ifndef FT_TENSOR_VECTOR_H
#define FT_TENSOR_VECTOR_H

#include "lanes.h"

#include <math.h>
#include <stddef.h>

/* ---- numbers of a row of n: those from i on, of which there may be fewer than a vector holds ---- */
INLINE vf load_rest(const float *x, size_t i, size_t n, float fill)
{
	vf v = splat(fill);
	if (i < n)
		memcpy(&v, x + i, (n - i) * sizeof *x);
	return v;
}

/* Lanes beyond the last number are `fill`. */
INLINE vf take(const float *x, size_t i, size_t n, float fill)
{
	return i + LANES <= n ? load(x + i) : load_rest(x, i, n, fill);
}

INLINE void put(float *y, size_t i, size_t n, vf v)
{
	if (i + LANES <= n)
		store(y + i, v);
	else if (i < n)
		memcpy(y + i, &v, (n - i) * sizeof *y);
}

INLINE vf choose(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
INLINE vf vabs(vf x) { return (vf)((vi)x & 0x7fffffff); }
INLINE vf with_sign(vf magnitude, vf sign) { return (vf)((vi)magnitude | ((vi)sign & INT32_MIN)); }
INLINE vf vmax(vf a, vf b) { return choose(a > b, a, b); }

/* ---- sums: number i of a row goes to lane i % WIDE ---- */
#define WIDE 16
#define PARTS (WIDE / LANES)
struct lanes { vf part[PARTS]; };
/* Each vector of a row of n numbers: `i` is where it begins, `p` its part of the lanes. */
#define EACH_PART(i, p, n)                                   \
	for (size_t i = 0; i < (n);)                         \
		_Pragma("GCC unroll 4")                      \
		for (int p = 0; p < PARTS; p++, i += LANES)

INLINE struct lanes all_lanes(float x)
{
	struct lanes s;
	for (int p = 0; p < PARTS; p++)
		s.part[p] = splat(x);
	return s;
}

/* Lanes are joined in a fixed tree: each with the one half the lanes behind it. */
#define JOIN_LANES(name, how)                                                    \
	INLINE float name(struct lanes s)                                        \
	{                                                                        \
		float lane[WIDE];                                                \
		memcpy(lane, &s, sizeof lane);                                   \
		for (int half = WIDE / 2; half; half /= 2)                       \
			for (int l = 0; l < half; l++)                           \
				lane[l] = how(lane[l], lane[l + half]);          \
		return lane[0];                                                  \
	}
#define ADD(a, b) ((a) + (b))
#define GREATER(a, b) ((a) > (b) ? (a) : (b))
JOIN_LANES(sum, ADD)
JOIN_LANES(largest, GREATER) /* of lanes that are numbers */

/* ---- functions of a vector ---- */

/* exp(x), relative error below 1e-7: x = n ln 2 + r, a minimax polynomial in r,
 * and n into the exponent. Below -87.3 it is 0; NaN stays NaN. */
INLINE vf vexp(vf x)
{
	const vf high = splat(88.3762626f), low = splat(-87.3365448f);
	vf t = choose(x > high, high, x);
	t = choose(t < low, low, t);
	const vf magic = splat(12582912.0f); /* 1.5 2^23: adding it rounds to a whole number */
	vf n = (t * 1.44269504f + magic) - magic;
	vf r = t - n * 0.693359375f;
	r = r - n * -2.12194440e-4f;
	vf p = r * 1.3814505655e-3f + 8.3687053993e-3f;
	p = p * r + 4.1668388993e-2f;
	p = p * r + 1.6666521132e-1f;
	p = p * r + 4.9999994040e-1f;
	p = p * r * r + r + 1.0f;
	vi e = (__builtin_convertvector(n, vi) + 127) << 23;
	vf y = p * (vf)e;
	y = choose(x < low, splat(0), y);
	return choose(x == x, y, x);
}

/* erf(x), absolute error below 5e-8: 1 - exp(-t P(t)) for t = |x|, where P is a
 * weighted minimax fit of -log(erfc(t))/t on (0, 4]. */
INLINE vf verf(vf x)
{
	vf t = vabs(x);
	t = choose(t > 4.0f, splat(4.0f), t);
	vf p = t * -8.043708476e-6f + 1.060255381e-4f;
	p = p * t + -5.879462697e-4f;
	p = p * t + 1.576751005e-3f;
	p = p * t + -5.877076183e-5f;
	p = p * t + -1.921715029e-2f;
	p = p * t + 1.027992144e-1f;
	p = p * t + 6.366161108e-1f;
	p = p * t + 1.128379345f;
	vf y = 1.0f - vexp(-t * p);
	y = with_sign(y, x);
	return choose(x == x, y, x);
}

/* tanh(x): an odd polynomial near 0, else (1 - e) / (1 + e) with e = exp(-2|x|). */
INLINE vf vtanh(vf x)
{
	vf t = vabs(x), e = vexp(-2.0f * t), s = x * x;
	vf far = (1.0f - e) / (1.0f + e);
	far = with_sign(far, x);
	vf near = s * -8.8632355e-3f + 2.1869488e-2f; /* Taylor: 62/2835, -1382/155925 */
	near = near * s + -5.3968254e-2f;
	near = near * s + 1.3333333e-1f;
	near = near * s + -3.3333333e-1f;
	near = near * s * x + x;
	return choose(t < 0.3f, near, far);
}

#endif
