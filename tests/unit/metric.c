/* metric.c - metrics against scikit-learn and scipy (tests/ref/metrics.json),
 * the bootstrap against its theory, and what must be refused. */
#include "ft/err.h"
#include "ft/metric.h"
#include "ft/thread.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One case of the reference file as the arrays a model would give. */
struct rows {
	enum ft_task task;
	size_t rows, outputs;
	float *logits, *loss, *targets;
	int32_t *labels;
};

static float *floats(const json_t *a)
{
	float *v = ft_alloc(json_array_size(a), sizeof *v);
	for (size_t i = 0; v && i < json_array_size(a); i++)
		v[i] = (float)json_number_value(json_array_get(a, i));
	return v;
}

static struct rows load(const json_t *c)
{
	const json_t *labels = json_object_get(c, "labels");
	struct rows r = {
		.task = (enum ft_task)ft_task_parse(json_string_value(json_object_get(c, "task"))),
		.rows = json_array_size(json_object_get(c, "loss")),
		.outputs = (size_t)json_integer_value(json_object_get(c, "outputs")),
		.logits = floats(json_object_get(c, "logits")),
		.loss = floats(json_object_get(c, "loss")),
		.targets = labels ? NULL : floats(json_object_get(c, "targets")),
		.labels = labels ? ft_alloc(json_array_size(labels), sizeof(int32_t)) : NULL,
	};
	for (size_t i = 0; labels && i < r.rows; i++)
		r.labels[i] = (int32_t)json_integer_value(json_array_get(labels, i));
	return r;
}

static void unload(struct rows *r)
{
	free(r->logits);
	free(r->loss);
	free(r->targets);
	free(r->labels);
}

/* Adds rows [from, to) as one batch. */
static int add(struct ft_metric *t, const struct rows *r, size_t from, size_t to)
{
	size_t n = to - from;
	struct ft_output out = {
		.logits = r->logits + from * r->outputs,
		.loss = r->loss + from,
		.units = n,
		.outputs = r->outputs,
	};
	struct ft_batch b = {
		.rows = n,
		.labels = r->labels ? r->labels + from : NULL,
		.nlabels = r->labels ? n : 0,
		.targets = r->targets ? r->targets + from * r->outputs : NULL,
		.ntargets = r->targets ? n * r->outputs : 0,
	};
	return ft_metric_add(t, &out, &b);
}

/* Adds all rows, in batches of unequal sizes. */
static struct ft_metric *measure(const struct rows *r, int resamples)
{
	struct ft_metric *t = ft_metric_new(r->task, r->outputs, resamples, 3);
	for (size_t from = 0, n = 1; t && from < r->rows; from += n, n = n * 2 + 1)
		if (add(t, r, from, from + n < r->rows ? from + n : r->rows) < 0)
			printf("# %s\n", ft_message());
	return t;
}

static void check_values(const json_t *c, const json_t *result)
{
	const char *path;
	const json_t *want;
	int wrong = 0, n = 0;
	json_object_foreach(json_object_get(c, "want"), path, want)
	{
		double got = NAN, value = json_number_value(want);
		int rc = ft_metric_lookup(result, path, &got);
		n++;
		if (rc == FT_OK && fabs(got - value) <= 1e-6 * (1.0 + fabs(value)))
			continue;
		wrong++;
		printf("# %s: got %.9g, want %.9g\n", path, got, value);
	}
	ok(n > 4 && wrong == 0, "%s: %d values as the reference", json_string_value(json_object_get(c, "name")), n);
}

static void test_reference(const json_t *cases)
{
	size_t i;
	json_t *c;
	json_array_foreach(cases, i, c)
	{
		struct rows r = load(c);
		struct ft_metric *t = measure(&r, 0);
		json_t *result = ft_metric_result(t, NULL);
		check_values(c, result);
		const json_t *matrix = json_object_get(c, "confusion");
		if (matrix)
			ok(json_equal(json_object_get(json_object_get(result, "confusion"), "matrix"), matrix),
			   "the confusion matrix");
		ok(!json_object_get(result, "stderr"), "no standard errors without resamples");
		json_decref(result);
		ft_metric_free(t);
		unload(&r);
	}
}

