/* text.c - rows of a file: which format it has, and its lines. */
#include "ft/err.h"
#include "priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const formats[] = {
	[FT_TEXT_AUTO] = "auto", [FT_TEXT_TSV] = "tsv", [FT_TEXT_CSV] = "csv",
	[FT_TEXT_JSONL] = "jsonl", [FT_TEXT_LINES] = "lines", [FT_TEXT_CONLL] = "conll", [FT_TEXT_FILE] = "file",
};

int ft_text_format_parse(const char *name)
{
	for (int i = 0; i < (int)(sizeof formats / sizeof *formats); i++)
		if (strcmp(name, formats[i]) == 0)
			return i;
	return -1;
}

static enum ft_text_format format_of(const char *name)
{
	static const struct { const char *suffix; enum ft_text_format format; } known[] = {
		{ ".tsv", FT_TEXT_TSV }, { ".tab", FT_TEXT_TSV }, { ".csv", FT_TEXT_CSV },
		{ ".jsonl", FT_TEXT_JSONL }, { ".ndjson", FT_TEXT_JSONL },
		{ ".conll", FT_TEXT_CONLL }, { ".bio", FT_TEXT_CONLL }, { ".iob", FT_TEXT_CONLL },
		{ ".iob2", FT_TEXT_CONLL },
	};
	size_t n = strlen(name);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		size_t k = strlen(known[i].suffix);
		if (n > k && strcmp(name + n - k, known[i].suffix) == 0)
			return known[i].format;
	}
	return FT_TEXT_LINES;
}

static int copy_options(struct ft_text *t, const struct ft_text_options *o)
{
	const char *columns[COLUMNS] = { o->text, o->pair, o->negative, o->label };
	t->wanted = o->format;
	t->header = o->header;
	t->as_words = o->words;
	t->prompts = o->prompts;
	t->max_line = o->max_line ? o->max_line : (size_t)16 << 20;
	if (o->messages && !(t->messages = ft_strdup(o->messages)))
		return FT_EFAIL;
	if (o->choices && !(t->choices = ft_strdup(o->choices)))
		return FT_EFAIL;
	for (int i = 0; i < COLUMNS; i++)
		if (columns[i] && !(t->column[i] = ft_strdup(columns[i])))
			return FT_EFAIL;
	return FT_OK;
}

struct ft_text *ft_text_open(const char *path, const struct ft_text_options *o)
{
	struct ft_text *t = ft_alloc(1, sizeof *t);
	if (!t)
		return NULL;
	if (copy_options(t, o) == FT_OK && (t->source = source_open(path, o->member)))
		return t;
	ft_text_close(t);
	return NULL;
}

void ft_text_close(struct ft_text *t)
{
	if (!t)
		return;
	source_close(t->source);
	for (int i = 0; i < COLUMNS; i++)
		free(t->column[i]);
	free(t->messages);
	free(t->choices);
	ft_buf_free(&t->line);
	ft_buf_free(&t->src);
	free(t->fields);
	json_decref(t->object);
	json_decref(t->made[0]);
	json_decref(t->made[1]);
	free(t->words.place);
	free(t->words.span);
	free(t->words.line);
	free(t);
}

json_t *ft_text_inputs(const struct ft_text *t)
{
	json_t *copy = ft_json_copy(source_inputs(t->source));
	if (!copy)
		ft_fail(FT_EFAIL, "out of memory");
	return copy;
}

int64_t ft_text_blank(const struct ft_text *t)
{
	return t->blank;
}

int64_t ft_text_comments(const struct ft_text *t)
{
	return t->comments;
}

bool text_is_number(const char *column)
{
	return *column && strspn(column, "0123456789") == strlen(column);
}

