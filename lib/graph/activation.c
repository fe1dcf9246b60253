/* activation.c - functions of one element: gelu, its tanh form, relu, tanh. */
#include "priv.h"

typedef void map(float *y, const float *x, size_t n);
typedef void map_back(float *dx, const float *dy, const float *at, size_t n);

struct apply {
	map *forward;
	map_back *back;
	float *y;
	const float *x, *dy;
};

static void apply_range(void *ctx, size_t from, size_t n)
{
	const struct apply *a = ctx;
	a->forward(a->y + from, a->x + from, n);
}

static void apply_back_range(void *ctx, size_t from, size_t n)
{
	const struct apply *a = ctx;
	a->back(a->y + from, a->dy + from, a->x + from, n);
}

static struct ft_tensor *activate(struct ft_graph *g, enum op op, map *f, struct ft_tensor *x)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, x->rows, x->cols);
	if (!y)
		return NULL;
	struct apply a = { .forward = f, .y = y->data, .x = x->data };
	graph_each(tensor_size(x), apply_range, &a);
	graph_record(g, op, y, &x, 1);
	return y;
}

/* `at` is what the slope is a function of: the input, or for tanh the output. */
static int activate_back(struct ft_graph *g, struct node *n, map_back *f, const float *at)
{
	struct ft_tensor *x = n->in[0];
	struct apply a = { .back = f, .dy = n->out->grad, .x = at };
	size_t size = tensor_size(x);
	a.y = graph_take_grad(n, x);
	if (a.y) {
		graph_each(size, apply_back_range, &a);
		return FT_OK;
	}
	bool fresh;
	float *dx = ft_grad(g, x, &fresh);
	if (!dx)
		return FT_EFAIL;
	a.y = fresh ? dx : n->out->grad; /* not needed again: in place, then added */
	graph_each(size, apply_back_range, &a);
	if (!fresh)
		ft_kernels()->add(dx, a.y, size);
	return FT_OK;
}

struct ft_tensor *ft_gelu(struct ft_graph *g, struct ft_tensor *x)
{
	return activate(g, OP_gelu, ft_kernels()->gelu, x);
}

int op_gelu_back(struct ft_graph *g, struct node *n)
{
	return activate_back(g, n, ft_kernels()->gelu_back, n->in[0]->data);
}

struct ft_tensor *ft_gelu_tanh(struct ft_graph *g, struct ft_tensor *x)
{
	return activate(g, OP_gelu_tanh, ft_kernels()->gelu_tanh, x);
}

int op_gelu_tanh_back(struct ft_graph *g, struct node *n)
{
	return activate_back(g, n, ft_kernels()->gelu_tanh_back, n->in[0]->data);
}

static void relu(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] > 0 ? x[i] : 0;
}

static void relu_back(float *dx, const float *dy, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dx[i] = x[i] > 0 ? dy[i] : 0;
}

struct ft_tensor *ft_relu(struct ft_graph *g, struct ft_tensor *x)
{
	return activate(g, OP_relu, relu, x);
}

int op_relu_back(struct ft_graph *g, struct node *n)
{
	return activate_back(g, n, relu_back, n->in[0]->data);
}

struct ft_tensor *ft_tanh(struct ft_graph *g, struct ft_tensor *x)
{
	return activate(g, OP_tanh, ft_kernels()->tanh, x);
}

static void tanh_back(float *dx, const float *dy, const float *y, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dx[i] = dy[i] * (1.0f - y[i] * y[i]);
}

int op_tanh_back(struct ft_graph *g, struct node *n)
{
	return activate_back(g, n, tanh_back, n->out->data);
}

ft_activation *ft_activation_find(const char *name)
{
	static const struct {
		const char *name;
		ft_activation *f;
	} known[] = {
		{ "gelu", ft_gelu },
		{ "gelu_new", ft_gelu_tanh },
		{ "gelu_pytorch_tanh", ft_gelu_tanh },
		{ "relu", ft_relu },
		{ "tanh", ft_tanh },
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].f;
	return NULL;
}
