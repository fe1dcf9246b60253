/* eval.c - expressions. */
#include "priv.h"

/* ---- names ---- */
void set_variable(struct run *r, int id, struct value v)
{
	struct binding *b = r->frame->first;
	while (b && b->id != id)
		b = b->next;
	if (!b) {
		b = take(r, 1, sizeof *b);
		*b = (struct binding){ .id = id, .next = r->frame->first };
		r->frame->first = b;
	}
	b->value = v;
}

struct value lookup(struct run *r, const struct node *name)
{
	for (const struct frame *f = r->frame; f; f = f->up)
		for (const struct binding *b = f->first; b; b = b->next) {
			spend(r, 1);
			if (b->id == name->id)
				return b->value;
		}
	const struct builtin *f = find_function(name->name);
	if (f)
		return (struct value){ .kind = FUNCTION, .function = f };
	return undefined(r, "'%.*s' is undefined", (int)name->name->n, name->name->s);
}

/* ---- members ---- */
static struct value loop_member(struct run *r, const struct loop *l, const struct text *name)
{
	size_t n = l->items->n;
	const struct { const char *name; struct value value; } members[] = {
		{ "index", of_int((int64_t)l->i + 1) }, { "index0", of_int((int64_t)l->i) },
		{ "revindex", of_int((int64_t)(n - l->i)) }, { "revindex0", of_int((int64_t)(n - l->i - 1)) },
		{ "first", of_bool(l->i == 0) }, { "last", of_bool(l->i + 1 == n) }, { "length", of_int((int64_t)n) },
		{ "depth", of_int(1) }, { "depth0", of_int(0) },
	};
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (text_is(name, members[i].name))
			return members[i].value;
	if (text_is(name, "previtem"))
		return l->i ? l->items->at[l->i - 1] : undefined(r, "there is no previous item");
	if (text_is(name, "nextitem"))
		return l->i + 1 < n ? l->items->at[l->i + 1] : undefined(r, "there is no next item");
	return (struct value){ .kind = ABSENT };
}

static struct value no_member(struct run *r, struct value v, const struct text *name)
{
	int n = (int)(name->n < 100 ? name->n : 100);
	if (v.kind == UNDEFINED)
		stop_undefined(r, v);
	return undefined(r, "'%s%s' has no attribute '%.*s'", kind_name(v), v.kind == NONE ? "" : " object", n, name->s);
}

/* v.name: a method, or what is stored under the name; v[name] looks the other way round. */
static struct value method_of(struct run *r, struct value v, const struct text *name)
{
	const struct builtin *f = find_method(v, name);
	if (!f)
		return (struct value){ .kind = ABSENT };
	struct method *m = take(r, 1, sizeof *m);
	*m = (struct method){ f, v };
	return (struct value){ .kind = METHOD, .method = m };
}

static struct value stored(struct run *r, struct value v, const struct text *name)
{
	struct value *found = v.kind == MAP || v.kind == SPACE ? map_named(r, v.map, name) : NULL;
	if (found)
		return *found;
	return v.kind == LOOP ? loop_member(r, v.loop, name) : (struct value){ .kind = ABSENT };
}

struct value get_attribute(struct run *r, struct value v, const struct text *name)
{
	struct value found = v.kind == SPACE ? stored(r, v, name) : method_of(r, v, name);
	if (found.kind == ABSENT && v.kind != SPACE)
		found = stored(r, v, name);
	return found.kind == ABSENT ? no_member(r, v, name) : found;
}

static struct value nth(struct run *r, struct value v, int64_t i)
{
	int64_t n = v.kind == TEXT ? (int64_t)text_chars(v.t) : (int64_t)v.list->n;
	int64_t at = i < 0 ? i + n : i;
	if (at < 0 || at >= n)
		return undefined(r, "%s object has no element %lld", kind_name(v), (long long)i);
	if (v.kind != TEXT)
		return v.list->at[at];
	spend(r, v.t->n / 64);
	size_t from = text_at(v.t, (size_t)at);
	struct text rest = { .s = v.t->s + from, .n = v.t->n - from };
	return of_text(text_part(r, v.t, from, from + text_at(&rest, 1)));
}

