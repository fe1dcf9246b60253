/* svd.c - principal directions of a matrix. */
#include "blas.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The arrays of LAPACK. It counts along columns, so what it is given is w's transpose. */
struct svd {
	int m, n, k; /* w is [n, m]; the lesser */
	float *w, *values, *right, *left, *work;
	int *indices;
	int length; /* of work */
};

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
	if (w->rows > INT_MAX || w->cols > INT_MAX)
		return ft_fail(FT_EFAIL, "a matrix that is too large for LAPACK");
	s->n = (int)w->rows;
	s->m = (int)w->cols;
	s->k = s->m < s->n ? s->m : s->n;
	if (blas_svd(s->m, s->n, NULL, NULL, NULL, NULL, &asked, -1, NULL) == BLAS_NONE)
		return ft_fail(FT_EFAIL, "libopenblas.so.0 is not there, or has no LAPACK");
	s->length = (int)asked;
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
	if (rc == FT_OK && blas_svd(s.m, s.n, s.w, s.values, s.right, s.left, s.work, s.length, s.indices) != 0)
		rc = ft_fail(FT_EFAIL, "its singular values do not converge");
	if (rc == FT_OK) {
		memcpy(values, s.values, (size_t)r * sizeof *values);
		memcpy(right, s.right, (size_t)r * (size_t)s.m * sizeof *right);
		for (int64_t k = 0; k < r; k++)
			for (int64_t i = 0; i < s.n; i++)
				left[k * s.n + i] = s.left[i * s.k + k];
	}
	free_svd(&s);
	return rc;
}
