/* adamw.h - the numbers of one update of AdamW, whatever its state is stored in. */
#ifndef FT_OPTIM_ADAMW_H
#define FT_OPTIM_ADAMW_H

#include "ft/kernels.h"
#include "priv.h"

#include <math.h>

static inline struct ft_adamw adamw_of(const struct update *u)
{
	return (struct ft_adamw){
		.rate = (float)u->rate,
		.beta1 = (float)u->o->beta1,
		.beta2 = (float)u->o->beta2,
		.new1 = (float)(1 - u->o->beta1),
		.new2 = (float)(1 - u->o->beta2),
		.eps = (float)u->o->eps,
		.decay = (float)(u->rate * u->decay),
		.correct1 = (float)(1 - pow(u->o->beta1, (double)u->step)),
		.correct2 = (float)(1 - pow(u->o->beta2, (double)u->step)),
		.scale = (float)u->scale,
	};
}

#endif
