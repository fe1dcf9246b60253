/* kernels.c - the numeric kernels, compiled once for each instruction set, which
 * is FT_ISA. Each lane of a vector (vector.h), and each sum, is alike in all of them.
 */
#include "ft/kernels.h"
#include "vector.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif
#include <math.h>
#include <string.h>

/* ---- activations ---- */
#define SQRT_HALF 0.70710678f
#define INV_SQRT_2PI 0.39894228f
#define SQRT_2_OVER_PI 0.79788456f

INLINE vf gelu1(vf x) { return 0.5f * x * (1.0f + verf(x * SQRT_HALF)); }

/* Phi(x) + x phi(x). Both share exp(-x^2/2): erfc(t) = exp(-t^2) u Q(u) with
 * u = 1/(1 + 0.45 t), Q a weighted minimax fit; absolute error below 3e-7. */
INLINE vf gelu_slope(vf x)
{
	vf e = vexp(-0.5f * x * x), u = 1.0f / (1.0f + (0.45f * SQRT_HALF) * vabs(x));
	vf q = u * 1.859608223e-03f + 8.251168579e-02f;
	q = q * u + -4.709962904e-01f;
	q = q * u + 8.279506564e-01f;
	q = q * u + -3.538604677e-01f;
	q = q * u + 4.503894746e-01f;
	q = q * u + 2.034037113e-01f;
	q = q * u + 2.587416172e-01f;
	vf tail = 0.5f * e * u * q; /* Phi(-|x|) */
	return choose(x < 0.0f, tail, 1.0f - tail) + x * INV_SQRT_2PI * e;
}

INLINE vf gelu_tanh1(vf x)
{
	return 0.5f * x * (1.0f + vtanh(SQRT_2_OVER_PI * (x + 0.044715f * x * x * x)));
}

INLINE vf gelu_tanh_slope(vf x)
{
	vf t = vtanh(SQRT_2_OVER_PI * (x + 0.044715f * x * x * x));
	return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * SQRT_2_OVER_PI * (1.0f + 3.0f * 0.044715f * x * x);
}

INLINE vf sigmoid(vf x) { return 1.0f / (1.0f + vexp(-x)); }
INLINE vf silu1(vf x) { return x * sigmoid(x); }

INLINE vf silu_slope(vf x)
{
	vf s = sigmoid(x);
	return s * (1.0f + x * (1.0f - s));
}

#define MAP(name, f)                                                        \
	static void name(float *y, const float *x, size_t n)                \
	{                                                                   \
		for (size_t i = 0; i < n; i += LANES)                       \
			put(y, i, n, f(take(x, i, n, 0)));                  \
	}
#define MAP_BACK(name, slope)                                                             \
	static void name(float *dx, const float *dy, const float *x, size_t n)            \
	{                                                                                 \
		for (size_t i = 0; i < n; i += LANES)                                     \
			put(dx, i, n, take(dy, i, n, 0) * slope(take(x, i, n, 0)));       \
	}
MAP(gelu, gelu1)
MAP_BACK(gelu_back, gelu_slope)
MAP(gelu_tanh, gelu_tanh1)
MAP_BACK(gelu_tanh_back, gelu_tanh_slope)
MAP(silu, silu1)
MAP_BACK(silu_back, silu_slope)
MAP(tanh_, vtanh)

/* ---- sums ---- */
static void add(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += x[i];
}

static void mul(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] *= x[i];
}

static void axpy(float *y, float a, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += a * x[i];
}

static double sum_squares(const float *x, size_t n)
{
	double total = 0;
	while (n) { /* float sums over short runs only */
		size_t run = n < 4096 ? n : 4096;
		struct lanes s = all_lanes(0);
		EACH_PART(i, p, run) {
			vf v = take(x, i, run, 0);
			s.part[p] += v * v;
		}
		total += sum(s);
		x += run;
		n -= run;
	}
	return total;
}

static float dot(const float *a, const float *b, size_t n)
{
	struct lanes s = all_lanes(0);
	EACH_PART(i, p, n)
		s.part[p] += take(a, i, n, 0) * take(b, i, n, 0);
	return sum(s);
}

static void column_sums(float *out, const float *x, size_t ld, size_t rows, size_t cols, bool keep)
{
	size_t c = 0;
	for (; c + 4 * LANES <= cols; c += 4 * LANES) { /* whole cache lines of a row at a time */
		vf s[4];
		for (int k = 0; k < 4; k++)
			s[k] = keep ? load(out + c + k * LANES) : splat(0);
		for (size_t r = 0; r < rows; r++)
			for (int k = 0; k < 4; k++)
				s[k] += load(x + r * ld + c + k * LANES);
		for (int k = 0; k < 4; k++)
			store(out + c + k * LANES, s[k]);
	}
	for (; c < cols; c++) {
		float s = keep ? out[c] : 0;
		for (size_t r = 0; r < rows; r++)
			s += x[r * ld + c];
		out[c] = s;
	}
}

/* ---- softmax ---- */
static float row_max(const float *x, size_t n)
{
	struct lanes m = all_lanes(-INFINITY);
	EACH_PART(i, p, n)
		m.part[p] = vmax(take(x, i, n, -INFINITY), m.part[p]);
	return largest(m);
}

