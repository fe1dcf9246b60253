/* tag.c - the head of token classification: each token gets outputs of its own.
 * With labels only the supervised ones do, so that no work is done for the others. */
#include "../model/priv.h"

static int describe(struct ft_model *m)
{
	int rc = m->family->describe_tokens ? m->family->describe_tokens(m) : FT_OK;
	const char *file = m->family->tagger ? m->family->tagger : "@classifier";
	return rc < 0 ? rc : param_linear(m, (int)m->shape.layers, "head", file, (int64_t)m->outputs, m->shape.width);
}

static struct ft_tensor *logits(struct ft_model *m, struct ft_graph *g, struct ft_tensor *x)
{
	if (m->family->tokens)
		x = m->family->tokens(m, g, x);
	x = ft_dropout_add(g, x, NULL, m->shape.head_dropout);
	return site_linear(m, g, x, "head");
}

static int run(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
               struct head_output *out)
{
	if (!b->labels) {
		out->logits = logits(m, g, hidden);
		return ft_graph_error(g);
	}
	if (b->nlabels != b->tokens)
		return ft_fail(FT_EMATCH, "labels of rows, for a head that has one label a token");
	int32_t *labels;
	int64_t n;
	int32_t *index = head_supervised(g, b, &labels, &n);
	if (!index || n == 0)
		return ft_graph_error(g);
	out->logits = logits(m, g, head_gather(g, b, hidden, index, n));
	out->loss = ft_cross_entropy(g, out->logits, labels, &m->loss);
	out->supervised = n;
	for (int64_t i = 0; i < n; i++)
		out->weight += m->loss.weights && out->loss ? m->loss.weights[labels[i]] : 1;
	return ft_graph_error(g);
}

const struct ft_head head_tag = {
	.name = "tag",
	.task = FT_TASK_TAG,
	.architecture = "ForTokenClassification",
	.describe = describe,
	.run = run,
};
