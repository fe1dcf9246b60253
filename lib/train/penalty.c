/* penalty.c - what keeps weights near those that training starts from, w0.
 *
 * Added to what a step descends:
 *	L2-SP  x/2 sum (w - w0)^2 over what trains of the base (Li et al., ICML 2018)
 *	EWC    l/2 sum F (w - w0)^2 over what a Fisher stream is about (Kirkpatrick et al., PNAS
 *	       2017), F the diagonal of the Fisher information on what was learnt before
 *
 * Both are one coefficient for each weight: C = x + l F. */
#include "ft/thread.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

#define RUN 65536 /* elements of an item of work, about */

struct held { /* a parameter whose weights are kept near */
	struct ft_param *p;
	float *start;
	float *fisher; /* times the weight of EWC; NULL: none */
	double l2;
};

struct rows { /* an item of work */
	struct held *held;
	int64_t row, rows;
};

struct penalty {
	struct held *held;
	struct rows *items;
	double *sums; /* [items] */
	size_t count, nitems, cap;
	float scale; /* of the gradients that are added */
};

static size_t elements(const struct ft_param *p)
{
	return (size_t)p->t.rows * (size_t)p->t.cols;
}

/* ---- opening ---- */
static bool of_head(const struct ft_param *p)
{
	return strncmp(p->name, "head.", 5) == 0;
}

static struct held *hold(struct penalty *x, struct ft_param *p)
{
	for (size_t i = 0; i < x->count; i++)
		if (x->held[i].p == p)
			return &x->held[i];
	struct held *h = &x->held[x->count];
	h->p = p;
	h->start = ft_alloc_whole(elements(p), sizeof(float));
	if (!h->start)
		return NULL;
	memcpy(h->start, p->t.data, elements(p) * sizeof(float));
	x->count++;
	return h;
}

/* Weights of the base are drawn to where they began instead of to 0. */
static int hold_base(struct penalty *x, struct ft_model *m, double l2)
{
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		if (!p->trains || p->fresh)
			continue;
		struct held *h = hold(x, p);
		if (!h)
			return FT_EFAIL;
		h->l2 = l2;
		p->decays = false;
	}
	return FT_OK;
}

/* The parameter that a tensor is about; NULL with FT_OK: of a head that was exchanged, or frozen. */
static int find_param(struct ft_model *m, struct ft_reader *r, const struct ft_tensor_desc *d, struct ft_param **found)
{
	char name[256];
	const json_t *head = json_object_get(ft_reader_meta(r), "head");
	bool same = json_equal(head, json_object_get(ft_model_meta(m), "head"));
	snprintf(name, sizeof name, "%.*s", (int)(d->name.n < 255 ? d->name.n : 255), d->name.p);
	struct ft_param *p = *found = ft_model_find(m, name);
	if (!same && (strncmp(name, "head.", 5) == 0 || (p && of_head(p)))) {
		*found = NULL;
		return FT_OK;
	}
	if (!p)
		return ft_reader_fail(r, FT_EMATCH, "%s has no parameter '%s'", ft_model_name(m), name);
	int64_t rows = d->rank == 2 ? d->shape[0] : 1, cols = d->rank ? d->shape[d->rank - 1] : 1;
	if (d->rank != p->rank || rows != p->t.rows || cols != p->t.cols || strcmp(d->dtype, "F32") != 0)
		return ft_reader_fail(r, FT_EMATCH, "'%s' is not a float32 tensor of the shape that %s has", name,
		                      ft_model_name(m));
	if (!p->trains)
		*found = NULL;
	return FT_OK;
}

static int read_fisher(struct penalty *x, struct ft_reader *r, const struct ft_tensor_desc *d, struct ft_param *p,
                       double weight)
{
	struct held *h = hold(x, p);
	if (!h || h->fisher || !(h->fisher = ft_alloc_whole(elements(p), sizeof(float))))
		return h && h->fisher ? ft_reader_fail(r, FT_EFORMAT, "'%s' comes twice", p->name) : FT_EFAIL;
	int rc = ft_tensor_data(r, d, h->fisher);
	for (size_t i = 0; rc == FT_OK && i < elements(p); i++) {
		if (!(h->fisher[i] >= 0 && h->fisher[i] <= 3e38f))
			rc = ft_reader_fail(r, FT_EFORMAT, "'%s': element %zu is no mean of squares", p->name, i);
		h->fisher[i] = (float)(weight * h->fisher[i]);
	}
	return rc;
}

