/* ops.c - every operation of the tape against finite differences.
 *
 * The kernels are float32, so a single derivative is noisy; what is compared is
 * the derivative along random directions, by five-point differences. Each case
 * runs as it is, behind another operation (its operands are then tensors of the
 * pass), and twice over the same operands (gradients add up); and again with
 * every choice of operands that need no gradient.
 */
#include "ft/graph.h"
#include "ft/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

enum op {
#define X(name) OP_##name,
#include "lib/graph/ops.def"
#undef X
	OP_COUNT
};

static const char *const op_names[] = {
#define X(name) #name,
#include "lib/graph/ops.def"
#undef X
};

#define OPERANDS 3
#define DIRECTIONS 10
#define STEP 0.02
#define TOLERANCE 2e-3

/* ---- the data that cases share: rows of 3, 1, 4 and 5 tokens ---- */
#define TOKENS 13
#define ROWS 4
#define VOCABULARY 9
static const int32_t ids[TOKENS] = { 0, 8, 3, 3, 3, 1, 2, 8, 4, 5, 6, 0, 3 };
static const uint8_t types[TOKENS] = { 0, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 0 };
static const int32_t offsets[ROWS + 1] = { 0, 3, 4, 8, 13 };
static const struct ft_batch batch = { .ids = ids, .types = types, .offsets = offsets, .tokens = TOKENS, .rows = ROWS };
static const struct ft_batch untyped = { .ids = ids, .offsets = offsets, .tokens = TOKENS, .rows = ROWS };
static const int32_t labels[TOKENS] = { 0, 4, FT_IGNORE, 2, 2, 1, 3, FT_IGNORE, 0, 1, 4, 3, 2 };
static const int32_t index_[] = { 12, 3, 3, 0, 7, 3 };
static const int32_t some_rows[TOKENS] = { 1, -1, 0, 1, 2, -1, -1, 1, 0, 2, 1, -1, 0 };
/* Angles of 5 positions for two pairs of components. */
static float turn_table[5 * 4];
static const struct ft_rope turns = { turn_table, 5, 2 };
static float targets[TOKENS * 80], shares[TOKENS * 5], weights[5];

/* ---- the cases ---- */
typedef struct ft_tensor *build(struct ft_graph *g, struct ft_tensor **in);

struct test {
	enum op op;
	const char *what;
	build *build;
	int64_t shape[OPERANDS][2]; /* {0, 0}: no such operand */
	unsigned passed;            /* bits: operands that may be tensors of the pass (not tables) */
	bool is_loss, once;         /* once: uses its operand up, which must be of the pass */
};

static struct ft_tensor *linear(struct ft_graph *g, struct ft_tensor **in) { return ft_linear(g, in[0], in[1], in[2]); }
static const struct ft_embed_options unpadded = { .padding = -1 };
static struct ft_tensor *embed(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_embed(g, &batch, in[0], in[1], in[2], &unpadded);
}
static struct ft_tensor *embed_untyped(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_embed(g, &untyped, in[0], in[1], in[2], &unpadded);
}
static struct ft_tensor *embed_scaled(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_embed(g, &batch, in[0], in[1], NULL, &(struct ft_embed_options){ .padding = -1, .scale = 2.5f });
}
static struct ft_tensor *embed_padded(struct ft_graph *g, struct ft_tensor **in)
{
	/* An id that no row has: its vectors would get no gradient. */
	return ft_embed(g, &batch, in[0], in[1], in[2], &(struct ft_embed_options){ .padding = 7, .padding_places = true });
}
static struct ft_tensor *layer_norm(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_layer_norm(g, in[0], in[1], in[2], 1e-3f);
}
static struct ft_tensor *rms_norm(struct ft_graph *g, struct ft_tensor **in) { return ft_rms_norm(g, in[0], in[1], 0, 1e-3f); }
static struct ft_tensor *rms_norm_plus(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_rms_norm(g, in[0], in[1], 1, 1e-3f);
}
static struct ft_tensor *gelu(struct ft_graph *g, struct ft_tensor **in) { return ft_gelu(g, in[0]); }
static struct ft_tensor *silu(struct ft_graph *g, struct ft_tensor **in) { return ft_silu(g, in[0]); }
static struct ft_tensor *gelu_tanh(struct ft_graph *g, struct ft_tensor **in) { return ft_gelu_tanh(g, in[0]); }
static struct ft_tensor *relu(struct ft_graph *g, struct ft_tensor **in) { return ft_relu(g, in[0]); }
static struct ft_tensor *tanh_(struct ft_graph *g, struct ft_tensor **in) { return ft_tanh(g, in[0]); }
static struct ft_tensor *gate_fused(struct ft_graph *g, struct ft_tensor **in) { return ft_gate(g, ft_gelu, in[0], NULL); }
static struct ft_tensor *gate_tanh(struct ft_graph *g, struct ft_tensor **in) { return ft_gate(g, ft_gelu_tanh, in[0], in[1]); }
static struct ft_tensor *gate_silu(struct ft_graph *g, struct ft_tensor **in) { return ft_gate(g, ft_silu, in[0], in[1]); }
static struct ft_tensor *gate_itself(struct ft_graph *g, struct ft_tensor **in) { return ft_gate(g, ft_silu, in[0], in[0]); }
/* As a Llama block: the gate's two sides are made from one tensor. */
static struct ft_tensor *gate_block(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_gate(g, ft_silu, ft_linear(g, in[0], in[1], NULL), ft_linear(g, in[0], in[2], NULL));
}
static struct ft_tensor *sum_of(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_dropout_add(g, in[0], in[1], 0);
}
static struct ft_tensor *dropout_add(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_dropout_add(g, in[0], in[1], 0.3f);
}
static struct ft_tensor *sum(struct ft_graph *g, struct ft_tensor **in) { return ft_sum(g, in[0], in[1]); }
static struct ft_tensor *sum_itself(struct ft_graph *g, struct ft_tensor **in) { return ft_sum(g, in[0], in[0]); }
static struct ft_tensor *scale(struct ft_graph *g, struct ft_tensor **in) { return ft_scale(g, in[0], in[1]); }
/* A residual that is what x was made from, as around a feed-forward block. */
static struct ft_tensor *around(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_dropout_add(g, ft_linear(g, in[0], in[1], NULL), in[0], 0.3f);
}
static struct ft_tensor *rope(struct ft_graph *g, struct ft_tensor **in) { return ft_rope(g, &batch, in[0], &turns, 3, 4); }
/* Two of three heads, and two components of each stay as they are. */
static struct ft_tensor *rope_part(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_rope(g, &batch, in[0], &turns, 2, 6);
}
static struct ft_tensor *rope_beside(struct ft_graph *g, struct ft_tensor **in)
{
	struct ft_tensor *x = ft_linear(g, in[0], in[1], NULL), *y = ft_gelu(g, x);
	return ft_dropout_add(g, ft_rope(g, &batch, x, &turns, 2, 4), y, 0);
}
#define ATTENTION(name, q, k, v, ...)                                                                           \
	static struct ft_tensor *name(struct ft_graph *g, struct ft_tensor **in)                                \
	{                                                                                                       \
		return ft_attention(g, &batch, q, k, v, &(struct ft_attention_options){ __VA_ARGS__ });         \
	}
