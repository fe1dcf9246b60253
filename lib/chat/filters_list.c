/* filters_list.c - filters of lists and mappings. */
#include "filters.h"

/* ---- by attribute ---- */
/* A part of a path: a number, or the name of a member. */
static struct value step_of(const struct text *part)
{
	bool digits = part->n > 0 && part->n < 10;
	int64_t i = 0;
	for (size_t k = 0; digits && k < part->n; k++) {
		digits = part->s[k] >= '0' && part->s[k] <= '9';
		i = 10 * i + (part->s[k] - '0');
	}
	return digits ? of_int(i) : of_text(part);
}

/* v.a.b or v.0.a, as `attribute=` and map, selectattr… name it. `absent`, where it is given, stands for each step that
 * is not there. */
static struct value path_or(struct run *r, struct value v, struct value name, struct value absent)
{
	bool has = absent.kind != ABSENT && absent.kind != NONE;
	if (name.kind == INT) {
		v = item(r, v, name);
		return v.kind == UNDEFINED && has ? absent : v;
	}
	if (name.kind != TEXT)
		stop(r, "an attribute's name must be a text, not '%s'", kind_name(name));
	struct text dot = { .s = ".", .n = 1 };
	for (size_t from = 0, end; from <= name.t->n; from = end + 1) {
		end = text_find(name.t, from, &dot);
		end = end == SIZE_MAX ? name.t->n : end;
		v = item(r, v, step_of(text_part(r, name.t, from, end)));
		v = v.kind == UNDEFINED && has ? absent : v;
	}
	return v;
}

static struct value path(struct run *r, struct value v, struct value name)
{
	return path_or(r, v, name, (struct value){ .kind = ABSENT });
}

/* What items are compared by: themselves or an attribute, texts in lower case. */
static struct value key_of(struct run *r, struct value v, struct value name, bool sensitive)
{
	if (name.kind != ABSENT && name.kind != NONE)
		v = path(r, v, name);
	return v.kind == TEXT && !sensitive ? of_text(letters(r, v.t, LOWER)) : v;
}

static struct list *keys_of(struct run *r, const struct list *l, struct value name, bool sensitive)
{
	struct list *keys = list_new(r, l->n);
	for (size_t i = 0; i < l->n; i++)
		keys->at[i] = key_of(r, l->at[i], name, sensitive);
	return keys;
}

/* ---- choosing ---- */
/* The arguments behind the first `n`, with all that are given by name. */
static struct args behind(const struct args *a, size_t n)
{
	return (struct args){ .at = a->at + n, .n = a->n - n, .named = a->named, .nnamed = a->nnamed };
}

/* The filters of this group take whatever is false for an empty list. */
static struct list *some_of(struct run *r, struct value v)
{
	return truth(v) ? items_of(r, v) : list_new(r, 0);
}

static struct value choose(struct run *r, struct value self, struct args *a, bool by_attribute, bool wanted)
{
	struct list *l = some_of(r, self), *out = list_new(r, 0);
	size_t n = by_attribute;
	const struct builtin *test = NULL;
	if (a->n < n)
		stop(r, "an attribute's name is missing");
	if (a->n > n) {
		const struct text *name = text_arg(r, a, n);
		test = find_test(name);
		if (!test)
			stop(r, "the test '%.*s' is not supported", (int)(name->n < 60 ? name->n : 60), name->s);
	}
	for (size_t i = 0; i < l->n; i++) {
		struct value v = by_attribute ? path(r, l->at[i], a->at[0]) : l->at[i];
		struct args rest = test ? behind(a, n + 1) : (struct args){ 0 };
		spend(r, 1);
		if ((test ? run_test(r, test, v, &rest) : truth(v)) == wanted)
			list_add(r, out, l->at[i]);
	}
	return of_list(STREAM, out);
}

FILTER_OF(select) { return choose(r, self, a, false, true); }
FILTER_OF(reject) { return choose(r, self, a, false, false); }
FILTER_OF(selectattr) { return choose(r, self, a, true, true); }
FILTER_OF(rejectattr) { return choose(r, self, a, true, false); }

/* map(attribute='a', default=…): of each, its attribute. */
static struct value map_attribute(struct run *r, struct list *l, const struct args *a)
{
	struct value name = { .kind = ABSENT }, absent = name;
	for (size_t i = 0; i < a->nnamed; i++) {
		bool attribute_name = text_is(a->named[i].key.t, "attribute");
		if (!attribute_name && !text_is(a->named[i].key.t, "default"))
			stop(r, "map takes 'attribute' and 'default', or a filter");
		*(attribute_name ? &name : &absent) = a->named[i].value;
	}
	struct list *out = list_new(r, l->n);
	for (size_t i = 0; i < l->n; i++)
		out->at[i] = path_or(r, l->at[i], name, absent);
	return of_list(STREAM, out);
}

FILTER_OF(map)
{
	struct list *l = some_of(r, self);
	if (!a->n)
		return map_attribute(r, l, a);
	const struct text *name = text_arg(r, a, 0);
	const struct builtin *filter = find_filter(name);
	if (!filter)
		stop(r, "the filter '%.*s' is not supported", (int)(name->n < 60 ? name->n : 60), name->s);
	struct list *out = list_new(r, l->n);
	for (size_t i = 0; i < l->n; i++) {
		struct args rest = behind(a, 1);
		out->at[i] = call_builtin(r, filter, l->at[i], &rest);
	}
	return of_list(STREAM, out);
}

