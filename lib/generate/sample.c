/* sample.c - the next token: what is left of the vocabulary, and a choice among it. */
#include "ft/sample.h"

#include "ft/err.h"
#include "ft/kernels.h"
#include "ft/mem.h"
#include "ft/metric.h"
#include "ft/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
	float logit, weight; /* weights sum to 1 */
	int32_t id;
};

struct ft_sampler {
	struct ft_sample_options o;
	size_t vocabulary;
	struct candidate *left; /* [vocabulary] */
	float *own;             /* [vocabulary]: logits as the model gave them */
	uint8_t *seen;          /* [vocabulary] */
};

int ft_sample_check(const struct ft_sample_options *o)
{
	if (!(o->temperature >= 0) || o->temperature > 1e6)
		return ft_fail(FT_EUSAGE, "--temperature: %g is not a number from 0 on", o->temperature);
	if (o->top_k < 0)
		return ft_fail(FT_EUSAGE, "--top-k: %lld is less than none", (long long)o->top_k);
	if (!(o->top_p > 0 && o->top_p <= 1))
		return ft_fail(FT_EUSAGE, "--top-p: %g is not in (0, 1]", o->top_p);
	if (!(o->min_p >= 0 && o->min_p <= 1))
		return ft_fail(FT_EUSAGE, "--min-p: %g is not in [0, 1]", o->min_p);
	if (!(o->penalty > 0) || o->penalty > 1e6)
		return ft_fail(FT_EUSAGE, "--repetition-penalty: %g is not above 0", o->penalty);
	return FT_OK;
}

struct ft_sampler *ft_sampler_new(const struct ft_sample_options *o, size_t vocabulary)
{
	struct ft_sampler *s = ft_alloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->o = *o;
	s->vocabulary = vocabulary;
	s->left = ft_alloc(vocabulary, sizeof *s->left);
	s->own = ft_alloc(vocabulary, sizeof *s->own);
	s->seen = ft_alloc(vocabulary, sizeof *s->seen);
	if (s->left && s->own && s->seen)
		return s;
	ft_sampler_free(s);
	return NULL;
}

void ft_sampler_free(struct ft_sampler *s)
{
	if (!s)
		return;
	free(s->left);
	free(s->own);
	free(s->seen);
	free(s);
}

/* Each token that has been counts once, however often it was. */
static void punish(struct ft_sampler *s, float *logits, const int32_t *seen, size_t n)
{
	float penalty = (float)s->o.penalty;
	if (penalty == 1)
		return;
	memset(s->seen, 0, s->vocabulary);
	for (size_t i = 0; i < n; i++)
		if (seen[i] >= 0 && (size_t)seen[i] < s->vocabulary)
			s->seen[seen[i]] = 1;
	for (size_t i = 0; i < s->vocabulary; i++)
		if (s->seen[i])
			logits[i] = logits[i] > 0 ? logits[i] / penalty : logits[i] * penalty;
}

/* Descending logits; of equal ones the smaller id first (the reference leaves that open). */
static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	if (x->logit != y->logit)
		return x->logit < y->logit ? 1 : -1;
	return x->id < y->id ? -1 : 1;
}

/* Puts the heap [n] with its smallest on top into order after its top has changed. */
static void sink(struct candidate *heap, size_t n)
{
	for (size_t at = 0, child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && heap[child + 1].logit < heap[child].logit)
			child++;
		if (heap[at].logit <= heap[child].logit)
			return;
		struct candidate t = heap[at];
		heap[at] = heap[child];
		heap[child] = t;
	}
}

/* The k-th largest logit, by a heap of the k largest so far. */
static float kth_largest(struct ft_sampler *s, const float *logits, size_t k)
{
	struct candidate *heap = s->left;
	for (size_t i = 0; i < k; i++)
		heap[i] = (struct candidate){ .logit = -INFINITY };
	for (size_t i = 0; i < s->vocabulary; i++)
		if (logits[i] > heap[0].logit) {
			heap[0].logit = logits[i];
			sink(heap, k);
		}
	return heap[0].logit;
}

