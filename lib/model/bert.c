/* bert.c - BERT (Devlin et al., 2019): a bidirectional encoder with learned
 * positions, layer norm after each residual sum. Also MiniLM and the other
 * sentence-transformers whose model_type is "bert". */
#include "priv.h"

#include <string.h>

/* A member of the configuration that must be in [0, 1). */
static float config_share(const struct ft_model *m, const char *key, double absent, int *err)
{
	double v = *err ? 0 : ft_json_real(m->config, key, absent, err);
	if (!(v >= 0 && v < 1))
		*err = ft_fail(FT_EFORMAT, "%s: %g is not in [0, 1)", key, v);
	return (float)v;
}

static int read_shape(struct ft_model *m)
{
	struct shape *s = &m->shape;
	int err = 0;
	s->vocabulary = config_size(m, "vocab_size", 0, 1, 1 << 24, &err);
	s->width = config_size(m, "hidden_size", 0, 1, 1 << 16, &err);
	s->layers = config_size(m, "num_hidden_layers", 0, 1, 1 << 10, &err);
	s->heads = config_size(m, "num_attention_heads", 0, 1, 1 << 10, &err);
	s->inner = config_size(m, "intermediate_size", 0, 1, 1 << 18, &err);
	s->positions = config_size(m, "max_position_embeddings", 512, 1, 1 << 20, &err);
	s->types = config_size(m, "type_vocab_size", 2, 1, 255, &err);
	s->eps = config_share(m, "layer_norm_eps", 1e-12, &err);
	s->dropout = config_share(m, "hidden_dropout_prob", 0.1, &err);
	s->attention_dropout = config_share(m, "attention_probs_dropout_prob", 0.1, &err);
	s->head_dropout = config_share(m, "classifier_dropout", s->dropout, &err);
	s->init_range = (float)ft_json_real(m->config, "initializer_range", 0.02, &err);
	const char *activation = ft_json_str(m->config, "hidden_act", "gelu", &err);
	const char *positions = ft_json_str(m->config, "position_embedding_type", "absolute", &err);
	if (err)
		return err;
	s->activation = ft_activation_find(activation);
	if (!s->activation)
		return ft_fail(FT_EFORMAT, "hidden_act: '%s' is not known", activation);
	if (strcmp(positions, "absolute") != 0)
		return ft_fail(FT_EFORMAT, "position_embedding_type: '%s' is not supported; 'absolute' is", positions);
	if (s->width % s->heads)
		return ft_fail(FT_EFORMAT, "hidden_size %lld is not a multiple of num_attention_heads %lld",
		               (long long)s->width, (long long)s->heads);
	return FT_OK;
}

