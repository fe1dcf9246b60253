/* Conversions between float32 and the types weights have on disk, against
 * arithmetic in double that shares nothing with them. */
#include "ft/format.h"
#include "ft/tensor.h"
#include "tests/tap.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static float of_bits(uint32_t b)
{
	float f;
	memcpy(&f, &b, sizeof f);
	return f;
}

static uint32_t to_bits(float f)
{
	uint32_t b;
	memcpy(&b, &f, sizeof b);
	return b;
}

/* The value of a binary16, from its definition. */
static double half_value(uint16_t h)
{
	int exponent = h >> 10 & 31, fraction = h & 1023;
	double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
	if (exponent == 31)
		v = fraction ? NAN : INFINITY;
	return h & 0x8000 ? -v : v;
}

static double brain_value(uint16_t h)
{
	int exponent = h >> 7 & 255, fraction = h & 127;
	double v = exponent ? ldexp(128 + fraction, exponent - 134) : ldexp(fraction, -133);
	if (exponent == 255)
		v = fraction ? NAN : INFINITY;
	return h & 0x8000 ? -v : v;
}

static void test_widen(enum ft_dtype t, double (*value)(uint16_t), uint16_t payload)
{
	static uint16_t in[65536];
	static float out[65536];
	for (int i = 0; i < 65536; i++)
		in[i] = (uint16_t)i;
	is_int(ft_widen(out, in, t, 65536), FT_OK, ft_dtype_name(t));
	int wrong = 0;
	for (int i = 0; i < 65536; i++) {
		double want = value(in[i]);
		if (isnan(want)) /* sign and payload stay */
			wrong += !isnan(out[i]) || (to_bits(out[i]) >> 31) != (uint32_t)i >> 15 ||
			         (to_bits(out[i]) >> (t == FT_F16 ? 13 : 16) & payload) !=
			                 ((unsigned)i & payload);
		else
			wrong += (double)out[i] != want || !signbit(out[i]) != !signbit(want);
	}
	is_int(wrong, 0, "all 65536 values widen exactly");
}

/* Whether `got` is the value nearest to v, ties to even, by looking at both
 * neighbours. */
static int is_nearest(uint16_t got, double v, double (*value)(uint16_t), uint16_t infinity)
{
	uint16_t m = got & 0x7fff;
	double a = fabs(v), mine = value(m);
	if ((got >> 15) != (uint16_t)(signbit(v) != 0))
		return 0;
	/* Beyond the largest finite value rounding goes on as if the next existed. */
	uint16_t last = (uint16_t)(infinity - 1);
	double step = value(last) - value((uint16_t)(last - 1)), limit = value(last) + step / 2;
	if (a >= limit)
		return m == infinity;
	if (m >= infinity)
		return 0;
	double below = m ? value((uint16_t)(m - 1)) : -1,
	       above = m == last ? value(last) + step : value((uint16_t)(m + 1));
	double d = fabs(a - mine), other = fmin(m ? a - below : INFINITY, above - a);
	return d < other || (d == other && m % 2 == 0);
}

static void test_narrow(enum ft_dtype t, double (*value)(uint16_t), uint16_t infinity)
{
	enum { EACH = 9, COUNT = 32768 * EACH };
	float *in = malloc(2 * COUNT * sizeof *in);
	uint16_t *out = malloc(2 * COUNT * sizeof *out);
	size_t n = 0, wrong = 0;
	/* Each representable value, the middle to its neighbour, and what lies next
	 * to both in float32; then random bits. */
	for (uint32_t h = 0; h < infinity; h++) {
		float v = (float)value((uint16_t)h), w = (float)value((uint16_t)(h + 1)),
		      middle = v / 2 + w / 2;
		if (isinf(w))
			middle = (float)(value((uint16_t)h) * 1.5 - value((uint16_t)(h - 1)) / 2);
		const float points[] = { v, middle, w };
		for (int p = 0; p < 3; p++) {
			in[n++] = points[p];
			in[n++] = nextafterf(points[p], -INFINITY);
			in[n++] = nextafterf(points[p], INFINITY);
		}
	}
	uint32_t x = 12345;
	while (n < COUNT) {
		x = x * 1664525 + 1013904223;
		in[n++] = of_bits(x);
	}
	for (size_t i = 0; i < n; i++)
		in[n + i] = -in[i];
	n *= 2;
	is_int(ft_narrow(out, in, t, n), FT_OK, ft_dtype_name(t));
	for (size_t i = 0; i < n; i++) {
		if (isnan(in[i]))
			wrong += !isnan(value(out[i]));
		else
			wrong += !is_nearest(out[i], in[i], value, infinity);
	}
	is_int((long long)wrong, 0, "values, middles and their neighbours round to nearest even");
	free(in);
	free(out);
}

