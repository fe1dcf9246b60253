/* bert.c - BERT against transformers: hidden states, logits, losses and every
 * gradient, then whole training runs (tests/ref/README.md). */
#include "ft/format.h"
#include "ft/model.h"
#include "ft/optim.h"
#include "ft/train.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define REF "tests/ref/"

/* ---- batches of the reference files ---- */
struct held {
	struct ft_batch b;
	int32_t ids[2048], offsets[64], labels[2048];
	uint8_t types[2048];
	float targets[512];
};

/* Labels: a number a row, a list of whole numbers (tokens), or of reals. */
static void take_labels(struct held *h, const json_t *labels, bool targets)
{
	size_t i, j;
	json_t *row, *v;
	json_array_foreach(labels, i, row) {
		if (!json_is_array(row)) {
			if (targets)
				h->targets[h->b.ntargets++] = (float)json_number_value(row);
			else
				h->labels[h->b.nlabels++] = (int32_t)json_integer_value(row);
		}
		json_array_foreach(row, j, v) {
			if (targets)
				h->targets[h->b.ntargets++] = (float)json_number_value(v);
			else
				h->labels[h->b.nlabels++] = (int32_t)json_integer_value(v);
		}
	}
	h->b.labels = h->b.nlabels ? h->labels : NULL;
	h->b.targets = h->b.ntargets ? h->targets : NULL;
}

static void take_batch(struct held *h, const json_t *o, bool targets)
{
	size_t i, j;
	json_t *row, *v;
	memset(h, 0, sizeof *h);
	h->b = (struct ft_batch){ .ids = h->ids, .types = h->types, .offsets = h->offsets, .epoch = -1 };
	json_array_foreach(json_object_get(o, "ids"), i, row) {
		json_array_foreach(row, j, v) {
			h->types[h->b.tokens] =
				(uint8_t)json_integer_value(json_array_get(json_array_get(json_object_get(o, "types"), i), j));
			h->ids[h->b.tokens++] = (int32_t)json_integer_value(v);
		}
		h->offsets[++h->b.rows] = (int32_t)h->b.tokens;
	}
	take_labels(h, json_object_get(o, "labels"), targets);
}

/* Line `n` (from 0) of a file of JSON lines; NULL beyond the end. */
static json_t *line_of(const char *path, int n)
{
	static char line[1 << 16];
	FILE *f = fopen(path, "r");
	json_t *o = NULL;
	for (int i = 0; f && fgets(line, sizeof line, f); i++)
		if (i == n)
			o = json_loads(line, 0, NULL);
	if (f)
		fclose(f);
	return o;
}

/* ---- comparing ---- */
static double worst(const float *a, const struct ft_stored *want)
{
	double most = 0;
	for (size_t i = 0; i < want->bytes / 4; i++) {
		float x;
		memcpy(&x, (const char *)want->data + 4 * i, 4);
		double d = fabs((double)a[i] - x);
		most = d <= most ? most : d; /* a NaN is worse than anything */
	}
	return most;
}

/* |a - want| / max(|want|, floor) in the Euclidean norm */
static double relative(const float *a, const struct ft_stored *want)
{
	double d2 = 0, w2 = 0;
	for (size_t i = 0; i < want->bytes / 4; i++) {
		float x;
		memcpy(&x, (const char *)want->data + 4 * i, 4);
		d2 += ((double)a[i] - x) * ((double)a[i] - x);
		w2 += (double)x * x;
	}
	return sqrt(d2) / (sqrt(w2) > 1e-6 ? sqrt(w2) : 1);
}

/* ---- forward ---- */
static void check_hidden(void)
{
	struct ft_model *m = ft_model_open(REF "tiny-bert", NULL, 0);
	struct ft_safetensors *want = ft_safetensors_open(REF "tiny-bert-expected/forward.safetensors");
	struct ft_graph *g = ft_graph_new();
	static struct held h;
	ok(m && want && g, "tiny-bert opens");
	for (int k = 0; m && want && k < 3; k++) {
		json_t *o = line_of(REF "tiny-bert-expected/forward.jsonl", k);
		const float *v = NULL;
		size_t width = 0;
		char name[40];
		take_batch(&h, o, false);
		int rc = ft_model_vectors(m, g, &h.b, "pooler", false, &v, &width);
		snprintf(name, sizeof name, "%d.pooler_output", k);
		ok(rc == 0 && width == 32 && worst(v, ft_safetensors_find(want, name)) < 1e-5, "pooled rows of batch %d", k);
		/* Token by token: each token as the first of a view is its own hidden state. */
		rc = ft_model_vectors(m, g, &h.b, "cls", false, &v, &width);
		snprintf(name, sizeof name, "%d.last_hidden_state", k);
		const struct ft_stored *t = ft_safetensors_find(want, name);
		double most = rc ? INFINITY : 0;
		for (size_t r = 0; rc == 0 && r < h.b.rows; r++) {
			struct ft_stored row = *t;
			row.data = (const char *)t->data + 4 * 32 * (size_t)h.offsets[r];
			row.bytes = 4 * 32;
			double d = worst(v + 32 * r, &row);
			most = d <= most ? most : d;
		}
		ok(most < 1e-5, "first hidden states of batch %d (worst %.2g)", k, most);
		json_decref(o);
	}
	ft_graph_free(g);
	ft_safetensors_close(want);
	ft_model_free(m);
}

