/* dora.c - DoRA: the rows of W + s B A are scaled to lengths that are learned, beside the directions (Liu et al., "DoRA:
 * Weight-Decomposed Low-Rank Adaptation", 2024). As in PEFT, the length that a row has is a constant on the way back (the
 * paper's section 4.3), and the bias stands outside. */
#include "ft/kernels.h"
#include "ft/mem.h"
#include "lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is kept from pass to pass: lengths hold for the A and B that they were computed for. */
struct dora {
	float *squares; /* [out], of the rows of W, which does not train */
	float *inverse; /* [out], 1 / length of the rows of W + s B A */
	float *minus;   /* [out], -1 */
	float *a, *b;   /* those A and B */
	bool known, made;
};

static size_t size_of(const struct ft_param *p) { return (size_t)p->t.rows * (size_t)p->t.cols; }

static int new_state(struct attached *a)
{
	size_t out = (size_t)a->weight->t.rows;
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
	if (s->kind != SITE_LINEAR)
		return ft_fail(FT_EUSAGE, "lora: dora at %s, which is a table: it is for linear layers", s->name);
	if (adapt_taken(m, s->name))
		return ft_fail(FT_EUSAGE, "lora: dora at %s, where another technique is already: it must be the first", s->name);
	int rc = adapt_param(m, a, M, s, PARAM_NORM, "m", "lora_magnitude_vector", 1, s->weight->t.rows);
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
static int row_squares(const struct attached *a, float *squares)
{
	const struct ft_tensor *w = &a->weight->t;
	float *row = ft_alloc((size_t)w->cols, sizeof *row);
	for (int64_t i = 0; row && i < w->rows; i++) {
		ft_tensor_floats(w, i, 1, row);
		squares[i] = (float)ft_kernels()->sum_squares(row, (size_t)w->cols);
	}
	free(row);
	return row ? FT_OK : FT_EFAIL;
}

/* |w + s b A|^2 of each row = |w|^2 + 2 s b (A w) + s^2 b (A A^T) b: no matrix of W's size is made. */
static int add_products(const struct attached *a, struct dora *d)
{
	const struct ft_tensor *w = &a->weight->t, *left = &a->part[A]->t, *right = &a->part[B]->t;
	int64_t r = left->rows;
	float *aw = ft_alloc((size_t)(r * w->rows), sizeof *aw), *aa = ft_alloc((size_t)(r * r), sizeof *aa);
	bool ok = aw && aa;
	if (ok) {
		ft_gemm(&(struct ft_gemm){ .tb = true, .m = r, .n = w->rows, .k = w->cols, .a = left->data, .lda = left->cols,
		                           .b = w->stored ? w->stored : w->data, .b_type = w->stored ? w->dtype : FT_F32,
		                           .ldb = w->cols, .c = aw, .ldc = w->rows });
		ft_gemm(&(struct ft_gemm){ .tb = true, .m = r, .n = r, .k = left->cols, .a = left->data, .lda = left->cols,
		                           .b = left->data, .b_type = FT_F32, .ldb = left->cols, .c = aa, .ldc = r });
	}
	for (int64_t i = 0; ok && i < w->rows; i++) {
		const float *b = right->data + i * r;
		double cross = 0, own = 0, s = (double)a->scale;
		for (int64_t k = 0; k < r; k++) {
			cross += (double)b[k] * (double)aw[k * w->rows + i];
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
	int rc = fixed ? FT_OK : row_squares(a, d->squares);
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
	for (int64_t i = 0; rc == FT_OK && i < a->weight->t.rows; i++)
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

int dora_merge(const struct attached *a, int (*lora)(const struct attached *a))
{
	const struct dora *d = a->state;
	struct ft_tensor *w = &a->weight->t;
	int rc = measure(a);
	rc = rc ? rc : lora(a);
	for (int64_t i = 0; rc == FT_OK && i < w->rows; i++)
		for (int64_t j = 0; j < w->cols; j++)
			w->data[i * w->cols + j] *= a->part[M]->t.data[i] * d->inverse[i];
	return rc;
}
