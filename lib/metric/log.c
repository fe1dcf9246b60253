/* log.c - reads training logs and results of ft-eval back from JSON lines. */
#include "ft/err.h"
#include "ft/report.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CURVES 256 /* of one run; more is not a log of ours */

const struct ft_curve *ft_run_curve(const struct ft_run *run, const char *name)
{
	for (size_t i = 0; i < run->count; i++)
		if (strcmp(run->curve[i].name, name) == 0)
			return &run->curve[i];
	return NULL;
}

/* The run's curve called `name`, made when it is new; NULL on failure. */
static struct ft_curve *curve_of(struct ft_run *run, const char *name)
{
	struct ft_curve *c = (struct ft_curve *)ft_run_curve(run, name);
	if (c)
		return c;
	if (run->count >= CURVES) {
		ft_fail(FT_EFORMAT, "more than %d different numbers", CURVES);
		return NULL;
	}
	if (ft_grow(&run->curve, &run->cap, run->count + 1, sizeof *run->curve) < 0)
		return NULL;
	c = &run->curve[run->count];
	*c = (struct ft_curve){ .name = ft_strdup(name) };
	run->count += c->name != NULL;
	return c->name ? c : NULL;
}

static int add_point(struct ft_run *run, const char *name, double x, double y)
{
	struct ft_curve *c = curve_of(run, name);
	if (!c)
		return ft_last_error();
	int rc = ft_grow(&c->x, &c->x_cap, c->n + 1, sizeof *c->x);
	if (rc == FT_OK)
		rc = ft_grow(&c->y, &c->y_cap, c->n + 1, sizeof *c->y);
	if (rc < 0)
		return rc;
	c->x[c->n] = x;
	c->y[c->n++] = y;
	return FT_OK;
}

/* Details of a validation that are not curves. */
static bool is_detail(const char *key)
{
	return strcmp(key, "classes") == 0 || strcmp(key, "confusion") == 0 || strcmp(key, "stderr") == 0 ||
	       strcmp(key, "outputs") == 0 || strcmp(key, "bootstrap") == 0;
}

/* Adds the numbers of obj, those of inner objects as "outer.inner". */
static int add_numbers(struct ft_run *run, double step, const json_t *obj, const char *prefix, int depth)
{
	const char *key;
	json_t *v;
	int rc = FT_OK;
	json_object_foreach((json_t *)obj, key, v)
	{
		bool number = json_is_number(v), inner = json_is_object(v) && depth < 4 && !is_detail(key);
		if ((!number && !inner) || (depth == 0 && strcmp(key, "step") == 0))
			continue;
		char *name = ft_format("%s%s%s", prefix, *prefix ? "." : "", key);
		if (!name)
			return FT_EFAIL;
		rc = number ? add_point(run, name, step, json_number_value(v))
		            : add_numbers(run, step, v, name, depth + 1);
		free(name);
		if (rc < 0)
			break;
	}
	return rc;
}

static int add_object(struct ft_run *run, const json_t *v)
{
	const json_t *step = json_object_get(v, "step");
	if (json_is_number(step))
		return add_numbers(run, json_number_value(step), v, "", 0);
	if (json_is_string(json_object_get(v, "task")) && json_is_integer(json_object_get(v, "examples"))) {
		json_decref(run->result);
		run->result = json_incref((json_t *)v);
		return FT_OK;
	}
	return ft_fail(FT_EFORMAT, "neither a line of ft-train's log (no \"step\") nor a result of ft-eval --json");
}

static int add_value(struct ft_run *run, const char *where, json_t *value_taken)
{
	if (!value_taken)
		return ft_last_error();
	int rc = add_object(run, value_taken);
	json_decref(value_taken);
	return rc < 0 ? ft_context(rc, "%s", where) : rc;
}

/* A log has one object a line; its last line may be half there, because
 * ft-train is still at work. A result may have been indented by another program,
 * and is then one object over all lines. */
static int add_lines(struct ft_run *run, const struct ft_buf *b)
{
	const char *text = (const char *)b->data, *end = text + b->len;
	size_t line = 1, objects = 0;
	int rc = FT_OK;
	for (const char *p = text, *next; p < end && rc == FT_OK; p = next, line++) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		next = stop ? stop + 1 : end;
		if (strspn(p, " \t\r\n") >= (size_t)(next - p))
			continue;
		char *where = ft_format("%s:%zu", run->name, line);
		if (!where)
			return FT_EFAIL;
		json_t *v = ft_json_parse(where, p, (size_t)(next - p));
		if (!v && ft_last_error() == FT_EFORMAT && objects == 0 && stop) {
			v = ft_json_parse(run->name, text, b->len);
			next = end;
		}
		if (v || objects == 0 || stop)
			rc = add_value(run, where, v);
		free(where);
		objects++;
	}
	if (rc == FT_OK && objects == 0)
		return ft_fail(FT_EFORMAT, "%s: there is nothing in it", run->name);
	return rc;
}

static int read_all(struct ft_buf *b, const char *path, const char *name)
{
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO, rc = FT_OK;
	if (fd < 0)
		return ft_fail_errno("%s", name);
	for (ssize_t n = 1; n != 0 && rc == FT_OK;) {
		rc = ft_buf_reserve(b, 1 << 16);
		if (rc < 0)
			break;
		n = read(fd, b->data + b->len, (1 << 16) - 1);
		if (n > 0)
			b->len += (size_t)n;
		else if (n < 0 && errno != EINTR)
			rc = ft_fail_errno("%s", name);
	}
	if (rc == FT_OK)
		b->data[b->len] = '\0'; /* strspn() above stops here */
	if (path)
		close(fd);
	return rc;
}

int ft_run_read(struct ft_run *run, const char *path)
{
	bool from_stdin = !path || strcmp(path, "-") == 0;
	/* Of an absolute path only the last part: a page must not show where it was made. */
	const char *slash = from_stdin || path[0] != '/' ? NULL : strrchr(path, '/');
	struct ft_buf b = { 0 };
	*run = (struct ft_run){ .name = ft_strdup(from_stdin ? "stdin" : slash ? slash + 1 : path) };
	int rc = run->name ? read_all(&b, from_stdin ? NULL : path, from_stdin ? "stdin" : path) : FT_EFAIL;
	if (rc == FT_OK)
		rc = add_lines(run, &b);
	ft_buf_free(&b);
	if (rc < 0)
		ft_run_free(run);
	return rc;
}

void ft_run_free(struct ft_run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		free(run->curve[i].name);
		free(run->curve[i].x);
		free(run->curve[i].y);
	}
	free(run->curve);
	free(run->name);
	json_decref(run->result);
	*run = (struct ft_run){ 0 };
}

void ft_curve_smooth(const struct ft_curve *c, double window, double *out)
{
	double keep = window < 2.0 ? 0.0 : 1.0 - 2.0 / (window + 1.0), mean = 0.0, weight = 0.0;
	for (size_t i = 0; i < c->n; i++) {
		if (isfinite(c->y[i])) {
			mean = keep * mean + (1.0 - keep) * c->y[i];
			weight = keep * weight + (1.0 - keep);
		}
		out[i] = weight > 0.0 ? mean / weight : c->y[i];
	}
}
