/* prefix.c - keys and values that stand before those of every row (Li and Liang, "Prefix-Tuning", ACL 2021). */
#include "priv.h"

/* Members of the node: batch; in = k, v or NULL, prefix. */

struct copy {
	const struct ft_graph *g;
	const struct ft_batch *b;
	const struct ft_tensor *k, *v, *prefix;
	float *y;
	int64_t *from; /* [rows + 1]: of y */
};

/* The first number of a token's keys in k; those of its values follow there when v is NULL. */
static int64_t key_at(const struct ft_tensor *k, int64_t t, int64_t width)
{
	return (t + 1) * k->cols - width;
}

static void copy_row(void *ctx, size_t r)
{
	const struct copy *c = ctx;
	size_t both = (size_t)c->prefix->cols, one = c->v ? both / 2 : both;
	float *y = c->y + c->from[r] * (int64_t)both;
	if (!ft_graph_past(c->g, r)) {
		memcpy(y, c->prefix->data, tensor_size(c->prefix) * sizeof *y);
		y += tensor_size(c->prefix);
	}
	for (int64_t t = c->b->offsets[r]; t < c->b->offsets[r + 1]; t++, y += both) {
		memcpy(y, c->k->data + key_at(c->k, t, (int64_t)one), one * sizeof *y);
		if (c->v)
			memcpy(y + one, c->v->data + t * c->v->cols, one * sizeof *y);
	}
}

struct ft_tensor *ft_prefix(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *k, struct ft_tensor *v,
                            struct ft_tensor *prefix)
{
	struct ft_tensor *in[3] = { k, v, prefix }, *needed[3] = { k, prefix, v };
	if (!graph_ready(g, needed, v ? 3 : 2))
		return NULL;
	struct copy c = { .g = g, .b = b, .k = k, .v = v, .prefix = prefix };
	c.from = ft_graph_alloc(g, (b->rows + 1) * sizeof *c.from);
	if (!c.from)
		return NULL;
	c.from[0] = 0;
	for (size_t r = 0; r < b->rows; r++)
		c.from[r + 1] = c.from[r] + (ft_graph_past(g, r) ? 0 : prefix->rows) + b->offsets[r + 1] - b->offsets[r];
	struct ft_tensor *y = ft_graph_tensor(g, c.from[b->rows], prefix->cols);
	if (!y)
		return NULL;
	c.y = y->data;
	graph_share(g, b->rows, (double)tensor_size(y), copy_row, &c);
	struct node *n = graph_record(g, OP_prefix, y, in, 3);
	if (n)
		n->batch = b;
	return y;
}

/* Where something is recorded no row has a past: row r's own keys begin behind r + 1 times the prefix. */
static void add_tokens(const struct node *n, float *to, const struct ft_tensor *like, int64_t column, size_t width)
{
	const struct ft_batch *b = n->batch;
	const struct ft_tensor *y = n->out;
	for (size_t r = 0; to && r < b->rows; r++) {
		const float *dy = y->grad + (int64_t)(r + 1) * n->in[2]->rows * y->cols + column;
		for (int64_t t = b->offsets[r]; t < b->offsets[r + 1]; t++)
			ft_kernels()->add(to + key_at(like, t, (int64_t)width), dy + t * y->cols, width);
	}
}

static void add_prefix(const struct node *n, float *to)
{
	const struct ft_tensor *prefix = n->in[2];
	for (size_t r = 0; to && r < n->batch->rows; r++)
		ft_kernels()->add(to, n->out->grad + (n->batch->offsets[r] + (int64_t)r * prefix->rows) * prefix->cols,
		                  tensor_size(prefix));
}

int op_prefix_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *k = n->in[0], *v = n->in[1], *prefix = n->in[2];
	size_t both = (size_t)prefix->cols;
	float *dk = k->needs_grad ? graph_zeroed_grad(g, k) : NULL;
	float *dv = v && v->needs_grad ? graph_zeroed_grad(g, v) : NULL;
	float *dp = prefix->needs_grad ? graph_zeroed_grad(g, prefix) : NULL;
	if ((k->needs_grad && !dk) || (v && v->needs_grad && !dv) || (prefix->needs_grad && !dp))
		return FT_EFAIL;
	if (!graph_todo(g, 1))
		return FT_OK;
	add_tokens(n, dk, k, 0, v ? both / 2 : both);
	if (v)
		add_tokens(n, dv, v, (int64_t)both / 2, both / 2);
	add_prefix(n, dp);
	return FT_OK;
}
