/* metric.h - what a model's outputs are worth, in one streaming pass.
 *
 * An ft_metric takes logits row by row and keeps a few bytes a row (label,
 * prediction, loss), not the logits. Everything is computed from what is kept
 * with a weight for each row: all weights 1 give the value, weights drawn with
 * replacement give the bootstrap's standard error, and the same weights on two
 * models give the standard error of their difference.
 *
 * Where a ratio has the denominator 0 (precision of a class that was never
 * predicted) it counts as 0; a correlation with a constant is undefined, null
 * in JSON and NaN in C.
 */
#ifndef FT_METRIC_H
#define FT_METRIC_H

#include "ft/json.h"
#include "ft/mem.h"
#include "ft/model.h"

/* ---- the metrics there are: lib/metric/metrics.def ---- */
struct ft_metric_info {
	const char *name; /* its path in the results: "accuracy", "macro.f1" */
	unsigned tasks;   /* bit 1 << ft_task is set for each task that has it */
	int better;       /* 1: higher is better; -1: lower is */
	const char *help; /* one sentence, lower case, no final stop */
};
/* The i-th metric, or NULL beyond the last. */
const struct ft_metric_info *ft_metric_info(size_t i);

/* ---- measuring ---- */
struct ft_metric;
/* For a model's task and outputs. `bootstrap` resamples for standard errors; 0: none. */
struct ft_metric *ft_metric_new(enum ft_task task, size_t outputs, int bootstrap, uint64_t seed);
/* The probability from which on each label of a multi-label model is predicted:
 * [outputs], borrowed; 0.5 each unless set. Before the first row. */
void ft_metric_thresholds(struct ft_metric *t, const double *threshold);
/* What the labels of a tag model mean (entity.h): its names, or NULL, without which
 * there are no entities; and whether these are counted strictly. Before the first row. */
int ft_metric_tags(struct ft_metric *t, const json_t *labels, bool strict);
/* Of texts beside reference texts, without a model. `stem`: ROUGE's words lose their
 * suffixes. Rows come from these two instead of ft_metric_add(). */
struct ft_metric *ft_metric_new_texts(bool stem, int bootstrap, uint64_t seed);
/* `references`: at least one. FT_EFORMAT when texts are too long to be compared. */
int ft_metric_add_text(struct ft_metric *t, struct ft_span prediction, const struct ft_span *reference,
                       size_t references);
/* What the metrics are of the row added last, alone; new reference. */
json_t *ft_metric_text_scores(const struct ft_metric *t);
/* Adds those of a file of JSON lines, or stdin (NULL, "-"), by the names of their members;
 * reference may be an array. The first `limit` lines; 0: all. Appends each line's scores to
 * `lines`, when it is not NULL: {"src":…,"exact_match":…,…}. */
int ft_metric_read_texts(struct ft_metric *t, const char *path, const char *prediction, const char *reference,
                         int64_t limit, struct ft_buf *lines);
/* Adds the rows of one batch, which may be none; rows without a label are passed over. A loss or
 * a logit that is not finite is FT_ECRITERION and names the row. */
int ft_metric_add(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b);
/* The results; new reference: {task, examples, loss, accuracy, …, stderr: {…}}.
 * The names are listed in ft-eval.1. `labels`: array of the classes' names, or
 * NULL. NULL on failure; no rows at all are FT_EFORMAT. */
json_t *ft_metric_result(struct ft_metric *t, const json_t *labels);
/* Of two models measured on the same rows: {difference: {accuracy: t - baseline,
 * …}, stderr: {…}, mcnemar: {only_model, only_baseline, p}}; the last only for
 * classes. FT_EMATCH when the rows are not the same. New reference. */
json_t *ft_metric_compare(struct ft_metric *t, struct ft_metric *baseline);
void ft_metric_free(struct ft_metric *t); /* NULL is fine */

/* Appends a result as a table for people; with the result of a baseline and
 * what ft_metric_compare() gave (or both NULL) as a comparison. */
int ft_metric_table(struct ft_buf *out, const json_t *result, const json_t *baseline, const json_t *comparison);

