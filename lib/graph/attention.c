/* attention.c - scaled dot-product attention (Vaswani et al., 2017) within
 * each row of a padding-free batch.
 *
 * Scores exist only for a block of queries at a time, and only for the keys that
 * one of them sees, in the thread's scratch; the backward pass computes them
 * again from the log-sum-exp that was kept, as FlashAttention does (Dao et al.,
 * 2022), so memory is linear in the length. Forward, one item of work is one
 * head of one row; backward, one head of keys with the queries that share it. */
#include "cache.h"
#include "priv.h"

#include <math.h>

#define QUERIES 128 /* of a block */

struct attention {
	struct ft_graph *g;
	struct ft_cache *cache; /* where keys and values are, or NULL: in k and v */
	size_t layer;
	const struct ft_batch *b;
	struct ft_attention_options o;
	const float *q, *k, *v, *dout;
	float *out, *dq, *dk, *dv;
	float *lse; /* [tokens, heads] */
	int64_t width, ldq, ldk, size; /* of out; between tokens of q, of k and v; of a head */
	int group;                     /* heads of queries to one of keys */
	float scale;                   /* of what softmax sees */
	struct ft_dropout drop;
	bool add_q, add_k, add_v;
	int failed;
};

/* One head of one row, and where its numbers begin. */
struct head {
	int64_t first, len;    /* tokens */
	int64_t past, total;   /* keys before the first token; all keys */
	const float *keys, *values; /* of the first of them */
	int64_t q, k, out;     /* offsets of its first element in q; in k and v; in out */
	int64_t block, stride; /* queries at a time; floats between their rows of scores */
	int head;
	uint64_t key; /* of its dropout */
};

