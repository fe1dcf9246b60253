/* embed.c - vectors, losses of texts that belong together, and their gradients, against
 * sentence-transformers (tests/ref/sentences, README.md there). */
#include "ft/batch.h"
#include "ft/err.h"
#include "ft/format.h"
#include "ft/metric.h"
#include "ft/model.h"
#include "ft/optim.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

#define REF "tests/ref/sentences/"

/* ---- rows of the reference files ---- */
struct held {
	struct ft_batch b;
	int32_t ids[1024], offsets[64];
	float targets[32];
};

static void take_text(struct held *h, const json_t *ids)
{
	size_t i;
	json_t *id;
	json_array_foreach(ids, i, id)
		h->ids[h->b.tokens++] = (int32_t)json_integer_value(id);
	h->offsets[++h->b.rows] = (int32_t)h->b.tokens;
}

static void begin_batch(struct held *h)
{
	memset(h, 0, sizeof *h);
	h->b = (struct ft_batch){ .ids = h->ids, .offsets = h->offsets, .epoch = -1 };
}

/* Examples [[ids, …], …] and their scores, or null. */
static void take_examples(struct held *h, const json_t *examples, const json_t *scores)
{
	size_t i, k;
	json_t *example, *v;
	begin_batch(h);
	json_array_foreach(examples, i, example) {
		h->b.texts = json_array_size(example);
		json_array_foreach(example, k, v)
			take_text(h, v);
	}
	json_array_foreach(scores, i, v)
		h->targets[h->b.ntargets++] = (float)json_number_value(v);
	h->b.targets = h->b.ntargets ? h->targets : NULL;
}

static struct ft_model *model_for(const json_t *pooling, bool normalize, const json_t *loss)
{
	json_t *head = json_pack("{s:s, s:O, s:b}", "type", "embed", "pooling", pooling, "normalize", (int)normalize);
	struct ft_plan plan = { .head = head, .loss = loss, .last_layers = -1, .layer_decay = 1, .seed = FT_NO_SEED };
	struct ft_model *m = ft_model_plan("tests/ref/tiny-bert", NULL, &plan, 0);
	json_decref(head);
	return m;
}

/* ---- vectors ---- */
static double worst(const float *a, const struct ft_stored *want, size_t n)
{
	double most = want && want->bytes == 4 * n ? 0 : INFINITY;
	for (size_t i = 0; i < n && isfinite(most); i++) {
		float x;
		memcpy(&x, (const char *)want->data + 4 * i, 4);
		double d = fabs((double)a[i] - (double)x);
		most = d <= most ? most : d;
	}
	return most;
}

static void check_vectors(const json_t *expected, const struct ft_safetensors *want, struct ft_graph *g)
{
	static struct held h;
	const char *name;
	size_t i;
	json_t *modes, *ids;
	begin_batch(&h);
	json_array_foreach(json_object_get(expected, "ids"), i, ids)
		take_text(&h, ids);
	json_object_foreach(json_object_get(expected, "poolings"), name, modes) {
		for (int normalize = 0; normalize < 2; normalize++) {
			struct ft_model *m = model_for(modes, normalize, NULL);
			const float *v = NULL;
			size_t width = 0;
			char key[60];
			snprintf(key, sizeof key, "vectors.%s%s", name, normalize ? ".1" : "");
			int rc = m ? ft_model_vectors(m, g, &h.b, NULL, false, &v, &width) : -1;
			double most = rc ? INFINITY : worst(v, ft_safetensors_find(want, key), h.b.rows * width);
			ok(most < 3e-6, "%s: as encode() makes them (%.1g)", key, most);
			ft_model_free(m);
		}
	}
}

/* ---- losses ---- */

/* |a - want| / max(|want|, floor) of a gradient that is a sum over `weight`. */
static double relative(const float *a, const struct ft_stored *want, double weight)
{
	double d2 = 0, w2 = 0;
	for (size_t i = 0; i < want->bytes / 4; i++) {
		float x;
		memcpy(&x, (const char *)want->data + 4 * i, 4);
		d2 += ((double)a[i] / weight - (double)x) * ((double)a[i] / weight - (double)x);
		w2 += (double)x * (double)x;
	}
	return sqrt(d2) / (sqrt(w2) > 1e-6 ? sqrt(w2) : 1);
}

