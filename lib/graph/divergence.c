/* divergence.c - how far a prediction is from another one: the Kullback-Leibler divergence of
 * classes, of labels each by itself, or the squared error of numbers. */
#include "divergence.h"

#include <math.h>

/* ---- one unit ---- */

/* KL(q || p) = sum q (log q - log p), q = softmax(r / t), p = softmax(x / t); d/dx = (p - q) / t. The
 * factor t^2 keeps gradients as large as those of labels (Hinton et al., "Distilling the Knowledge in
 * a Neural Network", 2015, section 2). */
static double diverge_classes(float *x, int64_t n, const float *r, int64_t known, float *q, float t, float scale)
{
	memcpy(q, r, (size_t)known * sizeof *q);
	float lse_q = ft_kernels()->softmax(q, 1 / t, (size_t)known);
	double sum = 0;
	for (int64_t c = 0; c < known; c++)
		sum += q[c] * ((double)r[c] - x[c]);
	float lse_p = ft_kernels()->softmax(x, 1 / t, (size_t)n);
	float slope = scale * t;
	for (int64_t c = 0; c < known; c++)
		x[c] = slope * (x[c] - q[c]);
	for (int64_t c = known; c < n; c++)
		x[c] *= slope;
	return (double)scale * t * t * (sum / t - lse_q + lse_p);
}

double diverge_top(float *x, int64_t n, const int32_t *ids, const float *r, int64_t k, float *room,
                   const struct ft_divergence_options *o)
{
	float t = o->temperature, slope = o->scale * t, *q = room;
	memcpy(q, r, (size_t)k * sizeof *q);
	float lse_q = ft_kernels()->softmax(q, 1 / t, (size_t)k);
	double sum = 0;
	for (int64_t i = 0; i < k; i++)
		sum += q[i] * ((double)r[i] - x[ids[i]]);
	float lse_p = ft_kernels()->softmax(x, 1 / t, (size_t)n);
	for (int64_t c = 0; c < n; c++)
		x[c] *= slope;
	for (int64_t i = 0; i < k; i++)
		x[ids[i]] -= slope * q[i];
	return (double)o->scale * t * t * (sum / t - lse_q + lse_p);
}

static double log_one_plus_exp(double x) { return log1p(exp(-fabs(x))) + (x > 0 ? x : 0); }
static double logistic(double x) { return 1 / (1 + exp(-x)); }

/* Mean over labels of q (log q - log p) + (1 - q) (log(1 - q) - log(1 - p)). */
static double diverge_labels(float *x, int64_t n, const float *r, float t, float scale)
{
	double sum = 0;
	for (int64_t c = 0; c < n; c++) {
		double a = (double)x[c] / t, b = (double)r[c] / t, q = logistic(b);
		sum += q * (b - a) + log_one_plus_exp(a) - log_one_plus_exp(b);
		x[c] = (float)(scale * t * (logistic(a) - q) / (double)n);
	}
	return (double)scale * t * t * sum / (double)n;
}

static double diverge_numbers(float *x, int64_t n, const float *r, float scale)
{
	double sum = 0;
	for (int64_t c = 0; c < n; c++) {
		double d = (double)x[c] - r[c];
		sum += d * d;
		x[c] = (float)(2 * scale * d / (double)n);
	}
	return scale * sum / (double)n;
}

double diverge(float *x, int64_t n, const float *r, int64_t known, float *room, const struct ft_divergence_options *o)
{
	switch (o->kind) {
	case FT_CLASSES: return diverge_classes(x, n, r, known, room, o->temperature, o->scale);
	case FT_LABELS: return diverge_labels(x, n, r, o->temperature, o->scale);
	default: return diverge_numbers(x, n, r, o->scale);
	}
}

/* With d = log p - log q: half of sum p d - sum q d; twice its gradient is p (d - KL(p || q)) + p - q,
 * and the same with p and q exchanged. */
static double twin_classes(float *x, float *y, int64_t n, float *room, float scale)
{
	float *p = memcpy(room, x, (size_t)n * sizeof *p), *q = memcpy(room + n, y, (size_t)n * sizeof *q);
	float lse_p = ft_kernels()->softmax(p, 1, (size_t)n), lse_q = ft_kernels()->softmax(q, 1, (size_t)n);
	double pq = 0, qp = 0;
	for (int64_t c = 0; c < n; c++) {
		x[c] = (x[c] - lse_p) - (y[c] - lse_q);
		pq += (double)p[c] * x[c];
		qp -= (double)q[c] * x[c];
	}
	for (int64_t c = 0; c < n; c++) {
		float d = x[c];
		x[c] = scale * (p[c] * (d - (float)pq) + p[c] - q[c]);
		y[c] = scale * (q[c] * (-d - (float)qp) + q[c] - p[c]);
	}
	return scale * (pq + qp) / 2;
}

