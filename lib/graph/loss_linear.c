/* loss_linear.c - cross-entropy over a large vocabulary, by chunks of units.
 *
 * The logits of a chunk become their own gradient in place, and that of x, w
 * and b follows at once: the loss is the end of the graph and its gradient is
 * known to be 1, so nothing of the size of the vocabulary outlives a chunk. */
#include "priv.h"

#include <math.h>

/* Units of a chunk: for each chunk all of w and of its gradient are gone through once. Their
 * logits are 128 MiB at most, unless even the fewest have more; chunks are of about equal size. */
#define UNITS_MOST 512
#define UNITS_LEAST 128
#define LOGITS ((int64_t)32 << 20)

static int64_t chunk_units(int64_t units, int64_t vocabulary)
{
	int64_t n = LOGITS / vocabulary;
	n = n > UNITS_MOST ? UNITS_MOST : n < UNITS_LEAST ? UNITS_LEAST : n;
	int64_t chunks = (units + n - 1) / n;
	return chunks ? (units + chunks - 1) / chunks : 0;
}

struct chunk {
	float *logits, *loss;
	uint8_t *hits; /* NULL: nobody asks */
	const int32_t *labels;
	int64_t vocabulary;
	float softcap;
	bool back;
	struct ft_graph *g;
	int failed;
};

/* x = cap tanh(x / cap); *slope, scratch of the thread, becomes the derivative. */
static void cap_row(struct chunk *c, float *x, float **slope)
{
	size_t n = (size_t)c->vocabulary;
	for (size_t i = 0; i < n; i++)
		x[i] /= c->softcap;
	ft_kernels()->tanh(x, x, n);
	*slope = c->back ? graph_scratch(c->g, n) : NULL;
	if (c->back && !*slope)
		__atomic_store_n(&c->failed, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < n; i++) {
		if (*slope)
			(*slope)[i] = 1 - x[i] * x[i];
		x[i] *= c->softcap;
	}
}

/* Whether x[y] is the greatest of n, of equals the first. */
static bool is_top(const float *x, int64_t n, int32_t y)
{
	for (int64_t i = 0; i < n; i++)
		if (i < y ? !(x[i] < x[y]) : !(x[i] <= x[y]))
			return false;
	return true;
}

static void chunk_row(void *ctx, size_t i)
{
	struct chunk *c = ctx;
	float *slope = NULL, *x = c->logits + (int64_t)i * c->vocabulary;
	int32_t y = c->labels[i];
	if (y == FT_IGNORE) {
		c->loss[i] = 0;
		memset(x, 0, (size_t)c->vocabulary * sizeof *x);
		if (c->hits)
			c->hits[i] = 0;
		return;
	}
	if (c->softcap > 0)
		cap_row(c, x, &slope);
	if (c->hits)
		c->hits[i] = is_top(x, c->vocabulary, y);
	float at_label = x[y];
	float lse = c->back ? ft_kernels()->softmax(x, 1, (size_t)c->vocabulary)
	                    : ft_kernels()->log_sum_exp(x, (size_t)c->vocabulary);
	c->loss[i] = lse - at_label;
	if (c->back)
		x[y] -= 1;
	if (slope)
		ft_kernels()->mul(x, slope, (size_t)c->vocabulary);
}

struct gradients {
	float *dx, *dw, *db;
	bool add_w, add_b;
};

static void chunk_back(struct ft_graph *g, const struct chunk *c, struct gradients *s, const struct ft_tensor *x,
                       const struct ft_tensor *w, int64_t from, int64_t n)
{
	int64_t v = c->vocabulary, width = w->cols;
	if (s->dx) { /* dx [n,H] = d [n,V] w [V,H] */
		ft_gemm(&(struct ft_gemm){
			.m = n, .n = width, .k = v, .a = c->logits, .lda = v, WEIGHT_B(w),
			.c = s->dx + from * width, .ldc = width });
		graph_count(g, (double)n * (double)v * (double)width);
	}
	if (s->dw) { /* dw [V,H] += d^T x */
		ft_gemm(&(struct ft_gemm){
			.ta = true, .add = s->add_w, .m = v, .n = width, .k = n, .a = c->logits, .lda = v,
			.b = x->data + from * width, .ldb = width, .c = s->dw, .ldc = width });
		s->add_w = true;
		graph_count(g, (double)n * (double)v * (double)width);
	}
	if (s->db) {
		ft_kernels()->column_sums(s->db, c->logits, (size_t)v, (size_t)n, (size_t)v, s->add_b);
		s->add_b = true;
	}
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

static int check(struct ft_graph *g, const int32_t *labels, int64_t n, int64_t vocabulary)
{
	for (int64_t i = 0; i < n; i++)
		if (labels[i] != FT_IGNORE && (labels[i] < 0 || labels[i] >= vocabulary))
			return ft_graph_fail(g, ft_fail(FT_EMATCH, "label %d; the vocabulary has %lld", labels[i],
			                                (long long)vocabulary));
	return FT_OK;
}

struct ft_tensor *ft_linear_cross_entropy(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w,
                                          struct ft_tensor *b, const int32_t *labels, float softcap,
                                          uint8_t *hits)
{
	struct ft_tensor *in[3] = { x, w, b };
	if (!graph_ready(g, in, b ? 3 : 2) || check(g, labels, x->rows, w->rows) < 0)
		return NULL;
	struct ft_tensor *loss = ft_graph_tensor(g, x->rows, 1);
	int64_t rows = chunk_units(x->rows, w->rows);
	float *logits = graph_floats(g, (size_t)(rows * w->rows));
	struct gradients s = { 0 };
	if (!loss || !logits || want(g, w, &s.dw, &s.add_w) < 0 || want(g, b, &s.db, &s.add_b) < 0)
		return NULL;
	if (x->needs_grad && ft_graph_mode(g) != FT_INFER && !(s.dx = graph_floats(g, tensor_size(x))))
		return NULL;
	for (int64_t from = 0; from < x->rows; from += rows) {
		int64_t n = x->rows - from < rows ? x->rows - from : rows;
		struct chunk c = { .logits = logits, .loss = loss->data + from, .hits = hits ? hits + from : NULL,
		                   .labels = labels + from, .vocabulary = w->rows, .softcap = softcap, .g = g,
		                   .back = s.dx || s.dw || s.db };
		ft_gemm(&(struct ft_gemm){
			.tb = true, .m = n, .n = w->rows, .k = w->cols, .bias = b ? b->data : NULL,
			.a = x->data + from * w->cols, .lda = w->cols, WEIGHT_B(w), .c = logits,
			.ldc = w->rows });
		graph_count(g, (double)n * (double)w->rows * (double)w->cols);
		ft_parallel((size_t)n, chunk_row, &c);
		if (c.failed)
			return ft_graph_fail(g, ft_fail(FT_EFAIL, "out of memory for the logits of a token")), NULL;
		chunk_back(g, &c, &s, x, w, from, n);
	}
	graph_release(g, logits, (size_t)(rows * w->rows));
	struct node *n = graph_record(g, OP_linear_cross_entropy, loss, in, 1);
	if (n)
		n->saved = s.dx;
	return loss;
}

/* The gradient of x was kept; those of w and b are added already. */
int op_linear_cross_entropy_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0];
	bool fresh;
	float *dx = ft_grad(g, x, &fresh);
	if (!dx)
		return FT_EFAIL;
	if (fresh)
		memcpy(dx, n->saved, tensor_size(x) * sizeof *dx);
	else
		ft_kernels()->add(dx, n->saved, tensor_size(x));
	graph_release(g, n->saved, tensor_size(x));
	return FT_OK;
}
