/* gemm.c - matrix products in tiles over BLAS. The only file with cblas.h.
 *
 * Each tile is one single-threaded BLAS call. The tiles depend on the shape alone, so the number of threads
 * cannot change a result.
 */
#include "ft/kernels.h"
#include "ft/tensor.h"
#include "ft/thread.h"

#include <cblas.h>
#include <string.h>

/* OpenBLAS tells what it is; another CBLAS need not have these. */
extern char *openblas_get_config(void) __attribute__((weak));
extern int openblas_get_parallel(void) __attribute__((weak));
extern void openblas_set_num_threads(int) __attribute__((weak));

const char *ft_blas_version(void)
{
	return openblas_get_config ? openblas_get_config() : "a CBLAS that does not say its version";
}

/* The OpenMP build runs a call from inside a parallel region on one thread by
 * itself; the pthread build must be told, once. */
static void calm_blas(void)
{
	static int done;
	if (__atomic_exchange_n(&done, 1, __ATOMIC_RELAXED))
		return;
	if (openblas_get_parallel && openblas_get_parallel() == 1)
		openblas_set_num_threads(1);
}

/* A tile is at most this large, and smaller where a result has few of them.
 * Each tile packs both operands again, so a row of tiles costs about 3 % of the
 * rate at 1024 rows, 8 % at 512 and more below. */
#define TILE_M 1024
#define TILE_N 768

struct tiles {
	const struct ft_gemm *g;
	int64_t tm, tn, across;
};

static void run_tile(const struct ft_gemm *g, int64_t i, int64_t j, int64_t m, int64_t n)
{
	const float *a = g->ta ? g->a + i : g->a + i * g->lda;
	const float *b = g->tb ? g->b + j * g->ldb : g->b + j;
	float *c = g->c + i * g->ldc + j;
	/* A bias is where the sums start: BLAS then need not clear the tile. */
	for (int64_t r = 0; g->bias && r < m; r++)
		memcpy(c + r * g->ldc, g->bias + j, (size_t)n * sizeof *c);
	cblas_sgemm(CblasRowMajor, g->ta ? CblasTrans : CblasNoTrans, g->tb ? CblasTrans : CblasNoTrans, (int)m, (int)n,
	            (int)g->k, g->alpha, a, (int)g->lda, b, (int)g->ldb, g->add || g->bias ? 1.0f : 0.0f, c, (int)g->ldc);
}

static void tile(void *ctx, size_t t)
{
	const struct tiles *s = ctx;
	int64_t i = (int64_t)t / s->across * s->tm, j = (int64_t)t % s->across * s->tn;
	int64_t m = s->g->m - i < s->tm ? s->g->m - i : s->tm;
	int64_t n = s->g->n - j < s->tn ? s->g->n - j : s->tn;
	run_tile(s->g, i, j, m, n);
}

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Cuts n into parts of at most `most`, all about equal, ends at multiples of 16. */
static int64_t part(int64_t n, int64_t parts)
{
	int64_t size = ceil_div(n, parts);
	return ceil_div(size, 16) * 16;
}

void ft_gemm(const struct ft_gemm *g)
{
	calm_blas();
	if (g->m == 0 || g->n == 0)
		return;
	int64_t down = ceil_div(g->m, TILE_M), across = ceil_div(g->n, TILE_N);
	/* Four tiles where they stay large, two where that is worth a call each, and
	 * an even number: two threads are the common case. */
	while (down * across < 4 && g->m / down > TILE_M / 2 && g->m > TILE_M)
		down *= 2;
	if (down * across < 2 && g->m >= g->n && g->m >= 64)
		down = 2;
	else if (down * across < 2 && g->n >= 64)
		across = 2;
	if (down * across > 2 && down * across % 2)
		down++;
	struct tiles s = { .g = g, .tm = part(g->m, down), .tn = part(g->n, across) };
	down = ceil_div(g->m, s.tm);
	s.across = ceil_div(g->n, s.tn);
	ft_parallel_work((size_t)(down * s.across), (double)g->m * (double)g->n * (double)g->k, tile, &s);
}

void ft_gemm_one(const struct ft_gemm *g)
{
	run_tile(g, 0, 0, g->m, g->n);
}
