/* activation.c - functions of one element: gelu, its tanh form, silu, relu, tanh;
 * and gates, where such a function of one tensor is multiplied with another. */
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
	graph_each(g, tensor_size(x), apply_range, &a);
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
		graph_each(g, size, apply_back_range, &a);
		return FT_OK;
	}
	bool fresh;
	float *dx = ft_grad(g, x, &fresh);
	if (!dx)
		return FT_EFAIL;
	a.y = fresh ? dx : n->out->grad; /* not needed again: in place, then added */
	graph_each(g, size, apply_back_range, &a);
	if (!fresh)
		graph_add(g, dx, a.y, size);
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

struct ft_tensor *ft_silu(struct ft_graph *g, struct ft_tensor *x)
{
	return activate(g, OP_silu, ft_kernels()->silu, x);
}

int op_silu_back(struct ft_graph *g, struct node *n)
{
	return activate_back(g, n, ft_kernels()->silu_back, n->in[0]->data);
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

/* By the names of config.json. */
static const struct {
	const char *name;
	ft_activation *f;
} known[] = {
	{ "gelu", ft_gelu },
	{ "gelu_new", ft_gelu_tanh },
	{ "gelu_pytorch_tanh", ft_gelu_tanh },
	{ "silu", ft_silu },
	{ "swish", ft_silu },
	{ "relu", ft_relu },
	{ "tanh", ft_tanh },
};

ft_activation *ft_activation_find(const char *name)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].f;
	return NULL;
}

/* ---- gates: y = f(a) u (Shazeer, 2020: GLU variants) ---- */

struct gate {
	map *f;
	map_back *back;
	const float *a, *u, *dy;
	float *y, *da, *du;
	size_t width, ld; /* of y; between rows of a and of u */
	bool add_a, add_u;
	struct ft_graph *g;
	int failed;
};

/* False for a function whose slope is one of its output. */
static bool gate_maps(struct gate *s, ft_activation *f)
{
	const struct ft_kernels *k = ft_kernels();
	if (f == ft_gelu)
		s->f = k->gelu, s->back = k->gelu_back;
	else if (f == ft_gelu_tanh)
		s->f = k->gelu_tanh, s->back = k->gelu_tanh_back;
	else if (f == ft_silu)
		s->f = k->silu, s->back = k->silu_back;
	else if (f == ft_relu)
		s->f = relu, s->back = relu_back;
	return s->f != NULL;
}

static void gate_row(void *ctx, size_t r)
{
	const struct gate *s = ctx;
	float *y = s->y + r * s->width;
	s->f(y, s->a + r * s->ld, s->width);
	ft_kernels()->mul(y, s->u + r * s->ld, s->width);
}

struct ft_tensor *ft_gate(struct ft_graph *g, ft_activation *f, struct ft_tensor *a, struct ft_tensor *u)
{
	struct ft_tensor *in[2] = { a, u };
	struct gate s = { .g = g };
	if (!graph_ready(g, in, u ? 2 : 1))
		return NULL;
	if (!gate_maps(&s, f))
		return ft_graph_fail(g, ft_fail(FT_EFORMAT, "a gate of this activation is not supported")), NULL;
	s.width = (size_t)(u ? a->cols : a->cols / 2);
	struct ft_tensor *y = ft_graph_tensor(g, a->rows, (int64_t)s.width);
	if (!y)
		return NULL;
	s.ld = (size_t)a->cols;
	s.a = a->data;
	s.u = u ? u->data : a->data + s.width;
	s.y = y->data;
	graph_share(g, (size_t)y->rows, 16.0 * (double)tensor_size(y), gate_row, &s);
	struct node *n = graph_record(g, OP_gate, y, in, 2);
	if (n)
		n->activation = f;
	return y;
}

/* dx (+)= v */
static void give(float *dx, const float *v, bool add, size_t n)
{
	if (add)
		ft_kernels()->add(dx, v, n);
	else
		memcpy(dx, v, n * sizeof *dx);
}

static void gate_row_back(void *ctx, size_t r)
{
	struct gate *s = ctx;
	const float *a = s->a + r * s->ld, *dy = s->dy + r * s->width;
	float *t = graph_scratch(s->g, s->width);
	if (!t) {
		__atomic_store_n(&s->failed, 1, __ATOMIC_RELAXED);
		return;
	}
	if (s->da) {
		s->back(t, dy, a, s->width);
		ft_kernels()->mul(t, s->u + r * s->ld, s->width);
		give(s->da + r * s->ld, t, s->add_a, s->width);
	}
	if (s->du) {
		s->f(t, a, s->width);
		ft_kernels()->mul(t, dy, s->width);
		give(s->du + r * s->ld, t, s->add_u, s->width);
	}
}

int op_gate_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *a = n->in[0], *u = n->in[1], *y = n->out;
	struct gate s = { .g = g, .a = a->data, .dy = y->grad, .width = (size_t)y->cols, .ld = (size_t)a->cols };
	bool fresh = false;
	gate_maps(&s, n->activation);
	if (a->needs_grad && !(s.da = ft_grad(g, a, &fresh)))
		return FT_EFAIL;
	s.add_a = !fresh;
	s.u = u ? u->data : a->data + s.width;
	s.add_u = s.add_a;
	if (!u && s.da)
		s.du = s.da + s.width;
	if (u && u->needs_grad && !(s.du = ft_grad(g, u, &fresh)))
		return FT_EFAIL;
	if (u)
		s.add_u = !fresh;
	graph_plan_scratch(g, s.width);
	graph_share(g, (size_t)y->rows, 16.0 * (double)tensor_size(y), gate_row_back, &s);
	return s.failed ? FT_EFAIL : FT_OK;
}
