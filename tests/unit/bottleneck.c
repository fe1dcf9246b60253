/* bottleneck.c - bottleneck adapters against AdapterHub's library (tests/ref/README.md): outputs and gradients of every kind
 * in every family that it knows; that the base stays as it is, and what is computed again, in pieces or after reading
 * is the same. */
#include "ft/cache.h"
#include "ft/optim.h"
#include "ft/rng.h"
#include "tests/reference.h"

#include <unistd.h>

#define CASES "tests/ref/adapterhub/"

static const char *text_of(const json_t *c, const char *key) { return json_string_value(json_object_get(c, key)); }

static struct ft_model *open_with(const char *path, const char *base, const char *options, unsigned flags)
{
	const struct ft_plan_technique technique = { "bottleneck", options };
	struct ft_plan plan = { .techniques = &technique, .ntechniques = options ? 1 : 0, .last_layers = -1, .layer_decay = 1,
		                .seed = FT_NO_SEED };
	return options ? ft_model_plan(path, base, &plan, flags) : ft_model_open(path, base, flags);
}

static struct ft_model *open_case(const json_t *c)
{
	char dir[160];
	snprintf(dir, sizeof dir, "tests/ref/%s", text_of(c, "model"));
	return open_with(dir, NULL, text_of(c, "bottleneck"), 0);
}

/* The parameter's name where the adapter is called otherwise. */
static const char *theirs(const struct ft_param *p, const char *adapter)
{
	static char name[200];
	const char *at = strstr(p->file, ".bottleneck.");
	if (!at)
		return p->file;
	snprintf(name, sizeof name, "%.*s.%s.%s", (int)(at - p->file), p->file, adapter, at + strlen(".bottleneck."));
	return name;
}

static bool is_own(const struct ft_param *p) { return strstr(p->name, ".bottleneck.") != NULL; }

/* The values of the adapter that the library has saved. */
static bool take_values(struct ft_model *m, const json_t *c)
{
	char path[160];
	snprintf(path, sizeof path, CASES "%s/adapter.safetensors", text_of(c, "name"));
	struct ft_safetensors *s = ft_safetensors_open(path);
	size_t found = 0, own = 0;
	for (size_t i = 0; s && i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		const struct ft_stored *t = is_own(p) ? ft_safetensors_find(s, theirs(p, text_of(c, "adapter"))) : NULL;
		own += is_own(p);
		if (t && t->bytes == 4 * (size_t)(p->t.rows * p->t.cols)) {
			memcpy(p->t.data, t->data, t->bytes);
			found++;
		}
	}
	bool all = s && own > 0 && found == own && found == ft_safetensors_count(s);
	ft_safetensors_close(s);
	return all;
}

/* ---- outputs and gradients ---- */

static void check_named_gradients(struct ft_model *m, struct ft_safetensors *want, const char *adapter, double scale,
                                  const char *what)
{
	double most = 0;
	size_t checked = 0;
	const char *which = "";
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		char name[220];
		snprintf(name, sizeof name, "grad.%s", theirs(p, adapter));
		const struct ft_stored *t = ft_safetensors_find(want, name);
		for (int64_t k = 0; t && k < p->t.rows * p->t.cols; k++)
			p->t.grad[k] *= (float)scale;
		double d = t ? relative(p->t.grad, t) : 0;
		checked += t != NULL;
		if (!(d <= most)) {
			most = d;
			which = p->name;
		}
	}
	ok(most < 1e-4 && checked == ft_safetensors_count(want) - 1, "%s: %zu gradients, worst %.2g of its norm (%s)", what, checked,
	   most, which);
}

static double forward_loss(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b)
{
	struct ft_output out = { 0 };
	return ft_model_eval(m, g, b, &out) == FT_OK ? out.loss_sum / out.weight : NAN;
}

/* relu has kinks, which differences step over: the adapter's usual one, and RoBERTa's here. */
static bool is_smooth(const json_t *c)
{
	const char *options = text_of(c, "bottleneck");
	return (strstr(options, "houlsby") || strstr(options, "activation=")) && !strstr(text_of(c, "model"), "roberta");
}

