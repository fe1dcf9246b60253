/* record.c - what the records of the three streams hold: examples, batches,
 * tensors. */
#include "ft/digest.h"
#include "ft/err.h"
#include "ft/stream.h"
#include "ft/tensor.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int check_ids(const struct ft_reader *r, const int32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] < 0)
			return ft_reader_fail(r, FT_EFORMAT, "ids: token %zu is %d; ids are not negative", i, ids[i]);
	return FT_OK;
}

static int check_finite(const struct ft_reader *r, const char *key, const float *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isfinite(t[i]))
			return ft_reader_fail(r, FT_EFORMAT, "%s: number %zu is not finite", key, i);
	return FT_OK;
}

static int check_targets(const struct ft_reader *r, const float *t, size_t n)
{
	return check_finite(r, "targets", t, n);
}

/* Those of the texts of an example, or of the rows of a batch. */
static int check_offsets(const struct ft_reader *r, const int32_t *offsets, size_t n, size_t tokens,
                         const char *of)
{
	if (n < 2)
		return ft_reader_fail(r, FT_EFORMAT, "offsets has %zu entries, expected one more than %s", n, of);
	if (offsets[0] != 0 || offsets[n - 1] < 0 || (size_t)offsets[n - 1] != tokens)
		return ft_reader_fail(r, FT_EFORMAT, "offsets go from %d to %d, expected 0 to %zu (the number of ids)",
		                      offsets[0], offsets[n - 1], tokens);
	for (size_t i = 1; i < n; i++)
		if (offsets[i] <= offsets[i - 1])
			return ft_reader_fail(r, FT_EFORMAT, "offsets: entry %zu does not rise", i);
	return FT_OK;
}

/* The field `words` of n tokens; NULL when absent, or wrong (*err is set). */
static const int32_t *read_words(const struct ft_reader *r, const struct ft_rec *rec, size_t n, int *err)
{
	size_t count;
	const int32_t *words = ft_rec_array(rec, "words", sizeof *words, &count, err);
	if (words && count != n)
		*err = ft_reader_fail(r, FT_EFORMAT, "words has %zu entries, expected %zu", count, n);
	for (size_t i = 0; words && i < n && !*err; i++)
		if (words[i] < -1)
			*err = ft_reader_fail(r, FT_EFORMAT, "words: number %zu is %d; the least is -1", i, words[i]);
	return *err ? NULL : words;
}

/* ---- windows: three int64 for each row, as struct ft_window lies in memory ---- */
_Static_assert(sizeof(struct ft_window) == 3 * sizeof(int64_t), "a window is three numbers");

int64_t ft_doc_of_hash(uint64_t hash)
{
	return (int64_t)(hash & ((1ull << JSON_BITS) - 1));
}

int64_t ft_window_doc(const int32_t *a, size_t na, const int32_t *b, size_t nb)
{
	uint64_t hash = ft_hash(a, na * sizeof *a, 0);
	if (nb)
		hash = ft_hash(b, nb * sizeof *b, hash);
	return ft_doc_of_hash(hash);
}

/* The field `window` of `rows` rows; NULL when absent, or wrong (*err is set). */
static const struct ft_window *read_windows(const struct ft_reader *r, const struct ft_rec *rec, size_t rows, int *err)
{
	size_t n;
	const struct ft_window *w = ft_rec_array(rec, "window", sizeof(int64_t), &n, err);
	if (!w)
		return NULL;
	if (n != 3 * rows)
		*err = ft_reader_fail(r, FT_EFORMAT, "window has %zu entries, expected %zu", n, 3 * rows);
	for (size_t i = 0; i < rows && !*err; i++)
		if (w[i].doc < 0 || w[i].doc >> JSON_BITS || w[i].index < 0 || w[i].index >= w[i].count)
			*err = ft_reader_fail(r, FT_EFORMAT, "window: %lld of %lld, of document %lld, is not possible",
			                      (long long)w[i].index, (long long)w[i].count, (long long)w[i].doc);
	return *err ? NULL : w;
}

/* ---- sizes: three int64 for each example, as struct ft_size lies in memory ---- */
_Static_assert(sizeof(struct ft_size) == 3 * sizeof(int64_t), "a size is three numbers");

