/* embed.c - how good vectors are: similarities of pairs against their scores, or how
 * well anchors find their positives.
 *
 * Of pairs with scores three similarities are kept, and measured as outputs of a
 * regression are (regress.c). Without scores the vectors of all anchors and positives
 * are kept, eight bytes a component and example; in prepare() each anchor ranks all
 * different positives of the set by cosine, blocks of anchors at a time. Further
 * texts of an example (hard negatives) do not count. Those of the same anchor text
 * share their positives; of equal cosines the text that came first is nearer.
 */
#include "ft/digest.h"
#include "ft/err.h"
#include "ft/kernels.h"
#include "ft/mem.h"
#include "ft/thread.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COSINE, DOT, EUCLIDEAN, SIMILARITIES };
#define NEAREST 10
#define BLOCK_SCORES ((size_t)1 << 24) /* most cosines at a time */

struct key { /* of a text: two hashes of its ids */
	uint64_t a, b;
};

/* What an anchor found, once ranked. */
struct found {
	float top, recall5, recall10, mrr, ndcg;
};

struct embed_rows {
	bool scored, ranked;
	double loss, weight;      /* sums; weight 0: there is no loss */
	size_t width;
	float *anchor, *positive; /* [rows, width]; positive: [documents, width] once ranked */
	struct key *key;          /* [rows, 2] of anchor and positive */
	size_t anchor_cap, positive_cap, key_cap, found_cap;
	struct found *found;      /* [rows] */
	uint32_t *group;          /* [rows]: rows of equal anchors have equal ones */
	uint64_t *relevant;       /* [rows]: group << 32 | document, rising, some twice */
	uint32_t *positives;      /* [rows], of a group: how many it has */
	size_t documents;
};

/* ---- adding rows ---- */

static int add_scored(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	size_t n = ft_batch_examples(b), w = out->width;
	t->outputs = SIMILARITIES;
	int rc = regress_reserve(t, n);
	for (size_t e = 0; e < n && rc == FT_OK; e++) {
		const float *x = out->vectors + e * b->texts * w, *y = x + w;
		double xx = 0, yy = 0, xy = 0, apart = 0;
		for (size_t c = 0; c < w; c++) {
			xx += (double)x[c] * (double)x[c];
			yy += (double)y[c] * (double)y[c];
			xy += (double)x[c] * (double)y[c];
			apart += ((double)x[c] - (double)y[c]) * ((double)x[c] - (double)y[c]);
		}
		double lengths = sqrt(xx * yy);
		float likeness[SIMILARITIES] = {
			[COSINE] = (float)(lengths > 0 ? xy / lengths : 0), [DOT] = (float)xy, [EUCLIDEAN] = (float)-sqrt(apart),
		};
		float score[SIMILARITIES] = { b->targets[e], b->targets[e], b->targets[e] };
		if (regress_row(t, likeness, score, 0) < 0)
			rc = metric_not_finite(b, e, "a similarity");
	}
	return rc;
}

static struct key key_of(const struct ft_batch *b, size_t row)
{
	const int32_t *ids = b->ids + b->offsets[row];
	size_t bytes = (size_t)(b->offsets[row + 1] - b->offsets[row]) * sizeof *ids;
	return (struct key){ ft_hash(ids, bytes, 1), ft_hash(ids, bytes, 2) };
}

/* Copies a vector, scaled to length 1. */
static int take(float *to, const float *from, size_t n)
{
	double length = sqrt(ft_kernels()->sum_squares(from, n));
	for (size_t c = 0; c < n; c++)
		to[c] = length > 0 ? (float)((double)from[c] / length) : 0;
	return isfinite(length) ? FT_OK : -1;
}

static int add_ranked(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	struct embed_rows *k = t->embed;
	size_t n = ft_batch_examples(b), w = out->width, need = t->rows + n;
	int rc = ft_grow(&k->anchor, &k->anchor_cap, need, w * sizeof *k->anchor);
	rc = rc ? rc : ft_grow(&k->positive, &k->positive_cap, need, w * sizeof *k->positive);
	rc = rc ? rc : ft_grow(&k->key, &k->key_cap, need, 2 * sizeof *k->key);
	rc = rc ? rc : ft_grow(&k->found, &k->found_cap, need, sizeof *k->found);
	for (size_t e = 0; e < n && rc == FT_OK; e++, t->rows++) {
		const float *x = out->vectors + e * b->texts * w;
		if (take(k->anchor + t->rows * w, x, w) < 0 || take(k->positive + t->rows * w, x + w, w) < 0)
			rc = metric_not_finite(b, e, "a vector");
		k->key[2 * t->rows] = key_of(b, e * b->texts);
		k->key[2 * t->rows + 1] = key_of(b, e * b->texts + 1);
	}
	return rc;
}

