/* lion.c - Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms",
 * NeurIPS 2023): a step of equal size for every weight, in the direction of an
 * average of gradients. */
#include "ft/kernels.h"
#include "priv.h"

static size_t state(const struct ft_param *p, int i, enum ft_dtype *type)
{
	(void)type;
	return i < 1 ? elements(p) : 0;
}

static void update(const struct update *u, const struct run *r)
{
	struct ft_lion l = {
		.rate = (float)u->rate,
		.beta1 = (float)u->o->beta1,
		.beta2 = (float)u->o->beta2,
		.new1 = (float)(1 - u->o->beta1),
		.new2 = (float)(1 - u->o->beta2),
		.decay = (float)(u->rate * u->decay),
		.scale = (float)u->scale,
	};
	ft_kernels()->update->lion(r->w, r->g, state_of(r, 0), &l, r->n);
}

/* Its authors advise a rate 3 to 10 times smaller than that of AdamW. */
const struct optimizer optimizer_lion = {
	.name = "lion", .names = { "mean" }, .state = state, .update = update, .decoupled = true,
	.beta1 = 0.9, .beta2 = 0.99, .rate = 0.1,
};