/* What top-k leaves, with weights; like the reference it keeps all that equal the last. */
static size_t keep_top_k(struct ft_sampler *s, const float *logits)
{
	bool all = s->o.top_k == 0 || (size_t)s->o.top_k >= s->vocabulary;
	float least = all ? -INFINITY : kth_largest(s, logits, (size_t)s->o.top_k), most = -INFINITY;
	size_t n = 0;
	double sum = 0;
	for (size_t i = 0; i < s->vocabulary; i++) {
		if (logits[i] < least)
			continue;
		s->left[n++] = (struct candidate){ .logit = logits[i], .id = (int32_t)i };
		most = logits[i] > most ? logits[i] : most;
	}
	for (size_t i = 0; i < n; i++)
		sum += (double)(s->left[i].weight = expf(s->left[i].logit - most));
	for (size_t i = 0; i < n; i++)
		s->left[i].weight = (float)((double)s->left[i].weight / sum);
	return n;
}

/* Keeps those of at least `weight`, in their order. */
static size_t keep_from(struct ft_sampler *s, size_t n, double weight)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if ((double)s->left[i].weight >= weight)
			s->left[kept++] = s->left[i];
	return kept;
}

/* The fewest of the most likely that make up p. What is so unlikely that all of its
 * kind together are not the rest, 1 - p, need not be sorted. */
static size_t keep_top_p(struct ft_sampler *s, size_t n)
{
	double rest = 1 - s->o.top_p, before = 0;
	if (rest <= 0)
		return n;
	n = keep_from(s, n, rest / (double)n);
	qsort(s->left, n, sizeof *s->left, compare);
	for (size_t i = 0; i < n; i++) {
		if (i && 1 - before <= rest)
			return i;
		before += (double)s->left[i].weight;
	}
	return n;
}

/* What is left, with weights that sum to 1; how many that is. */
static size_t narrow(struct ft_sampler *s, float *logits)
{
	for (size_t i = 0; i < s->vocabulary; i++)
		logits[i] /= (float)s->o.temperature;
	size_t n = keep_top_p(s, keep_top_k(s, logits));
	double most = 0, sum = 0;
	for (size_t i = 0; i < n; i++)
		most = fmax(most, (double)s->left[i].weight);
	n = keep_from(s, n, s->o.min_p * most);
	for (size_t i = 0; i < n; i++)
		sum += (double)s->left[i].weight;
	for (size_t i = 0; i < n; i++)
		s->left[i].weight = (float)((double)s->left[i].weight / sum);
	return n;
}

static int32_t choose(const struct ft_sampler *s, size_t n, uint64_t row, uint64_t place)
{
	struct ft_rng r;
	ft_rng_init(&r, ft_mix(s->o.seed, row), place);
	double at = ft_rng_uniform(&r);
	for (size_t i = 0; i + 1 < n; i++) {
		at -= (double)s->left[i].weight;
		if (at < 0)
			return s->left[i].id;
	}
	return s->left[n - 1].id;
}

int32_t ft_sample(struct ft_sampler *s, float *logits, const int32_t *seen, size_t n, uint64_t row, uint64_t place,
                  double *logprob)
{
	memcpy(s->own, logits, s->vocabulary * sizeof *logits);
	punish(s, logits, seen, n);
	int32_t id = s->o.temperature > 0 ? choose(s, narrow(s, logits), row, place)
	                                  : (int32_t)ft_argmax(logits, s->vocabulary);
	if (logprob)
		*logprob = (double)s->own[id] - (double)ft_kernels()->log_sum_exp(s->own, s->vocabulary);
	return id;
}

const float *ft_sample_weights(struct ft_sampler *s, float *logits, const int32_t *seen, size_t n)
{
	punish(s, logits, seen, n);
	size_t left = narrow(s, logits);
	memset(logits, 0, s->vocabulary * sizeof *logits);
	for (size_t i = 0; i < left; i++)
		logits[s->left[i].id] = s->left[i].weight;
	return logits;
}
