/* blas.h - matrix products of a BLAS library, where we have no tiles. */
#ifndef FT_TENSOR_BLAS_H
#define FT_TENSOR_BLAS_H

#include "ft/kernels.h"

/* What the library says of itself; NULL: there is none, and no blas_product(). */
const char *blas_name(void);
/* Rows i .. i+m-1 and columns j .. j+n-1 of the product, on the calling thread. */
void blas_product(const struct ft_gemm *g, int64_t i, int64_t j, int64_t m, int64_t n);

#endif
