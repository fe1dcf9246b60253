/* optim.c - gradients and state of what trains, and the walk over it.
 *
 * Work is cut into blocks of rows by shape alone; sums over blocks are taken in
 * block order. */
#include "ft/err.h"
#include "ft/kernels.h"
#include "ft/thread.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 65536 /* elements, about */

struct slot { /* one parameter that trains */
	struct ft_param *p;
	float *state[2];
	uint8_t *ever; /* rows of a table that have had a gradient; NULL: not a table */
};

struct block {
	struct slot *slot;
	int64_t row, rows;
};

struct ft_optim {
	struct ft_optim_options options;
	const struct optimizer *kind;
	struct slot *slots;
	size_t nslots;
	struct block *blocks;
	double *sums; /* [blocks] */
	size_t nblocks, block_cap;
	struct ft_piece *pieces; /* whoever gets memory for state adds it here */
	size_t npieces, piece_cap;
	float *zeros; /* the longest row of a table: a gradient that is none */
	struct update now;
};

static const struct optimizer *find_optimizer(const char *name)
{
	static const struct optimizer *const all[] = {
#define X(name) &optimizer_##name,
#include "optimizers.def"
#undef X
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	ft_fail(FT_EUSAGE, "'%s' is not an optimizer; there are:"
#define X(name) " " #name
#include "optimizers.def"
#undef X
	        , name);
	return NULL;
}

int ft_optim_arrays(const char *name)
{
	const struct optimizer *k = find_optimizer(name);
	return k ? k->arrays : -1;
}

/* Notes state of a parameter (NULL: of all), so that checkpoints have it. */
static int add_piece(struct ft_optim *o, const struct ft_param *p, const char *what, enum ft_dtype dtype, void *data,
                     size_t bytes)
{
	if (ft_grow(&o->pieces, &o->piece_cap, o->npieces + 1, sizeof *o->pieces) < 0)
		return FT_EFAIL;
	o->pieces[o->npieces++] = (struct ft_piece){ p ? p->name : NULL, what, dtype, data, bytes };
	return FT_OK;
}

/* A table gets marks for its rows; its memory stays untouched where unused
 * (calloc of large sizes gives pages that cost nothing until written). */
static int open_slot(struct ft_optim *o, struct slot *s, struct ft_param *p)
{
	size_t n = (size_t)p->t.rows * (size_t)p->t.cols;
	bool table = p->layer == -1 && p->rank == 2;
	void *(*get)(size_t, size_t) = table ? ft_alloc : ft_alloc_whole;
	s->p = p;
	if (!p->t.grad && !(p->t.grad = get(n, sizeof(float))))
		return FT_EFAIL;
	for (int i = 0; i < o->kind->arrays; i++)
		if (!(s->state[i] = get(n, sizeof(float))) ||
		    add_piece(o, p, o->kind->names[i], FT_F32, s->state[i], n * sizeof(float)) < 0)
			return FT_EFAIL;
	if (table) {
		s->ever = ft_alloc((size_t)p->t.rows, 1);
		free(p->t.touched);
		p->t.touched = ft_alloc((size_t)p->t.rows, 1);
		if (!s->ever || !p->t.touched)
			return FT_EFAIL;
		return add_piece(o, p, "rows", FT_U8, s->ever, (size_t)p->t.rows);
	}
	return FT_OK;
}

static int add_blocks(struct ft_optim *o, struct slot *s)
{
	int64_t rows = s->p->t.cols < BLOCK ? BLOCK / s->p->t.cols : 1;
	for (int64_t r = 0; r < s->p->t.rows; r += rows) {
		if (ft_grow(&o->blocks, &o->block_cap, o->nblocks + 1, sizeof *o->blocks) < 0)
			return FT_EFAIL;
		int64_t n = s->p->t.rows - r < rows ? s->p->t.rows - r : rows;
		o->blocks[o->nblocks++] = (struct block){ s, r, n };
	}
	return FT_OK;
}

struct ft_optim *ft_optim_new(struct ft_model *m, const struct ft_optim_options *options)
{
	struct ft_optim *o = ft_alloc(1, sizeof *o);
	if (!o)
		return NULL;
	o->options = *options;
	o->kind = find_optimizer(options->name);
	o->slots = o->kind ? ft_alloc(ft_model_params(m), sizeof *o->slots) : NULL;
	int rc = o->slots ? FT_OK : FT_EFAIL;
	int64_t widest = 0;
	for (size_t i = 0; rc == FT_OK && i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		if (!p->trains)
			continue;
		widest = p->t.cols > widest ? p->t.cols : widest;
		rc = open_slot(o, &o->slots[o->nslots], p);
		rc = rc ? rc : add_blocks(o, &o->slots[o->nslots]);
		o->nslots++;
	}
	o->sums = ft_alloc(o->nblocks, sizeof *o->sums);
	o->zeros = ft_alloc((size_t)widest, sizeof *o->zeros);
	if (rc == FT_OK && o->sums && o->zeros)
		return o;
	ft_optim_free(o);
	return NULL;
}

void ft_optim_free(struct ft_optim *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->nslots; i++) {
		free(o->slots[i].state[0]);
		free(o->slots[i].state[1]);
		free(o->slots[i].ever);
	}
	free(o->slots);
	free(o->pieces);
	free(o->blocks);
	free(o->sums);
	free(o->zeros);
	free(o);
}

