/* config.c - what is said of a technique: from a command line's text to meta.adapt, and what is
 * read from there checked. */
#include "priv.h"

#include "ft/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct technique *const techniques[] = {
#define X(name, ...) &technique_##name,
#include "techniques.def"
#undef X
};

const struct technique *adapt_find(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof techniques / sizeof *techniques; i++)
		if (strlen(techniques[i]->name) == n && memcmp(techniques[i]->name, name, n) == 0)
			return techniques[i];
	return NULL;
}

static const struct adapt_key *find_key(const struct technique *t, const char *name, size_t n)
{
	for (const struct adapt_key *k = t->keys; k->kind != KEY_END; k++)
		if (strlen(k->name) == n && memcmp(k->name, name, n) == 0)
			return k;
	return NULL;
}

/* The names that a key may be, or NULL. */
static const char *const *names_of(const struct technique *t, const struct adapt_key *k)
{
	for (const struct adapt_names *n = t->names; n && n->key; n++)
		if (strcmp(n->key, k->name) == 0)
			return n->names;
	return NULL;
}

static json_t *number_json(const struct adapt_key *k, double v)
{
	return k->kind == KEY_FLAG ? json_boolean(v != 0) : k->kind == KEY_INT ? json_integer((json_int_t)v) : json_real(v);
}

static int check_number(const struct technique *t, const struct adapt_key *k, double v, int code)
{
	if (!(v >= k->least && v <= k->most))
		return ft_fail(code, "%s: %s: %g is not in %g .. %g", t->name, k->name, v, k->least, k->most);
	if (k->kind == KEY_INT && v != floor(v))
		return ft_fail(code, "%s: %s: %g is not a whole number", t->name, k->name, v);
	return FT_OK;
}

/* ---- the text "r=8,rslora,r:*.ffn.*=16,sites=*.attn.q" ---- */
static int unknown_key(const struct technique *t, const char *item)
{
	struct ft_buf known = { 0 };
	int rc = FT_OK;
	for (const struct adapt_key *k = t->keys; rc == FT_OK && k->kind != KEY_END; k++)
		rc = ft_buf_printf(&known, " %s", k->name);
	if (rc == FT_OK)
		rc = ft_fail(FT_EUSAGE, "--%s: '%s' is not known; there are: sites rate%.*s", t->name, item, (int)known.len,
		             known.len ? (const char *)known.data : "");
	ft_buf_free(&known);
	return rc;
}

/* 1: it is one of the names that the key may have; 0: none, which it may be, too. */
static int check_name(const struct technique *t, const struct adapt_key *k, const char *name, int code)
{
	char known[200] = "";
	size_t n = 0;
	for (const char *const *s = names_of(t, k); s && *s; s++) {
		if (strcmp(*s, name) == 0)
			return 1;
		n += (size_t)snprintf(known + n, sizeof known - n, " %s", *s);
	}
	return k->kind == KEY_NAME
	           ? ft_fail(code, "%s: %s: '%.60s' is not known; there are:%s", t->name, k->name, name, known)
	           : 0;
}

static int parse_number(const struct technique *t, const char *item, const char *value, double *v)
{
	char *end;
	*v = strtod(value, &end);
	if (end == value || *end || !isfinite(*v))
		return ft_fail(FT_EUSAGE, "--%s: %s: '%s' is not a number", t->name, item, value);
	return FT_OK;
}

static int append(json_t *o, const char *list, json_t *item)
{
	json_t *a = json_object_get(o, list);
	int rc = a || ft_json_set(o, list, json_array()) == FT_OK ? FT_OK : FT_EFAIL;
	if (rc == FT_OK && item && json_array_append(json_object_get(o, list), item) < 0)
		rc = FT_EFAIL;
	if (!item)
		rc = ft_fail(FT_EUSAGE, "%s: a glob that is not UTF-8", list);
	json_decref(item);
	return rc;
}

