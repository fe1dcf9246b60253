/* kl_base.c - how far predictions go from those before training costs: a remedy against forgetting. Here the
 * divergence is taken at what the batches supervise; as Li and Hoiem, "Learning without Forgetting", ECCV
 * 2016, with the model itself as the teacher. */
#include "priv.h"

#include <stdlib.h>

struct memory {
	struct other *base;
	double weight;
	struct head_output h; /* of the base */
};

static void take_down(void *state)
{
	struct memory *s = state;
	other_free(s->base);
	free(s);
}

static int set_up(struct ft_objective *x, void **state)
{
	if (!(x->o->kl_base > 0))
		return 0;
	int rc = objective_needs_prediction(x->m, "--kl-base");
	struct memory *s = rc == FT_OK ? ft_alloc(1, sizeof *s) : NULL;
	if (!s)
		return rc ? rc : FT_EFAIL;
	s->weight = x->o->kl_base;
	s->base = other_before(x->m);
	*state = s;
	if (s->base)
		return 1;
	take_down(s);
	return ft_context(ft_last_error(), "--kl-base");
}

static struct other *other(const void *state, size_t i)
{
	const struct memory *s = state;
	return i == 0 ? s->base : NULL;
}

static int before(void *state, struct pass *p)
{
	struct memory *s = state;
	return other_run(s->base, p->copies > 1 ? p->batch : p->b, &s->h);
}

static int add(void *state, struct pass *p)
{
	struct memory *s = state;
	return objective_units(p) ? objective_add(p, other_term(p, &s->h, 1, s->weight)) : FT_OK;
}

const struct objective objective_kl_base = {
	.name = "kl_base", .open = set_up, .close = take_down, .other = other, .before = before, .add = add
};
