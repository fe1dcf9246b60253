/* gradients.c - gradients of all that trains beside those in the model, and their sums: between parts of a step, and
 * between ranks. Of an embedding table only the rows that a batch has used are read, added and sent. */
#include "ft/kernels.h"
#include "ft/thread.h"
#include "shards.h"

#include <stdlib.h>
#include <string.h>

#define RUN 65536               /* elements of an item of work, about */
#define PIECE ((size_t)1 << 20) /* bytes of rows that are sent together, about */

struct own { /* of one parameter that trains */
	struct ft_tensor *t;
	float *grad;
	uint8_t *touched; /* NULL: no table */
	bool has_grad, dense;
};

struct gradients {
	struct own *of;
	size_t count;
	double sums[SUMS];
	uint8_t *flags;         /* [count] on their way */
	float *piece;           /* rows on their way */
	struct gradients *next; /* for whoever keeps several */
};

static size_t elements(const struct ft_tensor *t)
{
	return (size_t)t->rows * (size_t)t->cols;
}

static size_t piece_bytes(const struct ft_tensor *t)
{
	size_t row = (size_t)t->cols * sizeof(float);
	return row < PIECE ? PIECE : row;
}

static bool open_own(struct gradients *x, struct ft_tensor *t)
{
	struct own *o = &x->of[x->count++];
	o->t = t;
	o->grad = (t->touched ? ft_alloc : ft_alloc_whole)(elements(t), sizeof *o->grad);
	o->touched = t->touched ? ft_alloc((size_t)t->rows, 1) : NULL;
	return o->grad && (o->touched || !t->touched);
}

struct gradients *gradients_new(struct ft_model *m)
{
	struct gradients *x = ft_alloc(1, sizeof *x);
	size_t piece = 0;
	bool good = x && (x->of = ft_alloc(ft_model_params(m), sizeof *x->of));
	for (size_t i = 0; good && i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		if (p->trains && p->t.touched && piece < piece_bytes(&p->t))
			piece = piece_bytes(&p->t);
		good = !p->trains || open_own(x, &p->t);
	}
	good = good && (x->flags = ft_alloc(x->count, 1)) && (x->piece = ft_alloc(piece, 1));
	if (good)
		return x;
	gradients_free(x);
	return NULL;
}

void gradients_free(struct gradients *x)
{
	for (size_t i = 0; x && i < x->count; i++) {
		free(x->of[i].grad);
		free(x->of[i].touched);
	}
	if (x) {
		free(x->of);
		free(x->flags);
		free(x->piece);
	}
	free(x);
}

double *gradients_sums(struct gradients *x) { return x->sums; }
struct gradients **gradients_next(struct gradients *x) { return &x->next; }

void gradients_exchange(struct gradients *x)
{
	for (size_t i = 0; i < x->count; i++) {
		struct own *o = &x->of[i], mine = *o;
		*o = (struct own){ o->t, o->t->grad, o->t->touched, o->t->has_grad, o->t->dense };
		mine.t->grad = mine.grad;
		mine.t->touched = mine.touched;
		mine.t->has_grad = mine.has_grad;
		mine.t->dense = mine.dense;
	}
}

void gradients_clear(struct gradients *x)
{
	for (size_t i = 0; i < x->count; i++)
		x->of[i].has_grad = x->of[i].dense = false;
	memset(x->sums, 0, sizeof x->sums);
}

/* ---- sums ---- */
static bool whole(const struct own *o) { return !o->touched || o->dense; }
static bool has_row(const struct own *o, int64_t r) { return whole(o) || o->touched[r]; }

struct addition {
	struct own *a;
	const struct own *b;
	int64_t rows; /* of an item of work */
};

/* Where only one has a row the sum is that row. */
static void add_rows(void *ctx, size_t item)
{
	const struct addition *s = ctx;
	const struct ft_tensor *t = s->a->t;
	int64_t from = (int64_t)item * s->rows, to = from + s->rows < t->rows ? from + s->rows : t->rows;
	for (int64_t r = from; r < to; r++) {
		float *a = s->a->grad + r * t->cols;
		const float *b = s->b->grad + r * t->cols;
		if (has_row(s->b, r) && has_row(s->a, r))
			ft_kernels()->add(a, b, (size_t)t->cols);
		else if (has_row(s->b, r))
			memcpy(a, b, (size_t)t->cols * sizeof *a);
	}
}

