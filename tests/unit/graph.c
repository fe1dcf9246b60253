/* graph.c - the tape: attention against plain double arithmetic, dropout,
 * losses in chunks, what is recorded, and whose memory lives how long. */
#include "ft/graph.h"
#include "ft/metric.h"
#include "ft/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

static void fill(float *x, size_t n, double scale, uint64_t stream)
{
	struct ft_rng r;
	ft_rng_init(&r, 4, stream);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(scale * ft_rng_normal(&r));
}

static struct ft_tensor *new_tensor(int64_t rows, int64_t cols, double scale, uint64_t stream)
{
	struct ft_tensor *t = calloc(1, sizeof *t);
	size_t n = (size_t)rows * (size_t)cols;
	*t = (struct ft_tensor){ .rows = rows, .cols = cols, .needs_grad = true };
	t->data = malloc(n * sizeof *t->data);
	t->grad = malloc(n * sizeof *t->grad);
	fill(t->data, n, scale, stream);
	return t;
}

static void free_tensor(struct ft_tensor *t)
{
	free(t->data);
	free(t->grad);
	free(t);
}

/* |a - b| / |b| */
static double apart(const float *a, const float *b, size_t n)
{
	double wrong = 0, all = 0;
	for (size_t i = 0; i < n; i++) {
		wrong += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		all += (double)b[i] * b[i];
	}
	return sqrt(wrong / all);
}

/* ---- attention ---- */
#define HEADS 2
#define SIZE 6
#define WIDTH (HEADS * SIZE)

/* What the plain version works on: one head of one row. dk and dv are added to. */
struct plain {
	const float *q, *k, *v, *dout;
	float *out, *dq;
	double *dk, *dv; /* [len, SIZE] */
	int len, ldk;
};

static bool sees(const struct ft_attention_options *o, int i, int j)
{
	return !(o->causal && j > i) && !(o->window && abs(i - j) >= o->window);
}

/* One query: out = softmax(scores) v, and the gradients of sum(dout out). */
static void plain_query(const struct plain *h, const struct ft_attention_options *o, int i, double *p, double *slope)
{
	double total = 0, back = 0, scale = o->scale > 0 ? o->scale : 1 / sqrt((double)SIZE), dq[SIZE] = { 0 };
	const float *q = h->q + i * WIDTH, *dout = h->dout + i * WIDTH;
	for (int j = 0; j < h->len; j++) {
		double s = 0;
		for (int c = 0; c < SIZE; c++)
			s += scale * (double)q[c] * h->k[j * h->ldk + c];
		double t = o->softcap > 0 ? tanh(s / o->softcap) : 0;
		slope[j] = 1 - t * t;
		total += p[j] = sees(o, i, j) ? exp(o->softcap > 0 ? o->softcap * t : s) : 0;
	}
	for (int c = 0; c < SIZE; c++) {
		double sum = 0;
		for (int j = 0; j < h->len; j++)
			sum += p[j] / total * h->v[j * h->ldk + c];
		h->out[i * WIDTH + c] = (float)sum;
		back += sum * dout[c];
	}
	for (int j = 0; j < h->len; j++) {
		double dp = 0;
		p[j] /= total;
		for (int c = 0; c < SIZE; c++)
			dp += (double)dout[c] * h->v[j * h->ldk + c];
		double ds = p[j] * (dp - back) * scale * slope[j];
		for (int c = 0; c < SIZE; c++) {
			dq[c] += ds * h->k[j * h->ldk + c];
			h->dk[j * SIZE + c] += ds * q[c];
			h->dv[j * SIZE + c] += p[j] * dout[c];
		}
	}
	for (int c = 0; c < SIZE; c++)
		h->dq[i * WIDTH + c] = (float)dq[c];
}

