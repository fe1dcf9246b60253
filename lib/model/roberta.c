/* roberta.c - RoBERTa (Liu et al., 2019) and XLM-RoBERTa (Conneau et al., 2020):
 * BERT's encoder with positions that count from behind the padding id, and heads
 * of their own. The two differ in the name of their classes alone. */
#include "priv.h"

static int describe(struct ft_model *m)
{
	struct shape *s = &m->shape;
	int rc = postnorm_shape(m);
	rc = rc ? rc : config_padding(m, 1);
	if (rc < 0)
		return rc;
	s->embed.padding_places = true;
	s->positions -= s->embed.padding + 1;
	if (s->embed.padding < 0 || s->positions < 1)
		return ft_fail(FT_EFORMAT, "pad_token_id: positions begin behind it, at %d; there are %lld",
		               s->embed.padding + 1, (long long)(s->positions + s->embed.padding + 1));
	return postnorm_describe(m, &postnorm_bert);
}

static struct ft_tensor *encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b)
{
	return postnorm_encode(m, g, b, &postnorm_bert);
}

static int describe_rows(struct ft_model *m)
{
	return param_linear(m, (int)m->shape.layers, "transform.dense", "@classifier.dense", m->shape.width,
	                    m->shape.width);
}

static struct ft_tensor *rows(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	x = ft_first(g, b, x);
	x = ft_dropout_add(g, x, NULL, m->shape.head_dropout);
	x = site_linear(m, g, x, "transform.dense");
	return ft_tanh(g, x);
}

static int describe_mlm(struct ft_model *m)
{
	return describe_tied(m, "@lm_head.dense", "@lm_head.layer_norm", "@lm_head.bias");
}

static struct ft_tensor *mlm(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x)
{
	return before_tied(m, g, x, ft_gelu); /* whatever the layers have */
}

#define FAMILY(type, class)                                                    \
	{                                                                      \
		.name = type, .class_name = class, .prefix = "roberta.",       \
		.describe = describe, .encode = encode,                        \
		.describe_pool = describe_pooler, .pool = pooler,              \
		.describe_rows = describe_rows, .rows = rows,                  \
		.classifier = "@classifier.out_proj",                          \
		.describe_mlm = describe_mlm, .mlm = mlm,                      \
	}
const struct ft_family family_roberta = FAMILY("roberta", "Roberta");
const struct ft_family family_xlm_roberta = FAMILY("xlm-roberta", "XLMRoberta");
