/* priv.h - what the files of lib/graph share: the tape's inside. */
#ifndef FT_GRAPH_PRIV_H
#define FT_GRAPH_PRIV_H

#include "ft/err.h"
#include "ft/graph.h"
#include "ft/kernels.h"
#include "ft/thread.h"

#include <string.h>

enum op {
#define X(name) OP_##name,
#include "ops.def"
#undef X
	OP_COUNT
};

/* One recorded operation. What beyond inputs and output a backward needs is in
 * the fields below; each operation's file says which it uses for what. */
#define NODE_INPUTS 4
struct node {
	enum op op;
	struct ft_tensor *out, *in[NODE_INPUTS];
	const struct ft_batch *batch;
	const void *data[2];
	float *saved;
	float real;
	int64_t whole, length;
	ft_activation *activation;
	struct ft_dropout drop;
};

/* Records `op` when a gradient is wanted through it: then out needs one, and the
 * node is returned for the operation to add to. NULL: not recorded. */
struct node *graph_record(struct ft_graph *g, enum op op, struct ft_tensor *out, struct ft_tensor *const *in, int n);

/* Memory for n floats from the pool of the pass, or NULL with the pass failed. */
float *graph_floats(struct ft_graph *g, size_t n);
/* Gives it back to the pool. */
void graph_release(struct ft_graph *g, float *p, size_t n);
/* A product; and f over [0, n), as ft_parallel_work(). */
void graph_gemm(struct ft_graph *g, const struct ft_gemm *product);
void graph_share(const struct ft_graph *g, size_t n, double work, void (*f)(void *ctx, size_t i), void *ctx);
/* to = from, to += from, and p = 0. */
void graph_copy(const struct ft_graph *g, float *to, const float *from, size_t n);
void graph_add(const struct ft_graph *g, float *to, const float *from, size_t n);
void graph_zero(const struct ft_graph *g, float *p, size_t n);
/* Of n things, how many are to be done: in a pass that only plans (ft_graph_plan) none. All the work of a size that
 * grows with the batch goes through this, or one of those above. */
int64_t graph_todo(const struct ft_graph *g, int64_t n);
/* That the threads will want so much scratch, when their work is not done. */
void graph_plan_scratch(struct ft_graph *g, size_t n);
/* That all rows of a table are read, which marks those that are where it plans. */
void graph_plan_table(const struct ft_graph *g, struct ft_tensor *table);
/* Scratch of the calling thread, grown on demand; NULL: out of memory. */
float *graph_scratch(struct ft_graph *g, size_t n);
/* The random numbers of the next dropout of the pass. */
struct ft_dropout graph_dropout(struct ft_graph *g, float p);
bool graph_training(const struct ft_graph *g); /* dropout is on */
void graph_count(struct ft_graph *g, double macs);

/* The gradient of `t` to add to, zero where nothing was added before; NULL: out of memory. */
float *graph_zeroed_grad(struct ft_graph *g, struct ft_tensor *t);

/* Hands the gradient of n->out over to `t` when t has none yet: an operation
 * whose backward works in place. Returns the array, else NULL. */
float *graph_take_grad(struct node *n, struct ft_tensor *t);

/* Adds the gradient of n->out to that of `t`, of which it is a copy or a sum with others. */
int graph_pass_grad(struct ft_graph *g, struct node *n, struct ft_tensor *t);

/* A tensor with x's numbers: in x's memory when whatever made x can do without
 * on its way back, else a copy. */
struct ft_tensor *graph_take_over(struct ft_graph *g, struct ft_tensor *x);

/* FT_EMATCH, naming the row, when one has more than `most` tokens, with those of its past. */
int graph_check_rows(const struct ft_graph *g, const struct ft_batch *b, int64_t most);

/* The cache of this pass or NULL, for the next attention of it: that of layer *layer. */
struct ft_cache *graph_cache(struct ft_graph *g, size_t *layer);

/* ---- for layer.c ---- */
bool graph_recorded(const struct ft_graph *g);   /* something so far in this pass */
bool graph_recomputes(const struct ft_graph *g);
/* The memory of tensors changes to the other page, which begins empty. */
void graph_turn_page(struct ft_graph *g);
/* A layer in memory of its own, on the other page: nothing is recorded in it, or what it
 * records is its own. */
struct bucket;
struct graph_outside {
	struct bucket *buckets;
	size_t nbuckets, cap, count;
	int now;
	bool unrecorded;
};
void graph_enter(struct ft_graph *g, struct graph_outside *o, bool recording);
bool graph_wanted(const struct ft_graph *g); /* something there would have been recorded */
/* Back: its memory is the next one's. */
void graph_leave(struct ft_graph *g, const struct graph_outside *o);
/* Or the other page stays the one in use, and what was before is gone. */
void graph_stay(struct ft_graph *g, const struct graph_outside *o);
uint64_t *graph_sites(struct ft_graph *g); /* dropouts so far: the key of the next one's numbers */
/* Walks back over what has been recorded, down to the first `from`. */
int graph_walk(struct ft_graph *g, size_t from);
/* Records a layer, whose parameters train or below which something does. */
struct node *graph_record_layer(struct ft_graph *g, struct ft_tensor *out, struct ft_tensor *x);

/* The place of a tensor that has a row for each row of the batch. */
static inline const struct ft_place *graph_place_of_rows(const struct ft_batch *b)
{
	return b->part ? &b->part->rows : NULL;
}
/* y = dropout(x) + residual, or without where that is NULL, of the shape of `like`, whose place says which numbers of
 * the whole batch these are. */
void graph_drop(const struct ft_graph *g, float *y, const float *x, const float *residual, const struct ft_dropout *d,
                const struct ft_tensor *like);

/* Runs f over [0, n) in runs of whole multiples of 64 elements. */
#define RUN ((size_t)16384)
typedef void graph_range(void *ctx, size_t from, size_t n);
void graph_each(const struct ft_graph *g, size_t n, graph_range *f, void *ctx);

/* Members of struct ft_gemm for an operand B that may be stored. */
#define WEIGHT_B(w) .b = (w)->stored ? (w)->stored : (w)->data, .b_type = (w)->stored ? (w)->dtype : FT_F32, .ldb = (w)->cols

static inline size_t tensor_size(const struct ft_tensor *t) { return (size_t)t->rows * (size_t)t->cols; }

/* True when the operation can go on: no error so far, no operand missing. */
bool graph_ready(struct ft_graph *g, struct ft_tensor *const *in, int n);

#define X(name) int op_##name##_back(struct ft_graph *g, struct node *n);
#include "ops.def"
#undef X

#endif
