/* pretokenize.c - the way of a text through the stages that split it. */
#include "priv.h"

int tok_walk_on(const struct tok_walk *w, size_t stage, const struct tok_run *in)
{
	if (stage == w->t->splitters.n)
		return w->t->kind->word(w->t, in, w->type, w->x);
	const struct tok_stage *s = &w->t->splitters.stage[stage];
	return s->kind->split(w, stage, s->state, in);
}