ATTENTION(attention, in[0], in[1], in[2], .heads = 3)
ATTENTION(attention_dropped, in[0], in[1], in[2], .heads = 3, .dropout = 0.3f)
ATTENTION(attention_of_one, in[0], in[0], in[0], .heads = 2, .dropout = 0.2f)
ATTENTION(attention_kv, in[0], in[1], in[1], .heads = 2)
ATTENTION(attention_causal, in[0], in[1], in[2], .heads = 3, .causal = true, .dropout = 0.2f)
ATTENTION(attention_window, in[0], in[1], in[2], .heads = 3, .window = 2)
ATTENTION(attention_both, in[0], in[1], in[2], .heads = 3, .window = 3, .causal = true)
ATTENTION(attention_scaled, in[0], in[1], in[2], .heads = 3, .scale = 0.9f)
ATTENTION(attention_capped, in[0], in[1], in[2], .heads = 3, .softcap = 0.7f, .dropout = 0.2f)
ATTENTION(attention_grouped, in[0], in[1], in[2], .heads = 6, .kv_heads = 2)
ATTENTION(attention_all, in[0], in[1], in[2], .heads = 6, .kv_heads = 3, .causal = true, .window = 2, .softcap = 1.5f,
          .scale = 0.8f, .dropout = 0.1f)
ATTENTION(attention_fused, in[0], NULL, NULL, .heads = 4, .kv_heads = 2, .window = 2, .dropout = 0.1f)
ATTENTION(attention_fused_all, in[0], NULL, NULL, .heads = 2)
/* A prefix in front of keys and values that stand apart, that are one, and that are in one with the queries. */
static struct ft_tensor *prefix(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_prefix(g, &batch, in[0], in[1], in[2]);
}
static struct ft_tensor *prefix_of_one(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_prefix(g, &batch, in[0], in[0], in[1]);
}
static struct ft_tensor *prefix_fused(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_prefix(g, &batch, in[0], NULL, in[1]);
}
#define PREFIXED(name, q, k, v, prefix, ...) ATTENTION(name, q, ft_prefix(g, &batch, k, v, prefix), NULL, .lead = 2, __VA_ARGS__)
PREFIXED(attention_prefixed, in[0], in[1], in[1], in[2], .heads = 3, .dropout = 0.2f)
PREFIXED(attention_prefixed_fused, in[0], in[0], NULL, in[1], .heads = 2, .causal = true)
PREFIXED(attention_prefixed_window, in[0], in[0], NULL, in[1], .heads = 2, .causal = true, .window = 3)
PREFIXED(attention_prefixed_all, in[0], in[0], NULL, in[1], .heads = 6, .kv_heads = 3, .window = 3, .softcap = 1.5f,
         .scale = 0.8f, .dropout = 0.1f)
