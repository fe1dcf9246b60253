/* optim.h - optimizers and learning-rate schedules.
 *
 * An optimizer owns the gradients and the state of the parameters that train;
 * frozen ones cost nothing. Gradients are sums over the units of a step; the
 * step scales them. Rows of an embedding table that no batch has used have no
 * gradient and no state, and their pages are never touched.
 */
#ifndef FT_OPTIM_H
#define FT_OPTIM_H

#include "ft/model.h"

struct ft_optim_options {
	const char *name;            /* of optimizers.def */
	double beta1, beta2, eps;    /* adamw */
	double momentum;             /* sgd */
	double weight_decay;         /* on parameters that decay */
};
struct ft_optim;
struct ft_optim *ft_optim_new(struct ft_model *m, const struct ft_optim_options *o); /* NULL on failure */
void ft_optim_free(struct ft_optim *o);
/* Euclidean norm of all gradients, as summed (unscaled). */
double ft_optim_norm(struct ft_optim *o);
/* One update with `scale` times the gradients, at `rate` times each parameter's
 * own multiplier; then the gradients are empty. */
void ft_optim_step(struct ft_optim *o, double rate, double scale);
/* Drops the gradients of a step that is not applied. */
void ft_optim_clear(struct ft_optim *o);

/* ---- pieces: all that a later step depends on beside the weights, for checkpoints ---- */
struct ft_piece {
	const char *param;   /* name of the parameter it belongs to; NULL: to all of them */
	const char *what;    /* "mean", "square", "rows"; not twice for one parameter */
	enum ft_dtype dtype; /* of its elements, for who looks into a checkpoint */
	void *data;          /* the optimizer's own: what is brought back is written here */
	size_t bytes;
};
/* Piece i, in an order and of sizes that follow from model and options; false: there are no more. */
bool ft_optim_piece(const struct ft_optim *o, size_t i, struct ft_piece *piece);
/* Steps so far; and as if there had been so many, when all pieces were brought back. */
int64_t ft_optim_steps(const struct ft_optim *o);
void ft_optim_resume(struct ft_optim *o, int64_t steps);

/* Arrays of state an optimizer keeps beside weight and gradient; -1: unknown
 * name (FT_EUSAGE). For stating memory before there is a model in memory. */
int ft_optim_arrays(const char *name);

/* The learning rate of step `step` (from 0) of `total`, as a share of the peak:
 * rising over `warmup` steps from 0, then "linear" to 0, "cosine" to 0, or
 * "constant" (get_*_schedule_with_warmup of transformers). */
int ft_schedule_parse(const char *name); /* FT_EUSAGE when unknown */
double ft_schedule(int schedule, int64_t step, int64_t warmup, int64_t total);

#endif
