/* shards.h - a step in parts, whose gradients are summed in a tree: gradients.c and shards.c. */
#ifndef FT_TRAIN_SHARDS_H
#define FT_TRAIN_SHARDS_H

#include "priv.h"
#include "ft/ranks.h"

/* ---- gradients.c ---- */
/* Sums of numbers that go with gradients: of the loss, of weights, of supervised units, and what objectives say. */
enum { SUM_LOSS, SUM_WEIGHT, SUM_SUPERVISED, SUM_OBJECTIVES, SUMS = SUM_OBJECTIVES + FT_OBJECTIVE_SUMS };

/* As large as what trains of the model, whose optimizer is there. */
struct gradients;
struct gradients *gradients_new(struct ft_model *m); /* NULL: out of memory */
void gradients_free(struct gradients *x);            /* NULL is fine */
void gradients_clear(struct gradients *x);           /* there are none */
double *gradients_sums(struct gradients *x);         /* [SUMS] */
struct gradients **gradients_next(struct gradients *x); /* a link of who keeps several */
void gradients_exchange(struct gradients *x);        /* those in the model become these, and these become those */
void gradients_add(struct gradients *a, struct gradients *b); /* a + b into a; b is used up */
void gradients_send(struct gradients *x, struct ft_ranks *ranks, int to);
void gradients_receive(struct gradients *x, struct ft_ranks *ranks, int from);
void gradients_share(struct gradients *x, struct ft_ranks *ranks); /* those of rank 0 */

#endif
