/* graph.h - the tape: operations run as they are called, and are recorded so
 * that gradients can flow back.
 *
 * A forward pass is a sequence of calls like y = ft_gelu(g, x). Each computes at
 * once and returns a tensor that lives until the next ft_graph_begin(). When
 * gradients are wanted, ft_backward() walks the recorded operations in reverse
 * and ADDS to the gradient of every parameter that needs one; what no trained
 * parameter lies below is never recorded, and what has been used on the way
 * back is given back.
 *
 * Errors stick: after a failure every operation returns NULL at once (and takes
 * NULL), so that a forward pass needs one check, at its end.
 *
 * To add an operation: its two functions, forward beside backward, in the
 * file of its group, which do their work through graph_gemm(), graph_share() and their like (lib/graph/priv.h), so that
 * a pass can be planned; a line in lib/graph/ops.def; its constructor here; a case
 * in tests/grad/ops.c (a test walks the list and misses none).
 *
 * Batches are padding-free: a tensor of a batch is [tokens, width], and
 * `offsets` says which rows belong together.
 */
#ifndef FT_GRAPH_H
#define FT_GRAPH_H

#include "ft/mem.h"
#include "ft/stream.h"
#include "ft/tensor.h"

struct ft_graph;
struct ft_graph *ft_graph_new(void); /* NULL: out of memory */
void ft_graph_free(struct ft_graph *g);

enum ft_mode {
	FT_INFER, /* no recording, no dropout; memory is reused layer by layer */
	FT_TRAIN, /* recording and dropout */
	FT_CHECK, /* recording, no dropout: gradients that can be compared */
};
/* Starts a pass: ends the life of all tensors of the pass before. Random numbers
 * of dropout are keyed by (seed, step, order of the operation, index). */
void ft_graph_begin(struct ft_graph *g, enum ft_mode mode, uint64_t seed, uint64_t step);
enum ft_mode ft_graph_mode(const struct ft_graph *g);
/* FT_OK, or the first error of this pass. */
int ft_graph_error(const struct ft_graph *g);
/* Marks the pass as failed; returns code. */
int ft_graph_fail(struct ft_graph *g, int code);
/* Tokens that row `row` of a batch has had before it: 0 without a cache (cache.h). */
int64_t ft_graph_past(const struct ft_graph *g, size_t row);
/* Each row of this pass that has no past begins with `tokens` of the batch, and attention has `keys` before these
 * (ft_prefix), of which whoever counts what is in a cache does not know: they are of its past from then on, too. */
void ft_graph_lead(struct ft_graph *g, int64_t tokens, int64_t keys);
/* The place of the first token of row `row`: keys count. */
int64_t ft_graph_place(const struct ft_graph *g, size_t row);
/* Bytes of activations and gradients: the most any pass has used. */
size_t ft_graph_peak(const struct ft_graph *g);

/* ---- planning ----
 * A pass that only plans asks for the memory that it would ask for, by the same code, and counts multiply-adds, but
 * computes nothing and touches nothing: its tensors have no numbers. Tables with `touched` get the rows marked that it
 * would read. */
void ft_graph_plan(struct ft_graph *g, bool on); /* for passes that begin from now on */
bool ft_graph_plans(const struct ft_graph *g);
/* Bytes that these passes would have made resident. */
struct ft_graph_use {
	size_t tensors;  /* activations and gradients; as the system gives memory out, in pages, and kept for the next pass */
	size_t scratch;  /* of all threads */
	size_t products; /* for the operands of matrix products */
};
struct ft_graph_use ft_graph_use(struct ft_graph *g);
/* Multiply-adds of the matrix products of this pass, forward and backward. */
double ft_graph_macs(const struct ft_graph *g);

/* A tensor of this pass with undefined content; NULL on failure. */
struct ft_tensor *ft_graph_tensor(struct ft_graph *g, int64_t rows, int64_t cols);
/* Memory of this pass. */
void *ft_graph_alloc(struct ft_graph *g, size_t bytes);

/* ---- operations; shapes in brackets; T tokens, R rows of a batch, H width ---- */

/* y [T,N] = x [T,K] w[N,K]^T + b [1,N]; b may be NULL. */
struct ft_tensor *ft_linear(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w, struct ft_tensor *b);
/* y [T,N] + scale dropout(x [T,K]) a[r,K]^T b[N,r]^T; with a NULL x is [T,r] itself, and nothing is dropped. y is
 * used up. */
