/* modernbert.c - ModernBERT (Warner et al., 2024): a bidirectional encoder with
 * rotary positions, a norm before each block, gated feed-forward blocks, and
 * attention that in most layers sees a window only. */
#include "priv.h"

#include <string.h>

static const struct rope_source rope_sources[] = {
	[LAYER_FULL] = { .kind = "full_attention", .theta_key = "global_rope_theta", .theta = 160000, .scaled = true },
	[LAYER_SLIDING] = { .kind = "sliding_attention", .theta_key = "local_rope_theta", .theta = 10000, .scaled = true },
};

static enum layer_kind kind_of(const struct ft_model *m, int layer)
{
	int64_t every = ft_json_int(m->config, "global_attn_every_n_layers", 3, NULL);
	return layer_kind(m, layer, every > 0 && layer % every != 0);
}

static int check_layers(const struct ft_model *m)
{
	int err = 0;
	if (!json_is_array(json_object_get(m->config, "layer_types")))
		config_size(m, "global_attn_every_n_layers", 3, 1, 1 << 20, &err);
	return err ? err : layers_check(m);
}

static int read_sizes(struct ft_model *m)
{
	struct shape *s = &m->shape;
	int err = 0;
	s->vocabulary = config_size(m, "vocab_size", 50368, 1, 1 << 24, &err);
	s->width = config_size(m, "hidden_size", 768, 1, 1 << 16, &err);
	s->layers = config_size(m, "num_hidden_layers", 22, 1, 1 << 10, &err);
	s->heads = config_size(m, "num_attention_heads", 12, 1, 1 << 10, &err);
	s->inner = config_size(m, "intermediate_size", 1152, 1, 1 << 18, &err);
	s->positions = config_size(m, "max_position_embeddings", 8192, 1, 1 << 20, &err);
	/* Half of it to each side, and the token itself. */
	s->window = config_size(m, "local_attention", 128, 0, 1 << 21, &err) / 2 + 1;
	s->eps = config_share(m, "norm_eps", 1e-5, &err);
	s->embed_dropout = config_share(m, "embedding_dropout", 0, &err);
	s->dropout = config_share(m, "mlp_dropout", 0, &err);
	s->attention_dropout = config_share(m, "attention_dropout", 0, &err);
	s->head_dropout = config_share(m, "classifier_dropout", 0, &err);
	s->init_range = (float)ft_json_real(m->config, "initializer_range", 0.02, &err);
	s->activation = config_activation(m, "hidden_activation", "gelu", &err);
	if (!err && s->activation == ft_tanh)
		err = ft_fail(FT_EFORMAT, "hidden_activation: 'tanh' is not supported in a gate");
	err = err ? err : config_padding(m, 50283);
	return err ? err : config_heads(m, "hidden_size", "num_attention_heads");
}

static int read_shape(struct ft_model *m)
{
	int rc = read_sizes(m);
	rc = rc ? rc : check_layers(m);
	for (int kind = LAYER_FULL; rc == FT_OK && kind <= LAYER_SLIDING; kind++)
		rc = rope_read(m, &m->rope[kind], &rope_sources[kind], m->shape.width / m->shape.heads);
	return rc;
}

/* A linear layer or a norm, with a bias where config.json says so. */
static int linear(struct ft_model *m, int layer, const char *bias, bool absent, const char *name, const char *file,
                  int64_t out, int64_t in)
{
	int err = 0;
	bool with = ft_json_bool(m->config, bias, absent, &err);
	return err ? err : (with ? param_linear : param_weight)(m, layer, name, file, out, in);
}

static int norm(struct ft_model *m, int layer, const char *name, const char *file)
{
	int err = 0;
	bool with = ft_json_bool(m->config, "norm_bias", false, &err);
	return err ? err : (with ? param_norm : param_scale)(m, layer, name, file, m->shape.width);
}

static int describe_layer(struct ft_model *m, int i)
{
	const struct shape *s = &m->shape;
	int rc = i ? norm(m, i, "layer.%d.attn.norm", "layers.%d.attn_norm") : FT_OK; /* the embedding's norm is the first */
	rc = rc ? rc
	        : linear(m, i, "attention_bias", false, "layer.%d.attn.qkv", "layers.%d.attn.Wqkv", 3 * s->width, s->width);
	rc = rc ? rc : linear(m, i, "attention_bias", false, "layer.%d.attn.o", "layers.%d.attn.Wo", s->width, s->width);
	rc = rc ? rc : norm(m, i, "layer.%d.ffn.norm", "layers.%d.mlp_norm");
	rc = rc ? rc : linear(m, i, "mlp_bias", false, "layer.%d.ffn.up", "layers.%d.mlp.Wi", 2 * s->inner, s->width);
	return rc ? rc : linear(m, i, "mlp_bias", false, "layer.%d.ffn.down", "layers.%d.mlp.Wo", s->width, s->inner);
}

