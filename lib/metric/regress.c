/* regress.c - metrics of a model that predicts numbers.
 *
 * With up to NARROW outputs the values are kept, for rank correlation and so
 * that everything can be resampled. With more (vectors, as in distillation)
 * only running sums by output and the errors by row are: memory does not grow
 * with the width, and standard errors are those of loss, mse and mae.
 */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NARROW 16

static void moments_add(struct moments *m, double w, double predicted, double target)
{
	double x = predicted - m->x0, y = target - m->y0, error = predicted - target;
	m->w += w;
	m->x += w * x;
	m->y += w * y;
	m->xx += w * x * x;
	m->yy += w * y * y;
	m->xy += w * x * y;
	m->squared += w * error * error;
	m->absolute += w * fabs(error);
}

static double spread(double sum, double squares, double w)
{
	double s = squares - sum * sum / w;
	return s > 1e-14 * squares ? s : 0.0; /* what is left of a constant is rounding */
}

static double moments_pearson(const struct moments *m)
{
	double x = spread(m->x, m->xx, m->w), y = spread(m->y, m->yy, m->w);
	if (x <= 0.0 || y <= 0.0)
		return NAN;
	double r = (m->xy - m->x * m->y / m->w) / sqrt(x * y);
	return r > 1.0 ? 1.0 : r < -1.0 ? -1.0 : r;
}

/* A constant target has nothing to explain: 1 when it is met, else 0. */
static double moments_r2(const struct moments *m)
{
	double y = spread(m->y, m->yy, m->w);
	return y > 0.0 ? 1.0 - m->squared / y : m->squared > 0.0 ? 0.0 : 1.0;
}

/* ---- adding rows ---- */

int regress_row(struct ft_metric *t, const float *predicted, const float *target, float loss)
{
	double squared = 0.0, absolute = 0.0, n = (double)t->outputs;
	for (size_t k = 0; k < t->outputs; k++) {
		double error = (double)predicted[k] - (double)target[k];
		if (!isfinite(error))
			return -1;
		squared += error * error;
		absolute += fabs(error);
		if (t->regress.value) {
			float *pair = t->regress.value + (t->rows * t->outputs + k) * 2;
			pair[0] = predicted[k];
			pair[1] = target[k];
			continue;
		}
		struct moments *m = &t->regress.sum[k];
		if (t->rows == 0)
			*m = (struct moments){ .x0 = (double)predicted[k], .y0 = (double)target[k] };
		moments_add(m, 1.0, (double)predicted[k], (double)target[k]);
	}
	t->regress.row[t->rows++] = (struct regress_row){
		.loss = loss,
		.squared = (float)(squared / n),
		.absolute = (float)(absolute / n),
	};
	return 0;
}

int regress_reserve(struct ft_metric *t, size_t rows)
{
	size_t need = t->rows + rows;
	int rc = ft_grow(&t->regress.row, &t->regress.row_cap, need, sizeof *t->regress.row);
	if (rc == FT_OK && t->outputs <= NARROW)
		rc = ft_grow(&t->regress.value, &t->regress.value_cap, need, t->outputs * 2 * sizeof(float));
	if (rc == FT_OK && t->outputs > NARROW && !t->regress.sum) {
		t->regress.sum = ft_alloc(t->outputs, sizeof *t->regress.sum);
		rc = t->regress.sum ? FT_OK : FT_EFAIL;
	}
	return rc;
}

static int add(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	size_t n = t->outputs;
	if (!b->targets || b->ntargets != b->rows * n)
		return ft_fail(FT_EFORMAT, "a batch has %zu targets for %zu rows of %zu values", b->ntargets, b->rows,
		               n);
	int rc = regress_reserve(t, b->rows);
	for (size_t r = 0; r < b->rows && rc == FT_OK; r++) {
		if (!isfinite(out->loss[r]))
			return metric_not_finite(b, r, "the loss");
		if (regress_row(t, out->logits + r * n, b->targets + r * n, out->loss[r]) < 0)
			return metric_not_finite(b, r, "a prediction or a target");
	}
	return rc;
}

/* ---- ranks ---- */

/* Row i's predicted (side 0) or target (side 1) value of output k. */
static float value_at(const struct ft_metric *t, size_t k, int side, size_t i)
{
	return t->regress.value[(i * t->outputs + k) * 2 + (size_t)side];
}

struct sorted {
	float value;
	uint32_t row;
};

