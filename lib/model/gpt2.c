/* gpt2.c - GPT-2 (Radford et al., 2019): a causal decoder with learned positions and a
 * layer norm before each block. Its checkpoints hold weights as [in, out]. */
#include "priv.h"

/* What changes the mathematics and is not supported. */
static int check_options(const struct ft_model *m)
{
	int err = 0;
	bool scaled = ft_json_bool(m->config, "scale_attn_weights", true, &err);
	bool by_layer = ft_json_bool(m->config, "scale_attn_by_inverse_layer_idx", false, &err);
	if (!err && (!scaled || by_layer))
		err = ft_fail(FT_EFORMAT, "%s: is not supported", scaled ? "scale_attn_by_inverse_layer_idx"
		                                                         : "scale_attn_weights: false");
	return err;
}

static int read_shape(struct ft_model *m)
{
	struct shape *s = &m->shape;
	int err = 0;
	s->vocabulary = config_size(m, "vocab_size", 50257, 1, 1 << 24, &err);
	s->width = config_size(m, "n_embd", 768, 1, 1 << 16, &err);
	s->layers = config_size(m, "n_layer", 12, 1, 1 << 10, &err);
	s->heads = config_size(m, "n_head", 12, 1, 1 << 10, &err);
	s->positions = config_size(m, "n_positions", 1024, 1, 1 << 20, &err);
	bool usual = json_is_null(json_object_get(m->config, "n_inner"));
	s->inner = usual ? 4 * s->width : config_size(m, "n_inner", 4 * s->width, 1, 1 << 18, &err);
	s->eps = config_share(m, "layer_norm_epsilon", 1e-5, &err);
	s->dropout = config_share(m, "resid_pdrop", 0.1, &err);
	s->embed_dropout = config_share(m, "embd_pdrop", 0.1, &err);
	s->attention_dropout = config_share(m, "attn_pdrop", 0.1, &err);
	s->init_range = (float)ft_json_real(m->config, "initializer_range", 0.02, &err);
	s->activation = config_activation(m, "activation_function", "gelu_new", &err);
	s->tied = ft_json_bool(m->config, "tie_word_embeddings", true, &err);
	s->embed.padding = -1;
	err = err ? err : check_options(m);
	return err ? err : config_heads(m, "n_embd", "n_head");
}

static int describe_layer(struct ft_model *m, int i)
{
	const struct shape *s = &m->shape;
	int rc = param_norm(m, i, "layer.%d.attn.norm", "h.%d.ln_1", s->width);
	rc = rc ? rc : param_turned(m, i, "layer.%d.attn.qkv", "h.%d.attn.c_attn", 3 * s->width, s->width);
	rc = rc ? rc : param_turned(m, i, "layer.%d.attn.o", "h.%d.attn.c_proj", s->width, s->width);
	rc = rc ? rc : param_norm(m, i, "layer.%d.ffn.norm", "h.%d.ln_2", s->width);
	rc = rc ? rc : param_turned(m, i, "layer.%d.ffn.up", "h.%d.mlp.c_fc", s->inner, s->width);
	return rc ? rc : param_turned(m, i, "layer.%d.ffn.down", "h.%d.mlp.c_proj", s->width, s->inner);
}

static int describe(struct ft_model *m)
{
	const struct shape *s = &m->shape;
	int rc = read_shape(m);
	rc = rc ? rc : param_add(m, PARAM_TABLE, -1, "embed.word.weight", "wte.weight", s->vocabulary, s->width);
	rc = rc ? rc : param_add(m, PARAM_TABLE, -1, "embed.position.weight", "wpe.weight", s->positions, s->width);
	for (int i = 0; rc == FT_OK && i < (int)s->layers; i++)
		rc = describe_layer(m, i);
	return rc ? rc : param_norm(m, (int)s->layers - 1, "final.norm", "ln_f", s->width);
}

static struct ft_tensor *layer(const void *ctx, struct ft_graph *g, struct ft_tensor *x, int i)
{
	const struct layer *l = ctx;
	struct ft_model *m = l->m;
	const struct shape *s = &m->shape;
	struct ft_tensor *a = site_norm(m, g, x, "layer.%d.attn.norm", i);
	a = site_linear(m, g, a, "layer.%d.attn.qkv", i);
	a = site_attention(m, g, l->b, a, NULL, NULL, &(struct ft_attention_options){
		.heads = (int)s->heads, .causal = true, .dropout = s->attention_dropout }, "layer.%d.attn", i);
	a = site_linear(m, g, a, "layer.%d.attn.o", i);
	x = site_add(m, g, a, x, s->dropout, "layer.%d.attn", i);
	struct ft_tensor *f = site_norm(m, g, x, "layer.%d.ffn.norm", i);
	f = site_linear(m, g, f, "layer.%d.ffn.up", i);
	f = site_linear(m, g, s->activation(g, f), "layer.%d.ffn.down", i);
	return site_add(m, g, f, x, s->dropout, "layer.%d.ffn", i);
}

static struct ft_tensor *encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b)
{
	struct ft_tensor *x = site_embed(m, g, b, site_tensor(m, g, "embed.position.weight"), NULL);
	x = ft_dropout_add(g, x, NULL, m->shape.embed_dropout);
	for (int i = 0; i < (int)m->shape.layers; i++)
		x = ft_layer(g, layer, &(struct layer){ m, b }, sizeof(struct layer), x, i);
	return site_norm(m, g, x, "final.norm");
}

const struct ft_family family_gpt2 = {
	.name = "gpt2",
	.class_name = "GPT2",
	.lm_class = "GPT2LMHeadModel",
	.prefix = "transformer.",
	.causal = true,
	.describe = describe,
	.encode = encode,
	.describe_pool = no_pooler,
	.pool = pooler,
	.describe_rows = no_pooler,
	.rows = last_tokens,
	.classifier = "@score",
};
