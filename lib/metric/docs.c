/* docs.c - collects the windows of documents until they are whole.
 *
 * Those that are not yet whole lie in a table with chains; what one needed in
 * memory serves the next. With windows one after the other, as ft-tokenize writes
 * them, there is never more than one.
 */
#include "ft/batch.h"
#include "ft/digest.h"
#include "ft/docs.h"
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

struct doc {
	int64_t number, count;  /* as struct ft_window has them */
	struct ft_buf src;
	int32_t label;
	bool labelled;
	float *targets;         /* [ntargets] */
	size_t ntargets, targets_cap;
	float *x;               /* [n, outputs], in the order of arrival */
	int64_t *index;         /* [n]: which windows they are */
	size_t n, x_cap, index_cap;
	size_t next;            /* in its chain or among the free ones: position + 1 */
};

struct ft_docs {
	enum ft_task task;
	enum ft_combine how;
	size_t outputs;
	struct doc *doc;        /* [docs]: waiting, or free */
	size_t docs, cap, waiting, free;
	size_t *chain;          /* [chains]: position + 1, or 0 */
	size_t chains;
	const float **order;    /* [windows of the longest document] */
	size_t order_cap;
	struct ft_pack *done;   /* the documents that have become whole */
	float *x;               /* [done, outputs] */
	size_t x_cap;
	int64_t windows;
	struct pairs pairs;
};

struct ft_docs *ft_docs_new(enum ft_task task, size_t outputs, enum ft_combine how)
{
	struct ft_docs *d = ft_alloc(1, sizeof *d);
	if (!d)
		return NULL;
	bool rows = task == FT_TASK_CLASSIFY || task == FT_TASK_MULTILABEL || task == FT_TASK_REGRESS;
	d->task = task;
	d->how = rows ? how : FT_COMBINE_NONE;
	d->outputs = outputs;
	d->chains = 64;
	d->chain = ft_alloc(d->chains, sizeof *d->chain);
	d->done = ft_pack_new();
	if (d->chain && d->done)
		return d;
	ft_docs_free(d);
	return NULL;
}

void ft_docs_free(struct ft_docs *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->docs; i++) {
		ft_buf_free(&d->doc[i].src);
		free(d->doc[i].targets);
		free(d->doc[i].x);
		free(d->doc[i].index);
	}
	pairs_free(&d->pairs);
	ft_pack_free(d->done);
	free(d->doc);
	free(d->chain);
	free(d->order);
	free(d->x);
	free(d);
}

int64_t ft_docs_windows(const struct ft_docs *d)
{
	return d->windows;
}

/* ---- the table of those that wait ---- */

static size_t *chain_of(const struct ft_docs *d, int64_t number, struct ft_span src)
{
	return &d->chain[ft_hash(src.p ? src.p : "", src.n, (uint64_t)number) & (d->chains - 1)];
}

static struct ft_span src_of(const struct doc *doc)
{
	return (struct ft_span){ (const char *)doc->src.data, doc->src.len };
}

static int widen_table(struct ft_docs *d)
{
	size_t chains = 2 * d->chains, *chain = ft_alloc(chains, sizeof *chain), *old = d->chain;
	if (!chain)
		return FT_EFAIL;
	d->chain = chain;
	d->chains = chains;
	for (size_t c = 0; c < chains / 2; c++)
		for (size_t at = old[c], next; at; at = next) {
			struct doc *doc = &d->doc[at - 1];
			size_t *to = chain_of(d, doc->number, src_of(doc));
			next = doc->next;
			doc->next = *to;
			*to = at;
		}
	free(old);
	return FT_OK;
}

/* One to wait, in its chain; its position, or <0. */
static int64_t new_doc(struct ft_docs *d, const struct ft_window *w, struct ft_span src)
{
	if (d->waiting >= d->chains && widen_table(d) < 0)
		return FT_EFAIL;
	if (!d->free) {
		if (ft_grow(&d->doc, &d->cap, d->docs + 1, sizeof *d->doc) < 0)
			return FT_EFAIL;
		d->doc[d->docs++] = (struct doc){ 0 };
		d->free = d->docs;
	}
	size_t at = d->free;
	struct doc *doc = &d->doc[at - 1];
	doc->src.len = doc->n = 0;
	if (ft_buf_append(&doc->src, src.p, src.n) < 0)
		return FT_EFAIL;
	d->free = doc->next;
	d->waiting++;
	doc->number = w->doc;
	doc->count = w->count;
	size_t *chain = chain_of(d, w->doc, src);
	doc->next = *chain;
	*chain = at;
	return (int64_t)at - 1;
}

