/* loss.c - losses of units (rows or tokens), unreduced. */
#include "priv.h"

#include <math.h>

/* ---- cross-entropy of logits [n, classes], as torch.nn.CrossEntropyLoss:
 *   (1 - s) w[y] nll(y) + s / classes sum_c w[c] nll(c),  nll(c) = lse - x[c]
 * in: logits. data[0]: labels, data[1]: weights or NULL. real: s. saved: lse. ---- */
static double cross_entropy_unit(const float *x, int64_t classes, int32_t y, float lse, float s, const float *w)
{
	double loss = (1.0 - s) * (w ? w[y] : 1.0f) * (lse - x[y]);
	if (s > 0)
		for (int64_t c = 0; c < classes; c++)
			loss += s / (double)classes * (w ? w[c] : 1.0f) * (lse - x[c]);
	return loss;
}

static int check_labels(const int32_t *labels, int64_t n, int64_t classes)
{
	for (int64_t i = 0; i < n; i++)
		if (labels[i] != FT_IGNORE && (labels[i] < 0 || labels[i] >= classes))
			return ft_fail(FT_EMATCH, "label %d; the head has %lld outputs", labels[i], (long long)classes);
	return FT_OK;
}

struct ft_tensor *ft_cross_entropy(struct ft_graph *g, struct ft_tensor *logits, const int32_t *labels,
                                   const struct ft_loss_options *o)
{
	if (!graph_ready(g, &logits, 1))
		return NULL;
	int rc = check_labels(labels, logits->rows, logits->cols);
	if (rc < 0)
		return ft_graph_fail(g, rc), NULL;
	struct ft_tensor *loss = ft_graph_tensor(g, logits->rows, 1);
	float *lse = ft_graph_alloc(g, (size_t)logits->rows * sizeof *lse);
	if (!loss || !lse)
		return NULL;
	float s = o ? o->smoothing : 0;
	const float *w = o ? o->weights : NULL;
	for (int64_t i = 0; i < graph_todo(g, logits->rows); i++) {
		const float *x = logits->data + i * logits->cols;
		lse[i] = ft_kernels()->log_sum_exp(x, (size_t)logits->cols);
		loss->data[i] = labels[i] == FT_IGNORE
		                        ? 0
		                        : (float)cross_entropy_unit(x, logits->cols, labels[i], lse[i], s, w);
	}
	struct node *n = graph_record(g, OP_cross_entropy, loss, &logits, 1);
	if (n) {
		n->data[0] = labels;
		n->data[1] = w;
		n->real = s;
		n->saved = lse;
	}
	return loss;
}

/* d/dx[c] = p[c] W - ((1 - s) w[y] [c = y] + s/classes w[c]), where W is the sum
 * of what is subtracted. */
static void cross_entropy_unit_back(float *dx, bool fresh, float dy, const float *x, int64_t classes, int32_t y,
                                    float lse, float s, const float *w)
{
	float total = (1 - s) * (w ? w[y] : 1);
	for (int64_t c = 0; s > 0 && c < classes; c++)
		total += s / (float)classes * (w ? w[c] : 1);
	for (int64_t c = 0; c < classes; c++) {
		float wc = w ? w[c] : 1, target = (c == y ? (1 - s) * wc : 0) + s / (float)classes * wc;
		float d = dy * (expf(x[c] - lse) * total - target);
		dx[c] = fresh ? d : dx[c] + d;
	}
}

int op_cross_entropy_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *logits = n->in[0];
	const int32_t *labels = n->data[0];
	bool fresh;
	float *dx = ft_grad(g, logits, &fresh);
	if (!dx)
		return FT_EFAIL;
	for (int64_t i = 0; i < graph_todo(g, logits->rows); i++) {
		int64_t at = i * logits->cols;
		if (labels[i] != FT_IGNORE)
			cross_entropy_unit_back(dx + at, fresh, n->out->grad[i], logits->data + at, logits->cols, labels[i],
			                        n->saved[i], n->real, n->data[1]);
		else if (fresh)
			memset(dx + at, 0, (size_t)logits->cols * sizeof *dx);
	}
	return FT_OK;
}

