/* ia3.c - IA3: what a layer gives, or is given, is multiplied by a learned vector (Liu et al., "Few-Shot
 * Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning", 2022).
 *
 * What is used when nothing is said: keys, values and what goes into the second layer of a feed-forward
 * block (the paper's), vectors of 1, and the paper's rate of 3e-3. */
#include "ft/kernels.h"
#include "priv.h"

#include <fnmatch.h>

enum { L }; /* [1, in]: of what the layer is given; or [out, 1]: of what it gives. As PEFT stores them */

static const struct adapt_key keys[] = {
	{ "input", KEY_INT, -1, -1, 1, true }, /* 1: what the layer is given; 0: what it gives; -1: as the site is */
	{ 0 },
};
static const char *const sites[] = { "*.attn.[kv]", "*.attn.qkv", "*.ffn.down", NULL };

/* Layers that end a block are given what was computed inside it. */
static bool ends_block(const char *site)
{
	return fnmatch("*.attn.o", site, 0) == 0 || fnmatch("*.ffn.down", site, 0) == 0;
}

static int attach(struct ft_model *m, struct attached *a, const struct site *s)
{
	const struct ft_tensor *w = &s->weight->t;
	double asked = adapt_number(a, "input", s);
	bool input = asked < 0 ? ends_block(s->name) : asked > 0;
	int rc = adapt_param(m, a, L, s, PARAM_ONE, "l", "ia3_l", input ? 1 : w->rows, input ? w->cols : 1);
	if (rc == FT_OK)
		a->part[L]->decays = false;
	return rc;
}

static bool of_input(const struct attached *a) { return a->part[L]->t.rows == 1; }

static struct ft_tensor *input(struct ft_graph *g, const struct attached *a, struct ft_tensor *x)
{
	return of_input(a) ? ft_rescale(g, x, NULL, &a->part[L]->t, NULL, NULL) : x;
}

static struct ft_tensor *linear(struct ft_graph *g, const struct attached *a, struct ft_tensor *x, struct ft_tensor *y)
{
	(void)x;
	return of_input(a) ? y : ft_rescale(g, y, NULL, &a->part[L]->t, NULL, NULL);
}

static int merge(const struct attached *a)
{
	const struct ft_tensor *w = &a->weight->t;
	const float *l = a->part[L]->t.data;
	for (int64_t i = 0; i < w->rows; i++)
		for (int64_t j = 0; j < w->cols; j++)
			w->data[i * w->cols + j] *= of_input(a) ? l[j] : l[i];
	for (int64_t i = 0; a->bias && !of_input(a) && i < w->rows; i++)
		a->bias->t.data[i] *= l[i];
	return FT_OK;
}

const struct technique technique_ia3 = {
	.name = "ia3",
	.keys = keys,
	.sites = sites,
	.kinds = SITE_LINEAR,
	.rate = 60,
	.attach = attach,
	.input = input,
	.linear = linear,
	.merge = merge,
};
