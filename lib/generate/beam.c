/* beam.c - beam search over one row: the beams are rows of one cache. Candidates, the end
 * of the search and the comparison of answers of different lengths are transformers'. */
#include "priv.h"

#include "ft/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct beam {
	int32_t *ids; /* [length] so far, room for max_new */
	double score; /* sum of log-probabilities; of one that has ended: over length^penalty */
	size_t n;
};

struct candidate {
	double score;
	int32_t beam, id;
};

struct search {
	struct ft_model *m;
	struct ft_graph *g;
	const struct ft_generate_options *o;
	struct ft_cache *cache;
	size_t width, length;             /* beams; tokens of each */
	struct beam *now, *next, *ended;  /* [width] each */
	size_t beams, nended;
	struct candidate *best;           /* [cap], the best candidates first */
	size_t nbest, cap;
};

static double normal(const struct search *s, double score, size_t length)
{
	return score / pow((double)length, s->o->length_penalty);
}

/* Keeps the candidate when it is one of the best; of equal ones the earlier. */
static void offer(struct search *s, double score, int32_t beam, int32_t id)
{
	if (s->nbest == s->cap && !(score > s->best[s->cap - 1].score))
		return;
	size_t at = s->nbest < s->cap ? s->nbest++ : s->cap - 1;
	for (; at && s->best[at - 1].score < score; at--)
		s->best[at] = s->best[at - 1];
	s->best[at] = (struct candidate){ score, beam, id };
}

static void find_candidates(struct search *s, const struct ft_output *out)
{
	s->nbest = 0;
	for (size_t i = 0; i < s->beams; i++) {
		const float *logits = out->logits + i * out->outputs;
		float all = ft_kernels()->log_sum_exp(logits, out->outputs);
		for (size_t id = 0; id < out->outputs; id++)
			offer(s, s->now[i].score + (double)(logits[id] - all), (int32_t)i, (int32_t)id);
	}
}

static void extend(const struct search *s, struct beam *to, const struct candidate *c, double score)
{
	const struct beam *from = &s->now[c->beam];
	if (from->n)
		memcpy(to->ids, from->ids, from->n * sizeof *to->ids);
	to->ids[from->n] = c->id;
	to->n = from->n + 1;
	to->score = score;
}

/* An answer that has ended takes the place of a worse one. */
static void end_beam(struct search *s, const struct candidate *c)
{
	double score = normal(s, c->score, s->length + 1);
	size_t at = s->nended;
	if (s->nended == s->width) {
		at = 0;
		for (size_t i = 1; i < s->width; i++)
			if (s->ended[i].score < s->ended[at].score)
				at = i;
		if (!(score > s->ended[at].score))
			return;
	} else {
		s->nended++;
	}
	extend(s, &s->ended[at], c, score);
}

/* The candidates that end do so when they are among the first; of the others the best go
 * on. How many that are. */
static size_t divide(struct search *s, int32_t *from, int32_t *ids)
{
	size_t going = 0;
	bool last = (int64_t)s->length + 1 >= s->o->max_new ||
	            ft_cache_length(s->cache, 0) + 1 > most_tokens(s->m);
	for (size_t i = 0; i < s->nbest; i++) {
		const struct candidate *c = &s->best[i];
		bool ends = last || is_end(s->o, c->id);
		if (ends && i < s->width)
			end_beam(s, c);
		if (ends || going == s->width)
			continue;
		extend(s, &s->next[going], c, c->score);
		from[going] = c->beam;
		ids[going++] = c->id;
	}
	struct beam *t = s->now;
	s->now = s->next;
	s->next = t;
	s->beams = going;
	s->length++;
	return going;
}

static bool can_improve(const struct search *s)
{
	double worst = INFINITY;
	for (size_t i = 0; i < s->nended; i++)
		worst = fmin(worst, s->ended[i].score);
	return s->nended < s->width || normal(s, s->now[0].score, s->length) > worst;
}

static int run(struct search *s, const int32_t *prompt, size_t n)
{
	int32_t first[2] = { 0, (int32_t)n };
	int32_t *from = ft_alloc(s->width, sizeof *from), *ids = ft_alloc(s->width, sizeof *ids);
	int32_t *offsets = ft_alloc(s->width + 1, sizeof *offsets);
	struct ft_batch b = { .ids = prompt, .offsets = first, .rows = 1, .tokens = n, .epoch = -1 };
	int rc = from && ids && offsets ? FT_OK : FT_EFAIL;
	while (rc == FT_OK) {
		struct ft_output out;
		rc = ft_model_eval(s->m, s->g, &b, &out);
		rc = rc < 0 ? rc : ft_cache_add(s->cache, &b);
		if (rc < 0)
			break;
		find_candidates(s, &out);
		size_t going = divide(s, from, ids);
		if (!going || !can_improve(s))
			break;
		rc = ft_cache_select(s->cache, from, going);
		for (size_t i = 0; i <= going; i++)
			offsets[i] = (int32_t)i;
		b = (struct ft_batch){ .ids = ids, .offsets = offsets, .rows = going, .tokens = going, .epoch = -1 };
	}
	free(from);
	free(ids);
	free(offsets);
	return rc;
}

/* The best of the answers that have ended. */
static int give_best(const struct search *s, struct ft_answer *a)
{
	const struct beam *best = s->ended;
	for (size_t i = 1; i < s->nended; i++)
		if (s->ended[i].score > best->score)
			best = &s->ended[i];
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < best->n; i++)
		rc = answer_add(a, best->ids[i], 0);
	a->logprob = best->score * pow((double)best->n, s->o->length_penalty);
	bool end = best->n && is_end(s->o, best->ids[best->n - 1]);
	a->finish = end ? FT_FINISH_STOP : (int64_t)best->n >= s->o->max_new ? FT_FINISH_LENGTH : FT_FINISH_CONTEXT;
	return rc;
}

static struct beam *new_beams(const struct search *s)
{
	struct beam *b = ft_alloc(s->width, sizeof *b);
	for (size_t i = 0; b && i < s->width; i++)
		if (!(b[i].ids = ft_alloc((size_t)s->o->max_new, sizeof *b[i].ids)))
			return b; /* freed with the rest; the caller finds the hole */
	return b;
}

static bool whole(const struct search *s, const struct beam *b)
{
	return b && b[s->width - 1].ids;
}

static void free_beams(const struct search *s, struct beam *b)
{
	for (size_t i = 0; b && i < s->width; i++)
		free(b[i].ids);
	free(b);
}

int beam_search(struct ft_model *m, struct ft_graph *g, const struct ft_generate_options *o, const int32_t *prompt,
                size_t n, struct ft_answer *a)
{
	struct search s = { .m = m, .g = g, .o = o, .width = (size_t)o->beams, .beams = 1 };
	s.cap = s.width * (o->nends + 1 > 2 ? o->nends + 1 : 2);
	s.cache = ft_cache_new();
	s.best = ft_alloc(s.cap, sizeof *s.best);
	s.now = new_beams(&s);
	s.next = new_beams(&s);
	s.ended = new_beams(&s);
	int rc = s.cache && s.best && whole(&s, s.now) && whole(&s, s.next) && whole(&s, s.ended) ? FT_OK : FT_EFAIL;
	a->logprob = 0;
	ft_graph_cache(g, s.cache);
	rc = rc < 0 ? rc : run(&s, prompt, n);
	ft_graph_cache(g, NULL);
	rc = rc < 0 ? rc : give_best(&s, a);
	free_beams(&s, s.now);
	free_beams(&s, s.next);
	free_beams(&s, s.ended);
	free(s.best);
	ft_cache_free(s.cache);
	return rc;
}
