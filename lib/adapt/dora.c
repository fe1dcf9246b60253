/* dora.c - DoRA: the rows of W + s B A are scaled to lengths that are learned, beside the directions (Liu et al.,
 * "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024). As in PEFT, the length that a row has is a constant on the way
 * back (the paper's section 4.3), and the bias stands outside. Of a table E + s A B^T, whose outputs are its columns,
 * it is these that are scaled, as in PEFT: a length is over the whole vocabulary, and position and type stand
 * outside. */
#include "ft/kernels.h"
#include "ft/mem.h"
#include "lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is kept from pass to pass: lengths hold for the A and B that they were computed for. At a table a row is
 * a column. */
struct dora {
	float *squares; /* [out], of the rows of W, which does not train */
	float *inverse; /* [out], 1 / length of the rows of W + s B A */
	float *minus;   /* [out], -1 */
	float *a, *b;   /* those A and B */
	bool known, made;
};

static size_t size_of(const struct ft_param *p) { return (size_t)p->t.rows * (size_t)p->t.cols; }

static bool is_table(const struct attached *a) { return a->weight->kind == PARAM_TABLE; }
static int64_t outputs_of(const struct attached *a) { return is_table(a) ? a->weight->t.cols : a->weight->t.rows; }

static int new_state(struct attached *a)
{
	size_t out = (size_t)outputs_of(a);
	struct dora *d = a->state = ft_alloc(1, sizeof *d);
	if (!d)
		return FT_EFAIL;
	d->squares = ft_alloc(out, sizeof *d->squares);
	d->inverse = ft_alloc(out, sizeof *d->inverse);
	d->minus = ft_alloc(out, sizeof *d->minus);
	d->a = ft_alloc(size_of(a->part[A]), sizeof *d->a);
	d->b = ft_alloc(size_of(a->part[B]), sizeof *d->b);
	for (size_t i = 0; d->minus && i < out; i++)
		d->minus[i] = -1;
	return d->squares && d->inverse && d->minus && d->a && d->b ? FT_OK : FT_EFAIL;
}

int dora_attach(struct ft_model *m, struct attached *a, const struct site *s)
{
	if (adapt_taken(m, s->name))
		return ft_fail(FT_EUSAGE, "lora: dora at %s, where another technique is already: it must be the first",
		               s->name);
	int rc = adapt_param(m, a, M, s, PARAM_NORM, "m", "lora_magnitude_vector", 1, outputs_of(a));
	return rc ? rc : new_state(a);
}

void dora_release(struct attached *a)
{
	struct dora *d = a->state;
	if (!d)
		return;
	free(d->squares);
	free(d->inverse);
	free(d->minus);
	free(d->a);
	free(d->b);
	free(d);
	a->state = NULL;
}

/* ---- lengths ---- */
static int row_squares(const struct ft_tensor *w, float *squares)
{
	float *row = ft_alloc((size_t)w->cols, sizeof *row);
	for (int64_t i = 0; row && i < w->rows; i++) {
		ft_tensor_floats(w, i, 1, row);
		squares[i] = (float)ft_kernels()->sum_squares(row, (size_t)w->cols);
	}
	free(row);
	return row ? FT_OK : FT_EFAIL;
}

static int column_squares(const struct ft_tensor *w, float *squares)
{
	float *row = ft_alloc((size_t)w->cols, sizeof *row);
	double *sum = ft_alloc((size_t)w->cols, sizeof *sum);
	bool ok = row && sum;
	for (int64_t i = 0; ok && i < w->rows; i++) {
		ft_tensor_floats(w, i, 1, row);
		for (int64_t j = 0; j < w->cols; j++)
			sum[j] += (double)row[j] * (double)row[j];
	}
	for (int64_t j = 0; ok && j < w->cols; j++)
		squares[j] = (float)sum[j];
	free(row);
	free(sum);
	return ok ? FT_OK : FT_EFAIL;
}

/* A W^T [r, out] and A A^T [r, r]; of a table, whose A is [vocabulary, r], A^T W and A^T A. */
static void multiply(const struct attached *a, float *aw, float *aa)
{
	const struct ft_tensor *w = &a->weight->t, *left = &a->part[A]->t;
	bool table = is_table(a);
	int64_t r = table ? left->cols : left->rows, in = table ? left->rows : left->cols, out = outputs_of(a);
	struct ft_gemm g = { .ta = table, .tb = !table, .m = r, .n = out, .k = in, .a = left->data, .lda = left->cols,
		             .b = w->stored ? w->stored : w->data, .b_type = w->stored ? w->dtype : FT_F32, .ldb = w->cols,
		             .c = aw, .ldc = out };
	ft_gemm(&g);
	g.n = g.ldc = r;
	g.b = left->data;
	g.b_type = FT_F32;
	g.ldb = left->cols;
	g.c = aa;
	ft_gemm(&g);
}