/* All heads of a row that begins at token `from`; want: out, dq, dk, dv. */
static void plain_row(struct ft_tensor *in[3], const float *dout, const struct ft_attention_options *o, int from, int len,
                      float *want[4])
{
	int kv = o->kv_heads ? o->kv_heads : HEADS, ldk = kv * SIZE;
	double *p = calloc((size_t)len, sizeof *p), *slope = calloc((size_t)len, sizeof *slope);
	double *dk = calloc((size_t)(len * WIDTH), sizeof *dk), *dv = calloc((size_t)(len * WIDTH), sizeof *dv);
	for (int h = 0; h < HEADS; h++) {
		int at = from * WIDTH + h * SIZE, group = h / (HEADS / kv), key = from * ldk + group * SIZE;
		struct plain s = { in[0]->data + at, in[1]->data + key, in[2]->data + key, dout + at, want[0] + at, want[1] + at,
			           dk + group * len * SIZE, dv + group * len * SIZE, len, ldk };
		for (int i = 0; i < len; i++)
			plain_query(&s, o, i, p, slope);
	}
	for (int i = 0; i < kv * len * SIZE; i++) {
		int at = from * ldk + i / SIZE % len * ldk + i / SIZE / len * SIZE + i % SIZE;
		want[2][at] = (float)dk[i];
		want[3][at] = (float)dv[i];
	}
	free(p);
	free(slope);
	free(dk);
	free(dv);
}

/* Lengths around the block of queries, in one batch. */
static void check_attention(struct ft_graph *g, const char *what, const struct ft_attention_options *o)
{
	static const int32_t offsets[] = { 0, 1, 3, 130, 258, 387, 687, 704 };
	enum { ROWS = 7, TOKENS = 704, N = TOKENS * WIDTH };
	struct ft_batch b = { .offsets = offsets, .rows = ROWS, .tokens = TOKENS };
	struct ft_tensor *in[3];
	float *want[4], *dout = malloc(N * sizeof *dout), *targets = malloc(N * sizeof *targets);
	int kw = (o->kv_heads ? o->kv_heads : HEADS) * SIZE;
	for (int i = 0; i < 3; i++)
		in[i] = new_tensor(TOKENS, i ? kw : WIDTH, 1.5, (uint64_t)i);
	for (int i = 0; i < 4; i++)
		want[i] = calloc(N, sizeof **want);
	ft_graph_begin(g, FT_CHECK, 0, 0);
	struct ft_tensor *y = ft_attention(g, &b, in[0], in[1], in[2], o);
	/* An objective with a known gradient: half the squared distance to y - dout. */
	fill(dout, N, 1, 9);
	for (size_t i = 0; i < N; i++)
		targets[i] = y->data[i] - dout[i] * WIDTH / 2;
	float *out = malloc(N * sizeof *out);
	memcpy(out, y->data, N * sizeof *out);
	is_int(ft_backward(g, ft_squared_error(g, y, targets)), 0, "attention runs forward and backward");
	for (int r = 0; r < ROWS; r++)
		plain_row(in, dout, o, offsets[r], offsets[r + 1] - offsets[r], want);
	for (int r = 0; r < ROWS; r++) {
		int first = offsets[r], len = offsets[r + 1] - first;
		size_t at = (size_t)(first * WIDTH), n = (size_t)(len * WIDTH), key = (size_t)(first * kw), m = (size_t)(len * kw);
		double d = apart(out + at, want[0] + at, n), dv = apart(in[2]->grad + key, want[3] + key, m);
		/* With one token the scores have no say: their gradient is 0, and so noise here. */
		double dq = len == 1 ? 0 : apart(in[0]->grad + at, want[1] + at, n);
		double dk = len == 1 ? 0 : apart(in[1]->grad + key, want[2] + key, m);
		ok(d < 1e-6 && dq < 1e-5 && dk < 1e-5 && dv < 1e-5, "%s, a row of %d: off by %.1g, gradients by %.1g %.1g %.1g",
		   what, len, d, dq, dk, dv);
	}
	for (int i = 0; i < 3; i++)
		free_tensor(in[i]);
	for (int i = 0; i < 4; i++)
		free(want[i]);
	free(dout);
	free(targets);
	free(out);
}

