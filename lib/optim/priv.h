/* priv.h - what the files of lib/optim share. */
#ifndef FT_OPTIM_PRIV_H
#define FT_OPTIM_PRIV_H

#include "ft/optim.h"

/* What one update of a run of elements needs. */
struct update {
	const struct ft_optim_options *o;
	double rate, decay, scale;
	int64_t step; /* from 1 */
};

struct optimizer {
	const char *name;
	int arrays; /* of state, as large as the parameter */
	const char *names[2]; /* of these, in checkpoints */
	bool decoupled; /* weight decay acts on the weight alone, not through the state */
	void (*update)(const struct update *u, float *w, const float *g, float *const state[2], size_t n);
};

#define X(name) extern const struct optimizer optimizer_##name;
#include "optimizers.def"
#undef X

#endif
