/* similarity.c - how alike vectors are, and the loss that is about their order. */
#include "priv.h"

#include <math.h>
#include <stdlib.h>

/* ---- y = length x / |x|, row by row; as torch.nn.functional.normalize a norm
 * below 1e-12 counts as that. saved: the norms; real: length ---- */
#define LEAST_NORM 1e-12

struct ft_tensor *ft_normalize(struct ft_graph *g, struct ft_tensor *x, float length)
{
	if (!graph_ready(g, &x, 1))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, x->rows, x->cols);
	float *norm = y ? ft_graph_alloc(g, (size_t)x->rows * sizeof *norm) : NULL;
	if (!norm)
		return NULL;
	for (int64_t r = 0; r < graph_todo(g, x->rows); r++) {
		const float *from = x->data + r * x->cols;
		double n = sqrt(ft_kernels()->sum_squares(from, (size_t)x->cols));
		norm[r] = (float)n;
		for (int64_t c = 0; c < x->cols; c++)
			y->data[r * x->cols + c] = (float)(length * (double)from[c] / fmax(n, LEAST_NORM));
	}
	struct node *n = graph_record(g, OP_normalize, y, &x, 1);
	if (n) {
		n->saved = norm;
		n->real = length;
	}
	return y;
}

/* With u = y / length: dx = length / |x| (dy - u (u . dy)). */
int op_normalize_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *x = n->in[0], *y = n->out;
	float *dx = graph_zeroed_grad(g, x);
	for (int64_t r = 0; dx && r < graph_todo(g, x->rows); r++) {
		int64_t at = r * x->cols;
		bool tiny = n->saved[r] < (float)LEAST_NORM;
		float slope = n->real / (tiny ? (float)LEAST_NORM : n->saved[r]);
		float along = ft_kernels()->dot(y->data + at, y->grad + at, (size_t)x->cols) / (n->real * n->real);
		ft_kernels()->axpy(dx + at, slope, y->grad + at, (size_t)x->cols);
		if (!tiny)
			ft_kernels()->axpy(dx + at, -slope * along, y->data + at, (size_t)x->cols);
	}
	return dx ? FT_OK : FT_EFAIL;
}

/* ---- y[i] = a[i] . b[i] ---- */
struct ft_tensor *ft_row_dot(struct ft_graph *g, struct ft_tensor *a, struct ft_tensor *b)
{
	struct ft_tensor *in[2] = { a, b };
	if (!graph_ready(g, in, 2))
		return NULL;
	struct ft_tensor *y = ft_graph_tensor(g, a->rows, 1);
	if (!y)
		return NULL;
	for (int64_t r = 0; r < graph_todo(g, a->rows); r++)
		y->data[r] = ft_kernels()->dot(a->data + r * a->cols, b->data + r * a->cols, (size_t)a->cols);
	graph_record(g, OP_row_dot, y, in, 2);
	return y;
}

int op_row_dot_back(struct ft_graph *g, struct node *n)
{
	for (int i = 0; i < 2; i++) {
		struct ft_tensor *x = n->in[i], *other = n->in[!i];
		float *dx = x->needs_grad ? graph_zeroed_grad(g, x) : NULL;
		if (x->needs_grad && !dx)
			return FT_EFAIL;
		for (int64_t r = 0; dx && r < graph_todo(g, x->rows); r++)
			ft_kernels()->axpy(dx + r * x->cols, n->out->grad[r], other->data + r * x->cols, (size_t)x->cols);
	}
	return FT_OK;
}

/* ---- CoSENT: log(1 + sum of exp(scale (s[i] - s[j])) over all i, j with
 * t[i] < t[j]). Sorted by t, the sums over j and over i are running ones, in
 * logarithms. The gradient is computed on the way forward: saved ---- */
struct ranked {
	float target;
	int32_t at;
	double higher, lower; /* log of the sums of exp(-s) where t is higher, of exp(s) where it is lower */
};

static int by_target(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

/* log(exp(a) + exp(b)) */
static double log_add(double a, double b)
{
	double high = fmax(a, b), low = fmin(a, b);
	return isinf(low) ? high : high + log1p(exp(low - high));
}

/* The running sums: equal targets see the same. */
static void sum_ranks(struct ranked *r, int64_t n, const float *s, double scale)
{
	double sum = -INFINITY;
	for (int64_t i = 0, end; i < n; i = end) {
		for (end = i; end < n && r[end].target == r[i].target; end++)
			r[end].lower = sum;
		for (int64_t k = i; k < end; k++)
			sum = log_add(sum, scale * (double)s[r[k].at]);
	}
	sum = -INFINITY;
	for (int64_t i = n, begin; i > 0; i = begin) {
		for (begin = i; begin > 0 && r[begin - 1].target == r[i - 1].target; begin--)
			r[begin - 1].higher = sum;
		for (int64_t k = begin; k < i; k++)
			sum = log_add(sum, -scale * (double)s[r[k].at]);
	}
}

struct ft_tensor *ft_cosent(struct ft_graph *g, struct ft_tensor *s, const float *targets, float scale)
{
	if (!graph_ready(g, &s, 1))
		return NULL;
	struct ft_tensor *loss = ft_graph_tensor(g, 1, 1);
	struct ranked *r = ft_graph_alloc(g, (size_t)s->rows * sizeof *r);
	float *slope = ft_graph_alloc(g, (size_t)s->rows * sizeof *slope);
	if (!loss || !r || !slope)
		return NULL;
	for (int64_t i = 0; i < s->rows; i++)
		r[i] = (struct ranked){ .target = targets[i], .at = (int32_t)i };
	qsort(r, (size_t)s->rows, sizeof *r, by_target);
	sum_ranks(r, s->rows, s->data, (double)scale);
	double all = 0;
	for (int64_t i = 0; i < s->rows; i++)
		all = log_add(all, (double)scale * (double)s->data[r[i].at] + r[i].higher);
	for (int64_t i = 0; i < s->rows; i++) {
		double x = (double)scale * (double)s->data[r[i].at];
		slope[r[i].at] = (float)((double)scale * (exp(x + r[i].higher - all) - exp(r[i].lower - x - all)));
	}
	loss->data[0] = (float)all;
	struct node *n = graph_record(g, OP_cosent, loss, &s, 1);
	if (n)
		n->saved = slope;
	return loss;
}

int op_cosent_back(struct ft_graph *g, struct node *n)
{
	float *dx = graph_zeroed_grad(g, n->in[0]);
	if (dx)
		ft_kernels()->axpy(dx, n->out->grad[0], n->saved, tensor_size(n->in[0]));
	return dx ? FT_OK : FT_EFAIL;
}
