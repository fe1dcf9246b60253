/* layer.c - layers: where the memory of a pass can be used again, and which may be computed
 * twice instead of being kept. */
#include "trunk.h"

/* What is kept of a layer for the way back. */
struct kept {
	ft_layer_function *f;
	void *ctx;
	int i;
	uint64_t sites; /* dropouts before it */
};

static struct ft_tensor *copy_tensor(struct ft_graph *g, const struct ft_tensor *x)
{
	struct ft_tensor *y = ft_graph_tensor(g, x->rows, x->cols);
	if (y)
		graph_copy(g, y->data, x->data, tensor_size(x));
	if (y)
		y->place = x->place;
	return y;
}

/* Nothing recorded so far: of all memory of the pass only x is needed. */
static struct ft_tensor *end_page(struct ft_graph *g, struct ft_tensor *x)
{
	if (graph_recorded(g) || !graph_ready(g, &x, 1))
		return x;
	graph_turn_page(g);
	return copy_tensor(g, x);
}

static struct kept *keep(struct ft_graph *g, ft_layer_function *f, const void *ctx, size_t bytes, int i)
{
	struct kept *k = ft_graph_alloc(g, sizeof *k);
	void *copy = ft_graph_alloc(g, bytes);
	if (!k || !copy)
		return NULL;
	*k = (struct kept){ .f = f, .ctx = memcpy(copy, ctx, bytes), .i = i, .sites = *graph_sites(g) };
	return k;
}

/* x for a layer that runs by itself: the same numbers, with a gradient of its own. */
static struct ft_tensor *input_of(struct ft_graph *g, const struct ft_tensor *x)
{
	struct ft_tensor *in = ft_graph_alloc(g, sizeof *in);
	if (in)
		*in = (struct ft_tensor){ .data = x->data, .rows = x->rows, .cols = x->cols, .needs_grad = x->needs_grad,
		                          .place = x->place };
	return in;
}

/* The layer on the other page, and of that page only its result. */
static struct ft_tensor *run_unkept(struct ft_graph *g, ft_layer_function *f, const void *ctx, size_t bytes,
                                    struct ft_tensor *x, int i)
{
	struct kept *k = keep(g, f, ctx, bytes, i);
	struct graph_outside o;
	if (!k)
		return NULL;
	graph_enter(g, &o, false);
	struct ft_tensor *in = input_of(g, x);
	struct ft_tensor *inner = in ? f(ctx, g, in, i) : NULL;
	if (inner && !graph_wanted(g) && o.count == 0) { /* a frozen trunk: only its result is needed */
		graph_stay(g, &o);
		return inner;
	}
	bool wanted = graph_wanted(g);
	graph_leave(g, &o);
	struct ft_tensor *y = inner ? copy_tensor(g, inner) : NULL;
	struct node *n = y && wanted ? graph_record_layer(g, y, x) : NULL;
	if (n)
		n->data[0] = k;
	return y;
}

struct ft_tensor *ft_layer(struct ft_graph *g, ft_layer_function *f, const void *ctx, size_t bytes, struct ft_tensor *x,
                           int i)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	struct ft_trunk *t = graph_trunk(g);
	bool ends = t && trunk_ends(t, i);
	if (t && trunk_replays(t, i))
		return ends ? trunk_replay(t, g, x) : x;
	struct ft_tensor *y = graph_recomputes(g) ? run_unkept(g, f, ctx, bytes, x, i) : end_page(g, f(ctx, g, x, i));
	return ends ? trunk_leave(t, g, y) : y;
}

/* The gradient of the layer's input: where the layer's own operations add to it. */
static int lend_grad(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *in)
{
	bool fresh = false;
	if (!x->needs_grad)
		return FT_OK;
	in->grad = ft_grad(g, x, &fresh);
	in->has_grad = !fresh;
	return in->grad ? FT_OK : FT_EFAIL;
}

int op_layer_back(struct ft_graph *g, struct node *n)
{
	const struct kept *k = n->data[0];
	struct ft_tensor *x = n->in[0], *in = input_of(g, x);
	struct graph_outside o;
	int rc = in ? lend_grad(g, x, in) : FT_EFAIL;
	if (rc < 0)
		return rc;
	uint64_t sites = *graph_sites(g);
	*graph_sites(g) = k->sites;
	graph_enter(g, &o, true);
	struct ft_tensor *y = k->f(k->ctx, g, in, k->i);
	if (y) {
		y->grad = n->out->grad;
		y->has_grad = true;
	}
	rc = y ? graph_walk(g, o.count) : ft_graph_error(g);
	graph_leave(g, &o);
	*graph_sites(g) = sites;
	if (rc == FT_OK && in->grad && !in->has_grad) /* nothing flowed back through it */
		graph_zero(g, in->grad, tensor_size(x));
	return rc;
}
