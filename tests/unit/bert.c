/* bert.c - BERT's tags and oldest checkpoints, and whole training runs against PyTorch
 * (tests/ref/README.md). */
#include "ft/optim.h"
#include "ft/train.h"
#include "tests/reference.h"

#include <unistd.h>

#define REF "tests/ref/"

/* ---- a label for each token ---- */
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
	double most = worst_supervised(&out, logits, &h->b);
	ok(out.units == (size_t)out.supervised && most < 1e-5, "%s: logits of %zu supervised tokens", what, out.units);
	is_near(out.loss_sum / out.weight, json_number_value(json_object_get(json_object_get(expected, "loss"), what)), 1e-5,
	        "loss");
	check_gradients(m, want, prefix, 1 / out.weight, what, false);
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
	check_tag();
	check_legacy();
	check_training("adamw", (struct ft_train_options){ .optim = adamw, .rate = 1e-3, .warmup = 4, .accumulate = 1 }, 0, NULL);
	check_training("sgd", (struct ft_train_options){ .optim = { .name = "sgd", .momentum = 0.9 }, .rate = 1e-2, .warmup = 4, .accumulate = 1 }, 0, NULL);
	check_training("weighted", (struct ft_train_options){ .optim = adamw, .rate = 1e-3, .warmup = 2, .accumulate = 2 }, 0.1, weights);
	return tap_done();
}
