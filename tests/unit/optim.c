/* optim.c - updates against plain double arithmetic, tables whose gradient is
 * sparse against the same ones dense, and schedules. */
#include "ft/optim.h"
#include "tests/tap.h"
#include "tests/unit/small.h"

#include <math.h>

#define STEPS 6

/* The feed-forward matrices are as large as those must be whose state adamw8bit keeps in bytes. */
static const struct small small = { .width = 20, .inner = 240, .layers = 1, .heads = 2, .vocabulary = 41, .positions = 12,
	                            .head = "{\"type\":\"mlm\"}" };

static size_t count(const struct ft_param *p) { return (size_t)p->t.rows * (size_t)p->t.cols; }

/* ---- one parameter, followed in double ---- */
struct reference {
	double *w, *m, *v;
};

static void reference_step(struct reference *r, const struct ft_optim_options *o, const float *g, size_t n, int step,
                           double rate, double scale, double decay)
{
	bool sgd = strcmp(o->name, "sgd") == 0;
	for (size_t i = 0; i < n; i++) {
		double gi = scale * g[i];
		if (sgd) {
			r->m[i] = o->momentum * r->m[i] + gi + decay * r->w[i];
			r->w[i] -= rate * r->m[i];
			continue;
		}
		r->m[i] = o->beta1 * r->m[i] + (1 - o->beta1) * gi;
		r->v[i] = o->beta2 * r->v[i] + (1 - o->beta2) * gi * gi;
		r->w[i] -= rate * decay * r->w[i];
		r->w[i] -= rate * r->m[i] / (1 - pow(o->beta1, step)) /
		           (sqrt(r->v[i] / (1 - pow(o->beta2, step))) + o->eps);
	}
}

static void check_update(const struct ft_optim_options *o, const char *name, double multiplier)
{
	struct ft_model *m = small_model(&small);
	struct ft_param *p = ft_model_find(m, name);
	size_t n = count(p);
	struct reference r = { malloc(n * sizeof(double)), calloc(n, sizeof(double)), calloc(n, sizeof(double)) };
	double worst = 0;
	for (size_t i = 0; i < n; i++)
		r.w[i] = p->t.data[i] += 0.5f; /* so that decay shows, also on what begins at 0 */
	p->rate = multiplier;
	struct ft_optim *optim = ft_optim_new(m, o);
	for (int s = 1; s <= STEPS; s++) {
		for (size_t i = 0; i < n; i++)
			p->t.grad[i] = (float)sin((double)(i + 1) * s);
		p->t.has_grad = p->t.dense = true;
		reference_step(&r, o, p->t.grad, n, s, 0.01 * s * multiplier, 0.5, p->decays ? o->weight_decay : 0);
		ft_optim_step(optim, 0.01 * s, 0.5);
	}
	for (size_t i = 0; i < n; i++)
		worst = fmax(worst, fabs(p->t.data[i] - r.w[i]));
	ok(worst < 1e-6 && !p->t.has_grad,
	   "%s of %s at %g times the rate: off by %.1g", o->name, name, multiplier, worst);
	free(r.w);
	free(r.m);
	free(r.v);
	ft_optim_free(optim);
	ft_model_free(m);
}

/* ---- tables: the same training with gradients of the rows used, and of all ---- */
static struct ft_model *train(const struct ft_optim_options *o, bool dense, bool masked)
{
	struct small shape = small;
	shape.head = masked ? "{\"type\":\"mlm\"}" : "{\"type\":\"classify\",\"labels\":[\"a\",\"b\"]}";
	struct ft_model *m = small_model(&shape);
	struct ft_optim *optim = ft_optim_new(m, o);
	struct ft_graph *g = ft_graph_new();
	static const char *const tables[] = { "embed.word.weight", "embed.position.weight", "embed.type.weight" };
	for (int s = 0; s < STEPS; s++) {
		/* Ids below 30 and, every other step, from 10: some rows come, go and come
		 * again, those from 30 never. In step 3 there are two batches. */
		for (int part = 0; part <= (s == 3); part++) {
			struct small_batch b;
			struct ft_output out;
			small_batch(&b, 3, 4 + s, s % 2 ? 10 : 0, 30, (uint64_t)(10 * s + part), masked);
			ft_graph_begin(g, FT_TRAIN, 1, (uint64_t)s);
			ft_model_step(m, g, &b.batch, &out);
		}
		for (int t = 0; dense && t < 3; t++) {
			bool fresh;
			ft_grad(g, &ft_model_find(m, tables[t])->t, &fresh);
		}
		ft_optim_step(optim, 0.01, 0.1);
	}
	ft_graph_free(g);
	ft_optim_free(optim);
	return m;
}

