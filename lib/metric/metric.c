/* metric.c - measuring by task, results as JSON, comparison of two models. */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define C (1u << FT_TASK_CLASSIFY)
#define M (1u << FT_TASK_MULTILABEL)
#define R (1u << FT_TASK_REGRESS)
#define T (1u << FT_TASK_TAG)
#define L (1u << FT_TASK_MLM | 1u << FT_TASK_LM)
#define N (1u << FT_TASK_LM)
#define G (1u << FT_TASK_NONE)
#define E (1u << FT_TASK_EMBED)
static const struct ft_metric_info info[METRIC_COUNT] = {
#define X(id, name, tasks, better, help) [METRIC_##id] = { name, tasks, better, help },
#include "metrics.def"
#undef X
};

static const struct metric_kind *const kinds[] = {
	[FT_TASK_CLASSIFY] = &metric_classify,
	[FT_TASK_MULTILABEL] = &metric_multilabel,
	[FT_TASK_REGRESS] = &metric_regress,
	[FT_TASK_TAG] = &metric_tag,
	[FT_TASK_MLM] = &metric_lm,
	[FT_TASK_LM] = &metric_lm,
	[FT_TASK_EMBED] = &metric_embed,
};

const struct ft_metric_info *ft_metric_info(size_t i)
{
	return i < METRIC_COUNT ? &info[i] : NULL;
}

struct ft_metric *ft_metric_new(enum ft_task task, size_t outputs, int bootstrap, uint64_t seed)
{
	if ((size_t)task >= sizeof kinds / sizeof kinds[0] || !kinds[task]) {
		ft_fail(FT_EUSAGE, "the model has no head, so there is nothing to measure");
		return NULL;
	}
	struct ft_metric *t = ft_alloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->kind = kinds[task];
	t->task = task;
	t->outputs = outputs;
	t->resamples = bootstrap;
	t->seed = seed;
	return t;
}

const char *metric_task_name(enum ft_task task)
{
	return task == FT_TASK_NONE ? "texts" : ft_task_name(task);
}

void ft_metric_thresholds(struct ft_metric *t, const double *threshold)
{
	t->threshold = threshold;
}

int ft_metric_tags(struct ft_metric *t, const json_t *labels, bool strict)
{
	if (t->task != FT_TASK_TAG)
		return strict ? ft_fail(FT_EUSAGE, "only the entities of a tag model can be counted strictly") : FT_OK;
	t->tag.strict = strict;
	if (!labels)
		return strict ? ft_fail(FT_EUSAGE, "labels without names have no entities") : FT_OK;
	t->tag.tags = ft_tags_new(labels);
	return !t->tag.tags ? ft_last_error() : strict ? ft_tags_strict(t->tag.tags) : FT_OK;
}

void ft_metric_free(struct ft_metric *t)
{
	if (!t)
		return;
	t->kind->free(t);
	free(t);
}

int ft_metric_add(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	bool by_token = ft_task_of_words(t->task) || t->task == FT_TASK_TAG;
	if (b->rows == 0)
		return FT_OK;
	if (t->task == FT_TASK_EMBED)
		return t->kind->add(t, out, b);
	if (!ft_task_of_words(t->task) && out->logits && out->outputs != t->outputs)
		return ft_fail(FT_EMATCH, "%zu outputs a row where %zu were expected", out->outputs, t->outputs);
	if (by_token && b->labels && out->units == 0)
		return FT_OK; /* nothing supervised in this batch */
	if (t->task == FT_TASK_LM && b->targets && t->rows == 0)
		t->kind = &metric_choice;
	if (!out->loss || (ft_task_of_words(t->task) ? !out->hits : !out->logits) || (!by_token && out->units != b->rows))
		return ft_fail(FT_EFORMAT, "rows without labels cannot be measured");
	return t->kind->add(t, out, b);
}

int metric_not_finite(const struct ft_batch *b, size_t r, const char *what)
{
	if (b->src)
		return ft_fail(FT_ECRITERION, "%.*s: %s is not finite", (int)b->src[r].n, b->src[r].p, what);
	return ft_fail(FT_ECRITERION, "row %zu of a batch: %s is not finite", r + 1, what);
}

/* ---- results ---- */

json_t *metric_number(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

const char *metric_label(const json_t *labels, size_t i, char buf[24])
{
	const char *name = json_string_value(json_array_get(labels, i));
	if (name)
		return name;
	snprintf(buf, 24, "%zu", i);
	return buf;
}

/* Sets obj.a.b = v for the path "a.b", of at most two parts. */
static int put_path(json_t *obj, const char *path, double v)
{
	const char *dot = strchr(path, '.');
	if (dot) {
		json_t *inner = json_object_getn(obj, path, (size_t)(dot - path));
		if (!inner) {
			inner = json_object();
			if (json_object_setn_new(obj, path, (size_t)(dot - path), inner) < 0)
				return -1;
		}
		obj = inner;
		path = dot + 1;
	}
	return json_object_set_new(obj, path, metric_number(v));
}

int metric_put(const struct ft_metric *t, json_t *obj, const double *v, bool defined)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		if (!(info[i].tasks & 1u << t->task) || (defined && !isfinite(v[i])))
			continue;
		if (t->kind->has && !t->kind->has(t, i))
			continue;
		if (put_path(obj, info[i].name, v[i]) < 0)
			return ft_fail(FT_EFAIL, "out of memory for the results");
	}
	return FT_OK;
}

