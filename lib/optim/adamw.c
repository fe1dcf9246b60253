/* adamw.c - Adam with decoupled weight decay (Loshchilov and Hutter, 2019). */
#include "adamw.h"
#include "priv.h"

static size_t state(const struct ft_param *p, int i, enum ft_dtype *type)
{
	(void)type;
	return i < 2 ? elements(p) : 0;
}

static void update(const struct update *u, const struct run *r)
{
	struct ft_adamw a = adamw_of(u);
	ft_kernels()->update->adamw(r->w, r->g, state_of(r, 0), state_of(r, 1), &a, r->n);
}

const struct optimizer optimizer_adamw = {
	.name = "adamw", .names = { "mean", "square" }, .state = state, .update = update, .decoupled = true,
	.beta1 = 0.9, .beta2 = 0.999, .rate = 1,
};
