/* verify.c - whether an exported model is the model it was made of: what was
 * written is opened as any model is, and compared. */
#include "ft/err.h"
#include "ft/gguf.h"
#include "ft/mem.h"
#include "ft/model.h"
#include "ft/tok.h"
#include "export_peft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How far an output may move, relative to the largest, when W x + B A x becomes (W + B A) x. */
#define MERGE_DIFFERS 1e-4

/* Rows of the probe, in tokens; the longest also bounded by the model. */
static const size_t probe_rows[] = { 1, 7, 33 };
enum { PROBE_ROWS = sizeof probe_rows / sizeof *probe_rows, PROBE_TOKENS = 1 + 7 + 33 };

struct probe {
	int32_t ids[PROBE_TOKENS], labels[PROBE_TOKENS], offsets[PROBE_ROWS + 1];
	struct ft_batch batch;
};

/* Ids spread over the vocabulary, the same for every model with this size of it. */
static int make_probe(const struct ft_model *m, struct probe *p)
{
	const json_t *meta = ft_model_meta(m), *config = json_object_get(meta, "config");
	int64_t vocabulary = ft_json_int(config, "vocab_size", 1, NULL);
	int64_t longest = ft_json_int(meta, "max_length", 1, NULL);
	size_t t = 0;
	if (vocabulary < 1 || longest < 1)
		return ft_fail(FT_EFORMAT, "config: no vocab_size, or no length");
	for (size_t r = 0; r < PROBE_ROWS; r++) {
		p->offsets[r] = (int32_t)t;
		for (size_t i = 0; i < probe_rows[r] && (int64_t)i < longest; i++, t++) {
			p->ids[t] = (int32_t)((t * 2654435761u + r) % (uint64_t)vocabulary);
			p->labels[t] = i % 3 == 0 ? (int32_t)(t * 40503u % (uint64_t)vocabulary) : FT_IGNORE;
		}
	}
	p->offsets[PROBE_ROWS] = (int32_t)t;
	p->batch = (struct ft_batch){ .ids = p->ids, .offsets = p->offsets, .tokens = t, .rows = PROBE_ROWS };
	if (ft_task_of_words(ft_model_task(m))) {
		p->batch.labels = p->labels;
		p->batch.nlabels = t;
	}
	return FT_OK;
}

/* What the model makes of the probe: logits, losses of a language model, or vectors; with
 * `bare` the mean of its states. From malloc; NULL on failure. */
static float *run_probe(struct ft_model *m, const struct probe *p, bool bare, size_t *n)
{
	struct ft_graph *g = ft_graph_new();
	struct ft_output out = { 0 };
	const float *from = NULL;
	float *copy = NULL;
	size_t width = 1;
	if (!g)
		return NULL;
	int rc = bare ? ft_model_vectors(m, g, &p->batch, "mean", false, &from, &width)
	              : ft_model_eval(m, g, &p->batch, &out);
	if (rc == FT_OK && bare)
		*n = p->batch.rows * width;
	else if (rc == FT_OK) {
		from = out.logits ? out.logits : out.vectors ? out.vectors : out.loss;
		*n = out.logits ? out.units * out.outputs : out.vectors ? p->batch.rows * out.width : out.units;
	}
	if (rc == FT_OK && !from)
		ft_fail(FT_EFAIL, "the model gives nothing to compare");
	if (from && (copy = ft_alloc(*n, sizeof *copy)))
		memcpy(copy, from, *n * sizeof *copy);
	ft_graph_free(g);
	return copy;
}

static int differs(const char *what)
{
	return ft_fail(FT_EFAIL, "the exported model is not the one it was made of: %s", what);
}

/* ---- a tokenizer that has become another file ---- */

/* Pieces, and what becomes of some texts; a file has unused pieces behind the last. No text
 * begins with a space: SentencePiece puts another before it, and tokenizer.json may say not to. */
