/* choices.c - questions with choices in JSON lines:
 *
 *	{"context": …, "choices": [text, …], "answer": …}
 *
 * The answer is the number of the right choice, from 0, or its text.
 */
#include "ft/err.h"
#include "priv.h"

#include <string.h>

static const char *name_of(const char *asked, const char *usual)
{
	return asked ? asked : usual;
}

bool choices_is(const struct ft_text *t)
{
	if (!t->prompts || t->column[COLUMN_PAIR])
		return false;
	return t->choices || (!t->column[COLUMN_TEXT] && json_object_get(t->object, "choices") &&
	                      json_object_get(t->object, "context"));
}

static int check_choice(const struct ft_text *t, size_t i, const json_t *choice)
{
	if (!json_is_string(choice))
		return text_fail(t, FT_EFORMAT, "choice %zu is not a string", i);
	if (!json_string_length(choice))
		return text_fail(t, FT_EFORMAT, "choice %zu is empty", i);
	if (memchr(json_string_value(choice), '\0', json_string_length(choice)))
		return text_fail(t, FT_EFORMAT, "choice %zu holds a NUL character", i);
	return FT_OK;
}

static int take_choices(const struct ft_text *t, struct ft_row *row)
{
	const char *name = name_of(t->choices, "choices");
	const json_t *choice;
	size_t i;
	row->choices = json_object_get(t->object, name);
	if (!row->choices)
		return text_fail(t, FT_EFORMAT, "has no '%s'", name);
	if (json_array_size(row->choices) < 2) /* 0 of what is no list */
		return text_fail(t, FT_EFORMAT, "'%s' is not a list of two choices or more", name);
	json_array_foreach((json_t *)(uintptr_t)row->choices, i, choice) {
		int rc = check_choice(t, i, choice);
		if (rc < 0)
			return rc;
	}
	return FT_OK;
}

static int take_answer(const struct ft_text *t, struct ft_row *row)
{
	const char *name = name_of(t->column[COLUMN_LABEL], "answer");
	const json_t *answer = ft_json_get(t->object, name), *choice;
	size_t i, n = json_array_size(row->choices);
	if (json_is_integer(answer) && json_integer_value(answer) >= 0 && (uint64_t)json_integer_value(answer) < n) {
		row->right = (size_t)json_integer_value(answer);
		return FT_OK;
	}
	if (json_is_string(answer))
		json_array_foreach((json_t *)(uintptr_t)row->choices, i, choice)
			if (json_equal(answer, choice)) {
				row->right = i;
				return FT_OK;
			}
	if (!answer)
		return text_fail(t, FT_EFORMAT, "has no '%s'", name);
	return text_fail(t, FT_EFORMAT, "'%s' is neither a choice nor the number of one, from 0 to %zu", name, n - 1);
}

int choices_take(struct ft_text *t, struct ft_row *row)
{
	int rc = jsonl_needs(t, name_of(t->column[COLUMN_TEXT], "context"), &row->text);
	rc = rc ? rc : take_choices(t, row);
	return rc ? rc : take_answer(t, row);
}
