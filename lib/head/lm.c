/* lm.c - the head of a causal language model: what the next token is. With labels only
 * supervised places are decoded, by chunks; without, the last place of each row. */
#include "../model/priv.h"
#include "ft/kernels.h"

static int describe(struct ft_model *m)
{
	if (!m->family->causal)
		return ft_fail(FT_EUSAGE, "%s: the head lm is not for %s, whose tokens see what follows; mlm is", m->name,
		               m->family->name);
	if (m->shape.tied)
		return FT_OK;
	return param_weight(m, (int)m->shape.layers, "head", "@lm_head", m->shape.vocabulary, m->shape.width);
}

static struct ft_tensor *decoder(struct ft_model *m, struct ft_graph *g)
{
	return site_tensor(m, g, m->shape.tied ? "embed.word.weight" : "head.weight");
}

/* Outside of training: nothing flows back through these. */
static void cap(struct ft_tensor *x, float softcap)
{
	size_t n = x && softcap > 0 ? (size_t)(x->rows * x->cols) : 0;
	for (size_t i = 0; i < n; i++)
		x->data[i] /= softcap;
	if (n)
		ft_kernels()->tanh(x->data, x->data, n);
	for (size_t i = 0; i < n; i++)
		x->data[i] *= softcap;
}

static int follow(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
                  struct head_output *out)
{
	struct ft_tensor *w = decoder(m, g);
	out->logits = w ? ft_linear(g, last_tokens(m, g, b, hidden), w, NULL) : NULL;
	cap(out->logits, m->shape.logit_cap);
	return ft_graph_error(g);
}

static int run(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
               struct head_output *out)
{
	if (!b->labels)
		return follow(m, g, b, hidden, out);
	if (b->nlabels != b->tokens)
		return ft_fail(FT_EMATCH,
		               "labels of rows, for a head that has one label a token; ft-tokenize --task lm makes them");
	if (b->targets && ft_graph_mode(g) != FT_INFER)
		return ft_fail(FT_EMATCH, "texts of which some are wrong: choices are measured, not trained on, and texts that "
		               "are good or not are for --kto");
	int32_t *labels;
	int64_t n;
	int32_t *index = head_supervised(g, b, &labels, &n);
	struct ft_tensor *w = decoder(m, g);
	if (!index || !w || n == 0)
		return ft_graph_error(g);
	out->decoded = (struct ft_decoded){ head_gather(g, b, hidden, index, n), w, NULL, m->shape.logit_cap };
	return words_loss(g, labels, n, out);
}

const struct ft_head head_lm = {
	.name = "lm",
	.task = FT_TASK_LM,
	.architecture = "ForCausalLM",
	.describe = describe,
	.run = run,
};
