/* rdrop.c - R-Drop (Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021): each batch
 * goes through the network twice in one pass, with other dropout; the loss is the mean of both, and
 * how far the two predictions are from one another costs. */
#include "priv.h"

#include <stdlib.h>
#include <string.h>

struct doubled {
	double weight;
	const struct ft_model *m;
	struct ft_batch b;
	struct ft_arena memory; /* of b */
};

static bool has_dropout(const struct ft_model *m)
{
	const struct shape *s = &m->shape;
	bool techniques = false;
	size_t i;
	json_t *a;
	json_array_foreach(json_object_get(m->meta, "adapt"), i, a)
		techniques |= json_number_value(json_object_get(a, "dropout")) > 0;
	return techniques || s->dropout > 0 || s->attention_dropout > 0 || s->embed_dropout > 0 || s->head_dropout > 0;
}

static int set_up(struct ft_objective *x, void **state)
{
	if (!(x->o->rdrop > 0))
		return 0;
	int rc = objective_needs_prediction(x->m, "--rdrop");
	if (rc < 0)
		return rc;
	if (!has_dropout(x->m))
		return ft_fail(FT_EUSAGE,
		               "--rdrop compares two passes with other dropout, and the configuration of %s has none; "
		               "--dropout P sets it",
		               x->m->name);
	struct doubled *d = *state = ft_alloc(1, sizeof *d);
	if (!d)
		return FT_EFAIL;
	d->weight = x->o->rdrop;
	d->m = x->m;
	return 1;
}

static void take_down(void *state)
{
	struct doubled *d = state;
	ft_arena_free(&d->memory);
	free(d);
}

/* An array with itself behind it; NULL of NULL. */
static void *twice(struct doubled *d, const void *from, size_t bytes, int *rc)
{
	char *to = from ? ft_arena_get(&d->memory, 2 * bytes) : NULL;
	if (!to) {
		*rc = from ? FT_EFAIL : *rc;
		return NULL;
	}
	memcpy(to, from, bytes);
	memcpy(to + bytes, from, bytes);
	return to;
}

static int before(void *state, struct pass *p)
{
	struct doubled *d = state;
	const struct ft_batch *b = p->b;
	int rc = FT_OK;
	if (b->tokens > INT32_MAX / 2)
		return ft_fail(FT_EUSAGE, "--rdrop: a batch of %zu tokens is too large to go twice", b->tokens);
	ft_arena_reset(&d->memory);
	int32_t *offsets = ft_arena_get(&d->memory, (2 * b->rows + 1) * sizeof *offsets);
	d->b = (struct ft_batch){
		.ids = twice(d, b->ids, b->tokens * sizeof *b->ids, &rc), .types = twice(d, b->types, b->tokens, &rc),
		.labels = twice(d, b->labels, b->nlabels * sizeof *b->labels, &rc), .offsets = offsets,
		.targets = twice(d, b->targets, b->ntargets * sizeof *b->targets, &rc),
		.tokens = 2 * b->tokens, .rows = 2 * b->rows, .nlabels = 2 * b->nlabels, .ntargets = 2 * b->ntargets,
		.texts = b->texts, .epoch = b->epoch, .part = b->part,
	};
	for (size_t r = 0; offsets && r <= b->rows; r++) {
		offsets[r] = b->offsets[r];
		offsets[b->rows + r] = (int32_t)b->tokens + b->offsets[r];
	}
	p->b = &d->b;
	p->copies = 2;
	return offsets ? rc : FT_EFAIL;
}

static int add(void *state, struct pass *p)
{
	const struct doubled *d = state;
	if (!objective_units(p))
		return FT_OK;
	float scale = (float)objective_scale(p, d->weight);
	return objective_add(p, p->h.decoded.x ? ft_linear_twin_divergence(p->g, &p->h.decoded, scale)
	                                       : ft_twin_divergence(p->g, p->h.logits, objective_prediction(d->m), scale));
}

const struct objective objective_rdrop = {
	.name = "rdrop", .open = set_up, .close = take_down, .before = before, .add = add
};