static int read_all(struct penalty *x, struct ft_model *m, struct ft_reader *r, double weight)
{
	const char *of = json_string_value(json_object_get(json_object_get(ft_reader_meta(r), "base"), "digest"));
	const char *ours = json_string_value(json_object_get(json_object_get(ft_model_meta(m), "base"), "digest"));
	if (!of || !ours || strcmp(of, ours) != 0)
		return ft_fail(FT_EMATCH, "%s is about a model whose base has the digest %s; that of %s has %s",
		               ft_reader_name(r), of ? of : "(none)", ft_model_name(m), ours ? ours : "(none)");
	struct ft_tensor_desc d;
	int rc;
	while ((rc = ft_tensor_read(r, &d)) > 0) {
		struct ft_param *p;
		rc = find_param(m, r, &d, &p);
		if (rc == FT_OK)
			rc = p ? read_fisher(x, r, &d, p, weight) : ft_tensor_data(r, &d, NULL);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int hold_fisher(struct penalty *x, struct ft_model *m, const struct ft_train_options *o)
{
	struct ft_reader *r = ft_reader_open(o->ewc, "fisher");
	size_t about = 0;
	int rc = r ? read_all(x, m, r, o->ewc_weight) : ft_last_error();
	for (size_t i = 0; i < x->count; i++)
		about += x->held[i].fisher != NULL;
	if (rc == FT_OK && !about)
		rc = ft_fail(FT_EMATCH, "%s is about nothing that trains in %s", ft_reader_name(r), ft_model_name(m));
	ft_reader_close(r);
	return rc;
}

static int cut(struct penalty *x)
{
	for (size_t i = 0; i < x->count; i++) {
		const struct ft_tensor *t = &x->held[i].p->t;
		int64_t rows = t->cols < RUN ? RUN / t->cols : 1;
		for (int64_t r = 0; r < t->rows; r += rows) {
			if (ft_grow(&x->items, &x->cap, x->nitems + 1, sizeof *x->items) < 0)
				return FT_EFAIL;
			x->items[x->nitems++] = (struct rows){ &x->held[i], r, t->rows - r < rows ? t->rows - r : rows };
		}
	}
	x->sums = ft_alloc(x->nitems, sizeof *x->sums);
	return x->sums ? FT_OK : FT_EFAIL;
}

struct penalty *penalty_new(struct ft_model *m, const struct ft_train_options *o)
{
	struct penalty *x = ft_alloc(1, sizeof *x);
	if (!x)
		return NULL;
	x->held = ft_alloc(ft_model_params(m), sizeof *x->held);
	int rc = x->held ? FT_OK : FT_EFAIL;
	if (rc == FT_OK && o->l2_sp > 0)
		rc = hold_base(x, m, o->l2_sp);
	if (rc == FT_OK && o->ewc)
		rc = hold_fisher(x, m, o);
	rc = rc ? rc : cut(x);
	if (rc == FT_OK)
		return x;
	penalty_free(x);
	return NULL;
}

void penalty_free(struct penalty *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->count; i++) {
		free(x->held[i].start);
		free(x->held[i].fisher);
	}
	free(x->held);
	free(x->items);
	free(x->sums);
	free(x);
}

/* ---- a step ---- */

/* The penalty of a row. */
static double row_value(const struct held *h, size_t at)
{
	double sum = 0;
	for (size_t i = at; i < at + (size_t)h->p->t.cols; i++) {
		double d = (double)h->p->t.data[i] - h->start[i];
		sum += 0.5 * (h->l2 + (h->fisher ? h->fisher[i] : 0)) * d * d;
	}
	return sum;
}

static void add_gradient(const struct held *h, size_t at, float scale)
{
	float l2 = (float)h->l2;
	for (size_t i = at; i < at + (size_t)h->p->t.cols; i++)
		h->p->t.grad[i] += scale * (l2 + (h->fisher ? h->fisher[i] : 0)) * (h->p->t.data[i] - h->start[i]);
}

/* A row of a table that no batch has used gets a gradient only where its weights have moved. */
static void penalise_rows(void *ctx, size_t i)
{
	struct penalty *x = ctx;
	const struct rows *item = &x->items[i];
	struct ft_tensor *t = &item->held->p->t;
	double sum = 0;
	for (int64_t r = item->row; r < item->row + item->rows; r++) {
		size_t at = (size_t)(r * t->cols);
		double value = row_value(item->held, at);
		sum += value;
		if (value == 0 || !t->has_grad) /* of the second the optimizer leaves all as it is */
			continue;
		if (t->touched && !t->dense && !t->touched[r]) {
			memset(t->grad + at, 0, (size_t)t->cols * sizeof *t->grad);
			t->touched[r] = 1;
		}
		add_gradient(item->held, at, x->scale);
	}
	x->sums[i] = sum;
}

double penalty_add(struct penalty *x, double weight)
{
	double sum = 0;
	x->scale = (float)weight;
	ft_parallel(x->nitems, penalise_rows, x);
	for (size_t i = 0; i < x->nitems; i++)
		sum += x->sums[i];
	return sum;
}
