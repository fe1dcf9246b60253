/* objective.c - one step: the model's pass, what objectives make of it, and the way back. */
#include "priv.h"

#include <math.h>
#include <stdlib.h>

static const struct objective *const all[OBJECTIVES] = {
#define X(name) &objective_##name,
#include "objectives.def"
#undef X
};

struct ft_objective *ft_objective_new(struct ft_model *m, const struct ft_objective_options *o)
{
	struct ft_objective *x = ft_alloc(1, sizeof *x);
	if (!x)
		return NULL;
	x->m = m;
	x->o = o;
	for (size_t i = 0; i < OBJECTIVES; i++) {
		struct used *u = &x->used[x->count];
		int rc = all[i]->open(x, &u->state);
		if (rc < 0) {
			ft_objective_free(x);
			return NULL;
		}
		if (rc > 0) {
			u->objective = all[i];
			x->count++;
		}
	}
	return x;
}

void ft_objective_free(struct ft_objective *x)
{
	for (size_t i = 0; x && i < x->count; i++)
		x->used[i].objective->close(x->used[i].state);
	free(x);
}

void ft_objective_others(const struct ft_objective *x, ft_objective_other *f, void *ctx)
{
	for (size_t k = 0; k < x->count; k++) {
		const struct used *u = &x->used[k];
		struct other *o;
		for (size_t i = 0; u->objective->other && (o = u->objective->other(u->state, i)); i++) {
			struct ft_graph *g;
			struct ft_model *m = other_model(o, &g);
			f(ctx, m, g);
		}
	}
}

/* ---- for objectives ---- */
int objective_needs_prediction(const struct ft_model *m, const char *option)
{
	enum ft_task t = m->head->task;
	if (t != FT_TASK_NONE && t != FT_TASK_EMBED)
		return FT_OK;
	return ft_fail(FT_EUSAGE, "%s compares predictions, and the head '%s' of %s makes none", option, m->head->name,
	               m->name);
}

enum ft_prediction objective_prediction(const struct ft_model *m)
{
	return m->head->task == FT_TASK_MULTILABEL ? FT_LABELS : m->head->task == FT_TASK_REGRESS ? FT_NUMBERS : FT_CLASSES;
}

int64_t objective_units(const struct pass *p)
{
	const struct ft_tensor *t = p->h.decoded.x ? p->h.decoded.x : p->h.logits;
	return t ? t->rows : 0;
}

double objective_scale(const struct pass *p, double weight)
{
	return weight * p->h.weight / (double)objective_units(p);
}

/* A term of other units than the loss has, as of tokens beside examples: summed over runs of them, so that there are as
 * many. */
static struct ft_tensor *gather_units(struct pass *p, struct ft_tensor *term, int64_t rows)
{
	struct ft_batch *runs = ft_graph_alloc(p->g, sizeof *runs);
	int32_t *offsets = ft_graph_alloc(p->g, (size_t)(rows + 1) * sizeof *offsets);
	float *ones = ft_graph_alloc(p->g, (size_t)term->rows * sizeof *ones);
	if (!runs || !offsets || !ones)
		return NULL;
	for (int64_t i = 0; i < term->rows; i++)
		ones[i] = 1;
	for (int64_t r = 0; r <= rows; r++)
		offsets[r] = (int32_t)(r * term->rows / rows);
	*runs = (struct ft_batch){ .offsets = offsets, .rows = (size_t)rows, .tokens = (size_t)term->rows };
	return ft_weighted_sum(p->g, runs, term, ones);
}

int objective_add(struct pass *p, struct ft_tensor *term)
{
	for (int64_t i = 0; term && i < term->rows; i++)
		*p->part += term->data[i];
	if (term && p->h.loss && term->rows != p->h.loss->rows)
		term = gather_units(p, term, p->h.loss->rows);
	/* Without dropout this is a sum. */
	p->h.loss = p->h.loss ? ft_dropout_add(p->g, p->h.loss, term, 0) : term;
	return ft_graph_error(p->g);
}

/* ---- a step ---- */

/* The mean over the copies of each unit, as the caller knows its units. */
static int fold_copies(const struct pass *p, struct ft_output *out)
{
	size_t n = out->units / p->copies;
	float *loss = out->loss ? ft_graph_alloc(p->g, n * sizeof *loss) : NULL;
	if (!loss)
		return ft_graph_error(p->g);
	for (size_t i = 0; i < n; i++) {
		double sum = 0;
		for (size_t k = 0; k < p->copies; k++)
			sum += out->loss[k * n + i];
		loss[i] = (float)(sum / (double)p->copies);
	}
	out->loss = loss;
	out->units = n;
	out->supervised /= (int64_t)p->copies;
	return FT_OK;
}

static int run_pass(struct pass *p)
{
	struct ft_objective *x = p->x;
	int rc = FT_OK;
	for (size_t i = 0; i < x->count && rc == FT_OK; i++)
		rc = x->used[i].objective->before ? x->used[i].objective->before(x->used[i].state, p) : FT_OK;
	rc = rc ? rc : model_run(x->m, p->g, p->b, &p->h);
	for (size_t i = 0; i < x->count && rc == FT_OK; i++) {
		p->part = &x->used[i].part;
		rc = x->used[i].objective->add ? x->used[i].objective->add(x->used[i].state, p) : FT_OK;
	}
	return rc;
}

int ft_objective_step(struct ft_objective *x, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out)
{
	struct pass p = { .x = x, .g = g, .batch = b, .b = b, .copies = 1 };
	int rc = run_pass(&p);
	rc = rc ? rc : model_output(x->m, g, &p.h, out);
	if (rc == FT_OK && p.copies > 1)
		rc = fold_copies(&p, out);
	if (rc < 0 || !p.h.loss || !out->supervised || !isfinite(out->loss_sum))
		return rc;
	x->weight += out->weight;
	return ft_backward(g, p.h.loss);
}

int ft_objective_log(struct ft_objective *x, json_t *entry)
{
	int rc = FT_OK;
	for (size_t i = 0; i < x->count; i++) {
		struct used *u = &x->used[i];
		if (u->objective->log)
			rc |= u->objective->log(u->state, entry);
		else if (x->weight > 0)
			rc |= ft_json_set(entry, u->objective->name, json_real(u->part / x->weight));
		u->part = 0;
	}
	x->weight = 0;
	return rc ? FT_EFAIL : FT_OK;
}
