/* peft_modules.c - which modules a configuration of PEFT means: a list holds ends of their names, a string is a
 * regular expression (Python's) of the whole name; modules that are saved whole are never meant. */
#include "folder.h"

#include "../tok/regex.h"
#include "ft/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define TOO_MUCH 10000 /* entries of a list: a model has a few hundred modules */

/* ---- regular expressions ---- */

static struct tok_regex *whole_regex(const char *pattern)
{
	char *anchored = ft_format("\\A(?:%s)\\z", pattern);
	struct tok_regex *r = anchored ? tok_regex_new(anchored) : NULL;
	free(anchored);
	return r;
}

/* 1, 0, <0 */
static int matches_regex(struct peft_modules *p, const struct tok_regex *r, const char *module)
{
	struct tok_search f = { .regex = r, .s = module, .n = strlen(module), .store = &p->store };
	size_t from, to;
	return tok_search_next(&f, &from, &to);
}

/* The same of a pattern that is used once: a prefix, `pattern`, and another end. */
static int matches_pattern(struct peft_modules *p, const char *before, const char *pattern, const char *behind,
                           const char *module)
{
	char *full = ft_format("%s(?:%s)%s", before, pattern, behind);
	struct tok_regex *r = full ? whole_regex(full) : NULL;
	int rc = r ? matches_regex(p, r, module) : ft_last_error();
	tok_regex_free(r);
	free(full);
	return rc;
}

/* ---- members of the configuration ---- */

static bool is_name(const json_t *v)
{
	return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
}

static int check_list(const struct folder *f, const char *key, const json_t *v)
{
	size_t i;
	json_t *name;
	if (json_typeof(v) != JSON_ARRAY || json_array_size(v) > TOO_MUCH)
		return folder_fail(f, FT_EFORMAT, "%s: not a list of at most %d names", key, TOO_MUCH);
	json_array_foreach(v, i, name)
		if (!is_name(name))
			return folder_fail(f, FT_EFORMAT, "%s: number %zu is not a name", key, i);
	return FT_OK;
}

/* A member that is a list, a string, or null. */
static int read_list(const struct folder *f, const char *key, struct peft_list *l)
{
	const json_t *v = ft_json_get(f->config, key);
	if (!v)
		return FT_OK;
	if (!is_name(v)) {
		l->list = v;
		return check_list(f, key, v);
	}
	l->regex = whole_regex(json_string_value(v));
	return l->regex ? FT_OK : ft_context(ft_last_error(), "%s: " FOLDER_CONFIG ": %s", f->dir, key);
}

static bool ends_with(const char *module, const char *end)
{
	size_t n = strlen(module), k = strlen(end);
	return n >= k && strcmp(module + n - k, end) == 0 && (n == k || module[n - k - 1] == '.');
}

static int matches_list(struct peft_modules *p, const struct peft_list *l, const char *module)
{
	size_t i;
	json_t *name;
	if (l->regex)
		return matches_regex(p, l->regex, module);
	json_array_foreach(l->list, i, name)
		if (ends_with(module, json_string_value(name)))
			return 1;
	return 0;
}

/* ---- layers_to_transform ---- */

static int check_layers(const struct folder *f)
{
	const json_t *layers = ft_json_get(f->config, "layers_to_transform");
	bool right = !layers || json_typeof(layers) == JSON_INTEGER || json_typeof(layers) == JSON_ARRAY;
	size_t i;
	json_t *v;
	json_array_foreach(layers, i, v)
		right = right && json_typeof(v) == JSON_INTEGER;
	return right ? FT_OK : folder_fail(f, FT_EFORMAT, "layers_to_transform: not a layer's number, or a list of them");
}

/* *layer: the number behind the first component `pattern`, or behind any but the first; left alone when there is
 * none. */
static int layer_of(struct peft_modules *p, const char *pattern, const char *module, int *layer)
{
	for (const char *at = strchr(module, '.'); at; at = strchr(at + 1, '.')) {
		if (!isdigit((unsigned char)at[1]))
			continue;
		char *before = ft_strndup(module, (size_t)(at - module));
		int fits = !before ? FT_EFAIL : pattern ? matches_pattern(p, "(?:.*\\.)?", pattern, "", before)
		                              : strchr(before, '.') != NULL;
		free(before);
		if (fits > 0)
			*layer = atoi(at + 1);
		if (fits)
			return fits < 0 ? fits : FT_OK;
	}
	return FT_OK;
}

/* Whether a module that a list names is in one of the layers that are asked for: 1, 0, <0. */
static int in_layers(struct peft_modules *p, const char *module)
{
	const json_t *layers = ft_json_get(p->f->config, "layers_to_transform");
	const json_t *patterns = json_object_get(p->f->config, "layers_pattern"), *one;
	int layer = -1, rc = FT_OK;
	if (!layers || (json_typeof(layers) == JSON_ARRAY && json_array_size(layers) == 0))
		return 1;
	if (p->target.regex)
		return folder_fail(p->f, FT_EFORMAT, "layers_to_transform: has no meaning with a regular expression");
	size_t n = json_is_array(patterns) ? json_array_size(patterns) : is_name(patterns) && json_string_length(patterns);
	for (size_t i = 0; i < (n ? n : 1) && layer < 0 && rc == FT_OK; i++) {
		one = json_is_array(patterns) ? json_array_get(patterns, i) : patterns;
		if (n && !is_name(one))
			return folder_fail(p->f, FT_EFORMAT, "layers_pattern: not a name, or a list of names");
		rc = layer_of(p, n ? json_string_value(one) : NULL, module, &layer);
	}
	if (rc < 0 || layer < 0)
		return rc;
	bool found = json_typeof(layers) == JSON_INTEGER && json_integer_value(layers) == layer;
	for (size_t i = 0; i < json_array_size(layers) && !found; i++)
		found = json_integer_value(json_array_get(layers, i)) == layer;
	return found;
}

