/* graph.c - the tape: memory of a pass, recording, the walk back. */
#include "ft/rng.h"
#include "cache.h"
#include "trunk.h"
#include "priv.h"

#include <stdlib.h>

/* Freed buffers of one size, to be used again within the pass. */
struct bucket {
	size_t n; /* floats */
	float **free;
	size_t count, cap;
};

struct ft_graph {
	enum ft_mode mode;
	uint64_t key; /* of (seed, step) */
	uint64_t sites; /* dropouts so far in this pass */
	struct ft_cache *cache; /* borrowed, or NULL */
	struct ft_trunk *trunk; /* of this pass: borrowed, or NULL */
	size_t attentions;      /* so far in this pass */
	int64_t lead;           /* keys before those of a row without a past */
	int error;
	double macs;

	/* pass: small things that live for the pass. layer[now]: tensors; in
	 * FT_INFER the two change places at every ft_layer(), and a layer that
	 * keeps nothing works in the other one. */
	struct ft_arena pass, layer[2];
	int now;
	size_t peak;

	bool plans;      /* asks for memory, and does nothing with it */
	size_t planned;  /* floats of scratch that a thread would ask for */
	struct ft_gemm_room room;
	struct ft_graph_use use;
	bool recompute;  /* layers keep only their input */
	bool unrecorded; /* within a layer that will be computed once more */
	bool wanted;     /* there: something would have been recorded */

	struct node *nodes;
	size_t count, cap;
	struct bucket *buckets;
	size_t nbuckets, bucket_cap;

	struct scratch {
		float *p;
		size_t n;
	} *scratch; /* [threads] */
	int threads;
};

struct ft_graph *ft_graph_new(void)
{
	struct ft_graph *g = ft_alloc(1, sizeof *g);
	if (!g)
		return NULL;
	g->threads = ft_threads();
	g->scratch = ft_alloc((size_t)g->threads, sizeof *g->scratch);
	if (!g->scratch) {
		free(g);
		return NULL;
	}
	return g;
}

static void forget_buckets(struct ft_graph *g)
{
	for (size_t i = 0; i < g->nbuckets; i++)
		free(g->buckets[i].free);
	g->nbuckets = 0;
}

void ft_graph_free(struct ft_graph *g)
{
	if (!g)
		return;
	forget_buckets(g);
	free(g->buckets);
	for (int i = 0; i < g->threads; i++)
		free(g->scratch[i].p);
	free(g->scratch);
	free(g->nodes);
	ft_arena_free(&g->pass);
	ft_arena_free(&g->layer[0]);
	ft_arena_free(&g->layer[1]);
	free(g);
}

/* Threads may have been added since the last pass. */
static void fit_scratch(struct ft_graph *g)
{
	int want = ft_threads();
	if (want <= g->threads)
		return;
	struct scratch *more = realloc(g->scratch, (size_t)want * sizeof *more);
	if (!more) {
		ft_graph_fail(g, ft_fail_memory((size_t)want * sizeof *more));
		return;
	}
	memset(more + g->threads, 0, (size_t)(want - g->threads) * sizeof *more);
	g->scratch = more;
	g->threads = want;
}

void ft_graph_begin(struct ft_graph *g, enum ft_mode mode, uint64_t seed, uint64_t step)
{
	g->key = ft_mix(seed, step);
	g->mode = mode;
	g->sites = 0;
	g->trunk = NULL;
	g->attentions = 0;
	g->lead = 0;
	g->error = FT_OK;
	g->macs = 0;
	g->count = 0;
	g->now = 0;
	ft_arena_reset(&g->pass);
	ft_arena_reset(&g->layer[0]);
	ft_arena_reset(&g->layer[1]);
	forget_buckets(g);
	g->unrecorded = false;
	fit_scratch(g);
}

enum ft_mode ft_graph_mode(const struct ft_graph *g) { return g->mode; }
int ft_graph_error(const struct ft_graph *g) { return g->error; }
double ft_graph_macs(const struct ft_graph *g) { return g->macs; }
void graph_count(struct ft_graph *g, double macs) { g->macs += macs; }
bool graph_training(const struct ft_graph *g) { return g->mode == FT_TRAIN; }
size_t ft_graph_peak(const struct ft_graph *g) { return g->peak; }

void ft_graph_cache(struct ft_graph *g, struct ft_cache *c) { g->cache = c; }

int64_t ft_graph_past(const struct ft_graph *g, size_t row)
{
	return g->cache && g->mode == FT_INFER ? cache_past(g->cache, row) : 0;
}

int64_t ft_graph_place(const struct ft_graph *g, size_t row)
{
	int64_t past = ft_graph_past(g, row);
	return past ? past : g->lead;
}