/* A signalling NaN whose payload lies only in the bits that are cut. */
static void test_nan(void)
{
	float in[] = { of_bits(0x7f800001), of_bits(0xff800001), of_bits(0x7fc12345), NAN };
	uint16_t out[4];
	int wrong = 0;
	ft_narrow(out, in, FT_BF16, 4);
	for (int i = 0; i < 4; i++)
		wrong += !isnan(brain_value(out[i])) || (out[i] >> 15) != (to_bits(in[i]) >> 31);
	ft_narrow(out, in, FT_F16, 4);
	for (int i = 0; i < 4; i++)
		wrong += !isnan(half_value(out[i])) || (out[i] >> 15) != (to_bits(in[i]) >> 31);
	is_int(wrong, 0, "a NaN never becomes infinity");
}

static void test_alignment(void)
{
	unsigned char bytes[8 * 37 + 8], back[4 * 37 + 8];
	float out[37], in[37];
	int wrong = 0;
	for (int i = 0; i < 37; i++)
		in[i] = (float)(i - 18) / 4;
	for (size_t at = 0; at < 8; at++) {
		for (int t = FT_F32; t <= FT_BF16; t++) {
			wrong += ft_narrow(back + at, in, (enum ft_dtype)t, 37) != FT_OK;
			wrong += ft_widen(out, back + at, (enum ft_dtype)t, 37) != FT_OK;
			wrong += memcmp(in, out, sizeof in) != 0;
		}
		for (int i = 0; i < 37; i++) {
			double d = in[i];
			memcpy(bytes + at + 8 * i, &d, 8);
		}
		wrong += ft_widen(out, bytes + at, FT_F64, 37) != FT_OK || memcmp(in, out, sizeof in) != 0;
	}
	is_int(wrong, 0, "any alignment, lengths that are no multiple of a vector");
	double wide[] = { 1e300, -1e300, 1 + 0x1p-24, 1 + 0x1p-23 + 0x1p-24, 0x1p-149, 0x1p-151 };
	float want[] = { INFINITY, -INFINITY, 1, 1 + 0x1p-22f, 0x1p-149f, 0 };
	ft_widen(out, wide, FT_F64, 6);
	ok(memcmp(out, want, sizeof want) == 0, "F64 rounds to nearest even");
}

/* Against the reference's quantisation (tests/ref/make-blocks.py), a byte off any alignment. */
static void test_blocks(const struct ft_safetensors *s, enum ft_dtype t)
{
	char name[16], numbers[16];
	snprintf(name, sizeof name, "%s.wide", ft_dtype_name(t));
	snprintf(numbers, sizeof numbers, "%s.x", ft_dtype_name(t));
	const struct ft_stored *own = ft_safetensors_find(s, numbers);
	const struct ft_stored *x = own ? own : ft_safetensors_find(s, "x"), *want = ft_safetensors_find(s, ft_dtype_name(t)),
	                       *wide = ft_safetensors_find(s, name);
	size_t n = x && want && wide ? x->bytes / sizeof(float) : 0, bytes = 0;
	ok(n > 0 && n % FT_BLOCK == 0 && ft_dtype_bytes(t, n, &bytes) && bytes == want->bytes && wide->bytes == x->bytes,
	   "%s: %zu elements are %zu bytes", ft_dtype_name(t), n, bytes);
	unsigned char *narrow = malloc(bytes + 1);
	float *in = malloc(n * sizeof *in), *out = malloc(n * sizeof *out);
	memcpy(in, x->data, n * sizeof *in);
	size_t wrong = 0;
	is_int(ft_narrow(narrow + 1, in, t, n), FT_OK, "narrows");
	for (size_t i = 0; i < bytes; i++)
		wrong += narrow[1 + i] != ((const unsigned char *)want->data)[i];
	is_int((long long)wrong, 0, "to the reference's bytes");
	is_int(ft_widen(out, narrow + 1, t, n), FT_OK, "widens");
	for (size_t i = wrong = 0; i < n; i++)
		wrong += memcmp(&out[i], (const char *)wide->data + 4 * i, 4) != 0;
	is_int((long long)wrong, 0, "to the reference's numbers");

	is_int(ft_narrow(narrow, in, t, FT_BLOCK + 1), FT_EFORMAT, "no part of a block is written");
	is_int(ft_widen(out, narrow, t, FT_BLOCK - 1), FT_EFORMAT, "nor read");
	const float bad[] = { NAN, INFINITY, -INFINITY, 1e30f };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		in[5] = bad[i];
		is_int(ft_narrow(narrow, in, t, FT_BLOCK), FT_EFORMAT, "what no block holds is refused");
	}
	free(narrow);
	free(in);
	free(out);
}