/* The derivative of the loss along a random direction of the adapter's parameters, by finite differences of float32. */
static void check_slope(struct ft_model *m, struct ft_graph *g, const struct ft_batch *b, const char *what)
{
	static const double at[] = { -2, -1, 1, 2 }, share[] = { 1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12 };
	double slope = 0, differences = 0, step = 0.005, size = 0;
	for (int k = -1; k < 4; k++) {
		struct ft_rng r;
		ft_rng_init(&r, 5, 5);
		for (int back = 0; back < (k < 0 ? 1 : 2); back++) {
			ft_rng_init(&r, 5, 5);
			for (size_t i = 0; i < ft_model_params(m); i++) {
				struct ft_param *p = ft_model_param(m, i);
				for (int64_t j = 0; is_own(p) && j < p->t.rows * p->t.cols; j++) {
					double d = ft_rng_normal(&r);
					if (k < 0) {
						slope += d * p->t.grad[j];
						size += (double)p->t.grad[j] * p->t.grad[j];
					} else {
						p->t.data[j] += (float)((back ? -1 : 1) * at[k] * step * d);
					}
				}
			}
			if (k >= 0 && !back)
				differences += share[k] * forward_loss(m, g, b) / step;
		}
	}
	ok(fabs(slope - differences) < 1e-3 * sqrt(size), "%s: slope %.6g, by differences %.6g", what, slope, differences);
}

static void check_case(const json_t *c)
{
	struct ft_optim_options o = { .name = "sgd" };
	const char *name = text_of(c, "name");
	struct ft_model *m = open_case(c);
	struct ft_optim *optim = m ? ft_optim_new(m, &o) : NULL;
	struct ft_graph *g = ft_graph_new();
	char path[160];
	static struct held h;
	struct ft_output out = { 0 };
	snprintf(path, sizeof path, CASES "%s.safetensors", name);
	struct ft_safetensors *want = ft_safetensors_open(path);
	double loss = json_number_value(json_object_get(c, "loss"));
	if (!ok(optim && want && take_values(m, c), "%s opens: %s", name, ft_message()))
		return;
	take_batch(&h, c, false);
	ft_graph_begin(g, FT_CHECK, 0, 0);
	is_int(ft_model_step(m, g, &h.b, &out), 0, "a step");
	const struct ft_stored *logits = ft_safetensors_find(want, "logits");
	double most = out.logits ? worst(out.logits, logits) : worst_token(&out, logits, &h.b);
	ok(most < 1e-5, "%s: %s, worst %.2g", name, out.logits ? "logits" : "losses of tokens", most);
	is_near(out.loss_sum / out.weight, loss, 1e-5, "loss");
	is_near(forward_loss(m, g, &h.b), loss, 1e-5, "the same in inference");
	check_named_gradients(m, want, text_of(c, "adapter"), 1 / out.weight, name);
	if (is_smooth(c))
		check_slope(m, g, &h.b, name);
	ft_safetensors_close(want);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
}

/* ---- the base ---- */

/* Losses of all units of a pass; from malloc. */
static float *losses_of(struct ft_model *m, const struct ft_batch *b, size_t *n)
{
	struct ft_graph *g = ft_graph_new();
	struct ft_output out = { 0 };
	float *copy = NULL;
	if (ft_model_eval(m, g, b, &out) == FT_OK) {
		*n = out.units;
		copy = malloc(out.units * sizeof *copy);
		memcpy(copy, out.loss, out.units * sizeof *copy);
	}
	ft_graph_free(g);
	return copy;
}

static bool same_losses(struct ft_model *a, struct ft_model *b, const struct ft_batch *batch)
{
	size_t n = 0, k = 1;
	float *x = losses_of(a, batch, &n), *y = losses_of(b, batch, &k);
	bool same = x && y && n == k && memcmp(x, y, n * sizeof *x) == 0;
	free(x);
	free(y);
	return same;
}

