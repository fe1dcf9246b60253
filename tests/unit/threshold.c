/* threshold.c - thresholds of labels: chosen as scikit-learn's F1 says
 * (tests/ref/documents.json), read from a file, used by the metrics. */
#include "ft/err.h"
#include "ft/file.h"
#include "ft/metric.h"
#include "ft/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST = 512, LABELS = 8 };

struct rows {
	float logits[MOST], targets[MOST], loss[MOST];
	size_t rows, outputs;
};

static void load(const json_t *c, struct rows *r)
{
	const json_t *x = json_object_get(c, "logits"), *y = json_object_get(c, "targets");
	r->outputs = (size_t)json_integer_value(json_object_get(c, "outputs"));
	r->rows = json_array_size(x) / r->outputs;
	for (size_t i = 0; i < json_array_size(x); i++) {
		r->logits[i] = (float)json_number_value(json_array_get(x, i));
		r->targets[i] = (float)json_number_value(json_array_get(y, i));
	}
}

/* Rows [from, to) as a model gives them. */
static struct ft_batch part(const struct rows *r, size_t from, size_t to, struct ft_output *out)
{
	*out = (struct ft_output){ .logits = r->logits + from * r->outputs, .loss = r->loss, .units = to - from,
		                   .outputs = r->outputs };
	return (struct ft_batch){ .rows = to - from, .targets = r->targets + from * r->outputs,
		                  .ntargets = (to - from) * r->outputs };
}

static void test_case(const json_t *c)
{
	static struct rows r;
	double threshold[LABELS], f1[LABELS];
	char path[32];
	struct ft_output out;
	load(c, &r);
	struct ft_tuner *t = ft_tuner_new(r.outputs);
	for (size_t from = 0; from < r.rows; from += 7) {
		struct ft_batch b = part(&r, from, from + 7 < r.rows ? from + 7 : r.rows, &out);
		ft_tuner_add(t, &out, &b);
	}
	is_int(ft_tuner_best(t, threshold, f1), FT_OK, "thresholds are chosen");
	for (size_t k = 0; k < r.outputs; k++) {
		is_near(threshold[k], json_number_value(json_array_get(json_object_get(c, "thresholds"), k)), 1e-7,
		        "the threshold of a label");
		is_near(f1[k], json_number_value(json_array_get(json_object_get(c, "f1"), k)), 1e-12, "and its F1");
	}
	for (int tuned = 0; tuned < 2; tuned++) {
		struct ft_metric *m = ft_metric_new(FT_TASK_MULTILABEL, r.outputs, 0, 0);
		struct ft_batch b = part(&r, 0, r.rows, &out);
		if (tuned)
			ft_metric_thresholds(m, threshold);
		ft_metric_add(m, &out, &b);
		json_t *result = ft_metric_result(m, NULL);
		for (int i = 0; i < 2; i++) {
			double v = NAN;
			snprintf(path, sizeof path, "%s.f1", i ? "macro" : "micro");
			ft_metric_lookup(result, path, &v);
			is_near(v, json_number_value(json_object_get(json_object_get(c, path), tuned ? "tuned" : "0.5")), 1e-9,
			        tuned ? "F1 with them" : "F1 at 0.5");
		}
		json_decref(result);
		ft_metric_free(m);
	}
	ft_tuner_free(t);
}

/* What is written decides as what was chosen, whatever lies close together. */
static void test_round_trip(void)
{
	static struct rows r = { .rows = MOST / 2, .outputs = 2 };
	double threshold[2], f1[2];
	char path[] = "/tmp/ft-threshold.XXXXXX";
	struct ft_rng rng;
	struct ft_output out;
	int wrong = 0;
	close(mkstemp(path));
	ft_rng_init(&rng, 3, 0);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < MOST; i++) { /* few ulps apart, from about 0 to about 1 */
			r.logits[i] = (float)(round - 25) * 0.7f + (float)ft_rng_uniform(&rng) * 1e-5f;
			r.targets[i] = ft_rng_uniform(&rng) < 0.3;
		}
		struct ft_batch b = part(&r, 0, r.rows, &out);
		struct ft_tuner *t = ft_tuner_new(2);
		ft_tuner_add(t, &out, &b);
		ft_tuner_best(t, threshold, f1);
		json_t *result = ft_tuner_result(t, NULL), *none = NULL;
		ft_json_save(path, result);
		double *back = ft_thresholds(path, none, 2, 0.5);
		float p[2];
		for (size_t i = 0; back && i < r.rows; i++) {
			ft_probabilities(FT_TASK_MULTILABEL, r.logits + 2 * i, 2, p);
			for (int k = 0; k < 2; k++)
				wrong += ((double)p[k] >= back[k]) != ((double)p[k] >= threshold[k]);
		}
		wrong += !back;
		free(back);
		json_decref(result);
		ft_tuner_free(t);
	}
	is_int(wrong, 0, "thresholds survive being written");
	unlink(path);
}

static void refused(const char *text, int code, const char *why, const char *what)
{
	char path[] = "/tmp/ft-threshold.XXXXXX";
	int fd = mkstemp(path);
	json_t *labels = json_pack("[s, s]", "a", "b");
	ft_write_all(fd, text, strlen(text), path);
	close(fd);
	double *t = ft_thresholds(path, labels, 2, 0.5);
	ok(!t && ft_last_error() == code && strstr(ft_message(), why), "%s", what);
	free(t);
	json_decref(labels);
	unlink(path);
}

static void test_files(void)
{
	double *t = ft_thresholds(NULL, NULL, 3, 0.25);
	ok(t && t[0] == 0.25 && t[2] == 0.25, "without a file all are the same");
	free(t);
	refused("{\"thresholds\":{\"a\":0.2}}", FT_EMATCH, "label 'b'", "a label of the model is missing");
	refused("{\"thresholds\":{\"a\":0.2,\"b\":0.3,\"c\":0.3}}", FT_EMATCH, "no label 'c'", "a label too many");
	refused("{\"thresholds\":{\"a\":0.2,\"b\":0}}", FT_EFORMAT, "of 'b'", "a threshold of 0");
	refused("{\"thresholds\":{\"a\":1,\"b\":0.5}}", FT_EFORMAT, "of 'a'", "a threshold of 1");
	refused("{\"thresholds\":{\"a\":\"0.5\",\"b\":0.5}}", FT_EFORMAT, "of 'a'", "a threshold that is no number");
	refused("{\"a\":0.5,\"b\":0.5}", FT_EFORMAT, "thresholds", "another file");
	refused("[", FT_EFORMAT, "/tmp/", "no JSON");
	double v[1], f1[1];
	struct ft_tuner *none = ft_tuner_new(1);
	is_int(ft_tuner_best(none, v, f1), FT_EFORMAT, "no rows to choose by");
	ft_tuner_free(none);
}

int main(void)
{
	json_t *ref = ft_json_load("tests/ref/documents.json"), *c;
	size_t i;
	ok(ref != NULL, "the reference");
	json_array_foreach(json_object_get(ref, "thresholds"), i, c)
		test_case(c);
	test_round_trip();
	test_files();
	json_decref(ref);
	return tap_done();
}