/* ---- losses and gradients of each head ---- */
static struct ft_model *open_as(const char *dir, const char *head)
{
	if (!head)
		return ft_model_open(dir, NULL, 0);
	json_t *o = json_loads(head, 0, NULL);
	struct ft_plan plan = { .head = o, .last_layers = -1, .layer_decay = 1 };
	struct ft_model *m = ft_model_plan(dir, NULL, &plan, 0);
	json_decref(o);
	return m;
}

/* A head over the reference's classifier: its rows go into ours. */
static void copy_classifier(struct ft_model *m)
{
	struct ft_safetensors *s = ft_safetensors_open(REF "tiny-bert-classify/model.safetensors");
	struct ft_param *w = ft_model_find(m, "head.weight"), *b = ft_model_find(m, "head.bias");
	memcpy(w->t.data, ft_safetensors_find(s, "classifier.weight")->data, 4 * 32 * (size_t)w->t.rows);
	memcpy(b->t.data, ft_safetensors_find(s, "classifier.bias")->data, 4 * (size_t)b->t.cols);
	ft_safetensors_close(s);
}

static void check_gradients(struct ft_model *m, struct ft_safetensors *want, const char *prefix, double scale,
                            const char *what)
{
	int checked = 0;
	double most = 0;
	const char *which = "";
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		char name[200];
		snprintf(name, sizeof name, "%s%s", prefix, p->file);
		const struct ft_stored *t = ft_safetensors_find(want, name);
		if (!t)
			continue;
		checked++;
		for (int64_t r = 0; r < p->t.rows; r++)
			for (int64_t c = 0; c < p->t.cols; c++) {
				bool zero = !p->t.has_grad || (p->t.touched && !p->t.dense && !p->t.touched[r]);
				float *x = &p->t.grad[r * p->t.cols + c];
				*x = zero ? 0 : *x * (float)scale;
			}
		double d = relative(p->t.grad, t);
		if (!(d <= most)) {
			most = d;
			which = p->name;
		}
	}
	ok(most < 1e-4 && checked > 0, "%s: %d gradients, worst %.2g of its norm (%s)", what, checked, most, which);
}

static void check_head(const char *what, const char *dir, const char *head, bool targets)
{
	char path[160];
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_model *m = open_as(dir, head);
	struct ft_optim *optim = m ? ft_optim_new(m, &o) : NULL; /* it makes room for gradients */
	struct ft_graph *g = ft_graph_new();
	json_t *expected = ft_json_load(REF "tiny-bert-expected/expected.json");
	static struct held h;
	struct ft_output out = { 0 };
	snprintf(path, sizeof path, REF "tiny-bert-expected/%s.jsonl", what);
	json_t *line = line_of(path, 0);
	snprintf(path, sizeof path, REF "tiny-bert-expected/%s.safetensors", what);
	struct ft_safetensors *want = ft_safetensors_open(path);
	if (!ok(optim && line && want, "%s opens", what))
		return;
	if (targets)
		copy_classifier(m);
	take_batch(&h, line, targets);
	ft_graph_begin(g, FT_CHECK, 0, 0);
	int rc = ft_model_step(m, g, &h.b, &out);
	ok(rc == 0, "%s: step", what);
	double loss = json_number_value(json_object_get(json_object_get(expected, "loss"), what));
	is_near(out.loss_sum / out.weight, loss, 1e-5, "loss");
	if (out.logits)
		ok(worst(out.logits, ft_safetensors_find(want, "logits")) < 1e-5, "%s: logits", what);
	check_gradients(m, want, "grad.", 1 / out.weight, what);
	rc = ft_model_eval(m, g, &h.b, &out);
	is_near(out.loss_sum / out.weight, loss, 1e-5, "loss in inference");
	ft_safetensors_close(want);
	json_decref(line);
	json_decref(expected);
	ft_graph_free(g);
	ft_optim_free(optim);
	ft_model_free(m);
}

