/* run.c - forward and backward of a whole model on one batch. */
#include "ft/kernels.h"
#include "priv.h"

#include <math.h>
#include <string.h>

static int run_head(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct head_output *h)
{
	struct ft_tensor *hidden = m->family->encode(m, g, b);
	if (!hidden)
		return ft_graph_error(g);
	int rc = m->head->run(m, g, b, hidden, h);
	return rc < 0 ? rc : ft_graph_error(g);
}

/* What the caller sees is copied: backward reuses the tape's memory. */
static int fill_output(struct ft_model *m, struct ft_graph *g, const struct head_output *h, struct ft_output *out)
{
	*out = (struct ft_output){ .outputs = m->outputs, .supervised = h->supervised, .weight = h->weight };
	const struct ft_tensor *from = h->logits ? h->logits : h->loss;
	out->units = from ? (size_t)from->rows : 0;
	if (h->logits) {
		size_t bytes = (size_t)h->logits->rows * (size_t)h->logits->cols * sizeof(float);
		out->logits = ft_graph_alloc(g, bytes);
		if (!out->logits)
			return FT_EFAIL;
		memcpy((float *)out->logits, h->logits->data, bytes);
	}
	if (h->loss) {
		float *loss = ft_graph_alloc(g, out->units * sizeof *loss);
		if (!loss)
			return FT_EFAIL;
		memcpy(loss, h->loss->data, out->units * sizeof *loss);
		for (size_t i = 0; i < out->units; i++)
			out->loss_sum += loss[i];
		out->loss = loss;
	}
	return FT_OK;
}

int ft_model_eval(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out)
{
	struct head_output h = { 0 };
	ft_graph_begin(g, FT_INFER, 0, 0);
	int rc = run_head(m, g, b, &h);
	return rc < 0 ? rc : fill_output(m, g, &h, out);
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
	return rc < 0 ? rc : fill_output(m, g, &h, out);
}

int ft_model_forward(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out,
                     struct ft_tensor **loss)
{
	struct head_output h = { 0 };
	int rc = run_head(m, g, b, &h);
	rc = rc < 0 ? rc : fill_output(m, g, &h, out);
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

/* ---- vectors of rows ---- */
void ft_vectors_normalize(float *v, size_t rows, size_t cols)
{
	for (size_t r = 0; r < rows; r++) {
		float *row = v + r * cols;
		double norm = sqrt(ft_kernels()->sum_squares(row, cols));
		for (size_t c = 0; norm > 0 && c < cols; c++)
			row[c] = (float)(row[c] / norm);
	}
}

int ft_model_vectors(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, const char *pooling,
                     bool normalize, const float **out, size_t *width)
{
	ft_graph_begin(g, FT_INFER, 0, 0);
	struct ft_tensor *x = m->family->encode(m, g, b);
	if (!x)
		return ft_graph_error(g);
	if (strcmp(pooling, "mean") == 0)
		x = ft_mean(g, b, x);
	else if (strcmp(pooling, "cls") == 0)
		x = ft_first(g, b, x);
	else if (strcmp(pooling, "pooler") == 0)
		x = m->family->pool(m, g, b, x);
	else
		return ft_fail(FT_EUSAGE, "'%s' is not a pooling; mean, cls and pooler are", pooling);
	if (!x)
		return ft_graph_error(g);
	if (normalize)
		ft_vectors_normalize(x->data, (size_t)x->rows, (size_t)x->cols);
	*out = x->data;
	*width = (size_t)x->cols;
	return FT_OK;
}
