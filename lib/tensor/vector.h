/* vector.h - vectors of 16 floats (GNU C vector extensions), and functions of
 * them. Every instruction set executes them lane by lane alike.
 */
#ifndef FT_TENSOR_VECTOR_H
#define FT_TENSOR_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float *p)
{
	vf v;
	memcpy(&v, p, sizeof v);
	return v;
}

INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
/* Minus nothing: that, unlike plus, is folded away, as it keeps the sign of zero. */
INLINE vf splat(float x) { return x - (vf){ 0 }; }

/* The first n < LANES floats; the other lanes are `fill`. */
INLINE vf load_part(const float *p, size_t n, float fill)
{
	vf v = splat(fill);
	memcpy(&v, p, n * sizeof *p);
	return v;
}

INLINE void store_part(float *p, vf v, size_t n) { memcpy(p, &v, n * sizeof *p); }
INLINE vf choose(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }
INLINE vf vabs(vf x) { return (vf)((vi)x & 0x7fffffff); }
INLINE vf with_sign(vf magnitude, vf sign) { return (vf)((vi)magnitude | ((vi)sign & INT32_MIN)); }
INLINE vf vmax(vf a, vf b) { return choose(a > b, a, b); }

/* Half as many lanes: each with the one half the lanes behind it. */
typedef float vf8 __attribute__((vector_size(4 * LANES / 2)));
typedef float vf4 __attribute__((vector_size(4 * LANES / 4)));
typedef int32_t vi8 __attribute__((vector_size(4 * LANES / 2)));
typedef int32_t vi4 __attribute__((vector_size(4 * LANES / 4)));
#define HALVES(type, v)                                            \
	type low, high;                                            \
	memcpy(&low, &(v), sizeof low);                            \
	memcpy(&high, (const char *)&(v) + sizeof low, sizeof high)

/* Lanes are summed in a fixed tree. */
INLINE float sum4(vf4 v) { return (v[0] + v[2]) + (v[1] + v[3]); }

INLINE float sum8(vf8 v)
{
	HALVES(vf4, v);
	return sum4(low + high);
}

INLINE float sum(vf v)
{
	HALVES(vf8, v);
	return sum8(low + high);
}

/* Of lanes that are numbers. */
INLINE float largest4(vf4 v)
{
	float a = v[0] > v[2] ? v[0] : v[2], b = v[1] > v[3] ? v[1] : v[3];
	return a > b ? a : b;
}

INLINE float largest8(vf8 v)
{
	HALVES(vf4, v);
	vi4 more = low > high;
	return largest4((vf4)((more & (vi4)low) | (~more & (vi4)high)));
}

INLINE float largest(vf v)
{
	HALVES(vf8, v);
	vi8 more = low > high;
	return largest8((vf8)((more & (vi8)low) | (~more & (vi8)high)));
}

/* for each whole vector at i, then once for the rest with n_ elements */
#define EACH_VECTOR(n) size_t i = 0; for (; i + LANES <= (n); i += LANES)
#define REST(n) const size_t rest = (n) - i; if (rest)

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
