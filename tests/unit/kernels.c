/* kernels.c - every kernel against plain double arithmetic, at lengths that end
 * inside and outside a vector. */
#include "ft/kernels.h"
#include "ft/rng.h"
#include "ft/tensor.h"
#include "ft/thread.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N 203

static float x[N], y[N], z[N], out[N + 1];

static void fill(float *v, double scale, uint64_t seed)
{
	struct ft_rng r;
	ft_rng_init(&r, 7, seed);
	for (int i = 0; i < N; i++)
		v[i] = (float)(scale * ft_rng_normal(&r));
}

static void normals(float *v, int n, struct ft_rng *r)
{
	for (int i = 0; i < n; i++)
		v[i] = (float)ft_rng_normal(r);
}

static double worst(const float *a, const double *want, int n)
{
	double most = 0;
	for (int i = 0; i < n; i++) {
		double d = fabs(a[i] - want[i]);
		most = d <= most ? most : d;
	}
	return most;
}

static double gelu(double v) { return 0.5 * v * (1 + erf(v * M_SQRT1_2)); }
static double gelu_tanh(double v) { return 0.5 * v * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))); }

static double silu(double v) { return v / (1 + exp(-v)); }

static void check_map(const char *name, void (*f)(float *, const float *, size_t), double (*g)(double))
{
	double want[N];
	for (int n = 1; n <= N; n += 67) {
		fill(x, 3, (uint64_t)n);
		out[n] = 42;
		f(out, x, (size_t)n);
		for (int i = 0; i < n; i++)
			want[i] = g(x[i]);
		double w = worst(out, want, n);
		ok(w < 1e-6 && out[n] == 42, "%s of %d, worst %.2g", name, n, w);
	}
	float extreme[6] = { 100, -100, 0, -0.0f, 1e-30f, NAN };
	f(out, extreme, 6);
	ok(fabs(out[0] - g(100)) < 1e-4 && fabs(out[1] - g(-100)) < 1e-4 && out[2] == 0 && isnan(out[5]), "%s at extremes", name);
}

static void check_slope(const char *name, void (*f)(float *, const float *, const float *, size_t), double (*g)(double))
{
	double want[N];
	fill(x, 2, 3);
	fill(y, 1, 4);
	f(out, y, x, N);
	for (int i = 0; i < N; i++)
		want[i] = y[i] * (g(x[i] + 1e-5) - g(x[i] - 1e-5)) / 2e-5;
	double w = worst(out, want, N);
	ok(w < 2e-6, "slope of %s, worst %.2g", name, w);
}

static void check_softmax(void)
{
	const struct ft_kernels *k = ft_kernels();
	double want[N], total = 0;
	fill(x, 4, 9);
	memcpy(out, x, sizeof x);
	for (int i = 0; i < N; i++)
		total += exp(0.3 * x[i]);
	for (int i = 0; i < N; i++)
		want[i] = exp(0.3 * x[i]) / total;
	float lse = k->softmax(out, 0.3f, N);
	ok(worst(out, want, N) < 1e-7, "softmax");
	is_near(lse, log(total), 1e-6, "its log-sum-exp");
	memcpy(out, x, sizeof x);
	k->softmax_again(out, 0.3f, lse, N);
	ok(worst(out, want, N) < 1e-6, "softmax again");
	total = 0;
	for (int i = 0; i < N; i++)
		total += exp((double)x[i]);
	is_near(k->log_sum_exp(x, N), log(total), 1e-6, "log-sum-exp");
}

static void check_layer_norm(void)
{
	const struct ft_kernels *k = ft_kernels();
	double want[N], mean = 0, var = 0;
	float m, r;
	fill(x, 2, 11);
	fill(y, 1, 12);
	fill(z, 1, 13);
	for (int i = 0; i < N; i++)
		mean += x[i] / (double)N;
	for (int i = 0; i < N; i++)
		var += (x[i] - mean) * (x[i] - mean) / N;
	for (int i = 0; i < N; i++)
		want[i] = (x[i] - mean) / sqrt(var + 1e-5) * y[i] + z[i];
	k->layer_norm(out, x, y, z, N, 1e-5f, &m, &r);
	ok(worst(out, want, N) < 3e-6, "layer norm");
	for (int i = 0; i < N; i++)
		want[i] -= z[i];
	k->layer_norm(out, x, y, NULL, N, 1e-5f, &m, &r);
	ok(worst(out, want, N) < 3e-6, "layer norm without a bias");
}

