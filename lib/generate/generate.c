/* generate.c - many rows side by side, a token each a pass, over one cache. */
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *ft_finish_name(enum ft_finish f)
{
	static const char *const names[] = { [FT_FINISH_STOP] = "stop", [FT_FINISH_LENGTH] = "length",
	                                     [FT_FINISH_CONTEXT] = "context" };
	return names[f];
}

void ft_answer_free(struct ft_answer *a)
{
	free(a->ids);
	ft_buf_free(&a->text);
	*a = (struct ft_answer){ 0 };
}

bool is_end(const struct ft_generate_options *o, int32_t id)
{
	for (size_t i = 0; i < o->nends; i++)
		if (o->ends[i] == id)
			return true;
	return false;
}

int answer_add(struct ft_answer *a, int32_t id, double logprob)
{
	int rc = ft_grow(&a->ids, &a->cap, a->n + 1, sizeof *a->ids);
	if (rc < 0)
		return rc;
	a->ids[a->n++] = id;
	a->logprob += logprob;
	return FT_OK;
}

int64_t most_tokens(const struct ft_model *m)
{
	return ft_json_int(ft_model_meta(m), "max_length", INT32_MAX, NULL);
}

/* One row that is being answered. */
struct row {
	size_t number;          /* in the caller's batch */
	struct ft_answer *a;
	struct spelling spell;
	int32_t *seen;          /* prompt and answer, for the penalty; NULL without one */
	size_t nseen, seen_cap, told; /* told: bytes of its text that the caller has */
};

struct run {
	struct ft_model *m;
	struct ft_graph *g;
	const struct ft_generate_options *o;
	struct ft_sampler *sampler;
	struct ft_cache *cache;
	struct row *row; /* [n], those that go on */
	size_t n;
	float *logits;   /* of one row */
	int32_t *ids, *offsets, *keep; /* of the next batch; rows that go on */
	ft_said *said;
	void *ctx;
};

static int see(struct row *r, const int32_t *ids, size_t n)
{
	int rc = ft_grow(&r->seen, &r->seen_cap, r->nseen + n, sizeof *r->seen);
	if (rc < 0)
		return rc;
	memcpy(r->seen + r->nseen, ids, n * sizeof *ids);
	r->nseen += n;
	return FT_OK;
}

static int tell(struct run *x, struct row *r)
{
	size_t n = r->a->text.len - r->told;
	if (!n || !x->said)
		return FT_OK;
	int rc = x->said(x->ctx, r->number, (const char *)r->a->text.data + r->told, n);
	r->told = r->a->text.len;
	return rc;
}

/* Adds a token to the row. 1: that was its last. */
static int take(struct run *x, size_t i, int32_t id, double logprob)
{
	struct row *r = &x->row[i];
	int rc = answer_add(r->a, id, logprob);
	if (rc < 0 || (x->o->sample.penalty != 1 && (rc = see(r, &id, 1)) < 0))
		return rc;
	bool end = is_end(x->o, id), enough = (int64_t)r->a->n >= x->o->max_new;
	bool full = ft_cache_length(x->cache, i) + 1 > most_tokens(x->m);
	r->a->finish = end ? FT_FINISH_STOP : enough ? FT_FINISH_LENGTH : FT_FINISH_CONTEXT;
	bool last = end || enough || full;
	size_t n = r->a->n;
	r->a->n -= end; /* what ended it is not spelled */
	rc = spell_more(&r->spell, r->a, last);
	r->a->n = n;
	if (rc > 0)
		r->a->finish = FT_FINISH_STOP;
	last |= rc > 0;
	rc = rc < 0 ? rc : tell(x, r);
	return rc < 0 ? rc : last;
}

/* Chooses for every row, and drops those that are done: *going rows are left. */
static int choose(struct run *x, const struct ft_output *out, size_t *going)
{
	*going = 0;
	for (size_t i = 0; i < x->n; i++) {
		struct row *r = &x->row[i];
		double logprob;
		memcpy(x->logits, out->logits + i * out->outputs, out->outputs * sizeof *x->logits);
		int32_t id = ft_sample(x->sampler, x->logits, r->seen, r->nseen, x->o->first_row + r->number, r->a->n,
		                       &logprob);
		if (!isfinite(logprob))
			return ft_fail(FT_ECRITERION, "row %zu: what the model says of the next token is not finite",
			               r->number + 1);
		int rc = take(x, i, id, logprob);
		if (rc < 0)
			return rc;
		if (rc > 0)
			continue;
		x->ids[*going] = id;
		x->keep[(*going)++] = (int32_t)i;
	}
	return FT_OK;
}

/* The rows that go on close up. */
static int close_up(struct run *x, size_t going)
{
	if (going == x->n)
		return FT_OK;
	if (!going) {
		x->n = 0;
		return FT_OK;
	}
	int rc = ft_cache_select(x->cache, x->keep, going);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < going; i++) {
		struct row t = x->row[i]; /* the one that is done lives on behind the others, to be freed */
		x->row[i] = x->row[x->keep[i]];
		x->row[x->keep[i]] = t;
	}
	x->n = going;
	return FT_OK;
}

