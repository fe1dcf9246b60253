/* teach.c - what a model predicts, put into batches beforehand. */
#include "preference.h"

#include <stdlib.h>

struct ft_teacher {
	struct ft_model *m;
	struct ft_graph *g;
	int64_t top;
};

struct ft_teacher *ft_teacher_new(struct ft_model *m, int64_t top)
{
	if (objective_needs_prediction(m, "a teacher") < 0)
		return NULL;
	if (ft_task_of_words(m->head->task) && top > m->shape.vocabulary)
		return ft_fail(FT_EUSAGE, "--top %lld: %s has %lld words", (long long)top, m->name,
		               (long long)m->shape.vocabulary),
		       NULL;
	struct ft_teacher *t = ft_alloc(1, sizeof *t);
	if (!t)
		return NULL;
	*t = (struct ft_teacher){ .m = m, .g = ft_graph_new(), .top = top };
	if (t->g)
		return t;
	free(t);
	return NULL;
}

void ft_teacher_free(struct ft_teacher *t)
{
	if (t)
		ft_graph_free(t->g);
	free(t);
}

/* The likeliest words at each supervised token. */
static int add_words(struct ft_teacher *t, struct ft_batch *b, const struct ft_decoded *of)
{
	size_t n = (size_t)(of->x->rows * t->top);
	int32_t *ids = ft_graph_alloc(t->g, n * sizeof *ids);
	float *logits = ft_graph_alloc(t->g, n * sizeof *logits);
	if (!ids || !logits)
		return FT_EFAIL;
	b->teacher = logits;
	b->teacher_ids = ids;
	b->nteacher = n;
	return ft_linear_top(t->g, of, t->top, ids, logits);
}

/* Of two texts that are one example: how likely each is. */
static int add_reference(struct ft_teacher *t, struct ft_batch *b)
{
	struct head_output h = { .unscored = true };
	struct ft_batch rows = *b;
	rows.texts = 1;
	int rc = model_run(t->m, t->g, &rows, &h);
	struct ft_tensor *scores = rc == FT_OK ? preference_scores(t->g, &rows, &h, false) : NULL;
	b->reference = scores ? scores->data : NULL;
	return scores ? FT_OK : rc < 0 ? rc : ft_graph_error(t->g);
}

int ft_teacher_add(struct ft_teacher *t, struct ft_batch *b)
{
	struct head_output h = { .unscored = true };
	bool words = ft_task_of_words(t->m->head->task);
	if (words && (!b->labels || b->nlabels != b->tokens))
		return ft_fail(FT_EMATCH, "there are no labels, which say at which tokens words are predicted");
	ft_graph_begin(t->g, FT_INFER, 0, 0);
	b->teacher = b->reference = NULL;
	b->teacher_ids = NULL;
	b->nteacher = 0;
	if (ft_batch_texts(b) == 2 && t->m->head->task == FT_TASK_LM)
		return add_reference(t, b);
	int rc = model_run(t->m, t->g, b, &h);
	if (rc < 0 || words)
		return rc < 0 || !h.decoded.x ? rc : add_words(t, b, &h.decoded);
	b->teacher = h.logits ? h.logits->data : NULL;
	b->nteacher = h.logits ? (size_t)(h.logits->rows * h.logits->cols) : 0;
	return FT_OK;
}