static void check_rms_norm(void)
{
	const struct ft_kernels *k = ft_kernels();
	double want[N], squares = 0;
	float r;
	fill(x, 2, 11);
	fill(y, 1, 12);
	for (int i = 0; i < N; i++)
		squares += (double)x[i] * x[i] / N;
	for (int i = 0; i < N; i++)
		want[i] = x[i] / sqrt(squares + 1e-5) * (y[i] + 1.0);
	k->rms_norm(out, x, y, 1, N, 1e-5f, &r);
	ok(worst(out, want, N) < 3e-6, "RMS norm");
	is_near(r, 1 / sqrt(squares + 1e-5), 1e-6, "and its deviation");
}

static void check_rotate(void)
{
	enum { P = N / 2 };
	double want[2 * P];
	float cosine[P], sine[P];
	fill(x, 2, 41);
	for (int i = 0; i < P; i++) {
		cosine[i] = (float)cos(i);
		sine[i] = (float)sin(i);
		want[i] = x[i] * (double)cosine[i] - x[P + i] * (double)sine[i];
		want[P + i] = x[P + i] * (double)cosine[i] + x[i] * (double)sine[i];
	}
	memcpy(out, x, sizeof x);
	ft_kernels()->rotate(out, cosine, sine, 1, P);
	ok(worst(out, want, 2 * P) < 1e-6, "rotation");
	for (int i = 0; i < 2 * P; i++)
		want[i] = x[i];
	ft_kernels()->rotate(out, cosine, sine, -1, P);
	ok(worst(out, want, 2 * P) < 1e-6, "and back");
}

static void check_sums(void)
{
	const struct ft_kernels *k = ft_kernels();
	double dot = 0, squares = 0, want[N];
	fill(x, 1, 21);
	fill(y, 1, 22);
	for (int i = 0; i < N; i++) {
		dot += (double)x[i] * y[i];
		squares += (double)x[i] * x[i];
	}
	is_near(k->dot(x, y, N), dot, 1e-5, "dot");
	is_near(k->sum_squares(x, N), squares, 1e-6, "sum of squares");
	static float table[5 * N];
	for (int r = 0; r < 5; r++)
		fill(table + r * N, 1, 30 + (uint64_t)r);
	for (int c = 0; c < N; c++) {
		want[c] = 0;
		for (int r = 0; r < 5; r++)
			want[c] += table[r * N + c];
	}
	k->column_sums(out, table, N, 5, N, false);
	ok(worst(out, want, N) < 1e-6, "column sums");
}

static void check_dropout(void)
{
	const struct ft_kernels *k = ft_kernels();
	struct ft_dropout d = { .key = 99, .p = 0.1f };
	enum { MANY = 200000 };
	float *ones = malloc(MANY * sizeof *ones), *got = malloc(MANY * sizeof *got), *part = malloc(MANY * sizeof *part);
	for (int i = 0; i < MANY; i++)
		ones[i] = 1;
	k->dropout(got, ones, &d, 0, MANY);
	int zeros = 0, right = 1;
	const float scale = (float)(65536.0 / (65536 - 6554)); /* 0.1 is 6554/65536 to the nearest */
	for (int i = 0; i < MANY; i++) {
		zeros += got[i] == 0;
		right = right && (got[i] == 0 || got[i] == scale);
	}
	/* five deviations of a binomial */
	ok(abs(zeros - MANY / 10) < 5 * (int)sqrt(MANY * 0.09), "a tenth is dropped (%d of %d)", zeros, MANY);
	ok(right, "the rest is scaled");
	k->dropout(part, ones, &d, 6400, 1000);
	ok(memcmp(part, got + 6400, 1000 * sizeof *part) == 0, "a part of the range draws the same");
	int alike = 1;
	for (int from = 6401; from < 6530; from += 8) {
		k->dropout_add(part, ones, ones, &d, (uint64_t)from, 300);
		for (int i = 0; i < 300; i++)
			alike = alike && part[i] == 1 + got[from + i];
		k->dropout(part, ones, &d, (uint64_t)from, 5);
		alike = alike && memcmp(part, got + from, 5 * sizeof *part) == 0;
	}
	ok(alike, "wherever it begins");
	d.key = 100;
	k->dropout(part, ones, &d, 0, MANY);
	int same = 0;
	for (int i = 0; i < MANY; i++)
		same += (part[i] == 0) == (got[i] == 0);
	ok(abs(same - (int)(MANY * 0.82)) < 2000, "another key draws independently (%d agree)", same);
	free(ones);
	free(got);
	free(part);
}

