/* product.c - tiles of matrix products (product.h), compiled once for each
 * instruction set.
 *
 * The sums of a tile fill the registers: 14 x 32 with AVX-512 (28 of 32), 6 x 16
 * with AVX2 (12 of 16). The rest hold a row of B's panel and one value of A's. */
#include "product.h"

#include <string.h>

#if defined __AVX512F__
#define LANES 16
#define ROWS 14
#define ROW_COUNTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif defined __AVX2__
#define LANES 8
#define ROWS 6
#define ROW_COUNTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define LANES 4
#define ROWS 6
#define ROW_COUNTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif
#define COLS (2 * LANES)
#define LINE 16 /* floats of a cache line */

typedef float vf __attribute__((vector_size(4 * LANES)));
#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float *p)
{
	vf v;
	memcpy(&v, p, sizeof v);
	return v;
}

INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
/* Minus nothing: that, unlike plus, is folded away, as it keeps the sign of zero. */
INLINE vf splat(float x) { return x - (vf){ 0 }; }

/* ---- packing ---- */

/* The lower halves of two vectors, one element of each by turns; the higher halves. */
#if LANES == 16
#define DEAL_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define DEAL_HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif LANES == 8
#define DEAL_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define DEAL_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define DEAL_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define DEAL_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* LANES vectors, turned: v[i][j] becomes v[j][i]. Each of log2(LANES) passes
 * deals vectors i and i + LANES/2 into each other, as in a perfect shuffle. */
INLINE void turn(vf v[LANES])
{
#pragma GCC unroll 4
	for (int pass = 1; pass < LANES; pass *= 2) {
		vf w[LANES];
#pragma GCC unroll 16
		for (int i = 0; i < LANES / 2; i++) {
			w[2 * i] = DEAL_LOW(v[i], v[i + LANES / 2]);
			w[2 * i + 1] = DEAL_HIGH(v[i], v[i + LANES / 2]);
		}
#pragma GCC unroll 16
		for (int i = 0; i < LANES; i++)
			v[i] = w[i];
	}
}

/* panel[k][width] from x [m <= LANES, k], rows ld apart; writes LANES floats for
 * each k, so with width < LANES the next k's overwrite the surplus. */
INLINE void pack_turned(float *panel, int64_t width, const float *x, int64_t ld, int64_t m, int64_t k)
{
	int64_t l = 0;
	for (; l + LANES <= k; l += LANES) {
		vf v[LANES];
#pragma GCC unroll 16
		for (int i = 0; i < LANES; i++) {
			v[i] = splat(0);
			if (i < m) {
				__builtin_prefetch(x + i * ld + l, 0, 0); /* read once: not for the second cache */
				v[i] = load(x + i * ld + l);
			}
		}
		turn(v);
#pragma GCC unroll 16
		for (int i = 0; i < LANES; i++)
			store(panel + (l + i) * width, v[i]);
	}
	for (; l < k; l++)
		for (int64_t i = 0; i < LANES; i++)
			panel[l * width + i] = i < m ? x[i * ld + l] : 0;
}

/* panel[k][width] from x [k, n <= width], rows ld apart */
INLINE void pack_straight(float *panel, int64_t width, const float *x, int64_t ld, int64_t n, int64_t k)
{
	for (int64_t l = 0; l < k; l++) {
		for (int64_t j = 0; j < n; j++)
			panel[l * width + j] = x[l * ld + j];
		for (int64_t j = n; j < width; j++)
			panel[l * width + j] = 0;
	}
}

/* The same for a panel of A. A little more than a row is copied where a further row follows
 * it: what is read too much is there, and what is written too much is written again, or is
 * of rows that the tile does not have. */
INLINE void pack_narrow(float *panel, const float *x, int64_t ld, int64_t m, int64_t k)
{
	int64_t most = ld >= LANES ? k - 1 : 0;
	for (int64_t l = 0; l < most; l++)
		store(panel + l * ROWS, load(x + l * ld));
	if (most < k)
		pack_straight(panel + most * ROWS, ROWS, x + most * ld, ld, m, k - most);
}

static void pack_rows(float *panel, const float *a, int64_t lda, bool turned, int64_t m, int64_t k)
{
	if (turned)
		pack_narrow(panel, a, lda, m, k);
	else if (m == ROWS)
		pack_turned(panel, ROWS, a, lda, ROWS, k);
	else
		pack_turned(panel, ROWS, a, lda, m, k);
}

