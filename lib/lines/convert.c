/* convert.c - JSON lines into a stream. */
#include "ft/err.h"
#include "ft/lines.h"
#include "ft/tensor.h"
#include <stdlib.h>
#include <string.h>

struct job {
	FILE *f;
	const char *name;
	long long line;
	struct ft_writer *out;
	struct ft_arena scratch;
	int dtype;   /* of the tensor whose data is awaited, or -1 */
	size_t left; /* bytes of it still to come */
};

/* The next line that is not blank: 1 and *out, a new reference; 0 at the end of the
 * file; <0. */
static int next_line(struct job *j, json_t **out)
{
	char *line = NULL, where[32];
	size_t cap = 0;
	ssize_t n;
	int rc = 1;

	do {
		n = getline(&line, &cap, j->f);
		j->line += n >= 0;
	} while (n >= 0 && strspn(line, " \t\r\n") == (size_t)n);
	*out = NULL;
	if (n >= 0) {
		snprintf(where, sizeof where, "line %lld", j->line);
		*out = ft_json_parse(where, line, (size_t)n);
		if (!*out)
			rc = ft_context(ft_last_error(), "%s", j->name);
	} else {
		rc = feof(j->f) ? 0 : ft_fail_errno("%s", j->name);
	}
	free(line);
	return rc;
}


static int open_stream(struct job *j, const char *output)
{
	json_t *head, *meta, *log;
	const char *kind;
	int rc = next_line(j, &head);

	if (!rc)
		return ft_fail(FT_ECUT, "%s: empty input, where a header was expected", j->name);
	if (rc < 0)
		return rc;
	meta = json_object_get(head, "meta");
	log = json_object_get(head, "log");
	kind = json_string_value(json_object_get(head, "kind"));
	if (json_integer_value(json_object_get(head, "ft")) != 1 || !kind || !json_is_object(meta)
	    || (log && !json_is_array(log)))
		rc = ft_fail(FT_EFORMAT, "%s: line %lld: not the header of a stream (ft, kind, meta)", j->name,
		             j->line);
	else
		j->out = ft_writer_open_log(output, kind, meta, log);
	json_decref(head);
	return j->out ? FT_OK : rc < 0 ? rc : ft_last_error();
}

/* Follows descriptors and data of tensors, of which none may be missing. */
static int follow_tensor(struct job *j, const struct ft_rec *rec)
{
	const struct ft_field *dtype = ft_rec_find(rec, "dtype"), *bytes = ft_rec_find(rec, "bytes");
	const struct ft_field *data = ft_rec_find(rec, "data");

	if (j->left && (!data || data->type != FT_BIN || data->bytes.n > j->left))
		return ft_fail(FT_EFORMAT, "expected the data of a tensor, %zu bytes; ft-cat --data prints it",
		               j->left);
	if (j->left) {
		j->left -= data->bytes.n;
	} else if (ft_rec_find(rec, "tensor") && bytes && bytes->type == FT_INT && bytes->i >= 0) {
		j->left = (size_t)bytes->i;
		j->dtype = dtype && dtype->type == FT_STR ? ft_dtype_parse(dtype->bytes.p, dtype->bytes.n) : -1;
	}
	return FT_OK;
}

static int put_record(struct job *j, const json_t *v)
{
	struct ft_rec rec;
	int rc;

	ft_arena_reset(&j->scratch);
	rc = ft_lines_parse(v, j->dtype, &j->scratch, &rec);
	if (!rc)
		rc = follow_tensor(j, &rec);
	return rc < 0 ? rc : ft_writer_put(j->out, &rec);
}

/* The end's own members are made anew, the notes of the stage before are kept. */
static int put_end(struct job *j, const json_t *v)
{
	const char *key, *aborted = json_string_value(json_object_get(v, "aborted"));
	json_t *item;
	int rc = FT_OK;

	if (aborted)
		return ft_fail(FT_ECUT, "the stage before gave up: %s", aborted);
	if (j->left)
		return ft_fail(FT_EFORMAT, "%zu bytes of a tensor's data are missing; ft-cat --data prints them",
		               j->left);
	json_object_foreach((json_t *)v, key, item)
		if (!rc && strcmp(key, "end") && strcmp(key, "digest"))
			rc = ft_writer_note(j->out, key, json_incref(item));
	return rc;
}

static int convert(struct job *j)
{
	bool ended = false;
	json_t *v;
	int rc;

	while ((rc = next_line(j, &v)) > 0) {
		if (ended)
			rc = ft_fail(FT_EFORMAT, "data after the end record");
		else if ((ended = json_object_get(v, "end") != NULL))
			rc = put_end(j, v);
		else
			rc = put_record(j, v);
		json_decref(v);
		if (rc < 0)
			return ft_context(rc, "%s: line %lld", j->name, j->line);
	}
	if (!rc && !ended)
		rc = ft_fail(FT_ECUT, "%s: cut short after line %lld: no end record", j->name, j->line);
	return rc < 0 ? rc : ft_writer_close(j->out);
}

int ft_lines_to_stream(FILE *f, const char *name, const char *output)
{
	struct job j = { .f = f, .name = name, .dtype = -1 };
	int rc = open_stream(&j, output);

	if (!rc)
		rc = convert(&j);
	ft_writer_free(j.out);
	ft_arena_free(&j.scratch);
	return rc;
}