struct value item(struct run *r, struct value v, struct value key)
{
	if (v.kind == UNDEFINED)
		stop_undefined(r, v);
	if (key.kind == INT || key.kind == BOOL) {
		if (v.kind == TEXT || v.kind == LIST || v.kind == TUPLE)
			return nth(r, v, key.kind == INT ? key.i : key.yes);
	}
	if (v.kind == MAP) {
		const struct value *found = map_find(r, v.map, key);
		if (found)
			return *found;
	}
	if (key.kind == TEXT) {
		struct value found = stored(r, v, key.t);
		if (found.kind == ABSENT)
			found = method_of(r, v, key.t);
		return found.kind == ABSENT ? no_member(r, v, key.t) : found;
	}
	const struct text *shown = show(r, key);
	return undefined(r, "%s object has no element %.*s", kind_name(v), (int)(shown->n < 100 ? shown->n : 100),
	                 shown->s);
}

/* ---- slices, as Python cuts them ---- */
struct cut { int64_t start, stop, step; };

static int64_t clamp(int64_t i, int64_t n, int64_t low, int64_t high)
{
	i = i < 0 ? i + n : i;
	return i < low ? low : i > high ? high : i;
}

static struct cut cut_of(struct run *r, int64_t n, const struct value part[3])
{
	for (int i = 0; i < 3; i++)
		if (part[i].kind != INT && part[i].kind != NONE)
			stop(r, "a place of a slice must be a whole number, not '%s'", kind_name(part[i]));
	struct cut c = { .step = part[2].kind == INT ? part[2].i : 1 };
	if (!c.step || c.step == INT64_MIN)
		stop(r, "a slice cannot have this step");
	bool down = c.step < 0;
	int64_t low = down ? -1 : 0, high = down ? n - 1 : n;
	c.start = part[0].kind == INT ? clamp(part[0].i, n, low, high) : down ? high : low;
	c.stop = part[1].kind == INT ? clamp(part[1].i, n, low, high) : down ? low : high;
	return c;
}

static size_t cut_count(const struct cut *c)
{
	int64_t way = c->step > 0 ? c->stop - c->start : c->start - c->stop, step = c->step > 0 ? c->step : -c->step;
	return way > 0 ? (size_t)((way - 1) / step + 1) : 0;
}

static struct value slice_text(struct run *r, const struct text *t, const struct value part[3])
{
	struct cut c = cut_of(r, (int64_t)text_chars(t), part);
	spend(r, t->n / 64);
	if (c.step == 1) {
		size_t from = text_at(t, (size_t)c.start), to = c.stop > c.start ? text_at(t, (size_t)c.stop) : from;
		return of_text(text_part(r, t, from, to));
	}
	struct list *chars = items_of(r, of_text(t));
	struct build b = { .run = r };
	for (size_t i = 0, n = cut_count(&c); i < n; i++)
		build_text(&b, chars->at[c.start + (int64_t)i * c.step].t);
	return of_text(build_done(&b));
}

struct value slice(struct run *r, struct value v, const struct value part[3])
{
	if (v.kind == TEXT)
		return slice_text(r, v.t, part);
	if (v.kind == UNDEFINED)
		stop_undefined(r, v);
	if (v.kind != LIST && v.kind != TUPLE)
		stop(r, "a slice of a '%s'", kind_name(v));
	struct cut c = cut_of(r, (int64_t)v.list->n, part);
	struct list *l = list_new(r, cut_count(&c));
	for (size_t i = 0; i < l->n; i++)
		l->at[i] = v.list->at[c.start + (int64_t)i * c.step];
	return of_list(v.kind, l);
}

static struct value eval_slice(struct run *r, const struct node *n)
{
	struct value v = eval(r, n->a), part[3] = { of_none(), of_none(), of_none() };
	const struct node *e = n->body;
	for (int i = 0; i < 3; i++)
		if (n->op & 1 << i) {
			part[i] = eval(r, e);
			e = e->next;
		}
	return slice(r, v, part);
}

/* ---- what is made of several ---- */
static struct value make_list(struct run *r, const struct node *n, enum kind kind)
{
	struct list *l = list_new(r, 0);
	for (const struct node *e = n->body; e; e = e->next)
		list_add(r, l, eval(r, e));
	return of_list(kind, l);
}

static struct value make_map(struct run *r, const struct node *n)
{
	struct value v = { .kind = MAP, .map = map_new(r) };
	for (const struct node *e = n->body; e; e = e->next->next) {
		struct value key = eval(r, e);
		map_set(r, v.map, key, eval(r, e->next));
	}
	return v;
}