/* obj.stderr = {…}, and how it was made. */
static int put_errors(struct ft_metric *t, struct ft_metric *base, json_t *obj)
{
	double error[METRIC_COUNT];
	if (t->resamples <= 0 || t->rows < 2)
		return FT_OK;
	int rc = metric_bootstrap(t, base, error);
	if (rc < 0)
		return rc;
	json_t *errors = json_object();
	if (json_object_set_new(obj, "stderr", errors) < 0 ||
	    json_object_set_new(obj, "bootstrap", json_pack("{s:i, s:I}", "resamples", t->resamples, "seed",
	                                                    (json_int_t)t->seed)) < 0)
		return ft_fail(FT_EFAIL, "out of memory for the results");
	return metric_put(t, errors, error, true);
}

static int64_t tokens(const struct ft_metric *t)
{
	int64_t n = 0;
	for (size_t i = 0; i < t->rows; i++)
		n += t->lm.row[i].tokens;
	return n;
}

json_t *ft_metric_result(struct ft_metric *t, const json_t *labels)
{
	double v[METRIC_COUNT];
	json_t *result = NULL;
	int rc = metric_values(t, v);
	if (rc < 0)
		return NULL;
	result = json_pack("{s:s, s:I}", "task", metric_task_name(t->task), "examples", (json_int_t)t->rows);
	bool lm = t->kind == &metric_lm;
	if (!result || (lm && json_object_set_new(result, "tokens", json_integer(tokens(t))) < 0))
		rc = ft_fail(FT_EFAIL, "out of memory for the results");
	if (rc == FT_OK)
		rc = metric_put(t, result, v, false);
	if (rc == FT_OK && t->kind->detail)
		rc = t->kind->detail(t, labels, result);
	if (rc == FT_OK)
		rc = put_errors(t, NULL, result);
	if (rc == FT_OK)
		return result;
	json_decref(result);
	return NULL;
}

/* Counts the rows that only one of the two got right. */
static int count_discordant(const struct ft_metric *a, const struct ft_metric *b, uint64_t only[2])
{
	only[0] = only[1] = 0;
	for (size_t i = 0; i < a->rows; i++) {
		const struct classify_row *x = &a->classify.row[i], *y = &b->classify.row[i];
		if (x->label != y->label)
			return ft_fail(FT_EMATCH, "the two models were measured on different rows");
		only[0] += x->predicted == x->label && y->predicted != y->label;
		only[1] += x->predicted != x->label && y->predicted == y->label;
	}
	return FT_OK;
}

json_t *ft_metric_compare(struct ft_metric *t, struct ft_metric *baseline)
{
	double v[METRIC_COUNT], w[METRIC_COUNT];
	uint64_t only[2] = { 0, 0 };
	if (t->task != baseline->task || t->outputs != baseline->outputs || t->rows != baseline->rows) {
		ft_fail(FT_EMATCH, "the two models were measured on different rows");
		return NULL;
	}
	if (t->task == FT_TASK_CLASSIFY && count_discordant(t, baseline, only) < 0)
		return NULL;
	if (metric_values(t, v) < 0 || metric_values(baseline, w) < 0)
		return NULL;
	if ((t->task == FT_TASK_TAG && !tag_same_rows(t, baseline)) ||
	    (t->text && baseline->text && !text_same_rows(t, baseline))) {
		ft_fail(FT_EMATCH, "the two models were measured on different rows");
		return NULL;
	}
	for (size_t i = 0; i < METRIC_COUNT; i++)
		v[i] -= w[i];
	json_t *result = json_object(), *difference = json_object();
	int rc = json_object_set_new(result, "difference", difference) < 0 ? ft_fail_memory(0) : FT_OK;
	if (rc == FT_OK)
		rc = metric_put(t, difference, v, false);
	if (rc == FT_OK)
		rc = put_errors(t, baseline, result);
	if (rc == FT_OK && t->task == FT_TASK_CLASSIFY) {
		json_t *p = json_pack("{s:I, s:I, s:f}", "only_model", (json_int_t)only[0], "only_baseline",
		                      (json_int_t)only[1], "p", ft_mcnemar(only[0], only[1]));
		if (json_object_set_new(result, "mcnemar", p) < 0)
			rc = ft_fail(FT_EFAIL, "out of memory for the results");
	}
	if (rc == FT_OK)
		return result;
	json_decref(result);
	return NULL;
}

double ft_mcnemar(uint64_t a, uint64_t b)
{
	/* Twice the lower tail of Binomial(a + b, 1/2): its last term, and from
	 * there each term from the one after it. */
	double n = (double)a + (double)b, k = (double)(a < b ? a : b);
	double term = 1.0, sum = 0.0;
	for (double i = k; i >= 0.0 && term > 1e-18 * sum; i--) {
		sum += term;
		term *= i / (n - i + 1.0);
	}
	double p = 2.0 * sum * exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) - n * log(2.0));
	return p < 1.0 ? p : 1.0;
}

/* ---- finding a number by its path ---- */

static const json_t *walk(const json_t *v, const char *path)
{
	const json_t *whole = json_object_get(v, path);
	if (whole)
		return whole;
	for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
		const json_t *inner = json_object_getn(v, path, (size_t)(dot - path));
		const json_t *found = inner ? walk(inner, dot + 1) : NULL;
		if (found)
			return found;
	}
	return NULL;
}

int ft_metric_lookup(const json_t *result, const char *path, double *value)
{
	const json_t *v = walk(result, path);
	if (!v || !(json_is_number(v) || json_is_null(v)))
		return ft_fail(FT_EUSAGE, "there is no metric '%s' here; --metrics lists them", path);
	*value = json_is_null(v) ? NAN : json_number_value(v);
	return FT_OK;
}