/* Of each label half of (p - q) (x - y), since x and y are log p/(1-p) and log q/(1-q). */
static double twin_labels(float *x, float *y, int64_t n, float scale)
{
	double sum = 0;
	for (int64_t c = 0; c < n; c++) {
		double d = (double)x[c] - y[c], p = logistic(x[c]), q = logistic(y[c]);
		sum += (p - q) * d;
		x[c] = (float)(scale * (p * (1 - p) * d + p - q) / (double)n);
		y[c] = (float)(-scale * (q * (1 - q) * d + p - q) / (double)n);
	}
	return scale * sum / (2 * (double)n);
}

static double twin_numbers(float *x, float *y, int64_t n, float scale)
{
	double sum = 0;
	for (int64_t c = 0; c < n; c++) {
		double d = (double)x[c] - y[c];
		sum += d * d;
		x[c] = (float)(4 * scale * d / (double)n);
		y[c] = -x[c];
	}
	return scale * sum / (double)n;
}

double diverge_twins(float *x, float *y, int64_t n, float *room, enum ft_prediction kind, float scale)
{
	switch (kind) {
	case FT_CLASSES: return twin_classes(x, y, n, room, scale);
	case FT_LABELS: return twin_labels(x, y, n, scale);
	default: return twin_numbers(x, y, n, scale);
	}
}

/* ---- of logits [n, classes]. saved: their gradient for a gradient of 1. ---- */

/* The logits, to become gradients, and the loss of the units. */
static float *copy_logits(struct ft_graph *g, struct ft_tensor *logits, struct ft_tensor **loss)
{
	if (!graph_ready(g, &logits, 1) || !(*loss = ft_graph_tensor(g, logits->rows, 1)))
		return NULL;
	float *d = graph_floats(g, tensor_size(logits));
	if (d)
		graph_copy(g, d, logits->data, tensor_size(logits));
	return d;
}

static struct ft_tensor *record(struct ft_graph *g, enum op op, struct ft_tensor *loss, struct ft_tensor *logits,
                                float *d)
{
	struct node *n = graph_record(g, op, loss, &logits, 1);
	if (n)
		n->saved = d;
	else
		graph_release(g, d, tensor_size(logits));
	return loss;
}

struct ft_tensor *ft_divergence(struct ft_graph *g, struct ft_tensor *logits, const float *reference, int64_t rows,
                                const struct ft_divergence_options *o)
{
	struct ft_tensor *loss;
	float *d = copy_logits(g, logits, &loss), *room = d ? graph_scratch(g, (size_t)logits->cols) : NULL;
	if (!d || !room)
		return ft_graph_error(g) ? NULL : (ft_graph_fail(g, FT_EFAIL), NULL);
	int64_t n = logits->cols;
	for (int64_t i = 0; i < graph_todo(g, logits->rows); i++)
		loss->data[i] = (float)diverge(d + i * n, n, reference + i % rows * n, n, room, o);
	return record(g, OP_divergence, loss, logits, d);
}

struct ft_tensor *ft_twin_divergence(struct ft_graph *g, struct ft_tensor *logits, enum ft_prediction kind, float scale)
{
	struct ft_tensor *loss;
	float *d = copy_logits(g, logits, &loss), *room = d ? graph_scratch(g, 2 * (size_t)logits->cols) : NULL;
	if (!d || !room)
		return ft_graph_error(g) ? NULL : (ft_graph_fail(g, FT_EFAIL), NULL);
	int64_t n = logits->cols, pairs = logits->rows / 2;
	for (int64_t i = 0; i < graph_todo(g, pairs); i++)
		loss->data[i] = loss->data[pairs + i] =
			(float)diverge_twins(d + i * n, d + (pairs + i) * n, n, room, kind, scale);
	return record(g, OP_twin_divergence, loss, logits, d);
}

int op_divergence_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *logits = n->in[0];
	bool fresh;
	float *dx = ft_grad(g, logits, &fresh);
	if (!dx)
		return FT_EFAIL;
	for (int64_t i = 0; i < graph_todo(g, logits->rows); i++)
		for (int64_t k = i * logits->cols; k < (i + 1) * logits->cols; k++)
			dx[k] = n->out->grad[i] * n->saved[k] + (fresh ? 0 : dx[k]);
	graph_release(g, n->saved, tensor_size(logits));
	return FT_OK;
}

/* Twins have one loss in two places, which flow back alike: the mean of both. */
int op_twin_divergence_back(struct ft_graph *g, struct node *n)
{
	int64_t pairs = n->out->rows / 2;
	float *dy = n->out->grad;
	for (int64_t i = 0; i < graph_todo(g, pairs); i++)
		dy[i] = dy[pairs + i] = (dy[i] + dy[pairs + i]) / 2;
	return op_divergence_back(g, n);
}