static int by_value(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

/* Sorts the rows once by each side of each output; resamples reuse the order. */
int regress_prepare(struct ft_metric *t)
{
	size_t lists = t->outputs * 2, n;
	if (!t->regress.value || t->regress.order)
		return FT_OK;
	if (!ft_mul(lists, t->rows, &n) || t->rows > UINT32_MAX)
		return ft_fail_memory(t->rows);
	struct sorted *s = ft_alloc(t->rows, sizeof *s);
	t->regress.order = ft_alloc(n, sizeof *t->regress.order);
	if (!s || !t->regress.order) {
		free(s);
		return FT_EFAIL;
	}
	for (size_t l = 0; l < lists; l++) {
		for (size_t i = 0; i < t->rows; i++)
			s[i] = (struct sorted){ value_at(t, l / 2, (int)(l % 2), i), (uint32_t)i };
		qsort(s, t->rows, sizeof *s, by_value);
		for (size_t i = 0; i < t->rows; i++)
			t->regress.order[l * t->rows + i] = s[i].row;
	}
	free(s);
	return FT_OK;
}

/* rank[row] of one side, from 1, equal values sharing the mean of their ranks;
 * a row of weight w counts as w equal rows. Returns the sum of weights. */
static double rank_rows(const struct ft_metric *t, size_t k, int side, const uint32_t *weight, double *rank)
{
	const uint32_t *order = t->regress.order + (k * 2 + (size_t)side) * t->rows;
	double before = 0.0;
	for (size_t i = 0, end; i < t->rows; i = end) {
		float value = value_at(t, k, side, order[i]);
		double here = 0.0;
		for (end = i; end < t->rows && value_at(t, k, side, order[end]) == value; end++)
			here += weight ? weight[order[end]] : 1.0;
		for (size_t j = i; j < end; j++)
			rank[order[j]] = before + 0.5 * (here + 1.0);
		before += here;
	}
	return before;
}

static double spearman(const struct ft_metric *t, size_t k, const uint32_t *weight, double *scratch)
{
	double *x = scratch, *y = scratch + t->rows;
	rank_rows(t, k, 0, weight, x);
	double all = rank_rows(t, k, 1, weight, y);
	struct moments m = { .x0 = 0.5 * (all + 1.0), .y0 = 0.5 * (all + 1.0) };
	for (size_t i = 0; i < t->rows; i++)
		moments_add(&m, weight ? weight[i] : 1.0, x[i], y[i]);
	return moments_pearson(&m);
}

/* ---- values ---- */

size_t regress_scratch(const struct ft_metric *t)
{
	return t->regress.value ? 2 * t->rows * sizeof(double) : 0;
}

static struct moments sum_output(const struct ft_metric *t, size_t k, const uint32_t *weight)
{
	if (!t->regress.value)
		return t->regress.sum[k];
	struct moments m = { .x0 = (double)value_at(t, k, 0, 0), .y0 = (double)value_at(t, k, 1, 0) };
	for (size_t i = 0; i < t->rows; i++)
		moments_add(&m, weight ? weight[i] : 1.0, (double)value_at(t, k, 0, i), (double)value_at(t, k, 1, i));
	return m;
}

void regress_output(const struct ft_metric *t, size_t k, const uint32_t *weight, double *memory, double *v)
{
	struct moments m = sum_output(t, k, weight);
	v[METRIC_MSE] = m.squared / m.w;
	v[METRIC_MAE] = m.absolute / m.w;
	v[METRIC_RMSE] = sqrt(m.squared / m.w);
	v[METRIC_R2] = moments_r2(&m);
	v[METRIC_PEARSON] = moments_pearson(&m);
	if (t->regress.value)
		v[METRIC_SPEARMAN] = spearman(t, k, weight, memory);
}

static const int by_output[] = {
	METRIC_MSE, METRIC_MAE, METRIC_RMSE, METRIC_R2, METRIC_PEARSON, METRIC_SPEARMAN,
};
#define BY_OUTPUT (sizeof by_output / sizeof by_output[0])

static void values(const struct ft_metric *t, const uint32_t *weight, void *memory, double *v)
{
	double loss = 0.0, squared = 0.0, absolute = 0.0, all = 0.0;
	for (size_t i = 0; i < t->rows; i++) {
		const struct regress_row *r = &t->regress.row[i];
		double w = weight ? weight[i] : 1.0;
		loss += w * (double)r->loss;
		squared += w * (double)r->squared;
		absolute += w * (double)r->absolute;
		all += w;
	}
	v[METRIC_LOSS] = loss / all;
	v[METRIC_MSE] = squared / all;
	v[METRIC_MAE] = absolute / all;
	if (weight && !t->regress.value)
		return;
	for (size_t m = 0; m < BY_OUTPUT; m++)
		v[by_output[m]] = 0.0;
	for (size_t k = 0; k < t->outputs; k++) {
		double one[METRIC_COUNT];
		one[METRIC_SPEARMAN] = NAN;
		regress_output(t, k, weight, memory, one);
		for (size_t m = 0; m < BY_OUTPUT; m++)
			v[by_output[m]] += one[by_output[m]] / (double)t->outputs;
	}
}

/* result.outputs = [{mse, …}, …], when there are several. */
static int detail(const struct ft_metric *t, const json_t *labels, json_t *result)
{
	(void)labels;
	if (t->outputs < 2)
		return FT_OK;
	double *memory = ft_alloc(regress_scratch(t), 1);
	json_t *list = json_array();
	int bad = !memory || json_object_set_new(result, "outputs", list) < 0;
	for (size_t k = 0; k < t->outputs && !bad; k++) {
		double one[METRIC_COUNT];
		json_t *obj = json_object();
		one[METRIC_SPEARMAN] = NAN;
		regress_output(t, k, NULL, memory, one);
		for (size_t m = 0; m < BY_OUTPUT; m++)
			bad |= json_object_set_new(obj, ft_metric_info((size_t)by_output[m])->name,
			                           metric_number(one[by_output[m]]));
		bad |= json_array_append_new(list, obj);
	}
	free(memory);
	return bad ? ft_fail(FT_EFAIL, "out of memory for the results") : FT_OK;
}

void regress_free(struct ft_metric *t)
{
	free(t->regress.row);
	free(t->regress.value);
	free(t->regress.order);
	free(t->regress.sum);
}

const struct metric_kind metric_regress = {
	.add = add,
	.prepare = regress_prepare,
	.scratch = regress_scratch,
	.values = values,
	.detail = detail,
	.free = regress_free,
};