/* One step on the batch; logits of the supervised tokens, loss and gradients. */
static void check_tag_step(struct ft_model *m, struct ft_graph *g, const struct held *h, struct ft_safetensors *want,
                           const char *what, const char *prefix)
{
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_optim *optim = ft_optim_new(m, &o);
	json_t *expected = ft_json_load(REF "tiny-bert-expected/expected.json");
	const struct ft_stored *logits = ft_safetensors_find(want, "logits");
	struct ft_output out = { 0 };
	ft_graph_begin(g, FT_CHECK, 0, 0);
	ok(optim && ft_model_step(m, g, &h->b, &out) == 0, "%s: step", what);
	double most = 0;
	size_t unit = 0;
	for (size_t i = 0; i < h->b.tokens; i++) {
		if (h->b.labels[i] == FT_IGNORE)
			continue;
		struct ft_stored one = *logits;
		one.bytes = 4 * out.outputs;
		one.data = (const char *)logits->data + i * one.bytes;
		most = fmax(most, worst(out.logits + unit++ * out.outputs, &one));
	}
	ok(unit == out.units && unit == (size_t)out.supervised && most < 1e-5, "%s: logits of %zu supervised tokens", what, unit);
	is_near(out.loss_sum / out.weight, json_number_value(json_object_get(json_object_get(expected, "loss"), what)), 1e-5,
	        "loss");
	check_gradients(m, want, prefix, 1 / out.weight, what);
	json_decref(expected);
	ft_optim_free(optim);
}

static void check_tag(void)
{
	static const float weights[5] = { 0.5f, 1, 2, 1, 4 };
	static struct held h;
	struct ft_model *m = ft_model_open(REF "tiny-bert-tag", NULL, 0);
	struct ft_safetensors *want = ft_safetensors_open(REF "tiny-bert-expected/tag.safetensors");
	struct ft_graph *g = ft_graph_new();
	json_t *line = line_of(REF "tiny-bert-expected/tag.jsonl", 0);
	struct ft_output out = { 0 };
	if (!ok(m && want && line && ft_model_task(m) == FT_TASK_TAG && ft_model_outputs(m) == 5, "tiny-bert-tag opens"))
		return;
	is_str(ft_model_label(m, 3), "B-LOC", "its labels are those of id2label");
	ok(!ft_model_find(m, "pool.weight"), "it has no pooler");
	take_batch(&h, line, false);
	struct ft_batch bare = h.b;
	bare.labels = NULL;
	bare.nlabels = 0;
	int rc = ft_model_eval(m, g, &bare, &out);
	ok(rc == 0 && out.units == h.b.tokens && !out.loss && worst(out.logits, ft_safetensors_find(want, "logits")) < 1e-5,
	   "without labels: logits of all %zu tokens", out.units);
	check_tag_step(m, g, &h, want, "tag", "grad.");
	ft_model_free(m);
	m = ft_model_open(REF "tiny-bert-tag", NULL, 0);
	ft_model_loss(m, 0.1, weights);
	check_tag_step(m, g, &h, want, "tag_weighted", "weighted.");
	struct ft_batch rows = h.b;
	rows.nlabels = rows.rows;
	ok(ft_model_eval(m, g, &rows, &out) == FT_EMATCH, "labels of rows are refused");
	for (size_t i = 0; i < h.b.tokens; i++)
		h.labels[i] = FT_IGNORE;
	ok(ft_model_eval(m, g, &h.b, &out) == 0 && out.supervised == 0 && !out.loss, "nothing supervised: no loss");
	ft_graph_free(g);
	json_decref(line);
	ft_safetensors_close(want);
	ft_model_free(m);
}

/* The oldest names, and half precision, hold the same model. */
static void check_legacy(void)
{
	struct ft_model *a = ft_model_open(REF "tiny-bert-mlm", NULL, 0), *b = open_as(REF "tiny-bert-legacy", "{\"type\":\"mlm\"}");
	int same = a && b && ft_model_params(a) == ft_model_params(b);
	for (size_t i = 0; same && i < ft_model_params(a); i++) {
		struct ft_param *p = ft_model_param(a, i), *q = ft_model_param(b, i);
		same = p->t.rows * p->t.cols == q->t.rows * q->t.cols &&
		       memcmp(p->t.data, q->t.data, 4 * (size_t)(p->t.rows * p->t.cols)) == 0;
	}
	ok(same, "gamma/beta names and float16 give the same weights");
	ft_model_free(a);
	ft_model_free(b);
}

