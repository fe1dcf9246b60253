/* ft-eval - measures a model on a batches stream, in one pass: what is kept of
 * a row is its label, prediction and loss, never its logits. */
#include "ft/cli.h"
#include "ft/docs.h"
#include "ft/entity.h"
#include "ft/err.h"
#include "ft/fisher.h"
#include "ft/graph.h"
#include "ft/metric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *model_path, *baseline_path, *base, *predictions, *combine_name = "mean";
static const char *thresholds_path, *tuned_path, *fisher_path;
static const char *answer_name = "answer", *reference_name = "reference";
static struct ft_list fail_below, fail_above;
static bool as_json, list_metrics, strict, texts, stem;
static int64_t resamples = 1000, seed, limit;
static double threshold = NAN;
static enum ft_combine combine;

static const struct ft_opt options[] = {
	{ "model", 'm', FT_OPT_STR, &model_path, "MODEL", "measure MODEL: a folder, a GGUF file, or a stream of ft-train", 0 },
	{ "base", 0, FT_OPT_STR, &base, "DIR", "where the base model of a stream lies here", FT_OPT_QUIET },
	{ "baseline", 0, FT_OPT_STR, &baseline_path, "MODEL",
	  "compare with MODEL on the same examples; with --texts, with the texts of that file", 0 },
	{ "threshold", 0, FT_OPT_REAL, &threshold, "P",
	  "probability from which on a label of a multi-label model is predicted (default: 0.5)", 0 },
	{ "thresholds", 0, FT_OPT_STR, &thresholds_path, "FILE",
	  "the same for each label, from a file of --tune-thresholds", 0 },
	{ "combine", 0, FT_OPT_STR, &combine_name, "HOW",
	  "one answer for a document of several windows: mean, max, first or none (default: mean)", 0 },
	{ "strict", 0, FT_OPT_FLAG, &strict, NULL,
	  "count entities strictly, as IOB2: only B begins one (default: as conlleval and seqeval)", 0 },
	{ "limit", 'n', FT_OPT_INT, &limit, "N", "measure the first N examples (default: all)", 0 },
	{ "bootstrap", 0, FT_OPT_INT, &resamples, "N",
	  "resamples of the examples for standard errors; 0: no standard errors (default: 1000)", 0 },
	{ "seed", 0, FT_OPT_INT, &seed, "N", "seed of the resamples (default: 0)", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Texts", 0 },
	{ "texts", 't', FT_OPT_FLAG, &texts, NULL,
	  "measure texts beside reference texts, from JSON lines, without a model", 0 },
	{ "answer", 0, FT_OPT_STR, &answer_name, "NAME", "the member of a line that is measured (default: answer)",
	  0 },
	{ "reference", 0, FT_OPT_STR, &reference_name, "NAME",
	  "the member that it is compared with, a text or an array of them (default: reference)", 0 },
	{ "stem", 0, FT_OPT_FLAG, &stem, NULL, "take suffixes off the words of ROUGE, by Porter's stemmer", 0 },
	{ NULL, 0, FT_OPT_GROUP, NULL, NULL, "Output", 0 },
	{ "tune-thresholds", 0, FT_OPT_STR, &tuned_path, "FILE",
	  "choose the threshold of each label with the highest F1 on these examples, and write them to FILE",
	  FT_OPT_QUIET },
	{ "fisher", 0, FT_OPT_STR, &fisher_path, "FILE",
	  "measure instead how much the examples depend on each weight that trains, and write it to FILE, for ft-train",
	  FT_OPT_QUIET },
	{ "json", 0, FT_OPT_FLAG, &as_json, NULL, "print one line of JSON instead of a table", 0 },
	{ "predictions", 'p', FT_OPT_STR, &predictions, "FILE", "write a JSON line for each example to FILE",
	  FT_OPT_QUIET },
	{ "fail-below", 0, FT_OPT_LIST, &fail_below, "METRIC=X",
	  "exit with 3 when METRIC is below X, after the report; may be repeated", 0 },
	{ "fail-above", 0, FT_OPT_LIST, &fail_above, "METRIC=X",
	  "the same for METRIC above X, such as loss=0.5", 0 },
	{ "metrics", 0, FT_OPT_FLAG, &list_metrics, NULL, "list the metrics and what they mean, and exit", 0 },
	{ 0 },
};

/* One of at most two models on the same batches. */
struct side {
	struct ft_model *model;
	struct ft_graph *graph;
	struct ft_metric *metric;
	struct ft_docs *docs;
	struct ft_output out; /* of the last batch, by documents */
	struct ft_batch batch;
	size_t examples; /* of it, as the stream has them */
};

struct run {
	struct ft_reader *data;
	struct side side[2]; /* the model, the baseline */
	size_t sides;
	enum ft_task task;
	json_t *labels;      /* names of the classes, or NULL */
	json_t *classes;     /* those that results have: the labels, or types of entities */
	double *threshold;   /* [outputs]: multilabel */
	struct ft_tuner *tuner; /* thresholds to choose, or NULL */
	struct ft_outfile *file; /* predictions, or NULL */
	struct ft_buf text;  /* predictions not yet written */
	float *probability;  /* [outputs] */
	int64_t rows, tokens;
};

/* ---- predictions ---- */

/* What is so of row i, and what the model says. */
static int put_truth(struct run *r, const struct ft_batch *b, size_t i, size_t n)
{
	struct ft_buf *t = &r->text;
	switch (r->task) {
	case FT_TASK_CLASSIFY:
		if (b->labels[i] < 0)
			return ft_buf_append(t, "null", 4);
		return ft_put_label(t, r->labels, (size_t)b->labels[i]);
	case FT_TASK_MULTILABEL: return ft_put_labels(t, r->labels, b->targets + i * n, n, NULL);
	default: return n == 1 ? ft_put_float(t, b->targets[i]) : ft_put_floats(t, b->targets + i * n, n);
	}
}

static int put_prediction(struct run *r, const float *logits, size_t n)
{
	struct ft_buf *t = &r->text;
	switch (r->task) {
	case FT_TASK_CLASSIFY: return ft_put_label(t, r->labels, ft_argmax(logits, n));
	case FT_TASK_MULTILABEL: return ft_put_labels(t, r->labels, r->probability, n, r->threshold);
	default: return n == 1 ? ft_put_float(t, r->probability[0]) : ft_put_floats(t, r->probability, n);
	}
}

/* One line: {"src":…,"label":…,"prediction":…,"probabilities":…}. */
static int put_line(struct run *r, const struct ft_batch *b, size_t i, const float *logits, size_t n)
{
	struct ft_buf *t = &r->text;
	int rc = ft_buf_printf(t, "{\"src\":");
	if (rc == FT_OK)
		rc = ft_put_string(t, b->src ? b->src[i].p : "", b->src ? b->src[i].n : 0);
	if (rc == FT_OK)
		rc = ft_buf_printf(t, ",\"label\":");
	if (rc == FT_OK)
		rc = put_truth(r, b, i, n);
	if (rc == FT_OK)
		rc = ft_buf_printf(t, ",\"prediction\":");
	if (rc == FT_OK)
		rc = put_prediction(r, logits, n);
	if (rc == FT_OK && r->task != FT_TASK_REGRESS) {
		rc = ft_buf_printf(t, ",\"probabilities\":");
		if (rc == FT_OK)
			rc = ft_put_probabilities(t, r->labels, r->probability, n);
	}
	return rc == FT_OK ? ft_buf_append(t, "}\n", 2) : rc;
}

static int write_predictions(struct run *r, size_t least)
{
	if (!r->file || r->text.len < least)
		return FT_OK;
	int rc = ft_write_all(ft_outfile_fd(r->file), r->text.data, r->text.len, predictions);
	r->text.len = 0;
	return rc;
}

/* As put_line(), of a sentence; *logits are those of the labels not yet written. */
static int put_sentence(struct run *r, const struct ft_batch *b, size_t i, const float **logits, size_t n)
{
	struct ft_buf *t = &r->text;
	int rc = ft_buf_printf(t, "{\"src\":");
	if (rc == FT_OK)
		rc = ft_put_string(t, b->src ? b->src[i].p : "", b->src ? b->src[i].n : 0);
	if (rc == FT_OK)
		rc = ft_buf_append(t, ",", 1);
	int64_t labels = rc == FT_OK ? ft_put_tag_row(t, r->labels, b, i, *logits, n) : rc;
	if (labels < 0)
		return (int)labels;
	*logits += (size_t)labels * n;
	return ft_buf_append(t, "}\n", 2);
}

static int put_predictions(struct run *r)
{
	const struct ft_output *out = &r->side[0].out;
	const struct ft_batch *b = &r->side[0].batch;
	const float *next = out->logits; /* of the labels of sentences */
	int rc = FT_OK;
	for (size_t i = 0; i < b->rows && rc == FT_OK; i++) {
		if (r->task == FT_TASK_TAG) {
			rc = put_sentence(r, b, i, &next, out->outputs);
		} else {
			const float *logits = out->logits + i * out->outputs;
			ft_probabilities(r->task, logits, out->outputs, r->probability);
			rc = put_line(r, b, i, logits, out->outputs);
		}
		if (rc == FT_OK)
			rc = write_predictions(r, 1 << 20);
	}
	return rc;
}

/* ---- the pass over the data ---- */

/* The first n examples of a batch. */
static void cut(struct ft_batch *b, size_t n)
{
	size_t all = ft_batch_examples(b), rows = n * ft_batch_texts(b);
	if (all <= n)
		return;
	if (b->labels)
		b->nlabels = b->nlabels == b->tokens ? (size_t)b->offsets[rows] : n;
	if (b->targets)
		b->ntargets = b->ntargets / all * n;
	b->tokens = (size_t)b->offsets[rows];
	b->rows = rows;
}

/* Runs the model, and measures documents: at most `left`, 0 for all. */
static int eval_side(struct side *s, const struct ft_batch *b, size_t left)
{
	bool combined = ft_docs_takes(s->docs, b);
	s->batch = *b;
	if (left && !combined)
		cut(&s->batch, left);
	s->examples = ft_batch_examples(&s->batch);
	int rc = ft_docs_eval(s->docs, s->model, s->graph, &s->batch, &s->out);
	if (rc == FT_OK && left && combined && s->batch.rows > left) {
		cut(&s->batch, left);
		s->out.units = left;
	}
	if (combined)
		s->examples = s->batch.rows;
	return rc == FT_OK ? ft_metric_add(s->metric, &s->out, &s->batch) : rc;
}

static int eval_batch(struct run *r, const struct ft_batch *b)
{
	bool by_label = r->task == FT_TASK_CLASSIFY || r->task == FT_TASK_TAG || ft_task_of_words(r->task);
	if (r->task != FT_TASK_EMBED && (by_label ? !b->labels : !b->targets))
		return ft_fail(FT_EFORMAT, "%s: the examples have no labels to compare with; ft-predict works without",
		               ft_reader_name(r->data));
	int rc = FT_OK;
	for (size_t i = 0; i < r->sides && rc == FT_OK; i++)
		rc = eval_side(&r->side[i], b, limit ? (size_t)(limit - r->rows) : 0);
	if (rc == FT_OK && r->tuner)
		rc = ft_tuner_add(r->tuner, &r->side[0].out, &r->side[0].batch);
	if (rc < 0)
		return ft_context(rc, "%s", ft_reader_name(r->data));
	r->rows += (int64_t)r->side[0].examples;
	r->tokens += (int64_t)b->tokens;
	return r->file ? put_predictions(r) : FT_OK;
}

static int eval_all(struct run *r)
{
	struct ft_batch b;
	double start = ft_now();
	int rc;
	while ((rc = ft_batch_read(r->data, &b)) > 0) {
		rc = eval_batch(r, &b);
		if (rc < 0)
			return rc;
		double seconds = ft_now() - start;
		ft_progress("%lld examples, %.0f tokens/s", (long long)r->rows, (double)r->tokens / (seconds + 1e-9));
		if (limit && r->rows >= limit)
			return ft_reader_drain(r->data);
	}
	return rc < 0 ? rc : ft_docs_end(r->side[0].docs);
}

/* ---- the report ---- */

static int print_report(json_t *result, json_t *baseline, json_t *comparison)
{
	struct ft_buf out = { 0 };
	int rc;
	if (as_json) {
		if (baseline && (json_object_set(result, "baseline", baseline) < 0 ||
		                 json_object_set(result, "comparison", comparison) < 0))
			return ft_fail(FT_EFAIL, "out of memory for the results");
		char *text = ft_json_text(result);
		rc = text ? ft_buf_printf(&out, "%s\n", text) : FT_EFAIL;
		free(text);
	} else {
		rc = ft_metric_table(&out, result, baseline, comparison);
	}
	ft_progress_end();
	if (rc == FT_OK && out.len)
		fwrite(out.data, 1, out.len, stdout);
	ft_buf_free(&out);
	return rc;
}

/* The result of one side, with the model's name in it. */
static json_t *result_of(struct run *r, size_t side)
{
	json_t *result = ft_metric_result(r->side[side].metric, r->labels);
	const char *name = ft_public_name(ft_model_name(r->side[side].model));
	int64_t windows = ft_docs_windows(r->side[side].docs);
	if (result && windows && ft_json_set(result, "windows", json_integer(windows)) < 0) {
		json_decref(result);
		return NULL;
	}
	if (!result)
		ft_context(ft_last_error(), "%s", ft_reader_name(r->data));
	else if (json_object_set_new(result, "model", json_string(name)) < 0)
		ft_warn("the model's name is not valid UTF-8 and is left out");
	return result;
}

/* Takes the results; that of a baseline may be NULL. */
static int report(json_t *result, json_t *baseline, struct ft_metric *of_result, struct ft_metric *of_baseline)
{
	json_t *comparison = result && baseline ? ft_metric_compare(of_result, of_baseline) : NULL;
	int rc = result && (comparison || !of_baseline) ? FT_OK : ft_last_error();
	if (rc == FT_OK)
		rc = print_report(result, baseline, comparison);
	if (rc == FT_OK)
		rc = ft_criteria_judge(result, &fail_below, &fail_above);
	json_decref(result);
	json_decref(baseline);
	json_decref(comparison);
	return rc;
}

/* ---- setting up ---- */

static int open_side(struct run *r, const char *path)
{
	struct side *s = &r->side[r->sides++];
	s->model = ft_model_open(path, base, FT_MODEL_READ);
	if (!s->model)
		return ft_last_error();
	enum ft_task task = ft_model_task(s->model);
	if (task == FT_TASK_NONE)
		return ft_fail(FT_EUSAGE, "%s: the model has no head to measure; ft-freeze --head adds one", path);
	int rc = ft_model_match(s->model, r->data);
	if (rc < 0)
		return rc;
	s->graph = ft_graph_new();
	s->metric = ft_metric_new(task, ft_model_outputs(s->model), (int)resamples, (uint64_t)seed);
	s->docs = s->graph && s->metric ? ft_docs_new(task, ft_model_outputs(s->model), combine) : NULL;
	if (!s->docs)
		return ft_last_error();
	const json_t *head = json_object_get(ft_model_meta(s->model), "head");
	return ft_metric_tags(s->metric, json_object_get(head, "labels"), strict);
}

/* From which probabilities on labels are predicted, and whether to choose them. */
static int open_thresholds(struct run *r)
{
	size_t n = ft_model_outputs(r->side[0].model);
	if (r->task != FT_TASK_MULTILABEL)
		return thresholds_path || tuned_path ? ft_fail(FT_EUSAGE, "thresholds are for multi-label models; %s is of the "
		                                               "task %s", model_path, ft_task_name(r->task)) : FT_OK;
	r->threshold = ft_thresholds(thresholds_path, r->labels, n, isnan(threshold) ? 0.5 : threshold);
	if (!r->threshold)
		return ft_last_error();
	for (size_t i = 0; i < r->sides; i++)
		ft_metric_thresholds(r->side[i].metric, r->threshold);
	r->tuner = tuned_path ? ft_tuner_new(n) : NULL;
	return r->tuner || !tuned_path ? FT_OK : ft_last_error();
}

static int write_thresholds(const struct run *r)
{
	json_t *tuned = r->tuner ? ft_tuner_result(r->tuner, r->labels) : NULL;
	int rc = tuned ? ft_json_save(tuned_path, tuned) : r->tuner ? ft_last_error() : FT_OK;
	json_decref(tuned);
	return rc;
}

static int open_predictions(struct run *r)
{
	if (!predictions)
		return FT_OK;
	if (ft_task_of_words(r->task) || r->task == FT_TASK_EMBED)
		return ft_fail(FT_EUSAGE, "--predictions: there are none of the task %s", ft_task_name(r->task));
	r->probability = ft_alloc(ft_model_outputs(r->side[0].model), sizeof(float));
	r->file = r->probability ? ft_outfile_open(predictions) : NULL;
	return r->file ? FT_OK : ft_last_error();
}

static int find_classes(struct run *r)
{
	struct ft_tags *tags = r->task == FT_TASK_TAG && r->labels ? ft_tags_new(r->labels) : NULL;
	if (r->task == FT_TASK_TAG && r->labels && !tags)
		return ft_last_error();
	r->classes = json_incref(tags ? (json_t *)ft_tags_types(tags) : r->labels);
	ft_tags_free(tags);
	return FT_OK;
}

/* Predictions get their name once the report, which report() has `reported`, has arrived. A criterion that was not met
 * is a result, too. */
static int keep(int reported, struct ft_outfile *file)
{
	if (reported != FT_OK && reported != FT_ECRITERION)
		return reported;
	int rc = ft_print_flush();
	if (rc == FT_OK && file)
		rc = ft_outfile_commit(file);
	return rc ? rc : reported;
}

static int evaluate(struct run *r, const char *path)
{
	r->data = ft_reader_open(path, "batches");
	if (!r->data)
		return ft_last_error();
	int rc = open_side(r, model_path);
	if (rc == FT_OK)
		r->task = ft_model_task(r->side[0].model);
	if (rc == FT_OK && baseline_path)
		rc = open_side(r, baseline_path);
	if (rc == FT_OK && baseline_path && ft_model_task(r->side[1].model) != r->task)
		rc = ft_fail(FT_EMATCH, "%s and %s have different tasks", model_path, baseline_path);
	if (rc == FT_OK)
		r->labels = ft_label_names(r->side[0].model, &rc);
	if (rc == FT_OK)
		rc = find_classes(r);
	if (rc == FT_OK)
		rc = open_thresholds(r);
	if (rc == FT_OK)
		rc = ft_criteria_check("fail-below", &fail_below, r->task, r->classes);
	if (rc == FT_OK)
		rc = ft_criteria_check("fail-above", &fail_above, r->task, r->classes);
	if (rc == FT_OK)
		rc = open_predictions(r);
	if (rc == FT_OK)
		rc = eval_all(r);
	if (rc == FT_OK)
		rc = write_predictions(r, 1);
	if (rc < 0)
		return rc;
	json_t *result = result_of(r, 0), *baseline = result && r->sides == 2 ? result_of(r, 1) : NULL;
	rc = keep(report(result, baseline, r->side[0].metric, r->side[1].metric), r->file);
	int tuned = rc == FT_OK || rc == FT_ECRITERION ? write_thresholds(r) : FT_OK;
	return tuned ? tuned : rc;
}

/* ---- Fisher information ---- */
static int eval_fisher(const char *path)
{
	struct ft_model *m = ft_model_open(model_path, base, 0);
	struct ft_reader *data = m ? ft_reader_open(path, "batches") : NULL;
	int64_t n = data ? ft_fisher(m, data, limit, fisher_path) : ft_last_error();
	if (n >= 0)
		ft_note("%s is of %lld examples", fisher_path, (long long)n);
	ft_reader_close(data);
	ft_model_free(m);
	return n < 0 ? (int)n : FT_OK;
}

/* ---- texts ---- */

static int read_texts(const char *path, struct ft_metric **t, json_t **result, struct ft_buf *lines)
{
	const char *name = path && strcmp(path, "-") != 0 ? path : "stdin";
	*t = ft_metric_new_texts(stem, (int)resamples, (uint64_t)seed);
	if (!*t)
		return FT_EFAIL;
	int rc = ft_metric_read_texts(*t, path, answer_name, reference_name, limit, lines);
	if (rc < 0)
		return rc;
	*result = ft_metric_result(*t, NULL);
	return *result ? FT_OK : ft_context(ft_last_error(), "%s", name);
}

static int eval_texts(const char *path)
{
	struct ft_metric *t[2] = { NULL };
	json_t *result[2] = { NULL };
	struct ft_buf lines = { 0 };
	struct ft_outfile *file = predictions ? ft_outfile_open(predictions) : NULL;
	int rc = file || !predictions ? ft_criteria_check("fail-below", &fail_below, FT_TASK_NONE, NULL) : ft_last_error();
	if (rc == FT_OK)
		rc = ft_criteria_check("fail-above", &fail_above, FT_TASK_NONE, NULL);
	if (rc == FT_OK)
		rc = read_texts(path, &t[0], &result[0], file ? &lines : NULL);
	if (rc == FT_OK && baseline_path)
		rc = read_texts(baseline_path, &t[1], &result[1], NULL);
	if (rc == FT_OK && file)
		rc = ft_write_all(ft_outfile_fd(file), lines.data, lines.len, predictions);
	if (rc == FT_OK) {
		rc = keep(report(result[0], result[1], t[0], t[1]), file);
	} else {
		json_decref(result[0]);
		json_decref(result[1]);
	}
	ft_metric_free(t[0]);
	ft_metric_free(t[1]);
	ft_outfile_free(file);
	ft_buf_free(&lines);
	return rc;
}

static void print_metrics(void)
{
	const struct ft_metric_info *info;
	for (size_t i = 0; (info = ft_metric_info(i)); i++) {
		const char *comma = "";
		printf("%-19s %s (", info->name, info->help);
		for (int t = FT_TASK_NONE; t <= FT_TASK_LM; t++)
			if (info->tasks & 1u << t) {
				printf("%s%s", comma, t == FT_TASK_NONE ? "texts" : ft_task_name((enum ft_task)t));
				comma = ", ";
			}
		printf(")\n");
	}
}

static int check_options(int operands)
{
	if (texts && (model_path || thresholds_path || tuned_path || strict))
		return ft_fail(FT_EUSAGE, "--texts is without a model; --model, thresholds and --strict are not for it");
	if (!texts && !model_path)
		return ft_fail(FT_EUSAGE, "which model? give -m MODEL, or --texts");
	if (fisher_path && (texts || baseline_path || predictions || thresholds_path || tuned_path || fail_below.count ||
	                    fail_above.count))
		return ft_fail(FT_EUSAGE, "--fisher is without metrics: --limit alone goes with it");
	if (operands > 1)
		return ft_fail(FT_EUSAGE, "one file at a time, not %d", operands);
	if (predictions && strcmp(predictions, "-") == 0)
		return ft_fail(FT_EUSAGE, "--predictions: needs a file, because the report goes to stdout");
	if (resamples < 0 || resamples > 1000000 || limit < 0 || threshold <= 0.0 || threshold >= 1.0)
		return ft_fail(FT_EUSAGE, "--bootstrap, --limit or --threshold is out of range");
	if (thresholds_path && !isnan(threshold))
		return ft_fail(FT_EUSAGE, "--threshold and --thresholds exclude each other");
	int how = ft_combine_parse("combine", combine_name);
	combine = (enum ft_combine)(how < 0 ? 0 : how);
	return how < 0 ? how : FT_OK;
}

static int run_eval(int argc, char **argv)
{
	struct run r = { 0 };
	if (list_metrics) {
		print_metrics();
		return FT_OK;
	}
	int rc = check_options(argc);
	if (rc == FT_OK && texts)
		return eval_texts(argc ? argv[0] : NULL);
	if (rc == FT_OK && fisher_path)
		return eval_fisher(argc ? argv[0] : NULL);
	if (rc == FT_OK)
		rc = evaluate(&r, argc ? argv[0] : NULL);
	for (size_t i = 0; i < r.sides; i++) {
		ft_metric_free(r.side[i].metric);
		ft_docs_free(r.side[i].docs);
		ft_graph_free(r.side[i].graph);
		ft_model_free(r.side[i].model);
	}
	ft_outfile_free(r.file);
	ft_reader_close(r.data);
	json_decref(r.labels);
	json_decref(r.classes);
	ft_buf_free(&r.text);
	ft_tuner_free(r.tuner);
	free(r.threshold);
	free(r.probability);
	return rc;
}

const struct ft_tool ft_tool = { "ft-eval", "measure a model on labelled examples, or generated texts",
	                         "-m MODEL [OPTION]... [FILE]\n--texts [OPTION]... [FILE]\n--metrics", options, run_eval };