bool contains(struct run *r, struct value box, struct value v)
{
	if (box.kind == TEXT) {
		if (v.kind == UNDEFINED)
			stop_undefined(r, v);
		if (v.kind != TEXT)
			stop(r, "'in' of a text needs a text on its left, not '%s'", kind_name(v));
		spend(r, box.t->n / 64);
		return text_find(box.t, 0, v.t) != SIZE_MAX;
	}
	if (box.kind == MAP)
		return map_find(r, box.map, v) != NULL;
	struct list *l = items_of(r, box);
	for (size_t i = 0; i < l->n; i++) {
		spend(r, 1);
		if (equal(r, l->at[i], v))
			return true;
	}
	return false;
}

static bool holds(struct run *r, int op, struct value a, struct value b)
{
	switch (op) {
	case OP('=', '='): return equal(r, a, b);
	case OP('!', '='): return !equal(r, a, b);
	case 'i': return contains(r, b, a);
	case 'n': return !contains(r, b, a);
	}
	if (is_number(a) && is_number(b) && (real_of(a) != real_of(a) || real_of(b) != real_of(b)))
		return false; /* a NaN is in no order */
	int d = compare(r, a, b);
	return op == '<' ? d < 0 : op == '>' ? d > 0 : op == OP('<', '=') ? d <= 0 : d >= 0;
}

static bool eval_compare(struct run *r, const struct node *n)
{
	struct value a = eval(r, n->a);
	for (const struct node *e = n->body; e; e = e->next) {
		struct value b = eval(r, e->a);
		if (!holds(r, e->op, a, b))
			return false;
		a = b;
	}
	return true;
}

static struct value eval_filter(struct run *r, const struct node *n)
{
	struct value self = eval(r, n->a);
	struct args a = eval_args(r, n->body);
	r->line = n->line;
	return call_builtin(r, n->code, self, &a);
}

static bool eval_test(struct run *r, const struct node *n)
{
	struct value self = eval(r, n->a);
	struct args a = eval_args(r, n->body);
	r->line = n->line;
	return run_test(r, n->code, self, &a);
}

static struct value eval_call(struct run *r, const struct node *n)
{
	struct value f = eval(r, n->a);
	struct args a = eval_args(r, n->body);
	r->line = n->line;
	return call(r, f, &a);
}

static struct value eval_choice(struct run *r, const struct node *n)
{
	if (truth(eval(r, n->b)))
		return eval(r, n->a);
	return n->c ? eval(r, n->c) : undefined(r, "an 'if' without 'else' has no value here");
}

static struct value negative(struct run *r, struct value v)
{
	return v.kind == REAL ? of_real(-v.r) : arithmetic(r, '-', of_int(0), v);
}

static struct value eval_operator(struct run *r, const struct node *n)
{
	struct value a = eval(r, n->a), b = n->b ? eval(r, n->b) : of_none();
	r->line = n->line;
	switch (n->kind) {
	case NEGATIVE: return negative(r, a);
	case POSITIVE: return arithmetic(r, '+', of_int(0), a);
	case CONCAT: return of_text(text_join(r, show(r, a), show(r, b)));
	case ITEM: return item(r, a, b);
	default: return arithmetic(r, n->op, a, b);
	}
}

static struct value eval_and(struct run *r, const struct node *n)
{
	struct value a = eval(r, n->a);
	return truth(a) == (n->kind == AND) ? eval(r, n->b) : a;
}

struct value eval(struct run *r, const struct node *n)
{
	struct value v;
	enter(r);
	r->line = n->line;
	switch (n->kind) {
	case CONST: v = n->value; break;
	case NAME: v = lookup(r, n); break;
	case MAKE_LIST: v = make_list(r, n, LIST); break;
	case MAKE_TUPLE: v = make_list(r, n, TUPLE); break;
	case MAKE_MAP: v = make_map(r, n); break;
	case NOT: v = of_bool(!truth(eval(r, n->a))); break;
	case AND: case OR: v = eval_and(r, n); break;
	case COMPARE: v = of_bool(eval_compare(r, n)); break;
	case CHOICE: v = eval_choice(r, n); break;
	case ATTRIBUTE: v = get_attribute(r, eval(r, n->a), n->name); break;
	case SLICE: v = eval_slice(r, n); break;
	case CALL: v = eval_call(r, n); break;
	case FILTER: v = eval_filter(r, n); break;
	case TEST: v = of_bool(eval_test(r, n)); break;
	default: v = eval_operator(r, n); break;
	}
	leave(r);
	return v;
}