static void check_plain(const json_t *c)
{
	char dir[160];
	static struct held h;
	snprintf(dir, sizeof dir, "tests/ref/%s", text_of(c, "model"));
	struct ft_model *m = open_case(c), *base = ft_model_open(dir, NULL, 0);
	take_batch(&h, c, false);
	if (ok(m && base && take_values(m, c), "%s opens", text_of(c, "name"))) {
		ok(!same_losses(m, base, &h.b), "it changes what the model says");
		ft_model_plain(m, true);
		ok(same_losses(m, base, &h.b), "switched off, it is the base to the bit");
		ft_model_plain(m, false);
		ok(!same_losses(m, base, &h.b), "and on again");
		is_int(ft_model_merge(m), FT_EUSAGE, "it cannot be merged");
		ok(strstr(ft_message(), "bottleneck cannot be merged") != NULL, "%s", ft_message());
	}
	ft_model_free(m);
	ft_model_free(base);
}

/* ---- training ---- */
static void train(struct ft_model *m, const struct ft_batch *b, int steps, uint64_t first, bool recompute)
{
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_optim *optim = ft_optim_new(m, &o);
	struct ft_graph *g = ft_graph_new();
	struct ft_output out = { 0 };
	int rc = FT_OK;
	ft_model_dropout(m, 0.1);
	ft_graph_recompute(g, recompute);
	for (int i = 0; i < steps; i++) {
		ft_graph_begin(g, FT_TRAIN, 9, first + (uint64_t)i);
		rc = rc ? rc : ft_model_step(m, g, b, &out);
		ft_optim_step(optim, 0.05, 1 / out.weight);
	}
	is_int(rc, FT_OK, "trains");
	for (size_t i = 0; i < ft_model_params(m); i++)
		ft_model_param(m, i)->stored = ft_model_param(m, i)->trains;
	ft_graph_free(g);
	ft_optim_free(optim);
}

/* How many parameters differ: of the adapter, and of the base (but for head and pooler, which train). */
static void count_changes(struct ft_model *a, struct ft_model *b, int *own, int *others)
{
	*own = *others = 0;
	for (size_t i = 0; i < ft_model_params(a); i++) {
		const struct ft_param *p = ft_model_param(a, i), *q = ft_model_find(b, p->name);
		size_t n = (size_t)(p->t.rows * p->t.cols);
		float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
		ft_tensor_floats(&p->t, 0, p->t.rows, x);
		ft_tensor_floats(&q->t, 0, q->t.rows, y);
		*(is_own(p) || p->trains ? own : others) += memcmp(x, y, n * sizeof *x) != 0;
		free(x);
		free(y);
	}
}

static void check_training(const json_t *c)
{
	static struct held h;
	int own, others;
	struct ft_model *m = open_case(c), *again = open_case(c), *start = open_case(c);
	const char *name = text_of(c, "name");
	take_batch(&h, c, false);
	if (!ok(m && again && start, "%s", name))
		return;
	count_changes(m, start, &own, &others);
	is_int(own + others, 0, "new adapters are a function of the seed");
	train(m, &h.b, 3, 0, false);
	train(again, &h.b, 3, 0, true);
	count_changes(m, start, &own, &others);
	ok(own > 0 && others == 0, "%s: %d parameters have learnt, and %d of the base", name, own, others);
	count_changes(m, again, &own, &others);
	is_int(own + others, 0, "layers computed twice: the same bytes");
	ft_model_free(m);
	ft_model_free(again);
	ft_model_free(start);
}

static int write_to(struct ft_model *m, const char *path)
{
	struct ft_writer *w = ft_writer_open(path, "model", ft_model_meta(m), NULL, 0);
	int rc = w ? ft_model_write(m, w) : ft_last_error();
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	return rc;
}

