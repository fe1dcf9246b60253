/* verify.c - a whole stream checked, and what it holds counted. */
#include "ft/err.h"
#include "ft/lines.h"
#include <string.h>

/* Ids and labels must lie within what the header says there is. */
static int check_range(struct ft_reader *r, const int32_t *v, size_t n, bool is_label)
{
	const json_t *meta = ft_reader_meta(r), *names = json_object_get(meta, "labels");
	json_int_t vocab = json_integer_value(json_object_get(json_object_get(meta, "tokenizer"), "vocab"));
	json_int_t below = is_label && json_is_array(names) ? (json_int_t)json_array_size(names) : vocab;

	for (size_t i = 0; i < n && below; i++)
		if (v[i] >= below || (v[i] < 0 && !(is_label && v[i] == FT_IGNORE)))
			return ft_reader_fail(r, FT_EFORMAT, "%s: number %zu is %d; meta allows 0 to %lld",
			                      is_label ? "labels" : "ids", i, v[i], (long long)below - 1);
	return FT_OK;
}

static void count_labels(struct ft_counts *c, const int32_t *labels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		c->labels += labels[i] != FT_IGNORE;
}

/* One record: 1, 0 at the end, <0. */
static int verify_rows(struct ft_reader *r, struct ft_counts *c)
{
	struct ft_example e;
	struct ft_batch b = { .rows = 1 };
	int rc;

	if (!strcmp(ft_reader_kind(r), "batches")) {
		rc = ft_batch_read(r, &b);
	} else {
		rc = ft_example_read(r, &e);
		if (rc > 0)
			b = (struct ft_batch){ .ids = e.ids, .labels = e.labels, .tokens = e.n, .nlabels = e.nlabels,
			                       .rows = e.texts, .texts = e.texts, .ntargets = e.ntargets };
	}
	if (rc <= 0)
		return rc;
	c->rows += (int64_t)b.rows;
	c->examples += (int64_t)ft_batch_examples(&b);
	c->tokens += (int64_t)b.tokens;
	count_labels(c, b.labels, b.nlabels);
	c->labels += (int64_t)b.ntargets;
	rc = check_range(r, b.ids, b.tokens, false);
	if (!rc)
		rc = check_range(r, b.labels, b.nlabels, true);
	return rc < 0 ? rc : 1;
}

int ft_lines_chunk(struct ft_reader *r, size_t *left, struct ft_span *data)
{
	struct ft_rec rec;
	int rc = ft_reader_next(r, &rec);
	const struct ft_field *f = rc > 0 ? ft_rec_find(&rec, "data") : NULL;

	if (rc < 0)
		return rc;
	if (!f || f->type != FT_BIN || !f->bytes.n || f->bytes.n > *left)
		return ft_reader_fail(r, FT_EFORMAT, "expected 1 to %zu bytes of tensor data", *left);
	*data = f->bytes;
	*left -= f->bytes.n;
	return FT_OK;
}

static int verify_tensor(struct ft_reader *r, struct ft_counts *c)
{
	struct ft_tensor_desc d;
	struct ft_span data;
	int rc = ft_tensor_read(r, &d);

	if (rc <= 0)
		return rc;
	c->tensors++;
	c->bytes += (int64_t)d.bytes;
	for (size_t left = d.bytes; left;)
		if ((rc = ft_lines_chunk(r, &left, &data)) < 0)
			return rc;
	return 1;
}

/* What a header promises must follow. */
static int check_promise(const struct ft_reader *r, const char *key, int64_t seen)
{
	const json_t *v = json_object_get(ft_reader_meta(r), key);

	if (!v || (json_is_integer(v) && json_integer_value(v) == seen))
		return FT_OK;
	return ft_fail(FT_EFORMAT, "%s: meta says %lld %s, there are %lld", ft_reader_name(r),
	               (long long)json_integer_value(v), key, (long long)seen);
}

int ft_lines_verify(struct ft_reader *r, struct ft_counts *c)
{
	const char *kind = ft_reader_kind(r);
	bool of_tensors = ft_reader_of_tensors(r);
	int rc;

	*c = (struct ft_counts){ 0 };
	if (!of_tensors && strcmp(kind, "batches") && strcmp(kind, "tokens"))
		return ft_fail(FT_EFORMAT, "%s: streams of the kind '%s' are not known", ft_reader_name(r), kind);
	while ((rc = of_tensors ? verify_tensor(r, c) : verify_rows(r, c)) > 0)
		;
	if (rc < 0 || strcmp(kind, "batches"))
		return rc;
	rc = check_promise(r, "batches", ft_reader_count(r));
	if (!rc)
		rc = check_promise(r, "rows", c->rows);
	return rc < 0 ? rc : check_promise(r, "tokens", c->tokens);
}