static int compare_tokenizers(const char *from, const char *to)
{
	static const char *const texts[] = {
		"Hello  world! It's 12345 o'clock, isn't it?", "A line\n\nand\ttabs \n  four    spaces ",
		"Gr\xc3\xbc\xc3\x9f" "e, \xe4\xb8\xad\xe6\x96\x87, \xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82,"
		" \xf0\x9f\x98\x80 \xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d", "x", "",
		"def f(x):\n    return x**2  # {\"a\": [1, 2.50]}\n",
	};
	int there = ft_tok_there(from);
	if (there <= 0)
		return there;
	struct ft_tok *a = ft_tok_open(from), *b = a ? ft_tok_open(to) : NULL;
	struct ft_tok_text x = { 0 }, y = { 0 };
	int rc = b ? FT_OK : ft_last_error();
	for (size_t i = 0; rc == FT_OK && i < ft_tok_size(a); i++) {
		const char *p = ft_tok_piece(a, (int32_t)i), *q = ft_tok_piece(b, (int32_t)i);
		if (p && (!q || (strcmp(p, q) != 0 && !strchr(q, ' ') && !strchr(p, ' '))))
			rc = differs("a piece of its tokenizer");
	}
	for (size_t i = 0; rc == FT_OK && i < sizeof texts / sizeof *texts; i++) {
		x.n = y.n = 0;
		rc = ft_tok_encode(a, texts[i], strlen(texts[i]), 0, &x);
		rc = rc ? rc : ft_tok_encode(b, texts[i], strlen(texts[i]), 0, &y);
		if (rc == FT_OK && (x.n != y.n || (x.n && memcmp(x.ids, y.ids, x.n * sizeof *x.ids))))
			rc = differs("what its tokenizer makes of a text");
	}
	if (rc == FT_OK && ft_tok_specials(a, false) != ft_tok_specials(b, false))
		rc = differs("what its tokenizer puts around a text");
	ft_tok_text_free(&x);
	ft_tok_text_free(&y);
	ft_tok_free(a);
	ft_tok_free(b);
	return rc;
}

/* How vectors are made. */
static int compare_pooling(const json_t *a, const json_t *b)
{
	static const char *const keys[] = { "pooling", "normalize", "prompt" };
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);
		bool none = (!x || json_is_false(x)) && (!y || json_is_false(y));
		if (!none && !json_equal(x, y))
			return differs(keys[i]);
	}
	return FT_OK;
}

static int compare_meta(const struct ft_model *a, const struct ft_model *b, const struct ft_format *f)
{
	static const char *const keys[] = { "max_length", "architecture" };
	const json_t *x = ft_model_meta(a), *y = ft_model_meta(b);
	/* A file may know several classes by one name. */
	for (size_t i = 0; i < (f->file ? 1 : sizeof keys / sizeof *keys); i++)
		if (!json_equal(json_object_get(x, keys[i]), json_object_get(y, keys[i])))
			return differs(keys[i]);
	/* A model without a head keeps what its folder says of vectors: a head when it is read. */
	bool bare = ft_model_task(a) == FT_TASK_NONE && ft_model_task(b) == FT_TASK_EMBED;
	if ((ft_model_task(a) != ft_model_task(b) && !bare) || ft_model_outputs(a) != ft_model_outputs(b))
		return differs("its head");
	int rc = bare ? FT_OK : compare_pooling(json_object_get(x, "head"), json_object_get(y, "head"));
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ft_model_outputs(a); i++)
		if (ft_model_label(a, i) &&
		    (!ft_model_label(b, i) || strcmp(ft_model_label(a, i), ft_model_label(b, i))))
			return differs("its labels");
	if (f->file || ft_gguf_named(ft_model_dir(a)))
		return compare_tokenizers(ft_model_dir(a), ft_model_dir(b));
	const json_t *ours = json_object_get(json_object_get(x, "tokenizer"), "digest");
	const json_t *theirs = json_object_get(json_object_get(y, "tokenizer"), "digest");
	if (ours && !json_equal(ours, theirs))
		return ft_fail(FT_EMATCH, "%s: its tokenizer has digest %s; %s was made with %s",
		               ft_model_dir(a), theirs ? json_string_value(theirs) : "(none)",
		               ft_model_name(a), json_string_value(ours));
	return FT_OK;
}