static void add_one(struct own *a, struct own *b)
{
	struct addition s = { a, b, a->t->cols < RUN ? RUN / a->t->cols : 1 };
	if (!b->has_grad)
		return;
	if (!a->has_grad) {
		struct own kept = *a;
		*a = *b;
		*b = kept;
		return;
	}
	ft_parallel_work((size_t)((a->t->rows + s.rows - 1) / s.rows), (double)elements(a->t), add_rows, &s);
	for (int64_t r = 0; a->touched && !whole(a) && r < a->t->rows; r++)
		a->touched[r] |= has_row(b, r);
	a->dense = a->dense || b->dense;
}

void gradients_add(struct gradients *a, struct gradients *b)
{
	for (size_t i = 0; i < a->count; i++)
		add_one(&a->of[i], &b->of[i]);
	for (size_t i = 0; i < SUMS; i++)
		a->sums[i] += b->sums[i];
}

/* ---- from rank to rank ---- */
struct way {
	struct ft_ranks *ranks;
	int peer;   /* negative: rank 0 to all */
	bool gives; /* else what comes is put in its place */
	float *piece;
};

static void move(const struct way *w, void *data, size_t bytes)
{
	if (w->peer < 0)
		ft_ranks_share(w->ranks, 0, data, bytes);
	else if (w->gives)
		ft_ranks_send(w->ranks, w->peer, data, bytes);
	else
		ft_ranks_receive(w->ranks, w->peer, data, bytes);
}

/* Where the rows end that go together with row `from`; *n: how many of them are touched. */
static int64_t piece_end(const struct own *o, int64_t from, size_t *n)
{
	size_t most = piece_bytes(o->t) / ((size_t)o->t->cols * sizeof(float));
	for (*n = 0; from < o->t->rows && *n < most; from++)
		*n += o->touched[from];
	return from;
}

/* The touched rows of [from, to) into the piece, or out of it. */
static void pack_rows(const struct own *o, float *piece, int64_t from, int64_t to, bool back)
{
	size_t cols = (size_t)o->t->cols;
	for (int64_t r = from; r < to; r++) {
		float *row = o->grad + (size_t)r * cols;
		if (!o->touched[r])
			continue;
		memcpy(back ? row : piece, back ? piece : row, cols * sizeof *row);
		piece += cols;
	}
}

static void move_rows(const struct way *w, struct own *o)
{
	size_t n;
	move(w, o->touched, (size_t)o->t->rows);
	for (int64_t from = 0, next; from < o->t->rows; from = next) {
		next = piece_end(o, from, &n);
		if (w->gives)
			pack_rows(o, w->piece, from, next, false);
		move(w, w->piece, n * (size_t)o->t->cols * sizeof(float));
		if (!w->gives)
			pack_rows(o, w->piece, from, next, true);
	}
}

static void move_all(struct gradients *x, const struct way *w)
{
	for (size_t i = 0; i < x->count; i++)
		x->flags[i] = (uint8_t)(x->of[i].has_grad | x->of[i].dense << 1);
	move(w, x->sums, sizeof x->sums);
	move(w, x->flags, x->count);
	for (size_t i = 0; i < x->count; i++) {
		struct own *o = &x->of[i];
		o->has_grad = x->flags[i] & 1;
		o->dense = x->flags[i] >> 1;
		if (o->has_grad && !whole(o))
			move_rows(w, o);
		else if (o->has_grad)
			move(w, o->grad, elements(o->t) * sizeof *o->grad);
	}
}

void gradients_send(struct gradients *x, struct ft_ranks *ranks, int to)
{
	move_all(x, &(struct way){ .ranks = ranks, .peer = to, .gives = true, .piece = x->piece });
}

void gradients_receive(struct gradients *x, struct ft_ranks *ranks, int from)
{
	move_all(x, &(struct way){ .ranks = ranks, .peer = from, .piece = x->piece });
}

void gradients_share(struct gradients *x, struct ft_ranks *ranks)
{
	move_all(x, &(struct way){ .ranks = ranks, .peer = -1, .gives = ft_ranks_mine(ranks) == 0, .piece = x->piece });
}
