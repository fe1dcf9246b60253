/* classify.c - metrics of a model that picks one of several classes. */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BINS 15 /* of the calibration error, equal widths of the top probability */

/* The top probability of one row. */
static double top_probability(const float *logits, size_t n, size_t top)
{
	double sum = 0.0;
	for (size_t i = 0; i < n; i++)
		sum += exp((double)logits[i] - (double)logits[top]);
	return 1.0 / sum;
}

static int add(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	if (!b->labels || b->nlabels != b->rows)
		return ft_fail(FT_EFORMAT, "a batch has %zu labels for %zu rows", b->nlabels, b->rows);
	int rc = ft_grow(&t->classify.row, &t->classify.cap, t->rows + b->rows, sizeof *t->classify.row);
	for (size_t r = 0; r < b->rows && rc == FT_OK; r++) {
		const float *logits = out->logits + r * t->outputs;
		if (b->labels[r] == FT_IGNORE)
			continue;
		if (b->labels[r] < 0 || (size_t)b->labels[r] >= t->outputs)
			return ft_fail(FT_EMATCH, "label %d is not one of %zu classes", (int)b->labels[r], t->outputs);
		size_t top = ft_argmax(logits, t->outputs);
		double confidence = top_probability(logits, t->outputs, top);
		if (!isfinite(out->loss[r]) || !isfinite(confidence))
			return metric_not_finite(b, r, isfinite(confidence) ? "the loss" : "a logit");
		t->classify.row[t->rows++] = (struct classify_row){
			.label = b->labels[r],
			.predicted = (int32_t)top,
			.loss = out->loss[r],
			.confidence = (float)confidence,
		};
	}
	return rc;
}

struct bin {
	double confidence;
	uint64_t right, all;
};

/* Scratch: the confusion matrix [actual, predicted], counts by class, bins. */
struct tally {
	uint64_t *confusion;
	struct prf *class;
	struct bin *bin;
};

static size_t scratch(const struct ft_metric *t)
{
	return t->outputs * (t->outputs * sizeof(uint64_t) + sizeof(struct prf)) + BINS * sizeof(struct bin);
}

static struct tally lay_out(const struct ft_metric *t, void *memory)
{
	struct tally y;
	memset(memory, 0, scratch(t));
	y.confusion = memory;
	y.class = (struct prf *)(y.confusion + t->outputs * t->outputs);
	y.bin = (struct bin *)(y.class + t->outputs);
	return y;
}

/* Bin k holds confidences in (k/15, (k+1)/15]. */
static size_t bin_of(double confidence)
{
	double k = ceil(confidence * BINS) - 1.0;
	return k < 0.0 ? 0 : k > BINS - 1 ? BINS - 1 : (size_t)k;
}

/* Counts by class from the confusion matrix. Returns how many rows were right. */
static uint64_t count_classes(const struct tally *y, size_t n)
{
	uint64_t right = 0;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n; k++) {
			y->class[i].actual += y->confusion[i * n + k];
			y->class[k].predicted += y->confusion[i * n + k];
		}
		y->class[i].both = y->confusion[i * n + i];
		right += y->class[i].both;
	}
	return right;
}

/* Gorodkin, "Comparing two K-category assignments by a K-category correlation
 * coefficient", 2004. */
static double matthews(const struct tally *y, size_t n, double all, double right)
{
	double agree = right * all, predicted = all * all, actual = all * all;
	for (size_t i = 0; i < n; i++) {
		double p = (double)y->class[i].predicted, a = (double)y->class[i].actual;
		agree -= p * a;
		predicted -= p * p;
		actual -= a * a;
	}
	return predicted > 0.0 && actual > 0.0 ? agree / sqrt(predicted * actual) : 0.0;
}

static void values(const struct ft_metric *t, const uint32_t *weight, void *memory, double *v)
{
	struct tally y = lay_out(t, memory);
	double loss = 0.0, all = 0.0, gap = 0.0;
	for (size_t i = 0; i < t->rows; i++) {
		const struct classify_row *r = &t->classify.row[i];
		uint64_t w = weight ? weight[i] : 1;
		struct bin *bin = &y.bin[bin_of(r->confidence)];
		y.confusion[(size_t)r->label * t->outputs + (size_t)r->predicted] += w;
		bin->confidence += (double)w * (double)r->confidence;
		bin->right += r->label == r->predicted ? w : 0;
		bin->all += w;
		loss += (double)w * (double)r->loss;
		all += (double)w;
	}
	double right = (double)count_classes(&y, t->outputs);
	for (size_t i = 0; i < BINS; i++)
		gap += fabs(y.bin[i].confidence - (double)y.bin[i].right);
	v[METRIC_LOSS] = loss / all;
	v[METRIC_ACCURACY] = right / all;
	v[METRIC_ECE] = gap / all;
	v[METRIC_MCC] = matthews(&y, t->outputs, all, right);
	prf_averages(y.class, t->outputs, v);
}

/* result.confusion = {labels, matrix}: a row for each actual class. */
static int put_confusion(const struct tally *y, size_t n, const json_t *labels, json_t *result)
{
	json_t *matrix = json_array(), *names = json_array();
	char number[24];
	int bad = 0;
	for (size_t i = 0; i < n && !bad; i++) {
		json_t *row = json_array();
		for (size_t k = 0; k < n; k++)
			bad |= json_array_append_new(row, json_integer((json_int_t)y->confusion[i * n + k]));
		bad |= json_array_append_new(matrix, row);
		bad |= json_array_append_new(names, json_string(metric_label(labels, i, number)));
	}
	bad |= json_object_set_new(result, "confusion", json_pack("{s:o, s:o}", "labels", names, "matrix", matrix));
	return bad ? ft_fail(FT_EFAIL, "out of memory for the results") : FT_OK;
}

static int detail(const struct ft_metric *t, const json_t *labels, json_t *result)
{
	void *memory = ft_alloc(scratch(t), 1);
	if (!memory)
		return FT_EFAIL;
	struct tally y = lay_out(t, memory);
	for (size_t i = 0; i < t->rows; i++) {
		const struct classify_row *r = &t->classify.row[i];
		y.confusion[(size_t)r->label * t->outputs + (size_t)r->predicted]++;
	}
	count_classes(&y, t->outputs);
	int rc = prf_detail(y.class, t->outputs, labels, result);
	if (rc == FT_OK)
		rc = put_confusion(&y, t->outputs, labels, result);
	free(memory);
	return rc;
}

static void release(struct ft_metric *t)
{
	free(t->classify.row);
}

const struct metric_kind metric_classify = {
	.add = add,
	.scratch = scratch,
	.values = values,
	.detail = detail,
	.free = release,
};