static int run_rows(struct run *x, const struct ft_batch *prompts)
{
	size_t past = x->o->cache ? (size_t)ft_cache_length(x->o->cache, 0) : 0;
	struct ft_batch b = { .ids = prompts->ids, .offsets = prompts->offsets, .rows = prompts->rows,
	                      .tokens = prompts->tokens, .src = prompts->src, .epoch = -1 };
	int32_t rest[2] = { 0, (int32_t)(prompts->tokens - past) };
	if (past) {
		b.ids += past;
		b.tokens -= past;
		b.offsets = rest;
	}
	while (x->n) {
		struct ft_output out;
		size_t going;
		int rc = ft_model_eval(x->m, x->g, &b, &out);
		rc = rc < 0 ? rc : ft_cache_add(x->cache, &b);
		rc = rc < 0 ? rc : choose(x, &out, &going);
		rc = rc < 0 ? rc : close_up(x, going);
		if (rc < 0)
			return rc;
		b = (struct ft_batch){ .ids = x->ids, .offsets = x->offsets, .rows = going, .tokens = going, .epoch = -1 };
	}
	return FT_OK;
}

static int begin_rows(struct run *x, const struct ft_tok *t, const struct ft_batch *p, struct ft_answer *answers)
{
	x->n = p->rows;
	x->row = ft_alloc(p->rows, sizeof *x->row);
	x->ids = ft_alloc(p->rows, sizeof *x->ids);
	x->keep = ft_alloc(p->rows, sizeof *x->keep);
	x->offsets = ft_alloc(p->rows + 1, sizeof *x->offsets);
	int64_t vocabulary = ft_json_int(json_object_get(ft_model_meta(x->m), "config"), "vocab_size", 0, NULL);
	x->logits = ft_alloc((size_t)vocabulary, sizeof *x->logits);
	x->sampler = ft_sampler_new(&x->o->sample, (size_t)vocabulary);
	x->cache = x->o->cache ? x->o->cache : ft_cache_new();
	if (!x->row || !x->ids || !x->keep || !x->offsets || !x->logits || !x->sampler || !x->cache)
		return FT_EFAIL;
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < p->rows; i++) {
		const int32_t *ids = p->ids + p->offsets[i];
		size_t n = (size_t)(p->offsets[i + 1] - p->offsets[i]);
		answers[i].n = answers[i].text.len = 0;
		answers[i].logprob = 0;
		x->offsets[i + 1] = (int32_t)i + 1;
		x->row[i] = (struct row){ .number = i, .a = &answers[i] };
		spell_begin(&x->row[i].spell, t, x->o, ids, n);
		rc = x->o->sample.penalty != 1 ? see(&x->row[i], ids, n) : FT_OK;
	}
	return rc;
}

static void end_rows(struct run *x, size_t rows)
{
	for (size_t i = 0; x->row && i < rows; i++) {
		spell_free(&x->row[i].spell);
		free(x->row[i].seen);
	}
	ft_graph_cache(x->g, NULL);
	if (x->cache != x->o->cache)
		ft_cache_free(x->cache);
	ft_sampler_free(x->sampler);
	free(x->row);
	free(x->ids);
	free(x->keep);
	free(x->offsets);
	free(x->logits);
}

static int generate_beams(struct ft_model *m, struct ft_graph *g, const struct ft_tok *t,
                          const struct ft_generate_options *o, const struct ft_batch *p, ft_said *said, void *ctx,
                          struct ft_answer *answers)
{
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < p->rows; i++) {
		const int32_t *ids = p->ids + p->offsets[i];
		size_t n = (size_t)(p->offsets[i + 1] - p->offsets[i]);
		struct ft_answer *a = &answers[i];
		struct spelling s;
		a->n = a->text.len = 0;
		rc = beam_search(m, g, o, ids, n, a);
		spell_begin(&s, t, o, ids, n);
		bool end = a->n && is_end(o, a->ids[a->n - 1]);
		a->n -= end;
		rc = rc < 0 ? rc : spell_more(&s, a, true);
		a->n += end;
		spell_free(&s);
		rc = rc < 0 ? rc : said && a->text.len ? said(ctx, i, (const char *)a->text.data, a->text.len) : FT_OK;
	}
	return rc;
}

int ft_generate(struct ft_model *m, struct ft_graph *g, const struct ft_tok *t, const struct ft_generate_options *o,
                const struct ft_batch *prompts, ft_said *said, void *ctx, struct ft_answer *answers)
{
	if (ft_model_task(m) != FT_TASK_LM)
		return ft_fail(FT_EUSAGE, "%s: the model has no head lm, which says what follows", ft_model_name(m));
	if (o->beams > 1)
		return generate_beams(m, g, t, o, prompts, said, ctx, answers);
	struct run x = { .m = m, .g = g, .o = o, .said = said, .ctx = ctx };
	int rc = begin_rows(&x, t, prompts, answers);
	if (rc == FT_OK)
		ft_graph_cache(g, x.cache);
	rc = rc < 0 ? rc : run_rows(&x, prompts);
	end_rows(&x, prompts->rows);
	return rc;
}
