/* value.c - values: made of JSON, compared, gone through. */
#include "priv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

struct value undefined(struct run *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	size_t n = strlen(text) + 1;
	return (struct value){ .kind = UNDEFINED, .why = memcpy(take(r, n, 1), text, n) };
}

void stop_undefined(struct run *r, struct value v)
{
	stop(r, "%s", v.why);
}

const char *kind_name(struct value v)
{
	static const char *const names[] = {
		[UNDEFINED] = "Undefined", [NONE] = "None", [BOOL] = "bool", [INT] = "int", [REAL] = "float",
		[TEXT] = "str", [LIST] = "list", [TUPLE] = "tuple", [VIEW] = "dict_items", [STREAM] = "generator",
		[MAP] = "dict", [SPACE] = "namespace", [MACRO] = "macro", [FUNCTION] = "function",
		[METHOD] = "method", [LOOP] = "loop",
	};
	return v.kind < sizeof names / sizeof *names && names[v.kind] ? names[v.kind] : "nothing";
}

/* ---- lists and maps ---- */
struct list *list_new(struct run *r, size_t n)
{
	struct list *l = take(r, 1, sizeof *l);
	l->at = n ? take(r, n, sizeof *l->at) : NULL;
	l->n = n;
	return l;
}

void list_add(struct run *r, struct list *l, struct value v)
{
	l->at = one_more(r, l->at, l->n, sizeof *l->at);
	l->at[l->n++] = v;
}

struct map *map_new(struct run *r)
{
	return take(r, 1, sizeof(struct map));
}

struct value *map_find(struct run *r, const struct map *m, struct value key)
{
	spend(r, m->n / 16);
	for (size_t i = 0; i < m->n; i++)
		if (equal(r, m->at[i].key, key))
			return &m->at[i].value;
	return NULL;
}

struct value *map_named(struct run *r, const struct map *m, const struct text *name)
{
	return map_find(r, m, of_text(name));
}

void map_set(struct run *r, struct map *m, struct value key, struct value v)
{
	if (is_list(key) ? key.kind != TUPLE : key.kind == MAP)
		stop(r, "unhashable type: '%s'", kind_name(key));
	struct value *old = map_find(r, m, key);
	if (old) {
		*old = v;
		return;
	}
	m->at = one_more(r, m->at, m->n, sizeof *m->at);
	m->at[m->n++] = (struct pair){ key, v };
}

/* ---- JSON ---- */
static struct value of_object(struct run *r, const json_t *j, uint8_t mark)
{
	struct map *m = map_new(r);
	const char *key;
	size_t n = json_object_size(j);
	json_t *v;
	m->at = n ? take(r, n, sizeof *m->at) : NULL;
	json_object_foreach((json_t *)j, key, v) /* keys differ: the parser saw to it */
		m->at[m->n++] = (struct pair){ of_text(text_of(r, key, strlen(key), mark)), of_json(r, v, mark) };
	return (struct value){ .kind = MAP, .mark = mark, .map = m };
}

/* Texts are those of `j`, which must stay. */
struct value of_json(struct run *r, const json_t *j, uint8_t mark)
{
	struct value v = of_none();
	enter(r);
	if (json_is_string(j))
		v = of_text(text_of(r, json_string_value(j), json_string_length(j), mark));
	else if (json_is_integer(j))
		v = of_int(json_integer_value(j));
	else if (json_is_real(j))
		v = of_real(json_real_value(j));
	else if (json_is_boolean(j))
		v = of_bool(json_is_true(j));
	else if (json_is_object(j))
		v = of_object(r, j, mark);
	else if (json_is_array(j)) {
		v = of_list(LIST, list_new(r, json_array_size(j)));
		for (size_t i = 0; i < v.list->n; i++)
			v.list->at[i] = of_json(r, json_array_get(j, i), mark);
	}
	v.mark = mark;
	leave(r);
	return v;
}

/* ---- comparing ---- */
double real_of(struct value v)
{
	return v.kind == REAL ? v.r : v.kind == BOOL ? v.yes : (double)v.i;
}

static int64_t whole(struct value v)
{
	return v.kind == BOOL ? v.yes : v.i;
}

bool truth(struct value v)
{
	switch ((enum kind)v.kind) {
	case ABSENT: case UNDEFINED: case NONE: return false;
	case BOOL: return v.yes;
	case INT: return v.i != 0;
	case REAL: return v.r != 0;
	case TEXT: return v.t->n > 0;
	case LIST: case TUPLE: case VIEW: return v.list->n > 0;
	case MAP: return v.map->n > 0;
	default: return true;
	}
}

static bool same_lists(struct run *r, const struct list *a, const struct list *b)
{
	bool same = a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++)
		same = equal(r, a->at[i], b->at[i]);
	return same;
}

static bool same_maps(struct run *r, const struct map *a, const struct map *b)
{
	bool same = a->n == b->n;
	for (size_t i = 0; same && i < a->n; i++) {
		const struct value *v = map_find(r, b, a->at[i].key);
		same = v && equal(r, a->at[i].value, *v);
	}
	return same;
}

static int order(double a, double b)
{
	return a < b ? -1 : a > b;
}

static int order_numbers(struct value a, struct value b)
{
	if (a.kind == REAL || b.kind == REAL)
		return order(real_of(a), real_of(b));
	return whole(a) < whole(b) ? -1 : whole(a) > whole(b);
}

