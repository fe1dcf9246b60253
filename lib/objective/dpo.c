/* dpo.c - direct preference optimisation (Rafailov et al., NeurIPS 2023), and odds ratio preference
 * optimisation (Hong et al., EMNLP 2024), which needs no reference: of pairs of texts. */
#include "preference.h"

#include <stdlib.h>

struct pairs {
	struct preference common;
	double beta, smoothing;
};

static void take_down(void *state)
{
	struct pairs *s = state;
	other_free(s->common.reference);
	free(s);
}

static int set_up_pairs(struct ft_objective *x, bool asked, const char *option, void **state)
{
	int rc = asked ? preference_check(x, option) : FT_OK;
	if (rc < 0 || !asked)
		return rc;
	struct pairs *s = *state = ft_alloc(1, sizeof *s);
	if (!s)
		return FT_EFAIL;
	s->common.option = option;
	s->common.stored = true;
	s->beta = x->o->beta;
	s->smoothing = x->m->loss.smoothing;
	return 1;
}

static int set_up_dpo(struct ft_objective *x, void **state) { return set_up_pairs(x, x->o->dpo, "--dpo", state); }
static int set_up_orpo(struct ft_objective *x, void **state) { return set_up_pairs(x, x->o->orpo, "--orpo", state); }

static struct other *other(const void *state, size_t i)
{
	const struct pairs *s = state;
	return i == 0 ? s->common.reference : NULL;
}

static int before(void *state, struct pass *p)
{
	struct pairs *s = state;
	return preference_before(&s->common, p, 2);
}

/* The rewards of the paper, by which it judges: how much more likely the texts have become, times beta. */
static void note(struct pairs *s, const struct ft_tensor *x, const float *reference)
{
	for (int64_t r = 0; x && r < x->rows; r += 2)
		preference_note_pair(&s->common, s->beta * (x->data[r] - (reference ? reference[r] : 0)),
		                     s->beta * (x->data[r + 1] - (reference ? reference[r + 1] : 0)));
}

static int add_dpo(void *state, struct pass *p)
{
	struct pairs *s = state;
	const float *reference = preference_reference(&s->common, p);
	if (!reference)
		return ft_last_error();
	struct ft_tensor *x = preference_scores(p->g, p->b, &p->h, false);
	note(s, x, reference);
	return preference_finish(p, ft_dpo(p->g, x, reference, (float)s->beta, (float)s->smoothing));
}

static int add_orpo(void *state, struct pass *p)
{
	struct pairs *s = state;
	struct ft_tensor *x = preference_scores(p->g, p->b, &p->h, true);
	note(s, x, NULL);
	return preference_finish(p, ft_orpo(p->g, x, (float)s->beta));
}

static int put_log(void *state, json_t *entry)
{
	struct pairs *s = state;
	return preference_log(&s->common, entry);
}

static double *sums(void *state, size_t *n)
{
	struct pairs *s = state;
	return preference_sums(&s->common, n);
}

const struct objective objective_dpo = {
	.name = "dpo", .open = set_up_dpo, .close = take_down, .other = other, .before = before, .add = add_dpo,
	.log = put_log, .sums = sums
};
const struct objective objective_orpo = {
	.name = "orpo", .open = set_up_orpo, .close = take_down, .other = other, .before = before, .add = add_orpo,
	.log = put_log, .sums = sums
};
