/* norm.c - normalisation of rows: layer norm (Ba, Kiros and Hinton, 2016) and
 * RMS norm (Zhang and Sennrich, 2019).
 *
 * What is normalised are pieces of as many numbers as there are weights: whole
 * rows, or each attention head of a row. */
#include "priv.h"

#include <stdlib.h>

#define ROWS 32 /* one item of work */

struct norm {
	const float *x, *w, *b, *dy;
	float *y, *dx, *stats; /* stats: of each row, 1/deviation, for a layer norm after its mean */
	float *partial;        /* backward: [items, 2, cols], sums of dw and db */
	size_t rows, cols;
	float eps, plus;
	bool add;
};

static struct norm norm_of(const struct ft_tensor *x, const struct ft_tensor *w, float *stats)
{
	return (struct norm){ .x = x->data, .w = w->data, .stats = stats, .rows = tensor_size(x) / (size_t)w->cols,
	                      .cols = (size_t)w->cols };
}

static size_t norm_items(const struct norm *s) { return (s->rows + ROWS - 1) / ROWS; }

/* Calls f for all rows, ROWS at a time. */
static void each_item(const struct ft_graph *g, struct norm *s, void (*f)(void *, size_t))
{
	graph_share(g, norm_items(s), 8.0 * (double)s->rows * (double)s->cols, f, s);
}

static size_t item_end(const struct norm *s, size_t i)
{
	return (i + 1) * ROWS < s->rows ? (i + 1) * ROWS : s->rows;
}

/* The output, and `per_row` statistics for each piece. */
static struct ft_tensor *norm_output(struct ft_graph *g, struct norm *s, const struct ft_tensor *x,
                                     const struct ft_tensor *w, size_t per_row)
{
	struct ft_tensor *y = ft_graph_tensor(g, x->rows, x->cols);
	float *stats = ft_graph_alloc(g, per_row * (tensor_size(x) / (size_t)w->cols) * sizeof *stats);
	if (!y || !stats)
		return NULL;
	*s = norm_of(x, w, stats);
	s->y = y->data;
	return y;
}

static void layer_norm_rows(void *ctx, size_t i)
{
	const struct norm *s = ctx;
	for (size_t r = i * ROWS; r < item_end(s, i); r++)
		ft_kernels()->layer_norm(s->y + r * s->cols, s->x + r * s->cols, s->w, s->b, s->cols, s->eps,
		                         &s->stats[2 * r], &s->stats[2 * r + 1]);
}

struct ft_tensor *ft_layer_norm(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w, struct ft_tensor *b,
                                float eps)
{
	struct ft_tensor *in[3] = { x, w, b };
	struct norm s;
	if (!graph_ready(g, in, b ? 3 : 2))
		return NULL;
	struct ft_tensor *y = norm_output(g, &s, x, w, 2);
	if (!y)
		return NULL;
	s.b = b ? b->data : NULL;
	s.eps = eps;
	each_item(g, &s, layer_norm_rows);
	struct node *n = graph_record(g, OP_layer_norm, y, in, 3);
	if (n)
		n->saved = s.stats;
	return y;
}

static void rms_norm_rows(void *ctx, size_t i)
{
	const struct norm *s = ctx;
	for (size_t r = i * ROWS; r < item_end(s, i); r++)
		ft_kernels()->rms_norm(s->y + r * s->cols, s->x + r * s->cols, s->w, s->plus, s->cols, s->eps, &s->stats[r]);
}

struct ft_tensor *ft_rms_norm(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w, float plus, float eps)
{
	struct ft_tensor *in[2] = { x, w };
	struct norm s;
	if (!graph_ready(g, in, 2))
		return NULL;
	struct ft_tensor *y = norm_output(g, &s, x, w, 1);
	if (!y)
		return NULL;
	s.plus = plus;
	s.eps = eps;
	each_item(g, &s, rms_norm_rows);
	struct node *n = graph_record(g, OP_rms_norm, y, in, 2);
	if (n) {
		n->saved = s.stats;
		n->real = plus;
	}
	return y;
}

/* ---- backward ---- */

/* Sums of an item's dw, and behind them of its db, cleared; NULL: not wanted. */
static float *item_sums(const struct norm *s, size_t i)
{
	float *dw = s->partial ? s->partial + i * 2 * s->cols : NULL;
	if (dw)
		memset(dw, 0, 2 * s->cols * sizeof *dw);
	return dw;
}

static void layer_norm_rows_back(void *ctx, size_t i)
{
	const struct norm *s = ctx;
	float *dw = item_sums(s, i);
	for (size_t r = i * ROWS; r < item_end(s, i); r++)
		ft_kernels()->layer_norm_back(s->dx ? s->dx + r * s->cols : NULL, s->add, dw, dw ? dw + s->cols : NULL,
		                              s->dy + r * s->cols, s->x + r * s->cols, s->w, s->cols, s->stats[2 * r],
		                              s->stats[2 * r + 1]);
}

static void rms_norm_rows_back(void *ctx, size_t i)
{
	const struct norm *s = ctx;
	float *dw = item_sums(s, i);
	for (size_t r = i * ROWS; r < item_end(s, i); r++)
		ft_kernels()->rms_norm_back(s->dx ? s->dx + r * s->cols : NULL, s->add, dw, s->dy + r * s->cols,
		                            s->x + r * s->cols, s->w, s->plus, s->cols, s->stats[r]);
}

/* The items' sums, in order. */
static int add_partials(struct ft_graph *g, struct ft_tensor *t, const float *partial, size_t items, size_t stride)
{
	if (!t || !t->needs_grad)
		return FT_OK;
	bool fresh;
	float *grad = ft_grad(g, t, &fresh);
	if (!grad)
		return FT_EFAIL;
	if (graph_todo(g, 1))
		ft_kernels()->column_sums(grad, partial, stride, items, (size_t)t->cols, !fresh);
	return FT_OK;
}

static int norm_back(struct ft_graph *g, struct node *n, void (*rows)(void *, size_t))
{
	struct ft_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
	struct norm s = norm_of(x, w, n->saved);
	size_t items = norm_items(&s), partial = items * 2 * s.cols;
	bool fresh = false;
	s.dy = n->out->grad;
	s.plus = n->real;
	if (x->needs_grad && !(s.dx = ft_grad(g, x, &fresh)))
		return FT_EFAIL;
	s.add = !fresh;
	if ((w->needs_grad || (b && b->needs_grad)) && !(s.partial = graph_floats(g, partial)))
		return FT_EFAIL;
	each_item(g, &s, rows);
	if (!s.partial)
		return FT_OK;
	int rc = add_partials(g, w, s.partial, items, 2 * s.cols);
	if (rc == FT_OK)
		rc = add_partials(g, b, s.partial + s.cols, items, 2 * s.cols);
	graph_release(g, s.partial, partial);
	return rc;
}

int op_layer_norm_back(struct ft_graph *g, struct node *n)
{
	return norm_back(g, n, layer_norm_rows_back);
}

int op_rms_norm_back(struct ft_graph *g, struct node *n)
{
	return norm_back(g, n, rms_norm_rows_back);
}