static bool is_size(const struct ft_size *s)
{
	if (s->bytes < 0) /* of a row in a batch with others that have one */
		return s->bytes == -1 && s->characters == -1 && s->words == -1;
	return !(s->bytes >> JSON_BITS) && s->characters >= 0 && s->characters <= s->bytes && s->words >= 0 &&
		s->words <= s->characters + 1;
}

/* The field `size` of n examples; NULL when absent, or wrong (*err is set). */
static const struct ft_size *read_sizes(const struct ft_reader *r, const struct ft_rec *rec, size_t n, int *err)
{
	size_t count;
	const struct ft_size *s = ft_rec_array(rec, "size", sizeof(int64_t), &count, err);
	if (!s)
		return NULL;
	if (count != 3 * n)
		*err = ft_reader_fail(r, FT_EFORMAT, "size has %zu entries, expected %zu", count, 3 * n);
	for (size_t i = 0; i < n && !*err; i++)
		if (!is_size(&s[i]))
			*err = ft_reader_fail(r, FT_EFORMAT, "size: %lld bytes with %lld characters and %lld words are not "
			                      "possible", (long long)s[i].bytes, (long long)s[i].characters,
			                      (long long)s[i].words);
	return *err ? NULL : s;
}

/* ---- examples ---- */
int ft_example_read(struct ft_reader *r, struct ft_example *e)
{
	struct ft_rec rec;
	int rc = ft_reader_next(r, &rec), err = 0;
	if (rc <= 0)
		return rc;
	size_t ntypes, noffsets;
	*e = (struct ft_example){ 0 };
	e->offsets = ft_rec_array(&rec, "offsets", 4, &noffsets, &err);
	e->ids = ft_rec_array(&rec, "ids", 4, &e->n, &err);
	e->types = ft_rec_array(&rec, "types", 1, &ntypes, &err);
	e->labels = ft_rec_array(&rec, "labels", 4, &e->nlabels, &err);
	e->targets = ft_rec_array(&rec, "targets", 4, &e->ntargets, &err);
	if (err)
		return ft_context(err, "%s: record %lld", ft_reader_name(r), (long long)ft_reader_count(r));
	const struct ft_field *src = ft_rec_find(&rec, "src");
	if (src && src->type == FT_STR)
		e->src = src->bytes;
	e->words = read_words(r, &rec, e->n, &err);
	if (!err)
		e->window = read_windows(r, &rec, 1, &err);
	if (!err)
		e->size = read_sizes(r, &rec, 1, &err);
	if (err)
		return err;
	if (!e->n)
		return ft_reader_fail(r, FT_EFORMAT, "ids: there are none");
	if (e->offsets && (rc = check_offsets(r, e->offsets, noffsets, e->n, "texts")) < 0)
		return rc;
	e->texts = e->offsets ? noffsets - 1 : 1;
	if (e->types && ntypes != e->n)
		return ft_reader_fail(r, FT_EFORMAT, "types has %zu entries, expected %zu", ntypes, e->n);
	if (e->labels && e->nlabels != 1 && e->nlabels != e->n)
		return ft_reader_fail(r, FT_EFORMAT, "labels has %zu entries, expected 1 or %zu", e->nlabels, e->n);
	rc = check_ids(r, e->ids, e->n);
	if (rc == FT_OK)
		rc = check_targets(r, e->targets, e->ntargets);
	return rc < 0 ? rc : 1;
}

int ft_example_write(struct ft_writer *w, const struct ft_example *e)
{
	struct ft_rec rec = { .count = 0 };
	ft_rec_bin(&rec, "ids", e->ids, e->n * sizeof *e->ids);
	if (e->offsets && e->texts > 1)
		ft_rec_bin(&rec, "offsets", e->offsets, (e->texts + 1) * sizeof *e->offsets);
	if (e->types)
		ft_rec_bin(&rec, "types", e->types, e->n);
	if (e->labels)
		ft_rec_bin(&rec, "labels", e->labels, e->nlabels * sizeof *e->labels);
	if (e->words)
		ft_rec_bin(&rec, "words", e->words, e->n * sizeof *e->words);
	if (e->targets)
		ft_rec_bin(&rec, "targets", e->targets, e->ntargets * sizeof *e->targets);
	if (e->window)
		ft_rec_bin(&rec, "window", e->window, sizeof *e->window);
	if (e->size)
		ft_rec_bin(&rec, "size", e->size, sizeof *e->size);
	if (e->src.p)
		ft_rec_str(&rec, "src", e->src);
	return ft_writer_put(w, &rec);
}

