/* table.c - results as text for people. Names come from files: what could drive
 * a terminal is replaced, and columns count characters, not bytes. */
#include "ft/err.h"
#include "ft/metric.h"
#include "ft/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#define NAME_MAX_WIDTH 32 /* a longer name is cut */
#define MATRIX_MAX 24     /* classes of a confusion matrix that is still readable */

/* Reads a character of `left` > 0 bytes; returns its bytes. What is not UTF-8 or
 * could drive a terminal is not `shown`, a "?" in one column stands for it. */
static size_t next_character(const char *s, size_t left, int *wide, bool *shown)
{
	int32_t c;
	bool bad = false;
	size_t used = ft_utf8_get(s, left, &c, &bad);
	*shown = !bad && c >= 0x20 && !(c >= 0x7f && c < 0xa0);
	*wide = *shown ? utf8proc_charwidth(c) : 1;
	return used;
}

/* Appends at most `most` columns of text, padded to `width`: left when it is
 * negative, else right. */
static int put_text(struct ft_buf *out, const char *s, int width, int most)
{
	struct ft_buf t = { 0 };
	int columns = 0, wide, rc = FT_OK;
	size_t used;
	for (size_t left = strlen(s); left && rc == FT_OK; s += used, left -= used) {
		bool shown;
		used = next_character(s, left, &wide, &shown);
		if (columns + wide > most)
			break;
		rc = shown ? ft_buf_append(&t, s, used) : ft_buf_append(&t, "?", 1);
		columns += wide;
	}
	int pad = (width < 0 ? -width : width) - columns;
	pad = pad > 0 ? pad : 0;
	if (rc == FT_OK)
		rc = ft_buf_printf(out, "%*s%.*s%*s", width < 0 ? 0 : pad, "", (int)t.len, t.len ? (char *)t.data : "",
		                   width < 0 ? pad : 0, "");
	ft_buf_free(&t);
	return rc;
}

static int columns_of(const char *s)
{
	int n = 0, wide;
	size_t used;
	for (size_t left = strlen(s); left; s += used, left -= used) {
		bool shown;
		used = next_character(s, left, &wide, &shown);
		n += wide;
	}
	return n < NAME_MAX_WIDTH ? n : NAME_MAX_WIDTH;
}

static int put_number(struct ft_buf *out, double v, int width, bool sign)
{
	if (!isfinite(v))
		return ft_buf_printf(out, "%*s", width, "-");
	if (fabs(v) < 1e5)
		return ft_buf_printf(out, sign ? "%+*.4f" : "%*.4f", width, v);
	return ft_buf_printf(out, sign ? "%+*.4g" : "%*.4g", width, v);
}

static double number(const json_t *obj, const char *path)
{
	double v;
	return obj && ft_metric_lookup(obj, path, &v) == FT_OK ? v : NAN;
}

static int put_metrics(struct ft_buf *out, const json_t *result, const json_t *baseline,
                       const json_t *comparison)
{
	const json_t *error = json_object_get(comparison ? comparison : result, "stderr");
	const json_t *difference = json_object_get(comparison, "difference");
	int rc = ft_buf_printf(out, "%-20s %11s", "metric", "value");
	if (rc == FT_OK && baseline)
		rc = ft_buf_printf(out, " %11s %11s", "baseline", "difference");
	if (rc == FT_OK)
		rc = ft_buf_printf(out, "%s\n", error ? "  std. error" : "");
	const struct ft_metric_info *info;
	for (size_t i = 0; (info = ft_metric_info(i)) && rc == FT_OK; i++) {
		double v;
		if (ft_metric_lookup(result, info->name, &v) < 0)
			continue;
		rc = ft_buf_printf(out, "%-20s ", info->name);
		if (rc == FT_OK)
			rc = put_number(out, v, 11, false);
		if (rc == FT_OK && baseline)
			rc = put_number(out, number(baseline, info->name), 12, false);
		if (rc == FT_OK && baseline)
			rc = put_number(out, number(difference, info->name), 12, true);
		if (rc == FT_OK && error)
			rc = put_number(out, number(error, info->name), 12, false);
		if (rc == FT_OK)
			rc = ft_buf_append(out, "\n", 1);
	}
	return rc;
}

static int put_mcnemar(struct ft_buf *out, const json_t *comparison)
{
	const json_t *m = json_object_get(comparison, "mcnemar");
	if (!m)
		return FT_OK;
	return ft_buf_printf(out,
	                     "\n%.0f examples only the model got right, %.0f only the baseline: "
	                     "p = %.2g (McNemar, exact)\n",
	                     number(m, "only_model"), number(m, "only_baseline"), number(m, "p"));
}

static int widest_name(const json_t *classes)
{
	const char *name;
	json_t *one;
	int wide = 5;
	json_object_foreach((json_t *)classes, name, one)
		wide = columns_of(name) > wide ? columns_of(name) : wide;
	return wide;
}

static int put_classes(struct ft_buf *out, const json_t *classes)
{
	static const char *const column[] = { "precision", "recall", "f1" };
	const char *name;
	json_t *one;
	int wide = widest_name(classes), rc;
	rc = ft_buf_printf(out, "\n%-*s  precision     recall         f1   examples  predicted\n", wide, "class");
	json_object_foreach((json_t *)classes, name, one)
	{
		if (rc == FT_OK)
			rc = put_text(out, name, -wide, NAME_MAX_WIDTH);
		for (size_t i = 0; i < 3 && rc == FT_OK; i++)
			rc = put_number(out, number(one, column[i]), 11, false);
		if (rc == FT_OK)
			rc = ft_buf_printf(out, "%11.0f%11.0f\n", number(one, "support"), number(one, "predicted"));
	}
	return rc;
}

