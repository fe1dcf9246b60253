/* blas.h - matrix products of a BLAS library, where we have no tiles; singular values of its LAPACK. */
#ifndef FT_TENSOR_BLAS_H
#define FT_TENSOR_BLAS_H

#include "ft/kernels.h"

/* What the library says of itself; NULL: there is none, and no blas_product(). */
const char *blas_name(void);
/* Rows i .. i+m-1 and columns j .. j+n-1 of the product, on the calling thread. */
void blas_product(const struct ft_gemm *g, int64_t i, int64_t j, int64_t m, int64_t n);

/* sgesdd of LAPACK, on the calling thread: a [n, m], which is overwritten, as its columns lie here, has as many singular values
 * s as the lesser of m and n, k, with vectors u [k, m] and vt [n, k]. iwork has 8 k members. With lwork -1 nothing is
 * computed, and work[0] becomes the lwork to use. Returns LAPACK's info, 0 for success, or BLAS_NONE. */
int blas_svd(int m, int n, float *a, float *s, float *u, float *vt, float *work, int lwork, int *iwork);
#define BLAS_NONE (-1000) /* there is no library that has it */

#endif
