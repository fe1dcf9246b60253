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
 * LANES the next k's overwrite the surplus. `past`: x is read once, and is kept out of the
 * second cache. */
INLINE void pack_turned(float *panel, int64_t width, struct rows x, int64_t m, int64_t k, bool past)
{
	int64_t l = 0;
	for (; l + LANES <= k; l += LANES) {
		vf v[LANES];
#pragma GCC unroll 16
		for (int i = 0; i < LANES; i++) {
			v[i] = splat(0);
			if (i < m) {
				if (past)
					__builtin_prefetch(x.data + i * x.stride + stored_bytes(x.type, x.at + l), 0, 0);
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

/* How many numbers of a row are turned together before they are widened; 0: it is done the
 * other way round. */
INLINE int64_t turned_at_once(enum ft_dtype t)
{
	return t == FT_BF16 ? BF16_AT_ONCE : t == FT_Q8_0 || t == FT_Q4_0 || t == FT_NF4 ? FT_BLOCK : 0;
}

/* The same of such a type, of LANES rows; k is a multiple of that number. */
INLINE void pack_words(float *panel, int64_t width, struct rows x, int64_t k)
{
	for (int64_t l = 0; l < k; l += turned_at_once(x.type)) {
		const unsigned char *p = x.data + stored_bytes(x.type, x.at + l);
		if (x.type == FT_BF16)
			turn_bf16(panel + l * width, width, p, x.stride);
		else
			turn_block(x.type, panel + l * width, width, p, x.stride);
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

/* The halves of a panel of B, stored turned. */
INLINE void pack_whole(float *panel, struct rows x, int64_t k, bool past)
{
	struct rows right = x;
	right.data += LANES * x.stride;
	if (turned_at_once(x.type) && k % turned_at_once(x.type) == 0) {
		pack_words(panel, COLS, x, k);
		pack_words(panel + LANES, COLS, right, k);
	} else {
		pack_turned(panel + LANES, COLS, right, LANES, k, past);
		pack_turned(panel, COLS, x, LANES, k, past);
	}
}

/* The same of n < COLS columns. */
INLINE void pack_part(float *panel, struct rows x, int64_t n, int64_t k)
{
	struct rows right = x;
	int64_t left = n < LANES ? n : LANES;
	right.data += LANES * x.stride;
	pack_turned(panel + LANES, COLS, right, n - left, k, true);
	pack_turned(panel, COLS, x, left, k, true);
}

/* B from the j-th column on, and from the l-th of its rows on. */
INLINE struct rows columns_of(enum ft_dtype t, const struct product_matrix *b, int64_t j, int64_t l)
{
	int64_t stride = stored_bytes(t, b->ld), skip = (b->turned ? j : l) * stride;
	return (struct rows){ .data = b->data + skip, .type = t, .stride = stride, .at = b->turned ? l : j };
}

/* panel[k][COLS] of n <= COLS columns of them. */
INLINE void pack_columns(enum ft_dtype t, float *panel, const struct product_matrix *b, int64_t j, int64_t n, int64_t l,
                         int64_t k)
{
	struct rows x = columns_of(t, b, j, l);
	if (b->turned && n == COLS)
		pack_whole(panel, x, k, true);
	else if (b->turned)
		pack_part(panel, x, n, k);
	else if (n == COLS)
		pack_straight(panel, COLS, x, COLS, k);
	else
		pack_straight(panel, COLS, x, n, k);
}

#endif
