/* conll.c - sentences in columns: a line for each word, an empty line behind each
 * sentence, as in the shared tasks of CoNLL. */
#include "ft/err.h"
#include "priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *bytes(const struct ft_text *t, size_t at)
{
	return (const char *)t->line.data + at;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Narrows bytes from..to to what stands between white space. */
static struct field trimmed(const struct ft_text *t, size_t from, size_t to)
{
	const char *s = bytes(t, 0);
	while (from < to && is_space(s[from]))
		from++;
	while (to > from && is_space(s[to - 1]))
		to--;
	return (struct field){ from, to - from };
}

/* The columns of the line at `from`: between tabs when there is one, else between
 * runs of spaces. None for a line of white space. */
static int split(struct ft_text *t, size_t from, bool *tabbed)
{
	struct field whole = trimmed(t, from, t->line.len);
	size_t end = t->line.len;
	int rc = FT_OK;
	t->nfields = 0;
	*tabbed = memchr(bytes(t, from), '\t', end - from) != NULL;
	if (!whole.n)
		return FT_OK;
	if (!*tabbed) {
		from = whole.at;
		end = whole.at + whole.n;
	}
	for (bool more = true; more && rc == FT_OK;) {
		const char *stop = memchr(bytes(t, from), *tabbed ? '\t' : ' ', end - from);
		size_t to = stop ? (size_t)(stop - bytes(t, 0)) : end;
		const struct field f = trimmed(t, from, to);
		rc = text_field(t, f.at, f.n);
		more = stop != NULL;
		from = to + 1;
		while (!*tabbed && more && *bytes(t, from) == ' ')
			from++;
	}
	return rc;
}

static bool is_boundary(const struct ft_text *t)
{
	static const char mark[] = "-DOCSTART-";
	if (t->nfields == 0)
		return true;
	struct field f = t->fields[0];
	return f.n == sizeof mark - 1 && memcmp(bytes(t, f.at), mark, f.n) == 0;
}

/* '#' is a word in many texts, so a comment must not look like the words. */
static bool is_comment(const struct ft_text *t, size_t from, bool tabbed)
{
	const char *s = bytes(t, from);
	bool marked = s[0] == '#' && (t->line.len - from == 1 || is_space(s[1]));
	return t->words.n == 0 && !tabbed && marked && t->nfields != t->expected;
}

/* Columns of words and tags, from what was asked for and how many there are. */
static int choose_columns(struct ft_text *t)
{
	static const char *const option[COLUMNS] = { "text", "pair", "negative", "label" };
	t->expected = t->nfields;
	t->index[COLUMN_TEXT] = 0;
	t->index[COLUMN_LABEL] = t->nfields > 1 ? t->nfields - 1 : NO_COLUMN;
	for (int i = 0; i < COLUMNS; i++) {
		const char *column = t->column[i];
		if (!column)
			continue;
		if (i == COLUMN_PAIR || i == COLUMN_NEGATIVE || !text_is_number(column))
			return ft_fail(FT_EUSAGE, "--%s %s: %s has columns of words and of tags, by number", option[i],
			               column, source_name(t->source));
		unsigned long k = strtoul(column, NULL, 10);
		if (k < 1 || k > t->nfields)
			return text_fail(t, FT_EFORMAT, "there is no column %s; there are %zu", column, t->nfields);
		t->index[i] = k - 1;
	}
	return FT_OK;
}

static int add_word(struct ft_text *t)
{
	struct words *w = &t->words;
	int rc = t->expected ? FT_OK : choose_columns(t);
	if (rc < 0)
		return rc;
	if (t->nfields != t->expected)
		return text_fail(t, FT_EFORMAT, "%s%zu column%s where %zu are expected",
		                 t->nfields == 1 ? "a word without a tag: " : "", t->nfields,
		                 t->nfields == 1 ? "" : "s", t->expected);
	struct place p = { .word = t->fields[t->index[COLUMN_TEXT]] };
	if (t->index[COLUMN_LABEL] != NO_COLUMN)
		p.tag = t->fields[t->index[COLUMN_LABEL]];
	if (!p.word.n)
		return text_fail(t, FT_EFORMAT, "an empty word");
	rc = ft_grow(&w->place, &w->place_cap, w->n + 1, sizeof *w->place);
	if (rc == FT_OK)
		rc = ft_grow(&w->line, &w->line_cap, w->n + 1, sizeof *w->line);
	if (rc < 0)
		return rc;
	w->line[w->n] = t->number;
	w->place[w->n++] = p;
	return 1;
}

/* One line. 1: the sentence may go on, 0: it or the file has ended, <0. */
static int take_line(struct ft_text *t)
{
	size_t from = t->line.len;
	bool tabbed;
	int rc = text_line(t);
	if (rc <= 0)
		return rc;
	t->first = t->number; /* for messages; that of the row is set when it is whole */
	rc = split(t, from, &tabbed);
	if (rc < 0)
		return rc;
	bool comment = is_comment(t, from, tabbed), boundary = is_boundary(t);
	t->comments += comment;
	if (comment || boundary)
		t->line.len = from;
	else if ((rc = add_word(t)) < 0)
		return rc;
	return boundary ? t->words.n == 0 : 1;
}

int conll_begin(struct ft_text *t)
{
	t->expected = 0;
	return FT_OK;
}

int conll_next(struct ft_text *t, struct ft_row *row)
{
	struct words *w = &t->words;
	int rc;
	w->n = t->line.len = 0;
	while ((rc = take_line(t)) > 0)
		;
	if (rc < 0 || !w->n)
		return rc;
	t->first = w->line[0];
	rc = ft_grow(&w->span, &w->span_cap, 2 * w->n, sizeof *w->span);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < w->n; i++) {
		w->span[i] = (struct ft_span){ bytes(t, w->place[i].word.at), w->place[i].word.n };
		w->span[w->n + i] = (struct ft_span){ bytes(t, w->place[i].tag.at), w->place[i].tag.n };
	}
	row->words = w->span;
	row->tags = t->index[COLUMN_LABEL] == NO_COLUMN ? NULL : w->span + w->n;
	row->lines = w->line;
	row->nwords = w->n;
	return 1;
}
