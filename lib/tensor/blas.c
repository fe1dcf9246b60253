/* blas.c - OpenBLAS, for processors that have no tiles of ours (product.h), and its LAPACK. The
 * only file with cblas.h.
 *
 * It is opened when it is first needed: where it is not, no tool pays the few
 * milliseconds that its start takes. */
#include "blas.h"

#include "ft/thread.h"

#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef void sgemm_function(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, enum CBLAS_TRANSPOSE, blasint, blasint, blasint,
                            float, const float *, blasint, const float *, blasint, float, float *, blasint);
static sgemm_function *sgemm;
typedef void sgesdd_function(const char *jobz, const blasint *m, const blasint *n, float *a, const blasint *lda, float *s,
                             float *u, const blasint *ldu, float *vt, const blasint *ldvt, float *work,
                             const blasint *lwork, blasint *iwork, blasint *info, size_t jobz_len);
static sgesdd_function *sgesdd;
static char *(*get_config)(void);

static void open_library(void)
{
	ft_threads(); /* which tells OpenMP, and so BLAS, to use one outside of our regions */
	void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
	int (*parallel)(void) = lib ? (int (*)(void))dlsym(lib, "openblas_get_parallel") : NULL;
	void (*set_threads)(int) = lib ? (void (*)(int))dlsym(lib, "openblas_set_num_threads") : NULL;
	/* The OpenMP build runs a call from inside a parallel region on one thread by
	 * itself; the pthread build must be told. */
	if (parallel && set_threads && parallel() == 1)
		set_threads(1);
	get_config = lib ? (char *(*)(void))dlsym(lib, "openblas_get_config") : NULL;
	sgesdd = lib ? (sgesdd_function *)dlsym(lib, "sgesdd_") : NULL;
	sgemm = lib ? (sgemm_function *)dlsym(lib, "cblas_sgemm") : NULL;
}

static bool available(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, open_library);
	return sgemm != NULL;
}

const char *blas_name(void)
{
	return !available() ? NULL : get_config ? get_config() : "a BLAS that does not say its version";
}

/* A bias is where the sums start: BLAS then need not clear the result. */
static void start_from_bias(const struct ft_gemm *g, float *c, int64_t j, int64_t m, int64_t n)
{
	for (int64_t r = 0; r < m; r++)
		memcpy(c + r * g->ldc, g->bias + j, (size_t)n * sizeof *c);
}

void blas_product(const struct ft_gemm *g, int64_t i, int64_t j, int64_t m, int64_t n)
{
	const float *a = g->ta ? g->a + i : g->a + i * g->lda;
	const float *b = (const float *)g->b + (g->tb ? j * g->ldb : j);
	float *c = g->c + i * g->ldc + j;
	if (g->bias)
		start_from_bias(g, c, j, m, n);
	sgemm(CblasRowMajor, g->ta ? CblasTrans : CblasNoTrans, g->tb ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n,
	      (blasint)g->k, 1.0f, a, (blasint)g->lda, b, (blasint)g->ldb, g->add || g->bias ? 1.0f : 0.0f, c,
	      (blasint)g->ldc);
}

int blas_svd(int m, int n, float *a, float *s, float *u, float *vt, float *work, int lwork, int *iwork)
{
	blasint rows = m, cols = n, least = m < n ? m : n, length = lwork, info = 0;
	_Static_assert(sizeof(blasint) == sizeof(int), "whole numbers of LAPACK");
	if (!available() || !sgesdd)
		return BLAS_NONE;
	sgesdd("S", &rows, &cols, a, &rows, s, u, &rows, vt, &least, work, &length, iwork, &info, 1);
	return info;
}
