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

static size_t state_bytes(const struct optimizer *k, const struct ft_param *p, int i, enum ft_dtype *type)
{
	*type = FT_F32;
	size_t n = k->state(p, i, type);
	return n * ft_dtype_size(*type);
}

int64_t ft_optim_bytes(const char *name, const struct ft_param *p)
{
	const struct optimizer *k = find_optimizer(name);
	enum ft_dtype type;
	size_t bytes = 0;
	for (int i = 0; k && i < STATES; i++)
		bytes += state_bytes(k, p, i, &type);
	return k ? (int64_t)bytes : FT_EUSAGE;
}

double ft_optim_rate(const char *name, int64_t width)
{
	const struct optimizer *k = find_optimizer(name);
	return k ? k->rate * 5e-5 * 768 / (double)width : FT_EUSAGE;
}

/* Notes state of a parameter, so that checkpoints have it. */
static int add_piece(struct ft_optim *o, const struct ft_param *p, const char *what, enum ft_dtype dtype, void *data,
                     size_t bytes)
{
	if (ft_grow(&o->pieces, &o->piece_cap, o->npieces + 1, sizeof *o->pieces) < 0)
		return FT_EFAIL;
	o->pieces[o->npieces++] = (struct ft_piece){ p->name, what, dtype, data, bytes };
	return FT_OK;
}

/* A table gets marks for its rows; its memory stays untouched where unused
 * (calloc of large sizes gives pages that cost nothing until written). */
static int open_slot(struct ft_optim *o, struct slot *s, struct ft_param *p)
{
	bool table = ft_param_is_table(p);
	void *(*get)(size_t, size_t) = table ? ft_alloc : ft_alloc_whole;
	s->p = p;
	if (!p->t.grad && !(p->t.grad = get(elements(p), sizeof(float))))
		return FT_EFAIL;
	for (int i = 0; i < STATES; i++) {
		enum ft_dtype type;
		size_t bytes = state_bytes(o->kind, p, i, &type);
		if (!bytes)
			continue;
		s->state[i] = get(bytes, 1);
		if (!s->state[i] || add_piece(o, p, o->kind->names[i], type, s->state[i], bytes) < 0)
			return FT_EFAIL;
	}
	if (o->kind->columns && !(s->columns = ft_alloc((size_t)p->t.cols, sizeof(float))))
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

/* Rows after which elements are a multiple of `align`. */
static int64_t aligned_rows(int64_t cols, int64_t align)
{
	while (align > 1 && cols % 2 == 0) { /* it is a power of two */
		align /= 2;
		cols /= 2;
	}
	return align > 1 ? align : 1;
}

static int add_blocks(struct ft_optim *o, struct slot *s)
{
	int64_t rows = s->p->t.cols < BLOCK ? BLOCK / s->p->t.cols : 1;
	int64_t unit = ft_param_is_table(s->p) ? 1 : aligned_rows(s->p->t.cols, o->kind->align);
	rows = rows < unit ? unit : rows - rows % unit;
	s->block = o->nblocks;
	for (int64_t r = s->p->first; r < s->p->t.rows; r += rows) {
		if (ft_grow(&o->blocks, &o->block_cap, o->nblocks + 1, sizeof *o->blocks) < 0)
			return FT_EFAIL;
		int64_t n = s->p->t.rows - r < rows ? s->p->t.rows - r : rows;
		o->blocks[o->nblocks++] = (struct block){ s, r, n };
	}
	s->nblocks = o->nblocks - s->block;
	return FT_OK;
}

static int open_slots(struct ft_optim *o, struct ft_model *m)
{
	int64_t widest = 0;
	o->slots = ft_alloc(ft_model_params(m), sizeof *o->slots);
	for (size_t i = 0; o->slots && i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		if (!p->trains)
			continue;
		widest = p->t.cols > widest ? p->t.cols : widest;
		struct slot *s = &o->slots[o->nslots++];
		if (open_slot(o, s, p) < 0 || add_blocks(o, s) < 0)
			return FT_EFAIL;
	}
	o->sums = ft_alloc(o->nblocks, sizeof *o->sums);
	o->zeros = ft_alloc((size_t)widest, sizeof *o->zeros);
	return o->slots && o->sums && o->zeros ? FT_OK : FT_EFAIL;
}

struct ft_optim *ft_optim_new(struct ft_model *m, const struct ft_optim_options *options)
{
	struct ft_optim *o = ft_alloc(1, sizeof *o);
	if (!o)
		return NULL;
	o->options = *options;
	o->kind = find_optimizer(options->name);
	if (o->kind && isnan(options->beta1))
		o->options.beta1 = o->kind->beta1;
	if (o->kind && isnan(options->beta2))
		o->options.beta2 = o->kind->beta2;
	bool good = o->kind && (!o->kind->open || (o->own = o->kind->open()));
	if (good && open_slots(o, m) == FT_OK)
		return o;
	ft_optim_free(o);
	return NULL;
}

void ft_optim_free(struct ft_optim *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->nslots; i++) {
		for (int k = 0; k < STATES; k++)
			free(o->slots[i].state[k]);
		free(o->slots[i].columns);
		free(o->slots[i].ever);
	}
	free(o->slots);
	free(o->pieces);
	free(o->blocks);
	free(o->sums);
	free(o->zeros);
	free(o->own);
	free(o);
}

