/* low_rank.c - y + scale dropout(x) a^T b^T, of which a and b are narrow: LoRA (Hu et al., 2021). */
#include "priv.h"

/* Members of the node: in = x, a or NULL, b, y; saved = u [T,r], the product with a, scaled; length = r;
 * real = scale; drop. */

/* x as the product with a sees it: in memory to be given back, or x's own. */
static float *dropped(struct ft_graph *g, const struct ft_tensor *x, const struct ft_dropout *d)
{
	if (d->p == 0)
		return x->data;
	float *y = graph_floats(g, tensor_size(x));
	if (y)
		graph_drop(g, y, x->data, NULL, d, x);
	return y;
}

static void give_back(struct ft_graph *g, const struct ft_tensor *x, float *seen)
{
	if (seen != x->data)
		graph_release(g, seen, tensor_size(x));
}

static void scale_all(float *u, float scale, size_t n)
{
	for (size_t i = 0; i < n; i++)
		u[i] *= scale;
}

/* u [T,r] = scale dropout(x) a^T */
static int narrow(struct ft_graph *g, float *u, struct ft_tensor *x, const struct ft_tensor *a, float scale,
                  const struct ft_dropout *d)
{
	size_t n = (size_t)x->rows * (size_t)(a ? a->rows : x->cols);
	if (!a) {
		graph_copy(g, u, x->data, n);
	} else {
		float *seen = dropped(g, x, d);
		if (!seen)
			return FT_EFAIL;
		graph_gemm(g, &(struct ft_gemm){ .tb = true, .m = x->rows, .n = a->rows, .k = a->cols, .a = seen,
		                                 .lda = x->cols, WEIGHT_B(a), .c = u, .ldc = a->rows });
		graph_count(g, (double)n * (double)a->cols);
		give_back(g, x, seen);
	}
	scale_all(u, scale, (size_t)graph_todo(g, (int64_t)n));
	return FT_OK;
}

struct ft_tensor *ft_low_rank(struct ft_graph *g, struct ft_tensor *y, struct ft_tensor *x, struct ft_tensor *a,
                              struct ft_tensor *b, float scale, float p)
{
	struct ft_tensor *needed[4] = { y, x, b, a };
	if (!graph_ready(g, needed, a ? 4 : 3))
		return NULL;
	struct ft_dropout d = a ? graph_dropout(g, p) : (struct ft_dropout){ 0 };
	size_t n = (size_t)x->rows * (size_t)b->cols;
	float *u = graph_floats(g, n);
	struct ft_tensor *z = u ? graph_take_over(g, y) : NULL;
	if (!z || narrow(g, u, x, a, scale, &d) < 0)
		return ft_graph_fail(g, FT_EFAIL), NULL;
	graph_gemm(g, &(struct ft_gemm){ .tb = true, .add = true, .m = x->rows, .n = b->rows, .k = b->cols, .a = u,
	                                 .lda = b->cols, WEIGHT_B(b), .c = z->data, .ldc = z->cols });
	graph_count(g, (double)n * (double)b->rows);
	struct ft_tensor *in[4] = { x, a, b, y };
	struct node *node = graph_record(g, OP_low_rank, z, in, 4);
	if (!node) {
		graph_release(g, u, n);
		return z;
	}
	node->saved = u;
	node->length = b->cols;
	node->real = scale;
	node->drop = d;
	return z;
}

/* db [N,r] += dz [T,N]^T u [T,r] */
static int wide_back(struct ft_graph *g, const struct node *n)
{
	struct ft_tensor *z = n->out, *b = n->in[2];
	bool fresh;
	float *db = ft_grad(g, b, &fresh);
	if (!db)
		return FT_EFAIL;
	graph_gemm(g, &(struct ft_gemm){ .ta = true, .add = !fresh, .m = b->rows, .n = b->cols, .k = z->rows, .a = z->grad,
	                           .lda = z->cols, .b = n->saved, .ldb = b->cols, .c = db, .ldc = b->cols });
	graph_count(g, (double)z->rows * (double)z->cols * (double)b->cols);
	return FT_OK;
}

/* da [r,K] += du [T,r]^T dropout(x) [T,K] */
static int narrow_back(struct ft_graph *g, const struct node *n, const float *du)
{
	struct ft_tensor *x = n->in[0], *a = n->in[1];
	bool fresh;
	float *da = ft_grad(g, a, &fresh), *seen = da ? dropped(g, x, &n->drop) : NULL;
	if (!seen)
		return FT_EFAIL;
	graph_gemm(g, &(struct ft_gemm){ .ta = true, .add = !fresh, .m = a->rows, .n = a->cols, .k = x->rows, .a = du,
	                           .lda = a->rows, .b = seen, .ldb = x->cols, .c = da, .ldc = a->cols });
	graph_count(g, (double)x->rows * (double)a->rows * (double)a->cols);
	give_back(g, x, seen);
	return FT_OK;
}

/* dx [T,K] += du [T,r] a [r,K], where x was kept */
static int input_back(struct ft_graph *g, const struct node *n, const float *du)
{
	struct ft_tensor *x = n->in[0], *a = n->in[1];
	bool fresh, drops = n->drop.p > 0;
	float *dx = ft_grad(g, x, &fresh), *own = drops ? graph_floats(g, tensor_size(x)) : dx;
	if (!dx || !own)
		return FT_EFAIL;
	if (a)
		graph_gemm(g, &(struct ft_gemm){ .add = !drops && !fresh, .m = x->rows, .n = x->cols, .k = n->length, .a = du,
		                           .lda = n->length, WEIGHT_B(a), .c = own, .ldc = x->cols });
	else if (fresh)
		graph_copy(g, dx, du, tensor_size(x));
	else
		graph_add(g, dx, du, tensor_size(x));
	graph_count(g, a ? (double)tensor_size(x) * (double)n->length : 0);
	if (!drops)
		return FT_OK;
	graph_drop(g, own, own, NULL, &n->drop, x);
	if (fresh)
		graph_copy(g, dx, own, tensor_size(x));
	else
		graph_add(g, dx, own, tensor_size(x));
	graph_release(g, own, tensor_size(x));
	return FT_OK;
}

int op_low_rank_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *z = n->out, *x = n->in[0], *a = n->in[1], *b = n->in[2];
	size_t size = (size_t)z->rows * (size_t)n->length;
	int rc = b->needs_grad ? wide_back(g, n) : FT_OK;
	if (rc == FT_OK && (x->needs_grad || (a && a->needs_grad))) {
		float *du = n->saved; /* no longer needed */
		graph_gemm(g, &(struct ft_gemm){ .m = z->rows, .n = n->length, .k = z->cols, .a = z->grad, .lda = z->cols,
		                                 WEIGHT_B(b), .c = du, .ldc = n->length });
		graph_count(g, (double)size * (double)z->cols);
		scale_all(du, n->real, (size_t)graph_todo(g, (int64_t)size));
		rc = a && a->needs_grad ? narrow_back(g, n, du) : FT_OK;
		rc = rc == FT_OK && x->needs_grad ? input_back(g, n, du) : rc;
	}
	graph_release(g, n->saved, size);
	n->saved = NULL;
	return rc == FT_OK && n->in[3]->needs_grad ? graph_pass_grad(g, n, n->in[3]) : rc;
}