static struct ft_tensor *first(struct ft_graph *g, struct ft_tensor **in) { return ft_first(g, &batch, in[0]); }
static struct ft_tensor *mean(struct ft_graph *g, struct ft_tensor **in) { return ft_mean(g, &batch, in[0]); }
static struct ft_tensor *gather(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_gather(g, in[0], index_, sizeof index_ / sizeof *index_);
}
/* Tokens weigh anything, also nothing. */
static const float token_weights[TOKENS] = { 1, 0.5f, -2, 1, 0, 0.25f, 3, 1, 0.1f, 0.2f, 0.3f, 0.4f, -0.5f };
static struct ft_tensor *weighted_sum(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_weighted_sum(g, &batch, in[0], token_weights);
}
static struct ft_tensor *max(struct ft_graph *g, struct ft_tensor **in) { return ft_max(g, &batch, in[0]); }
static struct ft_tensor *join(struct ft_graph *g, struct ft_tensor **in) { return ft_join(g, in[0], in[1]); }
static struct ft_tensor *join_twice(struct ft_graph *g, struct ft_tensor **in) { return ft_join(g, in[0], in[0]); }
static struct ft_tensor *normalize(struct ft_graph *g, struct ft_tensor **in) { return ft_normalize(g, in[0], 1.5f); }
static struct ft_tensor *row_dot(struct ft_graph *g, struct ft_tensor **in) { return ft_row_dot(g, in[0], in[1]); }
static struct ft_tensor *row_dot_same(struct ft_graph *g, struct ft_tensor **in) { return ft_row_dot(g, in[0], in[0]); }
/* Targets with ties. */
static const float order[TOKENS] = { 0, 3, 3, 1, 5, 2, 0, 4.5f, 1, 1, -1, 3, 5 };
static struct ft_tensor *cosent(struct ft_graph *g, struct ft_tensor **in) { return ft_cosent(g, in[0], order, 2); }
static struct ft_tensor *cross_entropy(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_cross_entropy(g, in[0], labels, NULL);
}
static struct ft_tensor *cross_entropy_smooth(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_cross_entropy(g, in[0], labels, &(struct ft_loss_options){ .smoothing = 0.2f });
}
static struct ft_tensor *cross_entropy_weighted(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_cross_entropy(g, in[0], labels, &(struct ft_loss_options){ .smoothing = 0.1f, .weights = weights });
}
static struct ft_tensor *binary(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_binary_cross_entropy(g, in[0], shares, NULL);
}
static struct ft_tensor *binary_weighted(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_binary_cross_entropy(g, in[0], shares, &(struct ft_loss_options){ .weights = weights });
}
static struct ft_tensor *squared(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_squared_error(g, in[0], targets);
}
static struct ft_tensor *linear_loss(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_linear_cross_entropy(g, &(struct ft_decoded){ in[0], in[1], in[2], 0 }, labels, NULL);
}
static struct ft_tensor *linear_loss_capped(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_linear_cross_entropy(g, &(struct ft_decoded){ in[0], in[1], NULL, 0.7f }, labels, NULL);
}

static struct ft_tensor *log_prob(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_linear_log_prob(g, &(struct ft_decoded){ in[0], in[1], in[2], 0 }, labels);
}
static struct ft_tensor *log_prob_capped(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_linear_log_prob(g, &(struct ft_decoded){ in[0], in[1], NULL, 0.7f }, labels);
}
/* Another prediction: `targets` as logits of two rows, which units share. */
#define DIVERGENCE(name, k)                                                                                     \
	static struct ft_tensor *name(struct ft_graph *g, struct ft_tensor **in)                                \
	{                                                                                                       \
		return ft_divergence(g, in[0], targets, 2,                                                      \
		                     &(struct ft_divergence_options){ .kind = k, .temperature = 1.5f, .scale = 0.8f }); \
	}                                                                                                       \
	static struct ft_tensor *name##_twin(struct ft_graph *g, struct ft_tensor **in)                         \
	{                                                                                                       \
		return ft_twin_divergence(g, in[0], k, 0.8f);                                                   \
	}
DIVERGENCE(of_classes, FT_CLASSES)
DIVERGENCE(of_labels, FT_LABELS)
DIVERGENCE(of_numbers, FT_NUMBERS)
static const struct ft_divergence_options warm = { .kind = FT_CLASSES, .temperature = 1.5f, .scale = 0.8f };
static struct ft_tensor other_x = { .data = targets, .rows = 4, .cols = 6 }, other_w = { .data = targets + 7, .rows = 5, .cols = 6 },
                        fewer_w = { .data = targets + 7, .rows = 3, .cols = 6 };
static struct ft_tensor *linear_divergence(struct ft_graph *g, struct ft_tensor **in)
{
	const struct ft_reference r = { .of = { &other_x, &other_w, NULL, 0.9f }, .rows = 4 };
	return ft_linear_divergence(g, &(struct ft_decoded){ in[0], in[1], in[2], 0 }, &r, &warm);
}
static struct ft_tensor *linear_divergence_capped(struct ft_graph *g, struct ft_tensor **in)
{
	const struct ft_reference r = { .of = { &other_x, &fewer_w, NULL, 0 }, .rows = 4 };
	return ft_linear_divergence(g, &(struct ft_decoded){ in[0], in[1], NULL, 0.7f }, &r, &warm);
}
static struct ft_tensor *linear_divergence_top(struct ft_graph *g, struct ft_tensor **in)
{
	static const int32_t words[] = { 4, 0, 1, 2, 3, 0, 0, 4 };
	const struct ft_reference r = { .ids = words, .logits = targets, .rows = 4, .top = 2 };
	return ft_linear_divergence(g, &(struct ft_decoded){ in[0], in[1], NULL, 0 }, &r, &warm);
}
static struct ft_tensor *linear_twins(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_linear_twin_divergence(g, &(struct ft_decoded){ in[0], in[1], in[2], 0 }, 0.8f);
}
static struct ft_tensor *linear_twins_capped(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_linear_twin_divergence(g, &(struct ft_decoded){ in[0], in[1], NULL, 0.7f }, 0.8f);
}