static void remove_doc(struct ft_docs *d, struct doc *doc)
{
	size_t at = (size_t)(doc - d->doc) + 1, *link = chain_of(d, doc->number, src_of(doc));
	while (*link != at)
		link = &d->doc[*link - 1].next;
	*link = doc->next;
	doc->next = d->free;
	d->free = at;
	d->waiting--;
}

static struct doc *find_doc(struct ft_docs *d, const struct ft_window *w, struct ft_span src)
{
	for (size_t at = *chain_of(d, w->doc, src); at; at = d->doc[at - 1].next) {
		struct doc *doc = &d->doc[at - 1];
		if (doc->number == w->doc && doc->count == w->count && doc->src.len == src.n &&
		    (!src.n || memcmp(doc->src.data, src.p, src.n) == 0))
			return doc;
	}
	return NULL;
}

/* ---- one row ---- */

/* What the batch says of row r: of one window, or of a whole text. */
static struct ft_example row_of(const struct ft_batch *b, size_t r)
{
	struct ft_example e = { 0 };
	if (b->labels && b->nlabels == b->rows) {
		e.labels = b->labels + r;
		e.nlabels = 1;
	}
	if (b->targets) {
		e.ntargets = b->ntargets / b->rows;
		e.targets = b->targets + r * e.ntargets;
	}
	if (b->src)
		e.src = b->src[r];
	return e;
}

/* The first window says what the document's label is; all must say the same. */
static int hold_labels(struct doc *doc, const struct ft_example *e)
{
	if (doc->n == 0) {
		doc->labelled = e->nlabels > 0;
		doc->label = e->nlabels ? *e->labels : 0;
		doc->ntargets = e->ntargets;
		int rc = ft_grow(&doc->targets, &doc->targets_cap, e->ntargets, sizeof *doc->targets);
		if (rc == FT_OK && e->ntargets)
			memcpy(doc->targets, e->targets, e->ntargets * sizeof *e->targets);
		return rc;
	}
	bool labelled = e->nlabels > 0;
	bool same = doc->labelled == labelled && (!labelled || doc->label == *e->labels) && doc->ntargets == e->ntargets &&
		(!e->ntargets || memcmp(doc->targets, e->targets, e->ntargets * sizeof *e->targets) == 0);
	return same ? FT_OK : ft_fail(FT_EFORMAT, "%.*s: windows of one document have different labels",
	                              (int)e->src.n, e->src.n ? e->src.p : "");
}

/* d->order: the windows' outputs in the order of the text. */
static int put_in_order(struct ft_docs *d, const struct doc *doc)
{
	if (ft_grow(&d->order, &d->order_cap, doc->n, sizeof *d->order) < 0)
		return FT_EFAIL;
	memset(d->order, 0, doc->n * sizeof *d->order);
	for (size_t i = 0; i < doc->n; i++) {
		const float **place = &d->order[doc->index[i]];
		if (*place)
			return ft_fail(FT_EFORMAT, "%.*s: window %lld of %lld came twice", (int)doc->src.len,
			               doc->src.len ? (char *)doc->src.data : "", (long long)doc->index[i],
			               (long long)doc->count);
		*place = doc->x + i * d->outputs;
	}
	return FT_OK;
}

/* Room for one more row of the result. */
static float *new_row(struct ft_docs *d)
{
	size_t rows = ft_pack_examples(d->done), need;
	if (!ft_mul(rows + 1, d->outputs, &need))
		return ft_fail_memory(rows), NULL;
	return ft_grow(&d->x, &d->x_cap, need, sizeof *d->x) < 0 ? NULL : d->x + rows * d->outputs;
}

