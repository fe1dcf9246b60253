/* decoder.c - the causal network that Llama (Touvron et al., 2023) has made common, and
 * what others have changed in it: RMS norms before each block, rotary positions, queries
 * in groups, gated feed-forward blocks. */
#include "priv.h"

#include <math.h>
#include <string.h>

/* ---- config.json ---- */

static int read_sizes(struct ft_model *m, const struct decoder *d)
{
	struct shape *s = &m->shape;
	int err = 0;
	s->vocabulary = config_size(m, "vocab_size", 0, 1, 1 << 24, &err);
	s->width = config_size(m, "hidden_size", 0, 1, 1 << 16, &err);
	s->layers = config_size(m, "num_hidden_layers", 0, 1, 1 << 10, &err);
	s->heads = config_size(m, "num_attention_heads", 0, 1, 1 << 10, &err);
	s->inner = config_size(m, "intermediate_size", 0, 1, 1 << 18, &err);
	s->positions = config_size(m, "max_position_embeddings", d->positions, 1, 1 << 24, &err);
	if (err)
		return err;
	bool no_kv = json_is_null(json_object_get(m->config, "num_key_value_heads"));
	bool no_size = json_is_null(json_object_get(m->config, "head_dim"));
	s->kv_heads = no_kv ? s->heads : config_size(m, "num_key_value_heads", s->heads, 1, s->heads, &err);
	int64_t size = d->head_size ? d->head_size : s->width / s->heads;
	s->head_size = no_size ? size : config_size(m, "head_dim", size, 1, 1 << 12, &err);
	if (!err && s->heads % s->kv_heads)
		err = ft_fail(FT_EFORMAT, "num_attention_heads %lld is not a multiple of num_key_value_heads %lld",
		              (long long)s->heads, (long long)s->kv_heads);
	if (!err && !d->head_size && !json_is_integer(json_object_get(m->config, "head_dim")))
		err = config_heads(m, "hidden_size", "num_attention_heads");
	return err;
}

/* A cap that may be null. */
static float read_cap(const struct ft_model *m, const char *key, int *err)
{
	const json_t *v = json_object_get(m->config, key);
	double cap = *err || !v || json_is_null(v) ? 0 : ft_json_real(m->config, key, 0, err);
	if (!*err && !(cap >= 0 && cap < 1e6))
		*err = ft_fail(FT_EFORMAT, "%s: %g is not a cap", key, cap);
	return (float)cap;
}

static int read_numbers(struct ft_model *m, const struct decoder *d)
{
	struct shape *s = &m->shape;
	int err = 0;
	s->rms = true;
	s->eps = config_share(m, "rms_norm_eps", 1e-6, &err);
	s->attention_dropout = config_share(m, "attention_dropout", 0, &err);
	s->init_range = (float)ft_json_real(m->config, "initializer_range", 0.02, &err);
	s->activation = config_activation(m, d->activation_key, d->activation, &err);
	if (!err && s->activation == ft_tanh)
		err = ft_fail(FT_EFORMAT, "%s: 'tanh' is not supported in a gate", d->activation_key);
	s->tied = ft_json_bool(m->config, "tie_word_embeddings", d->tied, &err);
	if (!err && d->gemma) {
		double query = ft_json_real(m->config, "query_pre_attn_scalar", 256, &err);
		if (!err && !(query > 0))
			err = ft_fail(FT_EFORMAT, "query_pre_attn_scalar: %g is not above 0", query);
		s->attention_scale = (float)(1 / sqrt(query));
		s->attention_cap = read_cap(m, "attn_logit_softcapping", &err);
		s->logit_cap = read_cap(m, "final_logit_softcapping", &err);
		s->norm_plus = 1;
		s->embed.scale = sqrtf((float)s->width);
		if (!err && ft_json_bool(m->config, "use_bidirectional_attention", false, &err))
			err = ft_fail(FT_EFORMAT, "use_bidirectional_attention: is not supported");
	}
	return err ? err : config_padding(m, d->gemma ? 0 : -1);
}

static enum layer_kind kind_of(const struct ft_model *m, const struct decoder *d, int layer)
{
	return layer_kind(m, layer, d->slides && d->slides(m, layer));
}

