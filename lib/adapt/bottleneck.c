/* bottleneck.c - adapters: a narrow layer and a wide one with a non-linearity between them, at the end of a block
 * (Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", 2019; Pfeiffer et al., "AdapterFusion", 2021;
 * parallel: He et al., "Towards a Unified View of Parameter-Efficient Transfer Learning", 2022), computed as
 * AdapterHub's `adapters` does. With h what the block gives, r what it was given, and f the bottleneck, the layer goes
 * on with
 *
 *	houlsby     norm(f(h) + h + r)
 *	pfeiffer    norm(f(norm(h + r)) + h + r)
 *	parallel    norm(f(r) + h + r)
 *
 * where families whose norms stand before their blocks have the sums alone.
 *
 * What each kind has when nothing is said is AdapterHub's double_seq_bn, seq_bn and par_bn; the rate is 1e-4 at
 * ft-train's usual one, which its authors train with. */
#include "priv.h"

#include <math.h>
#include <string.h>

/* Parts, in the order of the layer. */
enum { NORM_W, NORM_B, DOWN_W, DOWN_B, UP_W, UP_B, SCALING, LAST_W, LAST_B };
/* Options; without RESIDUAL_… the bottleneck's input goes around it. */
enum {
	PARALLEL = 1, SUM_BEFORE = 2, SUM_AFTER = 4, /* SUM_…: where the block's own sum and norm stand */
	RESIDUAL_BLOCK = 8, RESIDUAL_SUM = 16,
	NORM_OUTER = 32, /* the last norm is behind the sum with that */
};
#define EPS 1e-5f /* of norms of its own: PyTorch's */

