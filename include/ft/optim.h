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
	double beta1, beta2;         /* adamw, adamw8bit, lion; NAN: what its authors propose */
	double eps;                  /* adamw, adamw8bit */
	double momentum;             /* sgd */
	double weight_decay;         /* on parameters that decay */
	double beta2_decay;          /* adafactor: beta2 is 1 - step^-this */
	double clip_update;          /* adafactor: largest root mean square of a parameter's update */
	bool relative;               /* adafactor: rates are relative to the size of each parameter's weights */
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
	const char *param;   /* name of the parameter it belongs to */
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

/* Whether only those rows of a table have state that have had a gradient. */
bool ft_optim_by_rows(const struct ft_optim *o, const struct ft_param *p);

/* Bytes of state that an optimizer keeps for a parameter, beside weight and gradient;
 * FT_EUSAGE: unknown name. For stating memory before there is a model in memory. */
int64_t ft_optim_bytes(const char *name, const struct ft_param *p);

/* The peak learning rate for a hidden size when none is given: 5e-5, common for AdamW and a width
 * of 768, as a share that suits the optimizer. What suits Adam falls with the width (Yang et
 * al., "Tensor Programs V", 2022). FT_EUSAGE: unknown name. */
double ft_optim_rate(const char *name, int64_t width);

/* The learning rate of step `step` (from 0) of `total`, as a share of the peak:
 * rising over `warmup` steps from 0, then "linear" to 0, "cosine" to 0, or
 * "constant" (get_*_schedule_with_warmup of transformers). */
int ft_schedule_parse(const char *name); /* FT_EUSAGE when unknown */
double ft_schedule(int schedule, int64_t step, int64_t warmup, int64_t total);

#endif
