/* embed.c - the head without parameters: one vector a text, and losses of examples
 * of several texts, each a row of the batch.
 *
 * An example is an anchor, its positive, and any number of texts that are like it
 * but wrong (hard negatives); or two texts with a score. (Reimers and Gurevych,
 * "Sentence-BERT", EMNLP 2019; Henderson et al., "Efficient Natural Language
 * Response Suggestion for Smart Reply", 2017.) */
#include "../model/priv.h"

#include <math.h>
#include <string.h>

static const char *const losses[] = {
	[LOSS_AUTO] = "auto", [LOSS_MNRL] = "mnrl", [LOSS_COSINE] = "cosine", [LOSS_COSENT] = "cosent",
};
#define LOSSES ((int)(sizeof losses / sizeof *losses))
#define SCALE 20 /* of cosines in mnrl and cosent, as sentence-transformers */

static int parse_loss(const char *name)
{
	for (int i = 0; i < LOSSES; i++)
		if (strcmp(losses[i], name) == 0)
			return i;
	return ft_fail(FT_EFORMAT, "loss: '%.40s' is not known; auto, mnrl, cosine and cosent are", name);
}

/* meta.head.loss: {name, scale, symmetric, distinct}, all of them optional. */
static int read_loss(struct ft_model *m)
{
	const json_t *loss = json_object_get(json_object_get(m->meta, "head"), "loss");
	struct pair_loss *l = &m->pair_loss;
	int err = FT_OK;
	const char *name = ft_json_str(loss, "name", losses[LOSS_AUTO], &err);
	l->scale = (float)ft_json_real(loss, "scale", SCALE, &err);
	l->symmetric = ft_json_bool(loss, "symmetric", false, &err);
	l->distinct = ft_json_bool(loss, "distinct", false, &err);
	int kind = err ? err : parse_loss(name);
	if (kind < 0)
		return kind;
	l->kind = (enum pair_loss_kind)kind;
	if (!(l->scale > 0 && l->scale <= 10000))
		return ft_fail(FT_EFORMAT, "loss: scale: %g is not in (0, 10000]", (double)l->scale);
	return FT_OK;
}

static int describe(struct ft_model *m)
{
	int rc = read_loss(m);
	if (rc == FT_OK && !m->pooling.modes) {
		m->pooling.mode[m->pooling.modes++] = FT_POOL_MEAN;
		rc = ft_json_set(json_object_get(m->meta, "head"), "pooling", json_pack("[s]", ft_pooling_name(FT_POOL_MEAN)));
	}
	return rc ? rc : m->family->describe_pool(m); /* part of a bare checkpoint, so it is kept */
}

/* ---- texts of a batch ---- */
static bool same_text(const struct ft_batch *b, size_t i, size_t k)
{
	int32_t n = b->offsets[i + 1] - b->offsets[i];
	return n == b->offsets[k + 1] - b->offsets[k] &&
	       memcmp(b->ids + b->offsets[i], b->ids + b->offsets[k], (size_t)n * sizeof *b->ids) == 0;
}

/* Text `which` of each example, a row each. */
static struct ft_tensor *column(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x, size_t which)
{
	size_t n = ft_batch_examples(b);
	int32_t *index = ft_graph_alloc(g, n * sizeof *index);
	for (size_t e = 0; index && e < n; e++)
		index[e] = (int32_t)(e * b->texts + which);
	return index ? ft_gather(g, x, index, (int64_t)n) : NULL;
}

/* All texts but the anchors: the positives of all examples, their first negatives, … */
static struct ft_tensor *candidates(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x)
{
	size_t n = ft_batch_examples(b), all = n * (b->texts - 1);
	int32_t *index = ft_graph_alloc(g, all * sizeof *index);
	for (size_t i = 0; index && i < all; i++)
		index[i] = (int32_t)(i % n * b->texts + 1 + i / n);
	return index ? ft_gather(g, x, index, (int64_t)all) : NULL;
}

/* ---- multiple negatives ranking: of all candidates, which is the anchor's? ---- */

/* Takes out of the logits [n, candidates] what is no negative of its row: a candidate
 * that equals the anchor or its positive, or is the positive of an equal anchor.
 * What was -inf before the softmax has no gradient. With `back`, of [n, n]
 * the other way around: anchors as candidates of a positive. */
