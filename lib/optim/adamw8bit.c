/* adamw8bit.c - AdamW whose state takes a byte a number (Dettmers et al., "8-bit
 * Optimizers via Block-wise Quantization", ICLR 2022).
 *
 * A number is stored as one of 256 values, times the largest magnitude of its block
 * of 256 numbers. The values are those of the dynamic map: finer near 0, where each
 * exponent bit that is used leaves one bit less to the fraction. A step widens a
 * block, updates it in float32, and rounds it to the nearest values again. As in the paper, tables
 * of embeddings keep their state in float32, and as in bitsandbytes what is small
 * does, too. */
#include "ft/mem.h"
#include "adamw.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK FT_BYTES_BLOCK
#define SMALL 4096 /* elements below which a byte a number saves nothing */
enum { MEAN, SQUARE, MEAN_SCALE, SQUARE_SCALE }; /* arrays of state; scales only where it is bytes */

struct maps {
	struct ft_byte_map mean, squares; /* with a sign, and without */
};

static bool in_bytes(const struct ft_param *p) { return !ft_param_is_table(p) && elements(p) >= SMALL; }

static size_t state(const struct ft_param *p, int i, enum ft_dtype *type)
{
	if (i == MEAN_SCALE || i == SQUARE_SCALE)
		return in_bytes(p) ? (elements(p) + BLOCK - 1) / BLOCK : 0;
	if (in_bytes(p))
		*type = FT_U8;
	return elements(p);
}

/* ---- the dynamic map ---- */
static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* The least magnitude of a cell. */
static float cell_edge(int32_t cell)
{
	uint32_t bits = (uint32_t)(FT_BYTES_TINY + cell) << 16;
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* Each power of ten from 1e-6 to 1 has twice as many values as the one below it: the middles of
 * as many equal parts of [0.1, 1] times that power. Then 0 and 1. */
static void make_map(struct ft_byte_map *m, bool sign)
{
	size_t n = 0;
	double power = 1e-6;
	for (int exponent = 0; exponent < 7; exponent++, power *= 10) {
		int parts = 1 << (exponent + !sign);
		for (int i = 0; i < parts; i++) {
			double middle = power * (0.1 + 0.9 * (i + 0.5) / parts);
			m->value[n++] = (float)middle;
			if (sign)
				m->value[n++] = (float)-middle;
		}
	}
	m->value[n++] = 0;
	m->value[n++] = 1;
	qsort(m->value, n, sizeof *m->value, compare);
	for (size_t i = 0; i + 1 < n; i++)
		m->bound[i] = (m->value[i] + m->value[i + 1]) / 2;
	m->bound[n - 1] = INFINITY;
	for (int32_t cell = 0; cell < FT_BYTES_CELLS; cell++) {
		float least = cell ? cell_edge(cell) : 0, beyond = cell_edge(cell + 1);
		for (size_t i = 0; i + 1 < n; i++) {
			m->below[cell] += m->bound[i] < least;
			m->below[FT_BYTES_CELLS + cell] += m->bound[i] <= -beyond;
		}
	}
}

static void *open_maps(void)
{
	struct maps *m = ft_alloc(1, sizeof *m);
	if (!m)
		return NULL;
	make_map(&m->mean, true);
	make_map(&m->squares, false);
	return m;
}

/* ---- a step ---- */
static void update_block(const struct run *r, const struct maps *maps, const struct ft_adamw *a, size_t from, size_t n)
{
	const struct ft_updates *k = ft_kernels()->update;
	size_t block = (r->at + from) / BLOCK;
	uint8_t *mean = (uint8_t *)r->slot->state[MEAN] + r->at + from;
	uint8_t *squares = (uint8_t *)r->slot->state[SQUARE] + r->at + from;
	float *mean_scale = (float *)r->slot->state[MEAN_SCALE] + block;
	float *squares_scale = (float *)r->slot->state[SQUARE_SCALE] + block;
	float m[BLOCK], v[BLOCK];
	k->from_bytes(m, mean, *mean_scale, &maps->mean, n);
	k->from_bytes(v, squares, *squares_scale, &maps->squares, n);
	k->adamw(r->w + from, r->g + from, m, v, a, n);
	*mean_scale = k->to_bytes(mean, m, &maps->mean, n);
	*squares_scale = k->to_bytes(squares, v, &maps->squares, n);
}

static void update(const struct update *u, const struct run *r)
{
	struct ft_adamw a = adamw_of(u);
	if (!in_bytes(r->slot->p)) {
		ft_kernels()->update->adamw(r->w, r->g, state_of(r, MEAN), state_of(r, SQUARE), &a, r->n);
		return;
	}
	for (size_t i = 0; i < r->n; i += BLOCK)
		update_block(r, u->own, &a, i, r->n - i < BLOCK ? r->n - i : BLOCK);
}

const struct optimizer optimizer_adamw8bit = {
	.name = "adamw8bit", .names = { "mean", "square", "mean_scale", "square_scale" }, .state = state,
	.update = update, .open = open_maps, .align = BLOCK, .decoupled = true, .beta1 = 0.9, .beta2 = 0.999, .rate = 1,
};
