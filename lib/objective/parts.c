/* parts.c - losses of batches that come in parts: which of them are sums, and sums of what the log says. */
#include "priv.h"

#include <assert.h>

/* Terms are means over all units of what a batch weighs: the same as of its parts where each unit weighs 1. Of
 * preferences the units are words, and what weighs are examples. */
static bool weighs_units(const struct ft_objective *x, const struct ft_batch *b)
{
	const struct ft_objective_options *o = x->o;
	bool terms = o->rdrop > 0 || o->kl_base > 0 || ((o->teacher || o->stored) && o->distill_weight < 1);
	if (!terms || o->dpo || o->orpo)
		return !terms;
	bool whole = b->labels && b->nlabels == ft_batch_examples(b) && x->m->head->task == FT_TASK_CLASSIFY;
	for (size_t i = 0; whole && i < b->nlabels; i++)
		if (b->labels[i] == FT_IGNORE)
			return false;
	return !x->m->loss.weights || x->m->head->task == FT_TASK_MULTILABEL;
}

int ft_objective_splits(const struct ft_objective *x, const struct ft_batch *b)
{
	if (x->m->head->task == FT_TASK_EMBED && x->m->pair_loss.kind != LOSS_COSINE)
		return ft_fail(FT_EUSAGE,
		               "the loss of %s compares all texts of a batch with one another, and is no sum over its parts; "
		               "the loss 'cosine' is",
		               x->m->name);
	if (x->o->kto)
		return ft_fail(FT_EUSAGE, "--kto measures a divergence on all of a batch, and is no sum over its parts");
	if (!weighs_units(x, b))
		return ft_fail(FT_EUSAGE, "the divergence that is added to the loss is no sum over the parts of a batch where "
		               "examples have other weights or no label, and beside a loss of preferences");
	return FT_OK;
}

static void exchange(double *a, double *b)
{
	double kept = *a;
	*a = *b;
	*b = kept;
}

void ft_objective_exchange(struct ft_objective *x, double sums[FT_OBJECTIVE_SUMS])
{
	/* One of dpo, orpo and kto at most has sums of its own, of which there are eight. */
	static_assert(1 + OBJECTIVES + 8 <= FT_OBJECTIVE_SUMS, "room for the sums of all objectives");
	size_t at = 0, n;
	exchange(&x->weight, &sums[at++]);
	for (size_t i = 0; i < x->count; i++) {
		struct used *u = &x->used[i];
		double *own = u->objective->sums ? u->objective->sums(u->state, &n) : NULL;
		exchange(&u->part, &sums[at++]);
		for (size_t k = 0; own && k < n; k++)
			exchange(&own[k], &sums[at++]);
	}
}