static double norm_of(const struct ft_tensor *t)
{
	double sum = 0;
	for (int64_t r = 0; t->has_grad && r < t->rows; r++)
		for (int64_t c = 0; c < t->cols && (!t->touched || t->dense || t->touched[r]); c++)
			sum += (double)t->grad[r * t->cols + c] * (double)t->grad[r * t->cols + c];
	return sqrt(sum);
}

/* The largest difference of a gradient, by norm of each parameter and whole where the
 * reference keeps it. */
static double check_gradients(const struct ft_model *m, const json_t *o, const struct ft_safetensors *want, double weight)
{
	double most = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		double norm = json_number_value(json_object_get(json_object_get(o, "norms"), p->file));
		double d = fabs(norm_of(&p->t) / weight - norm) / (norm > 1e-5 ? norm : 1);
		char key[160];
		snprintf(key, sizeof key, "%s.%s", json_string_value(json_object_get(o, "name")), p->file);
		const struct ft_stored *whole = ft_safetensors_find(want, key);
		double r = whole ? relative(p->t.grad, whole, weight) : 0;
		most = d <= most ? most : d;
		most = r <= most ? most : r;
	}
	return most;
}

static void check_losses(const struct ft_safetensors *want, struct ft_graph *g)
{
	static struct held h;
	static char line[1 << 16];
	FILE *f = fopen(REF "losses.jsonl", "r");
	while (f && fgets(line, sizeof line, f)) {
		json_t *o = json_loads(line, 0, NULL);
		const char *name = json_string_value(json_object_get(o, "name"));
		struct ft_model *m = model_for(json_object_get(o, "pooling"), json_is_true(json_object_get(o, "normalize")),
		                               json_object_get(o, "loss"));
		/* It makes room for gradients. */
		struct ft_optim *optim = m ? ft_optim_new(m, &(struct ft_optim_options){ .name = "sgd" }) : NULL;
		struct ft_output out = { 0 };
		take_examples(&h, json_object_get(o, "texts"), json_object_get(o, "targets"));
		ft_graph_begin(g, FT_CHECK, 0, 0);
		int rc = optim ? ft_model_step(m, g, &h.b, &out) : -1;
		double value = json_number_value(json_object_get(o, "value")), got = out.loss_sum / out.weight;
		ok(rc == 0 && fabs(got - value) < 2e-5 * fmax(1, value), "%s: loss %.7g, the reference's is %.7g", name, got, value);
		double d = rc ? INFINITY : check_gradients(m, o, want, out.weight);
		ok(d < 2e-5, "%s: gradients (%.1g)", name, d);
		is_int(out.supervised, (long long)ft_batch_examples(&h.b), "all examples count");
		ft_optim_free(optim);
		ft_model_free(m);
		json_decref(o);
	}
	if (f)
		fclose(f);
}

/* ---- what a loss refuses ---- */
static void refuses(struct ft_graph *g, const char *loss, size_t texts, const float *targets, size_t ntargets,
                    const char *reason)
{
	static const int32_t ids[] = { 2, 66, 3, 2, 67, 3, 2, 68, 3, 2, 69, 3 }, offsets[] = { 0, 3, 6, 9, 12 };
	const struct ft_batch b = { .ids = ids, .offsets = offsets, .tokens = 12, .rows = 4, .texts = texts, .targets = targets,
	                            .ntargets = ntargets, .epoch = -1 };
	json_t *pooling = json_pack("[s]", "mean"), *options = json_pack("{s:s}", "name", loss);
	struct ft_model *m = model_for(pooling, false, options);
	struct ft_output out;
	ft_graph_begin(g, FT_CHECK, 0, 0);
	int rc = ft_model_step(m, g, &b, &out);
	ok(rc == FT_EMATCH && strstr(ft_message(), reason), "%s of %zu texts, %zu targets is refused: %s", loss, texts, ntargets,
	   ft_message());
	rc = ft_model_eval(m, g, &b, &out);
	ok((rc == 0 && out.vectors) == (ntargets <= 2 && texts == 2),
	   "which only matters to measuring when they cannot be compared");
	ft_model_free(m);
	json_decref(pooling);
	json_decref(options);
}