/* ---- batches ---- */
static int check_batch(const struct ft_reader *r, const struct ft_batch *b, size_t ntypes, size_t noffsets, size_t nsrc)
{
	int rc = check_offsets(r, b->offsets, noffsets, b->tokens, "rows");
	if (rc < 0)
		return rc;
	if (b->rows % ft_batch_texts(b))
		return ft_reader_fail(r, FT_EFORMAT, "texts: %zu rows are not whole examples of %zu", b->rows, b->texts);
	size_t examples = ft_batch_examples(b);
	if (b->types && ntypes != b->tokens)
		return ft_reader_fail(r, FT_EFORMAT, "types has %zu entries, expected %zu", ntypes, b->tokens);
	if (b->labels && b->nlabels != examples && b->nlabels != b->tokens)
		return ft_reader_fail(r, FT_EFORMAT, "labels has %zu entries, expected %zu (examples) or %zu (tokens)",
		                      b->nlabels, examples, b->tokens);
	if (b->targets && b->ntargets % examples)
		return ft_reader_fail(r, FT_EFORMAT, "targets has %zu entries, expected a multiple of %zu examples",
		                      b->ntargets, examples);
	if (b->src && nsrc != examples)
		return ft_reader_fail(r, FT_EFORMAT, "src has %zu entries, expected %zu", nsrc, examples);
	rc = check_ids(r, b->ids, b->tokens);
	return rc < 0 ? rc : check_targets(r, b->targets, b->ntargets);
}

/* What another model predicted of the batch. */
static int read_teacher(const struct ft_reader *r, const struct ft_rec *rec, struct ft_batch *b)
{
	size_t nids, nreference;
	int err = 0;
	b->teacher = ft_rec_array(rec, "teacher", 4, &b->nteacher, &err);
	b->teacher_ids = ft_rec_array(rec, "teacher_ids", 4, &nids, &err);
	b->reference = ft_rec_array(rec, "reference", 4, &nreference, &err);
	if (err)
		return ft_context(err, "%s: record %lld", ft_reader_name(r), (long long)ft_reader_count(r));
	if (b->teacher_ids && nids != b->nteacher)
		return ft_reader_fail(r, FT_EFORMAT, "teacher_ids has %zu entries, expected %zu", nids, b->nteacher);
	if (b->reference && nreference != b->rows)
		return ft_reader_fail(r, FT_EFORMAT, "reference has %zu entries, expected %zu (rows)", nreference, b->rows);
	for (size_t i = 0; b->teacher_ids && i < nids; i++)
		if (b->teacher_ids[i] < 0)
			return ft_reader_fail(r, FT_EFORMAT, "teacher_ids: number %zu is %d; ids are not negative", i,
			                      b->teacher_ids[i]);
	int rc = check_finite(r, "teacher", b->teacher, b->nteacher);
	return rc < 0 ? rc : check_finite(r, "reference", b->reference, nreference);
}