bool ft_optim_piece(const struct ft_optim *o, size_t i, struct ft_piece *piece)
{
	if (i < o->npieces)
		*piece = o->pieces[i];
	return i < o->npieces;
}

int64_t ft_optim_steps(const struct ft_optim *o) { return o->now.step; }
void ft_optim_resume(struct ft_optim *o, int64_t steps) { o->now.step = steps; }

/* Rows of a table without a gradient: they are not even read. */
static bool row_is_zero(const struct ft_tensor *t, int64_t row)
{
	return t->touched && !t->dense && !t->touched[row];
}

static void block_norm(void *ctx, size_t i)
{
	struct ft_optim *o = ctx;
	const struct block *b = &o->blocks[i];
	const struct ft_tensor *t = &b->slot->p->t;
	double sum = 0;
	for (int64_t r = b->row; t->has_grad && r < b->row + b->rows; r++)
		if (!row_is_zero(t, r))
			sum += ft_kernels()->sum_squares(t->grad + r * t->cols, (size_t)t->cols);
	o->sums[i] = sum;
}

double ft_optim_norm(struct ft_optim *o)
{
	ft_parallel(o->nblocks, block_norm, o);
	double sum = 0;
	for (size_t i = 0; i < o->nblocks; i++)
		sum += o->sums[i];
	return sqrt(sum);
}

/* A run of rows with the same kind of gradient. */
static void update_rows(struct ft_optim *o, const struct update *u, const struct slot *s, int64_t row, int64_t rows)
{
	const struct ft_tensor *t = &s->p->t;
	int64_t at = row * t->cols;
	float *state[2] = { s->state[0] + at, s->state[1] ? s->state[1] + at : NULL };
	o->kind->update(u, t->data + at, t->grad + at, state, (size_t)(rows * t->cols));
}

/* One row of a table: with a gradient; without one but with state; or new, when
 * only the decay acts (what the update would do to it, without its memory, when
 * decay leaves no trace in the state). */
static void update_table_row(struct ft_optim *o, const struct update *u, const struct slot *s, int64_t row)
{
	const struct ft_tensor *t = &s->p->t;
	int64_t at = row * t->cols;
	if (!row_is_zero(t, row)) {
		s->ever[row] = 1;
		update_rows(o, u, s, row, 1);
	} else if (s->ever[row] || (u->decay > 0 && !o->kind->decoupled)) {
		float *state[2] = { s->state[0] + at, s->state[1] ? s->state[1] + at : NULL };
		s->ever[row] = 1;
		o->kind->update(u, t->data + at, o->zeros, state, (size_t)t->cols);
	} else if (u->decay > 0) {
		float keep = 1.0f - (float)(u->rate * u->decay);
		for (int64_t c = 0; c < t->cols; c++)
			t->data[at + c] *= keep;
	}
}

static void block_update(void *ctx, size_t i)
{
	struct ft_optim *o = ctx;
	const struct block *b = &o->blocks[i];
	const struct slot *s = b->slot;
	struct update u = o->now;
	u.rate *= s->p->rate;
	u.decay = s->p->decays ? o->options.weight_decay : 0;
	if (!s->p->t.has_grad)
		return;
	if (!s->ever) {
		update_rows(o, &u, s, b->row, b->rows);
		return;
	}
	for (int64_t r = b->row; r < b->row + b->rows; r++)
		update_table_row(o, &u, s, r);
}

void ft_optim_step(struct ft_optim *o, double rate, double scale)
{
	o->now = (struct update){ .o = &o->options, .rate = rate, .scale = scale, .step = o->now.step + 1 };
	ft_parallel(o->nblocks, block_update, o);
	ft_optim_clear(o);
}

void ft_optim_clear(struct ft_optim *o)
{
	for (size_t i = 0; i < o->nslots; i++) {
		o->slots[i].p->t.has_grad = false;
		o->slots[i].p->t.dense = false;
	}
}
