/* tag.c - metrics of a model that gives each word a tag: over words, and over the
 * entities that the tags make, counted as seqeval and conlleval do. Resampled by
 * sentence, because the words of one are not independent.
 *
 * A sentence may come in several rows, as ft-tokenize splits it: rows one after the
 * other with the same source, whose words go on where those of the row before ended.
 */
#include "ft/digest.h"
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- which labels are of words ---- */

bool ft_tag_counts(const struct ft_batch *b, size_t begin, size_t i)
{
	if (b->labels[i] == FT_IGNORE)
		return false;
	return !b->words || b->words[i] < 0 || i == begin || b->words[i] != b->words[i - 1];
}

/* ---- a sentence, when it is whole ---- */

static struct prf *cell_of(struct ft_metric *t, struct tag_row *row, int32_t type)
{
	for (size_t i = row->from; i < row->from + row->types; i++)
		if (t->tag.cell[i].type == type)
			return &t->tag.cell[i].count;
	if (ft_grow(&t->tag.cell, &t->tag.cell_cap, t->tag.cells + 1, sizeof *t->tag.cell) < 0)
		return NULL;
	t->tag.cell[t->tag.cells] = (struct tag_cell){ .type = type };
	row->types++;
	return &t->tag.cell[t->tag.cells++].count;
}

static bool is_same(const struct ft_entity *a, const struct ft_entity *b)
{
	return a->type == b->type && a->first == b->first && a->last == b->last;
}

/* Counts entities by type; both lists are in the order of their ends, which differ. */
static int count_entities(struct ft_metric *t, struct tag_row *row, const struct ft_entity *actual, size_t na,
                          const struct ft_entity *predicted, size_t np)
{
	for (size_t i = 0, k = 0; i < na || k < np;) {
		bool a = i < na && (k == np || actual[i].last <= predicted[k].last);
		bool p = k < np && (i == na || predicted[k].last <= actual[i].last);
		struct prf *c = a ? cell_of(t, row, actual[i].type) : NULL;
		if (a && !c)
			return FT_EFAIL;
		if (a)
			c->actual++;
		if (a && p)
			c->both += is_same(&actual[i], &predicted[k]);
		if (p && !(c = cell_of(t, row, predicted[k].type)))
			return FT_EFAIL;
		if (p)
			c->predicted++;
		i += a;
		k += p;
	}
	return FT_OK;
}

/* The row that is being read has all its words. */
static int close_row(struct ft_metric *t)
{
	struct tag_open *o = &t->tag.open;
	if (!o->is_open)
		return FT_OK;
	struct tag_row *row = &t->tag.row[t->rows - 1];
	o->is_open = false;
	row->words = (uint32_t)o->n;
	row->from = t->tag.cells;
	row->digest = ft_hash(o->actual, o->n * sizeof *o->actual, o->n);
	for (size_t i = 0; i < o->n; i++)
		row->right += o->actual[i] == o->predicted[i];
	if (!t->tag.tags)
		return FT_OK;
	size_t cap = o->entity_cap;
	if (ft_grow(&o->entity[0], &cap, o->n, sizeof **o->entity) < 0 ||
	    ft_grow(&o->entity[1], &o->entity_cap, o->n, sizeof **o->entity) < 0)
		return FT_EFAIL;
	size_t na = ft_tags_entities(t->tag.tags, o->actual, o->n, t->tag.strict, o->entity[0]);
	size_t np = ft_tags_entities(t->tag.tags, o->predicted, o->n, t->tag.strict, o->entity[1]);
	return count_entities(t, row, o->entity[0], na, o->entity[1], np);
}

/* ---- rows ---- */

static int open_row(struct ft_metric *t, struct ft_span src)
{
	struct tag_open *o = &t->tag.open;
	int rc = close_row(t);
	if (rc == FT_OK)
		rc = ft_grow(&t->tag.row, &t->tag.row_cap, t->rows + 1, sizeof *t->tag.row);
	o->n = o->src.len = 0;
	o->last = -1;
	if (rc == FT_OK)
		rc = ft_buf_append(&o->src, src.p, src.n);
	if (rc < 0)
		return rc;
	t->tag.row[t->rows++] = (struct tag_row){ 0 };
	o->is_open = true;
	return FT_OK;
}

/* Whether a row whose first word has this number goes on with the open one. */
static bool goes_on(const struct ft_metric *t, struct ft_span src, int32_t word)
{
	const struct tag_open *o = &t->tag.open;
	return o->is_open && src.n && o->last >= 0 && word > o->last && src.n == o->src.len &&
	       memcmp(src.p, o->src.data, src.n) == 0;
}

static int add_word(struct ft_metric *t, int32_t actual, size_t predicted, int32_t word)
{
	struct tag_open *o = &t->tag.open;
	int rc = ft_grow(&o->actual, &o->actual_cap, o->n + 1, sizeof *o->actual);
	if (rc == FT_OK)
		rc = ft_grow(&o->predicted, &o->predicted_cap, o->n + 1, sizeof *o->predicted);
	if (rc < 0)
		return rc;
	o->actual[o->n] = actual;
	o->predicted[o->n++] = (int32_t)predicted;
	o->last = word;
	return FT_OK;
}

