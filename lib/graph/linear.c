/* linear.c - y = x w^T + b. */
#include "priv.h"

struct ft_tensor *ft_linear(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w, struct ft_tensor *b)
{
	struct ft_tensor *in[3] = { x, w, b };
	if (!graph_ready(g, in, b ? 3 : 2))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, x->rows, w->rows);
	if (!y)
		return NULL;
	graph_gemm(g, &(struct ft_gemm){
		.tb = true, .m = x->rows, .n = w->rows, .k = w->cols, .bias = b ? b->data : NULL,
		.a = x->data, .lda = x->cols, WEIGHT_B(w), .c = y->data, .ldc = y->cols });
	graph_count(g, (double)x->rows * (double)w->rows * (double)w->cols);
	graph_record(g, OP_linear, y, in, 3);
	return y;
}

#define COLUMNS 64 /* of a bias gradient, one item of work */

struct bias_back {
	float *db;
	const float *dy;
	size_t rows, cols;
	bool fresh;
};

static void bias_columns(void *ctx, size_t i)
{
	const struct bias_back *b = ctx;
	size_t from = i * COLUMNS, n = b->cols - from < COLUMNS ? b->cols - from : COLUMNS;
	ft_kernels()->column_sums(b->db + from, b->dy + from, b->cols, b->rows, n, !b->fresh);
}

int op_linear_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *y = n->out, *x = n->in[0], *w = n->in[1], *b = n->in[2];
	double macs = (double)x->rows * (double)w->rows * (double)w->cols;
	bool fresh;
	if (w->needs_grad) {
		float *dw = ft_grad(g, w, &fresh);
		if (!dw)
			return FT_EFAIL;
		/* dw [N,K] = dy [T,N]^T x [T,K] */
		graph_gemm(g, &(struct ft_gemm){
			.ta = true, .add = !fresh, .m = w->rows, .n = w->cols, .k = x->rows,
			.a = y->grad, .lda = y->cols, .b = x->data, .ldb = x->cols, .c = dw, .ldc = w->cols });
		graph_count(g, macs);
	}
	if (b && b->needs_grad) {
		struct bias_back s = { .dy = y->grad, .rows = (size_t)y->rows, .cols = (size_t)y->cols };
		s.db = ft_grad(g, b, &s.fresh);
		if (!s.db)
			return FT_EFAIL;
		graph_share(g, (s.cols + COLUMNS - 1) / COLUMNS, (double)s.rows * (double)s.cols, bias_columns, &s);
	}
	if (x->needs_grad) {
		float *dx = ft_grad(g, x, &fresh);
		if (!dx)
			return FT_EFAIL;
		/* dx [T,K] = dy [T,N] w [N,K] */
		graph_gemm(g, &(struct ft_gemm){
			.add = !fresh, .m = x->rows, .n = w->cols, .k = w->rows,
			.a = y->grad, .lda = y->cols, WEIGHT_B(w), .c = dx, .ldc = x->cols });
		graph_count(g, macs);
	}
	return FT_OK;
}
