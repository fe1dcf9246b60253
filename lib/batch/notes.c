/* notes.c - the notes at the end of what is made from several streams. */
#include "ft/batch.h"
#include "ft/err.h"
#include <string.h>

/* *both: a new reference, or NULL where there is no such note of both. Returns -1 when memory runs out. */
static int join(const json_t *a, const json_t *b, json_t **both);

static int join_objects(const json_t *a, const json_t *b, json_t **both)
{
	json_t *v, *one;
	const char *key;
	int rc = (*both = json_object()) ? 0 : -1;

	json_object_foreach((json_t *)a, key, v) {
		if (rc == 0)
			rc = join(v, json_object_get(b, key), &one);
		if (rc == 0 && one)
			rc = json_object_set_new(*both, key, one);
	}
	if (rc < 0)
		json_decref(*both);
	return rc;
}

static int join_numbers(const json_t *a, const json_t *b, json_t **both)
{
	json_int_t sum;

	if (__builtin_add_overflow(json_integer_value(a), json_integer_value(b), &sum))
		return 0;
	*both = json_integer(sum);
	return *both ? 0 : -1;
}

static int join_lists(const json_t *a, const json_t *b, json_t **both)
{
	*both = ft_json_copy(a);
	if (*both && json_array_extend(*both, (json_t *)b) == 0)
		return 0;
	json_decref(*both);
	return -1;
}

static int join(const json_t *a, const json_t *b, json_t **both)
{
	*both = NULL;
	if (json_is_object(a) && json_is_object(b))
		return join_objects(a, b, both);
	if (json_is_integer(a) && json_is_integer(b))
		return join_numbers(a, b, both);
	if (json_is_array(a) && json_is_array(b))
		return join_lists(a, b, both);
	if (json_equal(a, b))
		*both = json_incref((json_t *)a);
	return 0;
}

int ft_notes_join(struct ft_writer *w, struct ft_reader *const *r, size_t n)
{
	json_t *notes = json_incref((json_t *)ft_reader_end(r[0])), *v;
	const char *key;
	int rc = FT_OK;

	for (size_t i = 1; notes && i < n; i++) {
		json_t *more;
		int failed = join_objects(notes, ft_reader_end(r[i]), &more);

		json_decref(notes);
		notes = failed ? NULL : more;
	}
	if (!notes)
		return ft_fail(FT_EFAIL, "out of memory for the notes of joined streams");
	json_object_foreach(notes, key, v)
		if (rc == FT_OK && strcmp(key, "end") != 0 && strcmp(key, "digest") != 0)
			rc = ft_writer_note(w, key, json_incref(v));
	json_decref(notes);
	return rc;
}