static void test_sizes(void)
{
	size_t n = 0;
	ok(ft_dtype_bytes(FT_F32, 3, &n) && n == 12, "bytes of three floats");
	ok(ft_dtype_bytes(FT_Q4_0, 64, &n) && n == 36, "of two blocks");
	ok(!ft_dtype_bytes(FT_Q8_0, 33, &n), "not of a part of a block");
	ok(!ft_dtype_bytes(FT_F64, SIZE_MAX / 8 + 1, &n), "nor of more than can be counted");
	ok(!ft_dtype_bytes(FT_Q8_0, SIZE_MAX - 31, &n), "in blocks, too");
	ok(!ft_dtype_bytes((enum ft_dtype)99, 0, &n), "nor of an unknown type");
}

int main(void)
{
	struct ft_safetensors *s = ft_safetensors_open("tests/ref/blocks.safetensors");
	test_widen(FT_F16, half_value, 0x3ff);
	test_widen(FT_BF16, brain_value, 0x7f);
	test_narrow(FT_F16, half_value, 0x7c00);
	test_narrow(FT_BF16, brain_value, 0x7f80);
	test_nan();
	test_alignment();
	test_sizes();
	if (ok(s != NULL, "numbers in blocks by the reference")) {
		test_blocks(s, FT_Q8_0);
		test_blocks(s, FT_Q4_0);
		test_blocks(s, FT_NF4);
	}
	ft_safetensors_close(s);

	static const unsigned char bytes[8 * FT_BLOCK];
	float f = 1, wide[FT_BLOCK];
	is_int(ft_widen(&f, "", FT_F16, 0), FT_OK, "no elements");
	is_int(ft_widen(&f, "abcdefgh", FT_I64, 1), FT_EFORMAT, "integers are not weights");
	is_int(ft_narrow(&f, &f, FT_F64, 1), FT_EFORMAT, "weights are not written as F64");
	for (int t = 0; t < FT_DTYPE_COUNT; t++) {
		const char *name = ft_dtype_name((enum ft_dtype)t);
		bool blocks = ft_dtype_block((enum ft_dtype)t) > 1;
		ok(ft_dtype_parse(name, strlen(name)) == (blocks ? -1 : t) &&
		   (ft_dtype_size((enum ft_dtype)t) > 0) == !blocks, "%s", name);
		ok((ft_widen(wide, bytes, (enum ft_dtype)t, FT_BLOCK) == FT_OK) == ft_dtype_widens((enum ft_dtype)t),
		   "%s is known to widen, or not to", name);
	}
	is_int(ft_dtype_of_weights("nf4"), FT_NF4, "weights may be of NF4");
	is_int(ft_dtype_of_weights("f64"), -1, "but not of F64");
	is_int(ft_dtype_parse("F3", 2), -1, "no abbreviations");
	is_int(ft_dtype_parse("F32x", 4), -1, "nothing behind");
	is_int((long long)ft_dtype_size((enum ft_dtype)99), 0, "an unknown type has no size");
	return tap_done();
}
