/* jsonl.c - one JSON object a line. */
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
static int text_member(const struct ft_text *t, const char *key, struct ft_span *out)
{
	const json_t *v = json_object_get(t->object, key);
	if (!v || json_is_null(v))
		return FT_OK;
	if (!json_is_string(v))
		return text_fail(t, FT_EFORMAT, "'%s' is not a string", key);
	*out = (struct ft_span){ json_string_value(v), json_string_length(v) };
	if (memchr(out->p, '\0', out->n))
		return text_fail(t, FT_EFORMAT, "'%s' holds a NUL character", key);
	return FT_OK;
}

static int needed_member(const struct ft_text *t, const char *key, struct ft_span *out)
{
	int rc = text_member(t, key, out);
	return rc == FT_OK && !out->p ? text_fail(t, FT_EFORMAT, "has no '%s'", key) : rc;
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
	if (!json_is_object(t->object))
		return text_fail(t, FT_EFORMAT, "is not a JSON object");
	const char *text = t->column[COLUMN_TEXT] ? t->column[COLUMN_TEXT] : "text";
	const char *label = t->column[COLUMN_LABEL] ? t->column[COLUMN_LABEL] : "label";
	rc = needed_member(t, text, &row->text);
	if (rc == FT_OK && t->column[COLUMN_PAIR])
		rc = needed_member(t, t->column[COLUMN_PAIR], &row->pair);
	if (rc == FT_OK && t->column[COLUMN_NEGATIVE])
		rc = needed_member(t, t->column[COLUMN_NEGATIVE], &row->negative);
	if (rc < 0)
		return rc;
	row->json = json_object_get(t->object, label);
	if (json_is_null(row->json))
		row->json = NULL;
	if (json_is_string(row->json))
		rc = text_member(t, label, &row->label);
	if (rc == FT_OK && !row->json && t->column[COLUMN_LABEL])
		rc = text_fail(t, FT_EFORMAT, "has no '%s'", label);
	return rc < 0 ? rc : 1;
}