/* q, k and v side by side are the same attention. */
static void check_attention_fused(struct ft_graph *g)
{
	enum { TOKENS = 150, K = SIZE, ALL = WIDTH + 2 * K };
	static const int32_t offsets[] = { 0, 140, TOKENS };
	static const struct ft_attention_options o = { .heads = HEADS, .kv_heads = 1, .window = 20 };
	struct ft_batch b = { .offsets = offsets, .rows = 2, .tokens = TOKENS };
	struct ft_tensor *in[3] = { new_tensor(TOKENS, WIDTH, 1, 1), new_tensor(TOKENS, K, 1, 2), new_tensor(TOKENS, K, 1, 3) };
	struct ft_tensor *all = new_tensor(TOKENS, ALL, 1, 4);
	float *targets = calloc(TOKENS * WIDTH, sizeof *targets);
	static const int at[3] = { 0, WIDTH, WIDTH + K };
	for (int i = 0; i < 3; i++)
		for (int t = 0; t < TOKENS; t++)
			memcpy(all->data + t * ALL + at[i], in[i]->data + t * in[i]->cols, (size_t)in[i]->cols * sizeof(float));
	ft_graph_begin(g, FT_CHECK, 0, 0);
	ft_backward(g, ft_squared_error(g, ft_attention(g, &b, in[0], in[1], in[2], &o), targets));
	ft_graph_begin(g, FT_CHECK, 0, 0);
	ft_backward(g, ft_squared_error(g, ft_attention(g, &b, all, NULL, NULL, &o), targets));
	int wrong = 0;
	for (int i = 0; i < 3; i++)
		for (int t = 0; t < TOKENS; t++)
			wrong += memcmp(all->grad + t * ALL + at[i], in[i]->grad + t * in[i]->cols,
			                (size_t)in[i]->cols * sizeof(float)) != 0;
	is_int(wrong, 0, "q, k and v side by side in one tensor: the same gradients");
	for (int i = 0; i < 3; i++)
		free_tensor(in[i]);
	free_tensor(all);
	free(targets);
}

/* A window's work and memory do not grow with the square of the length. */
static void check_window_work(struct ft_graph *g)
{
	enum { TOKENS = 20000, W = 8 };
	static const int32_t offsets[] = { 0, TOKENS };
	struct ft_batch b = { .offsets = offsets, .rows = 1, .tokens = TOKENS };
	struct ft_tensor *x = new_tensor(TOKENS, W, 1, 1);
	ft_graph_begin(g, FT_INFER, 0, 0);
	ft_attention(g, &b, x, x, x, &(struct ft_attention_options){ .heads = 1, .window = 10 });
	ok(ft_graph_macs(g) < 2.0 * TOKENS * 19 * W + 1, "a window's work is linear in the length");
	free_tensor(x);
}

/* With q = 0 and v the unit matrix the output is the dropped probabilities:
 * out[i][j] = keep(i, j) / (len (1 - p)). */