void ft_graph_lead(struct ft_graph *g, int64_t tokens, int64_t keys)
{
	g->lead = keys;
	if (g->cache && g->mode == FT_INFER)
		cache_lead(g->cache, tokens + keys);
}

struct ft_cache *graph_cache(struct ft_graph *g, size_t *layer)
{
	*layer = g->attentions++;
	return g->mode == FT_INFER ? g->cache : NULL;
}

int ft_graph_fail(struct ft_graph *g, int code)
{
	if (g->error == FT_OK)
		g->error = code;
	return code;
}

void graph_set_trunk(struct ft_graph *g, struct ft_trunk *t) { g->trunk = t; }
struct ft_trunk *graph_trunk(const struct ft_graph *g) { return g->trunk; }

/* ---- memory ---- */
static void note_peak(struct ft_graph *g)
{
	size_t used = g->pass.used + g->layer[0].used + g->layer[1].used;
	if (used > g->peak)
		g->peak = used;
}

void *ft_graph_alloc(struct ft_graph *g, size_t bytes)
{
	void *p = ft_arena_get(&g->pass, bytes);
	if (!p)
		ft_graph_fail(g, FT_EFAIL);
	note_peak(g);
	return p;
}

static struct bucket *find_bucket(struct ft_graph *g, size_t n)
{
	for (size_t i = 0; i < g->nbuckets; i++)
		if (g->buckets[i].n == n)
			return &g->buckets[i];
	return NULL;
}

float *graph_floats(struct ft_graph *g, size_t n)
{
	struct bucket *b = find_bucket(g, n);
	if (b && b->count)
		return b->free[--b->count];
	size_t bytes;
	void *p = ft_mul(n, sizeof(float), &bytes) ? ft_arena_get(&g->layer[g->now], bytes) : NULL;
	if (!p)
		ft_graph_fail(g, FT_EFAIL);
	note_peak(g);
	return p;
}

void graph_release(struct ft_graph *g, float *p, size_t n)
{
	struct bucket *b = p ? find_bucket(g, n) : NULL;
	if (!p)
		return;
	if (!b) {
		if (ft_grow(&g->buckets, &g->bucket_cap, g->nbuckets + 1, sizeof *b) < 0)
			return; /* then it is not used again in this pass: no harm */
		b = &g->buckets[g->nbuckets++];
		*b = (struct bucket){ .n = n };
	}
	if (ft_grow(&b->free, &b->cap, b->count + 1, sizeof *b->free) == FT_OK)
		b->free[b->count++] = p;
}

struct ft_tensor *ft_graph_tensor(struct ft_graph *g, int64_t rows, int64_t cols)
{
	struct ft_tensor *t = ft_graph_alloc(g, sizeof *t);
	if (!t)
		return NULL;
	*t = (struct ft_tensor){ .rows = rows, .cols = cols };
	t->data = graph_floats(g, tensor_size(t));
	return t->data ? t : NULL;
}

float *graph_scratch(struct ft_graph *g, size_t n)
{
	struct scratch *s = &g->scratch[ft_thread_id()];
	if (s->n < n) {
		free(s->p);
		s->p = malloc(n * sizeof *s->p);
		s->n = s->p ? n : 0;
		if (!s->p)
			ft_fail_memory(n * sizeof *s->p);
	}
	return s->p;
}

struct ft_dropout graph_dropout(struct ft_graph *g, float p)
{
	if (g->trunk && trunk_is_still(g->trunk))
		return (struct ft_dropout){ 0 };
	/* An odd constant steps the key from site to site; Philox mixes it. */
	return (struct ft_dropout){ .key = g->key + 0x9E3779B97F4A7C15u * ++g->sites, .p = graph_training(g) ? p : 0 };
}

/* ---- work, and passes that only plan it ---- */
void ft_graph_plan(struct ft_graph *g, bool on) { g->plans = on; }
bool ft_graph_plans(const struct ft_graph *g) { return g->plans; }
int64_t graph_todo(const struct ft_graph *g, int64_t n) { return g->plans ? 0 : n; }

void graph_gemm(struct ft_graph *g, const struct ft_gemm *product)
{
	struct ft_gemm p = *product;
	p.by_blocks = g->cache && g->mode == FT_INFER; /* generating, a few rows at a time */
	if (g->plans)
		ft_gemm_plan(&p, &g->room);
	else
		ft_gemm(&p);
}

void graph_share(const struct ft_graph *g, size_t n, double work, void (*f)(void *ctx, size_t i), void *ctx)
{
	ft_parallel_work((size_t)graph_todo(g, (int64_t)n), work, f, ctx);
}

void graph_copy(const struct ft_graph *g, float *to, const float *from, size_t n)
{
	if (!g->plans)
		memcpy(to, from, n * sizeof *to);
}