static int add(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	bool scored = b->targets != NULL;
	if (!out->vectors || ft_batch_texts(b) < 2)
		return ft_fail(FT_EFORMAT, "examples of one text: there is nothing to compare it with (ft-tokenize --pair)");
	if (scored && b->ntargets != ft_batch_examples(b))
		return ft_fail(FT_EFORMAT, "examples with %zu scores; one is expected", b->ntargets / ft_batch_examples(b));
	if (!t->embed) {
		if (!(t->embed = ft_alloc(1, sizeof *t->embed)))
			return FT_EFAIL;
		*t->embed = (struct embed_rows){ .scored = scored, .width = out->width };
	}
	if (t->embed->scored != scored)
		return ft_fail(FT_EFORMAT, "some examples have scores, others have none");
	if (out->loss) {
		if (!isfinite(out->loss_sum))
			return metric_not_finite(b, 0, "the loss of the batch");
		t->embed->loss += out->loss_sum;
		t->embed->weight += out->weight;
	}
	return scored ? add_scored(t, out, b) : add_ranked(t, out, b);
}

/* ---- ranking ---- */

struct place { /* of a text among all of its side */
	struct key key;
	uint32_t row;
};

static int by_key(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	if (x->key.a != y->key.a)
		return x->key.a < y->key.a ? -1 : 1;
	if (x->key.b != y->key.b)
		return x->key.b < y->key.b ? -1 : 1;
	return x->row < y->row ? -1 : x->row > y->row;
}

