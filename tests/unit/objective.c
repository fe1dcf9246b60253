/* objective.c - losses that compare predictions, and of preferences, against PyTorch (tests/ref/objectives.json), and
 * of preferences through a whole network (tests/ref/preferences.jsonl). */
#include "ft/graph.h"
#include "ft/json.h"
#include "ft/objective.h"
#include "ft/optim.h"
#include "tests/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 256

static size_t floats(const json_t *o, const char *key, float *to)
{
	const json_t *list = json_object_get(o, key);
	for (size_t i = 0; i < json_array_size(list); i++)
		to[i] = (float)json_number_value(json_array_get(list, i));
	return json_array_size(list);
}

static size_t integers(const json_t *o, const char *key, int32_t *to)
{
	const json_t *list = json_object_get(o, key);
	for (size_t i = 0; i < json_array_size(list); i++)
		to[i] = (int32_t)json_integer_value(json_array_get(list, i));
	return json_array_size(list);
}

static int64_t whole(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }
static float real(const json_t *o, const char *key) { return (float)json_number_value(json_object_get(o, key)); }

/* An operand that trains, from the case's member; no rows: there is none. */
struct operand {
	struct ft_tensor t;
	float data[MOST], grad[MOST];
};

static struct ft_tensor *operand(struct operand *p, const json_t *c, const char *key, int64_t cols)
{
	memset(p, 0, sizeof *p);
	size_t n = floats(c, key, p->data);
	p->t = (struct ft_tensor){ .data = p->data, .grad = p->grad, .cols = cols, .rows = cols ? (int64_t)n / cols : 0,
	                           .needs_grad = true };
	return n ? &p->t : NULL;
}

static struct ft_tensor *plain(struct operand *p, const json_t *c, const char *key, int64_t cols)
{
	struct ft_tensor *t = operand(p, c, key, cols);
	if (t)
		t->needs_grad = false;
	return t;
}

static double apart(const json_t *want, const float *got)
{
	double worst = json_array_size(want) ? 0 : INFINITY;
	for (size_t i = 0; i < json_array_size(want); i++) {
		double w = json_number_value(json_array_get(want, i)), d = fabs(got[i] - w) / (1 + fabs(w));
		worst = d <= worst ? worst : d;
	}
	return worst;
}

static enum ft_prediction kind_of(const json_t *c)
{
	const char *name = json_string_value(json_object_get(c, "kind"));
	return strcmp(name, "labels") == 0 ? FT_LABELS : strcmp(name, "numbers") == 0 ? FT_NUMBERS : FT_CLASSES;
}

static struct ft_tensor *dense(struct ft_graph *g, const json_t *c, struct ft_tensor *x)
{
	static float reference[MOST];
	floats(c, "reference", reference);
	if (!whole(c, "rows"))
		return ft_twin_divergence(g, x, kind_of(c), 1);
	const struct ft_divergence_options o = { kind_of(c), real(c, "temperature"), 1 };
	return ft_divergence(g, x, reference, whole(c, "rows"), &o);
}

static struct ft_tensor *linear(struct ft_graph *g, const json_t *c, struct ft_decoded *of)
{
	static struct operand rx, rw;
	static int32_t ids[MOST];
	static float known[MOST];
	int64_t width = whole(c, "width");
	of->cap = real(c, "cap");
	if (integers(c, "labels", ids))
		return ft_linear_log_prob(g, of, ids);
	if (!whole(c, "rows"))
		return ft_linear_twin_divergence(g, of, 1);
	integers(c, "ids", ids);
	floats(c, "known", known);
	struct ft_reference r = { .of = { plain(&rx, c, "rx", width + 1), plain(&rw, c, "rw", width + 1), NULL, 0 },
	                          .ids = ids, .logits = known, .rows = whole(c, "rows"), .top = whole(c, "top") };
	const struct ft_divergence_options o = { FT_CLASSES, real(c, "temperature"), 1 };
	return ft_linear_divergence(g, of, &r, &o);
}

static struct ft_tensor *preference(struct ft_graph *g, const json_t *c, struct ft_tensor *x)
{
	static float reference[MOST], good[MOST];
	const char *what = json_string_value(json_object_get(c, "what"));
	floats(c, "reference", reference);
	floats(c, "good", good);
	if (strcmp(what, "dpo") == 0)
		return ft_dpo(g, x, reference, real(c, "beta"), real(c, "smoothing"));
	if (strcmp(what, "orpo") == 0)
		return ft_orpo(g, x, real(c, "beta"));
	const struct ft_kto_options o = { .reference = reference, .good = good, .beta = real(c, "beta"),
	                                  .desirable = real(c, "desirable"), .undesirable = real(c, "undesirable"),
	                                  .divergence = real(c, "divergence") };
	return ft_kto(g, x, &o);
}