static void check_refused(struct ft_graph *g)
{
	static const float scores[] = { 3, 0.5f, 1, 0 };
	refuses(g, "mnrl", 2, scores + 1, 2, "without scores");
	refuses(g, "cosine", 2, NULL, 0, "with scores");
	refuses(g, "cosine", 2, scores, 2, "the score 3");
	refuses(g, "cosent", 4, scores, 1, "4 texts and 1 scores");
	refuses(g, "cosent", 2, scores, 4, "2 texts and 2 scores");
	json_t *pooling = json_pack("[s]", "mean"), *odd = json_pack("{s:s}", "name", "triplet");
	ok(!model_for(pooling, false, odd) && ft_last_error() == FT_EFORMAT, "a loss that is not known");
	json_object_set_new(odd, "name", json_string("mnrl"));
	json_object_set_new(odd, "scale", json_integer(0));
	ok(!model_for(pooling, false, odd) && ft_last_error() == FT_EFORMAT, "a scale of 0");
	json_array_append_new(pooling, json_string("middle"));
	ok(!model_for(pooling, false, NULL) && ft_last_error() == FT_EFORMAT, "a pooling that is not known");
	json_decref(pooling);
	json_decref(odd);
}

/* Only a head of vectors takes several texts as one example. */
static void check_other_heads(struct ft_graph *g)
{
	static const int32_t ids[] = { 2, 3, 2, 3 }, offsets[] = { 0, 2, 4 };
	const struct ft_batch b = { .ids = ids, .offsets = offsets, .tokens = 4, .rows = 2, .texts = 2, .epoch = -1 };
	struct ft_model *m = ft_model_open("tests/ref/tiny-bert-classify", NULL, 0);
	struct ft_output out;
	ok(m && ft_model_eval(m, g, &b, &out) == FT_EMATCH && strstr(ft_message(), "examples of 2 texts"),
	   "a classifier refuses examples of two texts");
	ft_model_free(m);
}

/* ---- a classifier on pooled vectors ---- */
static void check_pooled_classifier(struct ft_graph *g)
{
	static const int32_t ids[] = { 2, 66, 67, 3, 2, 68, 3 }, offsets[] = { 0, 4, 7 }, labels[] = { 1, 0 };
	const struct ft_batch b = { .ids = ids, .offsets = offsets, .labels = labels, .nlabels = 2, .tokens = 7, .rows = 2,
	                            .epoch = -1 };
	json_t *head = json_pack("{s:s, s:[s,s], s:[s,s]}", "type", "classify", "labels", "a", "b", "pooling", "mean", "max");
	struct ft_plan plan = { .head = head, .last_layers = 0, .layer_decay = 1, .seed = 3 };
	struct ft_model *m = ft_model_plan("tests/ref/tiny-bert", NULL, &plan, 0);
	const struct ft_param *w = m ? ft_model_find(m, "head.weight") : NULL;
	struct ft_output out;
	ok(w && w->t.rows == 2 && w->t.cols == 64 && !ft_model_find(m, "pool.weight"), "a classifier on two poolings, no pooler");
	const float *v;
	size_t width;
	int rc = ft_model_eval(m, g, &b, &out);
	double logits[4] = { 0 }, most = 0;
	for (int i = 0; rc == 0 && i < 4; i++)
		logits[i] = (double)out.logits[i];
	rc = rc ? rc : ft_model_vectors(m, g, &b, NULL, false, &v, &width);
	for (int i = 0; rc == 0 && i < 4; i++) {
		double sum = 0;
		for (size_t c = 0; c < width; c++)
			sum += (double)v[(size_t)(i / 2) * width + c] * (double)w->t.data[(size_t)(i % 2) * width + c];
		most = fmax(most, fabs(sum - logits[i]));
	}
	ok(rc == 0 && width == 64 && most < 1e-5, "its logits are of the vector that auto gives (%.1g)", most);
	ft_model_free(m);
	json_decref(head);
}

int main(void)
{
	json_t *expected = ft_json_load(REF "expected.json");
	struct ft_safetensors *want = ft_safetensors_open(REF "expected.safetensors");
	struct ft_graph *g = ft_graph_new();
	if (ok(expected && want && g, "the reference is there")) {
		check_vectors(expected, want, g);
		check_losses(want, g);
		check_refused(g);
		check_other_heads(g);
		check_pooled_classifier(g);
	}
	ft_graph_free(g);
	ft_safetensors_close(want);
	json_decref(expected);
	return tap_done();
}
