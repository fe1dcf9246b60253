/* jsonl.c - one JSON object a line; or a list, which is a conversation. */
#include "ft/err.h"
#include "priv.h"

#include <stdio.h>
#include <string.h>

static bool is_blank(const struct ft_buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if (!strchr(" \t\r", b->data[i]))
			return false;
	return true;
}

/* A member that must be a string when it is there; null is not there. */
int jsonl_text(const struct ft_text *t, const char *key, struct ft_span *out)
{
	const json_t *v = ft_json_get(t->object, key);
	if (!json_is_string(v))
		return v ? text_fail(t, FT_EFORMAT, "'%s' is not a string", key) : FT_OK;
	*out = (struct ft_span){ json_string_value(v), json_string_length(v) };
	if (memchr(out->p, '\0', out->n))
		return text_fail(t, FT_EFORMAT, "'%s' holds a NUL character", key);
	return FT_OK;
}

/* ---- sentences in words ---- */

/* The member asked for, else the first of these that is there; NULL: none. */
static const json_t *find_member(const struct ft_text *t, int column, const char *const *names, size_t n,
                                 const char **name)
{
	const json_t *v = NULL;
	*name = t->column[column];
	if (*name)
		return ft_json_get(t->object, *name);
	for (size_t i = 0; i < n && !v; i++)
		v = ft_json_get(t->object, *name = names[i]);
	return v;
}

static int take_array(struct ft_text *t, const char *name, const json_t *array, struct ft_row *row)
{
	struct words *w = &t->words;
	size_t i, n = json_array_size(array);
	json_t *v;
	if (ft_grow(&w->span, &w->span_cap, n + 1, sizeof *w->span) < 0)
		return FT_EFAIL;
	json_array_foreach((json_t *)array, i, v) {
		w->span[i] = (struct ft_span){ json_string_value(v), json_string_length(v) };
		if (!json_is_string(v))
			return text_fail(t, FT_EFORMAT, "'%s': word %zu is not a string", name, i + 1);
		if (!w->span[i].n || memchr(w->span[i].p, '\0', w->span[i].n))
			return text_fail(t, FT_EFORMAT, "'%s': word %zu %s", name, i + 1,
			                 w->span[i].n ? "holds a NUL character" : "is empty");
	}
	row->words = w->span;
	row->nwords = n;
	return FT_OK;
}

static int take_words(struct ft_text *t, struct ft_row *row)
{
	static const char *const words[] = { "tokens", "words", "text" };
	static const char *const tags[] = { "tags", "ner_tags", "labels", "label" };
	const char *word_name, *tag_name;
	const json_t *w = find_member(t, COLUMN_TEXT, words, 3, &word_name);
	int rc = FT_OK;
	if (!w)
		return t->column[COLUMN_TEXT] ? text_fail(t, FT_EFORMAT, "has no '%s'", word_name)
		                              : text_fail(t, FT_EFORMAT, "has no 'tokens', 'words' or 'text'");
	row->json = find_member(t, COLUMN_LABEL, tags, 4, &tag_name);
	if (!row->json && t->column[COLUMN_LABEL])
		return text_fail(t, FT_EFORMAT, "has no '%s'", tag_name);
	if (json_is_string(row->json))
		rc = jsonl_text(t, tag_name, &row->label);
	if (rc < 0)
		return rc;
	return json_is_array(w) ? take_array(t, word_name, w, row) : jsonl_text(t, word_name, &row->text);
}

/* ---- rows ---- */

int jsonl_needs(const struct ft_text *t, const char *key, struct ft_span *out)
{
	int rc = jsonl_text(t, key, out);
	return rc == FT_OK && !out->p ? text_fail(t, FT_EFORMAT, "has no '%s'", key) : rc;
}

static int take_label(struct ft_text *t, struct ft_row *row)
{
	const char *label = t->column[COLUMN_LABEL] ? t->column[COLUMN_LABEL] : "label";
	int rc = FT_OK;
	row->json = ft_json_get(t->object, label);
	if (json_is_string(row->json))
		rc = jsonl_text(t, label, &row->label);
	if (rc == FT_OK && !row->json && t->column[COLUMN_LABEL])
		rc = text_fail(t, FT_EFORMAT, "has no '%s'", label);
	return rc;
}

