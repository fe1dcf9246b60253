/* tag.c - entities and their metrics against seqeval (tests/ref/tags.json), sentences in
 * several rows, and predictions as JSON. */
#include "ft/entity.h"
#include "ft/err.h"
#include "ft/metric.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 64
#define TOKENS 1024
#define LABELS 16

/* A batch whose predictions are one-hot logits. */
struct rows {
	int32_t ids[TOKENS], labels[TOKENS], words[TOKENS], offsets[ROWS + 1];
	float logits[TOKENS * LABELS], loss[TOKENS];
	struct ft_span src[ROWS];
	struct ft_batch b;
	struct ft_output out;
};

static void begin(struct rows *r, size_t outputs)
{
	r->b = (struct ft_batch){ .ids = r->ids, .labels = r->labels, .offsets = r->offsets, .epoch = -1 };
	r->out = (struct ft_output){ .logits = r->logits, .loss = r->loss, .outputs = outputs };
	r->offsets[0] = 0;
}

/* A token; label FT_IGNORE has no unit. */
static void add(struct rows *r, int32_t word, int32_t label, int32_t predicted)
{
	size_t i = r->b.tokens++, u = r->out.units;
	r->words[i] = word;
	r->labels[i] = label;
	r->b.nlabels = r->b.tokens;
	if (label == FT_IGNORE)
		return;
	for (size_t k = 0; k < r->out.outputs; k++)
		r->logits[u * r->out.outputs + k] = k == (size_t)predicted ? 3.0f : 0.0f;
	r->loss[u] = label == predicted ? 0.25f : 2.0f;
	r->out.units++;
}

static void end_row(struct rows *r, const char *src)
{
	r->src[r->b.rows] = (struct ft_span){ src, strlen(src) };
	r->offsets[++r->b.rows] = (int32_t)r->b.tokens;
}

/* ---- against seqeval ---- */

static int compare(const json_t *want, const json_t *result, int *n)
{
	const char *name;
	json_t *v;
	int wrong = 0;
	*n = 0;
	json_object_foreach((json_t *)want, name, v) {
		double got = NAN;
		int rc = ft_metric_lookup(result, name, &got);
		++*n;
		if (rc == FT_OK && fabs(got - json_number_value(v)) < 1e-12)
			continue;
		wrong++;
		printf("# %s: got %.15g, want %.15g\n", name, got, json_number_value(v));
	}
	return wrong;
}

/* A case measured, sentence by sentence; NULL: refused. */
static json_t *measure(const json_t *c, bool strict, int resamples)
{
	static struct rows r;
	const json_t *labels = json_object_get(c, "labels"), *actual = json_object_get(c, "actual"),
	             *predicted = json_object_get(c, "predicted");
	size_t outputs = json_array_size(labels);
	struct ft_metric *t = ft_metric_new(FT_TASK_TAG, outputs, resamples, 1);
	int rc = ft_metric_tags(t, labels, strict);
	for (size_t s = 0; s < json_array_size(actual) && rc == FT_OK; s++) {
		begin(&r, outputs);
		for (size_t i = 0; i < json_array_size(json_array_get(actual, s)); i++)
			add(&r, (int32_t)i, (int32_t)json_integer_value(json_array_get(json_array_get(actual, s), i)),
			    (int32_t)json_integer_value(json_array_get(json_array_get(predicted, s), i)));
		end_row(&r, "same");
		rc = ft_metric_add(t, &r.out, &r.b);
	}
	json_t *result = rc == FT_OK ? ft_metric_result(t, labels) : NULL;
	ft_metric_free(t);
	return result;
}

static void test_reference(void)
{
	json_t *all = ft_json_load("tests/ref/tags.json"), *c;
	size_t i;
	int n;
	json_array_foreach(json_object_get(all, "cases"), i, c) {
		const char *name = json_string_value(json_object_get(c, "name"));
		const json_t *strict = json_object_get(c, "strict");
		json_t *result = measure(c, false, 0);
		int wrong = compare(json_object_get(c, "want"), result, &n);
		ok(result && wrong == 0 && n >= 10, "%s: %d values as seqeval", name, n);
		json_decref(result);
		result = measure(c, true, 0);
		if (strict) {
			wrong = compare(strict, result, &n);
			ok(result && wrong == 0 && n >= 9, "%s: %d values of its strict mode", name, n);
		} else if (strcmp(name, "inside alone") != 0) {
			ok(!result && ft_last_error() == FT_EUSAGE, "%s: is not IOB2", name);
		}
		json_decref(result);
	}
	ok(i > 5, "there is a reference");
	json_decref(all);
}

