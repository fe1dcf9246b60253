/* texts.c - metrics of generated texts against rouge_score, sacrebleu and SQuAD's scorer
 * (tests/ref/texts.json), stems against NLTK's, and texts that are long. */
#include "ft/err.h"
#include "ft/metric.h"
#include "lib/metric/text.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct ft_span span(const json_t *v)
{
	return (struct ft_span){ json_string_value(v), json_string_length(v) };
}

static int add(struct ft_metric *t, const json_t *row)
{
	const json_t *all = json_object_get(row, "reference");
	struct ft_span reference[8];
	size_t i;
	json_t *v;
	json_array_foreach((json_t *)all, i, v)
		reference[i] = span(v);
	return ft_metric_add_text(t, span(json_object_get(row, "prediction")), reference, json_array_size(all));
}

/* The largest difference from the values that are wanted, relative where they are above 1. */
static double apart(const json_t *result, const json_t *wanted, const char **worst)
{
	double most = 0;
	const char *name;
	json_t *v;
	json_object_foreach((json_t *)wanted, name, v) {
		double want = json_number_value(v), got = NAN;
		ft_metric_lookup(result, name, &got);
		double d = fabs(got - want) / fmax(1, fabs(want));
		if (!(d <= most)) {
			most = d;
			*worst = name;
		}
	}
	return most;
}

/* What the reference calls F1 of answers is float32. */
#define TOLERANCE 1e-7

static void check_row(const json_t *row, bool stem)
{
	const json_t *want = json_object_get(row, stem ? "stemmed" : "scores");
	struct ft_metric *t = ft_metric_new_texts(stem, 0, 0);
	const char *worst = "";
	int rc = want ? add(t, row) : FT_OK;
	json_t *scores = want && rc == FT_OK ? ft_metric_text_scores(t) : NULL;
	double d = want ? apart(scores, want, &worst) : 0;
	if (want)
		ok(d < TOLERANCE, "%s'%.30s': off by %.1g (%s)", stem ? "stemmed, " : "",
		   json_string_value(json_object_get(row, "prediction")), d, worst);
	json_decref(scores);
	ft_metric_free(t);
}

/* All rows together, in one metric whose memory serves one after the other. */
static void check_corpus(const json_t *rows, const json_t *want)
{
	struct ft_metric *t = ft_metric_new_texts(false, 200, 1);
	size_t i;
	json_t *row;
	const char *worst = "";
	double error;
	json_array_foreach((json_t *)rows, i, row)
		add(t, row);
	json_t *result = ft_metric_result(t, NULL);
	double d = apart(result, want, &worst);
	ok(d < TOLERANCE, "all together: off by %.1g (%s)", d, worst);
	ok(ft_metric_lookup(result, "stderr.bleu", &error) == FT_OK && error > 0 &&
	   ft_metric_lookup(result, "stderr.rougeL.f1", &error) == FT_OK && error > 0.02 && error < 0.2,
	   "standard errors by resampling rows");
	is_str(json_string_value(json_object_get(json_object_get(result, "signatures"), "bleu")),
	       "nrefs:var|case:mixed|eff:yes|tok:13a|smooth:exp", "it is said how");
	json_decref(result);
	ft_metric_free(t);
}

static void check_stems(const json_t *pairs)
{
	size_t i, wrong = 0;
	json_t *pair;
	json_array_foreach((json_t *)pairs, i, pair) {
		char word[40];
		snprintf(word, sizeof word, "%s", json_string_value(json_array_get(pair, 0)));
		size_t n = stem_word(word, strlen(word));
		const char *want = json_string_value(json_array_get(pair, 1));
		if (n != strlen(want) || memcmp(word, want, n) != 0)
			wrong++;
	}
	ok(i > 100 && wrong == 0, "%zu stems, %zu wrong", i, wrong);
}

static struct ft_metric *of_pair(const char *prediction, const char *reference)
{
	struct ft_metric *t = ft_metric_new_texts(false, 100, 0);
	struct ft_span r = { reference, strlen(reference) };
	for (int i = 0; t && i < 3; i++)
		ft_metric_add_text(t, (struct ft_span){ prediction, strlen(prediction) }, &r, 1);
	return t;
}

static void check_compare(void)
{
	struct ft_metric *a = of_pair("a good cat", "the good cat"), *b = of_pair("a cat", "the good cat");
	struct ft_metric *c = of_pair("a cat", "the good dog");
	json_t *comparison = ft_metric_compare(a, b);
	double d = 0;
	ok(ft_metric_lookup(comparison, "difference.exact_match", &d) == FT_OK && d == 1, "two on the same references");
	ok(!ft_metric_compare(a, c) && ft_last_error() == FT_EMATCH, "others are no comparison");
	json_decref(comparison);
	ft_metric_free(a);
	ft_metric_free(b);
	ft_metric_free(c);
}

/* n words of one letter and a blank. */
static struct ft_span made(size_t n, uint32_t seed)
{
	char *p = malloc(2 * n);
	for (size_t i = 0; p && i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[2 * i] = (char)('a' + (seed >> 24) % 4);
		p[2 * i + 1] = (seed >> 20) % 16 ? ' ' : '\n';
	}
	return (struct ft_span){ p, 2 * n };
}

/* The plain table of lengths beside that of bits. */
static size_t plain_lcs(struct ft_span a, struct ft_span b)
{
	size_t n = a.n / 2, m = b.n / 2, *row = calloc(m + 1, sizeof *row), length;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0, diagonal = 0, up; j < m; j++, diagonal = up) {
			up = row[j + 1];
			if (a.p[2 * i] == b.p[2 * j])
				row[j + 1] = diagonal + 1;
			else if (row[j] > up)
				row[j + 1] = row[j];
		}
	length = row[m];
	free(row);
	return length;
}

static void check_long(void)
{
	struct ft_span a = made(3000, 1), b = made(2500, 2), c = made(40000, 3), d = made(30000, 4);
	struct ft_metric *t = ft_metric_new_texts(false, 0, 0);
	double recall = 0;
	is_int(ft_metric_add_text(t, a, &b, 1), 0, "texts of thousands of words");
	json_t *scores = ft_metric_text_scores(t);
	ft_metric_lookup(scores, "rougeL.recall", &recall);
	is_near(recall, (double)plain_lcs(a, b) / 2500, 1e-12, "their longest common subsequence");
	ok(ft_metric_add_text(t, c, &d, 1) == FT_EFORMAT && strstr(ft_message(), "40000"), "beyond that: %s", ft_message());
	json_decref(scores);
	ft_metric_free(t);
	free((char *)a.p);
	free((char *)b.p);
	free((char *)c.p);
	free((char *)d.p);
}

int main(void)
{
	json_t *reference = ft_json_load("tests/ref/texts.json");
	const json_t *rows = json_object_get(reference, "rows");
	size_t i;
	json_t *row;
	ok(json_array_size(rows) > 30, "the reference values are there");
	json_array_foreach((json_t *)rows, i, row) {
		check_row(row, false);
		check_row(row, true);
	}
	check_corpus(rows, json_object_get(reference, "corpus"));
	check_stems(json_object_get(reference, "stems"));
	check_compare();
	check_long();
	json_decref(reference);
	return tap_done();
}