static void test_mcnemar(const json_t *cases)
{
	size_t i;
	json_t *c;
	int wrong = 0;
	json_array_foreach(cases, i, c)
	{
		double p = ft_mcnemar((uint64_t)json_integer_value(json_array_get(c, 0)),
		                      (uint64_t)json_integer_value(json_array_get(c, 1)));
		wrong += fabs(p / json_number_value(json_array_get(c, 2)) - 1.0) > 1e-9;
	}
	ok(i > 5 && wrong == 0, "McNemar's p as the reference");
}

/* ---- a made-up two-class task, large enough for theory to hold ---- */

static struct rows make(size_t n, int every)
{
	struct rows r = { .task = FT_TASK_CLASSIFY, .rows = n, .outputs = 2 };
	r.logits = ft_alloc(n * 2, sizeof(float));
	r.loss = ft_alloc(n, sizeof(float));
	r.labels = ft_alloc(n, sizeof(int32_t));
	for (size_t i = 0; i < n; i++) {
		r.labels[i] = (int32_t)(i % 2);
		r.logits[i * 2 + (i % 2)] = i % (size_t)every == 0 ? -1.0f : 1.0f;
		r.loss[i] = i % (size_t)every == 0 ? 2.0f : 0.5f;
	}
	return r;
}

static double number(const json_t *result, const char *path)
{
	double v = NAN;
	ft_metric_lookup(result, path, &v);
	return v;
}

static void test_bootstrap(void)
{
	struct rows r = make(2000, 5);
	struct ft_metric *t = measure(&r, 2000);
	json_t *one, *two;
	ft_threads_set(1);
	one = ft_metric_result(t, NULL);
	ft_threads_set(3);
	two = ft_metric_result(t, NULL);
	double theory = sqrt(0.2 * 0.8 / 2000);
	ok(fabs(number(one, "accuracy") - 0.8) < 1e-12, "accuracy of the made-up task");
	ok(fabs(number(one, "stderr.accuracy") / theory - 1.0) < 0.06, "standard error of accuracy: the binomial one");
	ok(fabs(number(one, "stderr.loss") / (1.5 * theory) - 1.0) < 0.06, "standard error of a mean loss");
	ok(number(one, "stderr.macro.f1") > 0.5 * theory, "macro F1 has one too");
	ok(json_equal(one, two), "the same with any number of threads");
	json_decref(one);
	json_decref(two);
	ft_metric_free(t);
	unload(&r);
}

static void test_compare(void)
{
	struct rows a = make(1000, 10), b = make(1000, 5);
	struct ft_metric *t = measure(&a, 500), *base = measure(&b, 500);
	json_t *result = ft_metric_compare(t, base), *self = ft_metric_compare(t, t);
	/* b errs on a's errors and on 100 more rows: the difference is a share of 0.1. */
	ok(fabs(number(result, "difference.accuracy") - 0.1) < 1e-12, "difference of accuracies");
	double theory = sqrt(0.1 * 0.9 / 1000);
	ok(fabs(number(result, "stderr.accuracy") / theory - 1.0) < 0.1, "its paired standard error");
	is_int((long long)number(result, "mcnemar.only_model"), 100, "rows only the model got right");
	is_int((long long)number(result, "mcnemar.only_baseline"), 0, "rows only the baseline got right");
	ok(number(result, "mcnemar.p") < 1e-20, "which is no chance");
	ok(number(self, "difference.loss") == 0.0 && number(self, "stderr.loss") == 0.0 &&
	           number(self, "mcnemar.p") == 1.0,
	   "a model against itself");
	json_decref(result);
	json_decref(self);
	b.rows = 999;
	struct ft_metric *fewer = measure(&b, 0);
	ok(!ft_metric_compare(t, fewer) && ft_last_error() == FT_EMATCH, "other rows are refused");
	ft_metric_free(fewer);
	ft_metric_free(t);
	ft_metric_free(base);
	unload(&a);
	unload(&b);
}

