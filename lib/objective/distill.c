/* distill.c - a teacher's predictions are learnt beside the labels, or instead of them (Hinton et al.,
 * "Distilling the Knowledge in a Neural Network", 2015): of predictions at a temperature, which shows
 * what the teacher holds for less likely. */
#include "priv.h"

#include <stdlib.h>

struct lesson {
	struct other *teacher;
	const struct ft_model *m;
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
	if (!o->teacher && !o->stored)
		return 0;
	if (o->teacher && o->stored)
		return ft_fail(FT_EUSAGE, "--distill and --distill-stored: there can be one teacher");
	int rc = objective_needs_prediction(x->m, o->stored ? "--distill-stored" : "--distill");
	struct lesson *l = rc == FT_OK ? ft_alloc(1, sizeof *l) : NULL;
	if (!l)
		return rc ? rc : FT_EFAIL;
	l->weight = o->distill_weight;
	l->temperature = o->temperature;
	l->m = x->m;
	l->teacher = o->teacher ? other_open(x->m, o->teacher) : NULL;
	*state = l;
	if (l->teacher || o->stored)
		return 1;
	take_down(l);
	return ft_context(ft_last_error(), "--distill");
}

static struct other *other(const void *state, size_t i)
{
	const struct lesson *s = state;
	return i == 0 ? s->teacher : NULL;
}

static int before(void *state, struct pass *p)
{
	struct lesson *l = state;
	p->h.unscored = l->weight == 1;
	int rc = l->teacher ? other_run(l->teacher, p->batch, &l->h) : FT_OK;
	return rc < 0 ? ft_context(rc, "--distill") : FT_OK;
}

/* The term of predictions that are in the batch: all logits of a unit, or those of some words. */
static struct ft_tensor *stored_term(const struct lesson *l, struct pass *p)
{
	const struct ft_batch *b = p->batch;
	int64_t units = objective_units(p) / (int64_t)p->copies, n = (int64_t)b->nteacher;
	const struct ft_tensor *words = p->h.decoded.x;
	const struct ft_divergence_options o = { objective_prediction(l->m), (float)l->temperature,
	                                         (float)objective_scale(p, l->weight) };
	const struct ft_reference r = { .ids = b->teacher_ids, .logits = b->teacher, .rows = units, .top = n / units };
	if (!b->teacher || !n)
		return ft_fail(FT_EMATCH, "--distill-stored: the batch holds no predictions; ft-teach puts them there"), NULL;
	if (n % units || !words != !b->teacher_ids || (!words && n / units != p->h.logits->cols))
		return ft_fail(FT_EMATCH, "--distill-stored: %lld logits in the batch, of another kind of model: there are "
		               "%lld predictions of %lld", (long long)n, (long long)units,
		               (long long)(words ? p->h.decoded.w->rows : p->h.logits->cols)), NULL;
	return words ? ft_linear_divergence(p->g, &p->h.decoded, &r, &o)
	             : ft_divergence(p->g, p->h.logits, b->teacher, units, &o);
}

static int add(void *state, struct pass *p)
{
	struct lesson *l = state;
	int64_t units = objective_units(p);
	if (!units)
		return FT_OK;
	if (l->weight < 1 && !p->h.loss)
		return ft_fail(FT_EMATCH,
		               "the batches have no labels; with --distill-weight 1 the teacher alone is learnt from");
	if (l->weight < 1) {
		/* (1 - w) loss + w term: both are divided by 1 - w here, and so is what the mean is taken over. */
		p->h.weight /= 1 - l->weight;
	} else {
		p->h.loss = NULL;
		p->h.supervised = units;
		p->h.weight = (double)units;
	}
	struct ft_tensor *term = l->teacher ? other_term(p, &l->h, l->temperature, l->weight) : stored_term(l, p);
	return term ? objective_add(p, term) : ft_last_error();
}

const struct objective objective_distill = {
	.name = "distill", .open = set_up, .close = take_down, .other = other, .before = before, .add = add
};
