/* attention.c - scaled dot-product attention (Vaswani et al., 2017) within
 * each row of a padding-free batch.
 *
 * One item of work is one head of one row. Scores exist only for a block of
 * queries at a time, in the thread's scratch; the backward pass computes them
 * again from the log-sum-exp that was kept, as FlashAttention does (Dao et al.,
 * 2022), so memory is linear in the length. */
#include "priv.h"

#include <math.h>

#define QUERIES 128 /* of a block */

struct attention {
	struct ft_graph *g;
	const struct ft_batch *b;
	const float *q, *k, *v, *o, *dout;
	float *out, *dq, *dk, *dv;
	float *lse; /* [tokens, heads] */
	int64_t width, size;
	int heads;
	float scale;
	struct ft_dropout drop;
	bool add_q, add_k, add_v;
	int failed;
};

/* One head of one row, and where its numbers begin. */
struct head {
	int64_t first, len; /* tokens */
	int64_t at;         /* offset of its first element in q, k, v, out */
	int head;
	uint64_t key; /* of its dropout */
};

static struct head get_head(const struct attention *a, size_t item)
{
	size_t row = item / (size_t)a->heads;
	struct head h = { .first = a->b->offsets[row], .head = (int)(item % (size_t)a->heads) };
	h.len = a->b->offsets[row + 1] - h.first;
	h.at = h.first * a->width + h.head * a->size;
	h.key = a->drop.key ^ (uint64_t)item << 32;
	return h;
}

/* Rows of scores begin at whole vectors. */
static size_t row_stride(int64_t len) { return ((size_t)len + 15) & ~(size_t)15; }

/* s [n, stride] = q[from..from+n) k^T, unscaled */
static void scores(const struct attention *a, const struct head *h, int64_t from, int64_t n, float *s)
{
	ft_gemm_one(&(struct ft_gemm){
		.tb = true, .m = n, .n = h->len, .k = a->size, .a = a->q + h->at + from * a->width,
		.lda = a->width, .b = a->k + h->at, .ldb = a->width, .c = s, .ldc = (int64_t)row_stride(h->len) });
}

/* Drops of p [n, stride], the probabilities of n queries. A block of QUERIES rows
 * is a multiple of the 128 elements that random numbers come in. */
static void drop_rows(const struct attention *a, const struct head *h, int64_t from, int64_t n, float *p)
{
	struct ft_dropout d = { .key = h->key, .p = a->drop.p };
	size_t stride = row_stride(h->len);
	if (d.p > 0)
		ft_kernels()->dropout(p, p, &d, (uint64_t)from * stride, (size_t)n * stride);
}

/* What lies between a row's end and the next row's start is dropped with it:
 * it must be numbers. */
static void clear_padding(float *s, int64_t n, int64_t len)
{
	size_t stride = row_stride(len);
	for (int64_t i = 0; i < n && stride > (size_t)len; i++)
		memset(s + (size_t)i * stride + len, 0, (stride - (size_t)len) * sizeof *s);
}

static void attend(void *ctx, size_t item)
{
	struct attention *a = ctx;
	struct head h = get_head(a, item);
	size_t stride = row_stride(h.len);
	int64_t block = h.len < QUERIES ? h.len : QUERIES;
	float *s = graph_scratch(a->g, (size_t)block * stride);
	if (!s) {
		__atomic_store_n(&a->failed, 1, __ATOMIC_RELAXED);
		return;
	}
	clear_padding(s, block, h.len);
	for (int64_t from = 0; from < h.len; from += block) {
		int64_t n = h.len - from < block ? h.len - from : block;
		scores(a, &h, from, n, s);
		for (int64_t i = 0; i < n; i++)
			a->lse[(h.first + from + i) * a->heads + h.head] =
				ft_kernels()->softmax(s + (size_t)i * stride, a->scale, (size_t)h.len);
		drop_rows(a, &h, from, n, s);
		/* out = p v */
		ft_gemm_one(&(struct ft_gemm){
			.m = n, .n = a->size, .k = h.len, .a = s, .lda = (int64_t)stride, .b = a->v + h.at,
			.ldb = a->width, .c = a->out + h.at + from * a->width, .ldc = a->width });
	}
}

static double pairs(const struct ft_batch *b)
{
	double total = 0;
	for (size_t r = 0; r < b->rows; r++) {
		double len = b->offsets[r + 1] - b->offsets[r];
		total += len * len;
	}
	return total;
}

struct ft_tensor *ft_attention(struct ft_graph *g, const struct ft_batch *b, struct ft_tensor *q,
                               struct ft_tensor *k, struct ft_tensor *v, int heads, float p)
{
	struct ft_tensor *in[4] = { q, k, v, NULL };
	if (!graph_ready(g, in, 3))
		return NULL;
	struct ft_tensor *out = ft_graph_tensor(g, q->rows, q->cols);
	struct ft_tensor *lse = ft_graph_tensor(g, q->rows, heads);
	if (!out || !lse)
		return NULL;
	struct attention a = { .g = g, .b = b, .q = q->data, .k = k->data, .v = v->data, .out = out->data,
	                       .lse = lse->data, .width = q->cols, .size = q->cols / heads, .heads = heads,
	                       .drop = graph_dropout(g, p) };
	a.scale = 1.0f / sqrtf((float)a.size);
	ft_parallel_work(b->rows * (size_t)heads, pairs(b) * (double)q->cols, attend, &a);
	if (a.failed)
		return ft_graph_fail(g, ft_fail(FT_EFAIL, "out of memory for attention")), NULL;
	graph_count(g, 2 * pairs(b) * (double)q->cols);
	struct node *n = graph_record(g, OP_attention, out, in, 3);
	if (n) {
		n->batch = b;
		n->saved = lse->data;
		n->whole = heads;
		n->drop = a.drop;
	}
	return out;
}