static void check_gemm(void)
{
	enum { M = 37, K = 53, C = 129 };
	static float a[M * K], b[K * C], at[K * M], bt[C * K], c[M * C], bias[C];
	struct ft_rng r;
	ft_rng_init(&r, 1, 1);
	for (int i = 0; i < M; i++)
		for (int j = 0; j < K; j++)
			at[j * M + i] = a[i * K + j] = (float)ft_rng_normal(&r);
	for (int i = 0; i < K; i++)
		for (int j = 0; j < C; j++)
			bt[j * K + i] = b[i * C + j] = (float)ft_rng_normal(&r);
	for (int j = 0; j < C; j++)
		bias[j] = (float)j;
	for (int form = 0; form < 4; form++) {
		struct ft_gemm g = { .ta = form & 1, .tb = form & 2, .m = M, .n = C, .k = K, .bias = bias, .c = c, .ldc = C };
		g.a = g.ta ? at : a;
		g.lda = g.ta ? M : K;
		g.b = g.tb ? bt : b;
		g.ldb = g.tb ? K : C;
		ft_gemm(&g);
		double most = 0;
		for (int i = 0; i < M; i++)
			for (int j = 0; j < C; j++) {
				double want = j;
				for (int l = 0; l < K; l++)
					want += (double)a[i * K + l] * b[l * C + j];
				double e = fabs(want - c[i * C + j]);
				most = e <= most ? most : e;
			}
		ok(most < 1e-4, "matrix product, form %d (worst %.2g)", form, most);
	}
}

/* A row of the product is the same to the bit whatever rows are around it, on
 * however many threads: also one deeper than what is packed for all of them at a time, with
 * a bias or added to C. */
static void check_rows(void)
{
	enum { M = 301, K = 4000, C = 71 };
	static float a[M * K], b[C * K], many[M * C], alone[M * C], bias[C];
	struct ft_rng r;
	ft_rng_init(&r, 5, 1);
	normals(a, M * K, &r);
	normals(b, C * K, &r);
	for (int i = 0; i < C; i++)
		bias[i] = (float)i;
	for (int i = 0; i < 6; i++) {
		int threads = 1 + i / 2;
		bool turned = i % 2;
		struct ft_gemm g = { .tb = turned, .m = M, .n = C, .k = K, .a = a, .lda = K, .b = b, .ldb = turned ? K : C,
		                     .ldc = C };
		ft_threads_set(threads);
		g.c = many;
		g.bias = bias;
		ft_gemm(&g);
		g.bias = NULL;
		g.add = true;
		ft_gemm(&g);
		g.m = 1;
		for (int row = 0; row < M; row++) {
			g.a = a + row * K;
			g.c = alone + row * C;
			g.add = false;
			g.bias = bias;
			ft_gemm_one(&g);
			g.add = true;
			g.bias = NULL;
			ft_gemm_one(&g);
		}
		ok(memcmp(many, alone, sizeof many) == 0, "rows of a product do not depend on each other (%d threads%s)", threads,
		   turned ? ", turned" : "");
	}
	ft_threads_set(0);
}

/* B of every type that weights are stored in, a byte off any alignment, gives what B widened
 * before gives, to the bit: with many rows and with few, deeper than a panel, and in the shapes
 * of forward (B turned) and of backward. */
static void check_stored(enum ft_dtype type)
{
	enum { M = 40, K = 832, C = 96 }; /* rows of whole blocks both ways */
	static float a[M * K], wide[C * K], want[M * C], got[M * C], bias[C];
	static unsigned char narrow[C * K * 4 + 1];
	struct ft_rng r;
	ft_rng_init(&r, 9, (uint64_t)type);
	normals(a, M * K, &r);
	normals(wide, C * K, &r);
	normals(bias, C, &r);
	ft_narrow(narrow + 1, wide, type, C * K);
	ft_widen(wide, narrow + 1, type, C * K);
	int wrong = 0;
	static const int rows[] = { 1, 2, 3, 8, 9, 16, 17, M };
	for (size_t i = 0; i < 4 * sizeof rows / sizeof *rows; i++) {
		int full = i & 2 ? C : C - 13;
		struct ft_gemm g = { .tb = i & 1, .m = rows[i / 4], .n = full, .k = K, .a = a, .lda = K, .b = wide,
		                     .ldb = i & 1 ? K : C, .c = want, .ldc = C, .bias = bias };
		memset(want, 0, sizeof want);
		memset(got, 0, sizeof got);
		ft_gemm(&g);
		g.b = narrow + 1;
		g.b_type = type;
		g.c = got;
		ft_gemm(&g);
		for (int j = 0; j < M * C; j++)
			wrong += memcmp(&want[j], &got[j], sizeof *got) != 0;
	}
	is_int(wrong, 0, ft_dtype_name(type));
}