static const struct adapt_key keys[] = {
	{ "kind", KEY_NAME, 0, 0, 0, false },
	{ "reduction", KEY_REAL, 16, 1e-3, 1 << 16, true },
	{ "activation", KEY_NAME, 0, 0, 0, false },
	{ "scaling", KEY_REAL, 1, -1e6, 1e6, false },
	{ "dropout", KEY_REAL, 0, 0, 0.99, false },
	{ "init", KEY_NAME, 0, 0, 0, false },
	{ "sum", KEY_NAME, 0, 0, 0, false },
	{ "residual", KEY_NAME, 0, 0, 0, false },
	{ "ln_before", KEY_FLAG, 0, 0, 0, false },
	{ "ln_after", KEY_NAME, 0, 0, 0, false },
	{ 0 },
};
#define NAMES(...) (const char *const[]){ __VA_ARGS__, NULL }
static const struct adapt_names names[] = {
	{ "kind", NAMES("pfeiffer", "houlsby", "parallel") },
	{ "activation", NAMES("relu", "swish", "silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "tanh") },
	{ "scaling", NAMES("learned", "channel") }, /* one number, or one a component */
	{ "init", NAMES("bert", "mam") },           /* small; or wide's 0, as LoRA's */
	{ "sum", NAMES("both", "after", "before") }, /* where the block's own sum and norm are, of the bottleneck */
	{ "residual", NAMES("block", "sum", "input") }, /* what goes around the bottleneck */
	{ "ln_after", NAMES("none", "inner", "outer") }, /* before what goes around it is added, or behind that */
	{ NULL, NULL },
};

/* ---- what a kind has unless it is said otherwise ---- */
static const struct preset {
	const char *kind, *activation, *init, *sum;
	double reduction, scaling;
	const char *sites[3];
} presets[] = {
	{ "pfeiffer", "relu", "bert", "both", 16, 1, { "layer.*.ffn" } },
	{ "houlsby", "swish", "bert", "after", 16, 1, { "layer.*.attn", "layer.*.ffn" } },
	{ "parallel", "relu", "mam", "after", 2, 4, { "layer.*.ffn" } },
};

static int set_absent(json_t *o, const char *key, json_t *v_taken)
{
	if (!json_object_get(o, key))
		return ft_json_set(o, key, v_taken);
	json_decref(v_taken);
	return FT_OK;
}

static int complete(json_t *o)
{
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const struct preset *p = presets;
	while (kind && strcmp(p->kind, kind) != 0)
		p++;
	json_t *sites = json_array();
	int rc = FT_OK;
	for (const char *const *s = p->sites; rc == FT_OK && *s; s++)
		rc = ft_json_append(sites, json_string(*s));
	int set = set_absent(o, "sites", sites); /* takes them */
	rc = rc ? rc : set;
	rc = rc ? rc : set_absent(o, "activation", json_string(p->activation));
	rc = rc ? rc : set_absent(o, "init", json_string(p->init));
	rc = rc ? rc : set_absent(o, "sum", json_string(p->sum));
	rc = rc ? rc : set_absent(o, "reduction", json_real(p->reduction));
	return rc ? rc : set_absent(o, "scaling", json_real(p->scaling));
}

/* ---- attaching ---- */
static bool says(const struct attached *a, const char *key, const char *name)
{
	const char *v = adapt_name(a, key);
	return v && strcmp(v, name) == 0;
}

static int read_options(struct attached *a, const struct site *s)
{
	bool before = !says(a, "sum", "after"), after = !says(a, "sum", "before"), parallel = says(a, "kind", "parallel");
	if (parallel && before)
		return ft_fail(FT_EUSAGE, "bottleneck: kind=parallel at %s: sum=%s is not possible; it is beside the block",
		               s->name, adapt_name(a, "sum"));
	if (says(a, "residual", "sum") && !before)
		return ft_fail(FT_EUSAGE, "bottleneck: residual=sum at %s: there is no sum before it with sum=after", s->name);
	a->options = (parallel ? PARALLEL : 0) | (before ? SUM_BEFORE : 0) | (after ? SUM_AFTER : 0) |
	             (says(a, "residual", "block") ? RESIDUAL_BLOCK : 0) | (says(a, "residual", "sum") ? RESIDUAL_SUM : 0) |
	             (says(a, "ln_after", "outer") ? NORM_OUTER : 0);
	a->activation = ft_activation_find(adapt_name(a, "activation"));
	a->dropout = (float)adapt_number(a, "dropout", s);
	return FT_OK;
}

static int add_norm(struct ft_model *m, struct attached *a, const struct site *s, int part, const char *name)
{
	char ours[40], theirs[40];
	snprintf(ours, sizeof ours, "%s.weight", name);
	snprintf(theirs, sizeof theirs, "adapter_%s.weight", name);
	int rc = adapt_param(m, a, part, s, PARAM_NORM, ours, theirs, 1, m->shape.width);
	snprintf(ours, sizeof ours, "%s.bias", name);
	snprintf(theirs, sizeof theirs, "adapter_%s.bias", name);
	return rc ? rc : adapt_param(m, a, part + 1, s, PARAM_NORM_BIAS, ours, theirs, 1, m->shape.width);
}

static int add_layers(struct ft_model *m, struct attached *a, const struct site *s, int64_t r)
{
	bool bert = says(a, "init", "bert"), second = adapt_flag(a, "ln_before"); /* their norm is the first of a sequence */
	int64_t width = m->shape.width;
	int rc = adapt_param(m, a, DOWN_W, s, bert ? PARAM_BERT : PARAM_UNIFORM, "down.weight",
	                     second ? "adapter_down.1.weight" : "adapter_down.0.weight", r, width);
	rc = rc ? rc : adapt_param(m, a, DOWN_B, s, PARAM_BIAS, "down.bias",
	                           second ? "adapter_down.1.bias" : "adapter_down.0.bias", 1, r);
	rc = rc ? rc
	        : adapt_param(m, a, UP_W, s, bert ? PARAM_BERT : PARAM_ZERO, "up.weight", "adapter_up.weight", width, r);
	return rc ? rc : adapt_param(m, a, UP_B, s, PARAM_BIAS, "up.bias", "adapter_up.bias", 1, width);
}

static int attach(struct ft_model *m, struct attached *a, const struct site *s)
{
	double r = floor((double)m->shape.width / adapt_number(a, "reduction", s));
	const char *scaling = adapt_name(a, "scaling");
	if (r > 1 << 20)
		return ft_fail(FT_EUSAGE, "bottleneck: reduction at %s makes a layer of %.0f units", s->name, r);
	int rc = read_options(a, s);
	if (rc == FT_OK && adapt_flag(a, "ln_before"))
		rc = add_norm(m, a, s, NORM_W, "norm_before");
	rc = rc ? rc : add_layers(m, a, s, r < 1 ? 1 : (int64_t)r);
	if (rc == FT_OK && scaling)
		rc = adapt_param(m, a, SCALING, s, PARAM_NORM, "scaling", "scaling", 1,
		                 strcmp(scaling, "channel") ? 1 : m->shape.width);
	else if (rc == FT_OK)
		a->scale = (float)adapt_number(a, "scaling", s);
	if (rc == FT_OK && !says(a, "ln_after", "none"))
		rc = add_norm(m, a, s, LAST_W, "norm_after");
	return rc;
}

/* ---- on every pass ---- */
static struct ft_tensor *tensor_of(const struct attached *a, int part)
{
	return a->part[part] ? &a->part[part]->t : NULL;
}

static struct ft_tensor *norm(struct ft_graph *g, const struct attached *a, int part, struct ft_tensor *x)
{
	return a->part[part] ? ft_layer_norm(g, x, tensor_of(a, part), tensor_of(a, part + 1), EPS) : x;
}

static struct ft_tensor *scale(struct ft_graph *g, const struct attached *a, struct ft_tensor *x)
{
	if (a->part[SCALING])
		return ft_scale(g, x, tensor_of(a, SCALING));
	if (a->scale == 1)
		return x;
	struct ft_tensor *s = ft_graph_tensor(g, 1, 1);
	if (s)
		*s->data = a->scale;
	return ft_scale(g, x, s);
}

/* f(x), before what goes around it is added. */
static struct ft_tensor *squeeze(struct ft_graph *g, const struct attached *a, struct ft_tensor *x)
{
	x = norm(g, a, NORM_W, x);
	x = ft_linear(g, x, tensor_of(a, DOWN_W), tensor_of(a, DOWN_B));
	x = a->activation(g, x);
	x = ft_linear(g, x, tensor_of(a, UP_W), tensor_of(a, UP_B));
	return ft_dropout_add(g, scale(g, a, x), NULL, a->dropout);
}

static struct ft_tensor *block(struct ft_graph *g, const struct attached *a, struct block *b, struct ft_tensor *y)
{
	if (a->options & PARALLEL)
		return ft_dropout_add(g, norm(g, a, LAST_W, squeeze(g, a, b->x)), y, 0);
	struct ft_tensor *sum = a->options & SUM_BEFORE ? block_sum(g, b, y) : NULL;
	struct ft_tensor *x = sum ? block_norm(g, b, sum) : y;
	struct ft_tensor *around = a->options & RESIDUAL_BLOCK ? y : a->options & RESIDUAL_SUM ? sum : x;
	b->whole = !(a->options & SUM_AFTER);
	x = squeeze(g, a, x);
	if (a->options & NORM_OUTER)
		return norm(g, a, LAST_W, ft_dropout_add(g, x, around, 0));
	return ft_dropout_add(g, norm(g, a, LAST_W, x), around, 0);
}

const struct technique technique_bottleneck = {
	.name = "bottleneck",
	.keys = keys,
	.names = names,
	.sites = presets[0].sites,
	.kinds = SITE_BLOCK,
	.rate = 2,
	.complete = complete,
	.attach = attach,
	.block = block,
	.beside = "adapterhub",
};