/* Trained at once, and with a stream in between. */
static void check_stream(const json_t *c)
{
	static struct held h;
	int own = 1, others = 1;
	char path[] = "/tmp/ft-bottleneck.XXXXXX", base[160];
	struct ft_model *whole = open_case(c), *half = open_case(c), *read = NULL;
	int fd = mkstemp(path);
	snprintf(base, sizeof base, "tests/ref/%s", text_of(c, "model"));
	take_batch(&h, c, false);
	if (!ok(whole && half && fd >= 0, "%s", text_of(c, "name")))
		return;
	close(fd);
	train(whole, &h.b, 4, 0, false);
	train(half, &h.b, 2, 0, false);
	is_int(write_to(half, path), FT_OK, "is written");
	read = ft_model_open(path, base, 0);
	if (ok(read != NULL, "is read: %s", ft_message())) {
		ok(same_losses(read, half, &h.b), "says the same");
		train(read, &h.b, 2, 2, false);
		count_changes(whole, read, &own, &others);
	}
	is_int(own + others, 0, "and goes on as if it had never stopped");
	unlink(path);
	ft_model_free(whole);
	ft_model_free(half);
	ft_model_free(read);
}

/* ---- a key/value cache ---- */
static void check_cache(const json_t *c)
{
	struct ft_model *m = open_case(c);
	struct ft_graph *g = ft_graph_new();
	struct ft_cache *cache = ft_cache_new();
	static struct held h;
	struct ft_output out = { 0 };
	float whole[64];
	double most = 0;
	take_batch(&h, c, false);
	h.b.rows = 1;
	h.b.labels = NULL;
	h.b.tokens = (size_t)h.offsets[1];
	bool right = m && take_values(m, c) && ft_model_eval(m, g, &h.b, &out) == FT_OK && out.outputs <= 64;
	if (right)
		memcpy(whole, out.logits, out.outputs * sizeof *whole);
	ft_graph_cache(g, cache);
	for (size_t at = 0; right && at < h.b.tokens; at++) {
		struct ft_batch one = { .ids = h.ids + at, .offsets = (int32_t[]){ 0, 1 }, .rows = 1, .tokens = 1, .epoch = -1 };
		right = ft_model_eval(m, g, &one, &out) == FT_OK;
		ft_cache_add(cache, &one);
	}
	for (size_t i = 0; right && i < out.outputs; i++)
		most = fmax(most, fabs((double)out.logits[i] - whole[i]));
	ok(right && most < 1e-5, "%s: token by token the same logits, %.2g", text_of(c, "name"), most);
	ft_cache_free(cache);
	ft_graph_free(g);
	ft_model_free(m);
}

/* ---- folders ---- */

/* The folder that the library saved, as a model. */
static void check_folder(const json_t *c)
{
	char path[160], base[160];
	static struct held h;
	snprintf(path, sizeof path, CASES "%s", text_of(c, "name"));
	snprintf(base, sizeof base, "tests/ref/%s", text_of(c, "model"));
	struct ft_model *m = ft_model_open(path, base, 0), *ours = open_case(c);
	struct ft_graph *g = ft_graph_new();
	take_batch(&h, c, false);
	if (ok(m && ours && take_values(ours, c), "%s as a folder: %s", text_of(c, "name"), m ? "opens" : ft_message())) {
		is_near(forward_loss(m, g, &h.b), json_number_value(json_object_get(c, "loss")), 1e-5, "the library's loss");
		is_int((long long)ft_model_params(m), (long long)ft_model_params(ours), "as many parameters");
		ok(same_losses(m, ours, &h.b), "the same numbers as by ft-freeze --bottleneck");
	}
	ft_graph_free(g);
	ft_model_free(m);
	ft_model_free(ours);
}

/* ---- folders with heads of the library's own classes ---- */

/* What the reference calls the gradient of a parameter. */
static const struct ft_stored *flex_gradient(struct ft_safetensors *want, const struct ft_param *p)
{
	char name[220];
	const char *part = strrchr(p->name, '.');
	if (strncmp(p->name, "head.", 5) == 0)
		snprintf(name, sizeof name, "grad.head%s", part);
	else if (strncmp(p->name, "pool.", 5) == 0 || strncmp(p->name, "transform.", 10) == 0)
		snprintf(name, sizeof name, "grad.hidden%s", part);
	else
		snprintf(name, sizeof name, "grad.%s", p->file);
	return ft_safetensors_find(want, name);
}

