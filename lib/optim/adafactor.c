/* adafactor.c - Adafactor (Shazeer and Stern, ICML 2018), without momentum: the
 * mean squares of a matrix's gradient are kept as one number for each row and
 * one for each column.
 *
 *	R = b R + (1-b) mean over a row of (g^2 + EPS)      C the same over columns
 *	u = g / sqrt(R C / mean(R))                         vectors: V in place of R C / mean(R)
 *	w = w - rate u / max(1, rms(u) / clip)              b = 1 - step^-beta2_decay
 *
 * The rate is that of the run, as where transformers' Adafactor has
 * relative_step=False; with `relative` it is multiplied by max(SMALLEST, rms(w)),
 * its scale_parameter=True. */
#include "ft/kernels.h"
#include "ft/thread.h"
#include "priv.h"

#include <math.h>
#include <string.h>

#define EPS 1e-30      /* added to squares of gradients */
#define SMALLEST 1e-3  /* of the size of weights that a rate is relative to */
#define STRIP 64       /* columns at a time */
enum { ROWS, COLUMNS, VECTOR }; /* arrays of state */
enum { MEAN_ROW, CLIP, SIZE };  /* of a slot's `whole`: mean of R; factor of the update; rms(w) */

static size_t state(const struct ft_param *p, int i, enum ft_dtype *type)
{
	(void)type;
	if (i == ROWS && p->rank == 2)
		return (size_t)p->t.rows;
	return i == (p->rank == 2 ? COLUMNS : VECTOR) ? (size_t)p->t.cols : 0;
}

static double beta2_of(const struct ft_optim *o)
{
	return 1 - pow((double)o->now.step, -o->options.beta2_decay);
}

/* x = b x + (1-b) (square + EPS) */
static float average(float x, double b, double square)
{
	return (float)(b * x + (1 - b) * (square + EPS));
}

/* ---- mean squares ---- */

/* R of the rows of a block, and their sum; V of a vector. */
static void measure_rows(void *ctx, size_t i)
{
	struct ft_optim *o = ctx;
	const struct block *b = &o->blocks[i];
	const struct ft_tensor *t = &b->slot->p->t;
	float *rows = b->slot->state[ROWS], *vector = b->slot->state[VECTOR];
	double beta2 = beta2_of(o), scale = o->now.scale, sum = 0;
	if (!t->has_grad)
		return;
	for (int64_t c = 0; vector && c < t->cols; c++)
		vector[c] = average(vector[c], beta2, scale * t->grad[c] * scale * t->grad[c]);
	for (int64_t r = b->row; rows && r < b->row + b->rows; r++) {
		double squares = row_is_zero(t, r) ? 0 : ft_kernels()->sum_squares(t->grad + r * t->cols, (size_t)t->cols);
		rows[r] = average(rows[r], beta2, scale * scale * squares / (double)t->cols);
		sum += rows[r];
	}
	o->sums[i] = sum;
}

struct strips {
	struct slot *slot;
	double beta2, scale;
};

/* C of a strip of columns, and 1/sqrt(C). */
static void measure_strip(void *ctx, size_t i)
{
	const struct strips *s = ctx;
	const struct ft_tensor *t = &s->slot->p->t;
	float *columns = s->slot->state[COLUMNS];
	int64_t from = (int64_t)i * STRIP, n = t->cols - from < STRIP ? t->cols - from : STRIP;
	double sum[STRIP] = { 0 };
	for (int64_t r = 0; r < t->rows; r++)
		if (!row_is_zero(t, r))
			ft_kernels()->update->add_squares(sum, t->grad + r * t->cols + from, (size_t)n);
	for (int64_t c = 0; c < n; c++) {
		columns[from + c] = average(columns[from + c], s->beta2, s->scale * s->scale * sum[c] / (double)t->rows);
		s->slot->columns[from + c] = (float)(1 / sqrt(columns[from + c]));
	}
}

