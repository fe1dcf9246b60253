/* token.c - what heads share that look at single tokens. */
#include "../model/priv.h"

int32_t *head_supervised(struct ft_graph *g, const struct ft_batch *b, int32_t **labels, int64_t *n)
{
	int32_t *index = ft_graph_alloc(g, b->tokens * sizeof *index);
	*labels = ft_graph_alloc(g, b->tokens * sizeof **labels);
	*n = 0;
	if (!index || !*labels)
		return NULL;
	for (size_t t = 0; t < b->tokens; t++) {
		if (b->labels[t] == FT_IGNORE)
			continue;
		index[*n] = (int32_t)t;
		(*labels)[(*n)++] = b->labels[t];
	}
	return index;
}

int words_loss(struct ft_graph *g, const int32_t *labels, int64_t n, struct head_output *out)
{
	out->labels = labels;
	out->supervised = n;
	out->weight = (double)n;
	if (out->unscored)
		return ft_graph_error(g);
	out->hits = ft_graph_alloc(g, (size_t)n);
	if (out->hits)
		out->loss = ft_linear_cross_entropy(g, &out->decoded, labels, out->hits);
	return ft_graph_error(g);
}