static void pack_cols(float *panel, const float *b, int64_t ldb, bool turned, int64_t n, int64_t k)
{
	if (!turned && n == COLS) {
		pack_straight(panel, COLS, b, ldb, COLS, k);
	} else if (!turned) {
		pack_straight(panel, COLS, b, ldb, n, k);
	} else if (n == COLS) {
		pack_turned(panel + LANES, COLS, b + LANES * ldb, ldb, LANES, k);
		pack_turned(panel, COLS, b, ldb, LANES, k);
	} else {
		int64_t left = n < LANES ? n : LANES;
		pack_turned(panel + LANES, COLS, b + LANES * ldb, ldb, n - left, k);
		pack_turned(panel, COLS, b, ldb, left, k);
	}
}

/* ---- a tile ---- */

/* A row of C, n columns of it: what it starts from, plus its sums. */
INLINE void put_row(float *c, vf left, vf right, int64_t n, enum product_start start, const float *bias)
{
	const float *from = start == PRODUCT_ADD ? c : bias;
	if (n == COLS) {
		if (start != PRODUCT_SET) {
			left = load(from) + left;
			right = load(from + LANES) + right;
		}
		store(c, left);
		store(c + LANES, right);
		return;
	}
	float sums[COLS];
	store(sums, left);
	store(sums + LANES, right);
	for (int64_t j = 0; j < n; j++)
		c[j] = start == PRODUCT_SET ? sums[j] : from[j] + sums[j];
}

/* left, right += a row of A's panel, turned, times a row of B's; `depth` times. */
INLINE void sum_up(int rows, vf *left, vf *right, const float *a, const float *b, int64_t depth)
{
	for (int64_t l = 0; l < depth; l++) {
		vf x = load(b + l * COLS), y = load(b + l * COLS + LANES);
#pragma GCC unroll 14
		for (int i = 0; i < rows; i++) {
			vf v = splat(a[l * ROWS + i]);
			left[i] += v * x;
			right[i] += v * y;
		}
	}
}

/* `rows` is a constant wherever this is inlined. What is needed later is sent for a little
 * at a time, while sums are made: all at once it would keep A and B waiting, which come from
 * the second cache. So do the rows of C, which are read at last. */
INLINE void tile_of(int rows, float *c, int64_t ldc, const float *a, const float *b, int64_t n, int64_t k,
                    enum product_start start, const float *bias, const float *ahead)
{
	vf left[ROWS], right[ROWS];
	int64_t part = k / (rows + 1), l = 0;
#pragma GCC unroll 14
	for (int i = 0; i < rows; i++)
		left[i] = right[i] = splat(0);
	for (int i = 0; i < rows; i++, l += part) {
		__builtin_prefetch(c + i * ldc, 1, 2);
		__builtin_prefetch(c + i * ldc + LANES, 1, 2);
		for (int j = 0; ahead && j < PRODUCT_AHEAD; j += LINE)
			__builtin_prefetch(ahead + i * PRODUCT_AHEAD + j, 0, 2);
		sum_up(rows, left, right, a + l * ROWS, b + l * COLS, part);
	}
	for (int i = 0; i < rows; i++) {
		__builtin_prefetch(c + i * ldc, 1, 3);
		__builtin_prefetch(c + i * ldc + LANES, 1, 3);
	}
	sum_up(rows, left, right, a + l * ROWS, b + l * COLS, k - l);
#pragma GCC unroll 14
	for (int i = 0; i < rows; i++)
		put_row(c + i * ldc, left[i], right[i], n, start, bias);
}

static void tile(float *c, int64_t ldc, const float *a, const float *b, int64_t m, int64_t n, int64_t k,
                 enum product_start start, const float *bias, const float *ahead)
{
	switch (m) {
#define X(r) case r: tile_of(r, c, ldc, a, b, n, k, start, bias, ahead); break;
	ROW_COUNTS(X)
#undef X
	}
}

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
extern const struct ft_product JOIN(ft_product_, FT_ISA);
const struct ft_product JOIN(ft_product_, FT_ISA) = {
	.general = LANES == 4,
	.rows = ROWS,
	.cols = COLS,
	.pack_rows = pack_rows,
	.pack_cols = pack_cols,
	.tile = tile,
};
