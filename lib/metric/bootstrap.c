/* bootstrap.c - standard errors by resampling examples (Efron, "Bootstrap
 * methods: another look at the jackknife", Annals of Statistics 1979).
 *
 * A resample is a weight for each row: how often it was drawn. Resample b draws
 * from the counter stream (seed, b) whatever the thread, so the result depends
 * on the seed alone; two models compared are given the same weights.
 */
#include "ft/err.h"
#include "ft/rng.h"
#include "ft/thread.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct job {
	struct ft_metric *t, *base;
	uint32_t *weight;                /* [threads, rows] */
	unsigned char *scratch;          /* [threads, scratch_bytes] */
	size_t scratch_bytes;
	double (*value)[METRIC_COUNT];   /* [resamples] */
};

static void undefined(double *v)
{
	for (size_t i = 0; i < METRIC_COUNT; i++)
		v[i] = NAN;
}

static void draw(uint32_t *weight, size_t rows, uint64_t seed, uint64_t resample)
{
	struct ft_rng rng;
	ft_rng_init(&rng, seed, resample);
	memset(weight, 0, rows * sizeof *weight);
	/* The high word of a product: a row's chance is off by less than rows / 2^32. */
	for (size_t i = 0; i < rows; i++)
		weight[(uint64_t)ft_rng_u32(&rng) * rows >> 32]++;
}

static void resample(void *ctx, size_t b)
{
	struct job *j = ctx;
	size_t me = (size_t)ft_thread_id();
	uint32_t *weight = j->weight + me * j->t->rows;
	unsigned char *scratch = j->scratch + me * j->scratch_bytes;
	draw(weight, j->t->rows, j->t->seed, b);
	undefined(j->value[b]);
	j->t->kind->values(j->t, weight, scratch, j->value[b]);
	if (!j->base)
		return;
	double other[METRIC_COUNT];
	undefined(other);
	j->base->kind->values(j->base, weight, scratch, other);
	for (size_t i = 0; i < METRIC_COUNT; i++)
		j->value[b][i] -= other[i];
}

/* Standard deviation of one metric over the resamples in which it is defined. */
static double deviation(const struct job *j, size_t metric, int resamples)
{
	double mean = 0.0, sum = 0.0;
	int n = 0;
	for (int b = 0; b < resamples; b++) {
		double x = j->value[b][metric];
		if (!isfinite(x))
			continue;
		n++;
		double delta = x - mean;
		mean += delta / n;
		sum += delta * (x - mean);
	}
	return n > 1 && 2 * n >= resamples ? sqrt(sum / (n - 1)) : NAN;
}

/* Scratch with every thread's part on cache lines of its own. */
static int prepare(struct ft_metric *t, size_t *bytes)
{
	if (t->rows == 0)
		return ft_fail(FT_EFORMAT, "there are no rows with labels, so there is nothing to measure");
	*bytes = (t->kind->scratch(t) + 63) & ~(size_t)63;
	return t->kind->prepare ? t->kind->prepare(t) : FT_OK;
}

int metric_values(struct ft_metric *t, double *v)
{
	size_t bytes;
	int rc = prepare(t, &bytes);
	if (rc < 0)
		return rc;
	void *scratch = ft_alloc(bytes, 1);
	if (!scratch)
		return FT_EFAIL;
	undefined(v);
	t->kind->values(t, NULL, scratch, v);
	free(scratch);
	return FT_OK;
}

int metric_bootstrap(struct ft_metric *t, struct ft_metric *base, double *error)
{
	struct job j = { .t = t, .base = base };
	size_t threads = (size_t)ft_threads(), n;
	int rc = prepare(t, &j.scratch_bytes);
	if (rc < 0 || (base && (rc = prepare(base, &j.scratch_bytes)) < 0))
		return rc;
	rc = FT_EFAIL;
	if (!ft_mul(threads, t->rows, &n) || t->rows > UINT32_MAX) {
		ft_fail_memory(t->rows);
		goto out;
	}
	j.weight = ft_alloc(n, sizeof *j.weight);
	j.scratch = ft_alloc(threads, j.scratch_bytes);
	j.value = ft_alloc((size_t)t->resamples, sizeof *j.value);
	if (!j.weight || !j.scratch || !j.value)
		goto out;
	ft_parallel((size_t)t->resamples, resample, &j);
	for (size_t i = 0; i < METRIC_COUNT; i++)
		error[i] = deviation(&j, i, t->resamples);
	rc = FT_OK;
out:
	free(j.weight);
	free(j.scratch);
	free(j.value);
	return rc;
}
