/* panel.h - how panels of matrix products (product.h) are packed; inlined into product.c. */
#ifndef FT_TENSOR_PANEL_H
#define FT_TENSOR_PANEL_H

#include "product.h"
#include "stored.h"

/* Rows of a matrix, from one on: numbers of a type, each row `stride` bytes behind the one
 * before, and of each the numbers from the at-th on. */
struct rows {
	const unsigned char *data;
	enum ft_dtype type;
	int64_t stride, at;
};

/* panel[k][width] from x [m <= LANES, k]; writes LANES floats for each k, so with width <
 * LANES the next k's overwrite the surplus. Sends for what lies `ahead` bytes further on, which
 * will be read once: not for the second cache. */
INLINE void pack_turned(float *panel, int64_t width, struct rows x, int64_t m, int64_t k, int64_t ahead)
{
	int64_t l = 0;
	for (; l + LANES <= k; l += LANES) {
		vf v[LANES];
		int64_t sent = stored_bytes(x.type, x.at + l) + ahead;
#pragma GCC unroll 16
		for (int i = 0; i < LANES; i++) {
			v[i] = splat(0);
			if (i < m) {
				__builtin_prefetch(x.data + i * x.stride + sent, 0, 0);
				v[i] = load_stored(x.type, x.data + i * x.stride, x.at + l);
			}
		}
		turn(v);
#pragma GCC unroll 16
		for (int i = 0; i < LANES; i++)
			store(panel + (l + i) * width, v[i]);
	}
	for (; l < k; l++)
		for (int64_t i = 0; i < LANES; i++)
			panel[l * width + i] = i < m ? stored_at(x.type, x.data + i * x.stride, x.at + l) : 0;
}

/* The same of a type in blocks, of LANES rows and whole blocks. */
INLINE void pack_blocks(float *panel, int64_t width, struct rows x, int64_t k, int64_t ahead)
{
	for (int64_t l = 0; l < k; l += FT_BLOCK) {
		const unsigned char *block = x.data + stored_bytes(x.type, x.at + l);
#pragma GCC unroll 16
		for (int i = 0; i < LANES; i++)
			__builtin_prefetch(block + i * x.stride + ahead, 0, 0);
		if (x.type == FT_Q8_0)
			turn_q8_0(panel + l * width, width, block, x.stride);
		else
			turn_q4_0(panel + l * width, width, block, x.stride);
	}
}

/* panel[k][width] from x [k, n <= width] */
INLINE void pack_straight(float *panel, int64_t width, struct rows x, int64_t n, int64_t k)
{
	for (int64_t l = 0; l < k; l++, x.data += x.stride, panel += width) {
		int64_t j = 0;
		for (; j + LANES <= n; j += LANES)
			store(panel + j, load_stored(x.type, x.data, x.at + j));
		for (; j < n; j++)
			panel[j] = stored_at(x.type, x.data, x.at + j);
		for (; j < width; j++)
			panel[j] = 0;
	}
}

/* ---- B ---- */
#define COLS (2 * LANES)

/* The halves of a panel of B, of n <= COLS columns. */
INLINE void pack_halves(float *panel, struct rows x, int64_t n, int64_t k, int64_t ahead)
{
	struct rows right = x;
	right.data += LANES * x.stride;
	if (n == COLS && (x.type == FT_Q8_0 || x.type == FT_Q4_0) && k % FT_BLOCK == 0) {
		pack_blocks(panel, COLS, x, k, ahead);
		pack_blocks(panel + LANES, COLS, right, k, ahead);
	} else if (n == COLS) {
		pack_turned(panel + LANES, COLS, right, LANES, k, ahead);
		pack_turned(panel, COLS, x, LANES, k, ahead);
	} else {
		int64_t left = n < LANES ? n : LANES;
		pack_turned(panel + LANES, COLS, right, n - left, k, ahead);
		pack_turned(panel, COLS, x, left, k, ahead);
	}
}

/* panel[k][COLS] of n <= COLS columns of B from j on, and of k of its rows from l on. */
INLINE void pack_columns(enum ft_dtype t, float *panel, const struct product_matrix *b, int64_t j, int64_t n, int64_t l,
                         int64_t k, int64_t ahead)
{
	struct rows x = { .data = b->data, .type = t, .stride = stored_bytes(t, b->ld), .at = b->turned ? l : j };
	x.data += (b->turned ? j : l) * x.stride;
	if (b->turned)
		pack_halves(panel, x, n, k, ahead);
	else if (n == COLS)
		pack_straight(panel, COLS, x, COLS, k);
	else
		pack_straight(panel, COLS, x, n, k);
}

#endif