int ft_batch_read(struct ft_reader *r, struct ft_batch *b)
{
	struct ft_rec rec;
	int rc = ft_reader_next(r, &rec), err = 0;
	if (rc <= 0)
		return rc;
	size_t ntypes, noffsets;
	*b = (struct ft_batch){ .epoch = -1 };
	b->ids = ft_rec_array(&rec, "ids", 4, &b->tokens, &err);
	b->offsets = ft_rec_array(&rec, "offsets", 4, &noffsets, &err);
	b->types = ft_rec_array(&rec, "types", 1, &ntypes, &err);
	b->labels = ft_rec_array(&rec, "labels", 4, &b->nlabels, &err);
	b->targets = ft_rec_array(&rec, "targets", 4, &b->ntargets, &err);
	if (err)
		return ft_context(err, "%s: record %lld", ft_reader_name(r), (long long)ft_reader_count(r));
	const struct ft_field *src = ft_rec_find(&rec, "src"), *epoch = ft_rec_find(&rec, "epoch");
	const struct ft_field *texts = ft_rec_find(&rec, "texts");
	if (texts && (texts->type != FT_INT || texts->i < 1))
		return ft_reader_fail(r, FT_EFORMAT, "texts: expected how many rows an example has");
	b->texts = texts ? (size_t)texts->i : 1;
	if (src && src->type == FT_STRS)
		b->src = src->strs;
	if (epoch && epoch->type == FT_INT)
		b->epoch = epoch->i;
	b->rows = noffsets ? noffsets - 1 : 0;
	b->words = read_words(r, &rec, b->tokens, &err);
	if (!err)
		b->windows = read_windows(r, &rec, b->rows, &err);
	if (err)
		return err;
	rc = check_batch(r, b, ntypes, noffsets, b->src ? src->nstrs : 0);
	if (rc == FT_OK)
		b->sizes = read_sizes(r, &rec, ft_batch_examples(b), &rc);
	if (rc == FT_OK)
		rc = read_teacher(r, &rec, b);
	return rc < 0 ? rc : 1;
}

size_t ft_batch_skipped(const struct ft_batch *b)
{
	size_t skipped = 0, examples = ft_batch_examples(b), texts = ft_batch_texts(b);
	bool by_token = b->nlabels == b->tokens;
	for (size_t e = 0; b->labels && e < examples; e++) {
		size_t i = by_token ? (size_t)b->offsets[e * texts] : e,
		       end = by_token ? (size_t)b->offsets[(e + 1) * texts] : e + 1;
		while (i < end && b->labels[i] == FT_IGNORE)
			i++;
		skipped += i == end;
	}
	return skipped;
}

int ft_batch_write(struct ft_writer *w, const struct ft_batch *b)
{
	struct ft_rec rec = { .count = 0 };
	ft_rec_bin(&rec, "ids", b->ids, b->tokens * sizeof *b->ids);
	ft_rec_bin(&rec, "offsets", b->offsets, (b->rows + 1) * sizeof *b->offsets);
	if (ft_batch_texts(b) > 1)
		ft_rec_int(&rec, "texts", (int64_t)b->texts);
	if (b->types)
		ft_rec_bin(&rec, "types", b->types, b->tokens);
	if (b->labels)
		ft_rec_bin(&rec, "labels", b->labels, b->nlabels * sizeof *b->labels);
	if (b->words)
		ft_rec_bin(&rec, "words", b->words, b->tokens * sizeof *b->words);
	if (b->targets)
		ft_rec_bin(&rec, "targets", b->targets, b->ntargets * sizeof *b->targets);
	if (b->windows)
		ft_rec_bin(&rec, "window", b->windows, b->rows * sizeof *b->windows);
	if (b->sizes)
		ft_rec_bin(&rec, "size", b->sizes, ft_batch_examples(b) * sizeof *b->sizes);
	if (b->src)
		ft_rec_strs(&rec, "src", b->src, ft_batch_examples(b));
	if (b->epoch >= 0)
		ft_rec_int(&rec, "epoch", b->epoch);
	if (b->teacher)
		ft_rec_bin(&rec, "teacher", b->teacher, b->nteacher * sizeof *b->teacher);
	if (b->teacher_ids)
		ft_rec_bin(&rec, "teacher_ids", b->teacher_ids, b->nteacher * sizeof *b->teacher_ids);
	if (b->reference)
		ft_rec_bin(&rec, "reference", b->reference, b->rows * sizeof *b->reference);
	return ft_writer_put(w, &rec);
}

