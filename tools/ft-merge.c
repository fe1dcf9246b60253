/* ft-merge - one model of several that were tuned from the same base. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/format.h"
#include "ft/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *base, *output = "-";
static struct ft_list weights;
static bool tasks, show;

static const struct ft_opt options[] = {
	{ "weight", 'w', FT_OPT_LIST, &weights, "X",
	  "weight of a MODEL, as often as there are MODELs and in their order (default: equal ones; with --tasks 1 each)", 0 },
	{ "tasks", 't', FT_OPT_FLAG, &tasks, NULL,
	  "task arithmetic: add to the base what the MODELs differ from it, times their weights, which may be negative "
	  "(default: the average of the MODELs)", 0 },
	{ "base", 0, FT_OPT_STR, &base, "DIR", "where the base lies; needed where a MODEL is no model stream", FT_OPT_QUIET },
	{ "show", 's', FT_OPT_FLAG, &show, NULL,
	  "show how far each parameter of each MODEL is from the base; write no model unless there is -o", FT_OPT_QUIET },
	{ "output", 'o', FT_OPT_STR, &output, "FILE", "write the model here (default: standard output)", FT_OPT_QUIET },
	{ 0 },
};

struct merge {
	struct ft_model **in; /* [count] */
	double *weight;       /* [count]; of an average they add up to 1 */
	size_t count;
	struct ft_model *out; /* first the base, with the head of the models as it was when it was new */
	const struct ft_param **of; /* [count]: the parameter at hand */
	float *row;           /* [widest] */
	double *sum;          /* [widest] */
	double *distance;     /* [count]: squares, of the parameter at hand from the base */
	size_t differing;     /* parameters that are not the same in all models */
};

/* ---- weights ---- */
static int read_weight(struct merge *m, size_t i)
{
	char *end;
	const char *text = weights.item[i];
	double x = strtod(text, &end);
	if (end == text || *end || !isfinite(x) || fabs(x) > 1e6)
		return ft_fail(FT_EUSAGE, "--weight: '%s' is not a number", text);
	if (!tasks && x < 0)
		return ft_fail(FT_EUSAGE, "--weight: %g, in an average; with --tasks weights may be negative", x);
	m->weight[i] = x;
	return FT_OK;
}

static int read_weights(struct merge *m)
{
	double sum = 0;
	int rc = FT_OK;
	if (weights.count && weights.count != m->count)
		return ft_fail(FT_EUSAGE, "%zu weights for %zu models", weights.count, m->count);
	for (size_t i = 0; rc == FT_OK && i < m->count; i++) {
		m->weight[i] = 1;
		rc = weights.count ? read_weight(m, i) : FT_OK;
		sum += m->weight[i];
	}
	if (rc == FT_OK && !tasks && sum <= 0)
		rc = ft_fail(FT_EUSAGE, "--weight: all are 0");
	for (size_t i = 0; rc == FT_OK && !tasks && i < m->count; i++)
		m->weight[i] /= sum;
	return rc;
}

/* ---- what must agree ---- */
static const char *digest_of(const struct ft_model *m)
{
	const char *digest = json_string_value(json_object_get(json_object_get(ft_model_meta(m), "base"), "digest"));
	return digest ? digest : "(none)";
}

static int must_equal(const struct merge *m, size_t i, const char *key, const char *what)
{
	const json_t *a = json_object_get(ft_model_meta(m->in[0]), key), *b = json_object_get(ft_model_meta(m->in[i]), key);
	if (a == b || (a && b && json_equal(a, b)))
		return FT_OK;
	return ft_fail(FT_EMATCH, "%s and %s have different %s", ft_model_name(m->in[0]), ft_model_name(m->in[i]), what);
}

static int check(const struct merge *m, size_t i)
{
	const struct ft_model *x = m->in[i], *first = m->in[0];
	if (ft_model_adapted(x))
		return ft_fail(FT_EUSAGE, "%s: the parts of a technique are no weights to be added: ft-export merges them into "
		               "a folder, which can be given here with --base", ft_model_name(x));
	if (ft_model_reader(x) && ft_model_reader(first) && strcmp(digest_of(x), digest_of(first)) != 0)
		return ft_fail(FT_EMATCH, "%s is based on a model with the digest %s, %s on one with %s", ft_model_name(first),
		               digest_of(first), ft_model_name(x), digest_of(x));
	int rc = must_equal(m, i, "family", "families of networks");
	rc = rc ? rc : must_equal(m, i, "head", "heads");
	rc = rc ? rc : must_equal(m, i, "init", "beginnings");
	/* A new head began as its seed says: a difference from that needs a common start. */
	return rc || !tasks || !ft_model_reader(x) || !ft_model_reader(first)
	           ? rc
	           : must_equal(m, i, "seed", "seeds of new heads");
}

