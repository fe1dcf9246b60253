/* docs.c - windows combined to documents: the numbers against scipy
 * (tests/ref/documents.json), the collecting in any order, and what contradicts
 * itself. */
#include "ft/docs.h"
#include "ft/err.h"
#include "ft/metric.h"
#include "ft/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

/* ---- against the reference ---- */

static double worst_of(const json_t *document, const char *how, const json_t *want)
{
	enum ft_task task = (enum ft_task)ft_task_parse(json_string_value(json_object_get(document, "task")));
	const json_t *logits = json_object_get(document, "logits");
	size_t outputs = json_array_size(want), n = json_array_size(logits) / outputs;
	float x[64], out[8], p[8];
	const float *window[8];
	double worst = 0;
	for (size_t i = 0; i < n * outputs; i++)
		x[i] = (float)json_number_value(json_array_get(logits, i));
	for (size_t i = 0; i < n; i++)
		window[i] = x + i * outputs;
	if (ft_combine(task, (enum ft_combine)ft_combine_parse("combine", how), window, n, outputs, out) < 0)
		return INFINITY;
	ft_probabilities(task, out, outputs, p);
	for (size_t c = 0; c < outputs; c++) {
		double v = json_number_value(json_array_get(want, c)), scale = fabs(v) > 1e-3 ? fabs(v) : 1e-3;
		worst = fmax(worst, fabs((double)p[c] - v) / scale);
	}
	return worst;
}

static void test_reference(const json_t *documents)
{
	size_t i;
	const json_t *document;
	json_array_foreach((json_t *)documents, i, document) {
		const char *how;
		json_t *want;
		json_object_foreach(json_object_get(document, "want"), how, want) {
			double worst = worst_of(document, how, want);
			ok(worst < 2e-6, "document %zu, %s: as scipy (largest difference %.2g)", i + 1, how, worst);
		}
	}
}

static void test_extreme(void)
{
	const float a[] = { 800, -800, 0 }, b[] = { 700, -900, 0 }, nan[] = { NAN, 0, 0 };
	const float *both[] = { a, b }, *bad[] = { a, nan };
	float out[3];
	ft_combine(FT_TASK_MULTILABEL, FT_COMBINE_MEAN, both, 2, 3, out);
	ok(isfinite(out[0]) && out[0] > 690 && isfinite(out[1]) && out[1] < -790 && out[2] == 0,
	   "the logits of certainties stay finite (%g, %g)", (double)out[0], (double)out[1]);
	ft_combine(FT_TASK_CLASSIFY, FT_COMBINE_MEAN, both, 2, 3, out);
	ok(isfinite(out[0]) && isfinite(out[1]), "of classes, too (%g, %g)", (double)out[0], (double)out[1]);
	ft_combine(FT_TASK_REGRESS, FT_COMBINE_MAX, bad, 2, 3, out);
	int seen = isnan(out[0]);
	ft_combine(FT_TASK_CLASSIFY, FT_COMBINE_MAX, bad, 2, 3, out);
	ok(seen && isnan(out[0]), "what is no number is not hidden by a greater one");
}

/* ---- collecting ---- */

enum { DOCS = 300, MOST = 7, ROWS = DOCS * MOST };

/* Window i of document d, of d % MOST + 1, has the value 100 d + i. */
struct set {
	struct ft_window w[ROWS];
	float x[ROWS], target[ROWS];
	struct ft_span src[ROWS];
	char name[DOCS][24];
	uint32_t order[ROWS];
	size_t n;
};

static void fill(struct set *s)
{
	s->n = 0;
	for (int d = 0; d < DOCS; d++) {
		int count = d % MOST + 1;
		snprintf(s->name[d], sizeof s->name[d], "a.tsv:%d", d + 1);
		for (int i = 0; i < count; i++, s->n++) {
			/* Pairs of documents are copies: only their sources differ. */
			s->w[s->n] = (struct ft_window){ .doc = count > 1 ? d / 2 : 0, .index = i, .count = count };
			s->x[s->n] = (float)(100 * d + i);
			s->target[s->n] = (float)d;
			s->src[s->n] = (struct ft_span){ s->name[d], strlen(s->name[d]) };
			s->order[s->n] = (uint32_t)s->n;
		}
	}
}