/* ---- entities ---- */

/* "TYPE:first-last …" of tags between spaces. */
static const char *entities(const char *text, bool strict)
{
	static char out[200];
	json_t *names = json_array();
	int32_t tag[32];
	struct ft_entity e[32];
	size_t n = 0, at = 0;
	char copy[200];
	snprintf(copy, sizeof copy, "%s", text);
	for (char *s = strtok(copy, " "); s; s = strtok(NULL, " "), n++) {
		size_t k = 0;
		while (k < json_array_size(names) && strcmp(json_string_value(json_array_get(names, k)), s) != 0)
			k++;
		if (k == json_array_size(names))
			json_array_append_new(names, json_string(s));
		tag[n] = (int32_t)k;
	}
	struct ft_tags *t = ft_tags_new(names);
	size_t count = t ? ft_tags_entities(t, tag, n, strict, e) : 0;
	out[0] = '\0';
	for (size_t i = 0; i < count; i++)
		at += (size_t)snprintf(out + at, sizeof out - at, "%s%s:%zu-%zu", i ? " " : "",
		                       json_string_value(json_array_get(ft_tags_types(t), (size_t)e[i].type)),
		                       e[i].first, e[i].last);
	ft_tags_free(t);
	json_decref(names);
	return out;
}

static void test_entities(void)
{
	is_str(entities("B-PER I-PER O B-LOC B-LOC I-LOC", false), "PER:0-1 LOC:3-3 LOC:4-5", "well-formed");
	is_str(entities("I-PER I-PER O I-LOC B-LOC I-PER", false),
	       "PER:0-1 LOC:3-3 LOC:4-4 PER:5-5", "I without B begins one");
	is_str(entities("I-PER I-PER O B-LOC I-PER I-LOC", true), "LOC:3-3", "but not strictly");
	is_str(entities("B-PER E-PER S-PER S-PER I-PER E-PER", false),
	       "PER:0-1 PER:2-2 PER:3-3 PER:4-5", "ends and singles");
	is_str(entities("B-PER L-PER U-PER U-PER", false), "PER:0-1 PER:2-2 PER:3-3", "by their other names");
	is_str(entities("PER PER O LOC PER", false), "PER:0-1 LOC:3-3 PER:4-4", "types alone");
	is_str(entities("B I O I", false), "_:0-1 _:3-3", "prefixes alone");
	is_str(entities("B-a-b I-a-b B-", false), "a-b:0-1 _:2-2", "a type with a dash, and none");
	is_str(entities("", false), "", "nothing");
}

/* ---- sentences in several rows ---- */

static struct ft_metric *metric_of(struct rows *r, const json_t *labels)
{
	struct ft_metric *t = ft_metric_new(FT_TASK_TAG, json_array_size(labels), 200, 1);
	ft_metric_tags(t, labels, false);
	ok(ft_metric_add(t, &r->out, &r->b) == FT_OK, "rows are taken");
	return t;
}

static double value(const json_t *result, const char *name)
{
	double v = NAN;
	ft_metric_lookup(result, name, &v);
	return v;
}