static int open_models(struct merge *m, char **paths)
{
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < m->count; i++) {
		if (ft_base_is(paths[i]) && !base)
			return ft_fail(FT_EUSAGE, "%s is no model stream: --base DIR says what it was tuned from", paths[i]);
		m->in[i] = ft_model_open(paths[i], base, FT_MODEL_READ);
		rc = m->in[i] ? check(m, i) : ft_last_error();
	}
	return rc;
}

/* The base, with the models' head as it began. */
static int open_base(struct merge *m)
{
	const json_t *meta = ft_model_meta(m->in[0]);
	for (size_t i = 1; i < m->count && !json_object_get(meta, "seed"); i++)
		meta = ft_model_meta(m->in[i]);
	struct ft_plan plan = { .head = json_object_get(ft_model_meta(m->in[0]), "head"), .last_layers = -1,
	                        .layer_decay = 1, .seed = ft_json_int(meta, "seed", FT_NO_SEED, NULL),
	                        .init = json_object_get(meta, "init") };
	m->out = ft_model_plan(base ? base : ft_model_dir(m->in[0]), NULL, &plan, 0);
	if (!m->out)
		return ft_last_error();
	for (size_t i = 0; i < m->count; i++)
		if (ft_model_reader(m->in[i]) && strcmp(digest_of(m->in[i]), digest_of(m->out)) != 0)
			return ft_fail(FT_EMATCH, "%s is based on a model with the digest %s, %s has %s", ft_model_name(m->in[i]),
			               digest_of(m->in[i]), ft_model_dir(m->out), digest_of(m->out));
	return FT_OK;
}

/* ---- numbers ---- */

/* One row; returns whether the result differs from the base, *alike whether the models are the same. */
static bool merge_row(struct merge *m, struct ft_param *p, int64_t row, bool *alike)
{
	float *to = p->t.data + row * p->t.cols;
	bool differs = false;
	for (int64_t c = 0; c < p->t.cols; c++)
		m->sum[c] = tasks ? to[c] : 0;
	for (size_t i = 0; i < m->count; i++) {
		float *first = m->row, *x = m->row + p->t.cols;
		ft_tensor_floats(&m->of[i]->t, row, 1, i ? x : first);
		x = i ? x : first;
		*alike = *alike && memcmp(x, first, (size_t)p->t.cols * sizeof *x) == 0;
		for (int64_t c = 0; c < p->t.cols; c++) {
			double d = (double)x[c] - to[c];
			m->distance[i] += d * d;
			m->sum[c] += m->weight[i] * (tasks ? d : (double)x[c]);
		}
	}
	for (int64_t c = 0; c < p->t.cols; c++) {
		float x = (float)m->sum[c];
		differs = differs || x != to[c];
		to[c] = x;
	}
	return differs;
}

static void show_param(const struct merge *m, const struct ft_param *p, double size)
{
	printf("%-34s", p->name);
	for (size_t i = 0; i < m->count; i++)
		printf(" %11.4g", size > 0 ? sqrt(m->distance[i] / size) : sqrt(m->distance[i]));
	putchar('\n');
}

static int merge_param(struct merge *m, struct ft_param *p)
{
	bool alike = true, differs = false;
	double size = 0;
	for (size_t i = 0; i < m->count; i++) {
		m->distance[i] = 0;
		m->of[i] = ft_model_find(m->in[i], p->name);
		if (!m->of[i] || m->of[i]->rank != p->rank || m->of[i]->t.rows != p->t.rows || m->of[i]->t.cols != p->t.cols)
			return ft_fail(FT_EMATCH, "%s has no parameter '%s' of the shape that %s has", ft_model_name(m->in[i]),
			               p->name, ft_model_dir(m->out));
	}
	for (size_t k = 0; k < (size_t)p->t.rows * (size_t)p->t.cols; k++)
		size += (double)p->t.data[k] * p->t.data[k];
	for (int64_t r = 0; r < p->t.rows; r++)
		differs |= merge_row(m, p, r, &alike);
	p->stored = differs || p->fresh;
	m->differing += !alike;
	if (show)
		show_param(m, p, size);
	return FT_OK;
}

