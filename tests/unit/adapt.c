/* adapt.c - techniques against peft: outputs and gradients with random adapters (tests/ref/README.md); that
 * they can be switched off, merged, trained, saved, and stacked. */
#include "ft/optim.h"
#include "tests/reference.h"

#include <unistd.h>

#define ADAPTERS "tests/ref/adapters/"

/* A case of the reference. */
struct reference {
	const char *name;
	char model[120];
	struct ft_plan_technique technique;
	struct held batch;
	double loss;
	bool lm;
	struct ft_safetensors *want;
};

static const struct ft_stored *find(const struct reference *c, const char *prefix, const char *name)
{
	char full[200];
	snprintf(full, sizeof full, "%s%s", prefix, name);
	return ft_safetensors_find(c->want, full);
}

/* ---- models ---- */
static struct ft_model *plan(const char *path, const struct ft_plan_technique *t)
{
	struct ft_plan p = { .last_layers = -1, .layer_decay = 1, .techniques = t, .ntechniques = t ? 1 : 0, .seed = FT_NO_SEED };
	return ft_model_plan(path, NULL, &p, 0);
}

/* The reference's number of a technique's parameter. What PiSSA subtracts is A and B as they began, of which PEFT and we know
 * the product alike, but not each. */
static const struct ft_stored *value_of(const struct reference *c, const struct ft_param *p)
{
	char name[160];
	const char *zero = strstr(p->file, "0.weight");
	if (!p->technique || !p->constant || !zero)
		return p->technique ? find(c, "", p->file) : NULL;
	snprintf(name, sizeof name, "%.*s.weight", (int)(zero - p->file), p->file);
	return find(c, "start.", name);
}

/* The reference's numbers; those of them that are turned in checkpoints, turned. */
static int fill(struct ft_model *m, const struct reference *c)
{
	int missing = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		const struct ft_stored *t = value_of(c, p);
		missing += p->technique && !t;
		if (!t)
			continue;
		struct ft_param theirs = *p;
		theirs.t.rows = p->turned ? p->t.cols : p->t.rows;
		theirs.t.cols = p->turned ? p->t.rows : p->t.cols;
		theirs.t.data = (float *)(uintptr_t)t->data;
		if (t->bytes != 4 * (size_t)(p->t.rows * p->t.cols))
			missing++;
		else if (p->turned)
			ft_param_turn(&theirs, p->t.data);
		else
			memcpy(p->t.data, t->data, t->bytes);
		p->stored = true;
	}
	return missing;
}

static struct ft_model *open_filled(const struct reference *c)
{
	struct ft_model *m = plan(c->model, &c->technique);
	if (m && fill(m, c)) {
		ft_model_free(m);
		m = NULL;
	}
	return m;
}

/* ---- outputs ---- */
static double worst_output(const struct reference *c, const struct ft_output *out)
{
	const struct ft_stored *logits = find(c, "", "logits");
	return c->lm ? worst_token(out, logits, &c->batch.b) : worst(out->logits, logits);
}

/* The logits of rows, or the losses of tokens; *n of them, from malloc. */
static float *outputs(struct ft_model *m, const struct reference *c, size_t *n)
{
	struct ft_graph *g = ft_graph_new();
	struct ft_output out = { 0 };
	int rc = m ? ft_model_eval(m, g, &c->batch.b, &out) : FT_EFAIL;
	*n = out.units * (out.logits ? out.outputs : 1);
	float *copy = rc == FT_OK ? malloc(*n * sizeof *copy) : NULL;
	if (copy)
		memcpy(copy, out.logits ? out.logits : out.loss, *n * sizeof *copy);
	ft_graph_free(g);
	return copy;
}

static double apart(struct ft_model *a, struct ft_model *b, const struct reference *c)
{
	size_t n, k;
	float *x = outputs(a, c, &n), *y = outputs(b, c, &k);
	double most = x && y && n == k && n ? 0 : INFINITY;
	for (size_t i = 0; most < INFINITY && i < n; i++) {
		double d = fabs((double)x[i] - y[i]);
		most = d <= most ? most : d;
	}
	free(x);
	free(y);
	return most;
}

/* Moves what the technique trains along its gradient, by `times` of it. Returns the square of its norm. DoRA's gradient is not
 * that of its function, where lengths are constants in it: there those that are learned move alone. */
