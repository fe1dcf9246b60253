/* choice.c - questions with choices, answered by likelihood: the choice whose tokens are the
 * most probable, as they are or for its length, as lm-evaluation-harness has it.
 *
 * A row is a choice: its supervised tokens are those of the choice, behind the question. The
 * choices of a question are told by `window`, as the windows of a document are, and the
 * target of one that is right is 1, of others 0. They may come in any order, so they are
 * kept, and made into questions in prepare().
 */
#include "ft/digest.h"
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>

struct choice {
	uint64_t question;     /* hash of document, count and source */
	int64_t index, count;
	double loss;           /* summed over tokens */
	struct ft_size size;
	size_t row;            /* its place in the stream */
	size_t src, src_n;     /* in choice_rows.src */
	uint32_t tokens;
	bool right;
};

struct question {
	double loss;           /* of the right choices */
	uint32_t tokens;
	bool right, by_characters, by_bytes; /* whether the likeliest choice is right */
};

struct choice_rows {
	struct choice *choice;     /* [n] */
	struct question *question; /* [rows of the metric]; NULL before prepare() */
	size_t n, cap;
	struct ft_buf src;
	bool unsized;
};

/* ---- adding rows ---- */

static int fail_row(const struct ft_batch *b, size_t r, const char *reason)
{
	return ft_fail(FT_EFORMAT, "%.*s: %s", b->src ? (int)b->src[r].n : 0, b->src ? b->src[r].p : "", reason);
}

/* Row r, whose supervised tokens begin at *unit. */
static int add_row(struct choice_rows *k, const struct ft_output *out, const struct ft_batch *b, size_t r, size_t *unit)
{
	const struct ft_window *w = &b->windows[r];
	struct ft_span src = b->src ? b->src[r] : (struct ft_span){ "", 0 };
	struct choice c = { .index = w->index, .count = w->count, .right = b->targets[r] > 0, .row = k->n,
	                    .src = k->src.len, .src_n = src.n };
	for (int32_t i = b->offsets[r]; i < b->offsets[r + 1]; i++) {
		if (b->labels[i] == FT_IGNORE)
			continue;
		if (*unit >= out->units)
			return ft_fail(FT_EMATCH, "a batch has more labels than the %zu losses there are", out->units);
		c.loss += (double)out->loss[(*unit)++];
		c.tokens++;
	}
	if (!isfinite(c.loss))
		return metric_not_finite(b, r, "the loss");
	c.size = b->sizes ? b->sizes[r] : (struct ft_size){ -1, -1, -1 };
	if (c.tokens == 0 || c.size.characters == 0)
		return fail_row(b, r, "is a choice without text");
	k->unsized |= c.size.bytes < 0;
	c.question = ft_hash(src.n ? src.p : "", src.n, (uint64_t)w->doc ^ (uint64_t)w->count << 53);
	k->choice[k->n++] = c;
	return ft_buf_append(&k->src, src.p, src.n);
}

static int add(struct ft_metric *t, const struct ft_output *out, const struct ft_batch *b)
{
	struct choice_rows *k = t->choices;
	size_t unit = 0;
	if (!k && !(k = t->choices = ft_alloc(1, sizeof *k)))
		return FT_EFAIL;
	if (!b->targets || b->ntargets != b->rows)
		return fail_row(b, 0, b->targets ? "has more than one target" : "is no choice, as the examples before it are");
	if (!b->windows)
		return fail_row(b, 0, "is a choice, but 'window' does not say of which question");
	if (!b->labels || b->nlabels != b->tokens)
		return ft_fail(FT_EFORMAT, "a batch has %zu labels for %zu tokens", b->nlabels, b->tokens);
	int rc = ft_grow(&k->choice, &k->cap, k->n + b->rows, sizeof *k->choice);
	for (size_t r = 0; r < b->rows && rc == FT_OK; r++)
		rc = add_row(k, out, b, r, &unit);
	if (rc == FT_OK && unit != out->units)
		rc = ft_fail(FT_EMATCH, "a batch has %zu labels, but %zu losses", unit, out->units);
	t->rows = k->n;
	return rc;
}

/* ---- questions ---- */

