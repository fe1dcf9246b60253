/* prefix.c - prefix tuning: keys and values that are learned stand before those of every row, in every layer (Li and
 * Liang, "Prefix-Tuning: Optimizing Continuous Prompts for Generation", ACL 2021), as they are (Liu et al., "P-Tuning
 * v2", ACL 2022), or made by a network of two layers that all of them share. Keys are not turned by rotary positions.
 *
 * 20 of them, drawn from a normal distribution, as in PEFT and P-tuning v2, whose rate for them is 5e-3 at width 768.
 * The network is as wide as is said (512 in the first paper), and has that paper's rate of 5e-5. */
#include "priv.h"

enum { KV, KV_BIAS };            /* parts: [n, 2 * width]; with a network its second layer's, [2 * width, inner], [1, 2 * width] */
enum { VECTORS, INNER, INNER_BIAS }; /* shared: [n, width], [inner, width], [1, inner] */

static const struct adapt_key keys[] = {
	{ "n", KEY_INT, 20, 1, 1 << 20, false },
	{ "projection", KEY_INT, 0, 0, 1 << 16, false },
	{ 0 },
};
static const char *const sites[] = { "*.attn", NULL };

static double usual_rate(const json_t *config)
{
	return json_integer_value(json_object_get(config, "projection")) ? 1 : 100;
}

/* Of the keys of one layer. */
static int64_t key_width(const struct shape *s)
{
	return s->kv_heads && s->head_size ? s->kv_heads * s->head_size : s->width;
}

static int share(struct ft_model *m, struct adapter *r, int64_t n, int64_t width, int64_t inner)
{
	if (r->shared[VECTORS])
		return FT_OK;
	int rc = adapt_share(m, r, VECTORS, PARAM_NORMAL, "vectors", "embedding.weight", n, width);
	rc = rc ? rc : adapt_share(m, r, INNER, PARAM_UNIFORM, "inner.weight", "transform.0.weight", inner, width);
	return rc ? rc : adapt_share(m, r, INNER_BIAS, PARAM_BIAS, "inner.bias", "transform.0.bias", 1, inner);
}

static int attach(struct ft_model *m, struct attached *a, const struct site *s)
{
	int64_t width = key_width(&m->shape), inner = (int64_t)adapt_number(a, "projection", s);
	a->keys = (int64_t)adapt_number(a, "n", s);
	if (!inner)
		return adapt_param(m, a, KV, s, PARAM_NORMAL, "kv", "prompt_embeddings", a->keys, 2 * width);
	int rc = share(m, a->adapter, a->keys, width, inner);
	rc = rc ? rc : adapt_param(m, a, KV, s, PARAM_UNIFORM, "kv.weight", "transform.2.weight", 2 * width, inner);
	return rc ? rc : adapt_param(m, a, KV_BIAS, s, PARAM_BIAS, "kv.bias", "transform.2.bias", 1, 2 * width);
}

static struct ft_tensor *prefix(struct ft_graph *g, const struct attached *a)
{
	struct ft_param *const *shared = a->adapter->shared;
	if (!shared[VECTORS])
		return &a->part[KV]->t;
	struct ft_tensor *x = ft_linear(g, &shared[VECTORS]->t, &shared[INNER]->t, &shared[INNER_BIAS]->t);
	return ft_linear(g, ft_tanh(g, x), &a->part[KV]->t, &a->part[KV_BIAS]->t);
}

/* Also of what a network makes: PEFT keeps its result alone. */
static int embeddings(const struct attached *a, float *to, int64_t ld)
{
	struct ft_graph *g = ft_graph_new();
	if (!g)
		return FT_EFAIL;
	ft_graph_begin(g, FT_INFER, 0, 0);
	const struct ft_tensor *x = prefix(g, a);
	for (int64_t i = 0; x && i < x->rows; i++)
		ft_tensor_floats(x, i, 1, to + i * ld);
	int rc = x ? FT_OK : ft_graph_error(g);
	ft_graph_free(g);
	return rc;
}

const struct technique technique_prefix = {
	.name = "prefix",
	.keys = keys,
	.sites = sites,
	.kinds = SITE_ATTENTION,
	.everywhere = true,
	.rate = 100,
	.usual_rate = usual_rate,
	.attach = attach,
	.prefix = prefix,
	.embeddings = embeddings,
};
