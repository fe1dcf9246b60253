/* run.c - forward and backward of a whole model on one batch. */
#include "priv.h"

#include <math.h>
#include <string.h>

int ft_model_still(const struct ft_model *m)
{
	int layers = (int)m->shape.layers;
	for (size_t i = 0; i < m->count; i++)
		if (m->params[i]->trains && m->params[i]->layer < layers)
			layers = m->params[i]->layer;
	return layers < 0 ? 0 : layers;
}

void ft_model_trunk(struct ft_model *m, struct ft_trunk *t) { m->trunk = t; }

/* Of the states of `seen`, whose rows end as those of b, those of b. */
static struct ft_tensor *own_tokens(struct ft_graph *g, const struct ft_batch *b, const struct ft_batch *seen,
                                    struct ft_tensor *x)
{
	int32_t *index = ft_graph_alloc(g, b->tokens * sizeof *index);
	for (size_t r = 0; index && r < b->rows; r++)
		for (int32_t t = b->offsets[r]; t < b->offsets[r + 1]; t++)
			index[t] = t + seen->offsets[r + 1] - b->offsets[r + 1];
	return index ? at_place(ft_gather(g, x, index, (int64_t)b->tokens), b->part ? &b->part->tokens : NULL) : NULL;
}

/* A head of rows sees what a technique has put before them, as in PEFT; one of tokens has an answer for each
 * that its caller knows. */
int model_run(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct head_output *h)
{
	ft_graph_plan(g, m->plans);
	const struct ft_batch *seen = adapt_batch(m, g, b);
	int begun = seen && m->trunk ? ft_trunk_begin(m->trunk, g, seen) : FT_OK;
	if (begun < 0)
		return begun;
	struct ft_tensor *hidden = seen ? m->family->encode(m, g, seen) : NULL;
	if (!hidden)
		return ft_graph_error(g);
	if (ft_batch_texts(b) > 1 && m->head->task != FT_TASK_EMBED)
		return ft_fail(FT_EMATCH, "examples of %zu texts, for a head that takes one; they are for the head embed, and "
		               "preferences among them for --dpo and --orpo of ft-train", b->texts);
	if (seen != b && (m->head->task == FT_TASK_TAG || ft_task_of_words(m->head->task))) {
		hidden = own_tokens(g, b, seen, hidden);
		seen = b;
	}
	int rc = hidden ? m->head->run(m, g, seen, hidden, h) : FT_OK;
	return rc < 0 ? rc : ft_graph_error(g);
}

/* What the caller sees is copied: backward reuses the tape's memory. */
static const float *copy_of(struct ft_graph *g, const struct ft_tensor *t)
{
	size_t bytes = (size_t)t->rows * (size_t)t->cols * sizeof(float);
	float *copy = ft_graph_alloc(g, bytes);
	return copy ? memcpy(copy, t->data, bytes) : NULL;
}

int model_output(const struct ft_model *m, struct ft_graph *g, const struct head_output *h, struct ft_output *out)
{
	*out = (struct ft_output){ .outputs = m->outputs, .supervised = h->supervised, .weight = h->weight,
	                           .hits = h->hits };
	const struct ft_tensor *from = h->logits ? h->logits : h->loss;
	if (h->logits)
		out->outputs = (size_t)h->logits->cols;
	out->units = from ? (size_t)from->rows : 0;
	if (h->logits && !(out->logits = copy_of(g, h->logits)))
		return FT_EFAIL;
	if (h->vectors && !(out->vectors = copy_of(g, h->vectors)))
		return FT_EFAIL;
	out->width = h->vectors ? (size_t)h->vectors->cols : 0;
	if (h->loss && !(out->loss = copy_of(g, h->loss)))
		return FT_EFAIL;
	for (size_t i = 0; h->loss && !m->plans && i < out->units; i++)
		out->loss_sum += out->loss[i];
	return FT_OK;
}

int ft_model_eval(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out)
{
	struct head_output h = { 0 };
	ft_graph_begin(g, FT_INFER, 0, 0);
	int rc = model_run(m, g, b, &h);
	return rc < 0 ? rc : model_output(m, g, &h, out);
}

int ft_model_judge(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, const float *logits,
                   struct ft_output *out)
{
	struct head_output h = { 0 };
	if (!m->head->loss)
		return ft_fail(FT_EUSAGE, "%s: the head '%s' has no logits of rows", m->name, m->head->name);
	ft_graph_begin(g, FT_INFER, 0, 0);
	h.logits = ft_graph_tensor(g, (int64_t)b->rows, (int64_t)m->outputs);
	if (!h.logits)
		return ft_graph_error(g);
	memcpy(h.logits->data, logits, b->rows * m->outputs * sizeof *logits);
	int rc = m->head->loss(m, g, b, &h);
	return rc < 0 ? rc : model_output(m, g, &h, out);
}

int ft_model_forward(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out,
                     struct ft_tensor **loss)
{
	struct head_output h = { 0 };
	int rc = model_run(m, g, b, &h);
	rc = rc < 0 ? rc : model_output(m, g, &h, out);
	*loss = h.loss;
	return rc;
}

int ft_model_step(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out)
{
	struct ft_tensor *loss;
	int rc = ft_model_forward(m, g, b, out, &loss);
	if (rc < 0 || !loss || !out->supervised || !isfinite(out->loss_sum))
		return rc;
	return ft_backward(g, loss);
}
