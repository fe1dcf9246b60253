/* ema.c - an average of the weights over the steps of a run (Polyak and Juditsky, 1992), in which
 * those of older steps count for less and less.
 *
 * It begins as the weights that training starts from. After step t (from 1) it is d times what it was
 * and 1 - d times the weights, with d = min(decay, (1 + t) / (10 + t)): so that the start is soon
 * forgotten, also in a run that is short beside 1 / (1 - decay). */
#include "ft/kernels.h"
#include "ft/thread.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

#define RUN 65536 /* elements of an item of work */

struct ema {
	struct ft_model *m;
	double decay;
	float **average; /* [params], of what trains; NULL: it does not */
};

static size_t elements(const struct ft_param *p)
{
	return (size_t)p->t.rows * (size_t)p->t.cols;
}

struct ema *ema_new(struct ft_model *m, double decay)
{
	struct ema *e = ft_alloc(1, sizeof *e);
	if (!e)
		return NULL;
	*e = (struct ema){ .m = m, .decay = decay, .average = ft_alloc(ft_model_params(m), sizeof *e->average) };
	bool good = e->average;
	for (size_t i = 0; good && i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		if (!p->trains)
			continue;
		e->average[i] = ft_alloc_whole(elements(p), sizeof(float));
		good = e->average[i];
		if (good)
			memcpy(e->average[i], p->t.data, elements(p) * sizeof(float));
	}
	if (good)
		return e;
	ema_free(e);
	return NULL;
}

struct part {
	float *average;
	const float *w;
	size_t n;
	float share;
};

static void average_run(void *ctx, size_t i)
{
	const struct part *p = ctx;
	size_t from = i * RUN, n = p->n - from < RUN ? p->n - from : RUN;
	ft_kernels()->update->average(p->average + from, p->w + from, p->share, n);
}

void ema_add(struct ema *e, int64_t step)
{
	double early = (double)(1 + step) / (double)(10 + step), decay = early < e->decay ? early : e->decay;
	for (size_t i = 0; i < ft_model_params(e->m); i++) {
		const struct ft_param *p = ft_model_param(e->m, i);
		struct part part = { e->average[i], p->t.data, elements(p), (float)(1 - decay) };
		if (part.average)
			ft_parallel_work((part.n + RUN - 1) / RUN, (double)part.n, average_run, &part);
	}
}

void ema_swap(struct ema *e)
{
	for (size_t i = 0; i < ft_model_params(e->m); i++) {
		struct ft_param *p = ft_model_param(e->m, i);
		float *w = p->t.data;
		if (!e->average[i])
			continue;
		p->t.data = e->average[i];
		e->average[i] = w;
	}
}

float *ema_weights(const struct ema *e, size_t i) { return e->average[i]; }

void ema_free(struct ema *e)
{
	if (!e)
		return;
	for (size_t i = 0; e->average && i < ft_model_params(e->m); i++)
		free(e->average[i]);
	free(e->average);
	free(e);
}