static int take_text(struct ft_text *t, struct ft_row *row)
{
	const char *text = t->column[COLUMN_TEXT] ? t->column[COLUMN_TEXT] : "text";
	int rc = jsonl_needs(t, text, &row->text);
	if (rc == FT_OK && t->column[COLUMN_PAIR])
		rc = jsonl_needs(t, t->column[COLUMN_PAIR], &row->pair);
	if (rc == FT_OK && t->column[COLUMN_NEGATIVE])
		rc = jsonl_needs(t, t->column[COLUMN_NEGATIVE], &row->negative);
	return rc < 0 ? rc : take_label(t, row);
}

/* ---- for language models ---- */

/* A prompt and its completion, by their usual names. */
static bool is_prompt(const struct ft_text *t)
{
	return t->prompts && !t->column[COLUMN_TEXT] && !t->column[COLUMN_PAIR] && !json_object_get(t->object, "text") &&
		json_object_get(t->object, "prompt");
}

static int take_prompt(struct ft_text *t, struct ft_row *row)
{
	int rc = jsonl_needs(t, "prompt", &row->text);
	rc = rc ? rc : jsonl_needs(t, "completion", &row->pair);
	return rc ? rc : take_label(t, row);
}

int jsonl_tools(const struct ft_text *t, struct ft_row *row)
{
	const json_t *v = ft_json_get(t->object, "tools");
	row->tools = json_is_array(v) ? v : NULL;
	return row->tools || !v ? FT_OK : text_fail(t, FT_EFORMAT, "'tools' is not a list");
}

/* A conversation: a list of messages, or an object that has one. */
static bool is_conversation(const struct ft_text *t)
{
	bool other = t->column[COLUMN_TEXT] || t->column[COLUMN_PAIR];
	return t->prompts &&
	       (json_is_array(t->object) || t->messages || (!other && json_object_get(t->object, "messages")));
}

static int take_conversation(struct ft_text *t, struct ft_row *row)
{
	const char *name = t->messages ? t->messages : "messages";
	bool bare = json_is_array(t->object);
	row->messages = bare ? t->object : json_object_get(t->object, name);
	row->text = (struct ft_span){ (char *)t->line.data, t->line.len };
	if (!json_is_array(row->messages))
		return row->messages ? text_fail(t, FT_EFORMAT, "'%s' is not a list of messages", name)
		                     : text_fail(t, FT_EFORMAT, "has no '%s'", name);
	int rc = jsonl_tools(t, row);
	return rc == FT_OK && t->column[COLUMN_LABEL] ? take_label(t, row) : rc;
}

static int take_row(struct ft_text *t, struct ft_row *row)
{
	if (is_conversation(t))
		return take_conversation(t, row);
	if (!json_is_object(t->object))
		return text_fail(t, FT_EFORMAT, "is not a JSON object");
	if (choices_is(t))
		return choices_take(t, row);
	if (prefer_is(t)) {
		int rc = prefer_take(t, row);
		return rc < 0 || row->rejected || row->negative.p ? rc : take_label(t, row);
	}
	return t->as_words ? take_words(t, row) : is_prompt(t) ? take_prompt(t, row) : take_text(t, row);
}

/* A completion, or a reply, that is said to be good or not. */
static bool is_judged(const struct ft_text *t, const struct ft_row *row)
{
	return t->prompts && (row->pair.p || row->messages) && json_is_boolean(row->json);
}

int jsonl_next(struct ft_text *t, struct ft_row *row)
{
	int rc;
	while ((rc = text_plain_line(t)) > 0 && is_blank(&t->line))
		t->blank++;
	if (rc <= 0)
		return rc;
	json_decref(t->object);
	char where[512];
	snprintf(where, sizeof where, "%s:%zu", source_name(t->source), t->first);
	t->object = ft_json_parse(where, (char *)t->line.data, t->line.len);
	if (!t->object)
		return ft_last_error();
	rc = take_row(t, row);
	row->judged = rc == FT_OK && is_judged(t, row);
	return rc < 0 ? rc : 1;
}