/* What v[n] are when they have been narrowed, as the format does that. */
static int round_values(const struct ft_model *m, const struct ft_param *p, const struct ft_format *f,
                        enum ft_dtype dtype, float *v, size_t n)
{
	unsigned char narrow[FT_FORMAT_CHUNK * sizeof *v];
	if (f->round)
		return f->round(m, p, dtype, v, n);
	int rc = ft_narrow(narrow, v, dtype, n);
	return rc ? rc : ft_widen(v, narrow, dtype, n);
}

/* x and y are a row of each, as it is. 1: they differ. */
static int compare_row(const struct ft_model *m, const struct ft_param *p, const struct ft_format *f,
                       enum ft_dtype dtype, float *x, const float *y)
{
	size_t n = (size_t)p->t.cols, some;
	for (size_t at = 0; at < n; at += some) {
		some = n - at < FT_FORMAT_CHUNK ? n - at : FT_FORMAT_CHUNK;
		int rc = round_values(m, p, f, dtype, x + at, some);
		if (rc < 0)
			return rc;
		if (memcmp(x + at, y + at, some * sizeof *x))
			return 1;
	}
	return 0;
}

/* Of a table of which an adapter holds some rows: these must come back as rounding makes them, others as they are. */
static int compare_rows(const struct ft_model *m, const struct ft_param *x, const struct ft_param *y,
                        const struct ft_format *f, enum ft_dtype dtype)
{
	size_t n = 0, at = 0, cols = (size_t)x->t.cols;
	int64_t *rows = NULL;
	float *row = ft_alloc(2 * cols, sizeof *row);
	int rc = row ? ft_model_rows(m, x, &rows, &n) : FT_EFAIL;
	for (int64_t r = 0; r < x->t.rows && rc == 0; r++) {
		bool held = at < n && rows[at] == r;
		at += held;
		ft_tensor_floats(&x->t, r, 1, row);
		ft_tensor_floats(&y->t, r, 1, row + cols);
		rc = held ? compare_row(m, x, f, dtype, row, row + cols) : memcmp(row, row + cols, cols * sizeof *row) != 0;
	}
	free(rows);
	free(row);
	return rc <= 0 ? rc : differs(x->file);
}

/* Each weight must come back with exactly the bits that rounding gives. */
static int compare_param(const struct ft_model *m, const struct ft_param *x, const struct ft_param *y,
                         const struct ft_format *f, enum ft_dtype dtype)
{
	size_t cols = (size_t)x->t.cols;
	float *row = ft_alloc(2 * cols, sizeof *row);
	int rc = row ? 0 : FT_EFAIL;
	for (int64_t r = 0; r < x->t.rows && rc == 0; r++) {
		ft_tensor_floats(&x->t, r, 1, row);
		ft_tensor_floats(&y->t, r, 1, row + cols);
		rc = compare_row(m, x, f, dtype, row, row + cols);
	}
	free(row);
	return rc <= 0 ? rc : differs(x->file);
}

static int compare_params(const struct ft_model *a, const struct ft_model *b, const struct ft_format *f,
                          enum ft_dtype dtype)
{
	if (!f->adapter && ft_model_params(a) != ft_model_params(b))
		return differs("its number of tensors");
	int rc = FT_OK;
	for (size_t i = 0; i < ft_model_params(a) && rc == FT_OK; i++) {
		const struct ft_param *x = ft_model_param(a, i), *y = ft_model_find(b, x->name);
		if (f->adapter && (x->technique || !(x->stored || x->fresh)))
			continue; /* several may have become one, and the base is the same */
		bool same = y && (!y->fresh || y->stored) && y->rank == x->rank && y->t.rows == x->t.rows &&
		            y->t.cols == x->t.cols;
		bool some = f->adapter && peft_by_rows(a, x);
		rc = !same ? differs(x->file) : some ? compare_rows(a, x, y, f, dtype) : compare_param(a, x, y, f, dtype);
	}
	return rc;
}

/* How far rounding the weights may move an output: some steps of the type,
 * relative to the largest output. It guards against gross mistakes only; that
 * the weights are right has been checked bit by bit. */