int text_fail(const struct ft_text *t, int code, const char *fmt, ...)
{
	char reason[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	return ft_fail(code, "%s:%zu: %s", source_name(t->source), t->first, reason);
}

/* ---- lines ---- */

/* 1: t->block has bytes, 0: the file has ended, <0. */
static int fill(struct ft_text *t)
{
	return t->block_n ? 1 : source_read(t->source, &t->block, &t->block_n);
}

/* The line in t->line from `from` on is there: what no line may have. */
static int check_line(struct ft_text *t, size_t from)
{
	struct ft_buf *b = &t->line;
	if (memchr(b->data + from, '\0', b->len - from))
		return text_fail(t, FT_EFORMAT, "has a NUL byte; this is not text");
	if (t->number == 1 && b->len >= 3 && memcmp(b->data, "\xef\xbb\xbf", 3) == 0) { /* byte order mark */
		b->len -= 3;
		memmove(b->data, b->data + 3, b->len);
	}
	return 1;
}

int text_line(struct ft_text *t)
{
	size_t from = t->line.len;
	int rc = fill(t);
	if (rc <= 0)
		return rc;
	t->number++;
	if (from == 0)
		t->first = t->number;
	for (bool ended = false; rc > 0 && !ended; rc = ended ? 1 : fill(t)) {
		const char *stop = memchr(t->block, '\n', t->block_n);
		size_t n = stop ? (size_t)(stop - t->block) + 1 : t->block_n;
		if (n > t->max_line - t->line.len)
			return text_fail(t, FT_EFORMAT, "the %s is longer than %zu bytes",
			                 t->format == FT_TEXT_CONLL ? "sentence" : "line", t->max_line);
		if ((rc = ft_buf_append(&t->line, t->block, n)) < 0)
			return rc;
		t->block += n;
		t->block_n -= n;
		ended = stop != NULL;
	}
	return rc < 0 ? rc : check_line(t, from);
}

int text_plain_line(struct ft_text *t)
{
	struct ft_buf *b = &t->line;
	b->len = 0;
	int rc = text_line(t);
	if (rc > 0 && b->len && b->data[b->len - 1] == '\n')
		b->len--;
	if (rc > 0 && b->len && b->data[b->len - 1] == '\r')
		b->len--;
	return rc;
}

int text_field(struct ft_text *t, size_t at, size_t n)
{
	if (t->nfields == COLUMNS_MAX)
		return text_fail(t, FT_EFORMAT, "more than %d columns", COLUMNS_MAX);
	int rc = ft_grow(&t->fields, &t->fields_cap, t->nfields + 1, sizeof *t->fields);
	if (rc == FT_OK)
		t->fields[t->nfields++] = (struct field){ at, n };
	return rc;
}

/* The whole file as one row; line ends are blanks like others. */
static int whole_file(struct ft_text *t, struct ft_row *row)
{
	struct ft_buf *b = &t->line;
	if (t->number)
		return 0;
	t->number = t->first = 1;
	b->len = 0;
	int rc = ft_buf_reserve(b, 1); /* of an empty file, too, the text is there */
	while (rc == FT_OK && (rc = fill(t)) > 0) {
		if (t->block_n > t->max_line - b->len)
			return text_fail(t, FT_EFORMAT, "the file is longer than %zu bytes", t->max_line);
		rc = ft_buf_append(b, t->block, t->block_n);
		t->block_n = 0;
	}
	rc = rc < 0 ? rc : check_line(t, 0);
	row->text = (struct ft_span){ (char *)b->data, b->len };
	return rc;
}

/* ---- rows ---- */

static int begin_file(struct ft_text *t)
{
	int rc = source_next(t->source);
	if (rc <= 0)
		return rc;
	t->format = t->wanted == FT_TEXT_AUTO ? format_of(source_base(t->source)) : t->wanted;
	t->number = t->first = 0;
	t->block_n = 0;
	if (t->format == FT_TEXT_TSV || t->format == FT_TEXT_CSV)
		rc = delim_begin(t);
	else if (t->format == FT_TEXT_CONLL)
		rc = conll_begin(t);
	return rc < 0 ? rc : 1;
}

static int next_in_file(struct ft_text *t, struct ft_row *row)
{
	switch (t->format) {
	case FT_TEXT_TSV:
	case FT_TEXT_CSV: return delim_next(t, row);
	case FT_TEXT_JSONL: return jsonl_next(t, row);
	case FT_TEXT_CONLL: return conll_next(t, row);
	case FT_TEXT_FILE: return whole_file(t, row);
	default: break;
	}
	int rc = text_plain_line(t);
	if (rc > 0)
		row->text = (struct ft_span){ (char *)t->line.data, t->line.len };
	return rc;
}

int ft_text_next(struct ft_text *t, struct ft_row *row)
{
	int rc;
	*row = (struct ft_row){ 0 };
	while (t->format == FT_TEXT_AUTO || (rc = next_in_file(t, row)) == 0)
		if ((rc = begin_file(t)) <= 0)
			return rc;
	if (rc < 0)
		return rc;
	t->src.len = 0;
	rc = ft_buf_printf(&t->src, "%s:%zu", source_name(t->source), t->first);
	row->src = (struct ft_span){ (char *)t->src.data, t->src.len };
	return rc < 0 ? rc : 1;
}