static double move(struct ft_model *m, double times)
{
	double square = 0;
	bool lengths = false;
	for (size_t i = 0; i < ft_model_params(m); i++)
		lengths = lengths || strstr(ft_model_param(m, i)->file, "magnitude");
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		bool moves = !lengths || strstr(p->file, "magnitude");
		for (int64_t k = 0; moves && p->technique && p->trains && k < p->t.rows * p->t.cols; k++) {
			square += (double)p->t.grad[k] * p->t.grad[k];
			p->t.data[k] += (float)times * p->t.grad[k];
		}
	}
	return square;
}

static double loss_of(struct ft_model *m, struct ft_graph *g, const struct reference *c)
{
	struct ft_output out = { 0 };
	return ft_model_eval(m, g, &c->batch.b, &out) == FT_OK ? out.loss_sum / out.weight : NAN;
}

/* Of the loss along the gradient, by the difference of the losses `far` before and behind. */
static double slope_of(struct ft_model *m, struct ft_graph *g, const struct reference *c, double norm, double far)
{
	move(m, far / norm);
	double up = loss_of(m, g, c);
	move(m, -2 * far / norm);
	double down = loss_of(m, g, c);
	move(m, far / norm);
	return (up - down) / (2 * far);
}

/* Along the gradient the loss grows by its norm. Of two distances (Richardson), since some losses bend much. */
static void check_slope(struct ft_model *m, struct ft_graph *g, const struct reference *c)
{
	double norm = sqrt(move(m, 0));
	double slope = (4 * slope_of(m, g, c, norm, 2e-3) - slope_of(m, g, c, norm, 4e-3)) / 3;
	ok(fabs(slope - norm) < 2e-3 * norm + 1e-4, "%s: finite differences, %.6g for %.6g", c->name, slope, norm);
}

static void check_step(const struct reference *c)
{
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_model *m = open_filled(c);
	struct ft_optim *optim = m ? ft_optim_new(m, &o) : NULL;
	struct ft_graph *g = ft_graph_new();
	struct ft_output out = { 0 };
	if (!ok(optim != NULL, "%s opens: %s", c->name, ft_message()))
		return;
	ft_model_dropout(m, 0); /* not a technique's own: one that keeps everything goes another way all the same */
	ft_graph_begin(g, strstr(c->technique.text, "dropout") ? FT_TRAIN : FT_CHECK, 0, 0);
	is_int(ft_model_step(m, g, &c->batch.b, &out), 0, "a step");
	is_near(out.loss_sum / out.weight, c->loss, 1e-5, "loss");
	double most = worst_output(c, &out);
	ok(most < 1e-5, "%s: outputs, worst %.2g", c->name, most);
	check_gradients(m, c->want, "grad.", 1 / out.weight, c->name, true);
	check_slope(m, g, c);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
}

static void check_merged(const struct reference *c)
{
	struct ft_model *m = open_filled(c), *merged = open_filled(c), *base = plan(c->model, NULL);
	int rc = merged ? ft_model_merge(merged) : FT_EFAIL;
	if (rc == FT_EUSAGE) { /* the table decodes, too */
		ok(strstr(ft_message(), "also decode") != NULL, "%s: is not merged: %s", c->name, ft_message());
	} else {
		double d = apart(m, merged, c), far = apart(base, merged, c);
		ok(rc == 0 && !ft_model_adapted(merged) && d < 1e-5 && far > 1e-3, "%s: merged, off by %.2g (from the base by %.2g)",
		   c->name, d, far);
	}
	ft_model_plain(m, true);
	ok(apart(m, base, c) == 0, "%s: switched off, the base's outputs to the bit", c->name);
	ft_model_plain(m, false);
	ok(apart(m, base, c) > 1e-3, "and on again");
	ft_model_free(m);
	ft_model_free(merged);
	ft_model_free(base);
}

/* ---- training ---- */

/* Of all that does, or does not, train: a number for its bits. */
static uint64_t bits(const struct ft_model *m, bool trains)
{
	uint64_t h = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		size_t n = (size_t)(p->t.rows * p->t.cols);
		float *x = malloc(n * sizeof *x);
		ft_tensor_floats(&p->t, 0, p->t.rows, x);
		for (size_t k = 0; p->trains == trains && k < n * sizeof *x; k++)
			h = (h ^ ((unsigned char *)x)[k]) * 1099511628211u + 1;
		free(x);
	}
	return h;
}