static void test_ignored_and_refused(void)
{
	struct rows r = make(10, 5);
	r.labels[3] = FT_IGNORE;
	struct ft_metric *t = measure(&r, 0);
	json_t *labels = json_pack("[s, s]", "a.b", "c"), *result = ft_metric_result(t, labels);
	double v;
	ok(number(result, "examples") == 9, "a row without a label is passed over");
	ok(number(result, "classes.a.b.support") == 5, "a label with a dot in its name is found");
	ok(ft_metric_lookup(result, "macro", &v) == FT_EUSAGE, "an object is not a metric");
	ok(ft_metric_lookup(result, "acc", &v) == FT_EUSAGE && strstr(ft_message(), "'acc'"), "nor is another name");
	r.labels[4] = 2;
	ok(add(t, &r, 4, 5) == FT_EMATCH, "a label beyond the classes is refused");
	r.loss[6] = NAN;
	ok(add(t, &r, 6, 7) == FT_ECRITERION, "a loss that is not finite is refused");
	r.logits[14] = INFINITY;
	ok(add(t, &r, 7, 8) == FT_ECRITERION, "an infinite logit is refused");
	ok(!ft_metric_new(FT_TASK_NONE, 2, 0, 0), "no head, no metrics");
	ft_metric_free(t);
	t = ft_metric_new(FT_TASK_CLASSIFY, 2, 0, 0);
	ok(!ft_metric_result(t, NULL) && ft_last_error() == FT_EFORMAT, "no rows, no result");
	ft_metric_free(t);
	json_decref(labels);
	json_decref(result);
	unload(&r);
}

/* Two rows: three supervised tokens, then one, and a row with none. */
static void test_language_model(void)
{
	int32_t offsets[] = { 0, 4, 6, 7 }, labels[] = { 1, FT_IGNORE, 2, 0, FT_IGNORE, 1, FT_IGNORE };
	float loss[] = { 1.0f, 2.0f, 3.0f, 4.0f };
	uint8_t hits[] = { 1, 0, 1, 1 };
	struct ft_size sizes[] = { { 9, 8, 2 }, { 1, 1, 0 }, { 0, 0, 0 } };
	struct ft_batch b = { .offsets = offsets, .rows = 3, .tokens = 7, .labels = labels, .nlabels = 7 };
	struct ft_output out = { .loss = loss, .units = 4, .hits = hits };
	struct ft_metric *t = ft_metric_new(FT_TASK_MLM, 0, 100, 0);
	ok(ft_metric_add(t, &out, &b) == FT_OK, "a batch of a masked language model");
	json_t *result = ft_metric_result(t, NULL);
	ok(number(result, "loss") == 2.5, "mean loss of a token");
	is_near(number(result, "perplexity"), exp(2.5), 1e-9, "perplexity");
	ok(number(result, "accuracy") == 0.75, "accuracy over tokens");
	ok(number(result, "examples") == 2 && number(result, "tokens") == 4, "rows and tokens that count");
	ok(number(result, "stderr.loss") > 0.0, "standard error over rows");
	ok(!json_object_get(result, "bits_per_byte"), "no bytes: nothing is said of them");
	json_decref(result);
	out.units = 3;
	ok(ft_metric_add(t, &out, &b) == FT_EMATCH, "fewer losses than labels are refused");
	out.hits = NULL;
	ok(ft_metric_add(t, &out, &b) == FT_EFORMAT, "so are outputs that do not say what came first");
	ft_metric_free(t);

	out = (struct ft_output){ .loss = loss, .units = 4, .hits = hits };
	b.sizes = sizes;
	t = ft_metric_new(FT_TASK_LM, 0, 100, 0);
	ok(ft_metric_add(t, &out, &b) == FT_OK, "a batch of a causal one, which says how much text there is");
	result = ft_metric_result(t, NULL);
	is_near(number(result, "word_perplexity"), exp(10.0 / 2), 1e-9, "perplexity of words");
	is_near(number(result, "byte_perplexity"), exp(10.0 / 10), 1e-12, "of bytes");
	is_near(number(result, "bits_per_byte"), 10.0 / 10 / log(2), 1e-12, "bits per byte");
	ok(number(result, "stderr.bits_per_byte") > 0.0, "with a standard error");
	json_decref(result);
	b.sizes = NULL;
	ok(ft_metric_add(t, &out, &b) == FT_OK, "rows that do not say it");
	result = ft_metric_result(t, NULL);
	ok(!json_object_get(result, "byte_perplexity") && number(result, "loss") == 2.5, "then there is no loss of bytes");
	json_decref(result);
	ft_metric_free(t);
}