static int read_kinds(struct ft_model *m, const struct decoder *d)
{
	static const struct rope_source plain = { .theta_key = "rope_theta" };
	struct rope_source one = plain;
	one.theta = d->theta;
	one.scaled = true;
	int err = 0, rc = layers_check(m);
	bool none = json_is_null(json_object_get(m->config, "sliding_window"));
	m->shape.window = none ? 0 : config_size(m, "sliding_window", 0, 0, 1 << 24, &err);
	for (int i = 0; !err && rc == FT_OK && i < (int)m->shape.layers; i++)
		if (kind_of(m, d, i) == LAYER_SLIDING && m->shape.window < 1)
			return ft_fail(FT_EFORMAT, "sliding_window: missing, and layer %d has a window", i);
	rc = err ? err : rc;
	for (int kind = LAYER_FULL; rc == FT_OK && kind <= LAYER_SLIDING; kind++)
		rc = rope_read(m, &m->rope[kind], d->rope ? &d->rope[kind] : &one, m->shape.head_size);
	return rc;
}

/* ---- parameters ---- */

static int norm(struct ft_model *m, int layer, const char *name, const char *file, int64_t width)
{
	return param_add(m, m->shape.norm_plus > 0 ? PARAM_NORM_PLUS : PARAM_NORM, layer, name, file, 1, width);
}

static int describe_attention(struct ft_model *m, const struct decoder *d, int i)
{
	const struct shape *s = &m->shape;
	int64_t q = s->heads * s->head_size, kv = s->kv_heads * s->head_size;
	int err = 0;
	bool all = !d->qkv_bias && ft_json_bool(m->config, "attention_bias", false, &err);
	int (*in)(struct ft_model *, int, const char *, const char *, int64_t, int64_t) =
		d->qkv_bias || all ? param_linear : param_weight;
	int rc = err ? err : in(m, i, "layer.%d.attn.q", "layers.%d.self_attn.q_proj", q, s->width);
	rc = rc ? rc : in(m, i, "layer.%d.attn.k", "layers.%d.self_attn.k_proj", kv, s->width);
	rc = rc ? rc : in(m, i, "layer.%d.attn.v", "layers.%d.self_attn.v_proj", kv, s->width);
	rc = rc ? rc
	        : (all ? param_linear : param_weight)(m, i, "layer.%d.attn.o", "layers.%d.self_attn.o_proj", s->width, q);
	if (rc == FT_OK && d->qk_norm) {
		rc = norm(m, i, "layer.%d.attn.q_norm.weight", "layers.%d.self_attn.q_norm.weight", s->head_size);
		rc = rc ? rc : norm(m, i, "layer.%d.attn.k_norm.weight", "layers.%d.self_attn.k_norm.weight", s->head_size);
	}
	return rc;
}

static int describe_layer(struct ft_model *m, const struct decoder *d, int i)
{
	const struct shape *s = &m->shape;
	int err = 0;
	bool bias = ft_json_bool(m->config, "mlp_bias", false, &err);
	int (*linear)(struct ft_model *, int, const char *, const char *, int64_t, int64_t) = bias ? param_linear
	                                                                                           : param_weight;
	int rc = err ? err : norm(m, i, "layer.%d.attn.norm.weight", "layers.%d.input_layernorm.weight", s->width);
	rc = rc ? rc : describe_attention(m, d, i);
	if (rc == FT_OK && d->gemma)
		rc = norm(m, i, "layer.%d.attn.post.weight", "layers.%d.post_attention_layernorm.weight", s->width);
	rc = rc ? rc
	        : norm(m, i, "layer.%d.ffn.norm.weight",
	               d->gemma ? "layers.%d.pre_feedforward_layernorm.weight"
	                        : "layers.%d.post_attention_layernorm.weight",
	               s->width);
	rc = rc ? rc : linear(m, i, "layer.%d.ffn.gate", "layers.%d.mlp.gate_proj", s->inner, s->width);
	rc = rc ? rc : linear(m, i, "layer.%d.ffn.up", "layers.%d.mlp.up_proj", s->inner, s->width);
	rc = rc ? rc : linear(m, i, "layer.%d.ffn.down", "layers.%d.mlp.down_proj", s->width, s->inner);
	if (rc == FT_OK && d->gemma)
		rc = norm(m, i, "layer.%d.ffn.post.weight", "layers.%d.post_feedforward_layernorm.weight", s->width);
	return rc;
}

