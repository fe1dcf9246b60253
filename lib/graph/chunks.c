/* chunks.c - logits over a large vocabulary, by chunks of units. */
#include "chunks.h"

/* Units of a chunk: for each chunk all of w and of its gradient are gone through once. Their
 * logits are 128 MiB at most, unless even the fewest have more; chunks are of about equal size. */
#define UNITS_MOST 512
#define UNITS_LEAST 128
#define LOGITS ((int64_t)32 << 20)

int64_t chunk_units(int64_t units, int64_t logits)
{
	int64_t n = LOGITS / logits;
	n = n > UNITS_MOST ? UNITS_MOST : n < UNITS_LEAST ? UNITS_LEAST : n;
	int64_t chunks = (units + n - 1) / n;
	return chunks ? (units + chunks - 1) / chunks : 0;
}

static int want(struct ft_graph *g, struct ft_tensor *t, float **grad, bool *add)
{
	bool fresh = false;
	if (!t || !t->needs_grad || ft_graph_mode(g) == FT_INFER)
		return FT_OK;
	*grad = ft_grad(g, t, &fresh);
	*add = !fresh;
	return *grad ? FT_OK : FT_EFAIL;
}

int chunks_forward(struct chunks *c)
{
	struct ft_tensor *x = c->of.x;
	if (want(c->g, c->of.w, &c->dw, &c->add_w) < 0 || want(c->g, c->of.b, &c->db, &c->add_b) < 0)
		return FT_EFAIL;
	if (x->needs_grad && ft_graph_mode(c->g) != FT_INFER && !(c->dx = graph_floats(c->g, tensor_size(x))))
		return FT_EFAIL;
	c->back = c->dx || c->dw || c->db;
	return FT_OK;
}

int chunks_backward(struct chunks *c)
{
	c->back = true;
	return want(c->g, c->of.w, &c->dw, &c->add_w) < 0 || want(c->g, c->of.b, &c->db, &c->add_b) < 0 ||
	       want(c->g, c->of.x, &c->dx, &c->add_x) < 0 ? FT_EFAIL : FT_OK;
}

void chunks_logits(struct chunks *c, int64_t from, int64_t n, int64_t classes, float *logits)
{
	const struct ft_tensor *x = c->of.x, *w = c->of.w, *b = c->of.b;
	graph_plan_table(c->g, c->of.w);
	graph_gemm(c->g, &(struct ft_gemm){
		.tb = true, .m = n, .n = classes, .k = w->cols, .bias = b ? b->data : NULL,
		.a = x->data + from * w->cols, .lda = w->cols, WEIGHT_B(w), .c = logits, .ldc = classes });
	graph_count(c->g, (double)n * (double)classes * (double)w->cols);
}

void chunks_cap(struct chunks *c, float *x, float *slope, int64_t n)
{
	float cap = c->of.cap;
	if (!(cap > 0))
		return;
	for (int64_t i = 0; i < n; i++)
		x[i] /= cap;
	ft_kernels()->tanh(x, x, (size_t)n);
	for (int64_t i = 0; i < n; i++) {
		if (slope)
			slope[i] = 1 - x[i] * x[i];
		x[i] *= cap;
	}
}

float *chunks_scratch(struct chunks *c, int64_t n)
{
	float *p = graph_scratch(c->g, (size_t)n);
	if (!p)
		__atomic_store_n(&c->failed, 1, __ATOMIC_RELAXED);
	return p;
}

void chunks_back(struct chunks *c, int64_t from, int64_t n, const float *d)
{
	const struct ft_tensor *x = c->of.x, *w = c->of.w;
	int64_t v = w->rows, width = w->cols;
	if (c->dx) { /* dx [n,H] = d [n,V] w [V,H] */
		graph_gemm(c->g, &(struct ft_gemm){
			.add = c->add_x, .m = n, .n = width, .k = v, .a = d, .lda = v, WEIGHT_B(w),
			.c = c->dx + from * width, .ldc = width });
		graph_count(c->g, (double)n * (double)v * (double)width);
	}
	if (c->dw) { /* dw [V,H] += d^T x */
		graph_gemm(c->g, &(struct ft_gemm){
			.ta = true, .add = c->add_w, .m = v, .n = width, .k = n, .a = d, .lda = v,
			.b = x->data + from * width, .ldb = width, .c = c->dw, .ldc = width });
		c->add_w = true;
		graph_count(c->g, (double)n * (double)v * (double)width);
	}
	if (c->db) {
		if (graph_todo(c->g, n))
			ft_kernels()->column_sums(c->db, d, (size_t)v, (size_t)n, (size_t)v, c->add_b);
		c->add_b = true;
	}
}

int chunks_end(struct chunks *c)
{
	return c->failed ? ft_graph_fail(c->g, ft_fail(FT_EFAIL, "out of memory for the logits of a token")) : FT_OK;
}

void chunks_record(struct chunks *c, enum op op, struct ft_tensor *loss)
{
	struct ft_tensor *in[3] = { c->of.x, c->of.w, c->of.b };
	struct node *n = graph_record(c->g, op, loss, in, 1);
	if (n)
		n->saved = c->dx;
}

int chunks_known_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0];
	bool fresh;
	float *dx = ft_grad(g, x, &fresh);
	if (!dx)
		return FT_EFAIL;
	if (fresh)
		graph_copy(g, dx, n->saved, tensor_size(x));
	else
		graph_add(g, dx, n->saved, tensor_size(x));
	graph_release(g, n->saved, tensor_size(x));
	return FT_OK;
}