/* ---- all of it ---- */

int peft_modules_open(struct peft_modules *p, const struct folder *f)
{
	const json_t *target = json_object_get(f->config, "target_modules");
	*p = (struct peft_modules){ .f = f };
	p->all_linear = is_name(target) && strcasecmp(json_string_value(target), "all-linear") == 0;
	int rc = p->all_linear ? FT_OK : read_list(f, "target_modules", &p->target);
	rc = rc ? rc : read_list(f, "exclude_modules", &p->exclude);
	rc = rc ? rc : read_list(f, "feedforward_modules", &p->inside);
	rc = rc ? rc : check_layers(f);
	if (rc == FT_OK && !p->all_linear && !p->target.list && !p->target.regex)
		rc = folder_fail(f, FT_EFORMAT, "target_modules: missing");
	return rc;
}

void peft_modules_close(struct peft_modules *p)
{
	tok_regex_free(p->target.regex);
	tok_regex_free(p->exclude.regex);
	tok_regex_free(p->inside.regex);
	tok_search_free(p->store);
	*p = (struct peft_modules){ 0 };
}

int peft_modules_want(struct peft_modules *p, const struct site *s)
{
	int rc = p->exclude.list || p->exclude.regex ? matches_list(p, &p->exclude, s->file) : 0;
	if (rc)
		return rc < 0 ? ft_context(rc, "%s: " FOLDER_CONFIG ": exclude_modules", p->f->dir) : 0;
	if (peft_saves(p->f, s->file))
		return 0;
	rc = p->all_linear ? s->kind == SITE_LINEAR : matches_list(p, &p->target, s->file);
	if (rc > 0 && !p->all_linear)
		rc = in_layers(p, s->file);
	return rc < 0 ? ft_context(rc, "%s: " FOLDER_CONFIG ": target_modules", p->f->dir) : rc;
}

/* Ends of names are not whole components here, as PEFT has it. */
int peft_modules_inside(struct peft_modules *p, const struct site *s)
{
	size_t i, n = strlen(s->file), k;
	json_t *name;
	if (!p->inside.list && !p->inside.regex)
		return folder_fail(p->f, FT_EFORMAT, "feedforward_modules: missing");
	if (p->inside.regex) {
		int rc = matches_regex(p, p->inside.regex, s->file);
		return rc < 0 ? ft_context(rc, "%s: " FOLDER_CONFIG ": feedforward_modules", p->f->dir) : rc;
	}
	json_array_foreach(p->inside.list, i, name) {
		k = json_string_length(name);
		if (k <= n && strcmp(s->file + n - k, json_string_value(name)) == 0)
			return 1;
	}
	return 0;
}

int peft_pattern(struct peft_modules *p, const char *key, const char *module, double absent, double *number)
{
	json_t *patterns = ft_json_get(p->f->config, key), *v;
	const char *pattern;
	*number = absent;
	if (patterns && (json_typeof(patterns) != JSON_OBJECT || json_object_size(patterns) > TOO_MUCH))
		return folder_fail(p->f, FT_EFORMAT, "%s: not an object of at most %d patterns", key, TOO_MUCH);
	json_object_foreach(patterns, pattern, v) {
		int rc = ends_with(module, pattern) ? 1 : matches_pattern(p, "(?:.*\\.)?", pattern, "", module);
		if (rc < 0)
			return ft_context(rc, "%s: " FOLDER_CONFIG ": %s", p->f->dir, key);
		if (rc && !json_is_number(v))
			return folder_fail(p->f, FT_EFORMAT, "%s: '%.120s': not a number", key, pattern);
		if (!rc)
			continue;
		*number = json_number_value(v);
		return FT_OK;
	}
	return FT_OK;
}

int peft_check_saved(const struct folder *f)
{
	const json_t *saved = ft_json_get(f->config, "modules_to_save");
	return saved ? check_list(f, "modules_to_save", saved) : FT_OK;
}

/* As a component of the name, or some of them. (PEFT takes any end of a component's name; what it saves then is
 * in the file, and is read.) */
bool peft_saves(const struct folder *f, const char *file)
{
	const json_t *saved = json_object_get(f->config, "modules_to_save");
	size_t i, n;
	json_t *name;
	json_array_foreach(saved, i, name) {
		const char *want = json_string_value(name);
		n = strlen(want);
		for (const char *at = file; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL)
			if (strncmp(at, want, n) == 0 && (at[n] == '.' || !at[n]))
				return true;
	}
	return false;
}
