/* postnorm.c - the encoder of BERT (Devlin et al., 2019) and of those that kept
 * its form: learned positions, layer norm after each residual sum. They differ
 * in what checkpoints and config.json call things. */
#include "priv.h"

#include <string.h>

const struct postnorm postnorm_bert = {
	.word = "embeddings.word_embeddings.weight",
	.position = "embeddings.position_embeddings.weight",
	.type = "embeddings.token_type_embeddings.weight",
	.norm = "embeddings.LayerNorm",
	.q = "encoder.layer.%d.attention.self.query",
	.k = "encoder.layer.%d.attention.self.key",
	.v = "encoder.layer.%d.attention.self.value",
	.o = "encoder.layer.%d.attention.output.dense",
	.attn_norm = "encoder.layer.%d.attention.output.LayerNorm",
	.up = "encoder.layer.%d.intermediate.dense",
	.down = "encoder.layer.%d.output.dense",
	.ffn_norm = "encoder.layer.%d.output.LayerNorm",
	.drop_attention = true,
};

int postnorm_shape(struct ft_model *m)
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
	s->activation = config_activation(m, "hidden_act", "gelu", &err);
	const char *positions = ft_json_str(m->config, "position_embedding_type", "absolute", &err);
	if (err)
		return err;
	if (strcmp(positions, "absolute") != 0)
		return ft_fail(FT_EFORMAT, "position_embedding_type: '%s' is not supported; 'absolute' is", positions);
	int rc = config_padding(m, 0);
	return rc ? rc : config_heads(m, "hidden_size", "num_attention_heads");
}

static int describe_layer(struct ft_model *m, const struct postnorm *n, int i)
{
	const struct shape *s = &m->shape;
	int rc = param_linear(m, i, "layer.%d.attn.q", n->q, s->width, s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.attn.k", n->k, s->width, s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.attn.v", n->v, s->width, s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.attn.o", n->o, s->width, s->width);
	rc = rc ? rc : param_norm(m, i, "layer.%d.attn.norm", n->attn_norm, s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.ffn.up", n->up, s->inner, s->width);
	rc = rc ? rc : param_linear(m, i, "layer.%d.ffn.down", n->down, s->width, s->inner);
	return rc ? rc : param_norm(m, i, "layer.%d.ffn.norm", n->ffn_norm, s->width);
}

int postnorm_describe(struct ft_model *m, const struct postnorm *n)
{
	const struct shape *s = &m->shape;
	int64_t before = s->embed.padding_places ? s->embed.padding + 1 : 0; /* the table's rows that are no token's place */
	int rc = param_add(m, PARAM_TABLE, -1, "embed.word.weight", n->word, s->vocabulary, s->width);
	rc = rc ? rc : param_add(m, PARAM_TABLE, -1, "embed.position.weight", n->position, before + s->positions, s->width);
	if (rc == FT_OK && n->type)
		rc = param_add(m, PARAM_TABLE, -1, "embed.type.weight", n->type, s->types, s->width);
	rc = rc ? rc : param_norm(m, -1, "embed.norm", n->norm, s->width);
	for (int i = 0; rc == FT_OK && i < (int)s->layers; i++)
		rc = describe_layer(m, n, i);
	return rc;
}

struct named_layer {
	struct layer of;
	const struct postnorm *names;
};

static struct ft_tensor *layer(const void *ctx, struct ft_graph *g, struct ft_tensor *x, int i)
{
	const struct named_layer *l = ctx;
	struct ft_model *m = l->of.m;
	const struct shape *s = &m->shape;
	struct ft_tensor *q = site_linear(m, g, x, "layer.%d.attn.q", i);
	struct ft_tensor *k = site_linear(m, g, x, "layer.%d.attn.k", i);
	struct ft_tensor *v = site_linear(m, g, x, "layer.%d.attn.v", i);
	struct ft_tensor *a = site_attention(m, g, l->of.b, q, k, v, &(struct ft_attention_options){
		.heads = (int)s->heads, .dropout = s->attention_dropout }, "layer.%d.attn", i);
	a = site_linear(m, g, a, "layer.%d.attn.o", i);
	a = site_add_norm(m, g, a, x, l->names->drop_attention ? s->dropout : 0, "layer.%d.attn", i);
	struct ft_tensor *f = site_linear(m, g, a, "layer.%d.ffn.up", i);
	f = s->activation(g, f);
	f = site_linear(m, g, f, "layer.%d.ffn.down", i);
	return site_add_norm(m, g, f, a, s->dropout, "layer.%d.ffn", i);
}

struct ft_tensor *postnorm_encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b,
                                  const struct postnorm *n)
{
	struct ft_tensor *x = site_embed(m, g, b, site_tensor(m, g, "embed.position.weight"),
	                                 n->type ? site_tensor(m, g, "embed.type.weight") : NULL);
	x = site_norm(m, g, x, "embed.norm");
	x = ft_dropout_add(g, x, NULL, m->shape.dropout);
	for (int i = 0; i < (int)m->shape.layers; i++)
		x = ft_layer(g, layer, &(struct named_layer){ { m, b }, n }, sizeof(struct named_layer), x, i);
	return x;
}

/* ---- what stands on top in several families ---- */

int describe_tied(struct ft_model *m, const char *dense, const char *norm, const char *bias)
{
	int top = (int)m->shape.layers, err = 0;
	if (!ft_json_bool(m->config, "tie_word_embeddings", true, &err))
		return ft_fail(FT_EFORMAT, "tie_word_embeddings: a decoder of its own is not supported");
	int rc = err ? err : param_linear(m, top, "head.dense", dense, m->shape.width, m->shape.width);
	rc = rc ? rc : param_norm(m, top, "head.norm", norm, m->shape.width);
	return rc ? rc : param_add(m, PARAM_BIAS, top, "head.bias", bias, 1, m->shape.vocabulary);
}

struct ft_tensor *before_tied(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x, ft_activation *f)
{
	x = site_linear(m, g, x, "head.dense");
	return site_norm(m, g, f(g, x), "head.norm");
}

int describe_pooler(struct ft_model *m)
{
	return param_linear(m, (int)m->shape.layers, "pool", "pooler.dense", m->shape.width, m->shape.width);
}

int no_pooler(struct ft_model *m)
{
	(void)m;
	return FT_OK;
}

struct ft_tensor *pooler(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	if (!ft_model_find(m, "pool.weight")) {
		ft_graph_fail(g, ft_fail(FT_EUSAGE, "%s: the model has no pooler; mean and cls are poolings", m->name));
		return NULL;
	}
	x = ft_first(g, b, x);
	x = site_linear(m, g, x, "pool");
	return ft_tanh(g, x);
}