static float softmax(float *x, float scale, size_t n)
{
	float top = row_max(x, n) * scale; /* scale > 0 */
	struct lanes total = all_lanes(0);
	EACH_PART(i, p, n) {
		vf e = vexp(take(x, i, n, -INFINITY) * scale - top);
		total.part[p] += e;
		put(x, i, n, e);
	}
	float s = sum(total), inverse = 1.0f / s;
	for (size_t i = 0; i < n; i++)
		x[i] *= inverse;
	return top + logf(s);
}

static void softmax_again(float *x, float scale, float lse, size_t n)
{
	for (size_t i = 0; i < n; i += LANES)
		put(x, i, n, vexp(take(x, i, n, 0) * scale - lse));
}

static float log_sum_exp(const float *x, size_t n)
{
	float top = row_max(x, n);
	struct lanes total = all_lanes(0);
	EACH_PART(i, p, n)
		total.part[p] += vexp(take(x, i, n, -INFINITY) - top);
	return top + logf(sum(total));
}

static void softmax_back(float *dp, const float *p, float d, float scale, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dp[i] = p[i] * (dp[i] - d) * scale;
}

/* ---- norms ---- */
static void layer_norm(float *y, const float *x, const float *w, const float *b, size_t n, float eps, float *mean,
                       float *rstd)
{
	struct lanes s = all_lanes(0);
	EACH_PART(i, p, n)
		s.part[p] += take(x, i, n, 0);
	float m = sum(s) / (float)n;
	s = all_lanes(0);
	EACH_PART(i, p, n) {
		vf d = take(x, i, n, m) - m;
		s.part[p] += d * d;
	}
	float r = 1.0f / sqrtf(sum(s) / (float)n + eps);
	for (size_t i = 0; b && i < n; i++)
		y[i] = (x[i] - m) * r * w[i] + b[i];
	for (size_t i = 0; !b && i < n; i++)
		y[i] = (x[i] - m) * r * w[i];
	*mean = m;
	*rstd = r;
}

static void layer_norm_back(float *dx, bool keep, float *dw, float *db, const float *dy, const float *x,
                            const float *w, size_t n, float mean, float rstd)
{
	struct lanes s1 = all_lanes(0), s2 = all_lanes(0);
	EACH_PART(i, p, n) {
		vf g = take(dy, i, n, 0) * take(w, i, n, 0);
		s1.part[p] += g;
		s2.part[p] += g * ((take(x, i, n, mean) - mean) * rstd);
	}
	float m1 = sum(s1) / (float)n, m2 = sum(s2) / (float)n;
	if (dw)
		for (size_t i = 0; i < n; i++)
			dw[i] += dy[i] * ((x[i] - mean) * rstd);
	if (db)
		add(db, dy, n);
	if (!dx)
		return;
	for (size_t i = 0; i < n; i++) {
		float v = (dy[i] * w[i] - m1 - (x[i] - mean) * rstd * m2) * rstd;
		dx[i] = keep ? dx[i] + v : v;
	}
}

static void rms_norm(float *y, const float *x, const float *w, float plus, size_t n, float eps, float *rstd)
{
	float r = 1.0f / sqrtf(dot(x, x, n) / (float)n + eps);
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] * r * (w[i] + plus);
	*rstd = r;
}

static void rms_norm_back(float *dx, bool keep, float *dw, const float *dy, const float *x, const float *w, float plus,
                          size_t n, float rstd)
{
	struct lanes s = all_lanes(0);
	EACH_PART(i, p, n)
		s.part[p] += take(dy, i, n, 0) * (take(w, i, n, 0) + plus) * take(x, i, n, 0);
	float m = sum(s) * rstd * rstd / (float)n;
	if (dw)
		for (size_t i = 0; i < n; i++)
			dw[i] += dy[i] * x[i] * rstd;
	if (!dx)
		return;
	for (size_t i = 0; i < n; i++) {
		float v = (dy[i] * (w[i] + plus) - x[i] * m) * rstd;
		dx[i] = keep ? dx[i] + v : v;
	}
}

/* ---- rotary positions ---- */
static void rotate(float *x, const float *cosine, const float *sine, float sign, size_t pairs)
{
	float *restrict a = x, *restrict b = x + pairs;
	for (size_t i = 0; i < pairs; i++) {
		float u = a[i], v = b[i], s = sine[i] * sign;
		a[i] = u * cosine[i] - v * s;
		b[i] = v * cosine[i] + u * s;
	}
}

/* ---- dropout ---- */

/* The halves of 64-bit products of 32-bit numbers. Of the loop GCC makes products of 64-bit
 * numbers where AVX-512 has them, which take three times as long. */
INLINE void multiply(uint32_t high[WIDE], uint32_t low[WIDE], const uint32_t x[WIDE], uint32_t by)
{
#ifdef __AVX512F__
	__m512i a = _mm512_loadu_si512(x), b = _mm512_set1_epi32((int)by);
	__m512i even = _mm512_mul_epu32(a, b), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), b);
	_mm512_storeu_si512(high, _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd));
	_mm512_storeu_si512(low, _mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32)));
