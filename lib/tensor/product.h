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
 * it change a bit of a row, and AVX2 and AVX-512 give the same bytes. That holds
 * for products of few rows, too, which read B but once and pack nothing; only those by
 * blocks, which have to be asked for, are sums of another kind.
 *
 * B may be of a type that weights are stored in. It is widened where it is packed,
 * so the result is that of widening all of it first.
 */
#ifndef FT_TENSOR_PRODUCT_H
#define FT_TENSOR_PRODUCT_H

#include "ft/tensor.h"

#include <stdbool.h>
#include <stdint.h>

/* Values of k that a panel holds. Part of the numerics: another value gives
 * other roundings. */
#define PRODUCT_DEPTH 384
#define PRODUCT_COLS_MAX 32

/* Most rows of A that a strip takes. */
#define PRODUCT_FEW 16
/* Most that are faster by blocks. */
#define PRODUCT_BY_BLOCKS 4

/* B: rows of `ld` numbers of F32, F16, BF16 or of a type in blocks, at any alignment. `turned`: it is
 * stored [n, k]. */
struct product_matrix {
	const unsigned char *data;
	enum ft_dtype type;
	bool turned;
	int64_t ld;
};

enum product_start {
	PRODUCT_SET,  /* C = sums */
	PRODUCT_ADD,  /* C = C + sums */
	PRODUCT_BIAS, /* C = bias + sums */
};

struct ft_product {
	int rows, cols, strip_cols;
	/* panel [k][rows] of m <= rows rows of A; `turned`: A is stored [k, m].
	 * A panel is written a little over its end: PRODUCT_SLACK floats. */
	void (*pack_rows)(float *panel, const float *a, int64_t lda, bool turned, int64_t m, int64_t k);
	/* panel [k][cols] of n <= cols columns of B from j on, of k of its rows from l on. Of a
	 * type in blocks, l of one that is turned is a multiple of their size, and j of one that is
	 * not a multiple of cols. */
	void (*pack_cols)(float *panel, const struct product_matrix *b, int64_t j, int64_t n, int64_t l, int64_t k);
	/* One tile: m <= rows, n <= cols. bias [n] with PRODUCT_BIAS. Of what is multiplied
	 * later it sends for m * PRODUCT_AHEAD floats at `ahead`; NULL: for nothing. */
	void (*tile)(float *c, int64_t ldc, const float *a, const float *b, int64_t m, int64_t n, int64_t k,
	             enum product_start start, const float *bias, const float *ahead);
	/* A strip of C, m <= PRODUCT_FEW rows and n <= strip_cols columns from column j of B on, with all
	 * k. A is [m, k]; c and bias are those of the strip. */
	void (*strip)(float *c, int64_t ldc, const float *a, int64_t lda, const struct product_matrix *b, int64_t j,
	              int64_t m, int64_t n, int64_t k, enum product_start start, const float *bias);
	/* The same of m <= PRODUCT_BY_BLOCKS rows and any number of columns of a turned B of FT_Q8_0 or FT_Q4_0, with k >
	 * 0: as precise, in other bits, which depend neither on the other rows nor on the instruction set, either
	 * (by_blocks.h). NULL: there is none. */
	void (*by_blocks)(float *c, int64_t ldc, const float *a, int64_t lda, const struct product_matrix *b, int64_t j,
	                  int64_t m, int64_t n, int64_t k, enum product_start start, const float *bias);
};
#define PRODUCT_SLACK 16
#define PRODUCT_AHEAD 64

#endif
