/* objective.h - what a step of training descends: how a batch becomes a number.
 *
 * Without options that is the loss of the model's head. Objectives add to it, or take
 * its place; each is one file in lib/objective/ and a line in objectives.def. The number is a sum over units
 * and the weight that a mean is taken over (struct ft_output), so that batches can be accumulated.
 */
#ifndef FT_OBJECTIVE_H
#define FT_OBJECTIVE_H

#include "ft/model.h"

struct ft_objective_options {
	bool dpo, orpo, kto;   /* of preferences, instead of the loss of the head `lm`; one at most */
	double beta;           /* of these: how much they hold to the reference; of orpo the weight of the odds ratio */
	double desirable, undesirable; /* kto: what the two kinds of texts weigh */
	double rdrop;          /* weight of the divergence of two passes with other dropout; 0: one pass */
	double kl_base;        /* weight of the divergence from what was predicted before training; 0: none */
	const char *teacher;   /* a model whose predictions are learnt; or NULL */
	bool stored;           /* instead those that are in the batches (ft-teach) */
	double distill_weight; /* of these: 1 is all there is, and labels count for nothing */
	double temperature;    /* at which they are compared */
};

struct ft_objective;
/* Of a model that is ready to train: losses and dropout are set. Borrows both. NULL on failure: FT_EUSAGE when
 * options do not fit one another or the model. */
struct ft_objective *ft_objective_new(struct ft_model *m, const struct ft_objective_options *o);
void ft_objective_free(struct ft_objective *x); /* NULL is fine */

/* As ft_model_step(), in a pass that the caller has begun. */
int ft_objective_step(struct ft_objective *x, struct ft_graph *g, const struct ft_batch *b, struct ft_output *out);
/* Calls f for each model that is asked for predictions, with the graph that it runs in. It may be the one that trains,
 * which is then asked in another way. */
typedef void ft_objective_other(void *ctx, struct ft_model *other, struct ft_graph *g);
void ft_objective_others(const struct ft_objective *x, ft_objective_other *f, void *ctx);
/* Adds to a log entry what the objectives say of the batches since the last time. */
int ft_objective_log(struct ft_objective *x, json_t *entry);

/* ---- batches in parts (ft_batch_part()) ---- */
/* FT_OK when the loss of b is the sum of the losses of its parts; FT_EUSAGE says what is not. */
int ft_objective_splits(const struct ft_objective *x, const struct ft_batch *b);
/* What ft_objective_log() is made of are sums over batches: those there are change places with these. So sums of parts
 * that are computed elsewhere can be added up. */
#define FT_OBJECTIVE_SUMS 20
void ft_objective_exchange(struct ft_objective *x, double sums[FT_OBJECTIVE_SUMS]);

/* ---- predictions beforehand ----
 * A teacher puts into a batch what it predicts of it: logits of each unit, where words are predicted the `top`
 * greatest; of two texts that are one example of the head `lm` their log-probabilities, as a reference. */
struct ft_teacher;
struct ft_teacher *ft_teacher_new(struct ft_model *m, int64_t top); /* NULL on failure */
void ft_teacher_free(struct ft_teacher *t); /* NULL is fine */
/* What b points to then is valid until the next call. */
int ft_teacher_add(struct ft_teacher *t, struct ft_batch *b);

#endif
