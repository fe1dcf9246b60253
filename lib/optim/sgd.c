/* sgd.c - stochastic gradient descent with momentum, as torch.optim.SGD. */
#include "ft/kernels.h"
#include "priv.h"

static size_t state(const struct ft_param *p, int i, enum ft_dtype *type)
{
	(void)type;
	return i < 1 ? elements(p) : 0;
}

static void update(const struct update *u, const struct run *r)
{
	ft_kernels()->update->sgd(r->w, r->g, state_of(r, 0), (float)u->rate, (float)u->o->momentum, (float)u->decay,
	                          (float)u->scale, r->n);
}

const struct optimizer optimizer_sgd = {
	.name = "sgd", .names = { "momentum" }, .state = state, .update = update, .rate = 1,
};