/* |w + s b A|^2 of each row = |w|^2 + 2 s b (A w) + s^2 b (A A^T) b: no matrix of W's size is made. */
static int add_products(const struct attached *a, struct dora *d)
{
	const struct ft_tensor *right = &a->part[B]->t;
	int64_t r = right->cols, out = outputs_of(a);
	float *aw = ft_alloc((size_t)(r * out), sizeof *aw), *aa = ft_alloc((size_t)(r * r), sizeof *aa);
	bool ok = aw && aa;
	if (ok)
		multiply(a, aw, aa);
	for (int64_t i = 0; ok && i < out; i++) {
		const float *b = right->data + i * r;
		double cross = 0, own = 0, s = (double)a->scale;
		for (int64_t k = 0; k < r; k++) {
			cross += (double)b[k] * (double)aw[k * out + i];
			own += (double)b[k] * (double)ft_kernels()->dot(aa + k * r, b, (size_t)r);
		}
		double square = (double)d->squares[i] + 2 * s * cross + s * s * own;
		d->inverse[i] = square > 0 ? (float)(1 / sqrt(square)) : 0;
	}
	free(aw);
	free(aa);
	return ok ? FT_OK : FT_EFAIL;
}

/* Brings d->inverse up to date. */
static int measure(const struct attached *a)
{
	struct dora *d = a->state;
	const struct ft_param *left = a->part[A], *right = a->part[B];
	size_t na = size_of(left) * sizeof(float), nb = size_of(right) * sizeof(float);
	bool fixed = d->known && !a->weight->trains;
	if (d->made && fixed && memcmp(d->a, left->t.data, na) == 0 && memcmp(d->b, right->t.data, nb) == 0)
		return FT_OK;
	int rc = fixed ? FT_OK : (is_table(a) ? column_squares : row_squares)(&a->weight->t, d->squares);
	d->known = true;
	rc = rc ? rc : add_products(a, d);
	memcpy(d->a, left->t.data, na);
	memcpy(d->b, right->t.data, nb);
	d->made = rc == FT_OK;
	return rc;
}

int dora_start(const struct attached *a)
{
	const struct dora *d = a->state;
	int rc = measure(a);
	for (int64_t i = 0; rc == FT_OK && i < outputs_of(a); i++)
		a->part[M]->t.data[i] = d->inverse[i] > 0 ? 1 / d->inverse[i] : 0;
	return rc;
}

/* ---- on every pass ---- */

/* With dropout it is on what the whole change sees: y + (m/n) (W + s B A) x' - W x', of x' = dropout(x). */
static struct ft_tensor *dropped(struct ft_graph *g, const struct attached *a, struct ft_tensor *x, struct ft_tensor *y)
{
	const struct dora *d = a->state;
	struct ft_tensor *copy = ft_rescale(g, x, NULL, NULL, NULL, NULL);
	struct ft_tensor *seen = ft_dropout_add(g, copy, NULL, a->dropout);
	struct ft_tensor *w = ft_linear(g, seen, &a->weight->t, NULL);
	struct ft_tensor *less = ft_rescale(g, w, NULL, NULL, NULL, d->minus);
	struct ft_tensor *v = ft_low_rank(g, w, seen, &a->part[A]->t, &a->part[B]->t, a->scale, 0);
	v = ft_rescale(g, v, NULL, &a->part[M]->t, NULL, d->inverse);
	return ft_sum(g, ft_sum(g, y, less), v);
}

struct ft_tensor *dora_linear(struct ft_graph *g, const struct attached *a, struct ft_tensor *x, struct ft_tensor *y)
{
	const struct dora *d = a->state;
	int rc = ft_graph_plans(g) ? FT_OK : measure(a);
	if (rc < 0)
		return ft_graph_fail(g, rc), NULL;
	if (a->dropout > 0 && ft_graph_mode(g) == FT_TRAIN)
		return dropped(g, a, x, y);
	y = ft_low_rank(g, y, x, &a->part[A]->t, &a->part[B]->t, a->scale, 0);
	return ft_rescale(g, y, NULL, &a->part[M]->t, a->bias ? &a->bias->t : NULL, d->inverse);
}

/* y + (m/n) (e + s A B^T) - e, of the vectors e of words: y has those of positions and types, too. */
struct ft_tensor *dora_table(struct ft_graph *g, const struct attached *a, const struct ft_batch *b,
                             struct ft_tensor *low, struct ft_tensor *y)
{
	const struct dora *d = a->state;
	struct ft_embed_options words = { .padding = a->embed->padding, .scale = a->embed->scale };
	int rc = ft_graph_plans(g) ? FT_OK : measure(a);
	if (rc < 0)
		return ft_graph_fail(g, rc), NULL;
	struct ft_tensor *e = ft_embed(g, b, &a->weight->t, NULL, NULL, &words);
	struct ft_tensor *less = ft_rescale(g, e, NULL, NULL, NULL, d->minus);
	struct ft_tensor *v = ft_low_rank(g, e, low, NULL, &a->part[B]->t, a->scale, 0);
	v = ft_rescale(g, v, NULL, &a->part[M]->t, NULL, d->inverse);
	return ft_sum(g, ft_sum(g, y, less), v);
}

int dora_merge(const struct attached *a, int (*lora)(const struct attached *a))
{
	const struct dora *d = a->state;
	struct ft_tensor *w = &a->weight->t;
	bool table = is_table(a);
	int rc = measure(a);
	rc = rc ? rc : lora(a);
	for (int64_t i = 0; rc == FT_OK && i < w->rows; i++)
		for (int64_t j = 0; j < w->cols; j++)
			w->data[i * w->cols + j] *= a->part[M]->t.data[table ? j : i] * d->inverse[table ? j : i];
	return rc;
}