static void check_attention_dropout(struct ft_graph *g)
{
	enum { LEN = 96, ROWS = 2, TOKENS = LEN * ROWS };
	static const int32_t offsets[ROWS + 1] = { 0, LEN, TOKENS };
	static const struct ft_attention_options dropped = { .heads = 1, .dropout = 0.25f };
	struct ft_batch b = { .offsets = offsets, .rows = ROWS, .tokens = TOKENS };
	struct ft_tensor *q = new_tensor(TOKENS, LEN, 0, 1), *v = new_tensor(TOKENS, LEN, 0, 2);
	for (int t = 0; t < TOKENS; t++)
		v->data[t * LEN + t % LEN] = 1;
	ft_graph_begin(g, FT_TRAIN, 1, 2);
	struct ft_tensor *y = ft_attention(g, &b, q, q, v, &dropped), *z = ft_attention(g, &b, q, q, v, &dropped);
	int kept = 0, alike = 0, same_site = 0, pairs = 0, worst = 0;
	bool scaled = true;
	for (int i = 0; i < TOKENS * LEN; i++) {
		kept += y->data[i] != 0;
		same_site += (y->data[i] != 0) == (z->data[i] != 0);
		scaled = scaled && (y->data[i] == 0 || fabsf(y->data[i] * LEN - 1 / 0.75f) < 1e-4f);
	}
	for (int i = 0; i < TOKENS; i++) /* two queries must not share their mask, nor a part of it shifted by half */
		for (int j = 0; j < i; j++, pairs++) {
			int agree = 0;
			for (int c = 0; c < LEN; c++)
				agree += (y->data[i * LEN + c] != 0) == (y->data[j * LEN + c] != 0);
			alike += agree;
			worst = agree > worst ? agree : worst;
		}
	double share = (double)kept / (TOKENS * LEN), agreement = (double)alike / pairs / LEN;
	ok(fabs(share - 0.75) < 0.016, "three quarters of the probabilities are kept (%.3f)", share);
	ok(scaled, "and scaled");
	ok(fabs(agreement - 0.625) < 0.01 && worst < LEN * 9 / 10, "masks of two queries are independent (%.3f, at most %d of %d)",
	   agreement, worst, LEN);
	ok(fabs((double)same_site / (TOKENS * LEN) - 0.625) < 0.016, "and those of two places in the network");
	float *first = malloc(TOKENS * LEN * sizeof *first);
	memcpy(first, y->data, TOKENS * LEN * sizeof *first);
	ft_graph_begin(g, FT_TRAIN, 1, 2);
	y = ft_attention(g, &b, q, q, v, &dropped);
	ok(memcmp(y->data, first, TOKENS * LEN * sizeof *first) == 0, "the same seed and step drop the same");
	ft_graph_begin(g, FT_TRAIN, 1, 3);
	y = ft_attention(g, &b, q, q, v, &dropped);
	ok(memcmp(y->data, first, TOKENS * LEN * sizeof *first) != 0, "another step drops others");
	free(first);
	free_tensor(q);
	free_tensor(v);
}

/* ---- dropout: on the way back the mask is that of the way forward ---- */
static void check_dropout(struct ft_graph *g)
{
	enum { R = 301, C = 7, N = R * C };
	struct ft_tensor *x = new_tensor(R, C, 0, 1), *w = new_tensor(C, C, 0, 2);
	for (int i = 0; i < N; i++)
		x->data[i] = 1;
	for (int i = 0; i < C; i++)
		w->data[i * C + i] = 1;
	float *targets = calloc(N, sizeof *targets), *mask = malloc(N * sizeof *mask);
	x->has_grad = w->has_grad = false;
	ft_graph_begin(g, FT_TRAIN, 8, 1);
	struct ft_tensor *y = ft_dropout_add(g, ft_linear(g, x, w, NULL), NULL, 0.4f);
	memcpy(mask, y->data, N * sizeof *mask);
	ft_backward(g, ft_squared_error(g, y, targets)); /* slope 2 y / C, back through the mask: 2 mask^2 / C */
	bool right = true;
	for (int i = 0; i < N; i++)
		right = right && fabsf(x->grad[i] - 2 * mask[i] * mask[i] / C) < 1e-5f;
	ok(right, "dropout: one mask forward and backward");
	ft_graph_begin(g, FT_CHECK, 8, 1);
	y = ft_dropout_add(g, ft_linear(g, x, w, NULL), NULL, 0.4f);
	bool whole = true;
	for (int i = 0; i < N; i++)
		whole = whole && y->data[i] == 1;
	ok(whole, "no dropout in FT_CHECK");
	free(targets);
	free(mask);
	free_tensor(x);
	free_tensor(w);
}

