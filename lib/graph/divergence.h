/* divergence.h - how far two predictions of one unit are from one another, and what that
 * says to their logits. divergence.c has logits, divergence_linear.c makes them by chunks. */
#ifndef FT_GRAPH_DIVERGENCE_H
#define FT_GRAPH_DIVERGENCE_H

#include "priv.h"

/* The divergence of the prediction of logits x [n] from that of r [known], times o->scale; x becomes its
 * gradient. `known` may be less than n for classes: r then says that the others do not come. room [n] is scratch. */
double diverge(float *x, int64_t n, const float *r, int64_t known, float *room, const struct ft_divergence_options *o);
/* The same where r are logits of the classes ids [k] alone. */
double diverge_top(float *x, int64_t n, const int32_t *ids, const float *r, int64_t k, float *room,
                   const struct ft_divergence_options *o);
/* Half of the divergences of x from y and of y from x, times scale. Both become gradients of
 * twice that. room [2n]. */
double diverge_twins(float *x, float *y, int64_t n, float *room, enum ft_prediction kind, float scale);

#endif