static int by_place(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;
	if (x->question != y->question)
		return x->question < y->question ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static int by_arrival(const void *a, const void *b)
{
	const struct choice *const *x = a, *const *y = b;
	return ((*x)->row > (*y)->row) - ((*x)->row < (*y)->row);
}

static int check_question(const struct choice_rows *k, const struct choice *c, size_t n)
{
	const char *src = c->src_n ? (const char *)k->src.data + c->src : "";
	bool right = false;
	for (size_t i = 0; i < n; i++) {
		right |= c[i].right;
		if (i && c[i].index == c[i - 1].index)
			return ft_fail(FT_EFORMAT, "%.*s: choice %lld of %lld came twice", (int)c->src_n, src,
			               (long long)c[i].index, (long long)c->count);
	}
	if ((int64_t)n != c->count)
		return ft_fail(FT_EFORMAT, "%.*s: only %zu of its %lld choices came", (int)c->src_n, src, n,
		               (long long)c->count);
	return right ? FT_OK : ft_fail(FT_EFORMAT, "%.*s: none of its choices is right", (int)c->src_n, src);
}

/* Whether the choice of the least loss for its length is right; of equal ones the first. */
static bool is_right(const struct choice *c, size_t n, int64_t (*length)(const struct choice *c))
{
	size_t best = 0;
	double least = INFINITY;
	for (size_t i = 0; i < n; i++) {
		double loss = c[i].loss / (length ? (double)length(&c[i]) : 1.0);
		if (loss < least) {
			least = loss;
			best = i;
		}
	}
	return c[best].right;
}

static int64_t characters(const struct choice *c) { return c->size.characters; }
static int64_t bytes(const struct choice *c) { return c->size.bytes; }

static struct question answer(const struct choice *c, size_t n)
{
	struct question q = { .right = is_right(c, n, NULL), .by_characters = is_right(c, n, characters),
	                      .by_bytes = is_right(c, n, bytes) };
	for (size_t i = 0; i < n; i++)
		if (c[i].right) {
			q.loss += c[i].loss;
			q.tokens += c[i].tokens;
		}
	return q;
}

/* Questions in the order of their first choices, so that resamples do not depend on how
 * they were sorted. */
static int prepare(struct ft_metric *t)
{
	struct choice_rows *k = t->choices;
	if (k->question)
		return FT_OK;
	const struct choice **first = ft_alloc(k->n, sizeof *first);
	size_t questions = 0;
	int rc = first ? FT_OK : FT_EFAIL;
	if (rc == FT_OK)
		qsort(k->choice, k->n, sizeof *k->choice, by_place);
	for (size_t i = 0, n; i < k->n && rc == FT_OK; i += n) {
		for (n = 1; i + n < k->n && k->choice[i + n].question == k->choice[i].question; n++)
			;
		rc = check_question(k, &k->choice[i], n);
		if (rc == FT_OK)
			first[questions++] = &k->choice[i];
	}
	if (rc == FT_OK && !(k->question = ft_alloc(questions, sizeof *k->question)))
		rc = FT_EFAIL;
	if (rc == FT_OK) {
		qsort(first, questions, sizeof *first, by_arrival);
		for (size_t i = 0; i < questions; i++)
			k->question[i] = answer(first[i], (size_t)first[i]->count);
		t->rows = questions;
	}
	free(first);
	return rc;
}

/* ---- values ---- */

static size_t scratch(const struct ft_metric *t)
{
	(void)t;
	return 0;
}

static void values(const struct ft_metric *t, const uint32_t *weight, void *memory, double *v)
{
	double all = 0, right = 0, by_characters = 0, by_bytes = 0, loss = 0, tokens = 0;
	(void)memory;
	for (size_t i = 0; i < t->rows; i++) {
		const struct question *q = &t->choices->question[i];
		double w = weight ? weight[i] : 1;
		all += w;
		right += w * q->right;
		by_characters += w * q->by_characters;
		by_bytes += w * q->by_bytes;
		loss += w * q->loss;
		tokens += w * q->tokens;
	}
	v[METRIC_LOSS] = loss / tokens;
	v[METRIC_ACC] = right / all;
	v[METRIC_ACC_NORM] = by_characters / all;
	v[METRIC_ACC_BYTES] = by_bytes / all;
}

static bool has(const struct ft_metric *t, size_t id)
{
	if (id == METRIC_ACC_NORM || id == METRIC_ACC_BYTES)
		return !t->choices->unsized;
	return id == METRIC_LOSS || id == METRIC_ACC;
}

static int detail(const struct ft_metric *t, const json_t *labels, json_t *result)
{
	(void)labels;
	return ft_json_set(result, "choices", json_integer((json_int_t)t->choices->n));
}

static void release(struct ft_metric *t)
{
	if (!t->choices)
		return;
	free(t->choices->choice);
	free(t->choices->question);
	ft_buf_free(&t->choices->src);
	free(t->choices);
}

const struct metric_kind metric_choice = {
	.add = add,
	.prepare = prepare,
	.scratch = scratch,
	.values = values,
	.has = has,
	.detail = detail,
	.free = release,
};
