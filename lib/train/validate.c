/* validate.c - validation during training, and the best weights. */
#include "ft/docs.h"
#include "ft/metric.h"
#include "ft/signals.h"
#include "priv.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct validator {
	struct ft_model *m;
	char *path;          /* what is opened each time */
	int spool;           /* descriptor of the kept copy of a pipe; -1: none */
	const char *metric;
	enum ft_combine combine;
	bool lower;          /* a lower value is better */
	json_t *best;
	double best_value;
	int64_t best_step;
	float **copy;        /* [params]: weights of the best run, of what trains */
};

/* A pipe can be read once: its bytes are kept in a file without a name. */
static int spool(struct validator *v, const char *path)
{
	int in = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return ft_fail_errno("%s", path);
	FILE *f = tmpfile();
	char block[65536];
	ssize_t n = 0;
	int rc = f ? FT_OK : ft_fail_errno("a temporary file for %s", path);
	while (rc == FT_OK && ((n = read(in, block, sizeof block)) > 0 || (n < 0 && errno == EINTR)))
		if (n > 0)
			rc = ft_write_all(fileno(f), block, (size_t)n, "a temporary file");
	if (rc == FT_OK && n < 0)
		rc = ft_fail_errno("%s", path);
	if (rc == FT_OK && (v->spool = dup(fileno(f))) < 0)
		rc = ft_fail_errno("%s", path);
	if (f)
		fclose(f);
	if (in != STDIN_FILENO)
		close(in);
	v->path = rc == FT_OK ? ft_format("/proc/self/fd/%d", v->spool) : NULL;
	return v->path ? FT_OK : rc < 0 ? rc : FT_EFAIL;
}

/* Whether less of it is better; FT_EUSAGE when the task has no such metric. */
static int find_metric(enum ft_task task, const char *metric, bool *lower)
{
	const struct ft_metric_info *info;
	for (size_t i = 0; (info = ft_metric_info(i)); i++)
		if (strcmp(info->name, metric) == 0 && info->tasks & 1u << task) {
			*lower = info->better < 0;
			return FT_OK;
		}
	*lower = false; /* a metric of one class, "classes.neg.f1": all of these rise */
	if (strncmp(metric, "classes.", 8) == 0 || strncmp(metric, "labels.", 7) == 0)
		return FT_OK;
	return ft_fail(FT_EUSAGE, "--metric: '%s' is not a metric of this task (%s); ft-eval(1) lists them", metric,
	               ft_task_name(task));
}

struct validator *validator_new(struct ft_model *m, const char *path, const char *metric, enum ft_combine combine)
{
	struct validator *v = ft_alloc(1, sizeof *v);
	struct stat st;
	if (!v)
		return NULL;
	v->m = m;
	v->spool = -1;
	v->metric = metric;
	v->combine = combine;
	v->copy = ft_alloc(ft_model_params(m), sizeof *v->copy);
	bool again = strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
	int rc = v->copy ? find_metric(ft_model_task(m), metric, &v->lower) : FT_EFAIL;
	if (rc == FT_OK && again)
		rc = (v->path = ft_strdup(path)) ? FT_OK : FT_EFAIL;
	else if (rc == FT_OK)
		rc = spool(v, path);
	if (rc == FT_OK)
		return v;
	validator_free(v);
	return NULL;
}

static int run(struct validator *v, struct ft_graph *g, struct ft_metric *metric, bool may)
{
	struct ft_reader *r = ft_reader_open(v->path, "batches");
	if (!r)
		return ft_last_error();
	struct ft_batch b;
	struct ft_output out;
	struct ft_docs *docs = ft_docs_new(ft_model_task(v->m), ft_model_outputs(v->m), v->combine);
	int rc = docs ? ft_model_match(v->m, r) : ft_last_error();
	while (rc == FT_OK && (rc = ft_batch_read(r, &b)) > 0) {
		rc = ft_docs_eval(docs, v->m, g, &b, &out);
		rc = rc < 0 ? rc : ft_metric_add(metric, &out, &b);
		if (rc == FT_OK && may && ft_signals_stop())
			break;
	}
	rc = rc < 0 ? rc : ft_docs_end(docs);
	ft_docs_free(docs);
	ft_reader_close(r);
	return rc;
}

static int keep_weights(struct validator *v)
{
	for (size_t i = 0; i < ft_model_params(v->m); i++) {
		struct ft_param *p = ft_model_param(v->m, i);
		size_t n = (size_t)p->t.rows * (size_t)p->t.cols;
		if (!p->trains)
			continue;
		if (!v->copy[i] && !(v->copy[i] = ft_alloc(n, sizeof(float))))
			return FT_EFAIL;
		memcpy(v->copy[i], p->t.data, n * sizeof(float));
	}
	return FT_OK;
}

int validator_run(struct validator *v, struct ft_graph *g, int64_t step, bool may, json_t **result, bool *better)
{
	*result = NULL;
	struct ft_metric *metric = ft_metric_new(ft_model_task(v->m), ft_model_outputs(v->m), 0, 0);
	const json_t *labels = json_object_get(json_object_get(ft_model_meta(v->m), "head"), "labels");
	int rc = metric ? ft_metric_tags(metric, labels, false) : ft_last_error();
	if (rc == FT_OK)
		rc = run(v, g, metric, may);
	*result = rc == FT_OK ? ft_metric_result(metric, labels) : NULL;
	ft_metric_free(metric);
	if (may && ft_signals_stop()) {
		json_decref(*result);
		*result = NULL;
		return 1;
	}
	if (rc < 0)
		return ft_context(rc, "--valid");
	if (!*result)
		return ft_last_error();
	double x;
	rc = ft_metric_lookup(*result, v->metric, &x);
	if (rc < 0)
		return ft_context(rc, "--metric");
	*better = !v->best || (v->lower ? x < v->best_value : x > v->best_value);
	if (!*better)
		return FT_OK;
	v->best_value = x;
	v->best_step = step;
	json_decref(v->best);
	v->best = json_incref(*result);
	return keep_weights(v);
}

void validator_restore(struct validator *v)
{
	for (size_t i = 0; i < ft_model_params(v->m); i++) {
		struct ft_param *p = ft_model_param(v->m, i);
		if (v->copy[i])
			memcpy(p->t.data, v->copy[i], (size_t)p->t.rows * (size_t)p->t.cols * sizeof(float));
	}
}

int64_t validator_best_step(const struct validator *v) { return v->best_step; }
const json_t *validator_best(const struct validator *v) { return v->best; }
float *validator_weights(const struct validator *v, size_t i) { return v->copy[i]; }

int validator_resume(struct validator *v, int64_t step, const json_t *best, bool weights)
{
	int rc = ft_metric_lookup(best, v->metric, &v->best_value);
	if (rc < 0)
		return rc;
	json_decref(v->best);
	v->best = ft_json_deep_copy(best);
	v->best_step = step;
	if (!v->best)
		return ft_fail(FT_EFAIL, "out of memory for the best validation");
	return weights ? keep_weights(v) : FT_OK;
}

const char *validator_path(const struct validator *v) { return v->path; }

void validator_free(struct validator *v)
{
	if (!v)
		return;
	for (size_t i = 0; v->copy && i < ft_model_params(v->m); i++)
		free(v->copy[i]);
	free(v->copy);
	if (v->spool >= 0)
		close(v->spool);
	free(v->path);
	json_decref(v->best);
	free(v);
}
