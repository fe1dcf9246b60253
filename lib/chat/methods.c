/* methods.c - methods of texts, mappings, lists and loops, as Python's. There are none that change
 * what they are called on. */
#include "priv.h"

#define METHOD_OF(name) static BUILTIN(method_##name)

/* ---- texts: letters ---- */
METHOD_OF(capitalize) { return (void)a, of_text(letters(r, self.t, CAPITALIZE)); }
METHOD_OF(lower) { return (void)a, of_text(letters(r, self.t, LOWER)); }
METHOD_OF(upper) { return (void)a, of_text(letters(r, self.t, UPPER)); }
METHOD_OF(title) { return (void)a, of_text(letters(r, self.t, TITLE)); }

static bool all_chars(const struct text *t, bool is(int32_t))
{
	size_t len;
	int32_t c;
	for (size_t i = 0; i < t->n; i += len) {
		len = char_get(t->s + i, t->n - i, &c);
		if (!is(c))
			return false;
	}
	return t->n > 0;
}

static bool is_digit(int32_t c)
{
	return c >= '0' && c <= '9';
}

METHOD_OF(isdigit) { return (void)r, (void)a, of_bool(all_chars(self.t, is_digit)); }
METHOD_OF(isspace) { return (void)r, (void)a, of_bool(all_chars(self.t, is_white)); }

/* ---- texts: ends ---- */
static struct value stripped(struct run *r, struct value self, const struct args *a, bool left, bool right)
{
	bool chars = given(a, 0) && a->at[0].kind != NONE;
	return of_text(strip(r, self.t, chars ? text_arg(r, a, 0) : NULL, left, right));
}

METHOD_OF(strip) { return stripped(r, self, a, true, true); }
METHOD_OF(lstrip) { return stripped(r, self, a, true, false); }
METHOD_OF(rstrip) { return stripped(r, self, a, false, true); }

static bool begins(const struct text *t, const struct text *part)
{
	return t->n >= part->n && memcmp(t->s, part->s, part->n) == 0;
}

static bool ends(const struct text *t, const struct text *part)
{
	return t->n >= part->n && memcmp(t->s + t->n - part->n, part->s, part->n) == 0;
}

/* One text or a tuple of them. */
static struct value any_end(struct run *r, const struct text *t, struct args *a,
                            bool test(const struct text *, const struct text *))
{
	if (a->at[0].kind != TUPLE)
		return of_bool(test(t, text_arg(r, a, 0)));
	struct args each = { .at = a->at[0].list->at, .n = a->at[0].list->n };
	for (size_t i = 0; i < each.n; i++)
		if (test(t, text_arg(r, &each, i)))
			return of_bool(true);
	return of_bool(false);
}

METHOD_OF(startswith) { return any_end(r, self.t, a, begins); }
METHOD_OF(endswith) { return any_end(r, self.t, a, ends); }

METHOD_OF(removeprefix)
{
	const struct text *part = text_arg(r, a, 0);
	return of_text(begins(self.t, part) ? text_part(r, self.t, part->n, self.t->n) : self.t);
}

METHOD_OF(removesuffix)
{
	const struct text *part = text_arg(r, a, 0);
	return of_text(ends(self.t, part) ? text_part(r, self.t, 0, self.t->n - part->n) : self.t);
}

/* ---- texts: parts ---- */
static struct value place_of(const struct text *t, size_t found)
{
	struct text before = { .s = t->s, .n = found };
	return of_int(found == SIZE_MAX ? -1 : (int64_t)text_chars(&before));
}

METHOD_OF(find) { return place_of(self.t, text_find(self.t, 0, text_arg(r, a, 0))); }
METHOD_OF(rfind) { return place_of(self.t, text_rfind(r, self.t, self.t->n, text_arg(r, a, 0))); }

METHOD_OF(count)
{
	const struct text *part = text_arg(r, a, 0);
	int64_t n = 0;
	if (!part->n)
		return of_int((int64_t)text_chars(self.t) + 1);
	for (size_t at = 0; (at = text_find(self.t, at, part)) != SIZE_MAX; at += part->n)
		n++;
	return of_int(n);
}

METHOD_OF(replace)
{
	return of_text(replace(r, self.t, text_arg(r, a, 0), text_arg(r, a, 1), int_arg(r, a, 2, -1)));
}

static struct value parted(struct run *r, struct value self, struct args *a, bool last)
{
	const struct text *t = self.t, *sep = text_arg(r, a, 0);
	if (!sep->n)
		stop(r, "the separator is empty");
	size_t at = last ? text_rfind(r, t, t->n, sep) : text_find(t, 0, sep);
	struct list *l = list_new(r, 3);
	for (size_t i = 0; i < 3; i++)
		l->at[i] = of_text(text_str(r, ""));
	if (at == SIZE_MAX) {
		l->at[last ? 2 : 0] = self;
	} else {
		l->at[0] = of_text(text_part(r, t, 0, at));
		l->at[1] = of_text(text_part(r, t, at, at + sep->n));
		l->at[2] = of_text(text_part(r, t, at + sep->n, t->n));
	}
	return of_list(TUPLE, l);
}

METHOD_OF(partition) { return parted(r, self, a, false); }
METHOD_OF(rpartition) { return parted(r, self, a, true); }

static void add_part(struct run *r, struct list *l, const struct text *t, size_t from, size_t to)
{
	spend(r, 1);
	list_add(r, l, of_text(text_part(r, t, from, to)));
}