void graph_add(const struct ft_graph *g, float *to, const float *from, size_t n)
{
	if (!g->plans)
		ft_kernels()->add(to, from, n);
}

void graph_zero(const struct ft_graph *g, float *p, size_t n)
{
	if (!g->plans)
		memset(p, 0, n * sizeof *p);
}

void graph_plan_scratch(struct ft_graph *g, size_t n)
{
	if (g->plans && n > g->planned)
		g->planned = n;
}

void graph_plan_table(const struct ft_graph *g, struct ft_tensor *table)
{
	if (g->plans && table->touched)
		memset(table->touched, 1, (size_t)table->rows);
}

struct ft_graph_use ft_graph_use(struct ft_graph *g)
{
	size_t threads = (size_t)g->threads;
	size_t now = ft_arena_resident(&g->pass) + ft_arena_resident(&g->layer[0]) + ft_arena_resident(&g->layer[1]);
	g->use.tensors = now > g->use.tensors ? now : g->use.tensors;
	g->use.scratch = threads * g->planned * sizeof(float);
	g->use.products = g->room.shared + threads * g->room.own;
	return g->use;
}

/* ---- recording ---- */
bool graph_ready(struct ft_graph *g, struct ft_tensor *const *in, int n)
{
	if (g->error)
		return false;
	for (int i = 0; i < n; i++)
		if (!in[i])
			return ft_graph_fail(g, ft_fail(FT_EFAIL, "an operation lacks an operand")), false;
	return true;
}

static struct node *push_node(struct ft_graph *g, enum op op, struct ft_tensor *out, struct ft_tensor *const *in, int n)
{
	if (ft_grow(&g->nodes, &g->cap, g->count + 1, sizeof *g->nodes) < 0) {
		ft_graph_fail(g, FT_EFAIL);
		return NULL;
	}
	struct node *node = &g->nodes[g->count++];
	*node = (struct node){ .op = op, .out = out };
	memcpy(node->in, in, (size_t)n * sizeof *in);
	out->needs_grad = true;
	return node;
}

struct node *graph_record(struct ft_graph *g, enum op op, struct ft_tensor *out, struct ft_tensor *const *in, int n)
{
	bool wanted = false;
	out->place = in[0]->place; /* an operation whose rows are not those of its first operand sets it afterwards */
	for (int i = 0; i < n; i++)
		wanted = wanted || (in[i] && in[i]->needs_grad);
	if (g->mode == FT_INFER || !wanted)
		return NULL;
	if (g->unrecorded) {
		out->needs_grad = g->wanted = true;
		return NULL;
	}
	return push_node(g, op, out, in, n);
}

struct node *graph_record_layer(struct ft_graph *g, struct ft_tensor *out, struct ft_tensor *x)
{
	return push_node(g, OP_layer, out, &x, 1);
}

/* ---- layers ---- */
bool graph_recorded(const struct ft_graph *g) { return g->count > 0; }
bool graph_recomputes(const struct ft_graph *g) { return g->recompute && g->mode != FT_INFER; }
void ft_graph_recompute(struct ft_graph *g, bool on) { g->recompute = on; }

void graph_turn_page(struct ft_graph *g)
{
	g->now = !g->now;
	ft_arena_reset(&g->layer[g->now]);
	forget_buckets(g);
}

void graph_enter(struct ft_graph *g, struct graph_outside *o, bool recording)
{
	*o = (struct graph_outside){ .buckets = g->buckets, .nbuckets = g->nbuckets, .cap = g->bucket_cap, .count = g->count,
	                             .now = g->now, .unrecorded = g->unrecorded };
	g->buckets = NULL;
	g->nbuckets = g->bucket_cap = 0;
	g->now = !g->now;
	g->unrecorded = !recording;
	g->wanted = false;
	ft_arena_reset(&g->layer[g->now]);
}

bool graph_wanted(const struct ft_graph *g) { return g->wanted; }

void graph_leave(struct ft_graph *g, const struct graph_outside *o)
{
	forget_buckets(g);
	free(g->buckets);
	g->buckets = o->buckets;
	g->nbuckets = o->nbuckets;
	g->bucket_cap = o->cap;
	g->count = o->count;
	g->now = o->now;
	g->unrecorded = o->unrecorded;
}

void graph_stay(struct ft_graph *g, const struct graph_outside *o)
{
	for (size_t i = 0; i < o->nbuckets; i++)
		free(o->buckets[i].free);
	free(o->buckets);
	g->unrecorded = o->unrecorded;
}

uint64_t *graph_sites(struct ft_graph *g) { return &g->sites; }

/* ---- gradients ---- */

/* A table with rows marked as touched becomes dense: the others get their zeros, if there
 * is a gradient at all. */