bool equal(struct run *r, struct value a, struct value b)
{
	if (is_number(a) && is_number(b)) {
		bool real = a.kind == REAL || b.kind == REAL;
		return real ? real_of(a) == real_of(b) : whole(a) == whole(b); /* a NaN equals nothing */
	}
	if (a.kind != b.kind)
		return false;
	if (a.kind == TEXT)
		return text_same(a.t, b.t);
	bool same = true;
	enter(r);
	if (a.kind == LIST || a.kind == TUPLE)
		same = same_lists(r, a.list, b.list);
	else if (a.kind == MAP)
		same = same_maps(r, a.map, b.map);
	else if (a.kind > TEXT)
		same = a.list == b.list; /* the same thing */
	leave(r);
	return same;
}

static int compare_texts(const struct text *a, const struct text *b)
{
	int d = memcmp(a->s, b->s, a->n < b->n ? a->n : b->n);
	return d ? (d < 0 ? -1 : 1) : a->n < b->n ? -1 : a->n > b->n;
}

int compare(struct run *r, struct value a, struct value b)
{
	spend(r, 1);
	if (is_number(a) && is_number(b))
		return order_numbers(a, b);
	if (a.kind == TEXT && b.kind == TEXT)
		return compare_texts(a.t, b.t);
	if (a.kind == UNDEFINED || b.kind == UNDEFINED)
		stop_undefined(r, a.kind == UNDEFINED ? a : b);
	if (a.kind != b.kind || (a.kind != LIST && a.kind != TUPLE))
		stop(r, "there is no order between '%s' and '%s'", kind_name(a), kind_name(b));
	enter(r);
	size_t n = a.list->n < b.list->n ? a.list->n : b.list->n, i = 0;
	while (i < n && equal(r, a.list->at[i], b.list->at[i]))
		i++;
	int d = i < n ? compare(r, a.list->at[i], b.list->at[i]) : order((double)a.list->n, (double)b.list->n);
	leave(r);
	return d;
}

/* ---- going through ---- */
static struct list *chars_of(struct run *r, const struct text *t)
{
	struct list *l = list_new(r, text_chars(t));
	size_t i = 0, len;
	int32_t c;
	for (size_t at = 0; at < t->n; at += len) {
		len = char_get(t->s + at, t->n - at, &c);
		l->at[i++] = of_text(text_part(r, t, at, at + len));
	}
	return l;
}

struct list *pairs_of(struct run *r, struct value v)
{
	struct list *l = list_new(r, v.map->n);
	for (size_t i = 0; i < l->n; i++) {
		struct list *pair = list_new(r, 2);
		pair->at[0] = v.map->at[i].key;
		pair->at[1] = v.map->at[i].value;
		l->at[i] = of_list(TUPLE, pair);
		l->at[i].mark = v.mark;
	}
	return l;
}

struct list *items_of(struct run *r, struct value v)
{
	static struct list empty;
	struct list *keys;
	switch ((enum kind)v.kind) {
	case UNDEFINED:
		return &empty;
	case TEXT:
		return chars_of(r, v.t);
	case STREAM:
		if (v.list->spent)
			return &empty;
		v.list->spent = true;
		return v.list;
	case LIST: case TUPLE: case VIEW:
		return v.list;
	case MAP:
		keys = list_new(r, v.map->n);
		for (size_t i = 0; i < keys->n; i++)
			keys->at[i] = v.map->at[i].key;
		return keys;
	default:
		stop(r, "'%s' object is not iterable", v.kind == NONE ? "NoneType" : kind_name(v));
	}
}

/* ---- sorting: stable, by merging ---- */
struct sorting { struct run *run; const struct value *keys; bool down; };

/* Equal keys need no order: undefined ones have none. */
static int compare_keys(const struct sorting *s, size_t a, size_t b)
{
	return equal(s->run, s->keys[a], s->keys[b]) ? 0 : compare(s->run, s->keys[a], s->keys[b]);
}

static void merge(const struct sorting *s, size_t *at, size_t *spare, size_t from, size_t to)
{
	if (to - from < 2)
		return;
	size_t middle = from + (to - from) / 2, a = from, b = middle;
	merge(s, at, spare, from, middle);
	merge(s, at, spare, middle, to);
	for (size_t i = from; i < to; i++) {
		int d = a == middle ? 1 : b == to ? -1 : compare_keys(s, at[a], at[b]);
		bool left = a < middle && (b == to || (s->down ? d >= 0 : d <= 0));
		spare[i] = at[left ? a++ : b++];
	}
	memcpy(at + from, spare + from, (to - from) * sizeof *at);
}

struct value sorted(struct run *r, struct list *l, const struct list *keys, bool down)
{
	struct sorting s = { .run = r, .keys = keys->at, .down = down };
	size_t *at = take(r, l->n + 1, sizeof *at), *spare = take(r, l->n + 1, sizeof *spare);
	struct list *out = list_new(r, l->n);
	for (size_t i = 0; i < l->n; i++)
		at[i] = i;
	merge(&s, at, spare, 0, l->n);
	for (size_t i = 0; i < l->n; i++)
		out->at[i] = l->at[at[i]];
	return of_list(LIST, out);
}
