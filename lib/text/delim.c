/* delim.c - TSV and CSV. */
#include "ft/err.h"
#include "priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- TSV: no quoting ---- */

static int tsv_record(struct ft_text *t)
{
	int rc = text_plain_line(t);
	if (rc <= 0)
		return rc;
	const char *line = (const char *)t->line.data;
	for (size_t at = 0;;) {
		const char *tab = t->line.len > at ? memchr(line + at, '\t', t->line.len - at) : NULL;
		size_t n = tab ? (size_t)(tab - line) - at : t->line.len - at;
		if ((rc = text_field(t, at, n)) < 0)
			return rc;
		if (!tab)
			return 1;
		at += n + 1;
	}
}

/* ---- CSV: RFC 4180 ---- */

/* Length of the line end at the end of t->line: 2, 1, or 0 in a last line without one. */
static size_t line_end(const struct ft_text *t)
{
	const struct ft_buf *b = &t->line;
	if (!b->len || b->data[b->len - 1] != '\n')
		return 0;
	return b->len > 1 && b->data[b->len - 2] == '\r' ? 2 : 1;
}

/* A quoted field whose opening quote is before `at`; its text moves to
 * at.., with doubled quotes single, over lines as far as it reaches. *next is
 * behind the closing quote. */
static int csv_quoted(struct ft_text *t, size_t at, size_t *next)
{
	size_t from = at, to = at;
	for (;;) {
		unsigned char *s = t->line.data; /* moves when a line is added */
		while (from < t->line.len && (s[from] != '"' || (from + 1 < t->line.len && s[from + 1] == '"'))) {
			from += s[from] == '"';
			s[to++] = s[from++];
		}
		if (from < t->line.len)
			break;
		/* The next line goes on where the moved text ends. */
		t->line.len = from = to;
		int rc = text_line(t);
		if (rc < 0)
			return rc;
		if (rc == 0)
			return text_fail(t, FT_EFORMAT, "a quoted field begins here and does not end");
	}
	*next = from + 1;
	return text_field(t, at, to - at);
}

static int csv_plain(struct ft_text *t, size_t at, size_t *next)
{
	const unsigned char *s = t->line.data;
	size_t end = t->line.len - line_end(t), to = at;
	while (to < end && s[to] != ',' && s[to] != '"')
		to++;
	if (to < end && s[to] == '"')
		return text_fail(t, FT_EFORMAT, "a quote inside a field that does not begin with one");
	*next = to;
	return text_field(t, at, to - at);
}

static int csv_record(struct ft_text *t)
{
	t->line.len = 0;
	int rc = text_line(t);
	if (rc <= 0)
		return rc;
	for (size_t at = 0;; at++) {
		bool quoted = at < t->line.len && t->line.data[at] == '"';
		rc = quoted ? csv_quoted(t, at + 1, &at) : csv_plain(t, at, &at);
		if (rc < 0)
			return rc;
		size_t end = t->line.len - line_end(t);
		if (at >= end)
			return 1;
		if (t->line.data[at] != ',')
			return text_fail(t, FT_EFORMAT, "text behind the closing quote of field %zu", t->nfields);
	}
}

/* ---- rows of either ---- */

static int record(struct ft_text *t)
{
	for (;; t->blank++) {
		t->nfields = 0;
		int rc = t->format == FT_TEXT_CSV ? csv_record(t) : tsv_record(t);
		/* An empty line is a row only where rows have one field. */
		bool blank = rc > 0 && t->nfields == 1 && t->fields[0].n == 0 && t->expected != 1;
		if (!blank)
			return rc;
	}
}

static bool is_field(const struct ft_text *t, size_t i, const char *name)
{
	size_t n = strlen(name);
	return t->fields[i].n == n && memcmp(t->line.data + t->fields[i].at, name, n) == 0;
}

static size_t find_field(const struct ft_text *t, const char *name)
{
	for (size_t i = 0; i < t->nfields; i++)
		if (is_field(t, i, name))
			return i;
	return NO_COLUMN;
}