/* Columns of the largest count of the matrix. */
static int digits_of(const json_t *matrix)
{
	size_t i, k;
	json_t *row, *v;
	json_int_t most = 0;
	json_array_foreach((json_t *)matrix, i, row)
	{
		json_array_foreach(row, k, v)
			most = json_integer_value(v) > most ? json_integer_value(v) : most;
	}
	return snprintf(NULL, 0, "%" JSON_INTEGER_FORMAT, most);
}

static int put_confusion(struct ft_buf *out, const json_t *confusion, int wide)
{
	const json_t *labels = json_object_get(confusion, "labels"), *matrix = json_object_get(confusion, "matrix");
	size_t n = json_array_size(matrix);
	if (n == 0 || n > MATRIX_MAX)
		return n ? ft_buf_printf(out, "\nThe confusion matrix of %zu classes is in --json.\n", n) : FT_OK;
	int cell = digits_of(matrix);
	cell = cell < 6 ? 6 : cell;
	int rc = ft_buf_printf(out, "\nconfusion matrix: a row is an actual class, a column a predicted one\n%*s",
	                       wide, "");
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		const char *name = json_string_value(json_array_get(labels, i));
		rc = ft_buf_append(out, "  ", 2);
		if (rc == FT_OK)
			rc = put_text(out, name ? name : "?", cell, cell);
	}
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		const char *name = json_string_value(json_array_get(labels, i));
		const json_t *row = json_array_get(matrix, i);
		rc = ft_buf_append(out, "\n", 1);
		if (rc == FT_OK)
			rc = put_text(out, name ? name : "?", -wide, NAME_MAX_WIDTH);
		for (size_t k = 0; k < json_array_size(row) && rc == FT_OK; k++)
			rc = ft_buf_printf(out, "  %*" JSON_INTEGER_FORMAT, cell,
			                   json_integer_value(json_array_get(row, k)));
	}
	return rc == FT_OK ? ft_buf_append(out, "\n", 1) : rc;
}

static int put_outputs(struct ft_buf *out, const json_t *outputs)
{
	static const char *const column[] = { "mse", "mae", "rmse", "r2", "pearson", "spearman" };
	size_t i;
	json_t *one;
	int rc = ft_buf_printf(out, "\noutput        mse        mae       rmse         r2    pearson   spearman\n");
	json_array_foreach((json_t *)outputs, i, one)
	{
		if (rc == FT_OK)
			rc = ft_buf_printf(out, "%6zu", i);
		for (size_t k = 0; k < sizeof column / sizeof column[0] && rc == FT_OK; k++)
			rc = put_number(out, number(one, column[k]), 11, false);
		if (rc == FT_OK)
			rc = ft_buf_append(out, "\n", 1);
	}
	return rc;
}

/* How scores were computed that many programs have, each in its own way. */
static int put_signatures(struct ft_buf *out, const json_t *signatures)
{
	const char *name;
	json_t *one;
	int rc = json_object_size(signatures) ? ft_buf_append(out, "\n", 1) : FT_OK;
	json_object_foreach((json_t *)signatures, name, one)
		if (rc == FT_OK)
			rc = ft_buf_printf(out, "%s: %s\n", name, json_string_value(one));
	return rc;
}

int ft_metric_table(struct ft_buf *out, const json_t *result, const json_t *baseline, const json_t *comparison)
{
	const json_t *classes = json_object_get(result, "classes"), *outputs = json_object_get(result, "outputs");
	double examples = number(result, "examples"), tokens = number(result, "tokens");
	double words = number(result, "words"), windows = number(result, "windows");
	double choices = number(result, "choices");
	int rc = ft_buf_printf(out, "%.0f examples", examples);
	if (rc == FT_OK && isfinite(windows))
		rc = ft_buf_printf(out, " (%.0f windows)", windows);
	if (rc == FT_OK && isfinite(choices))
		rc = ft_buf_printf(out, " of %.0f choices", choices);
	if (rc == FT_OK && isfinite(tokens))
		rc = ft_buf_printf(out, ", %.0f supervised tokens", tokens);
	if (rc == FT_OK && isfinite(words))
		rc = ft_buf_printf(out, ", %.0f words%s", words,
		                   json_object_get(result, "strict") ? "; entities are counted strictly" : "");
	if (rc == FT_OK)
		rc = ft_buf_append(out, "\n\n", 2);
	if (rc == FT_OK)
		rc = put_metrics(out, result, baseline, comparison);
	if (rc == FT_OK)
		rc = put_mcnemar(out, comparison);
	if (rc == FT_OK)
		rc = put_signatures(out, json_object_get(result, "signatures"));
	if (rc == FT_OK && json_object_size(classes))
		rc = put_classes(out, classes);
	if (rc == FT_OK)
		rc = put_confusion(out, json_object_get(result, "confusion"), widest_name(classes));
	if (rc == FT_OK && json_array_size(outputs) && json_array_size(outputs) <= MATRIX_MAX)
		rc = put_outputs(out, outputs);
	return rc;
}