/* Two questions, whose choices come mixed: of two tokens each, and of one. */
static void test_choices(void)
{
	int32_t offsets[] = { 0, 3, 6, 8, 10 }, labels[] = { FT_IGNORE, 1, 2, FT_IGNORE, 1, 3, FT_IGNORE, 4, FT_IGNORE, 5 };
	float loss[] = { 1, 2, 2, 2, 4, 4 }, targets[] = { 1, 0, 0, 1 };
	uint8_t hits[6] = { 0 };
	struct ft_window windows[] = { { 7, 1, 2 }, { 7, 0, 2 }, { 9, 1, 2 }, { 9, 0, 2 } };
	struct ft_size sizes[] = { { 3, 3, 1 }, { 5, 5, 1 }, { 3, 2, 1 }, { 2, 2, 1 } };
	struct ft_batch b = { .offsets = offsets, .rows = 4, .tokens = 10, .labels = labels, .nlabels = 10,
	                      .targets = targets, .ntargets = 4, .windows = windows, .sizes = sizes };
	struct ft_output out = { .loss = loss, .units = 6, .hits = hits };
	struct ft_metric *t = ft_metric_new(FT_TASK_LM, 0, 100, 0), *same = ft_metric_new(FT_TASK_LM, 0, 100, 0);
	ok(ft_metric_add(t, &out, &b) == FT_OK && ft_metric_add(same, &out, &b) == FT_OK, "choices in any order");
	json_t *result = ft_metric_result(t, NULL), *other = ft_metric_result(same, NULL);
	ok(number(result, "examples") == 2 && number(result, "choices") == 4, "make questions");
	ok(number(result, "acc") == 1, "the likeliest, and of equals the first");
	ok(number(result, "acc_norm") == 0.5 && number(result, "acc_bytes") == 0, "for their length others win");
	is_near(number(result, "loss"), 7.0 / 3, 1e-12, "loss of a token of the right choices");
	json_t *comparison = ft_metric_compare(t, same);
	ok(number(comparison, "difference.acc") == 0 && number(comparison, "stderr.acc") == 0, "beside itself");
	json_decref(comparison);
	json_decref(result);
	json_decref(other);
	ft_metric_free(t);
	ft_metric_free(same);

	t = ft_metric_new(FT_TASK_LM, 0, 0, 0);
	windows[0].index = 0;
	ok(ft_metric_add(t, &out, &b) == FT_OK && !ft_metric_result(t, NULL) && strstr(ft_message(), "came twice"),
	   "one that came twice: %s", ft_message());
	loss[0] = NAN;
	ok(ft_metric_add(t, &out, &b) == FT_ECRITERION, "a loss that is not finite");
	ft_metric_free(t);
}

static void test_constant(void)
{
	float p[] = { 1, 1, 1 }, y[] = { 1, 2, 3 };
	struct rows r = { .task = FT_TASK_REGRESS, .rows = 3, .outputs = 1, .logits = p, .targets = y, .loss = y };
	struct ft_metric *t = measure(&r, 50);
	json_t *result = ft_metric_result(t, NULL);
	ok(json_is_null(json_object_get(result, "pearson")) && json_is_null(json_object_get(result, "spearman")),
	   "a correlation with a constant is undefined");
	ok(fabs(number(result, "r2") + 1.5) < 1e-12, "R2 can be negative");
	json_decref(result);
	ft_metric_free(t);
}

static void test_list(void)
{
	size_t n = 0;
	int bad = 0;
	for (const struct ft_metric_info *i; (i = ft_metric_info(n)); n++)
		bad += !i->tasks || (i->better != 1 && i->better != -1) || !*i->help;
	ok(n > 20 && bad == 0, "every metric has a task, a direction and a meaning");
}

int main(void)
{
	json_t *reference = ft_json_load("tests/ref/metrics.json");
	ok(reference != NULL, "the reference values are there");
	test_reference(json_object_get(reference, "cases"));
	test_mcnemar(json_object_get(reference, "mcnemar"));
	json_decref(reference);
	test_bootstrap();
	test_compare();
	test_ignored_and_refused();
	test_language_model();
	test_choices();
	test_constant();
	test_list();
	return tap_done();
}