/* The number at a dotted path of a result ("macro.f1", "classes.neg.recall";
 * names may themselves contain dots). FT_EUSAGE when there is none. */
int ft_metric_lookup(const json_t *result, const char *path, double *value);

/* ---- criteria: bounds as options give them, "METRIC=X" ---- */
struct ft_list;
/* Whether they can be judged, to be known before the work: FT_EUSAGE names what is
 * no metric of the task. `classes`: the names below "classes" in results (labels, or
 * types of entities), or NULL. */
int ft_criteria_check(const char *option, const struct ft_list *list, enum ft_task task, const json_t *classes);
/* FT_ECRITERION says what of a result is below or above its bound, or undefined. */
int ft_criteria_judge(const json_t *result, const struct ft_list *below, const struct ft_list *above);

/* Two-sided exact p of McNemar's test: of a + b rows that just one of two
 * models got right, a fell to the first. */
double ft_mcnemar(uint64_t a, uint64_t b);

/* ---- thresholds of a multi-label model ---- */
/* [n], each in (0, 1): those of a file of ft_tuner_result(), or with `path` NULL `all`
 * for each. FT_EMATCH when the file's labels are not these. From malloc; NULL on
 * failure. */
double *ft_thresholds(const char *path, const json_t *labels, size_t n, double all);
/* Chooses for each label the threshold with the highest F1 on the rows added, in the
 * middle between the two neighbouring probabilities that it separates; 0.5 if that
 * lies between them. Of equal F1 the one nearest to 0.5, then the higher. A label
 * that no row has keeps 0.5. Needs 4 bytes for each row and label. */
struct ft_tuner;
struct ft_tuner *ft_tuner_new(size_t outputs);
void ft_tuner_free(struct ft_tuner *t); /* NULL is fine */
/* Adds rows that ft_metric_add() has accepted. */
int ft_tuner_add(struct ft_tuner *t, const struct ft_output *out, const struct ft_batch *b);
/* threshold and f1: [outputs]. */
int ft_tuner_best(const struct ft_tuner *t, double *threshold, double *f1);
/* {examples, thresholds: {LABEL: P, …}, f1: {LABEL: F1, …}}; new reference. */
json_t *ft_tuner_result(const struct ft_tuner *t, const json_t *labels);

/* ---- predictions ---- */
/* Softmax (classify), sigmoid (multilabel) or identity (regress) of one row. */
void ft_probabilities(enum ft_task task, const float *logits, size_t n, float *out);
/* Index of the largest; the first of equals. */
size_t ft_argmax(const float *v, size_t n);

/* Appends one JSON value. A float has 9 significant digits, so that reading it
 * gives the same float back; one that is not finite is null. In a string, bytes
 * that are not UTF-8 become U+FFFD. */
int ft_put_float(struct ft_buf *b, float v);
int ft_put_string(struct ft_buf *b, const char *s, size_t n);
/* [v0,v1,…] */
int ft_put_floats(struct ft_buf *b, const float *v, size_t n);
/* Of an array of names `labels`: the i-th ("neg"), or i itself without names; a
 * list of those with p[i] of at least least[i], NULL: 0.5 (["a","b"]); an object with all of p
 * ({"neg":0.1,…}), or an array of them without names. */
int ft_put_label(struct ft_buf *b, const json_t *labels, size_t i);
int ft_put_labels(struct ft_buf *b, const json_t *labels, const float *p, size_t n, const double *least);
int ft_put_probabilities(struct ft_buf *b, const json_t *labels, const float *p, size_t n);
/* Appends what a model with one row of outputs a text says: "label":…,"score":…,
 * "probabilities":…; "labels":…,"probabilities":…; or "value":… or "values":….
 * `least` [n]: as of ft_put_labels(), where there are several labels; scratch [n]. */
int ft_put_prediction(struct ft_buf *b, enum ft_task task, const json_t *labels, const float *logits, size_t n,
                      const double *least, float *scratch);
/* The names of a model's outputs for these; NULL: it has no names, or failure
 * (*err set). New reference. */
json_t *ft_label_names(const struct ft_model *m, int *err);

#endif
