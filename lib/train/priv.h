/* priv.h - what the files of lib/train share. */
#ifndef FT_TRAIN_PRIV_H
#define FT_TRAIN_PRIV_H

#include "ft/cli.h"
#include "ft/err.h"
#include "ft/train.h"
#include <stdio.h>

/* ---- log.c: one JSON object a line; no clock, so equal runs give equal logs ---- */
struct log;
struct log *log_open(const char *path); /* NULL path: a log that keeps nothing */
int log_put(struct log *l, json_t *entry_taken);
int log_close(struct log *l); /* makes it durable; frees */
void log_free(struct log *l);

/* ---- validate.c: the model on a stream that is read again each time ---- */
struct validator;
struct validator *validator_new(struct ft_model *m, const char *path, const char *metric, enum ft_combine combine);
/* Runs over the stream. *better: the best so far. *result: new reference. */
int validator_run(struct validator *v, struct ft_graph *g, int64_t step, json_t **result, bool *better);
/* The weights of the best run come back. */
void validator_restore(struct validator *v);
int64_t validator_best_step(const struct validator *v);
const json_t *validator_best(const struct validator *v);
void validator_free(struct validator *v);

/* ---- ema.c: an average of the weights over the steps ---- */
struct ema;
struct ema *ema_new(struct ft_model *m, double decay); /* as large as what trains */
void ema_add(struct ema *e, int64_t step); /* after step `step`, from 1 */
void ema_swap(struct ema *e); /* the model has the averages, and e the weights; and back */
float *ema_weights(const struct ema *e, size_t i); /* the average of parameter i; NULL: it does not train */
void ema_free(struct ema *e); /* NULL is fine */

/* ---- penalty.c: what keeps weights near where they began ---- */
struct penalty;
struct penalty *penalty_new(struct ft_model *m, const struct ft_train_options *o); /* by l2_sp and ewc */
/* Adds `weight` times its gradient to the gradients there are; returns the penalty, without the weight. */
double penalty_add(struct penalty *x, double weight);
void penalty_free(struct penalty *x); /* NULL is fine */

#endif
