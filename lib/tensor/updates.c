/* updates.c - what optimizers do to weights, compiled once for each instruction
 * set. FT_ISA is the name of that set. */
#include "ft/kernels.h"

#include <math.h>
#include <string.h>

static void adamw(float *w, const float *g, float *m, float *v, const struct ft_adamw *o, size_t n)
{
	/* As torch.optim.AdamW orders it: decay first, then the step. */
	const float step = o->rate / o->correct1, root = 1.0f / sqrtf(o->correct2);
	const float keep = 1.0f - o->decay;
	for (size_t i = 0; i < n; i++) {
		float gi = g[i] * o->scale;
		m[i] = m[i] + (gi - m[i]) * o->new1;
		v[i] = v[i] * o->beta2 + gi * gi * o->new2;
		w[i] = w[i] * keep - step * m[i] / (__builtin_sqrtf(v[i]) * root + o->eps);
	}
}

static void sgd(float *w, const float *g, float *m, float rate, float momentum, float decay, float scale, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		m[i] = momentum * m[i] + (g[i] * scale + decay * w[i]);
		w[i] -= rate * m[i];
	}
}

static void lion(float *w, const float *g, float *m, const struct ft_lion *o, size_t n)
{
	const float keep = 1.0f - o->decay;
	for (size_t i = 0; i < n; i++) {
		float gi = g[i] * o->scale, direction = m[i] * o->beta1 + gi * o->new1;
		w[i] = w[i] * keep - (direction > 0 ? o->rate : direction < 0 ? -o->rate : 0.0f);
		m[i] = m[i] * o->beta2 + gi * o->new2;
	}
}

static void adafactor(float *w, const float *g, const float *column, float step, float keep, size_t n)
{
	for (size_t i = 0; i < n; i++)
		w[i] = w[i] * keep - step * (g[i] * column[i]);
}

static void add_squares(double *sum, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum[i] += (double)x[i] * x[i];
}

#define LANES 16 /* as the kernels sum */
static double sum_product_squares(const float *x, const float *y, size_t n)
{
	double lane[LANES] = { 0 }, sum = 0;
	size_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (size_t k = 0; k < LANES; k++) {
			float p = x[i + k] * y[i + k];
			lane[k] += (double)p * p;
		}
	for (; i < n; i++) {
		float p = x[i] * y[i];
		lane[i % LANES] += (double)p * p;
	}
	for (size_t k = 0; k < LANES; k++)
		sum += lane[k];
	return sum;
}

static void average(float *y, const float *x, float share, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += share * (x[i] - y[i]);
}

/* ---- numbers in a byte ---- */
static void from_bytes(float *y, const uint8_t *code, float scale, const struct ft_byte_map *map, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = scale * map->value[code[i]];
}

static float largest(const float *x, size_t n)
{
	float lane[LANES] = { 0 };
	size_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (size_t k = 0; k < LANES; k++) {
			float size = fabsf(x[i + k]);
			lane[k] = size > lane[k] ? size : lane[k];
		}
	for (; i < n; i++)
		lane[0] = fabsf(x[i]) > lane[0] ? fabsf(x[i]) : lane[0];
	for (size_t k = 1; k < LANES; k++)
		lane[0] = lane[k] > lane[0] ? lane[k] : lane[0];
	return lane[0];
}

/* The cells of numbers in [-1, 1]. */
static void find_cells(int32_t *cell, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t bits;
		memcpy(&bits, &x[i], sizeof bits);
		int32_t at = (int32_t)(bits >> 16 & 0x7fff) - FT_BYTES_TINY;
		at = at > 0 ? at : 0;
		at = at < FT_BYTES_CELLS ? at : FT_BYTES_CELLS - 1;
		cell[i] = at + (int32_t)(bits >> 31) * FT_BYTES_CELLS;
	}
}

static float to_bytes(uint8_t *code, const float *x, const struct ft_byte_map *map, size_t n)
{
	int32_t cell[FT_BYTES_BLOCK];
	float share[FT_BYTES_BLOCK];
	float scale = largest(x, n), inverse = scale > 1e-38f ? 1.0f / scale : 0; /* below, it would not be finite */
	for (size_t i = 0; i < n; i++)
		share[i] = x[i] * inverse;
	find_cells(cell, share, n);
	for (size_t i = 0; i < n; i++) {
		uint8_t below = map->below[cell[i]];
		code[i] = (uint8_t)(below + (share[i] > map->bound[below]));
	}
	return scale;
}

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
extern const struct ft_updates JOIN(ft_updates_, FT_ISA);
const struct ft_updates JOIN(ft_updates_, FT_ISA) = {
	.adamw = adamw,
	.sgd = sgd,
	.lion = lion,
	.adafactor = adafactor,
	.add_squares = add_squares,
	.sum_product_squares = sum_product_squares,
	.average = average,
	.from_bytes = from_bytes,
	.to_bytes = to_bytes,
};
