/* product.c - tiles of matrix products (product.h), compiled once for each
 * instruction set.
 *
 * The sums of a tile fill the registers: 14 x 32 with AVX-512 (28 of 32), 6 x 16
 * with AVX2 (12 of 16). The rest hold a row of B's panel and one value of A's.
 *
 * With few rows of A a product is as fast as B can be read. Then B is widened and turned
 * a little at a time, without leaving the first cache, and sent for ahead. With one row
 * it is multiplied as it is turned, without leaving the registers. */
#include "panel.h"

#if LANES == 8
#include "by_blocks.h"
#endif

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

/* A vector of C: what it starts from, plus its sums. */
INLINE void put_vector(float *c, vf sums, enum product_start start, const float *bias)
{
	store(c, start == PRODUCT_SET ? sums : load(start == PRODUCT_ADD ? c : bias) + sums);
}

/* A row of C, n columns of it. */
INLINE void put_row(float *c, vf left, vf right, int64_t n, enum product_start start, const float *bias)
{
	const float *from = start == PRODUCT_ADD ? c : bias;
	if (n == COLS) {
		put_vector(c, left, start, bias);
		put_vector(c + LANES, right, start, bias ? bias + LANES : NULL);
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
#define AHEAD_OF_ONE 1024 /* with one row of A, which is done sooner */
/* Rows whose sums are in registers at a time. */
#define FEW (LANES == 16 ? 8 : ROWS)

/* sums += rows of A, `lda` apart, times `depth` rows of floats of B, `stride` bytes apart, at any alignment. */
INLINE void sum_few(int rows, vf (*sums)[2], const float *a, int64_t lda, const void *b, int64_t stride, int64_t depth)
{
	vf left[FEW], right[FEW];
#pragma GCC unroll 8
	for (int i = 0; i < rows; i++)
		left[i] = sums[i][0], right[i] = sums[i][1];
	for (int64_t l = 0; l < depth; l++) {
		const unsigned char *row = (const unsigned char *)b + l * stride;
		vf x = load(row), y = load(row + sizeof x);
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

__attribute__((noinline)) static void sum_rows(int64_t m, vf (*sums)[2], const float *a, int64_t lda, const void *b,
                                               int64_t stride, int64_t depth)
{
	for (; m > 0; m -= FEW, sums += FEW, a += FEW * lda)
		switch (m < FEW ? m : FEW) {
#define X(r) case r: if (r <= FEW) sum_few(r <= FEW ? r : 1, sums, a, lda, b, stride, depth); break;
		ROW_COUNTS(X)
#undef X
		}
}

/* Sends for what follows the step at l of these n rows: each row a little before its use, and where it ends the one of
 * the strip after. Several steps of a type in blocks fit into a line: each sends for the lines of some of the rows. */
INLINE void send_ahead(const struct rows *x, int n, int64_t l, int64_t k, int64_t ahead)
{
	const int steps = x->type == FT_Q4_0 || x->type == FT_NF4 ? 3 : 1;
	int64_t row = stored_bytes(x->type, k), at = stored_bytes(x->type, l) + ahead;
	int turn = steps > 1 ? (int)(l / STEP % steps) : 0;
	at += at < row ? 0 : n * x->stride - row;
	for (int i = n * turn / steps; i < n * (turn + 1) / steps; i++)
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
		if (b->turned && n == COLS && depth == STEP) {
			send_ahead(&x, COLS, l, all, AHEAD);
			pack_whole(panel, x, STEP, false);
		} else {
			pack_cols(panel, b, j, n, l, depth);
		}
		sum_rows(m, sums, a + l, lda, panel, COLS * sizeof *panel, depth);
	}
}

/* The same of a panel that lies in memory as it is read. */
INLINE bool lies_ready(const struct product_matrix *b, int64_t n)
{
	return b->type == FT_F32 && !b->turned && n == COLS;
}
INLINE void sum_straight(vf (*sums)[2], const float *a, int64_t lda, const struct product_matrix *b, int64_t j,
                         int64_t m, int64_t l, int64_t end)
{
	struct rows x = columns_of(FT_F32, b, j, l);
	sum_rows(m, sums, a + l, lda, x.data + stored_bytes(FT_F32, x.at), x.stride, end - l);
}

/* Of the columns of one panel. */
static void strip_of_panel(float *c, int64_t ldc, const float *a, int64_t lda, const struct product_matrix *b,
                           int64_t j, int64_t m, int64_t n, int64_t k, enum product_start start, const float *bias)
{
	vf sums[PRODUCT_FEW][2];
	int64_t l = 0;
	do { /* once for k = 0, too: C is what it starts from */
		int64_t end = k - l < PRODUCT_DEPTH ? k : l + PRODUCT_DEPTH;
		for (int64_t i = 0; i < m; i++)
			sums[i][0] = sums[i][1] = splat(0);
#define SUM(t) sum_strip(t, sums, a, lda, b, j, m, n, l, end, k)
		if (lies_ready(b, n))
			sum_straight(sums, a, lda, b, j, m, l, end);
		else
			EACH_TYPE(b->type, SUM)
#undef SUM
		for (int64_t i = 0; i < m; i++)
			put_row(c + i * ldc, sums[i][0], sums[i][1], n, start, bias);
		start = PRODUCT_ADD;
		l = end;
	} while (l < k);
}

/* ---- one row ---- */

/* Sums in registers. Numbers in blocks take long to widen: their sums are chains of multiply-adds by turns, which do
 * not wait for each other. Others wait for memory, which is read fastest where few rows are read at a time. */
#define CHAINS 4
#define STRIP (CHAINS * LANES)
INLINE int chains_of(enum ft_dtype t) { return turned_at_once(t) == FT_BLOCK ? CHAINS : 1; }

/* sums += a row of A times a block of each of STRIP columns of B. What is turned goes through the first cache: for more
 * than this there are not registers enough, nor for the places of so many columns. */
INLINE void sum_block(vf sums[CHAINS], const float *a, struct rows x)
{
	const unsigned char *p = x.data + stored_bytes(x.type, x.at);
	const int pieces = FT_BLOCK / piece_of(x.type);
	vf s[CHAINS];
	struct scales d[CHAINS];
	vu w[CHAINS][2][4];
#pragma GCC unroll 1
	for (int c = 0; c < CHAINS; c++, p += LANES * x.stride) {
		d[c] = scales_of(x.type, p, x.stride);
		for (int part = 0; part < pieces; part++)
			turn_words(w[c][part], p + 2 + part * piece_of(x.type), x.stride);
	}
	memcpy(s, sums, sizeof s);
#pragma GCC unroll 32
	for (int i = 0; i < FT_BLOCK; i++) {
		vf v = splat(a[i]);
#pragma GCC unroll 4
		for (int c = 0; c < CHAINS; c++)
			s[c] += v * widen_turned(x.type, w[c][i / piece_of(x.type)], i % piece_of(x.type), &d[c]);
	}
	memcpy(sums, s, sizeof s);
}

/* The same of STEP numbers of each of LANES columns, of a type that is not in blocks. */
INLINE void sum_numbers(vf *sum, const float *a, struct rows x)
{
	vf s = *sum;
	for (int64_t l = 0; l < STEP; l += numbers_at_once(x.type)) {
		vf v[NUMBERS_AT_ONCE];
		turn_numbers(x.type, v, x.data, x.stride, x.at + l);
#pragma GCC unroll 16
		for (int64_t i = 0; i < numbers_at_once(x.type); i++)
			s += splat(a[l + i]) * v[i];
	}
	*sum = s;
}

/* chains_of(t) vectors of columns and one row; k is whole blocks. */
INLINE void strip_of_row(enum ft_dtype t, float *c, const float *a, const struct product_matrix *b, int64_t j,
                         int64_t k, enum product_start start, const float *bias)
{
	struct rows x = columns_of(t, b, j, 0);
	for (int64_t end; x.at < k; start = PRODUCT_ADD) {
		vf sums[CHAINS] = { { 0 } };
		end = k - x.at < PRODUCT_DEPTH ? k : x.at + PRODUCT_DEPTH;
		for (; x.at < end; x.at += STEP) {
			send_ahead(&x, chains_of(t) * LANES, x.at, k, AHEAD_OF_ONE);
			if (chains_of(t) == CHAINS)
				sum_block(sums, a + x.at, x);
			else
				sum_numbers(sums, a + x.at, x);
		}
		for (int i = 0; i < chains_of(t); i++)
			put_vector(c + i * LANES, sums[i], start, bias ? bias + i * LANES : NULL);
	}
}

/* How many of n columns it took, from the first on. */
static int64_t strips_of_row(float *c, const float *a, const struct product_matrix *b, int64_t j, int64_t n, int64_t k,
                             enum product_start start, const float *bias)
{
	int64_t i = 0;
#define EACH(t)                                                                                   \
	for (; i + chains_of(t) * LANES <= n; i += chains_of(t) * LANES)                          \
		strip_of_row(t, c + i, a, b, j + i, k, start, bias ? bias + i : NULL)
	EACH_TYPE(b->type, EACH)
#undef EACH
	return i;
}

#if LANES == 16
extern const struct ft_product ft_product_avx2;

static void by_blocks(float *c, int64_t ldc, const float *a, int64_t lda, const struct product_matrix *b, int64_t j,
                      int64_t m, int64_t n, int64_t k, enum product_start start, const float *bias)
{
	ft_product_avx2.by_blocks(c, ldc, a, lda, b, j, m, n, k, start, bias);
}
#endif

static void strip(float *c, int64_t ldc, const float *a, int64_t lda, const struct product_matrix *b, int64_t j,
                  int64_t m, int64_t n, int64_t k, enum product_start start, const float *bias)
{
#if LANES == 16
	if (m == 1 && b->turned && b->type == FT_F32) { /* whose rows are long: half as many at a time are read faster */
		ft_product_avx2.strip(c, ldc, a, lda, b, j, m, n, k, start, bias);
		return;
	}
#endif
	int64_t i = m == 1 && b->turned && k && k % FT_BLOCK == 0 ? strips_of_row(c, a, b, j, n, k, start, bias) : 0;
	for (; i < n; i += COLS)
		strip_of_panel(c + i, ldc, a, lda, b, j + i, m, n - i < COLS ? n - i : COLS, k, start, bias ? bias + i : NULL);
}

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
extern const struct ft_product JOIN(ft_product_, FT_ISA);
const struct ft_product JOIN(ft_product_, FT_ISA) = {
	.rows = ROWS,
	.cols = COLS,
	.strip_cols = STRIP,
	.pack_rows = pack_rows,
	.pack_cols = pack_cols,
	.tile = tile,
	.strip = strip,
#if LANES > 4
	.by_blocks = by_blocks,
#endif
};