static int train(struct ft_model *m, const char *optimizer, const struct reference *c, uint64_t from, uint64_t steps)
{
	struct ft_optim_options o = { .name = optimizer, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01 };
	struct ft_optim *optim = ft_optim_new(m, &o);
	struct ft_graph *g = ft_graph_new();
	struct ft_output out = { 0 };
	int rc = optim ? FT_OK : FT_EFAIL;
	ft_model_dropout(m, 0.1);
	for (uint64_t i = 0; rc == FT_OK && i < steps; i++) {
		ft_graph_begin(g, FT_TRAIN, 7, from + i);
		rc = ft_model_step(m, g, &c->batch.b, &out);
		ft_optim_step(optim, 1e-2, 1 / out.weight);
	}
	ft_graph_free(g);
	ft_optim_free(optim);
	return rc;
}

static char file[] = "/tmp/ft-unit.XXXXXX";

static int save(struct ft_model *m)
{
	for (size_t i = 0; i < ft_model_params(m); i++)
		ft_model_param(m, i)->stored |= ft_model_param(m, i)->trains || ft_model_param(m, i)->fresh;
	struct ft_writer *w = ft_writer_open(file, "model", ft_model_meta(m), NULL, 0);
	int rc = w ? ft_model_write(m, w) : FT_EFAIL;
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	return rc;
}

/* Saved after two steps and gone on with, or three steps at once. */
static void check_training(const struct reference *c)
{
	struct ft_model *m = plan(c->model, &c->technique), *part = plan(c->model, &c->technique);
	uint64_t frozen = bits(m, false), before = bits(m, true);
	is_int(train(m, "adamw", c, 0, 3), 0, "trains");
	ok(bits(m, false) == frozen && bits(m, true) != before, "%s: what is frozen is as it was, to the bit", c->name);
	ft_model_free(m);
	m = plan(c->model, &c->technique);
	int rc = train(m, "sgd", c, 0, 3);
	rc = rc ? rc : train(part, "sgd", c, 0, 2);
	rc = rc ? rc : save(part);
	struct ft_model *again = rc ? NULL : ft_model_open(file, NULL, 0);
	rc = again ? train(again, "sgd", c, 2, 1) : FT_EFAIL;
	ok(rc == 0 && bits(again, true) == bits(m, true) && bits(again, false) == bits(m, false),
	   "%s: saved, loaded and gone on with: the same bytes (%s)", c->name, rc ? ft_message() : "");
	ft_model_free(again);
	ft_model_free(part);
	ft_model_free(m);
}

/* A LoRA on what was tuned: at first it changes nothing, then it alone changes. */
static void check_second(const struct reference *c)
{
	static const struct ft_plan_technique lora = { "lora", "r=2,sites=layer.*" };
	struct ft_model *m = open_filled(c), *second = save(m) < 0 ? NULL : plan(file, &lora);
	ok(second && apart(m, second, c) == 0, "%s: a second technique begins with the first's outputs", c->name);
	if (!second)
		return;
	is_int(train(second, "adamw", c, 0, 2), 0, "it trains");
	int changed = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i), *q = ft_model_find(second, p->name);
		changed += p->technique && memcmp(p->t.data, q->t.data, 4 * (size_t)(p->t.rows * p->t.cols)) != 0;
	}
	is_int(changed, 0, "and the first stays");
	struct ft_model *merged = save(second) < 0 ? NULL : ft_model_open(file, NULL, 0);
	int rc = merged ? ft_model_merge(merged) : FT_EFAIL;
	double d = apart(merged, second, c);
	ok(rc == FT_EUSAGE || (rc == 0 && d < 1e-5), "%s: both merged, off by %.2g", c->name, d);
	ft_model_free(m);
	ft_model_free(second);
	ft_model_free(merged);
}

/* ---- how techniques begin ---- */

/* B A [rows, cols] of matrices [rows, r] and [r, cols]. */
static float *product(const float *b, const float *a, size_t rows, size_t r, size_t cols)
{
	float *p = calloc(rows * cols, sizeof *p);
	for (size_t i = 0; i < rows; i++)
		for (size_t k = 0; k < r; k++)
			for (size_t j = 0; j < cols; j++)
				p[i * cols + j] += b[i * r + k] * a[k * cols + j];
	return p;
}