struct ft_tensor *ft_low_rank(struct ft_graph *g, struct ft_tensor *y, struct ft_tensor *x, struct ft_tensor *a,
                              struct ft_tensor *b, float scale, float dropout);
/* y [M,N] = (x - o) rows[i] cols[j] fixed[j] + o, where rows has M numbers, cols, fixed (no parameter; borrowed for the
 * pass) and the centre o have N. All but x may be NULL: factors of 1, a centre of 0. */
struct ft_tensor *ft_rescale(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *rows, struct ft_tensor *cols,
                             struct ft_tensor *centre, const float *fixed);

/* y [T,H] = scale * word[ids] + position[place in its row, from 0] + type[types].
 * position and type may be NULL; types NULL means all 0. A negative id is no word: it has
 * a place and a type alone. Ids beyond a table, rows beyond the positions: FT_EMATCH. */
struct ft_embed_options {
	float scale;     /* of the word's vector; 0: 1 */
	int32_t padding; /* an id whose vector gets no gradient where it is looked up; -1: none */
	/* RoBERTa: that id is always at place `padding`, which gets no gradient
	 * either, and the others of a row count from there. In a row that begins with
	 * what is no word all count. */
	bool padding_places;
};
struct ft_tensor *ft_embed(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *word,
                           struct ft_tensor *position, struct ft_tensor *type, const struct ft_embed_options *o);

/* Rows to mean 0 and variance 1 (plus eps), times w [1,H] plus b [1,H], which
 * may be NULL. x may be [T, n*H]: then n pieces of each row by themselves. */
struct ft_tensor *ft_layer_norm(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w, struct ft_tensor *b,
                                float eps);
/* Rows, or pieces as above, to mean square 1 (plus eps), times w + plus: 0 for
 * most, 1 for Gemma. */
struct ft_tensor *ft_rms_norm(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w, float plus, float eps);

/* x/2 (1 + erf(x/sqrt 2)); its tanh approximation; x/(1 + exp(-x)); max(x, 0); tanh. */
struct ft_tensor *ft_gelu(struct ft_graph *g, struct ft_tensor *x);
struct ft_tensor *ft_gelu_tanh(struct ft_graph *g, struct ft_tensor *x);
struct ft_tensor *ft_silu(struct ft_graph *g, struct ft_tensor *x);
struct ft_tensor *ft_relu(struct ft_graph *g, struct ft_tensor *x);
struct ft_tensor *ft_tanh(struct ft_graph *g, struct ft_tensor *x);
/* The activation that a config.json calls `name`; NULL pointer: unknown. */
typedef struct ft_tensor *ft_activation(struct ft_graph *, struct ft_tensor *);
ft_activation *ft_activation_find(const char *name);
/* y [T,I] = f(a) u, element by element. a and u are [T,I]; with u NULL, a is
 * [T, 2*I] and holds both side by side. f may not be ft_tanh. */
struct ft_tensor *ft_gate(struct ft_graph *g, ft_activation *f, struct ft_tensor *a, struct ft_tensor *u);

/* residual + dropout(x); residual may be NULL. x is used up: its memory may be
 * taken over. */
struct ft_tensor *ft_dropout_add(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *residual, float p);

/* y [T,H] = a + b; and x times w [1,H], or [1,1], for all rows. Nothing is used up. */
struct ft_tensor *ft_sum(struct ft_graph *g, struct ft_tensor *a, struct ft_tensor *b);
struct ft_tensor *ft_scale(struct ft_graph *g, struct ft_tensor *x, struct ft_tensor *w);

/* Rotary positions: turns, in each of the first `heads` heads (of `size`
 * components) of x, the pair (c, c + pairs) for c < pairs by the angle that the
 * table has for the token's place in its row. What lies right of these heads, and
 * of 2*pairs in a head, stays. x is used up. A row longer than the table: FT_EMATCH. */
struct ft_rope {
	const float *table; /* [positions, 2*pairs]: cosines, then sines */
	int64_t positions, pairs;
};
struct ft_tensor *ft_rope(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x, const struct ft_rope *r,
                          int heads, int64_t size);

/* Softmax attention of each row of the batch over itself, all heads: q
 * [T, heads * size], k and v [T, kv_heads * size], result [T, heads * size].
 * k and v NULL: q holds all three side by side. v alone NULL: k is of ft_prefix(), and q may hold keys and values, too,
 * which are passed over. Memory is linear in the length of a row, and with a window the work is, too. */