static void test_windows(const json_t *labels)
{
	static struct rows r;
	begin(&r, 3);
	r.b.words = r.words;
	r.b.src = r.src;
	add(&r, -1, FT_IGNORE, 0);
	add(&r, 0, 0, 0);
	add(&r, 1, 1, 1); /* an entity that goes on in the next row */
	add(&r, 1, 2, 2); /* another token of its word, labelled too */
	end_row(&r, "a:1");
	add(&r, 1, FT_IGNORE, 0);
	add(&r, 2, 2, 2);
	add(&r, 3, 0, 2);
	end_row(&r, "a:1");
	add(&r, 0, 1, 1);
	end_row(&r, "a:1"); /* the same text again */
	add(&r, 4, 1, 0);
	end_row(&r, "a:2");
	add(&r, -1, FT_IGNORE, 0);
	end_row(&r, "a:3"); /* no label */
	struct ft_metric *t = metric_of(&r, labels);
	json_t *result = ft_metric_result(t, labels);
	is_int(json_integer_value(json_object_get(result, "examples")), 3,
	       "two rows are one sentence, one has no label");
	is_int(json_integer_value(json_object_get(result, "words")), 6, "words");
	is_near(value(result, "accuracy"), 4.0 / 6, 1e-12, "accuracy is of words");
	is_near(value(result, "loss"), (5 * 0.25 + 2 * 2.0) / 7, 1e-6, "the loss is of labels");
	is_near(value(result, "classes.PER.support"), 3, 0, "entities: 1-2 of the first, two alone");
	is_near(value(result, "precision"), 1.0 / 2, 1e-12, "of which one is found, one is too long");
	is_near(value(result, "recall"), 1.0 / 3, 1e-12, "and one is not found");
	ok(value(result, "stderr.f1") > 0, "with a standard error");
	struct ft_metric *other = metric_of(&r, labels);
	json_t *same = ft_metric_compare(t, other);
	is_near(value(same, "difference.f1"), 0, 0, "against itself there is no difference");
	ft_metric_free(other);
	r.labels[1] = 1;
	other = metric_of(&r, labels);
	ok(!ft_metric_compare(t, other) && ft_last_error() == FT_EMATCH, "other labels are other rows");
	ft_metric_free(other);
	ft_metric_free(t);
	json_decref(result);
	json_decref(same);
}

static void test_refused(const json_t *labels)
{
	static struct rows r;
	begin(&r, 3);
	add(&r, 0, 1, 1);
	end_row(&r, "a:1");
	struct ft_metric *t = ft_metric_new(FT_TASK_TAG, 3, 0, 0);
	r.labels[0] = 3;
	ok(ft_metric_add(t, &r.out, &r.b) == FT_EMATCH, "a label that there is not");
	r.labels[0] = 1;
	r.logits[0] = NAN;
	ok(ft_metric_add(t, &r.out, &r.b) == FT_ECRITERION, "a logit that is not finite");
	r.logits[0] = 0;
	r.out.units = 2;
	ok(ft_metric_add(t, &r.out, &r.b) == FT_EMATCH, "more losses than labels");
	ft_metric_free(t);
	r.out.units = 1;
	t = ft_metric_new(FT_TASK_TAG, 3, 0, 0);
	ok(ft_metric_add(t, &r.out, &r.b) == FT_OK, "labels without names");
	json_t *result = ft_metric_result(t, NULL);
	ok(json_is_null(json_object_get(result, "f1")) && value(result, "accuracy") == 1.0, "have no entities");
	json_decref(result);
	ft_metric_free(t);
	t = ft_metric_new(FT_TASK_TAG, 3, 0, 0);
	ok(!ft_metric_result(t, labels), "no rows");
	ft_metric_free(t);
}

/* ---- predictions ---- */

static void test_predictions(const json_t *labels)
{
	struct ft_span word[] = { { "New", 3 }, { "\xe2\x80\x8b", 3 }, { "York", 4 }, { "is", 2 } };
	struct ft_words w = { word, NULL, NULL, 4 };
	int32_t number[] = { -1, 0, 2, 2, 3, -1 };
	float logits[18] = { [4] = 9, [8] = 9, [9] = 9, [12] = 1 };
	struct ft_tags *t = ft_tags_new(labels);
	struct ft_tagged s = { &w, number, logits, 6 };
	struct ft_arena a = { 0 };
	struct ft_buf b = { 0 };
	ok(ft_put_tagged(&b, t, &s, &a) == FT_OK && ft_buf_append(&b, "", 1) == FT_OK, "a sentence");
	is_str((char *)b.data,
	       "\"words\":[\"New\",\"\xe2\x80\x8b\",\"York\",\"is\"],\"tags\":[\"B-PER\",null,\"I-PER\",\"O\"],"
	       "\"scores\":[0.999753237,null,0.999753237,0.57611686],\"entities\":[{\"type\":\"PER\",\"first\":0,\"last\":2,"
	       "\"text\":\"New \xe2\x80\x8b York\",\"score\":0.999753237}]",
	       "words, tags by the first token, entities over a word without one");
	ft_buf_free(&b);
	ft_arena_free(&a);
	ft_tags_free(t);
}

int main(void)
{
	json_t *labels = json_pack("[s,s,s]", "O", "B-PER", "I-PER");
	test_reference();
	test_entities();
	test_windows(labels);
	test_refused(labels);
	test_predictions(labels);
	json_decref(labels);
	return tap_done();
}
