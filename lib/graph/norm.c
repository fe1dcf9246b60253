/* norm.c - layer normalisation (Ba, Kiros and Hinton, 2016). */
#include "priv.h"

#include <stdlib.h>

#define ROWS 32 /* one item of work */

struct norm {
	const float *x, *w, *b, *dy;
	float *y, *dx, *stats; /* stats: mean and 1/deviation of each row */
	float *partial;        /* backward: [items, 2, cols], sums of dw and db */
	size_t rows, cols;
	float eps;
	bool add;
};

static void norm_rows(void *ctx, size_t i)
{
	const struct norm *s = ctx;
	size_t end = (i + 1) * ROWS < s->rows ? (i + 1) * ROWS : s->rows;
	for (size_t r = i * ROWS; r < end; r++)
		ft_kernels()->layer_norm(s->y + r * s->cols, s->x + r * s->cols, s->w, s->b, s->cols, s->eps,
		                         &s->stats[2 * r], &s->stats[2 * r + 1]);
}

struct ft_tensor *ft_layer_norm(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w, struct ft_tensor *b,
                                float eps)
{
	struct ft_tensor *in[3] = { x, w, b };
	if (!graph_ready(g, in, 3))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, x->rows, x->cols);
	float *stats = ft_graph_alloc(g, 2 * (size_t)x->rows * sizeof *stats);
	if (!y || !stats)
		return NULL;
	struct norm s = { .x = x->data, .w = w->data, .b = b->data, .y = y->data, .stats = stats, .eps = eps,
	                  .rows = (size_t)x->rows, .cols = (size_t)x->cols };
	ft_parallel_work((s.rows + ROWS - 1) / ROWS, 8.0 * (double)s.rows * (double)s.cols, norm_rows, &s);
	struct node *n = graph_record(g, OP_layer_norm, y, in, 3);
	if (n)
		n->saved = stats;
	return y;
}

static void norm_rows_back(void *ctx, size_t i)
{
	const struct norm *s = ctx;
	float *dw = s->partial ? s->partial + i * 2 * s->cols : NULL;
	size_t end = (i + 1) * ROWS < s->rows ? (i + 1) * ROWS : s->rows;
	if (dw)
		memset(dw, 0, 2 * s->cols * sizeof *dw);
	for (size_t r = i * ROWS; r < end; r++)
		ft_kernels()->layer_norm_back(s->dx ? s->dx + r * s->cols : NULL, s->add, dw, dw ? dw + s->cols : NULL,
		                              s->dy + r * s->cols, s->x + r * s->cols, s->w, s->cols, s->stats[2 * r],
		                              s->stats[2 * r + 1]);
}

/* The items' sums, in order. */
static int add_partials(struct ft_graph *g, struct ft_tensor *t, const float *partial, size_t items, size_t stride)
{
	if (!t->needs_grad)
		return FT_OK;
	bool fresh;
	float *grad = ft_grad(g, t, &fresh);
	if (!grad)
		return FT_EFAIL;
	ft_kernels()->column_sums(grad, partial, stride, items, (size_t)t->cols, !fresh);
	return FT_OK;
}

int op_layer_norm_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
	struct norm s = { .x = x->data, .w = w->data, .dy = n->out->grad, .stats = n->saved,
	                  .rows = (size_t)x->rows, .cols = (size_t)x->cols };
	size_t items = (s.rows + ROWS - 1) / ROWS, partial = items * 2 * s.cols;
	bool fresh = false;
	if (x->needs_grad && !(s.dx = ft_grad(g, x, &fresh)))
		return FT_EFAIL;
	s.add = !fresh;
	if ((w->needs_grad || b->needs_grad) && !(s.partial = graph_floats(g, partial)))
		return FT_EFAIL;
	ft_parallel_work(items, 8.0 * (double)s.rows * (double)s.cols, norm_rows_back, &s);
	if (!s.partial)
		return FT_OK;
	int rc = add_partials(g, w, s.partial, items, 2 * s.cols);
	if (rc == FT_OK)
		rc = add_partials(g, b, s.partial + s.cols, items, 2 * s.cols);
	graph_release(g, s.partial, partial);
	return rc;
}