/* Log-probabilities are below 0. */
static struct ft_tensor *below(struct ft_graph *g, struct ft_tensor **in)
{
	static float numbers[] = { 1, -4 };
	static struct ft_tensor one = { .data = numbers, .rows = 1, .cols = 1 }, minus = { .data = numbers + 1, .rows = 1, .cols = 1 };
	return ft_linear(g, in[0], &one, &minus);
}
static struct ft_tensor *dpo(struct ft_graph *g, struct ft_tensor **in) { return ft_dpo(g, in[0], targets, 0.6f, 0); }
static struct ft_tensor *dpo_smooth(struct ft_graph *g, struct ft_tensor **in) { return ft_dpo(g, in[0], targets, 0.6f, 0.2f); }
static struct ft_tensor *orpo(struct ft_graph *g, struct ft_tensor **in) { return ft_orpo(g, below(g, in), 0.7f); }
static struct ft_tensor *kto(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_kto(g, in[0], &(struct ft_kto_options){ .reference = targets, .good = targets + 30, .beta = 0.7f,
	                                                  .desirable = 1.1f, .undesirable = 0.6f, .divergence = 0.3f });
}

/* A layer that is computed once more, with dropout. */
static struct ft_tensor *one_layer(const void *ctx, struct ft_graph *g, struct ft_tensor *x, int i)
{
	struct ft_tensor *const *w = ctx;
	struct ft_tensor *y = ft_dropout_add(g, ft_gelu(g, ft_linear(g, x, w[0], NULL)), NULL, i ? 0.3f : 0);
	return ft_dropout_add(g, ft_linear(g, y, w[1], NULL), x, 0.3f);
}
static struct ft_tensor *layer(struct ft_graph *g, struct ft_tensor **in)
{
	ft_graph_recompute(g, true);
	struct ft_tensor *y = ft_layer(g, one_layer, &in[1], 2 * sizeof in[1], in[0], 1);
	ft_graph_recompute(g, false);
	return y;
}

/* Added to the product with its own narrow matrix, to what its input also is, and without that matrix. */
static struct ft_tensor *low_rank(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_low_rank(g, ft_linear(g, in[0], in[1], NULL), in[0], in[1], in[2], 0.7f, 0);
}
static struct ft_tensor *low_rank_dropped(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_low_rank(g, ft_gelu(g, in[0]), in[0], in[1], in[2], 1.5f, 0.3f);
}
static struct ft_tensor *low_rank_narrow(struct ft_graph *g, struct ft_tensor **in)
{
	struct ft_tensor *y = ft_low_rank(g, in[0], in[1], NULL, in[2], 0.5f, 0.3f);
	return ft_low_rank(g, y, in[1], NULL, in[2], 0.25f, 0);
}

static struct ft_tensor *add_rows(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_add_rows(g, ft_gelu(g, in[0]), in[1], some_rows);
}
static struct ft_tensor *add_rows_twice(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_add_rows(g, ft_add_rows(g, ft_linear(g, in[0], in[1], NULL), in[2], some_rows), in[2], some_rows);
}

static struct ft_tensor *rescale(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_rescale(g, in[0], in[2], in[1], NULL, NULL);
}
static struct ft_tensor *rescale_centred(struct ft_graph *g, struct ft_tensor **in)
{
	return ft_rescale(g, in[0], NULL, in[1], in[2], shares);
}

