/* mlm.c - the masked-language-model head: the decoder is tied to the word
 * embeddings, and only supervised tokens are ever decoded. */
#include "../model/priv.h"

static int describe(struct ft_model *m)
{
	if (!m->family->describe_mlm)
		return ft_fail(FT_EUSAGE, "%s: the head mlm is not for %s, which predicts what follows; lm is", m->name,
		               m->family->name);
	return m->family->describe_mlm(m);
}

static int run(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
               struct head_output *out)
{
	if (!b->labels)
		return ft_graph_error(g);
	if (b->nlabels != b->tokens)
		return ft_fail(FT_EMATCH, "labels of rows, for a head that has one label a token; ft-batch --mask makes them");
	int32_t *labels;
	int64_t n;
	int32_t *index = head_supervised(g, b, &labels, &n);
	if (!index || n == 0)
		return ft_graph_error(g);
	struct ft_tensor *x = head_gather(g, b, hidden, index, n);
	x = m->family->mlm(m, g, x);
	struct ft_param *bias = ft_model_find(m, "head.bias"); /* not all have one */
	out->decoded = (struct ft_decoded){ x, site_tensor(m, g, "embed.word.weight"), bias ? &bias->t : NULL, 0 };
	return words_loss(g, labels, n, out);
}

const struct ft_head head_mlm = {
	.name = "mlm",
	.task = FT_TASK_MLM,
	.architecture = "ForMaskedLM",
	.describe = describe,
	.run = run,
};