/* ---- cross-entropy by chunks against the two operations it stands for ---- */
static void check_chunks(struct ft_graph *g, bool bias, bool frozen)
{
	enum { N = 1100, H = 24, V = 77 }; /* three chunks */
	struct ft_tensor *in[3] = { new_tensor(N, H, 1, 1), new_tensor(V, H, 0.3, 2), new_tensor(1, V, 1, 3) };
	int32_t labels[N];
	double loss[2] = { 0, 0 }, worst = 0;
	float *grads[3];
	uint8_t hits[N];
	int first = 0, wrong = 0;
	for (int i = 0; i < N; i++)
		labels[i] = i % 3 == 1 ? FT_IGNORE : i * 31 % V;
	in[0]->needs_grad = !frozen;
	for (int way = 0; way < 2; way++) {
		for (int i = 0; i < 3; i++)
			in[i]->has_grad = false;
		ft_graph_begin(g, FT_TRAIN, 0, 0);
		struct ft_tensor *y = way ? ft_linear(g, in[0], in[1], bias ? in[2] : NULL) : NULL;
		for (int i = 0; y && i < N; i++) {
			bool hit = labels[i] >= 0 && ft_argmax(y->data + i * V, V) == (size_t)labels[i];
			first += hit;
			wrong += hit != hits[i];
		}
		struct ft_tensor *l = way ? ft_cross_entropy(g, y, labels, NULL)
		                          : ft_linear_cross_entropy(g, &(struct ft_decoded){ in[0], in[1], bias ? in[2] : NULL, 0 }, labels, hits);
		for (int i = 0; i < N; i++)
			loss[way] += l->data[i];
		is_int(ft_backward(g, l), 0, way ? "in two operations" : "in one");
		for (int i = 0; i < 3; i++) {
			size_t n = (size_t)in[i]->rows * (size_t)in[i]->cols;
			if (way == 0) {
				grads[i] = malloc(n * sizeof **grads);
				memcpy(grads[i], in[i]->grad, n * sizeof **grads);
			} else if (in[i]->needs_grad && (bias || i < 2)) {
				worst = fmax(worst, apart(grads[i], in[i]->grad, n));
			}
		}
	}
	ok(fabs(loss[0] - loss[1]) < 1e-6 * loss[1] && worst < 1e-5, "linear cross-entropy%s%s: the same loss, gradients off by %.1g",
	   bias ? " with a bias" : "", frozen ? " on a frozen trunk" : "", worst);
	ok(first > 0 && wrong == 0, "and it says which labels came first (%d of %d)", first, N);
	for (int i = 0; i < 3; i++) {
		free(grads[i]);
		free_tensor(in[i]);
	}
}

/* Equal logits: the first of them is the one that is predicted. */
static void check_equal_logits(struct ft_graph *g)
{
	struct ft_tensor *x = new_tensor(3, 1, 0, 1), *w = new_tensor(4, 1, 1, 2);
	uint8_t hits[3];
	ft_graph_begin(g, FT_INFER, 0, 0);
	ft_linear_cross_entropy(g, &(struct ft_decoded){ x, w, NULL, 0 }, (int32_t[]){ 0, 1, FT_IGNORE }, hits);
	ok(hits[0] && !hits[1] && !hits[2], "of equal logits the first is predicted; without a label nothing is");
	free_tensor(x);
	free_tensor(w);
}

