/* words.c - the words of a row, and their tags. */
#include "ft/err.h"
#include "ft/words.h"
#include "priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fails at word i of the row: with its line, or its number. */
__attribute__((format(printf, 3, 4))) static int fail_word(const struct ft_row *row, size_t i, const char *fmt, ...)
{
	char reason[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	const char *colon = memrchr(row->src.p, ':', row->src.n);
	if (row->lines && colon)
		return ft_fail(FT_EFORMAT, "%.*s:%zu: %s", (int)(colon - row->src.p), row->src.p, row->lines[i],
		               reason);
	return ft_fail(FT_EFORMAT, "%.*s: word %zu: %s", (int)row->src.n, row->src.p, i + 1, reason);
}

/* ---- white space ---- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next piece of *s between white space, taken from *s; n 0: there is none. */
static struct ft_span next_piece(struct ft_span *s)
{
	struct ft_span piece;
	while (s->n && is_space(*s->p))
		s->p++, s->n--;
	piece = (struct ft_span){ s->p, 0 };
	while (s->n && !is_space(*s->p))
		s->p++, s->n--, piece.n++;
	return piece;
}

static size_t count_pieces(struct ft_span s)
{
	size_t n = 0;
	while (next_piece(&s).n)
		n++;
	return n;
}

/* ---- words ---- */

static int reserve(struct ft_words *w, size_t n, bool tags, struct ft_arena *a)
{
	w->n = n;
	w->word = ft_arena_get(a, n * sizeof *w->word);
	w->first = ft_arena_get(a, (n + 1) * sizeof *w->first);
	w->tag = tags ? ft_arena_get(a, n * sizeof *w->tag) : NULL;
	return w->word && w->first && (!tags || w->tag) ? FT_OK : FT_EFAIL;
}

static int take_words(const struct ft_row *row, bool tags, struct ft_arena *a, struct ft_words *w)
{
	struct ft_span text = row->text;
	size_t bytes = text.n;
	int rc = reserve(w, row->words ? row->nwords : count_pieces(text), tags, a);
	for (size_t i = 0; row->words && i < row->nwords; i++)
		bytes += row->words[i].n;
	char *to = rc == FT_OK ? ft_arena_get(a, bytes) : NULL;
	if (!to)
		return FT_EFAIL;
	for (size_t i = 0; i < w->n; i++) {
		struct ft_span from = row->words ? row->words[i] : next_piece(&text);
		w->word[i] = (struct ft_span){ memcpy(to, from.p, from.n), from.n };
		to += from.n;
	}
	return FT_OK;
}

/* ---- tags ---- */

static int find_tag(const struct ft_row *row, const struct ft_labels *l, size_t i, struct ft_span name, int32_t *tag)
{
	*tag = label_find(l, name.p, name.n);
	if (*tag >= 0)
		return FT_OK;
	return fail_word(row, i, "unknown tag '%.*s'; known: %s", (int)(name.n < 100 ? name.n : 100), name.p,
	                 label_names(l));
}

static int find_json(const struct ft_row *row, const struct ft_labels *l, size_t i, const json_t *v, int32_t *tag)
{
	if (json_is_string(v))
		return find_tag(row, l, i, (struct ft_span){ json_string_value(v), json_string_length(v) }, tag);
	if (!json_is_integer(v))
		return fail_word(row, i, "the tag is neither a name nor a number");
	json_int_t number = json_integer_value(v);
	if (number < 0 || (size_t)number >= label_count(l))
		return fail_word(row, i, "the tag %" JSON_INTEGER_FORMAT " is not one of %zu labels", number,
		                 label_count(l));
	*tag = (int32_t)number;
	return FT_OK;
}

static int fail_count(const struct ft_row *row, size_t tags, size_t words)
{
	return ft_fail(FT_EFORMAT, "%.*s: %zu tag%s for %zu word%s", (int)row->src.n, row->src.p, tags,
	               tags == 1 ? "" : "s", words, words == 1 ? "" : "s");
}

static int json_tags(const struct ft_row *row, const struct ft_labels *l, const json_t *array, struct ft_words *w)
{
	int rc = json_array_size(array) == w->n ? FT_OK : fail_count(row, json_array_size(array), w->n);
	for (size_t i = 0; i < w->n && rc == FT_OK; i++)
		rc = find_json(row, l, i, json_array_get(array, i), &w->tag[i]);
	return rc;
}

static int text_tags(const struct ft_row *row, const struct ft_labels *l, struct ft_words *w)
{
	struct ft_span text = row->label;
	size_t n = row->tags ? w->n : count_pieces(text);
	int rc = n == w->n ? FT_OK : fail_count(row, n, w->n);
	for (size_t i = 0; i < w->n && rc == FT_OK; i++)
		rc = find_tag(row, l, i, row->tags ? row->tags[i] : next_piece(&text), &w->tag[i]);
	return rc;
}

static int take_tags(const struct ft_row *row, const struct ft_labels *l, struct ft_words *w)
{
	if (json_is_array(row->json))
		return json_tags(row, l, row->json, w);
	if (row->json && !json_is_string(row->json))
		return ft_fail(FT_EFORMAT, "%.*s: the tags are not an array", (int)row->src.n, row->src.p);
	if (row->tags || row->label.p)
		return text_tags(row, l, w);
	return row->lines ? fail_word(row, 0, "a word without a tag")
	                  : ft_fail(FT_EFORMAT, "%.*s: has no tags", (int)row->src.n, row->src.p);
}

int ft_words_read(const struct ft_row *row, const struct ft_labels *l, struct ft_arena *a, struct ft_words *w)
{
	int rc = take_words(row, l != NULL, a, w);
	return rc == FT_OK && l ? take_tags(row, l, w) : rc;
}

int32_t *ft_words_rest(const json_t *names)
{
	struct ft_labels *l = ft_labels_new(FT_TASK_TAG, names, 0);
	int32_t *rest = l ? ft_alloc(label_count(l), sizeof *rest) : NULL;
	for (size_t i = 0; rest && i < label_count(l); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		char *inside = ft_strdup(name);
		if (!inside) {
			free(rest);
			rest = NULL;
			break;
		}
		rest[i] = (int32_t)i;
		if (strncmp(name, "B-", 2) == 0) {
			inside[0] = 'I';
			int32_t other = label_find(l, inside, strlen(inside));
			rest[i] = other < 0 ? rest[i] : other;
		}
		free(inside);
	}
	ft_labels_free(l);
	return rest;
}
