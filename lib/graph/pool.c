/* pool.c - one vector a row from those of its tokens, beyond the first and the
 * mean (select.c): weighted sums, maxima, several side by side. */
#include "priv.h"

/* ---- y[r] = sum over the row's tokens of w[t] x[t]. data[0]: w ---- */
struct ft_tensor *ft_weighted_sum(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x, const float *w)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, (int64_t)b->rows, x->cols);
	if (!y)
		return NULL;
	graph_zero(g, y->data, tensor_size(y));
	for (int64_t r = 0; r < graph_todo(g, (int64_t)b->rows); r++)
		for (int32_t t = b->offsets[r]; t < b->offsets[r + 1]; t++)
			ft_kernels()->axpy(y->data + r * x->cols, w[t], x->data + t * x->cols, (size_t)x->cols);
	struct node *n = graph_record(g, OP_weighted_sum, y, &x, 1);
	y->place = graph_place_of_rows(b);
	if (n) {
		n->batch = b;
		n->data[0] = w;
	}
	return y;
}

int op_weighted_sum_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0];
	const float *w = n->data[0];
	float *dx = graph_zeroed_grad(g, x);
	for (int64_t r = 0; dx && r < graph_todo(g, (int64_t)n->batch->rows); r++)
		for (int32_t t = n->batch->offsets[r]; t < n->batch->offsets[r + 1]; t++)
			ft_kernels()->axpy(dx + t * x->cols, w[t], n->out->grad + r * x->cols, (size_t)x->cols);
	return dx ? FT_OK : FT_EFAIL;
}

/* ---- the largest of each component over the row's tokens; of equal ones the
 * first has the gradient. data[0]: the token it came from, [R,H] ---- */
struct ft_tensor *ft_max(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, (int64_t)b->rows, x->cols);
	int32_t *from = y ? ft_graph_alloc(g, tensor_size(y) * sizeof *from) : NULL;
	if (!from)
		return NULL;
	for (int64_t r = 0; r < graph_todo(g, (int64_t)b->rows); r++) {
		float *top = y->data + r * x->cols;
		int32_t *at = from + r * x->cols;
		for (int32_t t = b->offsets[r]; t < b->offsets[r + 1]; t++)
			for (int64_t c = 0; c < x->cols; c++)
				if (t == b->offsets[r] || x->data[t * x->cols + c] > top[c]) {
					top[c] = x->data[t * x->cols + c];
					at[c] = t;
				}
	}
	struct node *n = graph_record(g, OP_max, y, &x, 1);
	y->place = graph_place_of_rows(b);
	if (n)
		n->data[0] = from;
	return y;
}

int op_max_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0], *y = n->out;
	const int32_t *from = n->data[0];
	float *dx = graph_zeroed_grad(g, x);
	for (int64_t i = 0; dx && i < graph_todo(g, y->rows * y->cols); i++)
		dx[from[i] * x->cols + i % x->cols] += y->grad[i];
	return dx ? FT_OK : FT_EFAIL;
}

/* ---- [n, A + B]: the rows of a, and of b behind them ---- */
struct ft_tensor *ft_join(struct ft_graph *g, struct ft_tensor *a, struct ft_tensor *b)
{
	struct ft_tensor *in[2] = { a, b };
	if (!graph_ready(g, in, 2))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, a->rows, a->cols + b->cols);
	if (!y)
		return NULL;
	for (int64_t r = 0; r < graph_todo(g, y->rows); r++) {
		memcpy(y->data + r * y->cols, a->data + r * a->cols, (size_t)a->cols * sizeof *y->data);
		memcpy(y->data + r * y->cols + a->cols, b->data + r * b->cols, (size_t)b->cols * sizeof *y->data);
	}
	graph_record(g, OP_join, y, in, 2);
	return y;
}

int op_join_back(struct ft_graph *g, struct node *n)
{
	const struct ft_tensor *y = n->out;
	int64_t at = 0;
	for (int i = 0; i < 2; at += n->in[i++]->cols) {
		struct ft_tensor *x = n->in[i];
		float *dx = x->needs_grad ? graph_zeroed_grad(g, x) : NULL;
		if (x->needs_grad && !dx)
			return FT_EFAIL;
		for (int64_t r = 0; dx && r < graph_todo(g, y->rows); r++)
			ft_kernels()->add(dx + r * x->cols, y->grad + r * y->cols + at, (size_t)x->cols);
	}
	return FT_OK;
}