/* ---- losses as PyTorch defines them ---- */
static void check_losses(struct ft_graph *g)
{
	float x[6] = { 1, -2, 0.5f, 3, 3, 3 }, weights[3] = { 1, 2, 0.5f }, binary[6] = { 1, 0, 0.5f, 0, 1, 1 };
	int32_t labels[2] = { 1, FT_IGNORE };
	struct ft_tensor t = { .data = x, .rows = 2, .cols = 3 };
	double lse = log(exp(1) + exp(-2) + exp(0.5));
	ft_graph_begin(g, FT_INFER, 0, 0);
	struct ft_tensor *l = ft_cross_entropy(g, &t, labels, NULL);
	is_near(l->data[0], lse + 2, 1e-6, "cross-entropy");
	is_near(l->data[1], 0, 0, "an ignored unit has none");
	l = ft_cross_entropy(g, &t, labels, &(struct ft_loss_options){ .smoothing = 0.3f, .weights = weights });
	is_near(l->data[0], 0.7 * 2 * (lse + 2) + 0.1 * (lse - 1) + 0.2 * (lse + 2) + 0.05 * (lse - 0.5), 1e-6,
	        "smoothed and weighted");
	l = ft_binary_cross_entropy(g, &t, binary, &(struct ft_loss_options){ .weights = weights });
	is_near(l->data[0], (log1p(exp(-1)) + log1p(exp(-2)) + 0.25 * log1p(exp(-0.5)) + 0.5 * (log1p(exp(-0.5)) + 0.5)) / 3,
	        1e-6, "binary cross-entropy");
	l = ft_squared_error(g, &t, binary);
	is_near(l->data[0], (0 + 4 + 0) / 3.0, 1e-6, "squared error");
	float huge[2] = { 1e4f, -1e4f };
	struct ft_tensor far = { .data = huge, .rows = 1, .cols = 2 };
	l = ft_binary_cross_entropy(g, &far, (float[]){ 0, 1 }, NULL);
	is_near(l->data[0], 1e4, 1e-6, "binary cross-entropy of logits far out is finite");
}

/* ---- what is recorded, and memory ---- */
#define DEEP 24

static struct ft_tensor *deep_layer(const void *ctx, struct ft_graph *g, struct ft_tensor *x, int i)
{
	struct ft_tensor *w = (*(struct ft_tensor **const *)ctx)[i];
	struct ft_tensor *z = ft_gelu(g, ft_linear(g, x, w, NULL));
	return ft_dropout_add(g, ft_linear(g, z, w, NULL), x, 0);
}

/* `layers` layers; those from `trained` on train. Returns a copy of the result. */
static float *run_deep(struct ft_graph *g, enum ft_mode mode, struct ft_tensor *x, struct ft_tensor *w[DEEP], int layers,
                       int trained)
{
	size_t n = (size_t)x->rows * (size_t)x->cols;
	float *targets = calloc(n, sizeof *targets), *copy = malloc(n * sizeof *copy);
	x->needs_grad = false;
	for (int i = 0; i < DEEP; i++) {
		w[i]->needs_grad = i >= trained;
		w[i]->has_grad = false;
	}
	ft_graph_begin(g, mode, 0, 0);
	struct ft_tensor *y = x;
	for (int i = 0; i < layers; i++)
		y = ft_layer(g, deep_layer, &w, sizeof(struct ft_tensor **), y, i);
	memcpy(copy, y->data, n * sizeof *copy);
	if (ft_backward(g, ft_squared_error(g, y, targets)) < 0)
		copy[0] = NAN;
	free(targets);
	return copy;
}

static size_t peak_of(enum ft_mode mode, struct ft_tensor *x, struct ft_tensor *w[DEEP], int layers, int trained)
{
	struct ft_graph *g = ft_graph_new();
	free(run_deep(g, mode, x, w, layers, trained));
	size_t peak = ft_graph_peak(g);
	ft_graph_free(g);
	return peak;
}

