/* threshold.c - from which probability on a label is predicted: from a file, and
 * chosen on validation data.
 *
 * Of a label's examples sorted by falling probability, those above a threshold are
 * a beginning of the list; so all thresholds between two neighbours are alike, and
 * only as many cuts need to be tried as there are different probabilities.
 */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT 0.5

/* ---- files: {"thresholds": {LABEL: P, …}} ---- */

static int read_threshold(const char *path, const json_t *map, const json_t *labels, size_t i, double *out)
{
	char number[24];
	const char *label = metric_label(labels, i, number);
	const json_t *v = json_object_get(map, label);
	if (!v)
		return ft_fail(FT_EMATCH, "%s: has no threshold for the model's label '%s'", path, label);
	*out = json_number_value(v);
	if (!json_is_number(v) || !(*out > 0.0 && *out < 1.0))
		return ft_fail(FT_EFORMAT, "%s: the threshold of '%s' is not a number between 0 and 1", path, label);
	return FT_OK;
}

/* The first name in the file that is no label. */
static int fail_unknown(const char *path, const json_t *map, const json_t *labels, size_t n)
{
	const char *name;
	json_t *v;
	char number[24];
	json_object_foreach((json_t *)map, name, v)
	{
		bool known = false;
		for (size_t i = 0; i < n && !known; i++)
			known = strcmp(metric_label(labels, i, number), name) == 0;
		if (!known)
			return ft_fail(FT_EMATCH, "%s: the model has no label '%s'", path, name);
	}
	return FT_OK;
}

static int read_file(const char *path, const json_t *labels, size_t n, double *out)
{
	json_t *file = ft_json_load(path);
	const json_t *map = json_object_get(file, "thresholds");
	int rc = file ? FT_OK : ft_last_error();
	if (rc == FT_OK && !json_is_object(map))
		rc = ft_fail(FT_EFORMAT, "%s: has no object 'thresholds'", path);
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = read_threshold(path, map, labels, i, &out[i]);
	if (rc == FT_OK && json_object_size(map) != n)
		rc = fail_unknown(path, map, labels, n);
	json_decref(file);
	return rc;
}

double *ft_thresholds(const char *path, const json_t *labels, size_t n, double all)
{
	double *t = ft_alloc(n, sizeof *t);
	for (size_t i = 0; t && i < n; i++)
		t[i] = all;
	if (t && path && read_file(path, labels, n, t) < 0) {
		free(t);
		return NULL;
	}
	return t;
}

/* ---- choosing ---- */

struct ft_tuner {
	size_t outputs, rows;
	float *p;               /* [rows, outputs]: probabilities, negative where the label is not true */
	size_t cap;
};

struct ft_tuner *ft_tuner_new(size_t outputs)
{
	struct ft_tuner *t = ft_alloc(1, sizeof *t);
	if (t)
		t->outputs = outputs;
	return t;
}

void ft_tuner_free(struct ft_tuner *t)
{
	if (!t)
		return;
	free(t->p);
	free(t);
}

int ft_tuner_add(struct ft_tuner *t, const struct ft_output *out, const struct ft_batch *b)
{
	size_t rows, need;
	if (b->rows && (!b->targets || b->ntargets != b->rows * t->outputs))
		return ft_fail(FT_EFORMAT, "a batch has %zu targets for %zu rows of %zu labels", b->ntargets, b->rows,
		               t->outputs);
	if (!ft_add(t->rows, b->rows, &rows) || !ft_mul(rows, t->outputs, &need))
		return ft_fail_memory(t->rows);
	if (ft_grow(&t->p, &t->cap, need, sizeof *t->p) < 0)
		return FT_EFAIL;
	for (size_t r = 0; r < b->rows; r++, t->rows++) {
		float *p = t->p + t->rows * t->outputs;
		ft_probabilities(FT_TASK_MULTILABEL, out->logits + r * t->outputs, t->outputs, p);
		for (size_t k = 0; k < t->outputs; k++)
			p[k] = b->targets[r * t->outputs + k] >= 0.5f ? p[k] : -p[k];
	}
	return FT_OK;
}

/* By falling probability; the sign is the truth. */
static int by_probability(const void *a, const void *b)
{
	float x = fabsf(*(const float *)a), y = fabsf(*(const float *)b);
	return x < y ? 1 : x > y ? -1 : 0;
}

/* A threshold that keeps what has `low` and leaves out what has `below`. */
static double between(float low, float below)
{
	bool usual = (double)below < DEFAULT && (double)low >= DEFAULT;
	return usual ? DEFAULT : ((double)low + (double)below) / 2.0;
}

/* Of equal F1 the one nearer to the default, of two equally near the higher. */
static bool is_better(double f1, double at, double best, double best_at)
{
	if (f1 != best)
		return f1 > best;
	double a = fabs(at - DEFAULT), b = fabs(best_at - DEFAULT);
	return a < b || (a == b && at > best_at);
}

/* `p`: the label's column, sorted; returns the F1 there. */
static double tune_label(const float *p, size_t n, double *threshold)
{
	struct prf c = { 0 };
	double best = 0.0;
	*threshold = DEFAULT;
	for (size_t i = 0; i < n; i++)
		c.actual += !signbit(p[i]);
	for (size_t i = 0; i < n && c.actual; i++) {
		float low = fabsf(p[i]), below = i + 1 < n ? fabsf(p[i + 1]) : 0.0f;
		c.predicted++;
		c.both += !signbit(p[i]);
		if (below == low) /* no threshold lies between them; nor below a probability of 0 */
			continue;
		double at = between(low, below), f1 = prf_f1(&c);
		if (is_better(f1, at, best, *threshold)) {
			best = f1;
			*threshold = at;
		}
	}
	return best;
}

int ft_tuner_best(const struct ft_tuner *t, double *threshold, double *f1)
{
	if (t->rows == 0)
		return ft_fail(FT_EFORMAT, "there are no rows with labels, so there is nothing to choose thresholds by");
	float *column = ft_alloc(t->rows, sizeof *column);
	if (!column)
		return FT_EFAIL;
	for (size_t k = 0; k < t->outputs; k++) {
		for (size_t r = 0; r < t->rows; r++)
			column[r] = t->p[r * t->outputs + k];
		qsort(column, t->rows, sizeof *column, by_probability);
		f1[k] = tune_label(column, t->rows, &threshold[k]);
	}
	free(column);
	return FT_OK;
}

json_t *ft_tuner_result(const struct ft_tuner *t, const json_t *labels)
{
	double *v = ft_alloc(2 * t->outputs, sizeof *v);
	json_t *thresholds = json_object(), *f1 = json_object();
	json_t *result = json_pack("{s:I, s:o, s:o}", "examples", (json_int_t)t->rows, "thresholds", thresholds, "f1", f1);
	int rc = !v || !result ? ft_fail_memory(t->outputs) : ft_tuner_best(t, v, v + t->outputs);
	for (size_t i = 0; i < t->outputs && rc == FT_OK; i++) {
		char number[24];
		const char *label = metric_label(labels, i, number);
		rc = ft_json_set(thresholds, label, json_real(v[i]));
		if (rc == FT_OK)
			rc = ft_json_set(f1, label, json_real(v[t->outputs + i]));
	}
	free(v);
	if (rc == FT_OK)
		return result;
	json_decref(result);
	return NULL;
}
