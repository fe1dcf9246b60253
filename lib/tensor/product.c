/* product.c - tiles of matrix products (product.h), compiled once for each
 * instruction set.
 *
 * The sums of a tile fill the registers: 14 x 32 with AVX-512 (28 of 32), 6 x 16
 * with AVX2 (12 of 16). The rest hold a row of B's panel and one value of A's.
 *
 * With few rows of A a product is as fast as B can be read. Then B is widened and turned
 * a little at a time, without leaving the first cache, and sent for ahead. */
#include "panel.h"

#if LANES == 16
#define ROWS 14
#define ROW_COUNTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif LANES == 8
#define ROWS 6
#define ROW_COUNTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define ROWS 4 /* a panel of A is packed in vectors of as many rows at least */
#define ROW_COUNTS(X) X(1) X(2) X(3) X(4)
#endif
#define LINE 16 /* floats of a cache line */

/* ---- packing ---- */

INLINE struct rows rows_of(const float *x, int64_t ld)
{
	return (struct rows){ .data = (const unsigned char *)x, .type = FT_F32, .stride = ld * (int64_t)sizeof *x };
}

/* A panel of A, which is stored [k, m]. A little more than a row is copied where a further row follows
 * it: what is read too much is there, and what is written too much is written again, or is
 * of rows that the tile does not have. */
INLINE void pack_narrow(float *panel, const float *x, int64_t ld, int64_t m, int64_t k)
{
	int64_t most = ld >= LANES ? k - 1 : 0;
	for (int64_t l = 0; l < most; l++)
		store(panel + l * ROWS, load(x + l * ld));
	if (most < k)
		pack_straight(panel + most * ROWS, ROWS, rows_of(x + most * ld, ld), m, k - most);
}

static void pack_rows(float *panel, const float *a, int64_t lda, bool turned, int64_t m, int64_t k)
{
	if (turned)
		pack_narrow(panel, a, lda, m, k);
	else if (m == ROWS)
		pack_turned(panel, ROWS, rows_of(a, lda), ROWS, k, true);
	else
		pack_turned(panel, ROWS, rows_of(a, lda), m, k, true);
}

/* Runs call(t) with the type as a constant. */
#define EACH_TYPE(type, call)                                 \
	switch (type) {                                       \
	case FT_F32: call(FT_F32); break;                     \
	case FT_F16: call(FT_F16); break;                     \
	case FT_BF16: call(FT_BF16); break;                   \
	case FT_Q8_0: call(FT_Q8_0); break;                   \
	case FT_Q4_0: call(FT_Q4_0); break;                   \
	case FT_NF4: call(FT_NF4); break;                     \
	default: __builtin_unreachable();                     \
	}

static void pack_cols(float *panel, const struct product_matrix *b, int64_t j, int64_t n, int64_t l, int64_t k)
{
#define PACK(t) pack_columns(t, panel, b, j, n, l, k)
	EACH_TYPE(b->type, PACK)
#undef PACK
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

/* ---- few rows ---- */

/* Values of k that are widened at a time: with their columns they stay in the first cache. */
#define STEP FT_BLOCK
/* Bytes of a row of B that are sent for ahead of those in use: to the second cache, as the
 * rows of many matrices begin at the same place of the first one. */
#define AHEAD 512
/* Rows whose sums are in registers at a time. */
#define FEW (LANES == 16 ? 8 : ROWS)

/* sums += rows of A, `lda` apart, times a panel of B, `depth` deep. */
INLINE void sum_few(int rows, vf (*sums)[2], const float *a, int64_t lda, const float *b, int64_t depth)
{
	vf left[FEW], right[FEW];
#pragma GCC unroll 8
	for (int i = 0; i < rows; i++)
		left[i] = sums[i][0], right[i] = sums[i][1];
	for (int64_t l = 0; l < depth; l++) {
		vf x = load(b + l * COLS), y = load(b + l * COLS + LANES);
#pragma GCC unroll 8
		for (int i = 0; i < rows; i++) {
			vf v = splat(a[i * lda + l]);
			left[i] += v * x;
			right[i] += v * y;
		}
	}
#pragma GCC unroll 8
	for (int i = 0; i < rows; i++)
		sums[i][0] = left[i], sums[i][1] = right[i];
}

__attribute__((noinline)) static void sum_rows(int64_t m, vf (*sums)[2], const float *a, int64_t lda, const float *b, int64_t depth)
{
	for (; m > 0; m -= FEW, sums += FEW, a += FEW * lda)
		switch (m < FEW ? m : FEW) {
#define X(r) case r: if (r <= FEW) sum_few(r <= FEW ? r : 1, sums, a, lda, b, depth); break;
		ROW_COUNTS(X)
#undef X
		}
}

/* Sends for what follows the step at l: of these rows, or where they end of the strip's after. */
INLINE void send_ahead(const struct rows *x, int64_t l, int64_t k)
{
	int64_t row = stored_bytes(x->type, k), at = stored_bytes(x->type, l) + AHEAD;
	at += at < row ? 0 : COLS * x->stride - row;
	for (int i = 0; i < COLS; i++)
		for (int64_t line = 0; line < stored_bytes(x->type, STEP); line += 4 * LINE)
			__builtin_prefetch(x->data + i * x->stride + at + line, 0, 2);
}

/* sums = m rows of A times n columns of B from j on, over k from l to `end`, of `all`. */
INLINE void sum_strip(enum ft_dtype t, vf (*sums)[2], const float *a, int64_t lda, const struct product_matrix *b,
                      int64_t j, int64_t m, int64_t n, int64_t l, int64_t end, int64_t all)
{
	_Alignas(64) float panel[STEP * COLS];
	struct rows x = columns_of(t, b, j, l);
	for (; l < end; l += STEP) {
		int64_t depth = end - l < STEP ? end - l : STEP;
		x.at = l;
		if (n == COLS && depth == STEP) {
			send_ahead(&x, l, all);
			pack_whole(panel, x, STEP, false);
		} else {
			pack_cols(panel, b, j, n, l, depth);
		}
		sum_rows(m, sums, a + l, lda, panel, depth);
	}
}

static void strip(float *c, int64_t ldc, const float *a, int64_t lda, const struct product_matrix *b, int64_t j, int64_t m,
                  int64_t n, int64_t k, enum product_start start, const float *bias)
{
	vf sums[PRODUCT_FEW][2];
	int64_t l = 0;
	do { /* once for k = 0, too: C is what it starts from */
		int64_t end = k - l < PRODUCT_DEPTH ? k : l + PRODUCT_DEPTH;
		for (int64_t i = 0; i < m; i++)
			sums[i][0] = sums[i][1] = splat(0);
#define SUM(t) sum_strip(t, sums, a, lda, b, j, m, n, l, end, k)
		EACH_TYPE(b->type, SUM)
#undef SUM
		for (int64_t i = 0; i < m; i++)
			put_row(c + i * ldc, sums[i][0], sums[i][1], n, start, bias);
		start = PRODUCT_ADD;
		l = end;
	} while (l < k);
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
	.strip = strip,
};
