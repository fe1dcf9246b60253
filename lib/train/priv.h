/* priv.h - what the files of lib/train share. */
#ifndef FT_TRAIN_PRIV_H
#define FT_TRAIN_PRIV_H

#include "ft/batch.h"
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/ranks.h"
#include "ft/train.h"
#include <stdio.h>

/* ---- train.c ---- */
struct run {
	struct ft_model *m;
	struct ft_reader *data;
	const struct ft_train_options *o;
	struct ft_graph *graph;
	struct ft_optim *optim;
	struct ft_objective *objective;
	struct log *log;
	struct validator *valid;
	struct ft_trunk *trunk;
	struct ema *ema;               /* NULL: none is kept */
	struct penalty *penalty;       /* or NULL */
	struct checkpoint *checkpoint; /* NULL: none is kept, or rank 0 keeps it */
	struct ft_ranks *ranks;        /* who shares the work; NULL: nobody */
	struct shards *shards;         /* NULL: steps are whole */
	int schedule;
	double rate;
	int64_t warmup, total; /* steps; total 0: unknown */
	int64_t epochs;        /* 0: unknown */

	int64_t batch, step;   /* done so far */
	int64_t epoch, unbettered;
	bool stop;
	bool valid_due;        /* the validation of this step is still to be done */
	bool finished;         /* all is done but writing the model */
	bool failed_together;  /* all ranks know of a failure */
	/* the step being accumulated */
	double loss_sum, weight;
	int64_t supervised, in_step, tokens;
	int64_t skipped;       /* examples that nothing is learnt of */
	struct ft_buf sources; /* names of its rows, or of those whose loss is not finite, for messages */
	double bad_loss;       /* one that is not finite */
	struct ft_batch_part part;
	double macs;           /* multiply-adds so far */
	/* of the whole run */
	int64_t all_tokens, all_units;
	double last_loss, smooth, began;
	int64_t began_step, began_tokens; /* what was done before, in the run that goes on */
	/* What a checkpoint is made of when a step is begun but not done: how things were before. */
	struct mark {
		int64_t batch, epoch;
		char digest[33]; /* of the stream so far */
		bool moved;      /* a validation since then cannot be undone */
	} mark;
};

/* One pass over a batch, or a part of one, which is number `number` of the run: what it gives is added to the step.
 * FT_ECRITERION when its loss is not finite: then refuse_loss() says so, in the log, too, and returns that. */
int run_pass(struct run *r, const struct ft_batch *b, int64_t number, int64_t record);
int refuse_loss(struct run *r);

/* ---- shards.c: a step in parts ---- */
int shards_check(int64_t shards, int ranks); /* FT_EUSAGE: so many cannot share them */
struct shards *shards_new(struct run *r); /* NULL on failure */
int shards_add(struct shards *s, const struct ft_batch *b, int64_t record); /* a batch of the step */
/* The gradients of the step are there, summed over all ranks, and its losses are in the run. */
int shards_step(struct shards *s);
void shards_free(struct shards *s); /* NULL is fine */

/* ---- together.c: alone, each returns rc ---- */
/* The ranks meet: all fail when one does. */
int together(struct run *r, int rc);
/* The same, or when one has begun with other inputs, is elsewhere in the batches, or has other weights. */
int together_begin(struct run *r, int rc);
int together_step(struct run *r, int rc);
int together_end(struct run *r, int rc);
/* When one has failed by a loss that is not finite, all know of it. */
int together_bad_loss(struct run *r);
/* What a run and a plan of it have in common: all that a pass needs. Closed by run_close(), also when it fails. */
int run_check(const struct run *r); /* something is to train, and the batches are for this model */
int run_open(struct run *r);
void run_close(struct run *r);

/* ---- batch.c ---- */
/* Losses and gradients of a batch, which is number `number` of the run, summed over its parts: of *out only these sums.
 * When a loss is not finite, *out is that of *at, the part that has it. */