/* One block of queries of one head: p and ds are [n, stride] scratch. */
static void attend_block_back(const struct attention *a, const struct head *h, int64_t from, int64_t n, float *p,
                              float *ds)
{
	const struct ft_kernels *k = ft_kernels();
	int64_t stride = (int64_t)row_stride(h->len), at = h->at + from * a->width;
	bool first = from == 0;
	scores(a, h, from, n, p);
	/* ds = dout v^T, the gradient of the dropped probabilities */
	ft_gemm_one(&(struct ft_gemm){
		.tb = true, .m = n, .n = h->len, .k = a->size, .a = a->dout + at, .lda = a->width,
		.b = a->v + h->at, .ldb = a->width, .c = ds, .ldc = stride });
	drop_rows(a, h, from, n, ds);
	for (int64_t i = 0; i < n; i++) {
		float *pi = p + i * stride, *di = ds + i * stride;
		int64_t row = at + i * a->width;
		k->softmax_again(pi, a->scale, a->lse[(h->first + from + i) * a->heads + h->head], (size_t)h->len);
		k->softmax_back(di, pi, k->dot(a->dout + row, a->o + row, (size_t)a->size), a->scale, (size_t)h->len);
	}
	drop_rows(a, h, from, n, p);
	if (a->dv) /* dv += p^T dout */
		ft_gemm_one(&(struct ft_gemm){
			.ta = true, .add = a->add_v || !first, .m = h->len, .n = a->size, .k = n, .a = p,
			.lda = stride, .b = a->dout + at, .ldb = a->width, .c = a->dv + h->at, .ldc = a->width });
	if (a->dk) /* dk += ds^T q */
		ft_gemm_one(&(struct ft_gemm){
			.ta = true, .add = a->add_k || !first, .m = h->len, .n = a->size, .k = n, .a = ds,
			.lda = stride, .b = a->q + at, .ldb = a->width, .c = a->dk + h->at, .ldc = a->width });
	if (a->dq) /* dq = ds k */
		ft_gemm_one(&(struct ft_gemm){
			.add = a->add_q, .m = n, .n = a->size, .k = h->len, .a = ds, .lda = stride,
			.b = a->k + h->at, .ldb = a->width, .c = a->dq + at, .ldc = a->width });
}

static void attend_back(void *ctx, size_t item)
{
	struct attention *a = ctx;
	struct head h = get_head(a, item);
	size_t stride = row_stride(h.len);
	int64_t block = h.len < QUERIES ? h.len : QUERIES;
	float *s = graph_scratch(a->g, 2 * (size_t)block * stride);
	if (!s) {
		__atomic_store_n(&a->failed, 1, __ATOMIC_RELAXED);
		return;
	}
	clear_padding(s, 2 * block, h.len);
	for (int64_t from = 0; from < h.len; from += block)
		attend_block_back(a, &h, from, h.len - from < block ? h.len - from : block, s, s + (size_t)block * stride);
}

/* `shared`: the tensor is another operand too, so its gradient is summed from 0. */
static int want_grad(struct ft_graph *g, struct ft_tensor *t, bool shared, float **grad, bool *add)
{
	bool fresh = false;
	if (t->needs_grad && !(*grad = ft_grad(g, t, &fresh)))
		return FT_EFAIL;
	if (fresh && shared)
		memset(*grad, 0, tensor_size(t) * sizeof **grad);
	*add = !fresh || shared;
	return FT_OK;
}

int op_attention_back(struct ft_graph *g, struct node *n)
{
	struct ft_tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
	int heads = (int)n->whole;
	struct attention a = { .g = g, .b = n->batch, .q = q->data, .k = k->data, .v = v->data, .o = n->out->data,
	                       .dout = n->out->grad, .lse = n->saved, .width = q->cols, .size = q->cols / heads,
	                       .heads = heads, .drop = n->drop };
	a.scale = 1.0f / sqrtf((float)a.size);
	if (want_grad(g, q, q == k || q == v, &a.dq, &a.add_q) < 0 ||
	    want_grad(g, k, k == q || k == v, &a.dk, &a.add_k) < 0 ||
	    want_grad(g, v, v == q || v == k, &a.dv, &a.add_v) < 0)
		return FT_EFAIL;
	ft_parallel_work(n->batch->rows * (size_t)heads, pairs(n->batch) * (double)q->cols, attend_back, &a);
	graph_count(g, 5 * pairs(n->batch) * (double)q->cols);
	graph_release(g, n->saved, (size_t)q->rows * (size_t)heads);
	return a.failed ? ft_fail(FT_EFAIL, "out of memory for attention") : FT_OK;
}