int decoder_describe(struct ft_model *m)
{
	const struct decoder *d = m->family->decoder;
	int rc = read_sizes(m, d);
	rc = rc ? rc : read_numbers(m, d);
	rc = rc ? rc : read_kinds(m, d);
	rc = rc ? rc : param_add(m, PARAM_TABLE, -1, "embed.word.weight", "embed_tokens.weight", m->shape.vocabulary,
	                         m->shape.width);
	for (int i = 0; rc == FT_OK && i < (int)m->shape.layers; i++)
		rc = describe_layer(m, d, i);
	return rc ? rc : norm(m, (int)m->shape.layers - 1, "final.norm.weight", "norm.weight", m->shape.width);
}

/* ---- the network ---- */

static struct ft_tensor *attend(const struct layer *l, struct ft_graph *g, struct ft_tensor *x, int i)
{
	struct ft_model *m = l->m;
	const struct ft_batch *b = l->b;
	const struct decoder *d = m->family->decoder;
	const struct shape *s = &m->shape;
	enum layer_kind kind = kind_of(m, d, i);
	struct ft_tensor *q = site_linear(m, g, x, "layer.%d.attn.q", i);
	struct ft_tensor *k = site_linear(m, g, x, "layer.%d.attn.k", i);
	struct ft_tensor *v = site_linear(m, g, x, "layer.%d.attn.v", i);
	if (d->qk_norm) {
		q = site_norm(m, g, q, "layer.%d.attn.q_norm", i);
		k = site_norm(m, g, k, "layer.%d.attn.k_norm", i);
	}
	const struct ft_rope *turns = rope_table(m, g, b, &m->rope[kind]);
	q = ft_rope(g, b, q, turns, (int)s->heads, s->head_size);
	k = ft_rope(g, b, k, turns, (int)s->kv_heads, s->head_size);
	x = site_attention(m, g, b, q, k, v, &(struct ft_attention_options){
		.heads = (int)s->heads, .kv_heads = (int)s->kv_heads, .causal = true,
		.window = kind == LAYER_SLIDING ? s->window : 0, .scale = s->attention_scale, .softcap = s->attention_cap,
		.dropout = s->attention_dropout }, "layer.%d.attn", i);
	x = site_linear(m, g, x, "layer.%d.attn.o", i);
	return d->gemma ? site_norm(m, g, x, "layer.%d.attn.post", i) : x;
}

static struct ft_tensor *feed(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x, int i)
{
	struct ft_tensor *gate = site_linear(m, g, x, "layer.%d.ffn.gate", i);
	struct ft_tensor *up = site_linear(m, g, x, "layer.%d.ffn.up", i);
	x = site_linear(m, g, ft_gate(g, m->shape.activation, gate, up), "layer.%d.ffn.down", i);
	return m->family->decoder->gemma ? site_norm(m, g, x, "layer.%d.ffn.post", i) : x;
}

static struct ft_tensor *layer(const void *ctx, struct ft_graph *g, struct ft_tensor *x, int i)
{
	const struct layer *l = ctx;
	struct ft_model *m = l->m;
	struct ft_tensor *a = attend(l, g, site_norm(m, g, x, "layer.%d.attn.norm", i), i);
	x = site_add(m, g, a, x, m->shape.dropout, "layer.%d.attn", i);
	struct ft_tensor *f = feed(m, g, site_norm(m, g, x, "layer.%d.ffn.norm", i), i);
	return site_add(m, g, f, x, m->shape.dropout, "layer.%d.ffn", i);
}

struct ft_tensor *decoder_encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b)
{
	struct ft_tensor *x = site_embed(m, g, b, NULL, NULL);
	x = ft_dropout_add(g, x, NULL, m->shape.embed_dropout);
	for (int i = 0; i < (int)m->shape.layers; i++)
		x = ft_layer(g, layer, &(struct layer){ m, b }, sizeof(struct layer), x, i);
	return site_norm(m, g, x, "final.norm");
}
