/* chunks.h - what losses of logits over a large vocabulary share.
 *
 * Logits are made by chunks of units. Those of a chunk become their own gradient in place, and
 * what flows on to x, w and b follows at once, so nothing of the size of the vocabulary
 * outlives a chunk. */
#ifndef FT_GRAPH_CHUNKS_H
#define FT_GRAPH_CHUNKS_H

#include "priv.h"

struct chunks {
	struct ft_graph *g;
	struct ft_decoded of;
	float *dx, *dw, *db;        /* gradients to add to; NULL: not wanted */
	bool add_x, add_w, add_b;   /* else written, the first time */
	bool back;                  /* any of them is wanted */
	int failed;                 /* of a thread */
};

/* How many units a chunk has of `units`, of each of which so many logits are in memory at a time. */
int64_t chunk_units(int64_t units, int64_t logits);
/* Finds the gradients that are wanted. That of x is an array of its own, for a node to keep, or its
 * gradient itself where the pass is on its way back. */
int chunks_forward(struct chunks *c);
int chunks_backward(struct chunks *c);
/* logits [n, classes] of the units from .. from + n - 1, before the cap: of the first `classes` only. */
void chunks_logits(struct chunks *c, int64_t from, int64_t n, int64_t classes, float *logits);
/* x [n] = cap tanh(x / cap), where there is a cap; *slope, scratch of the thread or NULL, becomes the derivative. */
void chunks_cap(struct chunks *c, float *x, float *slope, int64_t n);
/* From the gradient d [n, V] of the logits of these units on to x, w and b. */
void chunks_back(struct chunks *c, int64_t from, int64_t n, const float *d);
/* Scratch of the calling thread; NULL: c->failed is set. */
float *chunks_scratch(struct chunks *c, int64_t n);
/* Fails the pass when a thread has failed. */
int chunks_end(struct chunks *c);
/* Records a loss, whose gradient is known to be 1: the end of the graph. */
void chunks_record(struct chunks *c, enum op op, struct ft_tensor *loss);
/* And its way back: the gradient of x was kept, those of w and b have been added already. */
int chunks_known_back(struct ft_graph *g, struct node *n);

static inline int64_t chunks_vocabulary(const struct chunks *c) { return c->of.w->rows; }

#endif