static float *floats_of(const struct ft_stored *t)
{
	float *copy = malloc(t->bytes);
	memcpy(copy, t->data, t->bytes);
	return copy;
}

/* Singular vectors have either sign, so A and B are compared by their product: the largest difference by the largest
 * element, times the gap behind the singular values that are taken, by whose inverse rounding grows. */
static double apart_at(const struct reference *c, const struct ft_param *a, const struct ft_param *b)
{
	const struct ft_stored *their_a = find(c, "start.", a->file), *their_b = find(c, "start.", b->file);
	const struct ft_stored *gap = find(c, "gap.", b->file);
	size_t rows = (size_t)b->t.rows, r = (size_t)b->t.cols, cols = (size_t)a->t.cols;
	float g;
	if (!their_a || !their_b || !gap || their_a->bytes != 4 * r * cols || their_b->bytes != 4 * r * rows)
		return INFINITY;
	float *fa = floats_of(their_a), *fb = floats_of(their_b);
	float *ours = product(b->t.data, a->t.data, rows, r, cols), *theirs = product(fb, fa, rows, r, cols);
	double most = 0, far = 0;
	for (size_t i = 0; i < rows * cols; i++) {
		double d = fabs((double)ours[i] - theirs[i]);
		far = d <= far ? far : d;
		most = fabs(theirs[i]) > most ? fabs(theirs[i]) : most;
	}
	free(fa);
	free(fb);
	free(ours);
	free(theirs);
	memcpy(&g, gap->data, sizeof g);
	return (double)g * far / most;
}

/* Without anything learned: PEFT's numbers, where they are not random, and nothing is changed. */
static void check_start(const struct reference *c)
{
	struct ft_model *m = plan(c->model, &c->technique), *base = plan(c->model, NULL);
	double far = apart(m, base, c), most = 0;
	int known = 0, same = 0, sites = 0;
	ok(far < 1e-5, "%s: begins with the base's outputs, off by %.2g", c->name, far);
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i), *a = i ? ft_model_param(m, i - 1) : NULL;
		const struct ft_stored *t = p->technique && !strstr(p->file, ".lora_") ? find(c, "start.", p->file) : NULL;
		known += t != NULL;
		same += t && worst(p->t.data, t) == 0;
		if (!strstr(p->file, ".lora_B.") || !find(c, "start.", p->file))
			continue;
		double d = apart_at(c, a, p);
		most = d <= most ? most : d;
		sites++;
	}
	ok(known == same, "%s: vectors begin as PEFT's", c->name);
	ok(most < 1e-6 && (sites > 0) == (strstr(c->technique.text, "pissa") != NULL), "%s: B A begins as PEFT's at %d sites, off by %.2g",
	   c->name, sites, most);
	ft_model_free(m);
	ft_model_free(base);
}

static void check_case(const json_t *o)
{
	static struct reference c;
	const json_t *technique = json_object_get(o, "technique");
	char path[160];
	c = (struct reference){ .name = json_string_value(json_object_get(o, "name")) };
	snprintf(c.model, sizeof c.model, "tests/ref/%s", json_string_value(json_object_get(o, "model")));
	snprintf(path, sizeof path, ADAPTERS "%s.safetensors", c.name);
	c.technique.name = json_string_value(json_array_get(technique, 0));
	c.technique.text = json_string_value(json_array_get(technique, 1));
	c.loss = json_number_value(json_object_get(o, "loss"));
	c.lm = strstr(c.model, "lm") != NULL;
	c.want = ft_safetensors_open(path);
	take_batch(&c.batch, o, false);
	if (!ok(c.want != NULL, "%s: %s", c.name, c.model))
		return;
	check_start(&c);
	check_step(&c);
	check_merged(&c);
	check_training(&c);
	check_second(&c);
	ft_safetensors_close(c.want);
}

int main(void)
{
	int fd = mkstemp(file);
	if (!ok(fd >= 0 && close(fd) == 0, "a file"))
		return tap_done();
	json_t *o;
	for (int i = 1; (o = line_of(ADAPTERS "cases.jsonl", i)); i++) {
		check_case(o);
		json_decref(o);
	}
	unlink(file);
	return tap_done();
}