/* ---- binary cross-entropy, mean over outputs, as BCEWithLogitsLoss; the
 * weights are those of positive targets (pos_weight). data as above. ---- */
struct ft_tensor *ft_binary_cross_entropy(struct ft_graph *g, struct ft_tensor *logits, const float *targets,
                                          const struct ft_loss_options *o)
{
	if (!graph_ready(g, &logits, 1))
		return NULL;
	struct ft_tensor *loss = ft_graph_tensor(g, logits->rows, 1);
	if (!loss)
		return NULL;
	const float *w = o ? o->weights : NULL;
	for (int64_t i = 0; i < graph_todo(g, logits->rows); i++) {
		const float *x = logits->data + i * logits->cols, *t = targets + i * logits->cols;
		double sum = 0;
		for (int64_t c = 0; c < logits->cols; c++) {
			double soft = log1p(exp(-fabs(x[c]))); /* log(1 + e^-|x|) */
			double positive = soft + (x[c] < 0 ? -x[c] : 0), negative = soft + (x[c] > 0 ? x[c] : 0);
			sum += t[c] * (w ? w[c] : 1) * positive + (1 - t[c]) * negative;
		}
		loss->data[i] = (float)(sum / (double)logits->cols);
	}
	struct node *n = graph_record(g, OP_binary_cross_entropy, loss, &logits, 1);
	if (n) {
		n->data[0] = targets;
		n->data[1] = w;
	}
	return loss;
}

int op_binary_cross_entropy_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *logits = n->in[0];
	const float *t = n->data[0], *w = n->data[1];
	bool fresh;
	float *dx = ft_grad(g, logits, &fresh);
	if (!dx)
		return FT_EFAIL;
	for (int64_t i = 0; i < graph_todo(g, logits->rows); i++)
		for (int64_t c = 0; c < logits->cols; c++) {
			int64_t at = i * logits->cols + c;
			float p = 1 / (1 + expf(-logits->data[at])), positive = t[at] * (w ? w[c] : 1);
			float d = ((1 - t[at]) * p - positive * (1 - p)) * n->out->grad[i] / (float)logits->cols;
			dx[at] = fresh ? d : dx[at] + d;
		}
	return FT_OK;
}

/* ---- squared error, mean over outputs, as MSELoss. data[0]: targets. ---- */
struct ft_tensor *ft_squared_error(struct ft_graph *g, struct ft_tensor *values, const float *targets)
{
	if (!graph_ready(g, &values, 1))
		return NULL;
	struct ft_tensor *loss = ft_graph_tensor(g, values->rows, 1);
	if (!loss)
		return NULL;
	for (int64_t i = 0; i < graph_todo(g, values->rows); i++) {
		double sum = 0;
		for (int64_t c = 0; c < values->cols; c++) {
			double d = (double)values->data[i * values->cols + c] - targets[i * values->cols + c];
			sum += d * d;
		}
		loss->data[i] = (float)(sum / (double)values->cols);
	}
	struct node *n = graph_record(g, OP_squared_error, loss, &values, 1);
	if (n)
		n->data[0] = targets;
	return loss;
}

int op_squared_error_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *values = n->in[0];
	const float *targets = n->data[0];
	bool fresh;
	float *dx = ft_grad(g, values, &fresh);
	if (!dx)
		return FT_EFAIL;
	for (int64_t i = 0; i < graph_todo(g, values->rows); i++) {
		float slope = 2 * n->out->grad[i] / (float)values->cols;
		for (int64_t c = 0; c < values->cols; c++) {
			int64_t at = i * values->cols + c;
			float d = slope * (values->data[at] - targets[at]);
			dx[at] = fresh ? d : dx[at] + d;
		}
	}
	return FT_OK;
}
