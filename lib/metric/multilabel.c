/* multilabel.c - metrics of a model that says yes or no to each label. */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRUE_BIT 1u
#define PREDICTED_BIT 2u

static int add(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	size_t n = t->outputs, bits;
	if (!b->targets || b->ntargets != b->rows * t->outputs)
		return ft_fail(FT_EFORMAT, "a batch has %zu targets for %zu rows of %zu labels", b->ntargets, b->rows,
		               t->outputs);
	if (!ft_mul(t->rows + b->rows, t->outputs, &bits))
		return ft_fail_memory(t->rows);
	int rc = ft_grow(&t->multilabel.loss, &t->multilabel.loss_cap, t->rows + b->rows, sizeof(float));
	if (rc == FT_OK)
		rc = ft_grow(&t->multilabel.bits, &t->multilabel.bits_cap, bits, 1);
	if (rc == FT_OK)
		rc = ft_grow(&t->multilabel.p, &t->multilabel.p_cap, t->outputs, sizeof(float));
	for (size_t r = 0; r < b->rows && rc == FT_OK; r++) {
		uint8_t *bit = t->multilabel.bits + t->rows * n;
		float *p = t->multilabel.p;
		ft_probabilities(FT_TASK_MULTILABEL, out->logits + r * n, n, p);
		for (size_t k = 0; k < n; k++) {
			if (!isfinite(out->logits[r * n + k]))
				return metric_not_finite(b, r, "a logit");
			double least = t->threshold ? t->threshold[k] : 0.5;
			bit[k] = (uint8_t)((b->targets[r * n + k] >= 0.5f ? TRUE_BIT : 0) |
			                   ((double)p[k] >= least ? PREDICTED_BIT : 0));
		}
		if (!isfinite(out->loss[r]))
			return metric_not_finite(b, r, "the loss");
		t->multilabel.loss[t->rows++] = out->loss[r];
	}
	return rc;
}

static size_t scratch(const struct ft_metric *t)
{
	return t->outputs * sizeof(struct prf);
}

/* Adds one row to the labels' counts. Returns how many labels are wrong. */
static uint64_t count(struct prf *label, const uint8_t *bit, size_t n, uint64_t w)
{
	uint64_t wrong = 0;
	for (size_t k = 0; k < n; k++) {
		unsigned actual = bit[k] & TRUE_BIT, predicted = bit[k] >> 1;
		label[k].actual += actual * w;
		label[k].predicted += predicted * w;
		label[k].both += (actual & predicted) * w;
		wrong += actual ^ predicted;
	}
	return wrong;
}

static void values(const struct ft_metric *t, const uint32_t *weight, void *memory, double *v)
{
	struct prf *label = memory;
	double loss = 0.0, all = 0.0, right = 0.0, wrong = 0.0;
	memset(label, 0, scratch(t));
	for (size_t i = 0; i < t->rows; i++) {
		uint64_t w = weight ? weight[i] : 1;
		uint64_t n = count(label, t->multilabel.bits + i * t->outputs, t->outputs, w);
		wrong += (double)(n * w);
		right += n == 0 ? (double)w : 0.0;
		loss += (double)w * (double)t->multilabel.loss[i];
		all += (double)w;
	}
	v[METRIC_LOSS] = loss / all;
	v[METRIC_SUBSET_ACCURACY] = right / all;
	v[METRIC_HAMMING_LOSS] = wrong / (all * (double)t->outputs);
	prf_averages(label, t->outputs, v);
}

static int detail(const struct ft_metric *t, const json_t *labels, json_t *result)
{
	struct prf *label = ft_alloc(t->outputs, sizeof *label);
	if (!label)
		return FT_EFAIL;
	for (size_t i = 0; i < t->rows; i++)
		count(label, t->multilabel.bits + i * t->outputs, t->outputs, 1);
	int rc = prf_detail(label, t->outputs, labels, result);
	free(label);
	return rc;
}

static void release(struct ft_metric *t)
{
	free(t->multilabel.loss);
	free(t->multilabel.bits);
	free(t->multilabel.p);
}

const struct metric_kind metric_multilabel = {
	.add = add,
	.scratch = scratch,
	.values = values,
	.detail = detail,
	.free = release,
};
