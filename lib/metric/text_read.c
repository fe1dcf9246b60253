/* text_read.c - generated and reference texts from JSON lines. */
#include "ft/err.h"
#include "ft/metric.h"
#include "ft/text.h"

#include <stdlib.h>

struct references {
	struct ft_span *span;
	size_t cap;
};

/* A row's references: a string, or an array of strings; of none, the empty text. */
static int64_t take_references(struct references *r, const struct ft_row *row, const char *name)
{
	static const struct ft_span empty = { "", 0 };
	size_t n = json_is_array(row->json) ? json_array_size(row->json) : 1, i;
	json_t *v;
	if (!row->json || !(json_is_string(row->json) || json_is_array(row->json)))
		return ft_fail(FT_EFORMAT, "%.*s: '%s' is not a string or an array of strings", (int)row->src.n, row->src.p,
		               name);
	if (ft_grow(&r->span, &r->cap, n + 1, sizeof *r->span) < 0)
		return FT_EFAIL;
	r->span[0] = n ? row->label : empty;
	json_array_foreach((json_t *)row->json, i, v) {
		if (!json_is_string(v))
			return ft_fail(FT_EFORMAT, "%.*s: '%s': entry %zu is not a string", (int)row->src.n, row->src.p, name,
			               i + 1);
		r->span[i] = (struct ft_span){ json_string_value(v), json_string_length(v) };
	}
	return n ? (int64_t)n : 1;
}

static int put_scores(const struct ft_metric *t, struct ft_span src, struct ft_buf *lines)
{
	json_t *scores = ft_metric_text_scores(t);
	char *text = scores ? ft_json_text(scores) : NULL;
	int rc = text ? ft_buf_printf(lines, "{\"src\":") : FT_EFAIL;
	if (rc == FT_OK)
		rc = ft_put_string(lines, src.p, src.n);
	if (rc == FT_OK)
		rc = ft_buf_printf(lines, ",%s\n", text + 1); /* behind its brace */
	free(text);
	json_decref(scores);
	return rc;
}

int ft_metric_read_texts(struct ft_metric *t, const char *path, const char *prediction, const char *reference,
                         int64_t limit, struct ft_buf *lines)
{
	struct ft_text_options o = { .format = FT_TEXT_JSONL, .text = prediction, .label = reference };
	struct ft_text *text = ft_text_open(path, &o);
	struct references r = { 0 };
	struct ft_row row;
	int rc = text ? FT_OK : ft_last_error();
	for (int64_t n = 0; rc == FT_OK && (rc = ft_text_next(text, &row)) > 0; n++) {
		rc = FT_OK;
		if (limit && n >= limit)
			continue; /* whoever writes goes on */
		int64_t count = take_references(&r, &row, reference);
		rc = count < 0 ? (int)count : ft_metric_add_text(t, row.text, r.span, (size_t)count);
		if (rc < 0 && count > 0)
			ft_context(rc, "%.*s", (int)row.src.n, row.src.p);
		if (rc == FT_OK && lines)
			rc = put_scores(t, row.src, lines);
	}
	ft_text_close(text);
	free(r.span);
	return rc;
}
