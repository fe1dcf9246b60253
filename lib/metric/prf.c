/* prf.c - precision, recall and F1 of classes, and their averages. */
#include "ft/err.h"
#include "priv.h"

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0.0;
}

double prf_precision(const struct prf *c)
{
	return ratio((double)c->both, (double)c->predicted);
}

double prf_recall(const struct prf *c)
{
	return ratio((double)c->both, (double)c->actual);
}

double prf_f1(const struct prf *c)
{
	return ratio(2.0 * (double)c->both, (double)c->predicted + (double)c->actual);
}

void prf_averages(const struct prf *c, size_t n, double *v)
{
	struct prf all = { 0 };
	double macro[3] = { 0 }, weighted[3] = { 0 };
	for (size_t i = 0; i < n; i++) {
		double value[3] = { prf_precision(&c[i]), prf_recall(&c[i]), prf_f1(&c[i]) };
		for (int k = 0; k < 3; k++) {
			macro[k] += value[k];
			weighted[k] += value[k] * (double)c[i].actual;
		}
		all.both += c[i].both;
		all.predicted += c[i].predicted;
		all.actual += c[i].actual;
	}
	double classes = (double)n, examples = (double)all.actual;
	v[METRIC_MACRO_PRECISION] = ratio(macro[0], classes);
	v[METRIC_MACRO_RECALL] = ratio(macro[1], classes);
	v[METRIC_MACRO_F1] = ratio(macro[2], classes);
	v[METRIC_MICRO_PRECISION] = prf_precision(&all);
	v[METRIC_MICRO_RECALL] = prf_recall(&all);
	v[METRIC_MICRO_F1] = prf_f1(&all);
	v[METRIC_WEIGHTED_PRECISION] = ratio(weighted[0], examples);
	v[METRIC_WEIGHTED_RECALL] = ratio(weighted[1], examples);
	v[METRIC_WEIGHTED_F1] = ratio(weighted[2], examples);
}

int prf_detail(const struct prf *c, size_t n, const json_t *labels, json_t *result)
{
	json_t *classes = json_object();
	int bad = json_object_set_new(result, "classes", classes);
	char number[24];
	for (size_t i = 0; i < n && !bad; i++) {
		json_t *one = json_pack("{s:f, s:f, s:f, s:I, s:I}", "precision", prf_precision(&c[i]), "recall",
		                        prf_recall(&c[i]), "f1", prf_f1(&c[i]), "support", (json_int_t)c[i].actual,
		                        "predicted", (json_int_t)c[i].predicted);
		bad = json_object_set_new(classes, metric_label(labels, i, number), one);
	}
	return bad ? ft_fail(FT_EFAIL, "out of memory for the results") : FT_OK;
}
