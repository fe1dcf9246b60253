/* loss_linear.c - cross-entropy over a large vocabulary, and the log-probabilities of labels. */
#include "chunks.h"

#include <math.h>

struct unit_rows { /* the units of one chunk */
	struct chunks *c;
	float *logits, *out, *lse;
	uint8_t *hits; /* NULL: nobody asks */
	const int32_t *labels;
	const float *dy;
};

/* Whether x[y] is the greatest of n, of equals the first. */
static bool is_top(const float *x, int64_t n, int32_t y)
{
	for (int64_t i = 0; i < n; i++)
		if (i < y ? !(x[i] < x[y]) : !(x[i] <= x[y]))
			return false;
	return true;
}

/* A unit without a label: no loss, no gradient. */
static void ignore_unit(struct unit_rows *r, size_t i)
{
	int64_t v = chunks_vocabulary(r->c);
	memset(r->logits + (int64_t)i * v, 0, (size_t)v * sizeof *r->logits);
	if (r->out)
		r->out[i] = 0;
	if (r->hits)
		r->hits[i] = 0;
}

/* The logits of a unit with its cap; *slope NULL where none is needed. False: no memory. */
static bool cap_unit(struct unit_rows *r, float *x, bool back, float **slope)
{
	int64_t v = chunks_vocabulary(r->c);
	*slope = back && r->c->of.cap > 0 ? chunks_scratch(r->c, v) : NULL;
	chunks_cap(r->c, x, *slope, v);
	return *slope || !back || !(r->c->of.cap > 0);
}

static void plan_slope(struct chunks *c)
{
	graph_plan_scratch(c->g, c->back && c->of.cap > 0 ? (size_t)chunks_vocabulary(c) : 0);
}

static void entropy_row(void *ctx, size_t i)
{
	struct unit_rows *r = ctx;
	int64_t v = chunks_vocabulary(r->c);
	float *slope, *x = r->logits + (int64_t)i * v;
	int32_t y = r->labels[i];
	if (y == FT_IGNORE) {
		ignore_unit(r, i);
		return;
	}
	if (!cap_unit(r, x, r->c->back, &slope))
		return;
	if (r->hits)
		r->hits[i] = is_top(x, v, y);
	float at_label = x[y];
	float lse = r->c->back ? ft_kernels()->softmax(x, 1, (size_t)v) : ft_kernels()->log_sum_exp(x, (size_t)v);
	r->out[i] = lse - at_label;
	if (r->c->back)
		x[y] -= 1;
	if (slope)
		ft_kernels()->mul(x, slope, (size_t)v);
}

static int check(struct ft_graph *g, const int32_t *labels, int64_t n, int64_t vocabulary)
{
	for (int64_t i = 0; i < n; i++)
		if (labels[i] != FT_IGNORE && (labels[i] < 0 || labels[i] >= vocabulary))
			return ft_graph_fail(g, ft_fail(FT_EMATCH, "label %d; the vocabulary has %lld", labels[i],
			                                (long long)vocabulary));
	return FT_OK;
}

struct ft_tensor *ft_linear_cross_entropy(struct ft_graph *g, const struct ft_decoded *of, const int32_t *labels,
                                          uint8_t *hits)
{
	struct ft_tensor *in[3] = { of->x, of->w, of->b };
	if (!graph_ready(g, in, of->b ? 3 : 2) || check(g, labels, of->x->rows, of->w->rows) < 0)
		return NULL;
	int64_t units = of->x->rows, v = of->w->rows, rows = chunk_units(units, v);
	struct chunks c = { .g = g, .of = *of };
	struct ft_tensor *loss = ft_graph_tensor(g, units, 1);
	float *logits = graph_floats(g, (size_t)(rows * v));
	if (!loss || !logits || chunks_forward(&c) < 0)
		return NULL;
	for (int64_t from = 0; from < units; from += rows) {
		int64_t n = units - from < rows ? units - from : rows;
		struct unit_rows r = { .c = &c, .logits = logits, .out = loss->data + from, .labels = labels + from,
		                       .hits = hits ? hits + from : NULL };
		chunks_logits(&c, from, n, v, logits);
		plan_slope(&c);
		graph_share(g, (size_t)n, 1e18, entropy_row, &r);
		if (chunks_end(&c) < 0)
			return NULL;
		chunks_back(&c, from, n, logits);
	}
	graph_release(g, logits, (size_t)(rows * v));
	chunks_record(&c, OP_linear_cross_entropy, loss);
	return loss;
}