struct ft_attention_options {
	int heads, kv_heads; /* kv_heads divides heads, each serving a run of them; 0: as many */
	bool causal;         /* a token sees itself and those before it */
	int64_t window;      /* and only those less than this many places away; 0: all */
	float scale;         /* of the scores; 0: 1/sqrt(size) */
	float softcap;       /* c: scores become c tanh(score/c); 0: they stay */
	float dropout;       /* on the probabilities */
	int64_t lead;        /* keys before the first of a row that has no past: those of ft_prefix(), else 0 */
};
struct ft_tensor *ft_attention(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *q,
                               struct ft_tensor *k, struct ft_tensor *v, const struct ft_attention_options *o);
/* y [T + R n, 2 W], for ft_attention(): the keys and values of each row, side by side, behind those of a prefix
 * [n, 2 W], which all rows have that have no past. k and v [T, W]; v NULL: k [T, .. + 2 W] holds both on its right. */
struct ft_tensor *ft_prefix(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *k, struct ft_tensor *v,
                            struct ft_tensor *prefix);

/* y [R,H]: the first token of each row; the mean over each row. */
struct ft_tensor *ft_first(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x);
struct ft_tensor *ft_mean(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x);
/* y [R,H]: the sum over each row of w[t] x[t], w [T] borrowed for the pass; the
 * largest of each component over a row. */
struct ft_tensor *ft_weighted_sum(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x, const float *w);
struct ft_tensor *ft_max(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x);
/* y [n,A+B]: the rows of a [n,A] with those of b [n,B] behind them. */
struct ft_tensor *ft_join(struct ft_graph *g, struct ft_tensor *a, struct ft_tensor *b);
/* y [n,H] = x[index]; index is borrowed for the pass. */
struct ft_tensor *ft_gather(struct ft_graph *g, struct ft_tensor *x, const int32_t *index, int64_t n);
/* y [T,H] with table[index[t]] added to row t where index [T], borrowed for the pass, is not negative. y is
 * used up. */
struct ft_tensor *ft_add_rows(struct ft_graph *g, struct ft_tensor *y, struct ft_tensor *table, const int32_t *index);

/* Each row scaled to this length, and the products a[i] . b[i] of rows: [n,1]. The
 * second of two of length 1 is their cosine. */
struct ft_tensor *ft_normalize(struct ft_graph *g, struct ft_tensor *x, float length);
struct ft_tensor *ft_row_dot(struct ft_graph *g, struct ft_tensor *a, struct ft_tensor *b);

/* ---- losses: [units, 1], one a unit, unreduced; backward starts from their
 * sum. A unit with label FT_IGNORE has loss 0 and no gradient. ---- */
struct ft_loss_options {
	float smoothing;      /* label smoothing, 0 .. 1 */
	const float *weights; /* [classes] or NULL */
};
struct ft_tensor *ft_cross_entropy(struct ft_graph *g, struct ft_tensor *logits, const int32_t *labels,
                                   const struct ft_loss_options *o);
/* Mean over the outputs of a unit of the binary cross-entropy; targets 0..1. */
struct ft_tensor *ft_binary_cross_entropy(struct ft_graph *g, struct ft_tensor *logits, const float *targets,
                                          const struct ft_loss_options *o);
/* Mean over the outputs of a unit of the squared error. */
struct ft_tensor *ft_squared_error(struct ft_graph *g, struct ft_tensor *values, const float *targets);
/* Logits [n,V] that are never whole in memory: c tanh((x w^T + b) / c) of x [n,H], w [V,H] and b [1,V], which may
 * be NULL; c 0: without the cap. */
struct ft_decoded {
	struct ft_tensor *x, *w, *b;
	float cap;
};
/* Cross-entropy of these, by chunks, the gradient computed on the way forward. hits [n], or NULL: 1 where the
 * label has the greatest logit, of equals the first, else 0. */
struct ft_tensor *ft_linear_cross_entropy(struct ft_graph *g, const struct ft_decoded *of, const int32_t *labels,
                                          uint8_t *hits);
/* log p(label) of each unit [n,1], 0 without a label; not a loss: more may be made of it. */
struct ft_tensor *ft_linear_log_prob(struct ft_graph *g, const struct ft_decoded *of, const int32_t *labels);
/* CoSENT of scores [n,1] (Huang et al., IEEE/ACM TASLP 2024), one number for all of
 * them, [1,1]: log(1 + sum of exp(scale (s[i] - s[j])) over all i, j with
 * targets[i] < targets[j]). */
struct ft_tensor *ft_cosent(struct ft_graph *g, struct ft_tensor *scores, const float *targets, float scale);