static int describe_layer(struct ft_model *m, int i)
{
	const struct shape *s = &m->shape;
	int rc = param_linear(m, i, "layer.%d.attn.q", "encoder.layer.%d.attention.self.query", s->width, s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.attn.k", "encoder.layer.%d.attention.self.key", s->width, s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.attn.v", "encoder.layer.%d.attention.self.value", s->width, s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.attn.o", "encoder.layer.%d.attention.output.dense", s->width, s->width);
	rc = rc ? rc : param_norm(m, i, "layer.%d.attn.norm", "encoder.layer.%d.attention.output.LayerNorm", s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.ffn.up", "encoder.layer.%d.intermediate.dense", s->inner, s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.ffn.down", "encoder.layer.%d.output.dense", s->width, s->inner);
	return rc ? rc : param_norm(m, i, "layer.%d.ffn.norm", "encoder.layer.%d.output.LayerNorm", s->width);
}

static int describe(struct ft_model *m)
{
	int rc = read_shape(m);
	const struct shape *s = &m->shape;
	rc = rc ? rc : param_add(m, PARAM_TABLE, -1, "embed.word.weight", "embeddings.word_embeddings.weight",
	                         s->vocabulary, s->width);
	rc = rc ? rc : param_add(m, PARAM_TABLE, -1, "embed.position.weight", "embeddings.position_embeddings.weight",
	                         s->positions, s->width);
	rc = rc ? rc : param_add(m, PARAM_TABLE, -1, "embed.type.weight", "embeddings.token_type_embeddings.weight",
	                         s->types, s->width);
	rc = rc ? rc : param_norm(m, -1, "embed.norm", "embeddings.LayerNorm", s->width);
	for (int i = 0; rc == FT_OK && i < (int)s->layers; i++)
		rc = describe_layer(m, i);
	return rc;
}

static struct ft_tensor *layer(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x,
                               int i)
{
	const struct shape *s = &m->shape;
	struct ft_tensor *q = site_linear(m, g, x, "layer.%d.attn.q", i);
	struct ft_tensor *k = site_linear(m, g, x, "layer.%d.attn.k", i);
	struct ft_tensor *v = site_linear(m, g, x, "layer.%d.attn.v", i);
	struct ft_tensor *a = ft_attention(g, b, q, k, v, &(struct ft_attention_options){
		.heads = (int)s->heads, .dropout = s->attention_dropout });
	a = site_linear(m, g, a, "layer.%d.attn.o", i);
	a = ft_dropout_add(g, a, x, s->dropout);
	a = site_norm(m, g, a, "layer.%d.attn.norm", i);
	struct ft_tensor *f = site_linear(m, g, a, "layer.%d.ffn.up", i);
	f = s->activation(g, f);
	f = site_linear(m, g, f, "layer.%d.ffn.down", i);
	f = ft_dropout_add(g, f, a, s->dropout);
	f = site_norm(m, g, f, "layer.%d.ffn.norm", i);
	return ft_layer_end(g, f);
}

static struct ft_tensor *encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b)
{
	struct ft_tensor *x = ft_embed(g, b, site_tensor(m, g, "embed.word.weight"),
	                               site_tensor(m, g, "embed.position.weight"), site_tensor(m, g, "embed.type.weight"),
	                               FT_NO_PADDING);
	x = site_norm(m, g, x, "embed.norm");
	x = ft_dropout_add(g, x, NULL, m->shape.dropout);
	for (int i = 0; i < (int)m->shape.layers; i++)
		x = layer(m, g, b, x, i);
	return x;
}

static int describe_pool(struct ft_model *m)
{
	return param_linear(m, (int)m->shape.layers, "pool", "pooler.dense", m->shape.width, m->shape.width);
}

static struct ft_tensor *pool(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	x = ft_first(g, b, x);
	x = site_linear(m, g, x, "pool");
	return ft_tanh(g, x);
}

static int describe_mlm(struct ft_model *m)
{
	int top = (int)m->shape.layers, err = 0;
	if (!ft_json_bool(m->config, "tie_word_embeddings", true, &err))
		return ft_fail(FT_EFORMAT, "tie_word_embeddings: a decoder of its own is not supported");
	int rc = err ? err : param_linear(m, top, "head.dense", "@cls.predictions.transform.dense", m->shape.width, m->shape.width);
	rc = rc ? rc : param_norm(m, top, "head.norm", "@cls.predictions.transform.LayerNorm", m->shape.width);
	return rc ? rc : param_add(m, PARAM_BIAS, top, "head.bias", "@cls.predictions.bias", 1, m->shape.vocabulary);
}

static struct ft_tensor *mlm(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x)
{
	x = site_linear(m, g, x, "head.dense");
	x = m->shape.activation(g, x);
	return site_norm(m, g, x, "head.norm");
}

const struct ft_family family_bert = {
	.name = "bert",
	.describe = describe,
	.encode = encode,
	.describe_pool = describe_pool,
	.pool = pool,
	.describe_mlm = describe_mlm,
	.mlm = mlm,
	.prefix = "bert.",
	.class_name = "Bert",
};
