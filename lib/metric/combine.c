/* combine.c - the outputs of the windows of a document as one row. */
#include "ft/docs.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int ft_combine_parse(const char *option, const char *name)
{
	static const char *const names[] = {
		[FT_COMBINE_NONE] = "none", [FT_COMBINE_MEAN] = "mean", [FT_COMBINE_MAX] = "max", [FT_COMBINE_FIRST] = "first",
	};
	for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return ft_fail(FT_EUSAGE, "--%s: '%s' is not mean, max, first or none", option, name);
}

/* log Σ exp(v) */
static double log_sum(const double *v, size_t n)
{
	double top = v[0], sum = 0.0;
	for (size_t i = 1; i < n; i++)
		top = fmax(top, v[i]);
	for (size_t i = 0; i < n; i++)
		sum += exp(v[i] - top);
	return top + log(sum);
}

/* log(1 / (1 + exp(-x))) */
static double log_sigmoid(double x)
{
	return (x < 0.0 ? x : 0.0) - log1p(exp(-fabs(x)));
}

static double greatest(const double *v, size_t n)
{
	double top = v[0];
	for (size_t i = 1; i < n; i++)
		top = v[i] > top || isnan(v[i]) ? v[i] : top;
	return top;
}

/* The log-probability of each class, which is a logit too; memory: [outputs + 2 n]. */
static void combine_classes(bool mean, const float *const *window, size_t n, size_t outputs, double *memory,
                            float *out)
{
	double *row = memory, *norm = row + outputs, *v = norm + n;
	for (size_t i = 0; i < n; i++) {
		for (size_t c = 0; c < outputs; c++)
			row[c] = (double)window[i][c];
		norm[i] = log_sum(row, outputs);
	}
	for (size_t c = 0; c < outputs; c++) {
		for (size_t i = 0; i < n; i++)
			v[i] = (double)window[i][c] - norm[i];
		out[c] = (float)(mean ? log_sum(v, n) - log((double)n) : greatest(v, n));
	}
}

/* The logit of the mean probability: of the sums for and against; v: [n]. */
static double mean_label(const float *const *window, size_t n, size_t c, double *v)
{
	for (size_t i = 0; i < n; i++)
		v[i] = log_sigmoid((double)window[i][c]);
	double yes = log_sum(v, n);
	for (size_t i = 0; i < n; i++)
		v[i] = log_sigmoid(-(double)window[i][c]);
	return yes - log_sum(v, n);
}

static double mean_value(const float *const *window, size_t n, size_t c)
{
	double sum = 0.0;
	for (size_t i = 0; i < n; i++)
		sum += (double)window[i][c];
	return sum / (double)n;
}

/* Labels and values stand each for itself; a greatest logit is that of the greatest
 * probability. */
static void combine_each(enum ft_task task, bool mean, const float *const *window, size_t n, size_t outputs,
                         double *v, float *out)
{
	for (size_t c = 0; c < outputs; c++) {
		for (size_t i = 0; i < n; i++)
			v[i] = (double)window[i][c];
		out[c] = (float)(!mean                          ? greatest(v, n)
		                 : task == FT_TASK_MULTILABEL   ? mean_label(window, n, c, v)
		                                                : mean_value(window, n, c));
	}
}

int ft_combine(enum ft_task task, enum ft_combine how, const float *const *window, size_t n, size_t outputs,
               float *out)
{
	size_t numbers;
	if (n == 1 || how == FT_COMBINE_FIRST || how == FT_COMBINE_NONE) {
		memcpy(out, window[0], outputs * sizeof *out);
		return FT_OK;
	}
	if (!ft_mul(n, 2, &numbers) || !ft_add(numbers, outputs, &numbers))
		return ft_fail_memory(n);
	double *memory = ft_alloc(numbers, sizeof *memory);
	if (!memory)
		return FT_EFAIL;
	if (task == FT_TASK_CLASSIFY)
		combine_classes(how == FT_COMBINE_MEAN, window, n, outputs, memory, out);
	else
		combine_each(task, how == FT_COMBINE_MEAN, window, n, outputs, memory, out);
	free(memory);
	return FT_OK;
}