/* ---- training runs ---- */
static int write_batches(const char *path, const struct ft_model *m)
{
	json_t *meta = json_pack("{s:O, s:s, s:i, s:i}", "tokenizer", json_object_get(ft_model_meta(m), "tokenizer"), "task",
	                         "classify", "batches", 20, "epochs", 1);
	struct ft_writer *w = ft_writer_open(path, "batches", meta, NULL, 0);
	static struct held h;
	int rc = w ? 0 : -1;
	for (int i = 0; rc == 0 && i < 20; i++) {
		json_t *o = line_of(REF "tiny-bert-expected/train.jsonl", i);
		take_batch(&h, o, false);
		h.b.epoch = 0;
		rc = ft_batch_write(w, &h.b);
		json_decref(o);
	}
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	json_decref(meta);
	return rc;
}

static void compare_log(const char *what, const char *path, const json_t *run)
{
	const json_t *losses = json_object_get(run, "loss"), *norms = json_object_get(run, "norm");
	if (!norms)
		norms = json_object_get(run, "grad_norm");
	double loss = 0, norm = 0;
	size_t n = 0;
	for (; n < json_array_size(losses); n++) {
		json_t *entry = line_of(path, (int)n);
		double a = fabs(json_number_value(json_object_get(entry, "loss")) - json_number_value(json_array_get(losses, n)));
		double w = json_number_value(json_array_get(norms, n));
		double b = norms ? fabs(json_number_value(json_object_get(entry, "norm")) - w) / w : 0;
		loss = entry && a <= loss ? loss : entry ? a : INFINITY;
		norm = b <= norm ? norm : b;
		json_decref(entry);
	}
	ok(n > 0 && loss < 1e-4, "%s: losses of %zu steps, worst difference %.2g", what, n, loss);
	ok(norm < 1e-3, "%s: norms of gradients, worst difference %.2g of it", what, norm);
}

static void check_training(const char *what, struct ft_train_options o, double smoothing, const float *weights)
{
	char batches[] = "/tmp/ft-test-XXXXXX", log[] = "/tmp/ft-test-XXXXXX";
	close(mkstemp(batches));
	close(mkstemp(log));
	json_t *expected = ft_json_load(REF "tiny-bert-expected/expected.json");
	struct ft_model *m = ft_model_open(REF "tiny-bert-classify", NULL, 0);
	ok(m && write_batches(batches, m) == 0, "%s: batches written", what);
	struct ft_reader *r = ft_reader_open(batches, "batches");
	o.log = log;
	o.dropout = 0;
	o.clip = 1;
	o.schedule = "linear";
	o.metric = "loss";
	ft_model_loss(m, smoothing, weights);
	ok(r && ft_train(m, r, &o) == 0, "%s: trains", what);
	compare_log(what, log, json_object_get(json_object_get(expected, "train"), what));
	if (strcmp(what, "adamw") == 0) {
		struct ft_safetensors *want = ft_safetensors_open(REF "tiny-bert-expected/train-final.safetensors");
		double most = 0;
		for (size_t i = 0; want && i < ft_model_params(m); i++) {
			struct ft_param *p = ft_model_param(m, i);
			if (strstr(p->name, "attn.k.bias")) /* its gradient is rounding alone */
				continue;
			double d = relative(p->t.data, ft_safetensors_find(want, p->file));
			most = d <= most ? most : d;
		}
		ok(want && most < 1e-4, "parameters after 20 steps, worst difference %.2g of its norm", most);
		ft_safetensors_close(want);
	}
	ft_reader_close(r);
	ft_model_free(m);
	json_decref(expected);
	unlink(batches);
	unlink(log);
}

int main(void)
{
	static const float weights[3] = { 0.5f, 1, 2 };
	struct ft_optim_options adamw = { .name = "adamw", .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01 };
	check_hidden();
	check_head("classify", REF "tiny-bert-classify", NULL, false);
	check_head("multilabel", REF "tiny-bert-classify", "{\"type\":\"multilabel\",\"labels\":[\"a\",\"b\",\"c\"]}", true);
	check_head("regress1", REF "tiny-bert-classify", "{\"type\":\"regress\",\"outputs\":1}", true);
	check_head("regress3", REF "tiny-bert-classify", "{\"type\":\"regress\",\"outputs\":3}", true);
	check_head("mlm", REF "tiny-bert-mlm", NULL, false);
	check_tag();
	check_legacy();
	check_training("adamw", (struct ft_train_options){ .optim = adamw, .rate = 1e-3, .warmup = 4, .accumulate = 1 }, 0, NULL);
	check_training("sgd", (struct ft_train_options){ .optim = { .name = "sgd", .momentum = 0.9 }, .rate = 1e-2, .warmup = 4, .accumulate = 1 }, 0, NULL);
	check_training("weighted", (struct ft_train_options){ .optim = adamw, .rate = 1e-3, .warmup = 2, .accumulate = 2 }, 0.1, weights);
	return tap_done();
}