static void check_tables(const struct ft_optim_options *o, bool masked)
{
	struct ft_model *sparse = train(o, false, masked), *dense = train(o, true, masked);
	int differ = 0;
	for (size_t i = 0; i < ft_model_params(sparse); i++) {
		const struct ft_param *a = ft_model_param(sparse, i), *b = ft_model_param(dense, i);
		if (memcmp(a->t.data, b->t.data, count(a) * sizeof(float)) == 0)
			continue;
		differ++;
		printf("# %s differs\n", a->name);
	}
	is_int(differ, 0, "the same bits from sparse and from dense gradients");
	printf("# (%s, decay %g, %s)\n", o->name, o->weight_decay, masked ? "tied decoder" : "classifier");
	ft_model_free(sparse);
	ft_model_free(dense);
}

/* ---- pieces: with them and the weights another optimizer goes on, to the bit ---- */
static void take_steps(struct ft_model *m, struct ft_optim *optim, struct ft_graph *g, int from, int to)
{
	for (int s = from; s < to; s++) {
		struct small_batch b;
		struct ft_output out;
		small_batch(&b, 3, 4, s % 2 ? 10 : 0, 20 + s, (uint64_t)s, false);
		ft_graph_begin(g, FT_TRAIN, 1, (uint64_t)s);
		ft_model_step(m, g, &b.batch, &out);
		ft_optim_step(optim, 0.01, 0.1);
	}
}

static void check_pieces(const struct ft_optim_options *o)
{
	struct small shape = small;
	shape.head = "{\"type\":\"classify\",\"labels\":[\"a\",\"b\"]}";
	struct ft_model *whole = small_model(&shape), *parts = small_model(&shape);
	struct ft_optim *of_whole = ft_optim_new(whole, o), *first = ft_optim_new(parts, o);
	struct ft_graph *g = ft_graph_new();
	take_steps(whole, of_whole, g, 0, STEPS);
	take_steps(parts, first, g, 0, STEPS / 2);
	is_int(ft_optim_steps(first), STEPS / 2, "steps are counted");
	struct ft_optim *second = ft_optim_new(parts, o);
	struct ft_piece from, to;
	size_t n = 0;
	int alike = 1;
	for (; ft_optim_piece(first, n, &from); n++) {
		alike = alike && ft_optim_piece(second, n, &to) && strcmp(from.what, to.what) == 0 && from.bytes == to.bytes;
		if (alike)
			memcpy(to.data, from.data, from.bytes);
	}
	ok(alike && n > 0 && !ft_optim_piece(second, n, &to), "%s: equal models have the same %zu pieces", o->name, n);
	ft_optim_resume(second, ft_optim_steps(first));
	take_steps(parts, second, g, STEPS / 2, STEPS);
	int differ = 0;
	for (size_t i = 0; i < ft_model_params(whole); i++) {
		const struct ft_param *a = ft_model_param(whole, i), *b = ft_model_param(parts, i);
		differ += memcmp(a->t.data, b->t.data, count(a) * sizeof(float)) != 0;
	}
	is_int(differ, 0, "what goes on from its pieces ends with the same bits");
	ft_graph_free(g);
	ft_optim_free(of_whole);
	ft_optim_free(first);
	ft_optim_free(second);
	ft_model_free(whole);
	ft_model_free(parts);
}

/* ---- norm, clearing, what is frozen ---- */
static void check_norm(const struct ft_optim_options *o)
{
	struct ft_model *m = small_model(&small);
	struct ft_graph *g = ft_graph_new();
	struct ft_param *frozen = ft_model_find(m, "layer.0.attn.q.weight");
	frozen->trains = frozen->t.needs_grad = false;
	struct ft_optim *optim = ft_optim_new(m, o);
	is_near(ft_optim_norm(optim), 0, 0, "the norm of nothing is 0");
	struct small_batch b;
	struct ft_output out;
	double sum = 0;
	small_batch(&b, 2, 5, 0, 30, 1, true);
	ft_graph_begin(g, FT_TRAIN, 1, 1);
	ft_model_step(m, g, &b.batch, &out);
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		for (size_t k = 0; p->t.has_grad && k < count(p); k++)
			if (!p->t.touched || p->t.dense || p->t.touched[k / (size_t)p->t.cols])
				sum += (double)p->t.grad[k] * p->t.grad[k];
	}
	is_near(ft_optim_norm(optim), sqrt(sum), 1e-6, "the norm of all gradients");
	ok(!frozen->t.grad && !frozen->t.has_grad, "what is frozen has no memory for a gradient");
	ft_optim_clear(optim);
	is_near(ft_optim_norm(optim), 0, 0, "cleared");
	float before = ft_model_find(m, "head.dense.weight")->t.data[0];
	ft_optim_step(optim, 0.1, 1);
	is_near(ft_model_find(m, "head.dense.weight")->t.data[0], before, 0, "a step without gradients moves nothing");
	ft_optim_free(optim);
	ft_graph_free(g);
	ft_model_free(m);
}