static int finish_doc(struct ft_docs *d, struct doc *doc)
{
	struct ft_example e = {
		.labels = doc->labelled ? &doc->label : NULL,
		.nlabels = doc->labelled,
		.targets = doc->ntargets ? doc->targets : NULL,
		.ntargets = doc->ntargets,
		.src = src_of(doc),
	};
	float *row = new_row(d);
	int rc = row ? put_in_order(d, doc) : FT_EFAIL;
	if (rc == FT_OK)
		rc = ft_combine(d->task, d->how, d->order, doc->n, d->outputs, row);
	if (rc == FT_OK)
		rc = ft_pack_add(d->done, &e);
	remove_doc(d, doc);
	return rc;
}

static int add_window(struct ft_docs *d, const struct ft_window *w, const struct ft_example *e, const float *x)
{
	struct doc *doc = find_doc(d, w, e->src);
	size_t need;
	if (!doc) {
		int64_t at = new_doc(d, w, e->src);
		if (at < 0)
			return (int)at;
		doc = &d->doc[at];
	}
	int rc = hold_labels(doc, e);
	if (rc == FT_OK && !ft_mul(doc->n + 1, d->outputs, &need))
		rc = ft_fail_memory(doc->n);
	if (rc == FT_OK)
		rc = ft_grow(&doc->x, &doc->x_cap, need, sizeof *doc->x);
	if (rc == FT_OK)
		rc = ft_grow(&doc->index, &doc->index_cap, doc->n + 1, sizeof *doc->index);
	if (rc < 0)
		return rc;
	memcpy(doc->x + doc->n * d->outputs, x, d->outputs * sizeof *x);
	doc->index[doc->n++] = w->index;
	return (int64_t)doc->n == doc->count ? finish_doc(d, doc) : FT_OK;
}

static int add_whole(struct ft_docs *d, const struct ft_example *e, const float *x)
{
	float *row = new_row(d);
	if (!row)
		return FT_EFAIL;
	memcpy(row, x, d->outputs * sizeof *x);
	return ft_pack_add(d->done, e);
}

/* ---- batches ---- */

bool ft_docs_takes(const struct ft_docs *d, const struct ft_batch *b)
{
	return b->windows && d->how != FT_COMBINE_NONE;
}

int ft_docs_add(struct ft_docs *d, struct ft_batch *b, const float **x)
{
	int rc = FT_OK;
	if (!ft_docs_takes(d, b))
		return FT_OK;
	ft_pack_clear(d->done);
	d->windows += (int64_t)b->rows;
	for (size_t r = 0; r < b->rows && rc == FT_OK; r++) {
		struct ft_example e = row_of(b, r);
		const float *row = *x + r * d->outputs;
		rc = b->windows[r].count == 1 ? add_whole(d, &e, row) : add_window(d, &b->windows[r], &e, row);
	}
	if (rc < 0)
		return rc;
	struct ft_batch whole = { .epoch = b->epoch };
	if (ft_pack_examples(d->done))
		rc = ft_pack_batch(d->done, &whole);
	whole.epoch = b->epoch;
	*b = whole;
	*x = d->x;
	return rc;
}

int ft_docs_eval(struct ft_docs *d, struct ft_model *m, struct ft_graph *g, struct ft_batch *b,
                 struct ft_output *out)
{
	bool preferences = d->task == FT_TASK_LM && ft_batch_texts(b) == 2;
	int rc = preferences ? pairs_open(&d->pairs, b) : FT_OK;
	rc = rc ? rc : ft_model_eval(m, g, b, out);
	const float *x = out->logits;
	if (rc < 0 || !ft_docs_takes(d, b))
		return rc;
	rc = ft_docs_add(d, b, &x);
	if (rc == FT_OK && b->rows)
		return ft_model_judge(m, g, b, x, out);
	*out = (struct ft_output){ .outputs = d->outputs };
	return rc;
}

int ft_docs_end(const struct ft_docs *d)
{
	for (size_t c = 0; d->waiting && c < d->chains; c++)
		if (d->chain[c]) {
			const struct doc *doc = &d->doc[d->chain[c] - 1];
			return ft_fail(FT_EFORMAT, "%.*s: only %zu of its %lld windows came; --combine none takes windows "
			               "one by one", (int)doc->src.len, doc->src.len ? (char *)doc->src.data : "", doc->n,
			               (long long)doc->count);
		}
	return FT_OK;
}