/* The label of token i of row r, whose outputs are `unit` of them. */
static int add_label(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b, size_t r, size_t i,
                     size_t unit)
{
	const float *logits = out->logits + unit * t->outputs;
	int32_t label = b->labels[i];
	if (label < 0 || (size_t)label >= t->outputs)
		return ft_fail(FT_EMATCH, "label %d is not one of %zu labels", (int)label, t->outputs);
	for (size_t k = 0; k < t->outputs; k++)
		if (!isfinite(logits[k]))
			return metric_not_finite(b, r, "a logit");
	if (!isfinite(out->loss[unit]))
		return metric_not_finite(b, r, "the loss");
	struct tag_row *row = &t->tag.row[t->rows - 1];
	row->loss += (double)out->loss[unit];
	row->labels++;
	if (!ft_tag_counts(b, (size_t)b->offsets[r], i))
		return FT_OK;
	return add_word(t, label, ft_argmax(logits, t->outputs), b->words ? b->words[i] : -1);
}

static int add_row(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b, size_t r, size_t *unit)
{
	struct ft_span src = b->src ? b->src[r] : (struct ft_span){ NULL, 0 };
	bool begun = false;
	int rc = FT_OK;
	for (int32_t i = b->offsets[r]; i < b->offsets[r + 1] && rc == FT_OK; i++) {
		if (b->labels[i] == FT_IGNORE)
			continue;
		if (*unit >= out->units)
			return ft_fail(FT_EMATCH, "a batch has more labels than the %zu losses there are", out->units);
		if (!begun && !goes_on(t, src, b->words ? b->words[i] : -1))
			rc = open_row(t, src);
		begun = true;
		if (rc == FT_OK)
			rc = add_label(t, out, b, r, (size_t)i, (*unit)++);
	}
	return rc;
}

static int add(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	size_t unit = 0;
	int rc = FT_OK;
	if (!b->labels || b->nlabels != b->tokens)
		return ft_fail(FT_EFORMAT, "a batch has %zu labels for %zu tokens", b->nlabels, b->tokens);
	for (size_t r = 0; r < b->rows && rc == FT_OK; r++)
		rc = add_row(t, out, b, r, &unit);
	if (rc == FT_OK && unit != out->units)
		rc = ft_fail(FT_EMATCH, "a batch has %zu labels, but %zu losses", unit, out->units);
	return rc;
}

/* ---- values ---- */

static size_t types_of(const struct ft_metric *t)
{
	return t->tag.tags ? json_array_size(ft_tags_types(t->tag.tags)) : 0;
}

static size_t scratch(const struct ft_metric *t)
{
	return types_of(t) * sizeof(struct prf);
}

static void count_types(const struct ft_metric *t, const uint32_t *weight, struct prf *type)
{
	memset(type, 0, scratch(t));
	for (size_t i = 0; i < t->rows; i++) {
		const struct tag_row *row = &t->tag.row[i];
		uint64_t w = weight ? weight[i] : 1;
		for (size_t k = row->from; k < row->from + row->types; k++) {
			const struct tag_cell *cell = &t->tag.cell[k];
			type[cell->type].both += w * cell->count.both;
			type[cell->type].predicted += w * cell->count.predicted;
			type[cell->type].actual += w * cell->count.actual;
		}
	}
}

static void values(const struct ft_metric *t, const uint32_t *weight, void *memory, double *v)
{
	struct prf *type = memory, all = { 0 };
	double loss = 0.0, labels = 0.0, words = 0.0, right = 0.0;
	size_t seen = 0;
	for (size_t i = 0; i < t->rows; i++) {
		const struct tag_row *row = &t->tag.row[i];
		double w = weight ? (double)weight[i] : 1.0;
		loss += w * row->loss;
		labels += w * row->labels;
		words += w * row->words;
		right += w * row->right;
	}
	v[METRIC_LOSS] = loss / labels;
	v[METRIC_ACCURACY] = right / words;
	if (!t->tag.tags)
		return;
	count_types(t, weight, type);
	for (size_t i = 0; i < types_of(t); i++) {
		if (type[i].actual == 0 && type[i].predicted == 0)
			continue; /* as if there were no such type */
		all.both += type[i].both;
		all.predicted += type[i].predicted;
		all.actual += type[i].actual;
		type[seen++] = type[i];
	}
	v[METRIC_PRECISION] = prf_precision(&all);
	v[METRIC_RECALL] = prf_recall(&all);
	v[METRIC_F1] = prf_f1(&all);
	prf_averages(type, seen, v);
}

static int detail(const struct ft_metric *t, const json_t *labels, json_t *result)
{
	uint64_t words = 0;
	(void)labels; /* what counts are types, which have names of their own */
	for (size_t i = 0; i < t->rows; i++)
		words += t->tag.row[i].words;
	int rc = ft_json_set(result, "words", json_integer((json_int_t)words));
	if (rc == FT_OK && t->tag.strict)
		rc = ft_json_set(result, "strict", json_true());
	if (rc < 0 || !t->tag.tags)
		return rc;
	struct prf *type = ft_alloc(scratch(t), 1);
	if (!type)
		return FT_EFAIL;
	count_types(t, NULL, type);
	rc = prf_detail(type, types_of(t), ft_tags_types(t->tag.tags), result);
	free(type);
	return rc;
}

bool tag_same_rows(const struct ft_metric *a, const struct ft_metric *b)
{
	for (size_t i = 0; i < a->rows; i++)
		if (a->tag.row[i].digest != b->tag.row[i].digest)
			return false;
	return true;
}

static void release(struct ft_metric *t)
{
	struct tag_open *o = &t->tag.open;
	ft_tags_free(t->tag.tags);
	free(t->tag.row);
	free(t->tag.cell);
	free(o->actual);
	free(o->predicted);
	free(o->entity[0]);
	free(o->entity[1]);
	ft_buf_free(&o->src);
}

const struct metric_kind metric_tag = {
	.add = add,
	.prepare = close_row,
	.scratch = scratch,
	.values = values,
	.detail = detail,
	.free = release,
};