static int set_text(const struct technique *t, json_t *o, const struct adapt_key *k, const char *value)
{
	json_t *text = json_string(value);
	return text ? ft_json_set(o, k->name, text) : ft_fail(FT_EUSAGE, "--%s: %s: is not UTF-8", t->name, k->name);
}

/* One KEY=VALUE, KEY:GLOB=VALUE or KEY, of which `value` is NULL or what follows the last "=". */
static int set_key(const struct technique *t, json_t *o, const char *key, const char *value)
{
	static const struct adapt_key rate = { "rate", KEY_REAL, 0, 1e-9, 1e9, false };
	double v = 1;
	if (value && strcmp(key, "sites") == 0)
		return append(o, "sites", json_string(value));
	size_t n = strcspn(key, ":");
	const char *glob = key[n] ? key + n + 1 : NULL;
	const struct adapt_key *k = strcmp(key, "rate") == 0 ? &rate : find_key(t, key, n);
	if (!k || (glob && !k->by_site) || (!value && k->kind != KEY_FLAG))
		return unknown_key(t, key);
	if (k->kind == KEY_TEXT)
		return set_text(t, o, k, value);
	if (k->kind == KEY_FLAG)
		return value ? ft_fail(FT_EUSAGE, "--%s: %s takes no value", t->name, key)
		             : ft_json_set(o, k->name, json_true());
	int rc = check_name(t, k, value, FT_EUSAGE);
	if (rc > 0)
		return ft_json_set(o, k->name, json_string(value));
	rc = rc ? rc : parse_number(t, key, value, &v);
	rc = rc ? rc : check_number(t, k, v, FT_EUSAGE);
	if (rc < 0)
		return rc;
	return glob ? append(o, "patterns", json_pack("[s,s,f]", k->name, glob, v))
	            : ft_json_set(o, k->name, number_json(k, v));
}

static int parse_item(const struct technique *t, json_t *o, char *item)
{
	char *equals = strrchr(item, '=');
	const struct adapt_key *k = find_key(t, item, strcspn(item, "="));
	if (strncmp(item, "sites=", 6) == 0 || (k && k->kind == KEY_TEXT))
		equals = strchr(item, '=');
	if (equals)
		*equals = 0;
	return set_key(t, o, item, equals ? equals + 1 : NULL);
}

/* The next item: up to a comma, but of a text to the end. */
static char *next_item(const struct technique *t, char **rest)
{
	size_t n = strcspn(*rest, "=,");
	const struct adapt_key *k = (*rest)[n] == '=' ? find_key(t, *rest, n) : NULL;
	if (!k || k->kind != KEY_TEXT)
		return strsep(rest, ",");
	char *item = *rest;
	*rest = NULL;
	return item;
}

/* What was not said, so that a plan means the same when other things become usual. */
static int set_absent(const struct technique *t, json_t *o)
{
	double usual = t->usual_rate ? t->usual_rate(o) : t->rate;
	int rc = json_object_get(o, "rate") ? FT_OK : ft_json_set(o, "rate", json_real(usual));
	for (const struct adapt_key *k = t->keys; rc == FT_OK && k->kind != KEY_END; k++)
		if (k->kind != KEY_TEXT && !json_object_get(o, k->name))
			rc = ft_json_set(o, k->name,
			                 k->kind == KEY_NAME ? json_string(names_of(t, k)[0]) : number_json(k, k->absent));
	return rc;
}

json_t *adapt_parse(const struct technique *t, const char *text)
{
	json_t *o = json_pack("{s:s}", "type", t->name);
	char *copy = ft_strdup(text), *rest = copy;
	int rc = !copy ? FT_EFAIL : o ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a technique");
	while (rc == FT_OK && rest && *rest)
		rc = parse_item(t, o, next_item(t, &rest));
	if (rc == FT_OK && t->complete)
		rc = t->complete(o);
	rc = rc ? rc : set_absent(t, o);
	free(copy);
	if (rc == FT_OK)
		return o;
	json_decref(o);
	return NULL;
}

