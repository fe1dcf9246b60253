/* penalty.c - Fisher information, and training that is kept near its start, against
 * PyTorch (tests/ref/make-penalties.py). */
#include "ft/fisher.h"
#include "ft/train.h"
#include "tests/reference.h"

#include <unistd.h>

#define REF "tests/ref/"

/* Batches [from, to) of the reference's training data, as a stream with so many rows each. */
static int write_batches(const char *path, const struct ft_model *m, int from, int to)
{
	json_t *meta = json_pack("{s:O, s:s, s:i, s:i}", "tokenizer", json_object_get(ft_model_meta(m), "tokenizer"), "task",
	                         "classify", "batches", to - from, "epochs", 1);
	struct ft_writer *w = ft_writer_open(path, "batches", meta, NULL, 0);
	static struct held h;
	int rc = w ? 0 : -1;
	for (int i = from; rc == 0 && i < to; i++) {
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

/* ---- Fisher information ---- */
static int64_t measure(struct ft_model *m, const char *data, const char *out, int64_t most)
{
	struct ft_reader *r = ft_reader_open(data, "batches");
	int64_t n = r ? ft_fisher(m, r, most, out) : -1;
	ft_reader_close(r);
	return n;
}

static void compare_fisher(const struct ft_model *m, const char *path, const json_t *expected)
{
	struct ft_reader *r = ft_reader_open(path, "fisher");
	struct ft_tensor_desc d;
	static float x[8192];
	double worst = 0;
	size_t n = 0;
	while (r && ft_tensor_read(r, &d) > 0) {
		char name[128];
		snprintf(name, sizeof name, "%.*s", (int)d.name.n, d.name.p);
		const struct ft_param *p = ft_model_find(m, name);
		const json_t *want = p ? json_object_get(expected, p->file) : NULL;
		double sum = 0, squares = 0;
		if (!want || d.bytes > sizeof x || ft_tensor_data(r, &d, x) < 0)
			break;
		for (size_t i = 0; i < d.bytes / sizeof *x; i++) {
			sum += x[i];
			squares += (double)x[i] * x[i];
		}
		double s = json_number_value(json_object_get(want, "sum")), q = json_number_value(json_object_get(want, "norm"));
		double a = fabs(sum - s) / fmax(s, 1e-9), b = fabs(sqrt(squares) - q) / fmax(q, 1e-9);
		worst = fmax(worst, fmax(a, b));
		n++;
	}
	ok(r && n == json_object_size(expected) && worst < 1e-4, "Fisher information of %zu parameters, worst difference %.2g",
	   n, worst);
	ft_reader_close(r);
}

/* ---- training ---- */
static double worst_of(const char *log, const char *key, const json_t *want, double least)
{
	double worst = json_array_size(want) ? 0 : INFINITY;
	for (size_t i = 0; i < json_array_size(want); i++) {
		json_t *entry = line_of(log, (int)i);
		double w = json_number_value(json_array_get(want, i));
		const json_t *have = json_object_get(entry, key);
		double d = have ? fabs(json_number_value(have) - w) / fmax(fabs(w), least) : INFINITY;
		worst = d <= worst ? worst : d;
		json_decref(entry);
	}
	return worst;
}

static void check_run(const char *name, const json_t *want, const char *data, double l2_sp, const char *fisher)
{
	char log[] = "/tmp/ft-test-XXXXXX";
	close(mkstemp(log));
	struct ft_model *m = ft_model_open(REF "tiny-bert-classify", NULL, 0);
	struct ft_reader *r = ft_reader_open(data, "batches");
	struct ft_train_options o = {
		.optim = { .name = "sgd", .momentum = 0.9 }, .rate = 1e-2, .warmup = 2, .accumulate = 1, .clip = 1, .log = log,
		.schedule = "linear", .metric = "loss", .l2_sp = l2_sp, .ewc = fisher, .ewc_weight = 40,
	};
	ok(m && r && ft_train(m, r, &o) == 0, "%s: trains", name);
	double loss = worst_of(log, "loss", json_object_get(want, "loss"), 1);
	double penalty = worst_of(log, "penalty", json_object_get(want, "penalty"), 1e-3);
	double norm = worst_of(log, "norm", json_object_get(want, "grad_norm"), 1e-3);
	ok(loss < 1e-4 && penalty < 1e-3 && norm < 1e-3, "%s: loss, penalty and norm of each step, worst differences %.2g, "
	   "%.2g, %.2g", name, loss, penalty, norm);
	ft_reader_close(r);
	ft_model_free(m);
	unlink(log);
}

int main(void)
{
	char first[] = "/tmp/ft-test-XXXXXX", rest[] = "/tmp/ft-test-XXXXXX", fisher[] = "/tmp/ft-test-XXXXXX";
	close(mkstemp(first));
	close(mkstemp(rest));
	close(mkstemp(fisher));
	json_t *expected = ft_json_load(REF "penalties.json");
	struct ft_model *m = ft_model_open(REF "tiny-bert-classify", NULL, 0);
	if (!ok(expected && m && write_batches(first, m, 0, 5) == 0 && write_batches(rest, m, 8, 20) == 0, "data"))
		return tap_done();
	is_int(measure(m, first, fisher, 3), 3, "a limit of examples");
	is_int(measure(m, first, fisher, 0), 20, "all examples");
	compare_fisher(m, fisher, json_object_get(expected, "fisher"));
	check_run("l2_sp", json_object_get(expected, "l2_sp"), rest, 3, NULL);
	check_run("ewc", json_object_get(expected, "ewc"), rest, 0, fisher);
	check_run("both", json_object_get(expected, "both"), rest, 3, fisher);
	ft_model_free(m);
	json_decref(expected);
	unlink(first);
	unlink(rest);
	unlink(fisher);
	return tap_done();
}
