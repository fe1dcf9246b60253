/* odd.h - JSON with each of its values left out, and then in the place of each every other kind of value. */
#ifndef FT_TESTS_ODD_H
#define FT_TESTS_ODD_H

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* The whole with one value changed. `path` are the names of the members that it is in, and its own: "config.layers". */
typedef void odd_function(void *ctx, const json_t *whole, const char *path, const char *value);

static const char *const odd_values[] = {
	"null", "true", "false", "-1", "0", "1.5", "9223372036854775807", "\"\"", "\"x\"", "[]", "[7]", "[\"x\",\"\"]", "{}", "{\"x\":1}",
};

struct odd {
	json_t *whole;
	odd_function *f;
	void *ctx;
};

static void odd_value(const struct odd *o, json_t *in, const char *name, size_t i, const char *path);

/* Each value that is in it. */
static void odd_inside(const struct odd *o, json_t *in, const char *path)
{
	json_t *members = json_is_object(in) ? json_copy(in) : NULL, *v; /* whose order stays, and whose names live on */
	const char *name;
	for (size_t i = 0, n = json_array_size(in); i < n; i++)
		odd_value(o, in, NULL, i, path);
	json_object_foreach(members, name, v) {
		char own[400];
		snprintf(own, sizeof own, "%s%s%s", path, *path ? "." : "", name);
		odd_value(o, in, name, 0, own);
	}
	json_decref(members);
}

/* Takes over v. */
static void odd_put(json_t *in, const char *name, size_t i, json_t *v)
{
	if (name)
		json_object_set_new(in, name, v);
	else
		json_array_set_new(in, i, v);
}

static void odd_value(const struct odd *o, json_t *in, const char *name, size_t i, const char *path)
{
	json_t *old = json_incref(name ? json_object_get(in, name) : json_array_get(in, i));
	odd_inside(o, old, path);
	if (name)
		json_object_del(in, name);
	else
		json_array_remove(in, i);
	o->f(o->ctx, o->whole, path, "nothing");
	if (!name)
		json_array_insert(in, i, old);
	for (size_t k = 0; k < sizeof odd_values / sizeof *odd_values; k++) {
		odd_put(in, name, i, json_loads(odd_values[k], JSON_DECODE_ANY, NULL));
		o->f(o->ctx, o->whole, path, odd_values[k]);
	}
	odd_put(in, name, i, old);
}

/* Whether a text has one of the names of a path. */
__attribute__((unused)) static int odd_names(const char *text, const char *path)
{
	char copy[400], *rest = copy, *name;
	int any = 0;
	snprintf(copy, sizeof copy, "%s", path);
	while ((name = strsep(&rest, ".")))
		any |= strstr(text, name) != NULL;
	return any;
}

/* Calls f with every change of `whole`, which is as it was afterwards (but for the order of members). */
__attribute__((unused)) static void odd_each(json_t *whole, odd_function *f, void *ctx)
{
	struct odd o = { whole, f, ctx };
	odd_inside(&o, whole, "");
}

#endif