static void measure_columns(struct ft_optim *o, struct slot *slot)
{
	const struct ft_tensor *t = &slot->p->t;
	const float *vector = slot->state[VECTOR];
	struct strips s = { .slot = slot, .beta2 = beta2_of(o), .scale = o->now.scale };
	if (!vector)
		ft_parallel_work((size_t)((t->cols + STRIP - 1) / STRIP), (double)elements(slot->p), measure_strip, &s);
	for (int64_t c = 0; vector && c < t->cols; c++)
		slot->columns[c] = (float)(1 / sqrt(vector[c]));
}

/* ---- the size of the update, and of the weights ---- */

/* 1 / sqrt(R / mean(R)) of a row. */
static double row_factor(const struct slot *s, int64_t row)
{
	const float *rows = s->state[ROWS];
	return rows ? sqrt(s->whole[MEAN_ROW] / rows[row]) : 1;
}

static void measure_update(void *ctx, size_t i)
{
	struct ft_optim *o = ctx;
	const struct block *b = &o->blocks[i];
	const struct ft_tensor *t = &b->slot->p->t;
	double sum = 0;
	for (int64_t r = b->row; t->has_grad && r < b->row + b->rows; r++) {
		if (row_is_zero(t, r))
			continue;
		double f = row_factor(b->slot, r) * o->now.scale;
		sum += f * f * ft_kernels()->update->sum_product_squares(t->grad + r * t->cols, b->slot->columns,
		                                                         (size_t)t->cols);
	}
	o->sums[i] = sum;
}

static void measure_weights(void *ctx, size_t i)
{
	struct ft_optim *o = ctx;
	const struct block *b = &o->blocks[i];
	const struct ft_tensor *t = &b->slot->p->t;
	o->sums[i] = ft_kernels()->sum_squares(t->data + b->row * t->cols, (size_t)(b->rows * t->cols));
}

static double sum_of(const struct ft_optim *o, const struct slot *s)
{
	double sum = 0;
	for (size_t i = s->block; i < s->block + s->nblocks; i++)
		sum += o->sums[i];
	return sum;
}

static void measure(struct ft_optim *o)
{
	ft_parallel(o->nblocks, measure_rows, o);
	for (struct slot *s = o->slots; s < o->slots + o->nslots; s++) {
		if (!s->p->t.has_grad)
			continue;
		s->whole[MEAN_ROW] = sum_of(o, s) / (double)trained_rows(s->p);
		measure_columns(o, s);
	}
	ft_parallel(o->nblocks, measure_update, o);
	for (struct slot *s = o->slots; s < o->slots + o->nslots; s++) {
		double rms = sqrt(sum_of(o, s) / ((double)trained_rows(s->p) * (double)s->p->t.cols)) / o->options.clip_update;
		s->whole[CLIP] = rms > 1 ? 1 / rms : 1;
	}
	if (!o->options.relative)
		return;
	ft_parallel(o->nblocks, measure_weights, o);
	for (struct slot *s = o->slots; s < o->slots + o->nslots; s++) {
		double rms = sqrt(sum_of(o, s) / ((double)trained_rows(s->p) * (double)s->p->t.cols));
		s->whole[SIZE] = rms > SMALLEST ? rms : SMALLEST;
	}
}

static void update(const struct update *u, const struct run *r)
{
	const struct ft_tensor *t = &r->slot->p->t;
	double rate = u->rate * (u->o->relative ? r->slot->whole[SIZE] : 1);
	float keep = (float)(1 - rate * u->decay);
	for (int64_t i = 0; i < r->rows; i++) {
		double f = rate * r->slot->whole[CLIP] * row_factor(r->slot, r->row + i) * u->scale;
		ft_kernels()->update->adafactor(r->w + i * t->cols, r->g + i * t->cols, r->slot->columns, (float)f, keep,
		                                (size_t)t->cols);
	}
}

const struct optimizer optimizer_adafactor = {
	.name = "adafactor", .names = { "row_squares", "column_squares", "square" }, .state = state, .update = update,
	.measure = measure, .columns = true, .rate = 1,
};