/* Layers that are computed once more: less memory, and nothing else. */
static void check_recompute(struct ft_tensor *x, struct ft_tensor *w[DEEP], int trained)
{
	size_t peak[2], n = 200 * 32, m = 32 * 32;
	float *result[2], *gradient[2];
	for (int on = 0; on < 2; on++) {
		struct ft_graph *g = ft_graph_new();
		ft_graph_recompute(g, on);
		result[on] = run_deep(g, FT_TRAIN, x, w, DEEP, trained);
		gradient[on] = malloc(DEEP * m * sizeof(float));
		for (int i = 0; i < DEEP; i++)
			memcpy(gradient[on] + (size_t)i * m, w[i]->grad, m * sizeof(float));
		peak[on] = ft_graph_peak(g);
		ft_graph_free(g);
	}
	ok(memcmp(result[0], result[1], n * sizeof(float)) == 0 && memcmp(gradient[0], gradient[1], DEEP * m * sizeof(float)) == 0,
	   "layers computed once more give the same, to the bit (%d train)", DEEP - trained);
	ok(trained ? peak[1] <= peak[0] : peak[1] < peak[0] / 2, "in less memory (%zu instead of %zu)", peak[1], peak[0]);
	for (int on = 0; on < 2; on++) {
		free(result[on]);
		free(gradient[on]);
	}
}

static void check_memory(struct ft_graph *g)
{
	struct ft_tensor *x = new_tensor(200, 32, 1, 50), *w[DEEP];
	size_t n = 200 * 32;
	for (int i = 0; i < DEEP; i++)
		w[i] = new_tensor(32, 32, 0.1, 60 + (uint64_t)i);
	float *train = run_deep(g, FT_CHECK, x, w, DEEP, 0);
	int got = 0;
	for (int i = 0; i < DEEP; i++)
		got += w[i]->has_grad;
	is_int(got, DEEP, "all that trains gets a gradient");
	float *gradient = malloc(32 * 32 * sizeof *gradient);
	memcpy(gradient, w[DEEP - 1]->grad, 32 * 32 * sizeof *gradient);
	float *infer = run_deep(g, FT_INFER, x, w, DEEP, 0);
	got = 0;
	for (int i = 0; i < DEEP; i++)
		got += w[i]->has_grad;
	is_int(got, 0, "FT_INFER records nothing");
	ok(memcmp(train, infer, n * sizeof *train) == 0, "and computes the same in memory used again");
	float *frozen = run_deep(g, FT_CHECK, x, w, DEEP, DEEP - 2);
	got = 0;
	for (int i = 0; i < DEEP; i++)
		got += w[i]->has_grad;
	is_int(got, 2, "below what trains there is no gradient");
	ok(memcmp(train, frozen, n * sizeof *train) == 0 && memcmp(gradient, w[DEEP - 1]->grad, 32 * 32 * sizeof *gradient) == 0,
	   "and the result and the gradients above are the same");
	size_t small = peak_of(FT_INFER, x, w, 3, 0), large = peak_of(FT_INFER, x, w, DEEP, 0);
	ok(large < small + small / 4, "FT_INFER: memory does not grow with depth (%zu, %zu)", small, large);
	small = peak_of(FT_TRAIN, x, w, 5, 3);
	large = peak_of(FT_TRAIN, x, w, DEEP, DEEP - 2);
	ok(large < small + small / 4, "nor with that of a frozen trunk (%zu, %zu)", small, large);
	size_t whole = peak_of(FT_TRAIN, x, w, DEEP, 0);
	ok(whole < DEEP * 3 * n * sizeof(float) * 5 / 4, "backward gives back what it has used (%zu)", whole);
	check_recompute(x, w, 0);
	check_recompute(x, w, DEEP - 3);
	free(train);
	free(infer);
	free(frozen);
	free(gradient);
	free_tensor(x);
	for (int i = 0; i < DEEP; i++)
		free_tensor(w[i]);
}

