/* functions.c - functions of templates, and where builtins are found by name. */
#include "priv.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* ---- functions ---- */
static BUILTIN(function_raise)
{
	(void)self;
	const struct text *t = show(r, a->at[0]);
	stop(r, "the template refuses this: %.*s", (int)(t->n < 800 ? t->n : 800), t->s);
}

/* The day that a prompt speaks of; SOURCE_DATE_EPOCH keeps it. */
static BUILTIN(function_date)
{
	char format[128], out[512], *end;
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	const struct text *t = text_arg(r, a, 0);
	struct tm tm;
	(void)self;
	errno = 0;
	time_t now = epoch ? (time_t)strtoll(epoch, &end, 10) : time(NULL);
	if (epoch && (!*epoch || *end || errno))
		stop(r, "SOURCE_DATE_EPOCH must be a number of seconds, not '%s'", epoch);
	if (!(epoch ? gmtime_r(&now, &tm) : localtime_r(&now, &tm)) || t->n >= sizeof format)
		stop(r, "strftime_now cannot write this date");
	memcpy(format, t->s, t->n);
	format[t->n] = 0;
	size_t n = strftime(out, sizeof out, format, &tm);
	char *copy = take(r, n + 1, 1);
	memcpy(copy, out, n);
	return of_text(text_of(r, copy, n, mark_of(t)));
}

/* The members of a mapping, and what is given by name. */
static struct map *made(struct run *r, const struct args *a, const char *what)
{
	struct map *m = map_new(r);
	if (a->n > 1 || (a->n && a->at[0].kind != MAP))
		stop(r, "%s() takes a mapping and named values", what);
	for (size_t i = 0; a->n && i < a->at[0].map->n; i++)
		map_set(r, m, a->at[0].map->at[i].key, a->at[0].map->at[i].value);
	for (size_t i = 0; i < a->nnamed; i++)
		map_set(r, m, a->named[i].key, a->named[i].value);
	return m;
}

static BUILTIN(function_namespace)
{
	struct value v = { .kind = SPACE, .map = made(r, a, "namespace") };
	(void)self;
	for (size_t i = 0; i < v.map->n; i++) {
		struct value key = v.map->at[i].key;
		if (key.kind == TEXT && key.t->n && *key.t->s == '_')
			stop(r, "a namespace cannot have '%.*s'", (int)(key.t->n < 100 ? key.t->n : 100), key.t->s);
	}
	return v;
}

static BUILTIN(function_dict)
{
	(void)self;
	return (struct value){ .kind = MAP, .map = made(r, a, "dict") };
}

static BUILTIN(function_range)
{
	(void)self;
	int64_t start = given(a, 1) ? int_arg(r, a, 0, 0) : 0, stop_at = int_arg(r, a, given(a, 1) ? 1 : 0, 0);
	int64_t step = int_arg(r, a, 2, 1), way, n = 0;
	if (!step)
		stop(r, "range() needs a step other than 0");
	if (__builtin_sub_overflow(stop_at, start, &way) || step == INT64_MIN)
		stop(r, "a range of more than %d numbers", CHAT_RANGE);
	if (way && (way > 0) == (step > 0))
		n = (way - (way > 0 ? 1 : -1)) / step + 1;
	if (n > CHAT_RANGE)
		stop(r, "a range of more than %d numbers", CHAT_RANGE);
	struct list *l = list_new(r, (size_t)n);
	for (int64_t i = 0; i < n; i++)
		l->at[i] = of_int(start + i * step);
	return of_list(LIST, l);
}

/* ---- tables ---- */
static const struct builtin functions[] = {
#define X(name, function, least, params) { #name, least, params, function_##function },
#include "functions.def"
#undef X
};

const struct builtin *find_builtin(const struct builtin *table, size_t n, const struct text *name)
{
	for (size_t i = 0; i < n; i++)
		if (text_is(name, table[i].name))
			return &table[i];
	return NULL;
}

const struct builtin *find_function(const struct text *name)
{
	return find_builtin(functions, sizeof functions / sizeof *functions, name);
}