/* Sums by blocks are as near to the real ones as sums of floats, with numbers of very different sizes, too; and alike to
 * the bit whatever rows are around a row, on however many threads. */
static void check_by_blocks(enum ft_dtype type)
{
	enum { M = 4, K = 6432, C = 67 }; /* segments that are not all made at once, the last not whole */
	static float a[M * K], wide[C * K], got[M * C], alone[M * C], floats[M * C], bias[C];
	static unsigned char narrow[C * K * 2 + 1];
	struct ft_rng r;
	ft_rng_init(&r, 11, (uint64_t)type);
	for (int i = 0; i < M * K; i++)
		a[i] = (float)(ft_rng_normal(&r) * (i % 97 ? 1 : 50));
	normals(wide, C * K, &r);
	normals(bias, C, &r);
	ft_narrow(narrow + 1, wide, type, C * K);
	ft_widen(wide, narrow + 1, type, C * K);
	struct ft_gemm g = { .tb = true, .m = M, .n = C, .k = K, .a = a, .lda = K, .b = narrow + 1, .b_type = type, .ldb = K,
	                     .ldc = C, .bias = bias, .c = floats };
	ft_gemm(&g);
	g.by_blocks = true;
	double worst[2] = { 0 };
	int wrong = 0;
	for (int threads = 1; threads <= 4; threads++) {
		ft_threads_set(threads);
		g.m = M, g.a = a, g.c = got;
		ft_gemm(&g);
		for (int few = 1; few <= 3; few++)
			for (int row = 0; row < M; row += few) {
				g.m = M - row < few ? M - row : few, g.a = a + row * K, g.c = alone + row * C;
				ft_gemm(&g);
				wrong += memcmp(g.c, got + row * C, (size_t)g.m * C * sizeof *got) != 0;
			}
	}
	ft_threads_set(0);
	ok(wrong == 0, "%s by blocks: rows do not depend on each other, or on threads", ft_dtype_name(type));
	for (int i = 0; i < M * C; i++) {
		double want = bias[i % C], size = 0;
		for (int l = 0; l < K; l++) {
			double product = (double)a[i / C * K + l] * wide[i % C * K + l];
			want += product;
			size += product * product;
		}
		worst[0] = fmax(worst[0], fabs(want - got[i]) / sqrt(size));
		worst[1] = fmax(worst[1], fabs(want - floats[i]) / sqrt(size));
	}
	ok(worst[0] <= worst[1], "%s by blocks: as precise as floats (%.2g, %.2g)", ft_dtype_name(type), worst[0], worst[1]);
	g.m = 2, g.a = a, g.c = got, g.bias = NULL, g.add = true;
	memset(got, 0, sizeof got);
	a[3] = NAN, a[2 * K - 1] = -INFINITY;
	ft_gemm(&g);
	ok(!isfinite(got[0]) && !isfinite(got[C - 1]) && !isfinite(got[C]), "what is not finite stays so");
	memset(a, 0, 2 * K * sizeof *a);
	a[5] = 1e-38f, got[0] = got[C - 1] = 3;
	ft_gemm(&g);
	ok(got[0] == 3 && got[C - 1] == 3, "zeros, and next to nothing");
}

int main(void)
{
	const struct ft_kernels *k = ft_kernels();
	printf("# kernels: %s\n", k->name);
	check_map("gelu", k->gelu, gelu);
	check_map("gelu_tanh", k->gelu_tanh, gelu_tanh);
	check_map("silu", k->silu, silu);
	check_map("tanh", k->tanh, tanh);
	check_slope("gelu", k->gelu_back, gelu);
	check_slope("gelu_tanh", k->gelu_tanh_back, gelu_tanh);
	check_slope("silu", k->silu_back, silu);
	check_softmax();
	check_layer_norm();
	check_rms_norm();
	check_rotate();
	check_sums();
	check_dropout();
	check_gemm();
	check_rows();
	static const enum ft_dtype stored[] = { FT_F32, FT_F16, FT_BF16, FT_Q8_0, FT_Q4_0, FT_NF4 };
	for (size_t i = 0; i < sizeof stored / sizeof *stored; i++)
		check_stored(stored[i]);
	check_by_blocks(FT_Q8_0);
	check_by_blocks(FT_Q4_0);
	return tap_done();
}