/* ---- memory ---- */
static void check_bytes(void)
{
	struct ft_model *m = small_model(&small);
	const struct ft_param *p = ft_model_find(m, "layer.0.ffn.up.weight"), *bias = ft_model_find(m, "layer.0.ffn.up.bias");
	const struct ft_param *table = ft_model_find(m, "embed.word.weight");
	is_int(ft_optim_bytes("adamw", p), 8 * 4800, "adamw: 8 bytes a weight");
	is_int(ft_optim_bytes("sgd", p), 4 * 4800, "sgd: 4");
	is_int(ft_optim_bytes("lion", p), 4 * 4800, "lion: 4");
	is_int(ft_optim_bytes("adamw8bit", p), 2 * 4800 + 2 * 4 * 19, "adamw8bit: 2, and 8 for each 256");
	is_int(ft_optim_bytes("adamw8bit", bias), 8 * 240, "of what is small 8");
	is_int(ft_optim_bytes("adamw8bit", table), 8 * 20 * 41, "of a table 8");
	is_int(ft_optim_bytes("adafactor", p), 4 * (240 + 20), "adafactor: 4 bytes a row and a column");
	is_int(ft_optim_bytes("adafactor", bias), 4 * 240, "of a vector 4 bytes a weight");
	ok(ft_optim_bytes("adam", p) < 0 && ft_last_error() == FT_EUSAGE, "an unknown optimizer");
	is_near(ft_optim_rate("adamw", 384), 1e-4, 1e-12, "the rate for a width");
	is_near(ft_optim_rate("lion", 768), 5e-6, 1e-12, "and for an optimizer");
	ok(ft_optim_rate("adam", 768) < 0, "that is known");
	ft_model_free(m);
}

static void check_schedules(void)
{
	int linear = ft_schedule_parse("linear"), cosine = ft_schedule_parse("cosine"), constant = ft_schedule_parse("constant");
	ok(linear >= 0 && cosine >= 0 && constant >= 0 && ft_schedule_parse("square") == FT_EUSAGE,
	   "names of schedules");
	/* transformers.get_linear_schedule_with_warmup(optimizer, 4, 20) */
	is_near(ft_schedule(linear, 0, 4, 20), 0, 0, "linear: begins at 0");
	is_near(ft_schedule(linear, 3, 4, 20), 0.75, 0, "rises");
	is_near(ft_schedule(linear, 4, 4, 20), 1, 0, "to 1");
	is_near(ft_schedule(linear, 12, 4, 20), 0.5, 1e-12, "and falls");
	is_near(ft_schedule(linear, 20, 4, 20), 0, 0, "to 0");
	is_near(ft_schedule(linear, 25, 4, 20), 0, 0, "and not below");
	is_near(ft_schedule(cosine, 8, 4, 20), 0.5 * (1 + cos(M_PI * 0.25)), 1e-12, "cosine: falls as half a wave");
	is_near(ft_schedule(cosine, 20, 4, 20), 0, 1e-12, "to 0");
	is_near(ft_schedule(constant, 400, 4, 20), 1, 0, "constant: stays");
	is_near(ft_schedule(linear, 0, 0, 20), 1, 0, "no warmup: begins at 1");
	is_near(ft_schedule(linear, 5, 5, 5), 0, 0, "all warmup");
}

int main(void)
{
	struct ft_optim_options adamw = { .name = "adamw", .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1 };
	struct ft_optim_options sgd = { .name = "sgd", .momentum = 0.9, .weight_decay = 0.1 };
	check_update(&adamw, "layer.0.ffn.up.weight", 1);
	check_update(&adamw, "layer.0.ffn.up.bias", 0.5);
	check_update(&adamw, "embed.word.weight", 1);
	check_update(&sgd, "layer.0.ffn.up.weight", 2);
	check_update(&sgd, "layer.0.ffn.norm.weight", 1);
	check_update(&sgd, "embed.word.weight", 1);
	static const char *const names[] = { "adamw", "sgd", "lion", "adafactor", "adamw8bit" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (int k = 0; k < 4; k++) {
			struct ft_optim_options o = { .name = names[i], .beta1 = NAN, .beta2 = NAN, .eps = 1e-8, .momentum = 0.9,
				                      .weight_decay = k / 2 ? 0.1 : 0, .beta2_decay = 0.8, .clip_update = 1,
				                      .relative = k % 2 };
			check_tables(&o, k % 2);
			if (k > 1)
				check_pieces(&o);
		}
	check_bytes();
	check_norm(&adamw);
	check_schedules();
	return tap_done();
}
