/* other.c - predictions of another model of the same batches: a teacher, or the model as it was
 * before training. */
#include "preference.h"

#include <stdlib.h>
#include <string.h>

struct other {
	struct ft_model *m; /* its own, or borrowed with its techniques switched off */
	bool borrowed, plain;
	struct ft_graph *g;
};

void other_free(struct other *o)
{
	if (!o)
		return;
	if (!o->borrowed)
		ft_model_free(o->m);
	ft_graph_free(o->g);
	free(o);
}

struct ft_model *other_model(const struct other *o, struct ft_graph **g)
{
	*g = o->g;
	return o->m;
}

static struct other *new_other(struct ft_model *m, bool borrowed, bool plain)
{
	struct other *o = m ? ft_alloc(1, sizeof *o) : NULL;
	if (o) {
		*o = (struct other){ .m = m, .borrowed = borrowed, .plain = plain, .g = ft_graph_new() };
		if (o->g)
			return o;
	}
	if (!borrowed)
		ft_model_free(m);
	free(o);
	return NULL;
}

static const char *digest_of(const struct ft_model *m, const char *key)
{
	return json_string_value(json_object_get(json_object_get(m->meta, key), "digest"));
}

/* Predictions of both are about the same things. */
static int check_alike(const struct ft_model *m, const struct ft_model *other)
{
	const char *ours = digest_of(m, "tokenizer"), *theirs = digest_of(other, "tokenizer");
	if (m->head->task != other->head->task)
		return ft_fail(FT_EMATCH, "the head of %s is '%s', that of %s is '%s'", other->name, other->head->name, m->name,
		               m->head->name);
	if (ours && theirs && strcmp(ours, theirs) != 0)
		return ft_fail(FT_EMATCH, "%s and %s have different tokenizers (%s, %s)", other->name, m->name, theirs, ours);
	if (m->outputs != other->outputs)
		return ft_fail(FT_EMATCH, "%s has %zu outputs, %s has %zu", other->name, other->outputs, m->name, m->outputs);
	if (m->labels && other->labels && !json_equal(m->labels, other->labels))
		return ft_fail(FT_EMATCH, "%s and %s have different labels, or in another order", other->name, m->name);
	return FT_OK;
}

/* Beside a model that only plans, another one does, too. */
static unsigned how_read(const struct ft_model *m)
{
	return FT_MODEL_READ | (m->plans ? FT_MODEL_PLAN : 0);
}

struct other *other_open(const struct ft_model *m, const char *path)
{
	struct ft_model *other = ft_model_open(path, NULL, how_read(m));
	if (other && check_alike(m, other) == FT_OK)
		return new_other(other, false, false);
	ft_model_free(other);
	return NULL;
}

/* Whether all that changes in training can be switched off. */
static bool only_techniques_train(const struct ft_model *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->params[i]->trains && !m->params[i]->technique)
			return false;
	return ft_model_adapted(m);
}

struct other *other_before(struct ft_model *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->params[i]->fresh && !m->params[i]->stored && strncmp(m->params[i]->name, "head.", 5) == 0)
			return ft_fail(FT_EUSAGE, "%s is new in %s: before training it predicts nothing that is worth keeping",
			               m->params[i]->name, m->name), NULL;
	if (only_techniques_train(m))
		return new_other(m, true, true);
	if (strcmp(m->name, "-") == 0)
		return ft_fail(FT_EUSAGE, "the model is read a second time, as what it was; from standard input it cannot be"),
		       NULL;
	return new_other(ft_model_open(m->name, m->dir, how_read(m)), false, false);
}

struct other *other_self(struct ft_model *m) { return new_other(m, true, false); }

int other_run(struct other *o, const struct ft_batch *b, struct head_output *h)
{
	*h = (struct head_output){ .unscored = true };
	ft_graph_begin(o->g, FT_INFER, 0, 0);
	if (o->plain)
		ft_model_plain(o->m, true);
	int rc = model_run(o->m, o->g, b, h);
	if (o->plain)
		ft_model_plain(o->m, false);
	return rc;
}

struct ft_tensor *other_scores(struct other *o, const struct ft_batch *rows)
{
	struct head_output h;
	return other_run(o, rows, &h) == FT_OK ? preference_scores(o->g, rows, &h, false) : NULL;
}

struct ft_tensor *other_term(struct pass *p, const struct head_output *theirs, double temperature, double weight)
{
	const struct ft_divergence_options o = { objective_prediction(p->x->m), (float)temperature,
	                                         (float)objective_scale(p, weight) };
	const struct ft_tensor *x = theirs->decoded.x;
	const struct ft_reference r = { .of = theirs->decoded, .rows = x ? x->rows : 0 };
	return x ? ft_linear_divergence(p->g, &p->h.decoded, &r, &o)
	         : ft_divergence(p->g, p->h.logits, theirs->logits->data, theirs->logits->rows, &o);
}