static void split_at(struct run *r, struct list *l, const struct text *t, const struct text *sep, int64_t most)
{
	size_t from = 0, found;
	for (; most != 0 && (found = text_find(t, from, sep)) != SIZE_MAX; most--) {
		add_part(r, l, t, from, found);
		from = found + sep->n;
	}
	add_part(r, l, t, from, t->n);
}

static void reverse(struct list *l)
{
	for (size_t i = 0, k = l->n; i + 1 < k; i++) {
		struct value v = l->at[i];
		l->at[i] = l->at[--k];
		l->at[k] = v;
	}
}

static void rsplit_at(struct run *r, struct list *l, const struct text *t, const struct text *sep, int64_t most)
{
	size_t to = t->n, found;
	for (; most != 0 && (found = text_rfind(r, t, to, sep)) != SIZE_MAX; most--) {
		add_part(r, l, t, found + sep->n, to);
		to = found;
	}
	add_part(r, l, t, 0, to);
	reverse(l);
}

/* The end of the run of characters from `at` that are white, or that are not. */
static size_t run_of(const struct text *t, size_t at, bool white)
{
	size_t len;
	int32_t c;
	for (; at < t->n; at += len) {
		len = char_get(t->s + at, t->n - at, &c);
		if (is_white(c) != white)
			break;
	}
	return at;
}

static void split_white(struct run *r, struct list *l, const struct text *t, int64_t most)
{
	size_t from = run_of(t, 0, true);
	for (; from < t->n; most--) {
		size_t to = most == 0 ? t->n : run_of(t, from, false);
		add_part(r, l, t, from, to);
		from = run_of(t, to, true);
	}
}

static struct value split(struct run *r, struct value self, struct args *a, bool last)
{
	struct list *l = list_new(r, 0);
	int64_t most = int_arg(r, a, 1, -1);
	bool white = !given(a, 0) || a->at[0].kind == NONE;
	if (!white && !text_arg(r, a, 0)->n)
		stop(r, "the separator is empty");
	if (white && last && most >= 0)
		stop(r, "rsplit at white space with a limit is not supported");
	if (white)
		split_white(r, l, self.t, most);
	else if (last)
		rsplit_at(r, l, self.t, a->at[0].t, most);
	else
		split_at(r, l, self.t, a->at[0].t, most);
	return of_list(LIST, l);
}

METHOD_OF(split) { return split(r, self, a, false); }
METHOD_OF(rsplit) { return split(r, self, a, true); }

METHOD_OF(splitlines)
{
	struct list *l = list_new(r, 0);
	const struct text *t = self.t;
	size_t len, from = 0;
	int32_t c;
	for (size_t i = 0; i < t->n; i += len) {
		len = char_get(t->s + i, t->n - i, &c);
		if (!(c >= 10 && c <= 13) && !(c >= 0x1c && c <= 0x1e) && c != 0x85 && c != 0x2028 && c != 0x2029)
			continue;
		if (c == '\r' && i + 1 < t->n && t->s[i + 1] == '\n')
			len = 2;
		add_part(r, l, t, from, bool_arg(a, 0, false) ? i + len : i);
		from = i + len;
	}
	if (from < t->n)
		add_part(r, l, t, from, t->n);
	return of_list(LIST, l);
}

METHOD_OF(join)
{
	struct list *l = items_of(r, a->at[0]);
	struct args each = { .at = l->at, .n = l->n };
	struct build b = { .run = r };
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			build_text(&b, self.t);
		build_text(&b, text_arg(r, &each, i));
		spend(r, 1);
	}
	return of_text(build_done(&b));
}

/* ---- mappings ---- */
METHOD_OF(get)
{
	const struct value *v = map_find(r, self.map, a->at[0]);
	return v ? *v : given(a, 1) ? a->at[1] : of_none();
}

METHOD_OF(items) { return (void)a, of_list(VIEW, pairs_of(r, self)); }
METHOD_OF(keys) { return (void)a, of_list(VIEW, items_of(r, self)); }

METHOD_OF(values)
{
	struct list *l = list_new(r, self.map->n);
	(void)a;
	for (size_t i = 0; i < l->n; i++)
		l->at[i] = self.map->at[i].value;
	return of_list(VIEW, l);
}

/* ---- lists ---- */
METHOD_OF(list_count)
{
	int64_t n = 0;
	spend(r, self.list->n);
	for (size_t i = 0; i < self.list->n; i++)
		n += equal(r, self.list->at[i], a->at[0]);
	return of_int(n);
}

METHOD_OF(list_index)
{
	spend(r, self.list->n);
	for (size_t i = 0; i < self.list->n; i++)
		if (equal(r, self.list->at[i], a->at[0]))
			return of_int((int64_t)i);
	stop(r, "the value is not in the list");
}

/* ---- loops ---- */
METHOD_OF(cycle)
{
	if (!a->n)
		stop(r, "cycle needs values");
	return a->at[self.loop->i % a->n];
}

METHOD_OF(changed)
{
	struct list *l = list_new(r, a->n);
	for (size_t i = 0; i < a->n; i++)
		l->at[i] = a->at[i];
	struct value now = of_list(TUPLE, l), before = self.loop->changed;
	self.loop->changed = now;
	return of_bool(before.kind == ABSENT || !equal(r, before, now));
}

static const struct { enum kind kind; struct builtin code; } methods[] = {
#define X(kind, name, function, least, params) { kind, { #name, least, params, method_##function } },
#include "methods.def"
#undef X
};

const struct builtin *find_method(struct value self, const struct text *name)
{
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (methods[i].kind == self.kind && text_is(name, methods[i].code.name))
			return &methods[i].code;
	return NULL;
}
