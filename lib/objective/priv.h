/* priv.h - what the objectives share. */
#ifndef FT_OBJECTIVE_PRIV_H
#define FT_OBJECTIVE_PRIV_H

#include "../model/priv.h"
#include "ft/objective.h"

/* One batch on its way to a loss. */
struct pass {
	struct ft_objective *x;
	struct ft_graph *g;
	const struct ft_batch *batch;
	const struct ft_batch *b; /* what the model sees: it, unless an objective puts another in its place */
	struct head_output h;
	size_t copies;            /* of the batch's units, one behind the other */
	double *part;             /* of the objective at work: its part of the loss, for the log */
};

struct objective {
	const char *name; /* in the log */
	/* 1: it is asked for and *state is made; 0: it is not; FT_EUSAGE: what is asked for is not possible. */
	int (*open)(struct ft_objective *x, void **state);
	void (*close)(void *state);
	/* What comes before the model's own pass. NULL: nothing. */
	int (*before)(void *state, struct pass *p);
	/* Adds to p->h.loss, or puts another in its place. NULL: nothing. */
	int (*add)(void *state, struct pass *p);
	/* The other models that it asks: NULL, there is no i-th. NULL: it asks none. */
	struct other *(*other)(const void *state, size_t i);
	/* Adds to a log entry what was so since the last one, which follows from `sums`. NULL: its part of the loss, by its
	 * name. */
	int (*log)(void *state, json_t *entry);
	/* [*n] sums over the batches since the last entry. NULL: none. */
	double *(*sums)(void *state, size_t *n);
};

enum {
#define X(name) OBJECTIVE_##name,
#include "objectives.def"
#undef X
	OBJECTIVES
};

struct ft_objective {
	struct ft_model *m;
	const struct ft_objective_options *o;
	struct used {
		const struct objective *objective;
		void *state;
		double part;      /* since the last entry of the log */
	} used[OBJECTIVES];
	size_t count;
	double weight;            /* since then */
};

#define X(name) extern const struct objective objective_##name;
#include "objectives.def"
#undef X

/* ---- for objectives ---- */
/* FT_EUSAGE when the head makes no prediction that could be compared with another one. `option` asks for it. */
int objective_needs_prediction(const struct ft_model *m, const char *option);
enum ft_prediction objective_prediction(const struct ft_model *m);
/* Units of the pass: 0 when nothing was predicted. */
int64_t objective_units(const struct pass *p);
/* What each unit's term is multiplied by, so that `weight` times the mean over all units is added to the loss. */
double objective_scale(const struct pass *p, double weight);
/* Adds a term of each unit to the loss. */
int objective_add(struct pass *p, struct ft_tensor *term);

/* ---- other.c: predictions of another model ---- */
struct other;
/* One that predicts the same things as m: FT_EMATCH. NULL on failure. */
struct other *other_open(const struct ft_model *m, const char *path);
/* m as it is now, while it trains: its techniques switched off where these alone train, else read again. */
struct other *other_before(struct ft_model *m);
struct other *other_self(struct ft_model *m); /* m as it trains, but without dropout */
void other_free(struct other *o); /* NULL is fine */
struct ft_model *other_model(const struct other *o, struct ft_graph **g);
/* Forward, without a loss. What is in h lives until the next time. */
int other_run(struct other *o, const struct ft_batch *b, struct head_output *h);
/* What it gives the labels of each row: [rows,1] sums of log-probabilities, until the next time; NULL on failure. */
struct ft_tensor *other_scores(struct other *o, const struct ft_batch *rows);
/* The divergence from it of the pass, unit by unit, whose mean counts `weight`. */
struct ft_tensor *other_term(struct pass *p, const struct head_output *theirs, double temperature, double weight);

#endif