/* Gives the rows in s->order, in batches of `rows`; counts documents and those that are wrong. */
static int collect(struct set *s, struct ft_docs *d, size_t rows, int *seen, int *wrong)
{
	int rc = FT_OK;
	for (size_t from = 0; from < s->n && rc == FT_OK; from += rows) {
		struct ft_window w[64];
		struct ft_span src[64];
		float x[64], target[64];
		size_t n = s->n - from < rows ? s->n - from : rows;
		for (size_t i = 0; i < n; i++) {
			uint32_t at = s->order[from + i];
			w[i] = s->w[at];
			x[i] = s->x[at];
			target[i] = s->target[at];
			src[i] = s->src[at];
		}
		struct ft_batch b = { .rows = n, .windows = w, .targets = target, .ntargets = n, .src = src };
		const float *v = x;
		rc = ft_docs_add(d, &b, &v);
		for (size_t i = 0; rc == FT_OK && i < b.rows; i++) {
			int doc = (int)b.targets[i], count = doc % MOST + 1;
			float want = (float)(100 * doc) + (float)(count - 1) / 2;
			*seen += 1;
			*wrong += b.windows || fabsf(v[i] - want) > 1e-6f * want || b.src[i].n != strlen(s->name[doc]) ||
				memcmp(b.src[i].p, s->name[doc], b.src[i].n) != 0;
		}
	}
	return rc < 0 ? rc : ft_docs_end(d);
}

static void test_orders(struct set *s)
{
	struct ft_rng rng;
	fill(s);
	for (int shuffled = 0; shuffled < 2; shuffled++) {
		struct ft_docs *d = ft_docs_new(FT_TASK_REGRESS, 1, FT_COMBINE_MEAN);
		int seen = 0, wrong = 0, rc = FT_OK;
		ft_rng_init(&rng, 5, 0);
		for (int epoch = 0; epoch < 2 && rc == FT_OK; epoch++) {
			if (shuffled)
				ft_rng_shuffle(&rng, s->order, s->n);
			rc = collect(s, d, epoch ? 33 : 1, &seen, &wrong);
		}
		is_int(rc, FT_OK, shuffled ? "shuffled windows come together" : "windows in order come together");
		is_int(seen, 2 * DOCS, "each document once in each of two passes");
		is_int(wrong, 0, "each with its mean, source and target; copies are told apart");
		is_int(ft_docs_windows(d), 2 * (long long)s->n, "the windows are counted");
		ft_docs_free(d);
	}
}

static void test_untouched(void)
{
	const float x[] = { 1, 2 };
	const struct ft_window w[] = { { 7, 0, 2 }, { 7, 1, 2 } };
	const float *v = x;
	struct ft_batch plain = { .rows = 2 }, windows = { .rows = 2, .windows = w };
	struct ft_docs *d = ft_docs_new(FT_TASK_REGRESS, 1, FT_COMBINE_MEAN);
	struct ft_docs *none = ft_docs_new(FT_TASK_REGRESS, 1, FT_COMBINE_NONE);
	struct ft_docs *lm = ft_docs_new(FT_TASK_MLM, 0, FT_COMBINE_MEAN);
	ok(!ft_docs_takes(d, &plain) && ft_docs_add(d, &plain, &v) == FT_OK && plain.rows == 2 && v == x,
	   "rows that are no windows pass");
	ok(!ft_docs_takes(none, &windows) && ft_docs_add(none, &windows, &v) == FT_OK && windows.windows == w,
	   "windows pass with 'none'");
	ok(!ft_docs_takes(lm, &windows), "windows of a language model pass");
	ft_docs_free(d);
	ft_docs_free(none);
	ft_docs_free(lm);
}

/* ---- contradictions ---- */

static int add(struct ft_docs *d, int64_t index, int32_t label)
{
	const struct ft_window w = { 9, index, 3 };
	const struct ft_span src = { "b.tsv:4", 7 };
	const float x[] = { 1, 2 }, *v = x;
	struct ft_batch b = { .rows = 1, .windows = &w, .labels = &label, .nlabels = 1, .src = &src };
	return ft_docs_add(d, &b, &v);
}

static void refused(int rc, const char *why, const char *what)
{
	ok(rc == FT_EFORMAT && strstr(ft_message(), "b.tsv:4") && strstr(ft_message(), why), "%s", what);
}

static void test_refused(void)
{
	struct ft_docs *d = ft_docs_new(FT_TASK_CLASSIFY, 2, FT_COMBINE_MEAN);
	add(d, 0, 1);
	refused(ft_docs_end(d), "only 1 of its 3 windows", "a document that is not whole at the end");
	refused(add(d, 1, 0), "different labels", "windows with different labels");
	ft_docs_free(d);
	d = ft_docs_new(FT_TASK_CLASSIFY, 2, FT_COMBINE_MEAN);
	add(d, 0, 1);
	add(d, 2, 1);
	refused(add(d, 2, 1), "window 2 of 3 came twice", "a window that comes twice");
	ft_docs_free(d);
	ok(ft_combine_parse("combine", "median") == FT_EUSAGE && strstr(ft_message(), "--combine: 'median'"),
	   "another way to combine is not known");
}

int main(void)
{
	static struct set set;
	json_t *ref = ft_json_load("tests/ref/documents.json");
	ok(ref != NULL, "the reference");
	test_reference(json_object_get(ref, "documents"));
	test_extreme();
	test_orders(&set);
	test_untouched();
	test_refused();
	json_decref(ref);
	return tap_done();
}
