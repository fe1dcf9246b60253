/* train.h - training: a fold over a batches stream.
 *
 * state = step(state, batch). Order, epochs and sizes lie in the stream; this
 * reads it once, to its end. The loss that a step descends is the mean over all
 * supervised units of the step, however many batches it accumulates.
 */
#ifndef FT_TRAIN_H
#define FT_TRAIN_H

#include "ft/docs.h"
#include "ft/model.h"
#include "ft/objective.h"
#include "ft/optim.h"
#include "ft/ranks.h"
#include "ft/stream.h"
#include <stdio.h>

struct ft_train_options {
	struct ft_optim_options optim;
	struct ft_objective_options objective;
	double rate;             /* peak learning rate; 0: ft_optim_rate() */
	const char *schedule;    /* "linear", "cosine", "constant"; NULL: linear, or
	                            constant when the number of steps is unknown */
	double warmup;           /* below 1 a share of all steps, else steps; NAN: a
	                            tenth of all steps, none when that is unknown */
	double clip;             /* largest gradient norm; 0: no limit */
	double dropout;          /* instead of the config's; NAN: the config's */
	int64_t accumulate;      /* batches a step */
	int64_t shards;          /* parts that a step is cut into, summed in a tree; 0, 1: it is whole */
	struct ft_ranks *ranks;  /* who shares them out (ranks.h): a power of two that divides them; NULL: this process alone */
	int64_t parts;           /* of a batch, computed one after the other: in less memory, the same to rounding; 0: whole */
	bool recompute;          /* layers keep only their input for the way back (ft_graph_recompute) */
	enum ft_trunk_mode {
		FT_TRUNK_RANDOM, /* dropout as everywhere */
		FT_TRUNK_STILL,  /* none in the lowest layers, below all that trains (trunk.h) */
		FT_TRUNK_KEEP,   /* and what they give is computed once a text */
	} trunk;
	const char *trunk_file;  /* kept here; NULL: in memory */
	int64_t steps;           /* stop after so many; 0: all the stream has */
	int64_t seed;            /* of dropout */
	double l2_sp;            /* weight decay of what trains of the base, towards where it begins; 0: towards 0 */
	const char *ewc;         /* a fisher stream (fisher.h): weights that matter there are kept; or NULL */
	double ewc_weight;
	double ema;              /* decay of an average of the weights, which is what is measured and kept; 0: none */
	const char *log;         /* file of JSON lines, or NULL */
	const char *checkpoint;  /* file to go on from, and to save to; or NULL */
	int64_t every;           /* steps between two; 0: ten minutes */

	const char *valid;       /* batches stream to validate on, or NULL */
	int64_t valid_every;     /* steps; 0: after each epoch */
	const char *metric;      /* what is best: "loss" or a name of metric.h */
	enum ft_combine combine; /* of windows in validation */
	int64_t patience;        /* validations without a better one until it stops; 0: never */
};

/* Trains m on `data`, and puts a summary into its meta as "trained". FT_ECRITERION
 * when a loss or gradient is not finite: that step is not applied, and the
 * message names the rows.
 *
 * With a checkpoint, signals to stop end a step and save it (signals.h): then FT_EFAIL, and
 * ft_signals_stop() says which signal. A run of the same data, options and model goes on from
 * there and ends with the same bits; of others it is FT_EMATCH. FT_ELOCKED while another run
 * has the checkpoint.
 *
 * With ranks, all of them read the same, and have the same model at the end; rank 0 alone writes log and checkpoint. */
int ft_train(struct ft_model *m, struct ft_reader *data, const struct ft_train_options *o);

/* ---- what a run will need, before it runs ---- */
struct ft_train_plan {
	/* Bytes that will be resident at the most. */
	size_t program;     /* what the program has before */
	size_t weights;     /* in memory, also of other models that are asked */
	size_t in_file;     /* weights that stay in the base's file: pages that the system can take back */
	size_t gradients, state; /* state: of the optimizer */
	size_t copies;      /* of weights: their average, the best ones, those that training began with; and the trunk's texts */
	size_t activations; /* what a pass has in memory, with the gradients of that */
	size_t buffers;     /* of matrix products, of threads, of streams */
	size_t peak;        /* all of these */
	double macs, valid_macs; /* multiply-adds of all steps; of all validations */
	int64_t batches, steps, validations;
	double rate;        /* multiply-adds a second of a product on this machine, now, by all ranks together */
	bool recompute;     /* what was chosen: ft_train_options */
	int64_t parts;
};
/* Of a model that was opened with FT_MODEL_PLAN: reads the batches to their end (and those of o->valid), each of which
 * goes through the code that trains, which then asks for memory only. With a `limit` that is not 0 recomputing and
 * parts are chosen, as little of them as it takes, for which `path` must be a file: FT_EFAIL says what the least is.
 * With ranks it is about the one that needs the most. */
int ft_train_plan(struct ft_model *m, const char *path, const struct ft_train_options *o, size_t limit,
                  struct ft_train_plan *plan);
int ft_train_plan_write(FILE *f, const struct ft_train_plan *plan, bool json);

#endif