static bool has_header(const struct ft_text *t)
{
	if (t->header >= 0)
		return t->header;
	bool asked = false;
	for (int i = 0; i < COLUMNS; i++) {
		asked |= t->column[i] != NULL;
		if (t->column[i] && !text_is_number(t->column[i]))
			return true;
	}
	bool text = find_field(t, "text") != NO_COLUMN || find_field(t, "sentence") != NO_COLUMN;
	return !asked && text && find_field(t, "label") != NO_COLUMN;
}

/* Names of the header, for a message. */
static void list_fields(const struct ft_text *t, char *out, size_t size)
{
	size_t n = 0;
	out[0] = '\0';
	for (size_t i = 0; i < t->nfields && n + 1 < size; i++) {
		struct field f = t->fields[i];
		n += (size_t)snprintf(out + n, size - n, "%s%.*s", i ? ", " : "", (int)f.n, t->line.data + f.at);
	}
}

static int find_column(struct ft_text *t, int which, bool header)
{
	const char *column = t->column[which];
	char names[200];
	if (text_is_number(column)) {
		unsigned long i = strtoul(column, NULL, 10);
		if (i < 1 || i > t->nfields)
			return text_fail(t, FT_EFORMAT, "there is no column %s; there are %zu", column, t->nfields);
		t->index[which] = i - 1;
		return FT_OK;
	}
	if (!header)
		return ft_fail(FT_EUSAGE, "%s: column '%s' is asked for by name, but there is no header",
		               source_name(t->source), column);
	t->index[which] = find_field(t, column);
	if (t->index[which] != NO_COLUMN)
		return FT_OK;
	list_fields(t, names, sizeof names);
	return text_fail(t, FT_EFORMAT, "no column is called '%s'; there are: %s", column, names);
}

/* The columns nobody asked for. */
static int default_columns(struct ft_text *t, bool header)
{
	size_t *text = &t->index[COLUMN_TEXT], *label = &t->index[COLUMN_LABEL];
	char names[200];
	if (!header) {
		bool two = t->nfields >= 2;
		if (!t->column[COLUMN_TEXT])
			*text = two && *label != 1 ? 1 : 0;
		if (!t->column[COLUMN_LABEL] && two && *text != 0)
			*label = 0;
		return FT_OK;
	}
	if (!t->column[COLUMN_LABEL])
		*label = find_field(t, "label");
	if (t->column[COLUMN_TEXT])
		return FT_OK;
	*text = find_field(t, "text");
	if (*text == NO_COLUMN)
		*text = find_field(t, "sentence");
	if (*text != NO_COLUMN)
		return FT_OK;
	list_fields(t, names, sizeof names);
	return text_fail(t, FT_EFORMAT, "no column is called 'text' or 'sentence'; there are: %s", names);
}

int delim_begin(struct ft_text *t)
{
	t->expected = 0;
	t->pending = false;
	for (int i = 0; i < COLUMNS; i++)
		t->index[i] = NO_COLUMN;
	int rc = record(t);
	if (rc <= 0)
		return rc;
	bool header = has_header(t);
	for (int i = 0; i < COLUMNS && rc >= 0; i++)
		if (t->column[i])
			rc = find_column(t, i, header);
	if (rc >= 0)
		rc = default_columns(t, header);
	t->expected = t->nfields;
	t->pending = !header;
	return rc;
}

int delim_next(struct ft_text *t, struct ft_row *row)
{
	int rc = t->pending ? 1 : record(t);
	t->pending = false;
	if (rc <= 0)
		return rc;
	if (t->nfields != t->expected)
		return text_fail(t, FT_EFORMAT, "%zu column%s where %zu are expected", t->nfields,
		                 t->nfields == 1 ? "" : "s", t->expected);
	struct ft_span *out[COLUMNS] = { &row->text, &row->pair, &row->negative, &row->label };
	for (int i = 0; i < COLUMNS; i++) {
		if (t->index[i] == NO_COLUMN)
			continue;
		struct field f = t->fields[t->index[i]];
		*out[i] = (struct ft_span){ (char *)t->line.data + f.at, f.n };
	}
	return 1;
}