/* Some queries of a head, and the keys [low, low + keys) that any of them sees. */
struct block {
	int64_t from, n, low, keys;
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* The keys that query i of a row sees: [low, high). */
static int64_t low_key(const struct ft_attention_options *o, int64_t i)
{
	return o->window ? most(0, i - o->window + 1) : 0;
}

static int64_t high_key(const struct ft_attention_options *o, int64_t i, int64_t len)
{
	return o->causal ? i + 1 : o->window ? least(len, i + o->window) : len;
}

static bool sees_all(const struct ft_attention_options *o) { return !o->causal && !o->window; }

/* Keys before those of the row's own tokens. */
static int64_t keys_before(const struct ft_graph *g, size_t row, const struct ft_attention_options *o)
{
	int64_t past = ft_graph_past(g, row);
	return past ? past : o->lead;
}

static void find_keys(const struct attention *a, size_t row, int head, struct head *h)
{
	int64_t of_keys = head / a->group;
	h->past = keys_before(a->g, row, &a->o);
	h->total = h->past + h->len;
	if (a->cache) {
		cache_get(a->cache, a->layer, row, of_keys, &h->keys, &h->values);
	} else {
		h->k = (h->first + (int64_t)row * a->o.lead) * a->ldk + of_keys * a->size;
		h->keys = a->k + h->k;
		h->values = a->v + h->k;
	}
}

/* The number of a row in the whole batch. */
static int64_t place_of(const struct ft_batch *b, size_t row)
{
	const struct ft_place *p = graph_place_of_rows(b);
	return p ? p->first + (int64_t)row + ((int64_t)row < p->n ? 0 : p->jump) : (int64_t)row;
}

static struct head get_head(const struct attention *a, size_t row, int head)
{
	struct head h = { .first = a->b->offsets[row], .head = head };
	h.len = a->b->offsets[row + 1] - h.first;
	h.q = h.first * a->ldq + head * a->size;
	find_keys(a, row, head, &h);
	h.out = h.first * a->width + head * a->size;
	h.block = least(h.len, QUERIES);
	int64_t span = h.total; /* the most keys of a block */
	if (a->o.window)
		span = least(h.total, h.block + (a->o.causal ? 1 : 2) * (least(a->o.window, h.total) - 1));
	h.stride = (span + 15) & ~(int64_t)15; /* rows of scores begin at whole vectors */
	h.key = a->drop.key ^ (uint64_t)(place_of(a->b, row) * a->o.heads + head) << 32;
	return h;
}

static struct block get_block(const struct attention *a, const struct head *h, int64_t from)
{
	struct block k = { .from = from, .n = least(h->block, h->len - from) };
	k.low = low_key(&a->o, h->past + from);
	k.keys = high_key(&a->o, h->past + from + k.n - 1, h->total) - k.low;
	return k;
}

/* s = tanh(s scale / cap) */
static void cap_scores(const struct attention *a, const struct head *h, const struct block *k, float *s)
{
	float scale = a->o.scale / a->o.softcap;
	for (int64_t i = 0; i < k->n; i++) {
		float *row = s + i * h->stride;
		for (int64_t j = 0; j < k->keys; j++)
			row[j] *= scale;
		ft_kernels()->tanh(row, row, (size_t)k->keys);
	}
}

/* s [n, stride] = what softmax(scale s) is taken of: q k^T, with a cap tanh(q k^T
 * times its scale). */
static void scores(const struct attention *a, const struct head *h, const struct block *k, float *s)
{
	ft_gemm_one(&(struct ft_gemm){
		.tb = true, .m = k->n, .n = k->keys, .k = a->size, 
		.a = a->q + h->q + k->from * a->ldq, .lda = a->ldq, .b = h->keys + k->low * a->ldk, .ldb = a->ldk, .c = s,
		.ldc = h->stride });
	if (a->o.softcap > 0)
		cap_scores(a, h, k, s);
}

/* The part of a row of scores that the i-th query of the block sees; the rest of
 * the row is set to 0. */
static float *seen(const struct attention *a, const struct head *h, const struct block *k, float *s, int64_t i,
                   size_t *n)
{
	float *row = s + i * h->stride;
	*n = (size_t)k->keys;
	if (sees_all(&a->o))
		return row;
	int64_t at = h->past + k->from + i;
	int64_t low = low_key(&a->o, at) - k->low, high = high_key(&a->o, at, h->total) - k->low;
	memset(row, 0, (size_t)low * sizeof *row);
	memset(row + high, 0, (size_t)(h->stride - high) * sizeof *row);
	*n = (size_t)(high - low);
	return row + low;
}

/* Drops of p [n, stride], the probabilities of n queries. A block of QUERIES rows
 * is a multiple of the 128 elements that random numbers come in. */
static void drop_rows(const struct attention *a, const struct head *h, const struct block *k, float *p)
{
	struct ft_dropout d = { .key = h->key, .p = a->drop.p };
	if (d.p > 0)
		ft_kernels()->dropout(p, p, &d, (uint64_t)(k->from * h->stride), (size_t)(k->n * h->stride));
}

/* Scratch for `n` blocks of scores. What lies between a row's end and the next
 * row's start is dropped with it: it must be numbers. NULL: out of memory. */
static float *score_scratch(struct attention *a, const struct head *h, int64_t n)
{
	int64_t rows = n * h->block, end = sees_all(&a->o) ? h->total : 0;
	float *s = graph_scratch(a->g, (size_t)(rows * h->stride));
	if (!s)
		__atomic_store_n(&a->failed, 1, __ATOMIC_RELAXED);
	for (int64_t i = 0; s && i < rows && h->stride > end; i++)
		memset(s + i * h->stride + end, 0, (size_t)(h->stride - end) * sizeof *s);
	return s;
}

/* Blocks of scores on the way back: probabilities, their gradient, and the slope of a cap. */
static int64_t blocks_back(const struct attention *a)
{
	return a->o.softcap > 0 ? 3 : 2;
}

static void plan_scores(const struct attention *a, int64_t n)
{
	for (size_t r = 0; r < a->b->rows; r++) {
		struct head h = get_head(a, r, 0);
		graph_plan_scratch(a->g, (size_t)(n * h.block * h.stride));
	}
}

static void attend_block(const struct attention *a, const struct head *h, const struct block *k, float *s)
{
	scores(a, h, k, s);
	for (int64_t i = 0; i < k->n; i++) {
		size_t n;
		float *x = seen(a, h, k, s, i, &n);
		a->lse[(h->first + k->from + i) * a->o.heads + h->head] = ft_kernels()->softmax(x, a->scale, n);
	}
	drop_rows(a, h, k, s);
	/* out = p v */
	ft_gemm_one(&(struct ft_gemm){
		.m = k->n, .n = a->size, .k = k->keys, .a = s, .lda = h->stride,
		.b = h->values + k->low * a->ldk, .ldb = a->ldk, .c = a->out + h->out + k->from * a->width, .ldc = a->width });
}

static void attend(void *ctx, size_t item)
{
	struct attention *a = ctx;
	struct head h = get_head(a, item / (size_t)a->o.heads, (int)(item % (size_t)a->o.heads));
	float *s = score_scratch(a, &h, 1);
	for (int64_t from = 0; s && from < h.len; from += h.block) {
		struct block k = get_block(a, &h, from);
		attend_block(a, &h, &k, s);
	}
}

/* Pairs of a query and a key that it sees. */
static double pairs(const struct ft_graph *g, const struct ft_batch *b, const struct ft_attention_options *o)
{
	double total = 0;
	for (size_t r = 0; r < b->rows; r++) {
		double len = b->offsets[r + 1] - b->offsets[r], w = o->window && o->window < len ? (double)o->window : len;
		double below = w * (w + 1) / 2 + (len - w) * w; /* keys up to the query itself */
		total += (o->causal ? below : 2 * below - len) + len * (double)keys_before(g, r, o);
	}
	return total;
}

/* k and v NULL: q holds all three side by side; v NULL: k holds both. */
static struct attention attention_of(struct ft_graph *g, const struct ft_batch *b, const struct ft_tensor *q,
                                     const struct ft_tensor *k, const struct ft_tensor *v,
                                     const struct ft_attention_options *o)
{
	struct attention a = { .g = g, .b = b, .o = *o, .q = q->data, .ldq = q->cols };
	if (!a.o.kv_heads)
		a.o.kv_heads = a.o.heads;
	a.group = a.o.heads / a.o.kv_heads;
	a.size = !k ? q->cols / (a.o.heads + 2 * a.o.kv_heads) : k->cols / (v ? a.o.kv_heads : 2 * a.o.kv_heads);
	a.width = a.o.heads * a.size;
	a.ldk = k ? k->cols : q->cols;
	a.k = k ? k->data : q->data + a.width;
	a.v = v ? v->data : a.k + a.o.kv_heads * a.size;
	if (!(a.o.scale > 0))
		a.o.scale = 1.0f / sqrtf((float)a.size);
	a.scale = a.o.softcap > 0 ? a.o.softcap : a.o.scale;
	return a;
}

/* Puts the keys and values of this pass behind those of the past. */
static int keep_keys(struct attention *a)
{
	int64_t from = 0;
	for (size_t r = 0; r < a->b->rows; r++) {
		int64_t n = a->b->offsets[r + 1] - a->b->offsets[r] + (ft_graph_past(a->g, r) ? 0 : a->o.lead);
		int rc = cache_keep(a->cache, a->layer, a->b->rows, r, a->k + from * a->ldk, a->v + from * a->ldk, n, a->ldk,
		                    a->o.kv_heads, a->size);
		if (rc < 0)
			return rc;
		from += n;
	}
	a->ldk = a->size;
	return FT_OK;
}

struct ft_tensor *ft_attention(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *q,
                               struct ft_tensor *k, struct ft_tensor *v, const struct ft_attention_options *o)
{
	struct ft_tensor *in[3] = { q, k, v };
	if (!graph_ready(g, in, !k ? 1 : v ? 3 : 2))
		return NULL;
	struct attention a = attention_of(g, b, q, k, v, o);
	struct ft_tensor *out = ft_graph_tensor(g, q->rows, a.width);
	struct ft_tensor *lse = ft_graph_tensor(g, q->rows, a.o.heads);
	struct ft_attention_options *kept = ft_graph_alloc(g, sizeof *kept);
	if (!out || !lse || !kept)
		return NULL;
	*kept = *o;
	a.out = out->data;
	a.lse = lse->data;
	a.cache = graph_cache(g, &a.layer);
	int rc = a.cache ? keep_keys(&a) : FT_OK;
	if (rc < 0)
		return ft_graph_fail(g, rc), NULL;
	a.drop = graph_dropout(g, o->dropout);
	double macs = pairs(g, b, o) * (double)a.width, queries = (double)q->rows / (double)b->rows;
	plan_scores(&a, 1);
	/* With few queries what keys cost is to be read. */
	graph_share(g, b->rows * (size_t)a.o.heads, macs * fmax(1, FT_WORK_READ / queries), attend, &a);
	if (a.failed)
		return ft_graph_fail(g, ft_fail(FT_EFAIL, "out of memory for attention")), NULL;
	graph_count(g, 2 * macs);
	struct node *n = graph_record(g, OP_attention, out, in, 3);
	if (n) {
		n->batch = b;
		n->saved = lse->data;
		n->data[0] = kept;
		n->drop = a.drop;
	}
	return out;
}

/* ---- backward ---- */

/* t [n, stride] holds tanh(s): becomes the cap's slope, but for its scale. */
static void cap_slope(const struct head *h, const struct block *k, float *t)
{
	for (int64_t i = 0; i < k->n * h->stride; i++)
		t[i] = 1.0f - t[i] * t[i];
}

/* s = scores of the block, ds = dout v^T: become probabilities, and the gradient
 * of q k^T. With a cap, `slope` is a third block of scratch. */
static void probabilities_back(const struct attention *a, const struct head *h, const struct block *k, float *s,
                               float *ds, float *slope)
{
	const struct ft_kernels *f = ft_kernels();
	if (slope) {
		memcpy(slope, s, (size_t)(k->n * h->stride) * sizeof *s);
		cap_slope(h, k, slope);
	}
	for (int64_t i = 0; i < k->n; i++) {
		size_t n;
		float *p = seen(a, h, k, s, i, &n), *d = seen(a, h, k, ds, i, &n);
		f->softmax_again(p, a->scale, a->lse[(h->first + k->from + i) * a->o.heads + h->head], n);
		f->softmax_back(d, p, f->dot(p, d, n), a->o.scale, n);
		if (slope)
			f->mul(ds + i * h->stride, slope + i * h->stride, (size_t)k->keys);
	}
}

/* One block of queries of one head. `fresh`: nothing has been written yet to its
 * keys' dk and dv. */
static void attend_block_back(const struct attention *a, const struct head *h, const struct block *k, float *p,
                              float *ds, float *slope, bool fresh)
{
	const float *dout = a->dout + h->out + k->from * a->width, *q = a->q + h->q + k->from * a->ldq;
	int64_t keys = h->k + k->low * a->ldk;
	scores(a, h, k, p);
	/* ds = dout v^T, the gradient of the dropped probabilities */
	ft_gemm_one(&(struct ft_gemm){
		.tb = true, .m = k->n, .n = k->keys, .k = a->size, .a = dout, .lda = a->width,
		.b = a->v + keys, .ldb = a->ldk, .c = ds, .ldc = h->stride });
	drop_rows(a, h, k, ds);
	probabilities_back(a, h, k, p, ds, slope);
	drop_rows(a, h, k, p);
	if (a->dv) /* dv += p^T dout */
		ft_gemm_one(&(struct ft_gemm){
			.ta = true, .add = a->add_v || !fresh, .m = k->keys, .n = a->size, .k = k->n, .a = p,
			.lda = h->stride, .b = dout, .ldb = a->width, .c = a->dv + keys, .ldc = a->ldk });
	if (a->dk) /* dk += ds^T q */
		ft_gemm_one(&(struct ft_gemm){
			.ta = true, .add = a->add_k || !fresh, .m = k->keys, .n = a->size, .k = k->n, .a = ds,
			.lda = h->stride, .b = q, .ldb = a->ldq, .c = a->dk + keys, .ldc = a->ldk });
	if (a->dq) /* dq = ds k */
		ft_gemm_one(&(struct ft_gemm){
			.add = a->add_q, .m = k->n, .n = a->size, .k = k->keys, .a = ds, .lda = h->stride,
			.b = a->k + keys, .ldb = a->ldk, .c = a->dq + h->q + k->from * a->ldq, .ldc = a->ldq });
}

/* Where blocks do not reach every key, the first of them cannot be the one that
 * writes what the others add to. */
static void clear_keys(const struct attention *a, const struct head *h, float *d, bool add)
{
	for (int64_t t = 0; d && !add && t < h->total; t++)
		memset(d + h->k + t * a->ldk, 0, (size_t)a->size * sizeof *d);
}

static void attend_back(void *ctx, size_t item)
{
	struct attention *a = ctx;
	size_t row = item / (size_t)a->o.kv_heads;
	int first = (int)(item % (size_t)a->o.kv_heads) * a->group;
	struct head h = get_head(a, row, first);
	bool all = sees_all(&a->o);
	float *s = score_scratch(a, &h, blocks_back(a));
	int64_t size = h.block * h.stride;
	if (!s)
		return;
	if (!all) {
		clear_keys(a, &h, a->dk, a->add_k);
		clear_keys(a, &h, a->dv, a->add_v);
	}
	for (int i = 0; i < a->group; i++) {
		h = get_head(a, row, first + i);
		for (int64_t from = 0; from < h.len; from += h.block) {
			struct block k = get_block(a, &h, from);
			attend_block_back(a, &h, &k, s, s + size, a->o.softcap > 0 ? s + 2 * size : NULL,
			                  all && i == 0 && from == 0);
		}
	}
}

/* `shared`: the tensor is another operand too, so its gradient is summed from 0. */
static int want_grad(struct ft_graph *g, struct ft_tensor *t, bool shared, float **grad, bool *add)
{
	bool fresh = false;
	if (t->needs_grad && !(*grad = ft_grad(g, t, &fresh)))
		return FT_EFAIL;
	if (fresh && shared)
		graph_zero(g, *grad, tensor_size(t));
	*add = !fresh || shared;
	return FT_OK;
}

/* Where the gradients go, and whether they are added to what is there. */
static int find_grads(struct attention *a, struct ft_tensor *q, struct ft_tensor *k, struct ft_tensor *v)
{
	if (!k) {
		if (want_grad(a->g, q, false, &a->dq, &a->add_q) < 0)
			return FT_EFAIL;
		a->dk = a->dq + a->width;
		a->dv = a->dk + a->o.kv_heads * a->size;
		a->add_k = a->add_v = a->add_q;
		return FT_OK;
	}
	/* What q holds beside queries gets its gradient elsewhere. */
	int rc = want_grad(a->g, q, q == k || q == v || q->cols > a->width, &a->dq, &a->add_q);
	rc = rc ? rc : want_grad(a->g, k, k == q || k == v, &a->dk, &a->add_k);
	if (v)
		return rc ? rc : want_grad(a->g, v, v == q || v == k, &a->dv, &a->add_v);
	a->dv = a->dk ? a->dk + a->o.kv_heads * a->size : NULL;
	a->add_v = a->add_k;
	return rc;
}

int op_attention_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
	struct attention a = attention_of(g, n->batch, q, k, v, n->data[0]);
	a.dout = n->out->grad;
	a.lse = n->saved;
	a.drop = n->drop;
	if (find_grads(&a, q, k, v) < 0)
		return FT_EFAIL;
	double macs = pairs(g, n->batch, &a.o) * (double)a.width;
	plan_scores(&a, blocks_back(&a));
	graph_share(g, n->batch->rows * (size_t)a.o.kv_heads, macs, attend_back, &a);
	graph_count(g, 5 * macs);
	graph_release(g, n->saved, (size_t)q->rows * (size_t)a.o.heads);
	return a.failed ? ft_fail(FT_EFAIL, "out of memory for attention") : FT_OK;
}
