/* distill.c - a teacher's predictions are learnt beside the labels, or instead of them (Hinton et al.,
 * "Distilling the Knowledge in a Neural Network", 2015): of predictions at a temperature, which shows
 * what the teacher holds for less likely. */
#include "priv.h"

#include <stdlib.h>

struct lesson {
	struct other *teacher;
	double weight, temperature;
	struct head_output h; /* of the teacher */
};

static void take_down(void *state)
{
	struct lesson *l = state;
	other_free(l->teacher);
	free(l);
}

static int set_up(struct ft_objective *x, void **state)
{
	const struct ft_objective_options *o = x->o;
	if (!o->teacher)
		return 0;
	int rc = objective_needs_prediction(x->m, "--distill");
	struct lesson *l = rc == FT_OK ? ft_alloc(1, sizeof *l) : NULL;
	if (!l)
		return rc ? rc : FT_EFAIL;
	l->weight = o->distill_weight;
	l->temperature = o->temperature;
	l->teacher = other_open(x->m, o->teacher);
	*state = l;
	if (l->teacher)
		return 1;
	take_down(l);
	return ft_context(ft_last_error(), "--distill");
}

static int before(void *state, struct pass *p)
{
	struct lesson *l = state;
	p->h.unscored = l->weight == 1;
	int rc = other_run(l->teacher, p->batch, &l->h);
	return rc < 0 ? ft_context(rc, "--distill") : FT_OK;
}

static int add(void *state, struct pass *p)
{
	struct lesson *l = state;
	int64_t units = objective_units(p);
	if (!units)
		return FT_OK;
	if (l->weight < 1 && !p->h.loss)
		return ft_fail(FT_EMATCH, "the batches have no labels; with --distill-weight 1 the teacher alone is learnt from");
	if (l->weight < 1) {
		/* (1 - w) loss + w term: both are divided by 1 - w here, and so is what the mean is taken over. */
		p->h.weight /= 1 - l->weight;
	} else {
		p->h.loss = NULL;
		p->h.supervised = units;
		p->h.weight = (double)units;
	}
	return objective_add(p, other_term(p, &l->h, l->temperature, l->weight));
}

const struct objective objective_distill = { .name = "distill", .open = set_up, .close = take_down, .before = before, .add = add };