/* ---- how far predictions are from others: losses, too ---- */
enum ft_prediction {
	FT_CLASSES, /* one of them: softmax; KL(other || prediction) */
	FT_LABELS,  /* each by itself: the mean over labels of the same */
	FT_NUMBERS, /* the mean of squared differences */
};
struct ft_divergence_options {
	enum ft_prediction kind;
	float temperature; /* t: of logits / t, times t^2; not of numbers */
	float scale;       /* of the loss */
};
/* From reference [rows, n], which does not change: unit i from its row i % rows. */
struct ft_tensor *ft_divergence(struct ft_graph *g, struct ft_tensor *logits, const float *reference, int64_t rows,
                                const struct ft_divergence_options *o);
/* Of the units i and i + n/2 from one another (R-Drop, Liang et al., NeurIPS 2021): half of the divergences both
 * ways, of numbers their squared difference. Both units have it. The number of units is even. */
struct ft_tensor *ft_twin_divergence(struct ft_graph *g, struct ft_tensor *logits, enum ft_prediction kind,
                                     float scale);
/* The same of classes that are words. The reference is another decoder's, whose vocabulary may be of another
 * size: what one of them lacks does not come; or x is NULL, and it has `top` logits [rows, top] of the words ids,
 * and others do not come. */
struct ft_reference {
	struct ft_decoded of;
	const int32_t *ids;
	const float *logits;
	int64_t rows, top;
};
struct ft_tensor *ft_linear_divergence(struct ft_graph *g, const struct ft_decoded *of, const struct ft_reference *r,
                                       const struct ft_divergence_options *o);
struct ft_tensor *ft_linear_twin_divergence(struct ft_graph *g, const struct ft_decoded *of, float scale);

/* The k words with the greatest logits of each unit, the greatest first, of equals the first one: ids and logits [n,k].
 * No operation: nothing flows back. */
int ft_linear_top(struct ft_graph *g, const struct ft_decoded *of, int64_t k, int32_t *ids, float *logits);

/* ---- what is better: losses [examples,1] of log-probabilities of texts, x [rows,1] ----
 * An example of the first two is two rows: what is preferred, and what it is preferred to. */
/* Direct preference optimisation (Rafailov et al., NeurIPS 2023) beside a reference [rows]; smoothing is the share of
 * preferences that are thought to be the wrong way around (Mitchell, "A note on DPO with noisy preferences", 2023). */
struct ft_tensor *ft_dpo(struct ft_graph *g, struct ft_tensor *x, const float *reference, float beta, float smoothing);
/* Odds ratio preference optimisation (Hong et al., EMNLP 2024) of means over tokens. */
struct ft_tensor *ft_orpo(struct ft_graph *g, struct ft_tensor *x, float lambda);
/* Kahneman-Tversky optimisation (Ethayarajh et al., ICML 2024): each row by itself. */
struct ft_kto_options {
	const float *reference;     /* [rows] */
	const float *good;          /* [rows]: above 0 it is */
	float beta, desirable, undesirable;
	float divergence;           /* from the reference, as it is on average */
};
struct ft_tensor *ft_kto(struct ft_graph *g, struct ft_tensor *x, const struct ft_kto_options *o);

/* y = f(ctx, g, x, i), a layer: of what was computed before, f uses only x, which it does
 * not use up, and parameters. As long as nothing has been recorded (in FT_INFER, and in a frozen
 * trunk) the memory of everything before is reused. With ft_graph_recompute() a
 * layer keeps nothing but x for the way back, where it is computed once more (Chen et
 * al., "Training Deep Nets with Sublinear Memory Cost", 2016): the same numbers, to
 * the bit, for less memory and a third more work. ctx [bytes] is copied. */
typedef struct ft_tensor *ft_layer_function(const void *ctx, struct ft_graph *g, struct ft_tensor *x, int i);
struct ft_tensor *ft_layer(struct ft_graph *g, ft_layer_function *f, const void *ctx, size_t bytes, struct ft_tensor *x,
                           int i);
void ft_graph_recompute(struct ft_graph *g, bool on); /* for passes that begin from now on */

/* Backward from the sum of `loss`, a tensor of this pass. */
int ft_backward(struct ft_graph *g, struct ft_tensor *loss);

/* Sums a gradient from outside the tape's own operations: the destination, to
 * be written (*fresh) or added to. For techniques with kernels of their own. */
float *ft_grad(struct ft_graph *g, struct ft_tensor *t, bool *fresh);

#endif