#define T TOKENS
static const struct test tests[] = {
	{ OP_linear, "with a bias", linear, { { T, 7 }, { 5, 7 }, { 1, 5 } }, 3, 0, 0 },
	{ OP_linear, "without", linear, { { T, 18 }, { 33, 18 } }, 3, 0, 0 },
	{ OP_embed, "three tables", embed, { { VOCABULARY, 6 }, { 5, 6 }, { 2, 6 } }, 0, 0, 0 },
	{ OP_embed, "words alone", embed, { { VOCABULARY, 70 } }, 0, 0, 0 },
	{ OP_embed, "no types in the batch", embed_untyped, { { VOCABULARY, 5 }, { 5, 5 }, { 3, 5 } }, 0, 0, 0 },
	{ OP_embed, "scaled", embed_scaled, { { VOCABULARY, 6 }, { 5, 6 } }, 0, 0, 0 },
	{ OP_embed, "with places as in RoBERTa", embed_padded, { { VOCABULARY, 6 }, { 13, 6 }, { 2, 6 } }, 0, 0, 0 },
	{ OP_layer_norm, "", layer_norm, { { T, 19 }, { 1, 19 }, { 1, 19 } }, 1, 0, 0 },
	{ OP_layer_norm, "without a bias", layer_norm, { { T, 19 }, { 1, 19 } }, 1, 0, 0 },
	{ OP_layer_norm, "of three pieces", layer_norm, { { T, 15 }, { 1, 5 }, { 1, 5 } }, 1, 0, 0 },
	{ OP_rms_norm, "", rms_norm, { { T, 19 }, { 1, 19 } }, 1, 0, 0 },
	{ OP_rms_norm, "of two pieces, weights plus 1", rms_norm_plus, { { T, 40 }, { 1, 20 } }, 1, 0, 0 },
	{ OP_gelu, "", gelu, { { T, 5 } }, 1, 0, 0 },
	{ OP_gelu_tanh, "", gelu_tanh, { { T, 5 } }, 1, 0, 0 },
	{ OP_silu, "", silu, { { T, 5 } }, 1, 0, 0 },
	{ OP_relu, "", relu, { { T, 5 } }, 0, 0, 0 },
	{ OP_tanh, "", tanh_, { { T, 5 } }, 1, 0, 0 },
	{ OP_gate, "of gelu, side by side", gate_fused, { { T, 42 } }, 1, 0, 0 },
	{ OP_gate, "of gelu's tanh form", gate_tanh, { { T, 5 }, { T, 5 } }, 3, 0, 0 },
	{ OP_gate, "of silu", gate_silu, { { T, 21 }, { T, 21 } }, 3, 0, 0 },
	{ OP_gate, "of one tensor with itself", gate_itself, { { T, 5 } }, 1, 0, 0 },
	{ OP_gate, "of two linear ones", gate_block, { { T, 5 }, { 6, 5 }, { 6, 5 } }, 7, 0, 0 },
	{ OP_dropout_add, "without dropout", sum_of, { { T, 5 }, { T, 5 } }, 3, 0, 1 },
	{ OP_dropout_add, "with a residual", dropout_add, { { T, 17 }, { T, 17 } }, 3, 0, 1 },
	{ OP_sum, "of two", sum, { { T, 17 }, { T, 17 } }, 3, 0, 0 },
	{ OP_sum, "of one with itself", sum_itself, { { T, 17 } }, 1, 0, 0 },
	{ OP_scale, "by a row", scale, { { T, 17 }, { 1, 17 } }, 1, 0, 0 },
	{ OP_scale, "by a number", scale, { { T, 17 }, { 1, 1 } }, 1, 0, 0 },
	{ OP_dropout_add, "alone", dropout_add, { { T, 17 } }, 1, 0, 1 },
	{ OP_dropout_add, "around a linear one", around, { { T, 6 }, { 6, 6 } }, 3, 0, 0 },
	{ OP_attention, "", attention, { { T, 12 }, { T, 12 }, { T, 12 } }, 7, 0, 0 },
	{ OP_attention, "with dropout", attention_dropped, { { T, 12 }, { T, 12 }, { T, 12 } }, 7, 0, 0 },
	{ OP_attention, "of one tensor with itself", attention_of_one, { { T, 8 } }, 1, 0, 0 },
	{ OP_attention, "with keys for values", attention_kv, { { T, 8 }, { T, 8 } }, 3, 0, 0 },
	{ OP_attention, "causal", attention_causal, { { T, 12 }, { T, 12 }, { T, 12 } }, 7, 0, 0 },
	{ OP_attention, "in a window", attention_window, { { T, 12 }, { T, 12 }, { T, 12 } }, 7, 0, 0 },
	{ OP_attention, "causal in a window", attention_both, { { T, 12 }, { T, 12 }, { T, 12 } }, 7, 0, 0 },
	{ OP_attention, "with a scale", attention_scaled, { { T, 12 }, { T, 12 }, { T, 12 } }, 7, 0, 0 },
	{ OP_attention, "with a cap", attention_capped, { { T, 12 }, { T, 12 }, { T, 12 } }, 7, 0, 0 },
	{ OP_attention, "with grouped queries", attention_grouped, { { T, 12 }, { T, 4 }, { T, 4 } }, 7, 0, 0 },
	{ OP_attention, "with all options", attention_all, { { T, 12 }, { T, 6 }, { T, 6 } }, 7, 0, 0 },
	{ OP_attention, "side by side", attention_fused_all, { { T, 24 } }, 1, 0, 0 },
	{ OP_attention, "side by side, grouped, in a window", attention_fused, { { T, 24 } }, 1, 0, 0 },
	{ OP_attention, "behind a prefix", attention_prefixed, { { T, 6 }, { T, 6 }, { 2, 12 } }, 7, 0, 0 },
	{ OP_attention, "the same, side by side", attention_prefixed_fused, { { T, 12 }, { 2, 8 } }, 3, 0, 0 },
	{ OP_attention, "in a window", attention_prefixed_window, { { T, 12 }, { 2, 8 } }, 3, 0, 0 },
	{ OP_attention, "all at once", attention_prefixed_all, { { T, 24 }, { 2, 12 } }, 3, 0, 0 },
	{ OP_prefix, "", prefix, { { T, 3 }, { T, 3 }, { 2, 6 } }, 7, 0, 0 },
	{ OP_prefix, "of what is both", prefix_of_one, { { T, 3 }, { 2, 6 } }, 3, 0, 0 },
	{ OP_prefix, "side by side", prefix_fused, { { T, 9 }, { 2, 6 } }, 3, 0, 0 },
	{ OP_rope, "", rope, { { T, 12 } }, 1, 0, 1 },
	{ OP_rope, "of a part", rope_part, { { T, 18 } }, 1, 0, 1 },
	{ OP_rope, "of what is used elsewhere", rope_beside, { { T, 5 }, { 8, 5 } }, 3, 0, 0 },
	{ OP_first, "", first, { { T, 5 } }, 1, 0, 0 },
	{ OP_mean, "", mean, { { T, 21 } }, 1, 0, 0 },
	{ OP_gather, "", gather, { { T, 5 } }, 1, 0, 0 },
	{ OP_weighted_sum, "", weighted_sum, { { T, 21 } }, 1, 0, 0 },
	{ OP_max, "", max, { { T, 5 } }, 0, 0, 0 },
	{ OP_join, "", join, { { T, 5 }, { T, 3 } }, 3, 0, 0 },
	{ OP_join, "of one tensor with itself", join_twice, { { T, 5 } }, 1, 0, 0 },
	{ OP_normalize, "", normalize, { { T, 19 } }, 1, 0, 0 },
	{ OP_row_dot, "", row_dot, { { T, 19 }, { T, 19 } }, 3, 0, 0 },
	{ OP_row_dot, "of one tensor with itself", row_dot_same, { { T, 5 } }, 1, 0, 0 },
	{ OP_cross_entropy, "", cross_entropy, { { T, 5 } }, 1, 1, 0 },
	{ OP_cross_entropy, "smoothed", cross_entropy_smooth, { { T, 5 } }, 1, 1, 0 },
	{ OP_cross_entropy, "smoothed and weighted", cross_entropy_weighted, { { T, 5 } }, 1, 1, 0 },
	{ OP_binary_cross_entropy, "", binary, { { T, 5 } }, 1, 1, 0 },
	{ OP_binary_cross_entropy, "weighted", binary_weighted, { { T, 5 } }, 1, 1, 0 },
	{ OP_squared_error, "", squared, { { T, 5 } }, 1, 1, 0 },
	{ OP_linear_cross_entropy, "with a bias", linear_loss, { { T, 7 }, { 5, 7 }, { 1, 5 } }, 1, 1, 0 },
	{ OP_linear_cross_entropy, "without", linear_loss, { { T, 7 }, { 5, 7 } }, 1, 1, 0 },
	{ OP_linear_cross_entropy, "with a cap", linear_loss_capped, { { T, 7 }, { 5, 7 } }, 1, 1, 0 },
	{ OP_linear_log_prob, "with a bias", log_prob, { { T, 7 }, { 5, 7 }, { 1, 5 } }, 1, 0, 0 },
	{ OP_linear_log_prob, "with a cap", log_prob_capped, { { T, 7 }, { 5, 7 } }, 1, 0, 0 },
	{ OP_divergence, "of classes", of_classes, { { 12, 5 } }, 1, 0, 0 },
	{ OP_divergence, "of labels", of_labels, { { 12, 5 } }, 1, 0, 0 },
	{ OP_divergence, "of numbers", of_numbers, { { 12, 5 } }, 1, 0, 0 },
	{ OP_twin_divergence, "of classes", of_classes_twin, { { 12, 5 } }, 1, 0, 0 },
	{ OP_twin_divergence, "of labels", of_labels_twin, { { 12, 5 } }, 1, 0, 0 },
	{ OP_twin_divergence, "of numbers", of_numbers_twin, { { 12, 5 } }, 1, 0, 0 },
	{ OP_linear_divergence, "with a bias", linear_divergence, { { 12, 7 }, { 5, 7 }, { 1, 5 } }, 1, 1, 0 },
	{ OP_linear_divergence, "with a cap, of fewer words", linear_divergence_capped, { { 12, 7 }, { 5, 7 } }, 1, 1, 0 },
	{ OP_linear_divergence, "of a few words", linear_divergence_top, { { 12, 7 }, { 5, 7 } }, 1, 1, 0 },
	{ OP_linear_twin_divergence, "with a bias", linear_twins, { { 12, 7 }, { 5, 7 }, { 1, 5 } }, 1, 1, 0 },
	{ OP_linear_twin_divergence, "with a cap", linear_twins_capped, { { 12, 7 }, { 5, 7 } }, 1, 1, 0 },
	{ OP_dpo, "", dpo, { { 12, 1 } }, 1, 1, 0 },
	{ OP_dpo, "smoothed", dpo_smooth, { { 12, 1 } }, 1, 1, 0 },
	{ OP_orpo, "", orpo, { { 12, 1 } }, 1, 1, 0 },
	{ OP_kto, "", kto, { { 12, 1 } }, 1, 1, 0 },
	{ OP_layer, "computed once more", layer, { { T, 6 }, { 6, 6 }, { 6, 6 } }, 1, 0, 0 },
	{ OP_cosent, "", cosent, { { T, 1 } }, 1, 1, 0 },
	{ OP_low_rank, "on a linear one", low_rank, { { T, 19 }, { 3, 19 }, { 3, 3 } }, 7, 0, 0 },
	{ OP_low_rank, "with dropout", low_rank_dropped, { { T, 19 }, { 4, 19 }, { 19, 4 } }, 7, 0, 0 },
	{ OP_add_rows, "to what is needed on the way back", add_rows, { { T, 7 }, { 3, 7 } }, 3, 0, 0 },
	{ OP_add_rows, "twice to the newest", add_rows_twice, { { T, 7 }, { 5, 7 }, { 3, 5 } }, 7, 0, 0 },
	{ OP_low_rank, "narrow already, two", low_rank_narrow, { { T, 9 }, { T, 2 }, { 9, 2 } }, 7, 0, 1 },
	{ OP_rescale, "of columns", rescale, { { T, 70 }, { 1, 70 } }, 3, 0, 0 },
	{ OP_rescale, "of columns and rows", rescale, { { T, 9 }, { 1, 9 }, { T, 1 } }, 7, 0, 0 },
	{ OP_rescale, "around a centre, with fixed factors", rescale_centred, { { T, 5 }, { 1, 5 }, { 1, 5 } }, 7, 0, 0 },
};