int batch_run(struct run *r, const struct ft_batch *b, int64_t number, const struct ft_batch **at,
              struct ft_output *out);

/* ---- log.c: one JSON object a line; no clock, so equal runs give equal logs ---- */
struct log;
/* NULL path: a log that keeps nothing. What stands behind `place` (NULL, null: the beginning) goes. */
struct log *log_open(const char *path, const json_t *place);
int log_put(struct log *l, json_t *entry_taken);
int log_close(struct log *l); /* makes it durable; frees */
void log_free(struct log *l);
int log_sync(const struct log *l); /* brings it to disk */
/* How much there is, and its digest; null where that cannot be read again. New reference. */
json_t *log_place(const struct log *l);
/* Whether the file still begins with what is before `place`. */
int log_compare(const char *path, const json_t *place, struct ft_buf *differences);

/* ---- validate.c: the model on a stream that is read again each time ---- */
struct validator;
struct validator *validator_new(struct ft_model *m, const char *path, const char *metric, enum ft_combine combine);
/* Runs over the stream. *better: the best so far. *result: new reference. 1: asked to stop, which it does where
 * it `may`, and nothing has changed. */
int validator_run(struct validator *v, struct ft_graph *g, int64_t step, bool may, json_t **result, bool *better);
/* The weights of the best run come back. */
void validator_restore(struct validator *v);
int64_t validator_best_step(const struct validator *v);
const json_t *validator_best(const struct validator *v);
/* The weights of parameter i in the best run; NULL before there was one. */
float *validator_weights(const struct validator *v, size_t i);
/* As if the best run had been this one; `weights`: there is memory for them, to be filled in. */
int validator_resume(struct validator *v, int64_t step, const json_t *best, bool weights);
const char *validator_path(const struct validator *v); /* of what is read each time */
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

/* ---- identity.c: what a result follows from ---- */
json_t *identity_make(struct run *r); /* new reference */
/* Appends each difference, with both values. */
int identity_compare(const json_t *then, const json_t *now, struct ft_buf *differences);
int differ(struct ft_buf *differences, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- state.c: all that later steps depend on ---- */
/* What stands in a checkpoint's header. New reference. */
json_t *state_meta(const struct run *r, const json_t *identity, bool finished);
size_t state_bytes(const struct run *r, bool finished); /* of tensors, about all there is */
int state_write(const struct run *r, struct ft_writer *w, bool finished);
/* Brings all back; FT_EFORMAT: it cannot be of this run. */
int state_read(struct run *r, struct ft_reader *checkpoint);
/* The same from rank 0 to the others; *records: batches that have been seen. */
int state_share(struct run *r, int64_t *records);

/* ---- lock.c ---- */
struct lock;
struct lock *lock_take(const char *name); /* NULL: FT_ELOCKED when another run has it */
unsigned long long lock_room(const struct lock *l); /* bytes that are free where it lies; the most there are: not known */
void lock_drop(struct lock *l); /* NULL is fine */

/* ---- checkpoint.c ---- */
/* Opens r->o->checkpoint, and brings back what it has; then the place in the log is *place
 * (new reference), and the batches that it has seen are passed over. */
int checkpoint_open(struct run *r, json_t **place);
/* All ranks are where rank 0 is, which has opened it. */
int checkpoint_share(struct run *r);
void checkpoint_mark(struct run *r);    /* a step is whole */
int checkpoint_turn(struct run *r);     /* saves when it is time to; leaves when asked to stop */
/* As ft_batch_read(); one that is asked to save while it waits does so. */
int checkpoint_batch(struct run *r, struct ft_batch *b);
int checkpoint_leave(struct run *r);    /* saves, and fails with a message that says so */
int checkpoint_finish(struct run *r);   /* the weights are those of the result */
void checkpoint_close(struct checkpoint *c); /* NULL is fine */

#endif
