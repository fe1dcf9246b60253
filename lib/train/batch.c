/* batch.c - one batch into losses and gradients: whole, or in parts, one after the other in the same memory.
 *
 * A loss is a sum over units, so that those of parts add up, and gradients are added where they are kept. Each unit's
 * loss has the same bits in a part as in the whole batch, with dropout, too; a sum over tokens is made of other partial
 * sums, so that gradients are the same to rounding. */
#include "priv.h"

#include <math.h>

/* Part i of the batch: NULL in *seen, it has no example. */
static int take_part(struct run *r, const struct ft_batch *b, size_t i, const struct ft_batch **seen)
{
	size_t parts = (size_t)r->o->parts, from, to;
	*seen = b;
	if (parts <= 1)
		return FT_OK;
	from = ft_batch_cut(b, i, parts);
	to = ft_batch_cut(b, i + 1, parts);
	*seen = from < to ? &r->part.batch : NULL;
	return from < to ? ft_batch_part(&r->part, b, from, to) : FT_OK;
}

int batch_run(struct run *r, const struct ft_batch *b, int64_t number, const struct ft_batch **at,
              struct ft_output *out)
{
	struct ft_output sum = { 0 };
	int rc = r->o->parts > 1 ? ft_objective_splits(r->objective, b) : FT_OK;
	if (rc < 0)
		return ft_context(rc, "--parts");
	for (size_t i = 0; i == 0 || i < (size_t)r->o->parts; i++) {
		rc = take_part(r, b, i, at);
		if (rc == FT_OK && !*at)
			continue;
		ft_graph_begin(r->graph, FT_TRAIN, (uint64_t)r->o->seed, (uint64_t)number);
		rc = rc ? rc : ft_objective_step(r->objective, r->graph, *at, out);
		if (rc < 0 || !isfinite(out->loss_sum))
			return rc;
		r->macs += ft_graph_macs(r->graph);
		if (ft_graph_plans(r->graph))
			ft_graph_use(r->graph);
		sum.loss_sum += out->loss_sum;
		sum.weight += out->weight;
		sum.supervised += out->supervised;
	}
	*out = sum;
	return rc;
}