static void mask_equal(struct ft_tensor *logits, const struct ft_batch *b, bool back)
{
	size_t n = ft_batch_examples(b), own = b->texts;
	for (size_t e = 0; e < n; e++)
		for (size_t i = 0; i < (size_t)logits->cols; i++) {
			size_t anchor = e * own, other = i % n * own, text = other + (back ? 0 : 1 + i / n);
			bool equal = same_text(b, text, anchor) || same_text(b, text, anchor + 1) ||
			             (i < n && (same_text(b, other, anchor) || same_text(b, other + 1, anchor + 1)));
			if (equal && i != e)
				logits->data[e * (size_t)logits->cols + i] = -INFINITY;
		}
}

static struct ft_tensor *ranking(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x,
                                 struct ft_tensor *among, bool back)
{
	size_t n = ft_batch_examples(b);
	struct ft_tensor *logits = ft_linear(g, ft_normalize(g, x, m->pair_loss.scale), ft_normalize(g, among, 1), NULL);
	int32_t *labels = ft_graph_alloc(g, n * sizeof *labels);
	if (!logits || !labels)
		return NULL;
	for (size_t e = 0; e < n; e++)
		labels[e] = (int32_t)e;
	if (m->pair_loss.distinct)
		mask_equal(logits, b, back);
	return ft_cross_entropy(g, logits, labels, NULL);
}

static void mnrl(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x,
                 struct head_output *out)
{
	struct ft_tensor *anchors = column(g, b, x, 0);
	out->loss = ranking(m, g, b, anchors, candidates(g, b, x), false);
	out->supervised = (int64_t)ft_batch_examples(b);
	out->weight = (double)out->supervised;
	if (!m->pair_loss.symmetric)
		return;
	/* The mean of both directions: their sum, over twice the weight. */
	out->loss = ft_dropout_add(g, out->loss, ranking(m, g, b, column(g, b, x, 1), anchors, true), 0);
	out->weight *= 2;
}

/* ---- pairs with scores ----
 * Measuring needs no loss: scores of any kind are a test of any model. So what does not
 * fit the loss is an error in training alone. */
static int scored(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *x,
                  enum pair_loss_kind kind, struct head_output *out)
{
	size_t n = ft_batch_examples(b);
	if (b->texts != 2 || b->ntargets != n)
		return ft_fail(FT_EMATCH, "%zu texts and %zu scores an example; a loss of scores is for 2 and 1", b->texts,
		               b->ntargets / n);
	for (size_t e = 0; kind == LOSS_COSINE && e < n; e++) {
		if (fabsf(b->targets[e]) <= 1)
			continue;
		if (ft_graph_mode(g) == FT_INFER)
			return FT_OK;
		return ft_fail(FT_EMATCH, "%.*s: the score %g; the loss 'cosine' takes scores from -1 to 1, 'cosent' takes any",
		               b->src ? (int)b->src[e].n : 7, b->src ? b->src[e].p : "a batch", (double)b->targets[e]);
	}
	struct ft_tensor *cosine = ft_row_dot(g, ft_normalize(g, column(g, b, x, 0), 1),
	                                      ft_normalize(g, column(g, b, x, 1), 1));
	out->supervised = (int64_t)n;
	out->weight = kind == LOSS_COSENT ? 1 : (double)n; /* CoSENT is one number of the whole batch */
	out->loss = kind == LOSS_COSENT ? ft_cosent(g, cosine, b->targets, m->pair_loss.scale)
	                                : ft_squared_error(g, cosine, b->targets);
	return ft_graph_error(g);
}

static int run(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *hidden,
               struct head_output *out)
{
	enum pair_loss_kind kind = m->pair_loss.kind;
	struct ft_tensor *x = out->vectors = vectors_make(g, b, hidden, &m->pooling);
	if (!x || ft_batch_texts(b) < 2)
		return ft_graph_error(g);
	if (kind == LOSS_AUTO)
		kind = b->targets ? LOSS_COSENT : LOSS_MNRL;
	if ((kind == LOSS_MNRL) == !b->targets) {
		if (kind != LOSS_MNRL)
			return scored(m, g, b, x, kind, out);
		mnrl(m, g, b, x, out);
		return ft_graph_error(g);
	}
	if (ft_graph_mode(g) == FT_INFER)
		return FT_OK;
	return ft_fail(FT_EMATCH, "the loss '%s' of %s is for pairs %s scores", losses[kind], m->name,
	               b->targets ? "without" : "with");
}

const struct ft_head head_embed = {
	.name = "embed",
	.task = FT_TASK_EMBED,
	.architecture = "Model",
	.describe = describe,
	.run = run,
};
