/* sgd.c - stochastic gradient descent with momentum, as torch.optim.SGD. */
#include "ft/kernels.h"
#include "priv.h"

static void update(const struct update *u, float *w, const float *g, float *const state[2], size_t n)
{
	ft_kernels()->sgd(w, g, state[0], (float)u->rate, (float)u->o->momentum, (float)u->decay, (float)u->scale, n);
}

const struct optimizer optimizer_sgd = { .name = "sgd", .arrays = 1, .names = { "momentum" }, .update = update };
