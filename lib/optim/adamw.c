/* adamw.c - Adam with decoupled weight decay (Loshchilov and Hutter, 2019). */
#include "ft/kernels.h"
#include "priv.h"

#include <math.h>

static void update(const struct update *u, float *w, const float *g, float *const state[2], size_t n)
{
	struct ft_adamw a = {
		.rate = (float)u->rate,
		.beta1 = (float)u->o->beta1,
		.beta2 = (float)u->o->beta2,
		.eps = (float)u->o->eps,
		.decay = (float)(u->rate * u->decay),
		.correct1 = (float)(1 - pow(u->o->beta1, (double)u->step)),
		.correct2 = (float)(1 - pow(u->o->beta2, (double)u->step)),
		.scale = (float)u->scale,
	};
	ft_kernels()->adamw(w, g, state[0], state[1], &a, n);
}

const struct optimizer optimizer_adamw = { .name = "adamw", .arrays = 2, .names = { "mean", "square" },
	                                   .decoupled = true, .update = update };