static void check_flex_gradients(struct ft_model *m, struct ft_safetensors *want, double scale, const char *what)
{
	double most = 0;
	size_t checked = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		const struct ft_stored *t = p->trains ? flex_gradient(want, p) : NULL;
		for (int64_t k = 0; t && k < p->t.rows * p->t.cols; k++)
			p->t.grad[k] *= (float)scale;
		double d = t ? relative(p->t.grad, t) : 0;
		most = d <= most ? most : d;
		checked += t != NULL;
	}
	ok(most < 1e-4 && checked == ft_safetensors_count(want) - 1, "%s: %zu gradients, worst %.2g of its norm", what, checked, most);
}

static void check_flex(const json_t *c)
{
	struct ft_optim_options o = { .name = "sgd" };
	const char *name = text_of(c, "name");
	char path[160], base[160], tensors[160];
	static struct held h;
	struct ft_output out = { 0 };
	snprintf(path, sizeof path, CASES "%s", name);
	snprintf(base, sizeof base, "tests/ref/%s", text_of(c, "model"));
	snprintf(tensors, sizeof tensors, CASES "%s.safetensors", name);
	struct ft_model *m = ft_model_open(path, base, 0);
	struct ft_optim *optim = m ? ft_optim_new(m, &o) : NULL;
	struct ft_safetensors *want = ft_safetensors_open(tensors);
	struct ft_graph *g = ft_graph_new();
	take_batch(&h, c, json_is_true(json_object_get(c, "targets")));
	if (!ok(optim && want, "%s opens: %s", name, ft_message()))
		return;
	ft_graph_begin(g, FT_CHECK, 0, 0);
	is_int(ft_model_step(m, g, &h.b, &out), 0, "a step");
	const struct ft_stored *logits = ft_safetensors_find(want, "logits");
	double most = ft_model_task(m) == FT_TASK_TAG ? worst_supervised(&out, logits, &h.b) : worst(out.logits, logits);
	ok(most < 1e-5, "%s: logits, worst %.2g", name, most);
	is_near(out.loss_sum / out.weight, json_number_value(json_object_get(c, "loss")), 1e-5, "loss");
	check_flex_gradients(m, want, 1 / out.weight, name);
	ft_safetensors_close(want);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
}

/* ---- what cannot be ---- */
static void refuse(const char *options, const char *why)
{
	struct ft_model *m = open_with("tests/ref/tiny-bert-classify", NULL, options, 0);
	ok(!m && strstr(ft_message(), why), "%s: %s", options, m ? "was taken" : ft_message());
	ft_model_free(m);
}

int main(void)
{
	json_t *c;
	for (int i = 1; (c = line_of(CASES "cases.jsonl", i)); i++) {
		check_case(c);
		check_plain(c);
		check_training(c);
		check_stream(c);
		check_folder(c);
		if (strncmp(text_of(c, "model"), "decoders", 8) == 0)
			check_cache(c);
		json_decref(c);
	}
	for (int i = 1; (c = line_of(CASES "flex.jsonl", i)); i++) {
		check_flex(c);
		json_decref(c);
	}
	refuse("kind=adapter", "there are: pfeiffer houlsby parallel");
	refuse("activation=sine", "'sine' is not known");
	refuse("scaling=much", "'much' is not a number");
	refuse("reduction=0", "not in");
	refuse("reduction=x", "not a number");
	refuse("kind=parallel,sum=both", "kind=parallel at layer.0.ffn");
	refuse("kind=houlsby,residual=sum", "residual=sum at layer.0.attn");
	refuse("sites=layer.0.ffn.up", "matches no site");
	refuse("width=4", "there are: sites rate kind reduction");
	return tap_done();
}
