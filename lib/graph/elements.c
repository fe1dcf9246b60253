/* elements.c - sums and products, element by element. */
#include "priv.h"

/* ---- y = a + b ---- */
struct ft_tensor *ft_sum(struct ft_graph *g, struct ft_tensor *a, struct ft_tensor *b)
{
	struct ft_tensor *in[2] = { a, b };
	if (!graph_ready(g, in, 2))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, a->rows, a->cols);
	if (!y)
		return NULL;
	graph_copy(g, y->data, a->data, tensor_size(y));
	graph_add(g, y->data, b->data, tensor_size(y));
	graph_record(g, OP_sum, y, in, 2);
	return y;
}

static int hand_back(struct ft_graph *g, const struct ft_tensor *y, struct ft_tensor *to)
{
	bool fresh;
	float *d = ft_grad(g, to, &fresh);
	if (!d)
		return FT_EFAIL;
	if (fresh)
		graph_copy(g, d, y->grad, tensor_size(y));
	else
		graph_add(g, d, y->grad, tensor_size(y));
	return FT_OK;
}

int op_sum_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *a = n->in[0], *b = n->in[1];
	int rc = b->needs_grad ? hand_back(g, n->out, b) : FT_OK;
	return rc == FT_OK && a->needs_grad ? graph_pass_grad(g, n, a) : rc;
}

/* ---- y = w x, of which w is a row or one number ---- */
struct scale {
	float *y;
	const float *x, *w;
	size_t cols;
	bool one, add;
};

static void scale_row(void *ctx, size_t r)
{
	const struct scale *s = ctx;
	float *y = s->y + r * s->cols;
	const float *x = s->x + r * s->cols;
	for (size_t c = 0; c < s->cols; c++) {
		float v = x[c] * s->w[s->one ? 0 : c];
		y[c] = s->add ? y[c] + v : v;
	}
}

struct ft_tensor *ft_scale(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w)
{
	struct ft_tensor *in[2] = { x, w };
	if (!graph_ready(g, in, 2))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, x->rows, x->cols);
	if (!y)
		return NULL;
	struct scale s = { .y = y->data, .x = x->data, .w = w->data, .cols = (size_t)x->cols, .one = w->cols == 1 };
	graph_share(g, (size_t)x->rows, (double)tensor_size(x), scale_row, &s);
	graph_record(g, OP_scale, y, in, 2);
	return y;
}

/* dw += the sums of dy x over rows, and of one number over all. t [size of x, and a row more] */
static void sum_weight(float *dw, float *t, const struct ft_tensor *y, const struct ft_tensor *x, bool one, bool fresh)
{
	size_t size = tensor_size(x), cols = (size_t)x->cols;
	double sum = 0;
	memcpy(t, y->grad, size * sizeof *t);
	ft_kernels()->mul(t, x->data, size);
	if (!one) {
		ft_kernels()->column_sums(dw, t, cols, (size_t)x->rows, cols, !fresh);
		return;
	}
	ft_kernels()->column_sums(t + size, t, cols, (size_t)x->rows, cols, false);
	for (size_t c = 0; c < cols; c++)
		sum += t[size + c];
	*dw = fresh ? (float)sum : *dw + (float)sum;
}

static int weight_back(struct ft_graph *g, const struct ft_tensor *y, const struct ft_tensor *x, struct ft_tensor *w)
{
	bool fresh;
	size_t size = tensor_size(x), cols = (size_t)x->cols;
	float *dw = ft_grad(g, w, &fresh), *t = dw ? graph_floats(g, size + cols) : NULL;
	if (!t)
		return FT_EFAIL;
	if (graph_todo(g, x->rows))
		sum_weight(dw, t, y, x, w->cols == 1, fresh);
	graph_release(g, t, size + cols);
	return FT_OK;
}

int op_scale_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0], *w = n->in[1], *y = n->out;
	int rc = w->needs_grad ? weight_back(g, y, x, w) : FT_OK;
	if (rc < 0 || !x->needs_grad)
		return rc;
	bool fresh = true;
	struct scale s = { .x = y->grad, .w = w->data, .cols = (size_t)x->cols, .one = w->cols == 1 };
	s.y = graph_take_grad(n, x);
	if (s.y)
		s.x = s.y;
	else if (!(s.y = ft_grad(g, x, &fresh)))
		return FT_EFAIL;
	s.add = !fresh;
	graph_share(g, (size_t)x->rows, (double)tensor_size(x), scale_row, &s);
	return FT_OK;
}
