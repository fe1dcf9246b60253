/* select.c - from tokens to fewer rows: first token, mean, chosen tokens; and from few rows to tokens. */
#include "priv.h"

struct ft_tensor *ft_gather(struct ft_graph *g, struct ft_tensor *x, const int32_t *index, int64_t n)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, n, x->cols);
	if (!y)
		return NULL;
	for (int64_t i = 0; i < graph_todo(g, n); i++)
		memcpy(y->data + i * x->cols, x->data + index[i] * x->cols, (size_t)x->cols * sizeof *y->data);
	struct node *node = graph_record(g, OP_gather, y, &x, 1);
	y->place = NULL;
	if (node)
		node->data[0] = index;
	return y;
}

int op_gather_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0], *y = n->out;
	const int32_t *index = n->data[0];
	float *dx = graph_zeroed_grad(g, x);
	for (int64_t i = 0; dx && i < graph_todo(g, y->rows); i++)
		ft_kernels()->add(dx + index[i] * x->cols, y->grad + i * x->cols, (size_t)x->cols);
	return dx ? FT_OK : FT_EFAIL;
}

struct ft_tensor *ft_add_rows(struct ft_graph *g, struct ft_tensor *y, struct ft_tensor *table, const int32_t *index)
{
	struct ft_tensor *in[2] = { y, table };
	if (!graph_ready(g, in, 2))
		return NULL;
	struct ft_tensor *z = graph_take_over(g, y);
	size_t width = (size_t)table->cols;
	for (int64_t t = 0; z && t < graph_todo(g, z->rows); t++)
		if (index[t] >= 0)
			ft_kernels()->add(z->data + t * z->cols, table->data + index[t] * table->cols, width);
	struct node *n = z ? graph_record(g, OP_add_rows, z, in, 2) : NULL;
	if (n)
		n->data[0] = index;
	return z;
}

int op_add_rows_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *y = n->in[0], *table = n->in[1];
	const int32_t *index = n->data[0];
	float *dtable = table->needs_grad ? graph_zeroed_grad(g, table) : NULL;
	if (table->needs_grad && !dtable)
		return FT_EFAIL;
	for (int64_t t = 0; dtable && t < graph_todo(g, y->rows); t++)
		if (index[t] >= 0)
			ft_kernels()->add(dtable + index[t] * table->cols, n->out->grad + t * y->cols, (size_t)table->cols);
	return y->needs_grad ? graph_pass_grad(g, n, y) : FT_OK;
}

struct ft_tensor *ft_first(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, (int64_t)b->rows, x->cols);
	if (!y)
		return NULL;
	for (int64_t r = 0; r < graph_todo(g, (int64_t)b->rows); r++)
		memcpy(y->data + r * x->cols, x->data + b->offsets[r] * x->cols,
		       (size_t)x->cols * sizeof *y->data);
	struct node *n = graph_record(g, OP_first, y, &x, 1);
	y->place = graph_place_of_rows(b);
	if (n)
		n->batch = b;
	return y;
}

int op_first_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0];
	float *dx = graph_zeroed_grad(g, x);
	for (int64_t r = 0; dx && r < graph_todo(g, (int64_t)n->batch->rows); r++)
		ft_kernels()->add(dx + n->batch->offsets[r] * x->cols, n->out->grad + r * x->cols,
		                  (size_t)x->cols);
	return dx ? FT_OK : FT_EFAIL;
}

struct ft_tensor *ft_mean(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, (int64_t)b->rows, x->cols);
	if (!y)
		return NULL;
	for (int64_t r = 0; r < graph_todo(g, (int64_t)b->rows); r++) {
		int32_t from = b->offsets[r], len = b->offsets[r + 1] - from;
		float *out = y->data + r * x->cols;
		ft_kernels()->column_sums(out, x->data + from * x->cols, (size_t)x->cols, (size_t)len, (size_t)x->cols, false);
		for (int64_t c = 0; c < x->cols; c++)
			out[c] /= (float)len;
	}
	struct node *n = graph_record(g, OP_mean, y, &x, 1);
	y->place = graph_place_of_rows(b);
	if (n)
		n->batch = b;
	return y;
}

int op_mean_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0];
	float *dx = graph_zeroed_grad(g, x);
	for (int64_t r = 0; dx && r < graph_todo(g, (int64_t)n->batch->rows); r++) {
		int32_t from = n->batch->offsets[r], end = n->batch->offsets[r + 1];
		for (int32_t t = from; t < end; t++)
			ft_kernels()->axpy(dx + t * x->cols, 1.0f / (float)(end - from), n->out->grad + r * x->cols,
			                   (size_t)x->cols);
	}
	return dx ? FT_OK : FT_EFAIL;
}
