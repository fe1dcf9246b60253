/* preference.c - what DPO, ORPO and KTO share. */
#include "preference.h"

#include <string.h>

int preference_check(const struct ft_objective *x, const char *option)
{
	const struct ft_objective_options *o = x->o;
	if (o->dpo + o->orpo + o->kto > 1)
		return ft_fail(FT_EUSAGE, "only one of --dpo, --orpo and --kto is possible");
	if (x->m->head->task != FT_TASK_LM)
		return ft_fail(FT_EUSAGE, "%s is for language models; the head of %s is '%s'", option, x->m->name,
		               x->m->head->name);
	if (o->rdrop > 0 || o->teacher || o->stored)
		return ft_fail(FT_EUSAGE, "%s cannot be combined with %s", option, o->rdrop > 0 ? "--rdrop" : "--distill");
	return FT_OK;
}

int preference_before(struct preference *s, struct pass *p, size_t texts)
{
	const struct ft_batch *b = p->batch;
	size_t has = ft_batch_texts(b);
	if (has != texts || (texts == 1 && b->ntargets != b->rows))
		return ft_fail(FT_EMATCH, "%s is for %s; ft-tokenize makes them of rows with %s", s->option,
		               texts == 2 ? "examples of two texts, one better than the other"
		                          : "texts that are said to be good or not",
		               texts == 2 ? "'chosen' and 'rejected'"
		                          : "'prompt', 'completion' and a 'label' of true or false");
	if (!b->labels || b->nlabels != b->tokens)
		return ft_fail(FT_EMATCH, "%s: the texts have no labels, one a token", s->option);
	s->rows = *b;
	s->rows.texts = 1;
	s->rows.targets = NULL;
	s->rows.ntargets = 0;
	p->b = &s->rows;
	p->h.unscored = true;
	return FT_OK;
}

/* The units of each row, as rows of a batch of units; and what each weighs in the sum. NULL: no memory, or a row has
 * none. */
static const struct ft_batch *units_of_rows(struct ft_graph *g, const struct ft_batch *rows, bool mean, float **weight)
{
	struct ft_batch *units = ft_graph_alloc(g, sizeof *units);
	int32_t *offsets = ft_graph_alloc(g, (rows->rows + 1) * sizeof *offsets), n = 0;
	*weight = ft_graph_alloc(g, rows->tokens * sizeof **weight);
	if (!units || !offsets || !*weight)
		return NULL;
	for (size_t r = 0; r < rows->rows; r++) {
		offsets[r] = n;
		for (int32_t t = rows->offsets[r]; t < rows->offsets[r + 1]; t++)
			n += rows->labels[t] != FT_IGNORE;
		if (n == offsets[r])
			return ft_graph_fail(g, ft_fail(FT_EMATCH, "a text has no token that is learnt")), NULL;
		for (int32_t i = offsets[r]; i < n; i++)
			(*weight)[i] = mean ? 1.0f / (float)(n - offsets[r]) : 1;
	}
	offsets[rows->rows] = n;
	*units = (struct ft_batch){ .offsets = offsets, .rows = rows->rows, .tokens = (size_t)n };
	return units;
}

struct ft_tensor *preference_scores(struct ft_graph *g, const struct ft_batch *rows, const struct head_output *h,
                                    bool mean)
{
	float *weight;
	const struct ft_batch *units = units_of_rows(g, rows, mean, &weight);
	return units ? ft_weighted_sum(g, units, ft_linear_log_prob(g, &h->decoded, h->labels), weight) : NULL;
}

const float *preference_reference(struct preference *s, struct pass *p)
{
	struct ft_tensor *scores;
	if (p->batch->reference && s->stored)
		return p->batch->reference;
	if (!s->reference && !(s->reference = other_before(p->x->m))) {
		ft_context(ft_last_error(), "%s", s->option);
		return NULL;
	}
	scores = other_scores(s->reference, p->b);
	return scores ? scores->data : NULL;
}

int preference_finish(struct pass *p, struct ft_tensor *loss)
{
	p->h.loss = loss;
	p->h.logits = NULL;
	p->h.supervised = loss ? loss->rows : 0;
	p->h.weight = (double)p->h.supervised;
	return ft_graph_error(p->g);
}

/* ---- the log ---- */
double *preference_sums(struct preference *s, size_t *n)
{
	*n = sizeof s->sums / sizeof(double);
	return &s->sums.chosen;
}

void preference_note_one(struct preference *s, bool good, double reward)
{
	*(good ? &s->sums.chosen : &s->sums.rejected) += reward;
	*(good ? &s->sums.nchosen : &s->sums.nrejected) += 1;
}

void preference_note_pair(struct preference *s, double chosen, double rejected)
{
	preference_note_one(s, true, chosen);
	preference_note_one(s, false, rejected);
	s->sums.right += chosen > rejected;
	s->sums.pairs++;
}

int preference_log(struct preference *p, json_t *entry)
{
	const struct preference_sums s = p->sums;
	double chosen = s.nchosen > 0 ? s.chosen / s.nchosen : 0, rejected = s.nrejected > 0 ? s.rejected / s.nrejected : 0;
	int rc = 0;
	if (s.nchosen > 0)
		rc |= ft_json_set(entry, "chosen", json_real(chosen));
	if (s.nrejected > 0)
		rc |= ft_json_set(entry, "rejected", json_real(rejected));
	if (s.nchosen > 0 && s.nrejected > 0)
		rc |= ft_json_set(entry, "margin", json_real(chosen - rejected));
	if (s.pairs > 0)
		rc |= ft_json_set(entry, "reward_accuracy", json_real(s.right / s.pairs));
	if (s.batches > 0)
		rc |= ft_json_set(entry, "divergence", json_real(s.divergence / s.batches));
	p->sums = (struct preference_sums){ 0 };
	return rc ? FT_EFAIL : FT_OK;
}
