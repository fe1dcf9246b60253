/* vera.c - VeRA: y + b * (B (d * (A dropout(x)))), where A and B are random, never train, and serve all sites; vectors
 * d and b train at each (Kopiczko et al., "VeRA: Vector-based Random Matrix Adaptation", 2024). As in PEFT, A and B are
 * as large as the largest site asks for, and others take their first columns of A and rows of B.
 *
 * What is used when nothing is said: rank 256 and d of 0.1 (PEFT's), queries and values (the paper's), and the rate
 * that IA3's vectors have. */
#include "ft/kernels.h"
#include "ft/mem.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

enum { D, B };               /* parts: [1, r], [1, out] */
enum { SHARED_A, SHARED_B }; /* shared: [r, in], [out, r], of the largest */

static const struct adapt_key keys[] = {
	{ "r", KEY_INT, 256, 1, 1 << 16, false },
	{ "dropout", KEY_REAL, 0, 0, 0.99, false },
	{ "initial", KEY_REAL, 0.1, -1e6, 1e6, false }, /* d, at first */
	{ 0 },
};
static const char *const sites[] = { "*.attn.[qv]", "*.attn.qkv", NULL };

static int share(struct ft_model *m, struct adapter *r, int64_t out, int64_t in)
{
	int64_t rank = ft_json_int(r->config, "r", 256, NULL);
	int rc = adapt_share(m, r, SHARED_A, PARAM_KAIMING, "a", "base_model.vera_A", rank, in);
	rc = rc ? rc : adapt_share(m, r, SHARED_B, PARAM_KAIMING, "b", "base_model.vera_B", out, rank);
	if (rc == FT_OK)
		r->shared[SHARED_A]->constant = r->shared[SHARED_B]->constant = true;
	return rc;
}

/* ---- what a site takes of A and B ---- */

/* The first columns of A, which all sites of this width share. */
struct slice {
	int64_t cols;
	float *data; /* [r, cols] */
	struct slice *next;
};
/* Of a site. */
struct views {
	struct ft_tensor a, b;
};

static void forget(struct adapter *r)
{
	for (struct slice *s = r->state, *next; s; s = next) {
		next = s->next;
		free(s->data);
		free(s);
	}
	r->state = NULL;
}

static void release(struct attached *a)
{
	free(a->state);
	a->state = NULL;
}

static void copy_columns(const struct ft_tensor *from, float *to, int64_t cols)
{
	for (int64_t i = 0; i < from->rows; i++)
		memcpy(to + i * cols, from->data + i * from->cols, (size_t)cols * sizeof *to);
}

/* NULL: out of memory. */
static float *columns_of(struct adapter *r, int64_t cols)
{
	const struct ft_tensor *all = &r->shared[SHARED_A]->t;
	struct slice *s = r->state;
	if (cols == all->cols)
		return all->data;
	while (s && s->cols != cols)
		s = s->next;
	if (s)
		return s->data;
	s = ft_alloc(1, sizeof *s);
	float *data = s ? ft_alloc((size_t)(all->rows * cols), sizeof *data) : NULL;
	if (!data)
		return free(s), NULL;
	copy_columns(all, data, cols);
	*s = (struct slice){ .cols = cols, .data = data, .next = r->state };
	r->state = s;
	return data;
}

/* A and B do not change once the model is there; of a model that only plans they have no numbers. */
static struct views *views_of(const struct ft_graph *g, const struct attached *a)
{
	struct views *v = a->state;
	const struct ft_tensor *w = &a->weight->t, *b = &a->adapter->shared[SHARED_B]->t;
	if (v->a.data)
		return v;
	v->a = (struct ft_tensor){ .data = ft_graph_plans(g) ? NULL : columns_of(a->adapter, w->cols), .rows = b->cols,
	                             .cols = w->cols };
	v->b = (struct ft_tensor){ .data = b->data, .rows = w->rows, .cols = b->cols };
	return v->a.data || ft_graph_plans(g) ? v : NULL;
}

/* ---- the technique ---- */

static int attach(struct ft_model *m, struct attached *a, const struct site *s)
{
	a->dropout = (float)adapt_number(a, "dropout", s);
	a->scale = (float)adapt_number(a, "initial", s);
	a->state = ft_alloc(1, sizeof(struct views));
	int rc = a->state
	             ? adapt_param(m, a, D, s, PARAM_NORM, "d", "vera_lambda_d", 1, a->adapter->shared[SHARED_A]->t.rows)
	             : FT_EFAIL;
	return rc ? rc : adapt_param(m, a, B, s, PARAM_BIAS, "b", "vera_lambda_b", 1, s->weight->t.rows);
}

static int start(const struct ft_model *m, const struct attached *a)
{
	(void)m;
	for (int64_t i = 0; i < a->part[D]->t.cols; i++)
		a->part[D]->t.data[i] = a->scale;
	return FT_OK;
}

static struct ft_tensor *linear(struct ft_graph *g, const struct attached *a, struct ft_tensor *x, struct ft_tensor *y)
{
	struct views *v = views_of(g, a);
	if (!v)
		return ft_graph_fail(g, FT_EFAIL), NULL;
	if (a->dropout > 0 && ft_graph_mode(g) == FT_TRAIN) /* which uses up what it is given */
		x = ft_dropout_add(g, ft_rescale(g, x, NULL, NULL, NULL, NULL), NULL, a->dropout);
	struct ft_tensor *u = ft_rescale(g, ft_linear(g, x, &v->a, NULL), NULL, &a->part[D]->t, NULL, NULL);
	return ft_sum(g, y, ft_rescale(g, ft_linear(g, u, &v->b, NULL), NULL, &a->part[B]->t, NULL, NULL));
}

/* ---- as a matrix ---- */

/* diag(d) A and diag(b) B. */
static int delta(const struct attached *a, struct ft_delta *d)
{
	const struct ft_tensor *w = &a->weight->t, *all = &a->adapter->shared[SHARED_A]->t,
	                       *b = &a->adapter->shared[SHARED_B]->t;
	int64_t r = all->rows;
	d->r = r;
	d->alpha = (double)r;
	d->dropout = a->dropout;
	d->a = ft_alloc((size_t)(r * w->cols), sizeof *d->a);
	d->b = ft_alloc((size_t)(w->rows * r), sizeof *d->b);
	if (!d->a || !d->b)
		return FT_EFAIL;
	copy_columns(all, d->a, w->cols);
	for (int64_t i = 0; i < r * w->cols; i++)
		d->a[i] *= a->part[D]->t.data[i / w->cols];
	for (int64_t i = 0; i < w->rows * r; i++)
		d->b[i] = b->data[i] * a->part[B]->t.data[i / r];
	return FT_OK;
}

static int merge(const struct attached *a)
{
	struct ft_tensor *w = &a->weight->t;
	struct ft_delta d = { 0 };
	int rc = delta(a, &d);
	if (rc == FT_OK)
		ft_gemm(&(struct ft_gemm){ .add = true, .m = w->rows, .n = w->cols, .k = d.r, .a = d.b, .lda = d.r, .b = d.a,
		                           .b_type = FT_F32, .ldb = w->cols, .c = w->data, .ldc = w->cols });
	free(d.a);
	free(d.b);
	return rc;
}

const struct technique technique_vera = {
	.name = "vera",
	.keys = keys,
	.sites = sites,
	.kinds = SITE_LINEAR,
	.rate = 60,
	.share = share,
	.forget = forget,
	.attach = attach,
	.start = start,
	.release = release,
	.linear = linear,
	.delta = delta,
	.merge = merge,
};