/* ---- what was read ---- */
static int check_patterns(const struct technique *t, const json_t *patterns)
{
	size_t i;
	json_t *p;
	json_array_foreach(patterns, i, p) {
		const char *name = json_string_value(json_array_get(p, 0));
		const struct adapt_key *k = name ? find_key(t, name, strlen(name)) : NULL;
		const json_t *v = json_array_get(p, 2);
		if (!k || !k->by_site || !json_is_string(json_array_get(p, 1)) || !json_is_number(v))
			return ft_fail(FT_EFORMAT, "%s: patterns: number %zu is not [key, glob, number]", t->name, i);
		int rc = check_number(t, k, json_number_value(v), FT_EFORMAT);
		if (rc < 0)
			return rc;
	}
	return FT_OK;
}

static int check_globs(const struct technique *t, const json_t *globs)
{
	size_t i;
	json_t *glob;
	json_array_foreach(globs, i, glob)
		if (!json_is_string(glob))
			return ft_fail(FT_EFORMAT, "%s: sites: number %zu is not a glob", t->name, i);
	return FT_OK;
}

static int check_key(const struct technique *t, const struct adapt_key *k, const json_t *config)
{
	int err = FT_OK;
	double v = k->least;
	const json_t *name = names_of(t, k) ? json_object_get(config, k->name) : NULL;
	if (k->kind == KEY_NAME ? name != NULL : json_is_string(name)) {
		int rc = check_name(t, k, json_is_string(name) ? json_string_value(name) : "?", FT_EFORMAT);
		if (rc == 0)
			rc = ft_fail(FT_EFORMAT, "%s: %s: neither a number nor a name of it", t->name, k->name);
		return rc < 0 ? rc : FT_OK;
	}
	switch (k->kind) {
	case KEY_NAME: return FT_OK;
	case KEY_FLAG: ft_json_bool(config, k->name, false, &err); return err;
	case KEY_TEXT: ft_json_str(config, k->name, NULL, &err); return err;
	case KEY_INT: v = (double)ft_json_int(config, k->name, (int64_t)k->absent, &err); break;
	default: v = ft_json_real(config, k->name, k->absent, &err);
	}
	return err ? err : check_number(t, k, v, FT_EFORMAT);
}

int adapt_check(const struct technique *t, const json_t *config)
{
	int err = FT_OK;
	for (const struct adapt_key *k = t->keys; err == FT_OK && k->kind != KEY_END; k++)
		err = check_key(t, k, config);
	if (err < 0)
		return err;
	double rate = ft_json_real(config, "rate", t->rate, &err);
	if (err < 0 || !(rate > 0 && rate < 1e9))
		return ft_fail(FT_EFORMAT, "%s: rate: not a number above 0", t->name);
	int rc = check_globs(t, json_object_get(config, "sites"));
	return rc ? rc : check_patterns(t, json_object_get(config, "patterns"));
}

/* ---- reading it ---- */
double adapt_number(const struct attached *a, const char *key, const struct site *s)
{
	const struct adapt_key *k = find_key(a->kind, key, strlen(key));
	double v = ft_json_real(a->adapter->config, key, k->absent, NULL);
	size_t i;
	json_t *p;
	json_array_foreach(json_object_get(a->adapter->config, "patterns"), i, p)
		if (strcmp(json_string_value(json_array_get(p, 0)), key) == 0 &&
		    adapt_matches(json_string_value(json_array_get(p, 1)), s))
			v = json_number_value(json_array_get(p, 2));
	return v;
}

const char *adapt_name(const struct attached *a, const char *key)
{
	const struct adapt_key *k = find_key(a->kind, key, strlen(key));
	const char *name = json_string_value(json_object_get(a->adapter->config, key));
	return name || k->kind != KEY_NAME ? name : names_of(a->kind, k)[0];
}

bool adapt_flag(const struct attached *a, const char *key)
{
	return ft_json_bool(a->adapter->config, key, false, NULL);
}

double adapt_rate(const struct adapter *a)
{
	return ft_json_real(a->config, "rate", a->kind->rate, NULL);
}