static double allowed(const struct ft_format *f, enum ft_dtype dtype, const float *out, size_t n)
{
	double largest = 1;
	for (size_t i = 0; i < n; i++)
		largest = fmax(largest, fabs((double)out[i]));
	if (dtype == FT_F32) /* sums of an adapter's may be taken in another order */
		return f->adapter ? largest * 1e-5 : 0;
	return largest * 16 * (dtype == FT_F16 ? 0x1p-10 : dtype == FT_Q4_0 ? 0x1p-3 : 0x1p-7);
}

static int compare_outputs(struct ft_model *a, struct ft_model *b, const struct ft_format *f, enum ft_dtype dtype,
                           struct ft_verified *v)
{
	struct probe p;
	size_t n = 0, other = 0;
	float *x = NULL, *y = NULL;
	int rc = make_probe(a, &p);
	if (rc < 0)
		return rc;
	bool bare = ft_model_task(a) == FT_TASK_NONE;
	x = run_probe(a, &p, bare, &n);
	y = x ? run_probe(b, &p, bare, &other) : NULL;
	if (!y) {
		rc = ft_last_error();
		goto out;
	}
	v->rows = p.batch.rows;
	v->tokens = p.batch.tokens;
	v->allowed = allowed(f, dtype, x, n);
	bool close = n == other;
	for (size_t i = 0; close && i < n; i++) {
		double d = fabs((double)x[i] - (double)y[i]);
		close = d <= v->allowed; /* false for a NaN, too */
		v->difference = fmax(v->difference, d);
	}
	if (!close)
		rc = ft_fail(FT_EFAIL,
		             "the exported model is not the one it was made of: "
		             "an output of the probe differs by %g, allowed is %g",
		             v->difference, v->allowed);
out:
	free(x);
	free(y);
	return rc;
}

/* ---- techniques that become part of the weights ---- */

int ft_export_merge(struct ft_model *m, struct ft_verified *v)
{
	struct probe p;
	size_t n = 0, other = 0;
	*v = (struct ft_verified){ 0 };
	int rc = make_probe(m, &p);
	bool bare = ft_model_task(m) == FT_TASK_NONE;
	float *x = rc < 0 ? NULL : run_probe(m, &p, bare, &n), *y = NULL;
	rc = x ? ft_model_merge(m) : ft_last_error();
	y = rc < 0 ? NULL : run_probe(m, &p, bare, &other);
	rc = rc ? rc : y && n == other ? FT_OK : ft_last_error();
	v->rows = p.batch.rows;
	v->tokens = p.batch.tokens;
	v->allowed = MERGE_DIFFERS;
	for (size_t i = 0; rc == FT_OK && i < n; i++) {
		v->allowed = fmax(v->allowed, MERGE_DIFFERS * fabs((double)x[i]));
		v->difference = fmax(v->difference, fabs((double)x[i] - (double)y[i]));
	}
	for (size_t i = 0; rc == FT_OK && i < n; i++)
		if (!(fabs((double)x[i] - (double)y[i]) <= v->allowed)) /* or it is a NaN */
			rc = ft_fail(FT_EFAIL,
			             "%s: merged into the weights, what was added to them gives other outputs: they differ by %g,"
			             " allowed is %g",
			             ft_model_name(m), v->difference, v->allowed);
	free(x);
	free(y);
	return rc;
}

int ft_export_verify(struct ft_model *m, const struct ft_format *f, const char *path, enum ft_dtype dtype,
                     struct ft_verified *v)
{
	*v = (struct ft_verified){ .params = ft_model_params(m) };
	if (f->verify)
		return f->verify(m, path, dtype, v);
	struct ft_model *back = ft_model_open(path, f->adapter ? ft_model_dir(m) : NULL, 0);
	if (!back)
		return ft_context(ft_last_error(), "the exported model cannot be opened");
	int rc = compare_meta(m, back, f);
	if (rc == FT_OK)
		rc = compare_params(m, back, f, dtype);
	if (rc == FT_OK)
		rc = compare_outputs(m, back, f, dtype, v);
	ft_model_free(back);
	return rc;
}
