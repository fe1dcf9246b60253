/* sequence.c - heads that give a row of the batch one vector of outputs:
 * classify (one label), multilabel (any), regress (numbers). */
#include "../model/priv.h"

static int describe(struct ft_model *m)
{
	int top = (int)m->shape.layers, rc = m->pooling.modes ? FT_OK : m->family->describe_rows(m);
	int64_t width = m->shape.width * (int64_t)(m->pooling.modes ? m->pooling.modes : 1);
	return rc < 0 ? rc : (m->family->causal ? param_weight : param_linear)(m, top, "head", m->family->classifier,
	                                                                       (int64_t)m->outputs, width);
}

static struct ft_tensor *logits(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	x = m->pooling.modes ? vectors_make(g, b, x, &m->pooling) : m->family->rows(m, g, b, x);
	x = ft_dropout_add(g, x, NULL, m->shape.head_dropout);
	return site_linear(m, g, x, "head");
}

static int run(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
               struct head_output *out)
{
	out->logits = logits(m, g, b, hidden);
	return m->head->loss(m, g, b, out);
}

static int classify_loss(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct head_output *out)
{
	if (!b->labels)
		return ft_graph_error(g);
	if (b->nlabels != b->rows)
		return ft_fail(FT_EMATCH, "labels of tokens, for a head that has one label a row");
	out->loss = ft_cross_entropy(g, out->logits, b->labels, &m->loss);
	for (size_t i = 0; i < b->rows; i++) {
		if (b->labels[i] == FT_IGNORE)
			continue;
		out->supervised++;
		out->weight += m->loss.weights && out->loss ? m->loss.weights[b->labels[i]] : 1;
	}
	return ft_graph_error(g);
}

static int targets_loss(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct head_output *out)
{
	if (!b->targets)
		return ft_graph_error(g);
	if (b->ntargets != b->rows * m->outputs)
		return ft_fail(FT_EMATCH, "%zu targets a row; the head has %zu outputs", b->ntargets / b->rows, m->outputs);
	out->loss = m->head->task == FT_TASK_REGRESS ? ft_squared_error(g, out->logits, b->targets)
	                                             : ft_binary_cross_entropy(g, out->logits, b->targets, &m->loss);
	out->supervised = (int64_t)b->rows;
	out->weight = (double)b->rows;
	return ft_graph_error(g);
}

const struct ft_head head_classify = {
	.name = "classify",
	.task = FT_TASK_CLASSIFY,
	.architecture = "ForSequenceClassification",
	.describe = describe,
	.run = run,
	.loss = classify_loss,
};

const struct ft_head head_multilabel = {
	.name = "multilabel",
	.task = FT_TASK_MULTILABEL,
	.architecture = "ForSequenceClassification",
	.describe = describe,
	.run = run,
	.loss = targets_loss,
};

const struct ft_head head_regress = {
	.name = "regress",
	.task = FT_TASK_REGRESS,
	.architecture = "ForSequenceClassification",
	.describe = describe,
	.run = run,
	.loss = targets_loss,
};