/* first[row]: the first row whose text of this side is the same. */
static void find_first(const struct ft_metric *t, size_t side, struct place *place, uint32_t *first)
{
	for (size_t i = 0; i < t->rows; i++)
		place[i] = (struct place){ t->embed->key[2 * i + side], (uint32_t)i };
	qsort(place, t->rows, sizeof *place, by_key);
	for (size_t i = 0, begin = 0; i < t->rows; i++) {
		if (i && (place[i].key.a != place[begin].key.a || place[i].key.b != place[begin].key.b))
			begin = i;
		first[place[i].row] = place[begin].row;
	}
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Moves different positives to the front, and says which of them belong to whom. */
static int make_documents(struct ft_metric *t)
{
	struct embed_rows *k = t->embed;
	struct place *place = ft_alloc(t->rows, sizeof *place);
	uint32_t *document = ft_alloc(t->rows, sizeof *document);
	k->group = ft_alloc(t->rows, sizeof *k->group);
	k->relevant = ft_alloc(t->rows, sizeof *k->relevant);
	k->positives = ft_alloc(t->rows, sizeof *k->positives);
	int rc = place && document && k->group && k->relevant && k->positives ? FT_OK : FT_EFAIL;
	if (rc == FT_OK) {
		find_first(t, 0, place, k->group);
		find_first(t, 1, place, document);
		for (size_t i = 0; i < t->rows; i++) {
			if (document[i] == i) {
				memmove(k->positive + k->documents * k->width, k->positive + i * k->width, k->width * sizeof(float));
				document[i] = (uint32_t)k->documents++;
			} else {
				document[i] = document[document[i]]; /* its first has been numbered */
			}
			k->relevant[i] = (uint64_t)k->group[i] << 32 | document[i];
		}
		qsort(k->relevant, t->rows, sizeof *k->relevant, by_number);
		for (size_t i = 0; i < t->rows; i++)
			k->positives[k->relevant[i] >> 32] += i == 0 || k->relevant[i] != k->relevant[i - 1];
	}
	free(place);
	free(document);
	return rc;
}

static bool is_relevant(const struct ft_metric *t, uint32_t group, uint32_t document)
{
	uint64_t wanted = (uint64_t)group << 32 | document;
	return bsearch(&wanted, t->embed->relevant, t->rows, sizeof wanted, by_number) != NULL;
}

/* The documents of the greatest cosines, the greatest first. Returns how many. */
static size_t find_nearest(const float *cosine, size_t n, uint32_t nearest[NEAREST])
{
	size_t have = 0;
	for (size_t d = 0; d < n; d++) {
		if (have == NEAREST && !(cosine[d] > cosine[nearest[NEAREST - 1]]))
			continue;
		size_t at = have < NEAREST ? have++ : NEAREST - 1;
		for (; at > 0 && cosine[d] > cosine[nearest[at - 1]]; at--)
			nearest[at] = nearest[at - 1];
		nearest[at] = (uint32_t)d;
	}
	return have;
}

struct block {
	struct ft_metric *t;
	float *cosine;  /* [rows of the block, documents] */
	size_t from;
};

static void rank_row(void *ctx, size_t i)
{
	const struct block *b = ctx;
	struct embed_rows *k = b->t->embed;
	uint32_t group = k->group[b->from + i], nearest[NEAREST];
	size_t n = find_nearest(b->cosine + i * k->documents, k->documents, nearest);
	size_t all = k->positives[group];
	double gain = 0, ideal = 0, five = 0, ten = 0;
	struct found f = { 0 };
	for (size_t r = 0; r < n; r++) {
		double discounted = 1 / log2((double)r + 2);
		ideal += r < all ? discounted : 0;
		if (!is_relevant(b->t, group, nearest[r]))
			continue;
		gain += discounted;
		five += r < 5;
		ten += 1;
		f.top = r == 0 ? 1 : f.top;
		f.mrr = f.mrr > 0 ? f.mrr : (float)(1 / (double)(r + 1));
	}
	f.recall5 = (float)(five / (double)all);
	f.recall10 = (float)(ten / (double)all);
	f.ndcg = (float)(gain / ideal);
	k->found[b->from + i] = f;
}

static int rank_all(struct ft_metric *t)
{
	struct embed_rows *k = t->embed;
	if (t->rows > UINT32_MAX)
		return ft_fail_memory(t->rows);
	int rc = make_documents(t);
	size_t rows = rc == FT_OK && k->documents < BLOCK_SCORES ? BLOCK_SCORES / k->documents : 1;
	rows = rows < 256 ? rows : 256;
	struct block b = { .t = t, .cosine = rc == FT_OK ? ft_alloc(rows, k->documents * sizeof(float)) : NULL };
	if (!b.cosine)
		return FT_EFAIL;
	for (; b.from < t->rows; b.from += rows) {
		size_t n = t->rows - b.from < rows ? t->rows - b.from : rows;
		int64_t w = (int64_t)k->width, documents = (int64_t)k->documents;
		ft_gemm(&(struct ft_gemm){ .tb = true, .m = (int64_t)n, .n = documents, .k = w,
		                           .a = k->anchor + b.from * k->width, .lda = w, .b = k->positive, .ldb = w,
		                           .c = b.cosine, .ldc = documents });
		ft_parallel(n, rank_row, &b);
	}
	free(b.cosine);
	k->ranked = true;
	return FT_OK;
}

static int prepare(struct ft_metric *t)
{
	return t->embed->scored ? regress_prepare(t) : t->embed->ranked ? FT_OK : rank_all(t);
}

/* ---- values ---- */

static size_t scratch(const struct ft_metric *t)
{
	return t->embed->scored ? regress_scratch(t) : 0;
}

static void scored_values(const struct ft_metric *t, const uint32_t *weight, void *memory, double *v)
{
	static const int ids[SIMILARITIES][2] = {
		[COSINE] = { METRIC_COSINE_PEARSON, METRIC_COSINE_SPEARMAN },
		[DOT] = { METRIC_DOT_PEARSON, METRIC_DOT_SPEARMAN },
		[EUCLIDEAN] = { METRIC_EUCLIDEAN_PEARSON, METRIC_EUCLIDEAN_SPEARMAN },
	};
	for (size_t k = 0; k < SIMILARITIES; k++) {
		double one[METRIC_COUNT];
		regress_output(t, k, weight, memory, one);
		v[ids[k][0]] = one[METRIC_PEARSON];
		v[ids[k][1]] = one[METRIC_SPEARMAN];
	}
}

static void ranked_values(const struct ft_metric *t, const uint32_t *weight, double *v)
{
	double top = 0, recall5 = 0, recall10 = 0, mrr = 0, ndcg = 0, all = 0;
	for (size_t i = 0; i < t->rows; i++) {
		const struct found *f = &t->embed->found[i];
		double w = weight ? weight[i] : 1;
		top += w * (double)f->top;
		recall5 += w * (double)f->recall5;
		recall10 += w * (double)f->recall10;
		mrr += w * (double)f->mrr;
		ndcg += w * (double)f->ndcg;
		all += w;
	}
	v[METRIC_ACCURACY_AT_1] = top / all;
	v[METRIC_RECALL_AT_5] = recall5 / all;
	v[METRIC_RECALL_AT_10] = recall10 / all;
	v[METRIC_MRR_AT_10] = mrr / all;
	v[METRIC_NDCG_AT_10] = ndcg / all;
}

static void values(const struct ft_metric *t, const uint32_t *weight, void *memory, double *v)
{
	/* The loss is of batches, not of rows: it has no resamples. */
	if (!weight && t->embed->weight > 0)
		v[METRIC_LOSS] = t->embed->loss / t->embed->weight;
	if (t->embed->scored)
		scored_values(t, weight, memory, v);
	else
		ranked_values(t, weight, v);
}

static bool has(const struct ft_metric *t, size_t id)
{
	if (id == METRIC_LOSS)
		return t->embed->weight > 0;
	return (id <= METRIC_EUCLIDEAN_SPEARMAN) == t->embed->scored;
}

static int detail(const struct ft_metric *t, const json_t *labels, json_t *result)
{
	(void)labels;
	if (t->embed->scored)
		return FT_OK;
	return ft_json_set(result, "documents", json_integer((json_int_t)t->embed->documents));
}

static void release(struct ft_metric *t)
{
	struct embed_rows *k = t->embed;
	regress_free(t);
	if (!k)
		return;
	free(k->anchor);
	free(k->positive);
	free(k->key);
	free(k->found);
	free(k->group);
	free(k->relevant);
	free(k->positives);
	free(k);
}

const struct metric_kind metric_embed = {
	.add = add,
	.prepare = prepare,
	.scratch = scratch,
	.values = values,
	.has = has,
	.detail = detail,
	.free = release,
};
