/* svd.c - principal directions of a matrix, by OpenBLAS's LAPACK. The only file with cblas.h.
 *
 * The library is opened when it is first needed: no other run pays the few
 * milliseconds that its start takes. */
#include "ft/err.h"
#include "ft/kernels.h"
#include "ft/mem.h"
#include "ft/thread.h"

#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef void sgesdd_function(const char *jobz, const blasint *m, const blasint *n, float *a, const blasint *lda,
                             float *s, float *u, const blasint *ldu, float *vt, const blasint *ldvt, float *work,
                             const blasint *lwork, blasint *iwork, blasint *info, size_t jobz_len);
static sgesdd_function *sgesdd; /* NULL: there is none */

static void open_library(void)
{
	ft_threads(); /* which tells OpenMP, and so BLAS, to use one outside of our regions */
	void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
	int (*parallel)(void) = lib ? (int (*)(void))dlsym(lib, "openblas_get_parallel") : NULL;
	void (*set_threads)(int) = lib ? (void (*)(int))dlsym(lib, "openblas_set_num_threads") : NULL;
	/* The OpenMP build runs a call on one thread then; the pthread build must be told. */
	if (parallel && set_threads && parallel() == 1)
		set_threads(1);
	sgesdd = lib ? (sgesdd_function *)dlsym(lib, "sgesdd_") : NULL;
}

static bool available(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, open_library);
	return sgesdd != NULL;
}

/* The arrays of LAPACK. It counts along columns, so what it is given is w's transpose. */
struct svd {
	blasint m, n, k; /* w is [n, m]; the lesser */
	float *w, *values, *right, *left, *work; /* [n, m], which is overwritten; [k]; [k, m]; [n, k] */
	blasint *indices; /* [8 k] */
	blasint length;   /* of work */
};

/* Returns LAPACK's info, 0 for success. With length -1 nothing is computed, and work[0] becomes the length to use. */
static blasint decompose(struct svd *s)
{
	blasint info = 0;
	sgesdd("S", &s->m, &s->n, s->w, &s->m, s->values, s->right, &s->m, s->left, &s->k, s->work, &s->length,
	       s->indices, &info, 1);
	return info;
}

static void free_svd(struct svd *s)
{
	free(s->w);
	free(s->values);
	free(s->right);
	free(s->left);
	free(s->work);
	free(s->indices);
}

static int new_svd(struct svd *s, const struct ft_tensor *w)
{
	float asked = 0;
	if (!available())
		return ft_fail(FT_EFAIL, "libopenblas.so.0 is not there, or has no LAPACK");
	if (w->rows > INT_MAX || w->cols > INT_MAX)
		return ft_fail(FT_EFAIL, "a matrix that is too large for LAPACK");
	*s = (struct svd){ .n = (blasint)w->rows, .m = (blasint)w->cols, .work = &asked, .length = -1 };
	s->k = s->m < s->n ? s->m : s->n;
	decompose(s);
	s->length = (blasint)asked;
	s->w = ft_alloc((size_t)s->m, (size_t)s->n * sizeof *s->w);
	s->values = ft_alloc((size_t)s->k, sizeof *s->values);
	s->right = ft_alloc((size_t)s->m, (size_t)s->k * sizeof *s->right);
	s->left = ft_alloc((size_t)s->k, (size_t)s->n * sizeof *s->left);
	s->work = ft_alloc((size_t)s->length, sizeof *s->work);
	s->indices = ft_alloc((size_t)s->k, 8 * sizeof *s->indices);
	return s->w && s->values && s->right && s->left && s->work && s->indices ? FT_OK : FT_EFAIL;
}

/* LAPACK may never return from a matrix with values that are not finite. */
static int check_values(const struct svd *s)
{
	for (size_t i = 0; i < (size_t)s->m * (size_t)s->n; i++)
		if (!isfinite(s->w[i]))
			return ft_fail(FT_EFORMAT, "a value that is not finite");
	return FT_OK;
}

int ft_svd(const struct ft_tensor *w, int64_t r, float *left, float *values, float *right)
{
	struct svd s = { 0 };
	int rc = new_svd(&s, w);
	if (rc == FT_OK)
		ft_tensor_floats(w, 0, w->rows, s.w);
	rc = rc ? rc : check_values(&s);
	if (rc == FT_OK && decompose(&s) != 0)
		rc = ft_fail(FT_EFAIL, "its singular values do not converge");
	if (rc == FT_OK) {
		memcpy(values, s.values, (size_t)r * sizeof *values);
		memcpy(right, s.right, (size_t)r * (size_t)s.m * sizeof *right);
		for (int64_t k = 0; k < r; k++)
			for (blasint i = 0; i < s.n; i++)
				left[k * s.n + i] = s.left[i * s.k + k];
	}
	free_svd(&s);
	return rc;
}