/* ---- the whole list ---- */
FILTER_OF(length)
{
	(void)a;
	if (self.kind == TEXT)
		return of_int((int64_t)text_chars(self.t));
	if (self.kind == MAP)
		return of_int((int64_t)self.map->n);
	if (self.kind == UNDEFINED)
		return of_int(0);
	if (self.kind == LOOP)
		return of_int((int64_t)self.loop->items->n);
	if (!is_list(self) || self.kind == STREAM)
		stop(r, "object of type '%s' has no length", kind_name(self));
	return of_int((int64_t)self.list->n);
}

FILTER_OF(list)
{
	(void)a;
	struct list *l = items_of(r, self), *own = list_new(r, 0);
	own->at = l->at; /* shares the elements, which do not change */
	own->n = l->n;
	return of_list(LIST, own);
}

FILTER_OF(first)
{
	(void)a;
	struct list *l = items_of(r, self);
	return l->n ? l->at[0] : undefined(r, "No first item, sequence was empty.");
}

FILTER_OF(last)
{
	(void)a;
	if (self.kind == STREAM)
		stop(r, "last needs a list, not a generator");
	struct list *l = items_of(r, self);
	return l->n ? l->at[l->n - 1] : undefined(r, "No last item, sequence was empty.");
}

FILTER_OF(reverse)
{
	(void)a;
	static const struct value backwards[3] = { { .kind = NONE }, { .kind = NONE }, { .kind = INT, .i = -1 } };
	if (self.kind == TEXT)
		return slice(r, self, backwards);
	struct value v = slice(r, of_list(LIST, items_of(r, self)), backwards);
	v.kind = STREAM;
	return v;
}

FILTER_OF(join)
{
	struct list *l = items_of(r, self);
	const struct text *between = given(a, 0) ? show(r, a->at[0]) : text_str(r, "");
	struct build b = { .run = r };
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			build_text(&b, between);
		struct value v = given(a, 1) && a->at[1].kind != NONE ? path(r, l->at[i], a->at[1]) : l->at[i];
		build_text(&b, show(r, v));
		spend(r, 1);
	}
	return of_text(build_done(&b));
}

FILTER_OF(sum)
{
	struct list *l = items_of(r, self);
	struct value all = given(a, 1) ? a->at[1] : of_int(0);
	for (size_t i = 0; i < l->n; i++)
		all = arithmetic(r, '+', all, given(a, 0) ? path(r, l->at[i], a->at[0]) : l->at[i]);
	return all;
}

FILTER_OF(unique)
{
	struct list *l = items_of(r, self), *out = list_new(r, 0);
	struct list *keys = keys_of(r, l, a->at[1], bool_arg(a, 0, false)), *seen = list_new(r, 0);
	for (size_t i = 0; i < l->n; i++) {
		if (contains(r, of_list(LIST, seen), keys->at[i]))
			continue;
		list_add(r, seen, keys->at[i]);
		list_add(r, out, l->at[i]);
	}
	return of_list(STREAM, out);
}

FILTER_OF(sort)
{
	struct list *l = items_of(r, self);
	if (given(a, 2) && a->at[2].kind == TEXT && memchr(a->at[2].t->s, ',', a->at[2].t->n))
		stop(r, "sort by several attributes is not supported");
	return sorted(r, l, keys_of(r, l, a->at[2], bool_arg(a, 1, false)), bool_arg(a, 0, false));
}

/* The least (`way` -1) or the greatest item, the first of equal ones. */
static struct value extreme(struct run *r, struct value self, const struct args *a, int way)
{
	struct list *l = items_of(r, self), *keys = keys_of(r, l, a->at[1], bool_arg(a, 0, false));
	size_t best = 0;
	for (size_t i = 1; i < l->n; i++)
		if (compare(r, keys->at[i], keys->at[best]) == way)
			best = i;
	return l->n ? l->at[best] : undefined(r, "No aggregated item, sequence was empty.");
}

FILTER_OF(min) { return extreme(r, self, a, -1); }
FILTER_OF(max) { return extreme(r, self, a, 1); }

/* Lists of `n` items each, the last filled up where that is asked for. */
FILTER_OF(batch)
{
	struct list *l = items_of(r, self), *out = list_new(r, 0), *row = NULL;
	int64_t n = int_arg(r, a, 0, 1);
	bool fill = given(a, 1) && a->at[1].kind != NONE;
	if (n < 1 || n > CHAT_RANGE)
		stop(r, "batch takes 1 to %d items", CHAT_RANGE);
	for (size_t i = 0; i < l->n || (fill && row && row->n < (size_t)n); i++) {
		if (i % (size_t)n == 0) {
			row = list_new(r, 0);
			list_add(r, out, of_list(LIST, row));
		}
		list_add(r, row, i < l->n ? l->at[i] : a->at[1]);
		spend(r, 1);
	}
	return of_list(STREAM, out);
}

/* ---- mappings ---- */
static struct list *wanted_pairs(struct run *r, struct value self, const char *what)
{
	if (self.kind == UNDEFINED)
		return list_new(r, 0);
	if (self.kind != MAP)
		stop(r, "%s needs a mapping, not '%s'", what, kind_name(self));
	return pairs_of(r, self);
}

FILTER_OF(items)
{
	(void)a;
	return of_list(STREAM, wanted_pairs(r, self, "items"));
}

FILTER_OF(dictsort)
{
	bool by_value = given(a, 1) && text_is(text_arg(r, a, 1), "value");
	if (given(a, 1) && !by_value && !text_is(a->at[1].t, "key"))
		stop(r, "dictsort sorts by 'key' or 'value'");
	if (self.kind == UNDEFINED)
		stop_undefined(r, self);
	struct list *pairs = wanted_pairs(r, self, "dictsort");
	struct list *keys = keys_of(r, pairs, of_int(by_value), bool_arg(a, 0, false));
	return sorted(r, pairs, keys, bool_arg(a, 2, false));
}
