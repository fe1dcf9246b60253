/* notes.c - the notes at the end of what is made from several streams. */
#include "ft/batch.h"
#include "ft/err.h"
#include <string.h>

static json_t *join(const json_t *a, const json_t *b);

static json_t *join_objects(const json_t *a, const json_t *b)
{
	json_t *both = json_object(), *v;
	const char *key;
	int rc = both ? 0 : -1;

	json_object_foreach((json_t *)a, key, v) {
		json_t *other = json_object_get(b, key), *one = other ? join(v, other) : NULL;

		if (one && rc == 0)
			rc = json_object_set_new(both, key, one);
	}
	if (rc == 0)
		return both;
	json_decref(both);
	return NULL;
}

static json_t *join_numbers(const json_t *a, const json_t *b)
{
	json_int_t sum;

	return __builtin_add_overflow(json_integer_value(a), json_integer_value(b), &sum) ? NULL : json_integer(sum);
}

static json_t *join_lists(const json_t *a, const json_t *b)
{
	json_t *both = json_copy((json_t *)a);

	if (both && json_array_extend(both, (json_t *)b) == 0)
		return both;
	json_decref(both);
	return NULL;
}

/* New reference; NULL: there is no such note of both. */
static json_t *join(const json_t *a, const json_t *b)
{
	if (json_is_object(a) && json_is_object(b))
		return join_objects(a, b);
	if (json_is_integer(a) && json_is_integer(b))
		return join_numbers(a, b);
	if (json_is_array(a) && json_is_array(b))
		return join_lists(a, b);
	return json_equal(a, b) ? json_incref((json_t *)a) : NULL;
}

int ft_notes_join(struct ft_writer *w, struct ft_reader *const *r, size_t n)
{
	json_t *notes = json_incref((json_t *)ft_reader_end(r[0])), *v;
	const char *key;
	int rc = FT_OK;

	for (size_t i = 1; notes && i < n; i++) {
		json_t *more = join_objects(notes, ft_reader_end(r[i]));

		json_decref(notes);
		notes = more;
	}
	if (!notes)
		return ft_fail(FT_EFAIL, "out of memory for the notes of joined streams");
	json_object_foreach(notes, key, v)
		if (rc == FT_OK && strcmp(key, "end") != 0 && strcmp(key, "digest") != 0)
			rc = ft_writer_note(w, key, json_incref(v));
	json_decref(notes);
	return rc;
}