bool ft_optim_piece(const struct ft_optim *o, size_t i, struct ft_piece *piece)
{
	if (i < o->npieces)
		*piece = o->pieces[i];
	return i < o->npieces;
}

bool ft_optim_by_rows(const struct ft_optim *o, const struct ft_param *p)
{
	return ft_param_is_table(p) && (o->kind->decoupled || !p->decays || o->options.weight_decay == 0);
}

int64_t ft_optim_steps(const struct ft_optim *o) { return o->now.step; }
void ft_optim_resume(struct ft_optim *o, int64_t steps) { o->now.step = steps; }

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

/* A run of rows with the same kind of gradient; g NULL: their own. */
static void update_rows(struct ft_optim *o, const struct update *u, const struct slot *s, int64_t row, int64_t rows,
                        const float *g)
{
	const struct ft_tensor *t = &s->p->t;
	int64_t at = row * t->cols;
	struct run run = { .slot = s, .at = (size_t)at, .n = (size_t)(rows * t->cols), .row = row, .rows = rows,
	                   .w = t->data + at, .g = g ? g : t->grad + at };
	o->kind->update(u, &run);
}

/* One row of a table: with a gradient; without one but with state; or new, when
 * only the decay acts (what the update would do to it, without its memory, when
 * decay leaves no trace in the state). */
static void update_table_row(struct ft_optim *o, const struct update *u, const struct slot *s, int64_t row)
{
	const struct ft_tensor *t = &s->p->t;
	if (!row_is_zero(t, row)) {
		s->ever[row] = 1;
		update_rows(o, u, s, row, 1, NULL);
	} else if (s->ever[row] || (u->decay > 0 && !o->kind->decoupled)) {
		s->ever[row] = 1;
		update_rows(o, u, s, row, 1, o->zeros);
	} else if (u->decay > 0) {
		float keep = 1.0f - (float)(u->rate * u->decay);
		for (int64_t c = 0; c < t->cols; c++)
			t->data[row * t->cols + c] *= keep;
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
		update_rows(o, &u, s, b->row, b->rows, NULL);
		return;
	}
	for (int64_t r = b->row; r < b->row + b->rows; r++)
		update_table_row(o, &u, s, r);
}

void ft_optim_step(struct ft_optim *o, double rate, double scale)
{
	o->now = (struct update){ .o = &o->options, .own = o->own, .rate = rate, .scale = scale, .step = o->now.step + 1 };
	if (o->kind->measure)
		o->kind->measure(o);
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
