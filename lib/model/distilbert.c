/* distilbert.c - DistilBERT (Sanh et al., 2019): BERT's encoder without token
 * types and pooler. */
#include "priv.h"

static const struct postnorm names = {
	.word = "embeddings.word_embeddings.weight",
	.position = "embeddings.position_embeddings.weight",
	.norm = "embeddings.LayerNorm",
	.q = "transformer.layer.%d.attention.q_lin",
	.k = "transformer.layer.%d.attention.k_lin",
	.v = "transformer.layer.%d.attention.v_lin",
	.o = "transformer.layer.%d.attention.out_lin",
	.attn_norm = "transformer.layer.%d.sa_layer_norm",
	.up = "transformer.layer.%d.ffn.lin1",
	.down = "transformer.layer.%d.ffn.lin2",
	.ffn_norm = "transformer.layer.%d.output_layer_norm",
};

static int read_shape(struct ft_model *m)
{
	struct shape *s = &m->shape;
	int err = 0;
	s->vocabulary = config_size(m, "vocab_size", 30522, 1, 1 << 24, &err);
	s->width = config_size(m, "dim", 768, 1, 1 << 16, &err);
	s->layers = config_size(m, "n_layers", 6, 1, 1 << 10, &err);
	s->heads = config_size(m, "n_heads", 12, 1, 1 << 10, &err);
	s->inner = config_size(m, "hidden_dim", 3072, 1, 1 << 18, &err);
	s->positions = config_size(m, "max_position_embeddings", 512, 1, 1 << 20, &err);
	s->eps = 1e-12f;
	s->dropout = config_share(m, "dropout", 0.1, &err);
	s->attention_dropout = config_share(m, "attention_dropout", 0.1, &err);
	s->head_dropout = config_share(m, "seq_classif_dropout", 0.2, &err);
	s->init_range = (float)ft_json_real(m->config, "initializer_range", 0.02, &err);
	s->activation = config_activation(m, "activation", "gelu", &err);
	err = err ? err : config_padding(m, 0);
	return err ? err : config_heads(m, "dim", "n_heads");
}

static int describe(struct ft_model *m)
{
	int rc = read_shape(m);
	return rc ? rc : postnorm_describe(m, &names);
}

static struct ft_tensor *encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b)
{
	return postnorm_encode(m, g, b, &names);
}

static int describe_rows(struct ft_model *m)
{
	return param_linear(m, (int)m->shape.layers, "transform.dense", "@pre_classifier", m->shape.width, m->shape.width);
}

static struct ft_tensor *rows(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	x = ft_first(g, b, x);
	x = site_linear(m, g, x, "transform.dense");
	return ft_relu(g, x);
}

static int describe_mlm(struct ft_model *m)
{
	return describe_tied(m, "@vocab_transform", "@vocab_layer_norm", "@vocab_projector.bias");
}

static struct ft_tensor *mlm(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x)
{
	return before_tied(m, g, x, m->shape.activation);
}

const struct ft_family family_distilbert = {
	.name = "distilbert",
	.describe = describe,
	.encode = encode,
	.describe_pool = no_pooler,
	.pool = pooler,
	.describe_rows = describe_rows,
	.rows = rows,
	.classifier = "@classifier",
	.describe_mlm = describe_mlm,
	.mlm = mlm,
	.prefix = "distilbert.",
	.class_name = "DistilBert",
};
