/* dropout.c - residual + dropout(x) (Srivastava et al., 2014).
 *
 * The mask is not kept: it is drawn again from its key on the way back. */
#include "priv.h"

struct drop {
	struct ft_dropout d;
	float *y;
	const float *x, *residual;
	uint64_t first; /* number of the first element in the whole batch */
};

static void drop_range(void *ctx, size_t from, size_t n)
{
	const struct drop *s = ctx;
	ft_kernels()->dropout_add(s->y + from, s->x + from, s->residual ? s->residual + from : NULL, &s->d, s->first + from,
	                          n);
}

void graph_drop(const struct ft_graph *g, float *y, const float *x, const float *residual, const struct ft_dropout *d,
                const struct ft_tensor *like)
{
	const struct ft_place *p = like->place;
	size_t all = tensor_size(like), cols = (size_t)like->cols, n = p && p->n < like->rows ? (size_t)p->n * cols : all;
	struct drop s = { .d = *d, .y = y, .x = x, .residual = residual, .first = p ? (uint64_t)p->first * cols : 0 };
	graph_each(g, n, drop_range, &s);
	if (n == all)
		return;
	struct drop again = { .d = *d, .y = y + n, .x = x + n, .residual = residual ? residual + n : NULL,
	                      .first = (uint64_t)(p->first + p->jump + p->n) * cols };
	graph_each(g, all - n, drop_range, &again);
}

static void add_range(void *ctx, size_t from, size_t n)
{
	const struct drop *s = ctx;
	ft_kernels()->add(s->y + from, s->x + from, n);
}

struct ft_tensor *ft_dropout_add(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *residual, float p)
{
	struct ft_tensor *in[2] = { x, residual };
	if (!graph_ready(g, in, residual ? 2 : 1))
		return NULL;
	struct ft_dropout d = graph_dropout(g, p);
	if (d.p == 0 && !residual)
		return x;
	struct ft_tensor *y = graph_take_over(g, x);
	if (!y)
		return NULL;
	if (d.p > 0)
		graph_drop(g, y->data, y->data, residual ? residual->data : NULL, &d, x);
	else
		graph_each(g, tensor_size(y), add_range, &(struct drop){ .y = y->data, .x = residual->data });
	struct node *n = graph_record(g, OP_dropout_add, y, in, 2);
	if (n)
		n->drop = d;
	return y;
}

/* The gradient of x: that of the output where it was kept, scaled. */
static int masked_back(struct ft_graph *g, struct node *n, struct ft_tensor *x)
{
	bool fresh;
	float *dy = n->out->grad, *dx = ft_grad(g, x, &fresh);
	if (!dx)
		return FT_EFAIL;
	/* When x was used elsewhere too: a gradient of its own, then the sum. */
	float *own = fresh ? dx : graph_floats(g, tensor_size(x));
	if (!own)
		return FT_EFAIL;
	if (n->drop.p > 0)
		graph_drop(g, own, dy, NULL, &n->drop, x);
	else
		graph_copy(g, own, dy, tensor_size(x));
	if (!fresh) {
		graph_add(g, dx, own, tensor_size(x));
		graph_release(g, own, tensor_size(x));
	}
	return FT_OK;
}

/* That of the residual is the output's: handed over when it is the first. */
static int residual_back(struct ft_graph *g, struct node *n, struct ft_tensor *residual)
{
	bool fresh;
	float *dy = n->out->grad;
	if (graph_take_grad(n, residual))
		return FT_OK;
	float *dr = ft_grad(g, residual, &fresh);
	if (!dr)
		return FT_EFAIL;
	struct drop s = { .y = dr, .x = dy };
	if (fresh)
		graph_copy(g, dr, dy, tensor_size(residual));
	else
		graph_each(g, tensor_size(residual), add_range, &s);
	return FT_OK;
}

int op_dropout_add_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0], *residual = n->in[1];
	int rc = x->needs_grad ? masked_back(g, n, x) : FT_OK;
	return rc == FT_OK && residual && residual->needs_grad ? residual_back(g, n, residual) : rc;
}