static int merge_all(struct merge *m)
{
	size_t widest = 1, params = ft_model_params(m->out);
	for (size_t i = 0; i < params; i++) {
		size_t cols = (size_t)ft_model_param(m->out, i)->t.cols;
		widest = cols > widest ? cols : widest;
	}
	m->row = ft_alloc(2 * widest, sizeof *m->row);
	m->sum = ft_alloc(widest, sizeof *m->sum);
	int rc = m->row && m->sum ? FT_OK : FT_EFAIL;
	for (size_t i = 0; rc == FT_OK && i < m->count; i++)
		if (ft_model_params(m->in[i]) != params)
			rc = ft_fail(FT_EMATCH, "%s has %zu parameters, %s with this head %zu", ft_model_name(m->in[i]),
			             ft_model_params(m->in[i]), ft_model_dir(m->out), params);
	for (size_t i = 0; rc == FT_OK && i < params; i++)
		rc = merge_param(m, ft_model_param(m->out, i));
	if (rc == FT_OK && m->count > 1)
		ft_note("%zu of %zu parameters differ between the models", m->differing, params);
	return rc;
}

/* ---- the result ---- */

/* What a model is, where there is no stream to say it: the digest of the folder. */
static json_t *part_of(const struct merge *m, size_t i)
{
	struct ft_reader *stream = ft_model_reader(m->in[i]);
	struct ft_base *b = stream ? NULL : ft_base_open(ft_model_dir(m->in[i]), FT_BASE_BARE);
	const char *id = stream ? ft_reader_id(stream) : b ? ft_base_digest(b) : NULL;
	json_t *part = id ? json_pack("{s:f, s:s}", "weight", m->weight[i], stream ? "id" : "digest", id) : NULL;
	if (id && !part)
		ft_fail(FT_EFAIL, "out of memory for a digest");
	ft_base_close(b);
	return part;
}

static int describe(const struct merge *m)
{
	json_t *meta = ft_model_meta(m->out), *parts = json_array(),
	       *train = json_object_get(ft_model_meta(m->in[0]), "train");
	int rc = parts ? FT_OK : ft_fail(FT_EFAIL, "out of memory for digests");
	for (size_t i = 0; rc == FT_OK && i < m->count; i++) {
		json_t *part = part_of(m, i);
		rc = part ? ft_json_append(parts, part) : ft_last_error();
	}
	if (rc == FT_OK && train)
		rc = ft_json_set(meta, "train", ft_json_deep_copy(train));
	if (rc < 0) {
		json_decref(parts);
		return rc;
	}
	return ft_json_set(meta, "merged", json_pack("{s:s, s:o}", "how", tasks ? "tasks" : "average", "of", parts));
}

static int write_model(struct merge *m)
{
	struct ft_reader **parents = ft_alloc(m->count, sizeof(struct ft_reader *));
	for (size_t i = 0; parents && i < m->count; i++)
		parents[i] = ft_model_reader(m->in[i]);
	int rc = parents ? describe(m) : FT_EFAIL;
	struct ft_writer *w = rc == FT_OK ? ft_writer_open(output, "model", ft_model_meta(m->out), parents, m->count)
	                                  : NULL;
	if (rc == FT_OK)
		rc = w ? ft_model_write(m->out, w) : ft_last_error();
	rc = rc ? rc : ft_print_flush();
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	free(parents);
	return rc;
}

static int run(int argc, char **argv)
{
	struct merge m = { .count = (size_t)argc };
	if (argc < (tasks ? 1 : 2))
		return ft_fail(FT_EUSAGE, "%s MODELs are expected, tuned from the same base; see ft-merge --help",
		               tasks ? "one or more" : "two or more");
	m.in = ft_alloc(m.count, sizeof *m.in);
	m.weight = ft_alloc(m.count, sizeof *m.weight);
	m.of = ft_alloc(m.count, sizeof *m.of);
	m.distance = ft_alloc(m.count, sizeof *m.distance);
	int rc = m.in && m.weight && m.of && m.distance ? read_weights(&m) : FT_EFAIL;
	rc = rc ? rc : open_models(&m, argv);
	rc = rc ? rc : open_base(&m);
	rc = rc ? rc : merge_all(&m);
	if (rc == FT_OK && (!show || strcmp(output, "-") != 0))
		rc = write_model(&m);
	for (size_t i = 0; m.in && i < m.count; i++)
		ft_model_free(m.in[i]);
	ft_model_free(m.out);
	free(m.in);
	free(m.weight);
	free(m.of);
	free(m.distance);
	free(m.row);
	free(m.sum);
	free(weights.item);
	return rc;
}

const struct ft_tool ft_tool = {
	.name = "ft-merge",
	.summary = "make one model of several that were tuned from the same base",
	.synopsis = "[OPTION]... MODEL MODEL... > MERGED\n"
	            "--tasks [OPTION]... MODEL... > MERGED\n"
	            "--show [OPTION]... MODEL...",
	.options = options,
	.run = run,
};