int op_linear_cross_entropy_back(struct ft_graph *g, struct node *n) { return chunks_known_back(g, n); }

/* ---- log-probabilities of labels. What is made of them decides what flows back, so that the logits
 * are made once more. data[0]: labels. real: the cap. saved: log sum exp of each unit. ---- */
static void log_prob_row(void *ctx, size_t i)
{
	struct unit_rows *r = ctx;
	int64_t v = chunks_vocabulary(r->c);
	float *x = r->logits + (int64_t)i * v;
	int32_t y = r->labels[i];
	r->out[i] = r->lse[i] = 0;
	if (y == FT_IGNORE)
		return;
	chunks_cap(r->c, x, NULL, v);
	r->lse[i] = ft_kernels()->log_sum_exp(x, (size_t)v);
	r->out[i] = x[y] - r->lse[i];
}

struct ft_tensor *ft_linear_log_prob(struct ft_graph *g, const struct ft_decoded *of, const int32_t *labels)
{
	struct ft_tensor *in[3] = { of->x, of->w, of->b };
	if (!graph_ready(g, in, of->b ? 3 : 2) || check(g, labels, of->x->rows, of->w->rows) < 0)
		return NULL;
	int64_t units = of->x->rows, v = of->w->rows, rows = chunk_units(units, v);
	struct chunks c = { .g = g, .of = *of };
	struct ft_tensor *y = ft_graph_tensor(g, units, 1);
	float *logits = graph_floats(g, (size_t)(rows * v)), *lse = ft_graph_alloc(g, (size_t)units * sizeof *lse);
	if (!y || !logits || !lse)
		return NULL;
	for (int64_t from = 0; from < units; from += rows) {
		int64_t n = units - from < rows ? units - from : rows;
		struct unit_rows r = { .c = &c, .logits = logits, .out = y->data + from, .lse = lse + from,
		                       .labels = labels + from };
		chunks_logits(&c, from, n, v, logits);
		graph_share(g, (size_t)n, 1e18, log_prob_row, &r);
	}
	graph_release(g, logits, (size_t)(rows * v));
	struct node *n = graph_record(g, OP_linear_log_prob, y, in, 3);
	if (n) {
		n->data[0] = labels;
		n->real = of->cap;
		n->saved = lse;
	}
	return y;
}

/* d/dx[c] = dy ([c = y] - p[c]). */
static void log_prob_row_back(void *ctx, size_t i)
{
	struct unit_rows *r = ctx;
	int64_t v = chunks_vocabulary(r->c);
	float *slope, *x = r->logits + (int64_t)i * v;
	int32_t y = r->labels[i];
	if (y == FT_IGNORE) {
		ignore_unit(r, i);
		return;
	}
	if (!cap_unit(r, x, true, &slope))
		return;
	ft_kernels()->softmax_again(x, 1, r->lse[i], (size_t)v);
	x[y] -= 1;
	for (int64_t k = 0; k < v; k++)
		x[k] *= -r->dy[i];
	if (slope)
		ft_kernels()->mul(x, slope, (size_t)v);
}

int op_linear_log_prob_back(struct ft_graph *g, struct node *n)
{
	struct chunks c = { .g = g, .of = { n->in[0], n->in[1], n->in[2], n->real } };
	int64_t units = c.of.x->rows, v = c.of.w->rows, rows = chunk_units(units, v);
	float *logits = graph_floats(g, (size_t)(rows * v));
	if (!logits || chunks_backward(&c) < 0)
		return FT_EFAIL;
	for (int64_t from = 0; from < units; from += rows) {
		int64_t many = units - from < rows ? units - from : rows;
		struct unit_rows r = { .c = &c, .logits = logits, .lse = n->saved + from, .dy = n->out->grad + from,
		                       .labels = (const int32_t *)n->data[0] + from };
		chunks_logits(&c, from, many, v, logits);
		plan_slope(&c);
		graph_share(g, (size_t)many, 1e18, log_prob_row_back, &r);
		if (chunks_end(&c) < 0)
			return FT_EFAIL;
		chunks_back(&c, from, many, logits);
	}
	graph_release(g, logits, (size_t)(rows * v));
	return FT_OK;
}