/* ---- tensors ---- */
static int parse_shape(const struct ft_reader *r, const struct ft_rec *rec, struct ft_tensor_desc *d)
{
	size_t rank, elements = 1;
	int err = 0;
	const int64_t *shape = ft_rec_array(rec, "shape", 8, &rank, &err);
	if (err || (!shape && rank) || rank > FT_RANK)
		return ft_reader_fail(r, FT_EFORMAT, "shape: must be a bin of at most %d int64", FT_RANK);
	int dtype = ft_dtype_parse(d->dtype, strlen(d->dtype));
	if (dtype < 0)
		return ft_reader_fail(r, FT_EFORMAT, "dtype: '%s' is not known", d->dtype);
	d->rank = (int)rank;
	for (size_t i = 0; i < rank; i++) {
		d->shape[i] = shape[i];
		if (shape[i] < 0 || !ft_mul(elements, (size_t)shape[i], &elements))
			return ft_reader_fail(r, FT_EFORMAT, "shape: the number of elements does not fit");
	}
	size_t bytes;
	if (!ft_mul(elements, ft_dtype_size((enum ft_dtype)dtype), &bytes) || bytes != d->bytes)
		return ft_reader_fail(r, FT_EFORMAT, "bytes: %zu does not follow from shape and dtype", d->bytes);
	return FT_OK;
}

bool ft_reader_of_tensors(const struct ft_reader *r)
{
	const char *kind = ft_reader_kind(r);
	return strcmp(kind, "model") == 0 || strcmp(kind, "fisher") == 0 || strcmp(kind, "checkpoint") == 0;
}

int ft_tensor_read(struct ft_reader *r, struct ft_tensor_desc *d)
{
	struct ft_rec rec;
	int rc = ft_reader_next(r, &rec);
	if (rc <= 0)
		return rc;
	*d = (struct ft_tensor_desc){ .rank = 0 };
	const struct ft_field *name = ft_rec_find(&rec, "tensor"), *dtype = ft_rec_find(&rec, "dtype");
	const struct ft_field *bytes = ft_rec_find(&rec, "bytes");
	if (!name || name->type != FT_STR)
		return ft_reader_fail(r, FT_EFORMAT, "expected the name of a tensor");
	if (!dtype || dtype->type != FT_STR || dtype->bytes.n >= sizeof d->dtype)
		return ft_reader_fail(r, FT_EFORMAT, "a tensor without a dtype");
	if (!bytes || bytes->type != FT_INT || bytes->i < 0)
		return ft_reader_fail(r, FT_EFORMAT, "a tensor without its number of bytes");
	d->name = name->bytes;
	d->bytes = (size_t)bytes->i;
	memcpy(d->dtype, dtype->bytes.p, dtype->bytes.n);
	rc = parse_shape(r, &rec, d);
	return rc < 0 ? rc : 1;
}

int ft_tensor_data(struct ft_reader *r, const struct ft_tensor_desc *d, void *dest)
{
	/* The descriptor's name lies in the record that the next read replaces. */
	size_t bytes = d->bytes, at = 0;
	while (at < bytes) {
		struct ft_rec rec;
		int rc = ft_reader_next(r, &rec);
		if (rc < 0)
			return rc;
		const struct ft_field *data = rc ? ft_rec_find(&rec, "data") : NULL;
		if (!data || data->type != FT_BIN || !data->bytes.n || data->bytes.n > bytes - at)
			return ft_reader_fail(r, FT_EFORMAT, "expected 1 to %zu bytes of tensor data", bytes - at);
		if (dest)
			memcpy((char *)dest + at, data->bytes.p, data->bytes.n);
		at += data->bytes.n;
	}
	return FT_OK;
}

int ft_tensor_write(struct ft_writer *w, const struct ft_tensor_desc *d, const void *data)
{
	struct ft_rec rec = { .count = 0 };
	ft_rec_str(&rec, "tensor", d->name);
	ft_rec_str(&rec, "dtype", (struct ft_span){ d->dtype, strlen(d->dtype) });
	ft_rec_bin(&rec, "shape", d->shape, (size_t)d->rank * sizeof *d->shape);
	ft_rec_int(&rec, "bytes", (int64_t)d->bytes);
	int rc = ft_writer_put(w, &rec);
	for (size_t at = 0; rc == FT_OK && at < d->bytes;) {
		size_t n = d->bytes - at < TENSOR_CHUNK ? d->bytes - at : TENSOR_CHUNK;
		rec.count = 0;
		ft_rec_bin(&rec, "data", (const char *)data + at, n);
		rc = ft_writer_put(w, &rec);
		at += n;
	}
	return rc;
}