static int describe(struct ft_model *m)
{
	int rc = read_shape(m);
	rc = rc ? rc : param_add(m, PARAM_TABLE, -1, "embed.word.weight", "embeddings.tok_embeddings.weight",
	                         m->shape.vocabulary, m->shape.width);
	rc = rc ? rc : norm(m, -1, "embed.norm", "embeddings.norm");
	for (int i = 0; rc == FT_OK && i < (int)m->shape.layers; i++)
		rc = describe_layer(m, i);
	return rc ? rc : norm(m, (int)m->shape.layers - 1, "final.norm", "final_norm");
}

static struct ft_tensor *layer(const void *ctx, struct ft_graph *g, struct ft_tensor *x, int i)
{
	const struct layer *l = ctx;
	struct ft_model *m = l->m;
	const struct shape *s = &m->shape;
	enum layer_kind kind = kind_of(m, i);
	int heads = (int)s->heads;
	struct ft_tensor *a = i ? site_norm(m, g, x, "layer.%d.attn.norm", i) : x;
	a = site_linear(m, g, a, "layer.%d.attn.qkv", i);
	a = ft_rope(g, l->b, a, rope_table(m, g, l->b, &m->rope[kind]), 2 * heads, s->width / heads); /* q and k */
	a = site_attention(m, g, l->b, a, NULL, NULL, &(struct ft_attention_options){
		.heads = heads, .window = kind == LAYER_SLIDING ? s->window : 0, .dropout = s->attention_dropout
	}, "layer.%d.attn", i);
	a = site_linear(m, g, a, "layer.%d.attn.o", i);
	x = site_add(m, g, a, x, s->attention_dropout, "layer.%d.attn", i);
	struct ft_tensor *f = site_norm(m, g, x, "layer.%d.ffn.norm", i);
	f = site_linear(m, g, f, "layer.%d.ffn.up", i);
	f = ft_gate(g, s->activation, f, NULL);
	f = ft_dropout_add(g, f, NULL, s->dropout);
	f = site_linear(m, g, f, "layer.%d.ffn.down", i);
	return site_add(m, g, f, x, 0, "layer.%d.ffn", i);
}

static struct ft_tensor *encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b)
{
	struct ft_tensor *x = site_embed(m, g, b, NULL, NULL);
	x = site_norm(m, g, x, "embed.norm");
	x = ft_dropout_add(g, x, NULL, m->shape.embed_dropout);
	for (int i = 0; i < (int)m->shape.layers; i++)
		x = ft_layer(g, layer, &(struct layer){ m, b }, sizeof(struct layer), x, i);
	return site_norm(m, g, x, "final.norm");
}

/* ---- heads: all go through one transform, which a new head keeps ---- */
static int describe_transform(struct ft_model *m)
{
	int top = (int)m->shape.layers, err = 0;
	config_activation(m, "classifier_activation", "gelu", &err);
	int rc = err ? err : linear(m, top, "classifier_bias", false, "transform.dense", "@head.dense", m->shape.width,
	                            m->shape.width);
	return rc ? rc : norm(m, top, "transform.norm", "@head.norm");
}

static struct ft_tensor *transform(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x)
{
	int err = 0;
	x = site_linear(m, g, x, "transform.dense");
	x = config_activation(m, "classifier_activation", "gelu", &err)(g, x);
	return site_norm(m, g, x, "transform.norm");
}

/* The config.json's name for what becomes one vector a row. */
static int means(const struct ft_model *m)
{
	int err = 0;
	const char *pooling = ft_json_str(m->config, "classifier_pooling", "cls", &err);
	if (!err && strcmp(pooling, "cls") && strcmp(pooling, "mean"))
		err = ft_fail(FT_EFORMAT, "classifier_pooling: '%s' is not supported; cls and mean are", pooling);
	return err ? err : strcmp(pooling, "mean") == 0;
}

static int describe_rows(struct ft_model *m)
{
	int rc = means(m);
	return rc < 0 ? rc : describe_transform(m);
}

static struct ft_tensor *rows(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	return transform(m, g, means(m) > 0 ? ft_mean(g, b, x) : ft_first(g, b, x));
}

static int describe_mlm(struct ft_model *m)
{
	int err = 0, rc = describe_transform(m);
	if (rc == FT_OK && !ft_json_bool(m->config, "tie_word_embeddings", true, &err))
		return ft_fail(FT_EFORMAT, "tie_word_embeddings: a decoder of its own is not supported");
	if (rc == FT_OK && ft_json_bool(m->config, "decoder_bias", true, &err))
		rc = param_add(m, PARAM_BIAS, (int)m->shape.layers, "head.bias", "@decoder.bias", 1, m->shape.vocabulary);
	return rc ? rc : err;
}

const struct ft_family family_modernbert = {
	.name = "modernbert",
	.describe = describe,
	.encode = encode,
	.describe_pool = no_pooler,
	.pool = pooler,
	.describe_rows = describe_rows,
	.rows = rows,
	.classifier = "@classifier",
	.describe_tokens = describe_transform,
	.tokens = transform,
	.describe_mlm = describe_mlm,
	.mlm = transform,
	.prefix = "model.",
	.class_name = "ModernBert",
};