/* ---- one run ---- */
enum form { PLAIN, BEHIND, TWICE, FORMS };
static const char *const form_names[] = { "as it is", "behind another operation", "twice" };

struct leaf {
	struct ft_tensor t, mix; /* mix: what it goes through in BEHIND; frozen */
	size_t n;
};

static size_t count(const struct ft_tensor *t) { return (size_t)t->rows * (size_t)t->cols; }

static void fill(float *x, size_t n, double scale, struct ft_rng *r)
{
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(scale * ft_rng_normal(r));
}

static struct ft_tensor new_tensor(int64_t rows, int64_t cols, double scale, struct ft_rng *r)
{
	struct ft_tensor t = { .rows = rows, .cols = cols };
	t.data = malloc(count(&t) * sizeof *t.data);
	t.grad = malloc(count(&t) * sizeof *t.grad);
	fill(t.data, count(&t), scale, r);
	return t;
}

static void make_leaves(struct leaf leaf[OPERANDS], const struct test *c)
{
	struct ft_rng r;
	ft_rng_init(&r, 3, (uint64_t)(c - tests));
	for (int i = 0; i < OPERANDS; i++) {
		leaf[i] = (struct leaf){ .n = 0 };
		if (!c->shape[i][0])
			continue;
		leaf[i].t = new_tensor(c->shape[i][0], c->shape[i][1], 0.8, &r);
		leaf[i].mix = new_tensor(c->shape[i][1], c->shape[i][1], 1 / sqrt((double)c->shape[i][1]), &r);
		leaf[i].n = count(&leaf[i].t);
		for (size_t k = 0; c->op == OP_relu && k < leaf[i].n; k++) /* away from the corner */
			leaf[i].t.data[k] += leaf[i].t.data[k] < 0 ? -0.2f : 0.2f;
	}
}

