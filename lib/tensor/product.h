/* product.h - what a matrix product is made of on one instruction set.
 *
 * C [m,n] = A [m,k] B [k,n] is cut into tiles of `rows` x `cols`, the most whose
 * sums fit into registers. Both operands are first copied into panels, in the
 * order in which a tile reads them: A as [k][rows], B as [k][cols], with zeros
 * where a panel reaches beyond the matrix.
 *
 * Every element of C is one chain of fused multiply-adds over PRODUCT_DEPTH
 * values of k, in their order, added to what the chain before it has left. So
 * neither the size of a tile, nor how the work is shared, nor the rows around
 * it change a bit of a row, and AVX2 and AVX-512 give the same bytes.
 */
#ifndef FT_TENSOR_PRODUCT_H
#define FT_TENSOR_PRODUCT_H

#include <stdbool.h>
#include <stdint.h>

/* Values of k that a panel holds. Part of the numerics: another value gives
 * other roundings. */
#define PRODUCT_DEPTH 384
#define PRODUCT_COLS_MAX 32

enum product_start {
	PRODUCT_SET,  /* C = sums */
	PRODUCT_ADD,  /* C = C + sums */
	PRODUCT_BIAS, /* C = bias + sums */
};

struct ft_product {
	bool general; /* of no special instruction set: a BLAS library may be faster */
	int rows, cols;
	/* panel [k][rows] of m <= rows rows of A; `turned`: A is stored [k, m].
	 * A panel is written a little over its end: PRODUCT_SLACK floats. */
	void (*pack_rows)(float *panel, const float *a, int64_t lda, bool turned, int64_t m, int64_t k);
	/* panel [k][cols] of n <= cols columns of B; `turned`: B is stored [n, k]. */
	void (*pack_cols)(float *panel, const float *b, int64_t ldb, bool turned, int64_t n, int64_t k);
	/* One tile: m <= rows, n <= cols. bias [n] with PRODUCT_BIAS. Of what is multiplied
	 * later it sends for m * PRODUCT_AHEAD floats at `ahead`; NULL: for nothing. */
	void (*tile)(float *c, int64_t ldc, const float *a, const float *b, int64_t m, int64_t n, int64_t k,
	             enum product_start start, const float *bias, const float *ahead);
};
#define PRODUCT_SLACK 16
#define PRODUCT_AHEAD 64

#endif
