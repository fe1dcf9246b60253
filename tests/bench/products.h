/* products.h - the matrix products of a transformer's layer, each timed alone: as the library does it (ft_gemm), and as
 * one call of BLAS on all threads. */
#ifndef BENCH_PRODUCTS_H
#define BENCH_PRODUCTS_H

#include "clock.h"
#include "ft/err.h"
#include "ft/kernels.h"
#include "ft/mem.h"
#include "ft/thread.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>

struct product {
	const char *name;
	bool ta, tb;
	int64_t m, n, k;
	int times; /* in a layer */
};

/* Forward and backward of t tokens, w wide and i in the feed-forward block: y = x w^T, dw = dy^T x, dx = dy w, for q, k, v
 * and o, for up, for down. */
#define LAYER_PRODUCTS 9
static inline void layer_products(struct product p[LAYER_PRODUCTS], int64_t t, int64_t w, int64_t i)
{
	const struct product all[LAYER_PRODUCTS] = {
		{ "attn y", false, true, t, w, w, 4 },  { "attn dw", true, false, w, w, t, 4 },
		{ "attn dx", false, false, t, w, w, 4 }, { "up y", false, true, t, i, w, 1 },
		{ "up dw", true, false, i, w, t, 1 },    { "up dx", false, false, t, w, i, 1 },
		{ "down y", false, true, t, w, i, 1 },   { "down dw", true, false, w, i, t, 1 },
		{ "down dx", false, false, t, i, w, 1 },
	};
	for (int k = 0; k < LAYER_PRODUCTS; k++)
		p[k] = all[k];
}

static inline void product_ours(const struct product *p, const float *a, const float *b, float *c)
{
	ft_gemm(&(struct ft_gemm){ .ta = p->ta, .tb = p->tb, .m = p->m, .n = p->n, .k = p->k, .a = a,
	                           .lda = p->ta ? p->m : p->k, .b = b, .ldb = p->tb ? p->k : p->n, .c = c,
	                           .ldc = p->n });
}

static inline void product_blas(const struct product *p, const float *a, const float *b, float *c)
{
	omp_set_num_threads(ft_threads()); /* which the library has set to 1, for OpenBLAS's own good */
	cblas_sgemm(CblasRowMajor, p->ta ? CblasTrans : CblasNoTrans, p->tb ? CblasTrans : CblasNoTrans, (int)p->m,
	            (int)p->n, (int)p->k, 1, a, (int)(p->ta ? p->m : p->k), b, (int)(p->tb ? p->k : p->n), 0, c,
	            (int)p->n);
}

/* The shortest of the calls that fit into `seconds`, `least` of them at least. */
static inline double best_time(void (*run)(const struct product *, const float *, const float *, float *),
                               const struct product *p, const float *a, const float *b, float *c, double seconds, int least)
{
	double best = INFINITY, end = now() + seconds;
	for (int i = 0; i < least || now() < end; i++) {
		double at = now();
		run(p, a, b, c);
		best = fmin(best, now() - at);
	}
	return best;
}

static inline float *product_matrix(int64_t n)
{
	float *x = ft_alloc((size_t)n, sizeof *x);
	for (int64_t i = 0; x && i < n; i++)
		x[i] = (float)(i % 17) / 17 - 0.5f;
	return x;
}

/* Times of one product both ways: [0] ours, [1] BLAS; operands are its own. */
static inline int time_product(const struct product *p, double seconds, int least, double times[2])
{
	float *a = product_matrix(p->m * p->k), *b = product_matrix(p->k * p->n), *c = product_matrix(p->m * p->n);
	int rc = a && b && c ? FT_OK : FT_EFAIL;
	if (rc == FT_OK) {
		times[0] = best_time(product_ours, p, a, b, c, seconds, least);
		times[1] = best_time(product_blas, p, a, b, c, seconds, least);
	}
	free(a);
	free(b);
	free(c);
	return rc;
}

static inline double product_work(const struct product *p) /* in units of 10^9 operations */
{
	return 2e-9 * (double)p->m * (double)p->n * (double)p->k;
}

#endif