#else
	for (int l = 0; l < WIDE; l++) {
		uint64_t p = (uint64_t)by * x[l];
		high[l] = (uint32_t)(p >> 32);
		low[l] = (uint32_t)p;
	}
#endif
}

/* x = a ^ b ^ k */
INLINE void mix(uint32_t x[WIDE], const uint32_t a[WIDE], const uint32_t b[WIDE], uint32_t k)
{
	for (int l = 0; l < WIDE; l++)
		x[l] = a[l] ^ b[l] ^ k;
}

/* Philox4x32-7 over 16 lanes: 64 random words, of which each half decides one
 * of the elements 128 block … + 127. Seven rounds pass BigCrush (Salmon et al.,
 * SC 2011). Word j, lane l decides the elements 32 j + l and 32 j + 16 + l. */
INLINE void philox64(uint32_t c[4][WIDE], uint64_t key, uint64_t block)
{
	uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
	for (uint32_t l = 0; l < WIDE; l++)
		c[0][l] = (uint32_t)block, c[1][l] = (uint32_t)(block >> 32), c[2][l] = l, c[3][l] = 0;
	for (int round = 0; round < 7; round++) {
		uint32_t high[2][WIDE], low[2][WIDE];
		multiply(high[0], low[0], c[0], 0xD2511F53u);
		multiply(high[1], low[1], c[2], 0xCD9E8D57u);
		mix(c[0], high[1], c[1], k0);
		mix(c[2], high[0], c[3], k1);
		memcpy(c[1], low[1], sizeof c[1]);
		memcpy(c[3], low[0], sizeof c[3]);
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
}

/* y = residual + dropout(x); residual NULL counts as 0. The probability is p to
 * the nearest 1/65536, and the scale is that of the probability used. `first` is a multiple of 128. */
static void drop_blocks(float *y, const float *x, const float *residual, const struct ft_dropout *d, uint64_t first,
                        size_t n)
{
	const uint32_t least = (uint32_t)(d->p * 65536.0f + 0.5f);
	const float scale = 65536.0f / (65536.0f - (float)least);
	for (size_t at = 0; at < n; at += 128) {
		uint32_t words[4][WIDE];
		philox64(words, d->key, (first + at) / 128);
		for (size_t k = 0, i = at; k < 128 && i < n; k += LANES, i += LANES) {
			vu w;
			memcpy(&w, &words[k / (2 * WIDE)][k % WIDE], sizeof w);
			w = k / WIDE % 2 ? w >> 16 : w & 0xffff;
			vf v = choose((vi)(w >= least), take(x, i, n, 0) * scale, splat(0));
			put(y, i, n, residual ? take(residual, i, n, 0) + v : v);
		}
	}
}

/* The same from any element on: what comes of the block that it stands in is laid out as the whole of it. */
static void dropout_add(float *y, const float *x, const float *residual, const struct ft_dropout *d, uint64_t first,
                        size_t n)
{
	size_t skip = first % 128, some = n < 128 - skip ? n : 128 - skip;
	if (skip) {
		float in[128] = { 0 }, kept[128] = { 0 }, out[128];
		memcpy(in + skip, x, some * sizeof *x);
		if (residual)
			memcpy(kept + skip, residual, some * sizeof *x);
		drop_blocks(out, in, residual ? kept : NULL, d, first - skip, skip + some);
		memcpy(y, out + skip, some * sizeof *y);
		first += some, n -= some, y += some, x += some;
		residual = residual ? residual + some : NULL;
	}
	drop_blocks(y, x, residual, d, first, n);
}

static void dropout(float *y, const float *x, const struct ft_dropout *d, uint64_t first, size_t n)
{
	dropout_add(y, x, NULL, d, first, n);
}

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
extern const struct ft_product JOIN(ft_product_, FT_ISA);
extern const struct ft_updates JOIN(ft_updates_, FT_ISA);
extern const struct ft_kernels JOIN(ft_kernels_, FT_ISA);
const struct ft_kernels JOIN(ft_kernels_, FT_ISA) = {
	.name = STRING(FT_ISA),
	.product = &JOIN(ft_product_, FT_ISA),
	.update = &JOIN(ft_updates_, FT_ISA),
	.gelu = gelu,
	.gelu_back = gelu_back,
	.gelu_tanh = gelu_tanh,
	.gelu_tanh_back = gelu_tanh_back,
	.silu = silu,
	.silu_back = silu_back,
	.tanh = tanh_,
	.add = add,
	.mul = mul,
	.axpy = axpy,
	.sum_squares = sum_squares,
	.dot = dot,
	.column_sums = column_sums,
	.softmax = softmax,
	.softmax_again = softmax_again,
	.log_sum_exp = log_sum_exp,
	.softmax_back = softmax_back,
	.layer_norm = layer_norm,
	.layer_norm_back = layer_norm_back,
	.rms_norm = rms_norm,
	.rms_norm_back = rms_norm_back,
	.rotate = rotate,
	.dropout = dropout,
	.dropout_add = dropout_add,
};
