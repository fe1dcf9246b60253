/* rope.c - rotary position embedding (Su et al., 2021), in the form where the
 * first half of a head's rotated components pairs with the second. */
#include "priv.h"

struct turn {
	const struct ft_graph *g;
	const struct ft_batch *b;
	const struct ft_rope *r;
	float *x;
	size_t ld, size; /* between tokens; of a head */
	int heads;
	float sign;
};

static void turn_row(void *ctx, size_t r)
{
	const struct turn *s = ctx;
	int32_t from = s->b->offsets[r], end = s->b->offsets[r + 1];
	size_t pairs = (size_t)s->r->pairs, place = (size_t)ft_graph_place(s->g, r);
	for (int32_t t = from; t < end; t++) {
		const float *cosine = s->r->table + (place + (size_t)(t - from)) * 2 * pairs;
		for (int h = 0; h < s->heads; h++)
			ft_kernels()->rotate(s->x + (size_t)t * s->ld + (size_t)h * s->size, cosine, cosine + pairs, s->sign,
			                     pairs);
	}
}

static void turn(const struct turn *s)
{
	double work = 4.0 * (double)s->b->tokens * (double)s->heads * (double)s->r->pairs;
	graph_share(s->g, s->b->rows, work, turn_row, (void *)s);
}

struct ft_tensor *ft_rope(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x, const struct ft_rope *r,
                          int heads, int64_t size)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	int rc = graph_check_rows(g, b, r->positions);
	if (rc < 0)
		return ft_graph_fail(g, rc), NULL;
	struct ft_tensor *y = graph_take_over(g, x);
	if (!y)
		return NULL;
	turn(&(struct turn){ .g = g, .b = b, .r = r, .x = y->data, .ld = (size_t)y->cols, .size = (size_t)size,
	                     .heads = heads, .sign = 1 });
	struct node *n = graph_record(g, OP_rope, y, &x, 1);
	if (n) {
		n->batch = b;
		n->data[0] = r;
		n->whole = heads;
		n->length = size;
	}
	return y;
}

int op_rope_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0];
	/* The gradient of a turn is turned back: in place, then handed over or added. */
	turn(&(struct turn){ .g = g, .b = n->batch, .r = n->data[0], .x = n->out->grad, .ld = (size_t)x->cols,
	                     .size = (size_t)n->length, .heads = (int)n->whole, .sign = -1 });
	return graph_pass_grad(g, n, x);
}
