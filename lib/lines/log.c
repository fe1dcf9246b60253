/* log.c - the provenance of a stream as a tree for people.
 *
 * A log lists who had a part in a stream, the last entry being the stage that wrote
 * it. An entry names its parents by the digests of their headers ("id"), and an
 * entry that was itself a parent carries its own.
 */
#include "ft/err.h"
#include "ft/lines.h"
#include <stdlib.h>
#include <string.h>

#define DEEPEST 64 /* beyond it a log is not a chain of stages but an attack */

struct tree {
	struct ft_buf *out;
	const json_t *log;
	bool *shown; /* [entries of log] */
};

/* Appends the string `key` of `obj`, at most `most` bytes of it. */
static int put(struct ft_buf *b, const json_t *obj, const char *key, size_t most)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? ft_lines_clean(b, s, strnlen(s, most)) : ft_buf_append(b, "?", 1);
}

/* The entry before `before` with this id, or the one directly before it when `before` has
 * but one parent and ids are not told; -1 when neither. */
static ssize_t find_parent(const struct tree *t, size_t before, const json_t *parent, bool only)
{
	const json_t *id = json_object_get(parent, "id");

	for (size_t i = before; i-- > 0;) {
		const json_t *own = json_object_get(json_array_get(t->log, i), "id");

		if (own && json_equal(own, id))
			return (ssize_t)i;
	}
	if (only && before && !json_object_get(json_array_get(t->log, before - 1), "id"))
		return (ssize_t)before - 1;
	return -1;
}

static int show_stage(struct tree *t, size_t i)
{
	const json_t *entry = json_array_get(t->log, i), *v;
	size_t k;
	int rc = put(t->out, entry, "tool", SIZE_MAX);

	if (!rc)
		rc = ft_buf_append(t->out, " ", 1);
	if (!rc)
		rc = put(t->out, entry, "version", SIZE_MAX);
	json_array_foreach(json_object_get(entry, "options"), k, v) {
		if (!rc)
			rc = ft_buf_append(t->out, " ", 1);
		if (!rc && json_is_string(v))
			rc = ft_lines_clean(t->out, json_string_value(v), json_string_length(v));
	}
	return rc < 0 ? rc : ft_buf_append(t->out, "\n", 1);
}

/* `open`: bit d is set when a branch goes on at depth d. */
static int show(struct tree *t, size_t i, int depth, uint64_t open)
{
	const json_t *parents = json_object_get(json_array_get(t->log, i), "parents"), *p;
	bool again = t->shown[i];
	size_t k;
	int rc = show_stage(t, i);

	t->shown[i] = true;
	if (again || depth == DEEPEST)
		return rc;
	json_array_foreach(parents, k, p) {
		ssize_t at = find_parent(t, i, p, json_array_size(parents) == 1);
		bool more = k + 1 < json_array_size(parents);
		uint64_t below = open | (uint64_t)more << depth;

		for (int d = 0; d < depth && !rc; d++)
			rc = ft_buf_append(t->out, open >> d & 1 ? "|  " : "   ", 3);
		if (!rc)
			rc = ft_buf_printf(t->out, "%c- ", more ? '|' : '`');
		if (!rc)
			rc = put(t->out, p, "kind", SIZE_MAX);
		if (!rc)
			rc = ft_buf_append(t->out, " ", 1);
		if (!rc)
			rc = put(t->out, p, "id", 8);
		if (!rc)
			rc = ft_buf_append(t->out, ": ", 2);
		if (!rc)
			rc = at >= 0 ? show(t, (size_t)at, depth + 1, below)
			             : ft_buf_printf(t->out, "(its log says nothing)\n");
	}
	return rc;
}

int ft_lines_log(struct ft_buf *b, const json_t *log)
{
	struct tree t = { b, log, NULL };
	size_t n = json_array_size(log);
	int rc = FT_OK;

	if (!n)
		return ft_buf_printf(b, "(the log is empty)\n");
	t.shown = ft_alloc(n, sizeof *t.shown);
	if (!t.shown)
		return FT_EFAIL;
	for (size_t i = n; i-- > 0 && !rc;)
		if (!t.shown[i])
			rc = show(&t, i, 0, 0);
	free(t.shown);
	return rc;
}