static void free_leaves(struct leaf leaf[OPERANDS])
{
	for (int i = 0; i < OPERANDS; i++) {
		free(leaf[i].t.data);
		free(leaf[i].t.grad);
		free(leaf[i].mix.data);
		free(leaf[i].mix.grad);
	}
}

/* The loss whose gradient is looked at, a tensor [units, 1]. */
static struct ft_tensor *objective(struct ft_graph *g, const struct test *c, enum form form, struct leaf leaf[OPERANDS])
{
	struct ft_tensor *in[OPERANDS] = { NULL };
	for (int i = 0; i < OPERANDS; i++) {
		bool behind = form == BEHIND && c->passed >> i & 1;
		if (leaf[i].n)
			in[i] = behind ? ft_linear(g, &leaf[i].t, &leaf[i].mix, NULL) : &leaf[i].t;
	}
	struct ft_tensor *y = c->build(g, in);
	if (form == TWICE)
		y = ft_dropout_add(g, y, c->build(g, in), 0);
	return c->is_loss ? y : ft_squared_error(g, y, targets);
}

static double value(struct ft_graph *g, const struct test *c, enum form form, struct leaf leaf[OPERANDS])
{
	double sum = 0;
	ft_graph_begin(g, FT_TRAIN, 5, 6);
	struct ft_tensor *loss = objective(g, c, form, leaf);
	for (size_t i = 0; loss && i < count(loss); i++)
		sum += loss->data[i];
	return loss ? sum : NAN;
}

static int run_backward(struct ft_graph *g, const struct test *c, enum form form, struct leaf leaf[OPERANDS])
{
	ft_graph_begin(g, FT_TRAIN, 5, 6);
	struct ft_tensor *loss = objective(g, c, form, leaf);
	return loss ? ft_backward(g, loss) : ft_graph_error(g);
}

/* Gradients of the operands in `needs`, from nothing. */
static int gradients(struct ft_graph *g, const struct test *c, enum form form, struct leaf leaf[OPERANDS], unsigned needs)
{
	for (int i = 0; i < OPERANDS; i++) {
		leaf[i].t.needs_grad = leaf[i].n && needs >> i & 1;
		leaf[i].t.has_grad = false;
		for (size_t k = 0; k < leaf[i].n; k++)
			leaf[i].t.grad[k] = 12345; /* undefined, says the contract */
	}
	return run_backward(g, c, form, leaf);
}

/* The derivative along v, [n] of leaf t. */
static double along(struct ft_graph *g, const struct test *c, enum form form, struct leaf leaf[OPERANDS], int which,
                    const double *v)
{
	static const double places[4] = { -2, -1, 1, 2 }, factors[4] = { 1, -8, 8, -1 };
	struct leaf *l = &leaf[which];
	float *kept = malloc(l->n * sizeof *kept);
	memcpy(kept, l->t.data, l->n * sizeof *kept);
	double sum = 0;
	for (int p = 0; p < 4; p++) {
		for (size_t k = 0; k < l->n; k++)
			l->t.data[k] = (float)(kept[k] + STEP * places[p] * v[k]);
		sum += factors[p] * value(g, c, form, leaf);
	}
	memcpy(l->t.data, kept, l->n * sizeof *kept);
	free(kept);
	return sum / (12 * STEP);
}

