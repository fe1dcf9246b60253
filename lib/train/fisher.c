/* fisher.c - the diagonal of the empirical Fisher information: for each weight that trains the
 * mean over examples of the squared derivative of the example's log-likelihood. */
#include "ft/fisher.h"
#include "ft/kernels.h"
#include "ft/thread.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RUN 65536 /* elements of an item of work, about */

struct of_param {
	struct ft_param *p;
	double *sum; /* [rows, cols] of squares */
	int64_t rows; /* of an item of work */
};

struct fisher {
	struct ft_model *m;
	struct ft_graph *graph;
	struct of_param *params;
	size_t count;
	int64_t examples;
	int32_t *offsets; /* of the example at hand */
	size_t cap;
};

static size_t elements(const struct ft_param *p)
{
	return (size_t)p->t.rows * (size_t)p->t.cols;
}

/* ---- opening ---- */
static int open_param(struct fisher *f, struct ft_param *p)
{
	struct of_param *o = &f->params[f->count++];
	o->p = p;
	o->rows = p->t.cols < RUN ? RUN / p->t.cols : 1;
	o->sum = ft_alloc(elements(p), sizeof *o->sum);
	if (o->sum && !p->t.grad)
		p->t.grad = ft_alloc(elements(p), sizeof *p->t.grad);
	if (p->layer == -1 && p->rank == 2 && !p->t.touched) /* a table: only rows that an example has */
		p->t.touched = ft_alloc((size_t)p->t.rows, 1);
	return o->sum && p->t.grad && (p->t.touched || p->layer != -1 || p->rank != 2) ? FT_OK : FT_EFAIL;
}

static int check(const struct ft_model *m)
{
	enum ft_task task = ft_model_task(m);
	if (task == FT_TASK_NONE || task == FT_TASK_EMBED)
		return ft_fail(FT_EUSAGE, "%s: an example has no likelihood of its own for the head %s", ft_model_name(m),
		               ft_task_name(task));
	for (size_t i = 0; i < ft_model_params(m); i++)
		if (ft_model_param(m, i)->trains)
			return FT_OK;
	return ft_fail(FT_EUSAGE, "nothing trains in %s", ft_model_name(m));
}

static int open_fisher(struct fisher *f)
{
	struct ft_model *m = f->m;
	int rc = check(m);
	if (rc < 0)
		return rc;
	f->params = ft_alloc(ft_model_params(m), sizeof *f->params);
	f->graph = f->params ? ft_graph_new() : NULL;
	rc = f->graph ? FT_OK : ft_last_error();
	for (size_t i = 0; rc == FT_OK && i < ft_model_params(m); i++)
		if (ft_model_param(m, i)->trains)
			rc = open_param(f, ft_model_param(m, i));
	ft_model_dropout(m, 0);
	return rc;
}

static void close_fisher(struct fisher *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->params[i].sum);
	free(f->params);
	free(f->offsets);
	ft_graph_free(f->graph);
}

/* ---- examples ---- */

/* A batch that is example e of b alone. */
static int one_example(struct fisher *f, const struct ft_batch *b, size_t e, struct ft_batch *one)
{
	size_t texts = ft_batch_texts(b), examples = ft_batch_examples(b), row = e * texts;
	int32_t from = b->offsets[row];
	if (ft_grow(&f->offsets, &f->cap, texts + 1, sizeof *f->offsets) < 0)
		return FT_EFAIL;
	for (size_t r = 0; r <= texts; r++)
		f->offsets[r] = b->offsets[row + r] - from;
	*one = *b;
	one->rows = texts;
	one->tokens = (size_t)f->offsets[texts];
	one->offsets = f->offsets;
	one->ids = b->ids + from;
	one->types = b->types ? b->types + from : NULL;
	one->words = b->words ? b->words + from : NULL;
	bool by_token = b->nlabels == b->tokens && b->nlabels != examples;
	if (b->labels) {
		one->labels = b->labels + (by_token ? (size_t)from : e);
		one->nlabels = by_token ? one->tokens : 1;
	}
	one->ntargets = b->ntargets / examples;
	one->targets = b->targets ? b->targets + e * one->ntargets : NULL;
	one->windows = b->windows ? b->windows + row : NULL;
	one->sizes = b->sizes ? b->sizes + e : NULL;
	one->src = b->src ? b->src + e : NULL;
	return FT_OK;
}

