/* text.c - rows of tokens as text, with what is supervised marked.
 *
 * Pieces of a word must be decoded together, and marks fall anywhere. So the row is
 * cut into runs of equal marking, and the text of a run is what decoding it
 * together with the run before adds to the decoded run before.
 */
#include "ft/err.h"
#include "ft/lines.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct writer {
	struct ft_buf *out;
	const struct ft_tok *tok;
	const struct ft_lines_row *row;
	bool colour;
	int32_t *mark;              /* [n] */
	struct ft_buf before, both; /* decoded: the run before, and with this one */
};

int ft_lines_clean(struct ft_buf *b, const char *p, size_t n)
{
	int rc = FT_OK;

	for (size_t i = 0; i < n && !rc; i++) {
		unsigned char c = (unsigned char)p[i];

		rc = c < 0x20 || c == 0x7f ? ft_buf_printf(b, "\\x%02x", c) : ft_buf_append(b, p + i, 1);
	}
	return rc;
}

/* For each token the label that marks it, FT_IGNORE when there is none. With names,
 * equal labels make one run, and a word's tokens have the label of its first; of
 * hidden tokens, neighbours make one. */
static void find_marks(const struct ft_lines_row *row, int32_t *mark)
{
	for (size_t i = 0; i < row->n; i++) {
		int32_t label = row->labels ? row->labels[i] : FT_IGNORE;
		bool within = i && row->words && row->names && row->words[i] >= 0 && row->words[i] == row->words[i - 1];

		mark[i] = label == FT_IGNORE && within ? mark[i - 1] : label == FT_IGNORE || row->names ? label : 0;
	}
}

/* Green for hidden text; else the labels take turns, and what is outside is grey. */
static int put_colour(struct writer *w, int32_t label)
{
	const char *name = json_string_value(json_array_get(w->row->names, (size_t)label));
	int colour = !w->row->names ? 32 : name && !strcmp(name, "O") ? 90 : 31 + (int)((uint32_t)label % 6);
	return ft_buf_printf(w->out, "\033[%dm", colour);
}

static int put_name(struct writer *w, int32_t label)
{
	const char *name = label >= 0 ? json_string_value(json_array_get(w->row->names, (size_t)label)) : NULL;
	int rc = ft_buf_append(w->out, "/", 1);

	if (rc < 0)
		return rc;
	if (!name)
		return ft_buf_printf(w->out, "%d", label);
	return ft_lines_clean(w->out, name, strlen(name));
}

/* The hidden text of a run, when it is not what stands there. */
static int put_hidden(struct writer *w, size_t from, size_t to)
{
	const struct ft_lines_row *row = w->row;
	int rc;

	if (!memcmp(row->ids + from, row->labels + from, (to - from) * sizeof *row->ids))
		return FT_OK;
	w->both.len = 0;
	rc = ft_tok_decode(w->tok, row->labels + from, to - from, false, &w->both);
	if (!rc)
		rc = ft_buf_printf(w->out, "→");
	return rc < 0 ? rc : ft_lines_clean(w->out, (const char *)w->both.data, w->both.len);
}

static bool begins_with(const struct ft_buf *b, const struct ft_buf *with)
{
	return b->len >= with->len && (!with->len || !memcmp(b->data, with->data, with->len));
}

static int put_run(struct writer *w, size_t last, size_t from, size_t to)
{
	const int32_t *ids = w->row->ids;
	int32_t mark = w->mark[from];
	size_t skip = 0;
	int rc;

	w->before.len = w->both.len = 0;
	rc = ft_tok_decode(w->tok, ids + last, from - last, false, &w->before);
	if (!rc)
		rc = ft_tok_decode(w->tok, ids + last, to - last, false, &w->both);
	if (!rc && begins_with(&w->both, &w->before))
		skip = w->before.len;
	else if (!rc) { /* the text before changes with what follows: decode on its own */
		w->both.len = 0;
		rc = ft_tok_decode(w->tok, ids + from, to - from, false, &w->both);
		if (!rc && from)
			rc = ft_buf_append(w->out, " ", 1);
	}
	for (; !rc && skip < w->both.len && w->both.data[skip] == ' '; skip++)
		rc = ft_buf_append(w->out, " ", 1); /* spaces stay outside the marks */
	if (!rc && mark != FT_IGNORE)
		rc = w->colour ? put_colour(w, mark) : ft_buf_printf(w->out, "«");
	if (!rc)
		rc = ft_lines_clean(w->out, (const char *)w->both.data + skip, w->both.len - skip);
	if (!rc && mark != FT_IGNORE)
		rc = w->row->names ? put_name(w, mark) : put_hidden(w, from, to);
	if (!rc && mark != FT_IGNORE)
		rc = ft_buf_printf(w->out, "%s", w->colour ? "\033[0m" : "»");
	return rc;
}

static int put_row(struct ft_buf *b, const struct ft_tok *t, const struct ft_lines_row *row, bool colour)
{
	struct writer w = { .out = b, .tok = t, .row = row, .colour = colour };
	int rc = FT_OK;

	w.mark = ft_alloc(row->n, sizeof *w.mark);
	if (!w.mark)
		return FT_EFAIL;
	find_marks(row, w.mark);
	for (size_t last = 0, from = 0, to; from < row->n && !rc; last = from, from = to) {
		for (to = from + 1; to < row->n && w.mark[to] == w.mark[from]; to++)
			;
		rc = put_run(&w, last, from, to);
	}
	free(w.mark);
	ft_buf_free(&w.before);
	ft_buf_free(&w.both);
	return rc;
}

/* The row with each label at the token that it says, and the one behind the row where there is one. */
static int put_predicted(struct ft_buf *b, const struct ft_tok *t, const struct ft_lines_row *row, bool colour)
{
	size_t n = row->n;
	int32_t *ids = ft_alloc(2 * (n + 1), sizeof *ids), *labels = ids ? ids + n + 1 : NULL;
	if (!ids)
		return FT_EFAIL;
	memcpy(ids, row->ids, n * sizeof *ids);
	memcpy(labels + 1, row->labels, n * sizeof *labels);
	labels[0] = FT_IGNORE;
	ids[n] = labels[n];
	struct ft_lines_row shifted = { .ids = ids, .labels = labels, .n = n + (labels[n] != FT_IGNORE) };
	int rc = put_row(b, t, &shifted, colour);
	free(ids);
	return rc;
}

int ft_lines_text(struct ft_buf *b, const struct ft_tok *t, const struct ft_lines_row *row, bool colour)
{
	return row->next && row->labels ? put_predicted(b, t, row, colour) : put_row(b, t, row, colour);
}