/* ---- errors stick ---- */
static void check_errors(struct ft_graph *g)
{
	static const int32_t ids[3] = { 0, 5, 1 }, offsets[2] = { 0, 3 };
	static const uint8_t types[3] = { 0, 0, 2 };
	static const struct ft_embed_options unpadded = { .padding = -1 };
	struct ft_span src = { "a.tsv:7", 7 };
	struct ft_batch b = { .ids = ids, .types = types, .offsets = offsets, .rows = 1, .tokens = 3, .src = &src };
	struct ft_tensor *word = new_tensor(5, 4, 1, 1), *more = new_tensor(6, 4, 1, 1), *two = new_tensor(2, 4, 1, 1);
	ft_graph_begin(g, FT_TRAIN, 0, 0);
	struct ft_tensor *x = ft_embed(g, &b, word, NULL, NULL, &unpadded);
	ok(!x && ft_graph_error(g) == FT_EMATCH && strstr(ft_message(), "a.tsv:7") && strstr(ft_message(), "token id 5"),
	   "an id beyond the vocabulary is named with its row");
	x = ft_gelu(g, ft_layer_norm(g, x, two, two, 1));
	ok(!x && ft_graph_error(g) == FT_EMATCH, "what follows passes the error on");
	is_int(ft_backward(g, x), FT_EMATCH, "and so does backward");
	ft_graph_begin(g, FT_TRAIN, 0, 0);
	is_int(ft_graph_error(g), 0, "a new pass begins afresh");
	ok(!ft_embed(g, &b, more, two, NULL, &unpadded) && ft_graph_error(g) == FT_EMATCH,
	   "a row longer than the table of positions");
	ft_graph_begin(g, FT_TRAIN, 0, 0);
	ok(!ft_embed(g, &b, more, NULL, two, &unpadded) && ft_graph_error(g) == FT_EMATCH, "a type beyond its table");
	ft_graph_begin(g, FT_TRAIN, 0, 0);
	ok(ft_embed(g, &b, more, NULL, NULL, &unpadded) != NULL, "without that table types do not matter");
	ok(!ft_cross_entropy(g, more, (int32_t[]){ 0, 1, 2, 3, 4, 0 }, NULL) && ft_graph_error(g) == FT_EMATCH,
	   "a label beyond the classes");
	ft_graph_begin(g, FT_TRAIN, 0, 0);
	ok(!ft_linear_cross_entropy(g, &(struct ft_decoded){ more, more, NULL, 0 }, (int32_t[]){ 0, 1, 2, -3, 4, 0 }, NULL) &&
	           ft_graph_error(g) == FT_EMATCH,
	   "a negative label that is not FT_IGNORE");
	ok(ft_activation_find("gelu") && ft_activation_find("gelu_new") && !ft_activation_find("gel"),
	   "activations by name");
	free_tensor(word);
	free_tensor(more);
	free_tensor(two);
}

int main(void)
{
	struct ft_graph *g = ft_graph_new();
	check_attention(g, "plain", &(struct ft_attention_options){ .heads = HEADS });
	check_attention(g, "causal", &(struct ft_attention_options){ .heads = HEADS, .causal = true });
	check_attention(g, "window", &(struct ft_attention_options){ .heads = HEADS, .window = 33 });
	check_attention(g, "narrow", &(struct ft_attention_options){ .heads = HEADS, .window = 2 });
	check_attention(g, "causal window", &(struct ft_attention_options){ .heads = HEADS, .causal = true, .window = 140 });
	check_attention(g, "grouped, capped", &(struct ft_attention_options){ .heads = HEADS, .kv_heads = 1, .softcap = 2 });
	check_attention(g, "all at once", &(struct ft_attention_options){
		.heads = HEADS, .kv_heads = 1, .softcap = 3, .causal = true, .window = 50, .scale = 0.7f });
	check_attention_fused(g);
	check_window_work(g);
	check_attention_dropout(g);
	check_dropout(g);
	check_equal_logits(g);
	check_chunks(g, true, false);
	check_chunks(g, false, false);
	check_chunks(g, true, true);
	check_losses(g);
	check_memory(g);
	check_errors(g);
	ft_graph_free(g);
	return tap_done();
}