/* Relative difference, over all directions, of what was computed and measured. */
static double difference(struct ft_graph *g, const struct test *c, enum form form, struct leaf leaf[OPERANDS], int which)
{
	struct leaf *l = &leaf[which];
	double *v = malloc(l->n * sizeof *v), wrong = 0, all = 0;
	struct ft_rng r;
	ft_rng_init(&r, 11, (uint64_t)which);
	for (int d = 0; d < DIRECTIONS; d++) {
		double norm = 0, computed = 0;
		for (size_t k = 0; k < l->n; k++) {
			v[k] = ft_rng_normal(&r);
			norm += v[k] * v[k];
		}
		for (size_t k = 0; k < l->n; k++) {
			v[k] /= sqrt(norm);
			computed += v[k] * l->t.grad[k];
		}
		double measured = along(g, c, form, leaf, which, v);
		wrong += (computed - measured) * (computed - measured);
		all += measured * measured;
	}
	free(v);
	return sqrt(wrong / all); /* NaN when nothing depends on it: a failure too */
}

static unsigned all_of(const struct leaf leaf[OPERANDS])
{
	unsigned bits = 0;
	for (int i = 0; i < OPERANDS; i++)
		bits |= leaf[i].n ? 1u << i : 0;
	return bits;
}

static void check_form(struct ft_graph *g, const struct test *c, enum form form, struct leaf leaf[OPERANDS])
{
	double worst = 0;
	int rc = gradients(g, c, form, leaf, all_of(leaf));
	for (int i = 0; i < OPERANDS; i++) /* measuring must not add to them */
		leaf[i].t.needs_grad = false;
	for (int i = 0; i < OPERANDS; i++) {
		if (!leaf[i].n || rc < 0)
			continue;
		double d = difference(g, c, form, leaf, i);
		worst = d <= worst ? worst : d;
	}
	ok(rc == 0 && worst < TOLERANCE, "%s%s%s, %s: off by %.1g", op_names[c->op], *c->what ? " " : "", c->what,
	   form_names[form], worst);
}

static double apart(const float *a, const float *b, size_t n, double factor)
{
	double wrong = 0, all = 0;
	for (size_t i = 0; i < n; i++) {
		wrong += (a[i] - factor * b[i]) * (a[i] - factor * b[i]);
		all += b[i] * factor * b[i] * factor;
	}
	return sqrt(wrong / all);
}

/* Gradients add to what is there; operands that need none get none and change nothing. */
static void check_choices(struct ft_graph *g, const struct test *c, enum form form, struct leaf leaf[OPERANDS])
{
	float *want[OPERANDS] = { NULL };
	unsigned all = all_of(leaf);
	int rc = gradients(g, c, form, leaf, all), bad = 0;
	for (int i = 0; i < OPERANDS; i++) {
		want[i] = malloc(leaf[i].n * sizeof **want + 1);
		if (leaf[i].n)
			memcpy(want[i], leaf[i].t.grad, leaf[i].n * sizeof **want);
	}
	rc = rc ? rc : run_backward(g, c, form, leaf);
	for (int i = 0; i < OPERANDS; i++)
		bad += leaf[i].n && !(apart(leaf[i].t.grad, want[i], leaf[i].n, 2) < 1e-5);
	for (unsigned needs = 0; rc == 0 && needs < all; needs++) {
		rc = gradients(g, c, form, leaf, needs);
		for (int i = 0; i < OPERANDS; i++) {
			bool got = leaf[i].t.has_grad, wanted = needs & all & 1u << i;
			bad += got != wanted || (got && !(apart(leaf[i].t.grad, want[i], leaf[i].n, 1) < 1e-5));
			bad += !got && leaf[i].n && leaf[i].t.grad[0] != 12345;
		}
	}
	ok(rc == 0 && !bad, "%s%s%s, %s: gradients add up, and none where none is needed", op_names[c->op],
	   *c->what ? " " : "", c->what, form_names[form]);
	for (int i = 0; i < OPERANDS; i++)
		free(want[i]);
}

int main(void)
{
	bool covered[OP_COUNT] = { false };
	struct ft_graph *g = ft_graph_new();
	struct ft_rng r;
	ft_rng_init(&r, 1, 1);
	fill(targets, sizeof targets / sizeof *targets, 1, &r);
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
		shares[i] = (float)(ft_rng_below(&r, 5) / 4.0);
	for (int i = 0; i < 10; i++) {
		double angle = (i / 2) * (i % 2 ? 0.3 : 1.1);
		turn_table[i / 2 * 4 + i % 2] = (float)cos(angle);
		turn_table[i / 2 * 4 + 2 + i % 2] = (float)sin(angle);
	}
	for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
		weights[i] = (float)(0.5 + ft_rng_uniform(&r));
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		struct leaf leaf[OPERANDS];
		make_leaves(leaf, &tests[i]);
		covered[tests[i].op] = true;
		for (enum form f = PLAIN; f < FORMS; f++) {
			if (f == BEHIND ? !tests[i].passed : tests[i].once)
				continue;
			check_form(g, &tests[i], f, leaf);
			check_choices(g, &tests[i], f, leaf);
		}
		free_leaves(leaf);
	}
	for (int op = 0; op < OP_COUNT; op++)
		ok(covered[op], "%s has a case", op_names[op]);
	ft_graph_free(g);
	return tap_done();
}