static void add_run(void *ctx, size_t i)
{
	const struct of_param *o = ctx;
	const struct ft_tensor *t = &o->p->t;
	int64_t from = (int64_t)i * o->rows, to = from + o->rows < t->rows ? from + o->rows : t->rows;
	for (int64_t r = from; r < to; r++)
		if (!t->touched || t->dense || t->touched[r])
			ft_kernels()->update->add_squares(o->sum + r * t->cols, t->grad + r * t->cols, (size_t)t->cols);
}

static void take_gradients(struct fisher *f, bool add)
{
	for (size_t i = 0; i < f->count; i++) {
		struct of_param *o = &f->params[i];
		struct ft_tensor *t = &o->p->t;
		if (add && t->has_grad)
			ft_parallel_work((size_t)((t->rows + o->rows - 1) / o->rows), (double)elements(o->p), add_run, o);
		t->has_grad = t->dense = false;
	}
}

static int add_example(struct fisher *f, const struct ft_batch *one)
{
	struct ft_output out;
	ft_graph_begin(f->graph, FT_TRAIN, 0, 0);
	int rc = ft_model_step(f->m, f->graph, one, &out);
	if (rc == FT_OK && !isfinite(out.loss_sum))
		rc = ft_fail(FT_ECRITERION, "%.*s: the loss is not finite", one->src ? (int)one->src->n : 9,
		             one->src ? one->src->p : "a text");
	take_gradients(f, rc == FT_OK && out.supervised > 0);
	f->examples += rc == FT_OK && out.supervised > 0;
	return rc;
}

static int add_batch(struct fisher *f, const struct ft_batch *b, int64_t most)
{
	struct ft_batch one;
	int rc = FT_OK;
	for (size_t e = 0; rc == FT_OK && e < ft_batch_examples(b) && (!most || f->examples < most); e++) {
		rc = one_example(f, b, e, &one);
		rc = rc ? rc : add_example(f, &one);
	}
	return rc;
}

/* ---- the result ---- */
static int write_param(const struct fisher *f, const struct of_param *o, struct ft_writer *w)
{
	const struct ft_param *p = o->p;
	struct ft_tensor_desc d = { .name = { p->name, strlen(p->name) }, .dtype = "F32", .rank = p->rank,
	                            .bytes = elements(p) * sizeof(float) };
	d.shape[0] = p->rank == 2 ? p->t.rows : p->t.cols;
	d.shape[1] = p->t.cols;
	for (size_t i = 0; i < elements(p); i++) /* its gradient is not needed any more */
		p->t.grad[i] = (float)(o->sum[i] / (double)f->examples);
	return ft_tensor_write(w, &d, p->t.grad);
}

static int write_fisher(const struct fisher *f, const char *path, struct ft_reader *data)
{
	const json_t *meta = ft_model_meta(f->m);
	if (!f->examples)
		return ft_fail(FT_EFORMAT, "%s: no example has a label", ft_reader_name(data));
	struct ft_reader *parents[2] = { ft_model_reader(f->m), data };
	json_t *about = json_pack("{s:O?, s:O?, s:O?, s:I}", "family", json_object_get(meta, "family"), "base",
	                          json_object_get(meta, "base"), "head", json_object_get(meta, "head"), "examples",
	                          (json_int_t)f->examples);
	struct ft_writer *w = about ? ft_writer_open(path, "fisher", about, parents, 2) : NULL;
	int rc = w ? FT_OK : ft_last_error();
	for (size_t i = 0; rc == FT_OK && i < f->count; i++)
		rc = write_param(f, &f->params[i], w);
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	json_decref(about);
	return rc;
}

int64_t ft_fisher(struct ft_model *m, struct ft_reader *data, int64_t most, const char *path)
{
	struct fisher f = { .m = m };
	struct ft_batch b;
	int rc = ft_model_match(m, data);
	rc = rc ? rc : open_fisher(&f);
	while (rc == FT_OK && (rc = ft_batch_read(data, &b)) > 0) {
		rc = add_batch(&f, &b, most);
		if (rc < 0)
			rc = ft_context(rc, "%s: record %lld", ft_reader_name(data), (long long)ft_reader_count(data));
		ft_progress("%lld examples", (long long)f.examples);
	}
	ft_progress_end();
	rc = rc ? rc : write_fisher(&f, path, data);
	close_fisher(&f);
	return rc < 0 ? rc : f.examples;
}
