/* reference.h - batches and tensors of tests/ref, for tests that compare with them. */
#ifndef FT_TESTS_REFERENCE_H
#define FT_TESTS_REFERENCE_H

#include "ft/format.h"
#include "ft/model.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

/* ---- batches of the reference files ---- */
struct held {
	struct ft_batch b;
	int32_t ids[2048], offsets[64], labels[2048];
	uint8_t types[2048];
	float targets[512];
};

/* Labels: a number a row, a list of whole numbers (tokens), or of reals. */
static void take_labels(struct held *h, const json_t *labels, bool targets)
{
	size_t i, j;
	json_t *row, *v;
	json_array_foreach(labels, i, row) {
		if (!json_is_array(row)) {
			if (targets)
				h->targets[h->b.ntargets++] = (float)json_number_value(row);
			else
				h->labels[h->b.nlabels++] = (int32_t)json_integer_value(row);
		}
		json_array_foreach(row, j, v) {
			if (targets)
				h->targets[h->b.ntargets++] = (float)json_number_value(v);
			else
				h->labels[h->b.nlabels++] = (int32_t)json_integer_value(v);
		}
	}
	h->b.labels = h->b.nlabels ? h->labels : NULL;
	h->b.targets = h->b.ntargets ? h->targets : NULL;
}

__attribute__((unused)) static void take_batch(struct held *h, const json_t *o, bool targets)
{
	size_t i, j;
	json_t *row, *v;
	memset(h, 0, sizeof *h);
	h->b = (struct ft_batch){ .ids = h->ids, .types = h->types, .offsets = h->offsets, .epoch = -1 };
	json_array_foreach(json_object_get(o, "ids"), i, row) {
		json_array_foreach(row, j, v) {
			h->types[h->b.tokens] =
				(uint8_t)json_integer_value(json_array_get(json_array_get(json_object_get(o, "types"), i), j));
			h->ids[h->b.tokens++] = (int32_t)json_integer_value(v);
		}
		h->offsets[++h->b.rows] = (int32_t)h->b.tokens;
	}
	take_labels(h, json_object_get(o, "labels"), targets);
}

/* Line `n` (from 0) of a file of JSON lines; NULL beyond the end. */
__attribute__((unused)) static json_t *line_of(const char *path, int n)
{
	static char line[1 << 16];
	FILE *f = fopen(path, "r");
	json_t *o = NULL;
	for (int i = 0; f && fgets(line, sizeof line, f); i++)
		if (i == n)
			o = json_loads(line, 0, NULL);
	if (f)
		fclose(f);
	return o;
}

/* ---- comparing ---- */
__attribute__((unused)) static double worst(const float *a, const struct ft_stored *want)
{
	double most = 0;
	for (size_t i = 0; i < want->bytes / 4; i++) {
		float x;
		memcpy(&x, (const char *)want->data + 4 * i, 4);
		double d = fabs((double)a[i] - x);
		most = d <= most ? most : d; /* a NaN is worse than anything */
	}
	return most;
}

/* The same of those tokens alone that have a label: out->logits has them, `want` all tokens. */
__attribute__((unused)) static double worst_supervised(const struct ft_output *out, const struct ft_stored *want,
                                                       const struct ft_batch *b)
{
	double most = 0;
	size_t unit = 0;
	for (size_t t = 0; t < b->tokens; t++) {
		if (b->labels[t] == FT_IGNORE)
			continue;
		struct ft_stored one = *want;
		one.bytes = 4 * out->outputs;
		one.data = (const char *)want->data + t * one.bytes;
		double d = worst(out->logits + unit++ * out->outputs, &one);
		most = d <= most ? most : d;
	}
	return unit == out->units ? most : INFINITY;
}

/* Losses of single tokens against the logits of all tokens. */
__attribute__((unused)) static double worst_token(const struct ft_output *out, const struct ft_stored *logits,
                                                  const struct ft_batch *b)
{
	double most = 0;
	size_t unit = 0, classes = (size_t)logits->shape[1];
	for (size_t t = 0; t < b->tokens; t++) {
		double sum = 0;
		float own = 0, x;
		if (b->labels[t] == FT_IGNORE)
			continue;
		for (size_t c = 0; c < classes; c++) {
			memcpy(&x, (const char *)logits->data + 4 * (t * classes + c), 4);
			sum += exp((double)x);
			own = (int32_t)c == b->labels[t] ? x : own;
		}
		double d = fabs(out->loss[unit++] - (log(sum) - own));
		most = d <= most ? most : d;
	}
	return unit == out->units ? most : INFINITY;
}

/* |a - want| / max(|want|, floor) in the Euclidean norm */
__attribute__((unused)) static double relative(const float *a, const struct ft_stored *want)
{
	double d2 = 0, w2 = 0;
	for (size_t i = 0; i < want->bytes / 4; i++) {
		float x;
		memcpy(&x, (const char *)want->data + 4 * i, 4);
		d2 += ((double)a[i] - x) * ((double)a[i] - x);
		w2 += (double)x * x;
	}
	return sqrt(d2) / (sqrt(w2) > 1e-6 ? sqrt(w2) : 1);
}

/* The same of the gradient of a parameter that checkpoints hold turned. */
__attribute__((unused)) static double relative_turned(const struct ft_param *p, const struct ft_stored *want)
{
	struct ft_param grad = *p;
	float *turned = malloc(sizeof *turned * (size_t)(p->t.rows * p->t.cols));
	grad.t.data = p->t.grad;
	ft_param_turn(&grad, turned);
	double d = relative(turned, want);
	free(turned);
	return d;
}

/* The largest difference of a gradient from the reference's tensor prefix + its name,
 * after `scale`. `all`: the reference has one for every parameter that trains. */
__attribute__((unused)) static void check_gradients(struct ft_model *m, struct ft_safetensors *want, const char *prefix,
                                                    double scale, const char *what, bool all)
{
	int checked = 0, train = 0;
	double most = 0;
	const char *which = "";
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		char name[200];
		train += p->trains;
		snprintf(name, sizeof name, "%s%s", prefix, p->file);
		const struct ft_stored *t = ft_safetensors_find(want, name);
		if (!t)
			continue;
		checked++;
		for (int64_t r = 0; r < p->t.rows; r++)
			for (int64_t c = 0; c < p->t.cols; c++) {
				bool zero = !p->t.has_grad || (p->t.touched && !p->t.dense && !p->t.touched[r]);
				float *x = &p->t.grad[r * p->t.cols + c];
				*x = zero ? 0 : *x * (float)scale;
			}
		double d = p->turned ? relative_turned(p, t) : relative(p->t.grad, t);
		if (!(d <= most)) {
			most = d;
			which = p->name;
		}
	}
	ok(most < 1e-4 && (all ? checked == train : checked > 0), "%s: %d gradients, worst %.2g of its norm (%s)",
	   what, checked, most, which);
}

/* The model of a folder, with another head when `head` (JSON) is not NULL. */
__attribute__((unused)) static struct ft_model *open_as(const char *dir, const char *head)
{
	if (!head)
		return ft_model_open(dir, NULL, 0);
	json_t *o = json_loads(head, 0, NULL);
	struct ft_plan plan = { .head = o, .last_layers = -1, .layer_decay = 1 };
	struct ft_model *m = ft_model_plan(dir, NULL, &plan, 0);
	json_decref(o);
	return m;
}

#endif