static void make_dense(const struct ft_graph *g, struct ft_tensor *t)
{
	for (int64_t r = 0; t->has_grad && r < graph_todo(g, t->rows); r++)
		if (!t->touched[r])
			memset(t->grad + r * t->cols, 0, (size_t)t->cols * sizeof *t->grad);
	t->dense = true;
}

float *ft_grad(struct ft_graph *g, struct ft_tensor *t, bool *fresh)
{
	if (t->touched && !t->dense)
		make_dense(g, t);
	*fresh = !t->has_grad;
	if (!t->grad)
		t->grad = graph_floats(g, tensor_size(t));
	t->has_grad = true;
	return t->grad;
}

float *graph_zeroed_grad(struct ft_graph *g, struct ft_tensor *t)
{
	bool fresh;
	float *dx = ft_grad(g, t, &fresh);
	if (dx && fresh)
		graph_zero(g, dx, tensor_size(t));
	return dx;
}

float *graph_take_grad(struct node *n, struct ft_tensor *t)
{
	if (t->grad || t->has_grad || tensor_size(t) != tensor_size(n->out))
		return NULL;
	t->grad = n->out->grad;
	t->has_grad = true;
	n->out->grad = NULL;
	return t->grad;
}

int graph_pass_grad(struct ft_graph *g, struct node *n, struct ft_tensor *t)
{
	if (graph_take_grad(n, t))
		return FT_OK;
	bool fresh;
	float *dt = ft_grad(g, t, &fresh);
	if (!dt)
		return FT_EFAIL;
	if (fresh)
		graph_copy(g, dt, n->out->grad, tensor_size(t));
	else
		graph_add(g, dt, n->out->grad, tensor_size(t));
	return FT_OK;
}

/* True when x is the newest recorded output and its operation does not look at
 * its output on the way back, or when x is not recorded at all. */
static bool output_is_free(const struct ft_graph *g, const struct ft_tensor *x)
{
	if (!x->needs_grad || g->unrecorded)
		return true;
	const struct node *n = g->count ? &g->nodes[g->count - 1] : NULL;
	if (!n || n->out != x)
		return false;
	switch (n->op) {
	case OP_linear:
	case OP_low_rank:
	case OP_rescale:
	case OP_add_rows:
	case OP_layer_norm:
	case OP_rms_norm:
	case OP_rope:
	case OP_gate: return true;
	default: return false;
	}
}

struct ft_tensor *graph_take_over(struct ft_graph *g, struct ft_tensor *x)
{
	if (!output_is_free(g, x)) {
		struct ft_tensor *y = ft_graph_tensor(g, x->rows, x->cols);
		if (y)
			graph_copy(g, y->data, x->data, tensor_size(x));
		return y;
	}
	struct ft_tensor *y = ft_graph_alloc(g, sizeof *y);
	if (!y)
		return NULL;
	*y = (struct ft_tensor){ .data = x->data, .rows = x->rows, .cols = x->cols };
	x->data = NULL;
	return y;
}

static int (*const backward[OP_COUNT])(struct ft_graph *, struct node *) = {
#define X(name) [OP_##name] = op_##name##_back,
#include "ops.def"
#undef X
};

int graph_walk(struct ft_graph *g, size_t from)
{
	while (g->count > from) {
		struct node n = g->nodes[--g->count]; /* a copy: a layer records in its place */
		int rc = n.out->has_grad ? backward[n.op](g, &n) : FT_OK;
		if (rc < 0)
			ft_graph_fail(g, rc);
		if (g->error)
			return g->error;
		/* Whoever used this output has been walked already. */
		graph_release(g, n.out->grad, tensor_size(n.out));
		graph_release(g, n.out->data, tensor_size(n.out));
		n.out->grad = n.out->data = NULL;
	}
	return FT_OK;
}

int ft_backward(struct ft_graph *g, struct ft_tensor *loss)
{
	if (!graph_ready(g, &loss, 1))
		return g->error;
	bool fresh;
	float *ones = ft_grad(g, loss, &fresh);
	if (!ones)
		return g->error;
	for (int64_t i = 0; i < graph_todo(g, (int64_t)tensor_size(loss)); i++)
		ones[i] = 1.0f;
	return graph_walk(g, 0);
}

/* ---- ranges ---- */
struct ranges {
	graph_range *f;
	void *ctx;
	size_t n;
};

static void one_range(void *ctx, size_t i)
{
	const struct ranges *r = ctx;
	size_t from = i * RUN;
	r->f(r->ctx, from, r->n - from < RUN ? r->n - from : RUN);
}

void graph_each(const struct ft_graph *g, size_t n, graph_range *f, void *ctx)
{
	struct ranges r = { f, ctx, n };
	ft_parallel((size_t)graph_todo(g, (int64_t)((n + RUN - 1) / RUN)), one_range, &r);
}
