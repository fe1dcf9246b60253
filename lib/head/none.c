/* none.c - no head: a body whose hidden states are the result. */
#include "../model/priv.h"

static int describe(struct ft_model *m)
{
	/* Part of the bare checkpoint of some encoders, so it is kept and exported. */
	return m->family->describe_pool(m);
}

static int run(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
               struct head_output *out)
{
	(void)g, (void)b, (void)hidden, (void)out;
	return ft_fail(FT_EMATCH, "%s: the model has no head; ft-freeze --head gives it one", m->name);
}

const struct ft_head head_none = {
	.name = "none",
	.task = FT_TASK_NONE,
	.architecture = "Model",
	.describe = describe,
	.run = run,
};
