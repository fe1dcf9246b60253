/* thread.c - any number of threads gives the same bits: loops, and whole
 * training steps whose products are cut into tiles. */
#include "ft/optim.h"
#include "ft/rng.h"
#include "ft/thread.h"
#include "tests/tap.h"
#include "tests/unit/small.h"

#include <math.h>

/* ---- loops ---- */
#define ITEMS 1000
static int seen[ITEMS], beyond;

static void see(void *ctx, size_t i)
{
	const int *limit = ctx;
	__atomic_add_fetch(&seen[i], 1, __ATOMIC_RELAXED);
	if (ft_thread_id() < 0 || ft_thread_id() >= *limit)
		__atomic_add_fetch(&beyond, 1, __ATOMIC_RELAXED);
}

static void check_loops(void)
{
	for (int threads = 1; threads <= 7; threads += 3)
		for (size_t n = 0; n <= ITEMS; n = n ? n * 10 : 1) {
			memset(seen, 0, sizeof seen);
			beyond = 0;
			ft_threads_set(threads);
			ft_parallel(n, see, &threads);
			int once = 0;
			for (size_t i = 0; i < ITEMS; i++)
				once += seen[i] == (i < n);
			ok(once == ITEMS && !beyond, "%zu items on %d threads, each once", n, threads);
		}
	ft_threads_set(0);
	ok(ft_threads() >= 1, "no number: one a core");
}

/* ---- training ---- */
static const struct small shape = { .width = 96, .inner = 832, .layers = 2, .heads = 4, .vocabulary = 1100,
	                            .positions = 300 };

struct result {
	struct ft_model *m;
	double norm[3], loss[3];
};

static void run(struct result *r, const char *head, const char *optimizer, int threads)
{
	struct ft_optim_options o = { .name = optimizer, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .momentum = 0.9,
		                      .weight_decay = 0.01, .beta2_decay = 0.8, .clip_update = 1, .relative = true };
	struct small s = shape;
	bool masked = strstr(head, "mlm") != NULL;
	s.head = head;
	ft_threads_set(threads);
	r->m = small_model(&s);
	struct ft_optim *optim = ft_optim_new(r->m, &o);
	struct ft_graph *g = ft_graph_new();
	for (int step = 0; step < 3; step++) {
		struct small_batch b;
		struct ft_output out;
		/* 794 tokens: products of 2 x 2 tiles, rows of several blocks of queries. */
		small_batch(&b, 4, 200, 0, shape.vocabulary, (uint64_t)step, masked);
		ft_graph_begin(g, FT_TRAIN, 3, (uint64_t)step);
		if (ft_model_step(r->m, g, &b.batch, &out) < 0)
			ok(0, "a step");
		r->loss[step] = out.loss_sum;
		r->norm[step] = ft_optim_norm(optim);
		ft_optim_step(optim, 0.01, 1 / out.weight);
	}
	ft_graph_free(g);
	ft_optim_free(optim);
}

static int differences(const struct result *a, const struct result *b)
{
	int differ = 0;
	for (size_t i = 0; i < ft_model_params(a->m); i++) {
		const struct ft_param *p = ft_model_param(a->m, i), *q = ft_model_param(b->m, i);
		differ += memcmp(p->t.data, q->t.data, (size_t)p->t.rows * (size_t)p->t.cols * sizeof(float)) != 0;
	}
	return differ + (memcmp(a->norm, b->norm, sizeof a->norm) != 0) + (memcmp(a->loss, b->loss, sizeof a->loss) != 0);
}

static void check_training(const char *head, const char *optimizer)
{
	static const int counts[] = { 2, 3, 5, 8 };
	struct result one, many;
	run(&one, head, optimizer, 1);
	ok(isfinite(one.loss[2]) && one.loss[2] != one.loss[0], "%s, %s: trains", head, optimizer);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		run(&many, head, optimizer, counts[i]);
		is_int(differences(&one, &many), 0, "the same bits on one thread and on more");
		ft_model_free(many.m);
	}
	ft_model_free(one.m);
}

/* A graph outlives a change of the number of threads. */
static void check_change(void)
{
	struct small s = shape;
	s.head = "{\"type\":\"mlm\"}";
	ft_threads_set(1);
	struct ft_model *m = small_model(&s);
	struct ft_graph *g = ft_graph_new();
	struct small_batch b;
	struct ft_output out;
	double loss[2];
	small_batch(&b, 4, 200, 0, shape.vocabulary, 1, true);
	for (int i = 0; i < 2; i++) {
		ft_threads_set(i ? 8 : 1);
		is_int(ft_model_eval(m, g, &b.batch, &out), 0, "a pass");
		loss[i] = out.loss_sum;
	}
	ok(loss[0] == loss[1], "more threads than when the graph was made");
	ft_graph_free(g);
	ft_model_free(m);
}

int main(void)
{
	check_loops();
	check_training("{\"type\":\"mlm\"}", "adamw");
	static const char *const names[] = { "sgd", "lion", "adafactor", "adamw8bit" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		check_training("{\"type\":\"classify\",\"labels\":[\"a\",\"b\"]}", names[i]);
	check_change();
	return tap_done();
}
