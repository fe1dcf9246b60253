/* bert.c - BERT (Devlin et al., 2019): a bidirectional encoder with learned
 * positions, layer norm after each residual sum. Also MiniLM and the other
 * sentence-transformers whose model_type is "bert". */
#include "priv.h"

static int describe(struct ft_model *m)
{
	int rc = postnorm_shape(m);
	return rc ? rc : postnorm_describe(m, &postnorm_bert);
}

static struct ft_tensor *encode(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b)
{
	return postnorm_encode(m, g, b, &postnorm_bert);
}

static int describe_mlm(struct ft_model *m)
{
	return describe_tied(m, "@cls.predictions.transform.dense", "@cls.predictions.transform.LayerNorm",
	                     "@cls.predictions.bias");
}

static struct ft_tensor *mlm(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x)
{
	return before_tied(m, g, x, m->shape.activation);
}

const struct ft_family family_bert = {
	.name = "bert",
	.describe = describe,
	.encode = encode,
	.describe_pool = describe_pooler,
	.pool = pooler,
	.describe_rows = describe_pooler,
	.rows = pooler,
	.classifier = "@classifier",
	.describe_mlm = describe_mlm,
	.mlm = mlm,
	.prefix = "bert.",
	.class_name = "Bert",
};