static void check_preference(struct ft_graph *g, const json_t *c)
{
	static struct operand x;
	ft_graph_begin(g, FT_CHECK, 0, 0);
	struct ft_tensor *loss = preference(g, c, operand(&x, c, "x", 1));
	double worst = loss ? apart(json_object_get(c, "loss"), loss->data) : INFINITY;
	int rc = ft_backward(g, loss);
	double most = apart(json_object_get(json_object_get(c, "grad"), "x"), x.grad);
	ok(rc == 0 && worst < 3e-6 && most < 3e-6, "%s, beta %g, smoothing %g: off by %.1g, gradients by %.1g",
	   json_string_value(json_object_get(c, "what")), (double)real(c, "beta"), (double)real(c, "smoothing"), worst, most);
}

static void check_case(struct ft_graph *g, const json_t *c)
{
	static struct operand x, w, b;
	int64_t width = whole(c, "width"), vocabulary = whole(c, "vocabulary");
	struct ft_decoded of = { operand(&x, c, "x", width), operand(&w, c, "w", width), operand(&b, c, "b", vocabulary), 0 };
	const json_t *grad = json_object_get(c, "grad");
	ft_graph_begin(g, FT_CHECK, 0, 0);
	struct ft_tensor *loss = of.w ? linear(g, c, &of) : dense(g, c, of.x);
	double worst = loss ? apart(json_object_get(c, "loss"), loss->data) : INFINITY;
	int rc = ft_backward(g, loss);
	double most = apart(json_object_get(grad, "x"), x.grad);
	if (of.w)
		most = fmax(most, fmax(apart(json_object_get(grad, "w"), w.grad), apart(json_object_get(grad, "b"), b.grad)));
	ok(rc == 0 && worst < 3e-6 && most < 3e-6, "%s of %s%s, %lld units, t %g, cap %g: off by %.1g, gradients by %.1g",
	   json_string_value(json_object_get(c, "what")), of.w ? "words" : json_string_value(json_object_get(c, "kind")),
	   whole(c, "top") ? ", a few known" : "", (long long)whole(c, "units"), (double)real(c, "temperature"),
	   (double)real(c, "cap"), worst, most);
}

/* A line of preferences.jsonl: a step of a model on its batch. */
static void check_network(const json_t *line, struct ft_safetensors *want)
{
	static struct held h;
	static float reference[MOST];
	const char *name = json_string_value(json_object_get(line, "name"));
	const struct ft_objective_options o = { .dpo = strcmp(name, "dpo") == 0, .orpo = strcmp(name, "orpo") == 0,
	                                        .beta = json_number_value(json_object_get(line, "beta")) };
	const struct ft_optim_options sgd = { .name = "sgd" };
	struct ft_model *m = ft_model_open("tests/ref/decoders/llama/tiny-lm", NULL, 0);
	struct ft_optim *optim = m ? ft_optim_new(m, &sgd) : NULL; /* it makes room for gradients */
	if (optim)
		ft_model_loss(m, json_number_value(json_object_get(line, "smoothing")), NULL);
	struct ft_objective *x = optim ? ft_objective_new(m, &o) : NULL;
	struct ft_graph *g = ft_graph_new();
	struct ft_output out = { 0 };
	char prefix[20];
	take_batch(&h, line, false);
	h.b.texts = 2;
	floats(line, "reference", reference);
	h.b.reference = reference;
	ft_graph_begin(g, FT_CHECK, 0, 0);
	int rc = x ? ft_objective_step(x, g, &h.b, &out) : -1;
	ok(rc == 0 && out.units == 3 && apart(json_object_get(line, "losses"), out.loss) < 1e-5, "%s: losses of three examples",
	   name);
	is_near(out.loss_sum / out.weight, json_number_value(json_object_get(line, "loss")), 1e-5, "and their mean");
	snprintf(prefix, sizeof prefix, "%s.", name);
	if (rc == 0)
		check_gradients(m, want, prefix, 1 / out.weight, name, true);
	ft_objective_free(x);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
}

static void check_networks(void)
{
	struct ft_safetensors *want = ft_safetensors_open("tests/ref/preferences.safetensors");
	json_t *line;
	int n = 0;
	for (; want && (line = line_of("tests/ref/preferences.jsonl", n)); n++) {
		check_network(line, want);
		json_decref(line);
	}
	is_int(n, 2, "objectives through a network");
	ft_safetensors_close(want);
}

int main(void)
{
	json_t *all = ft_json_load("tests/ref/objectives.json"), *c;
	struct ft_graph *g = ft_graph_new();
	size_t i;
	json_array_foreach(json_object_get(all, "cases"), i, c)
		if (json_object_get(c, "examples"))
			check_preference(g, c);
		else
			check_case(g, c);
	ok(i > 10, "there is a reference");
	ft_graph_free(g);
	json_decref(all);
	check_networks();
	return tap_done();
}
