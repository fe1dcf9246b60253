/* call.c - arguments, and calls of builtins and macros. */
#include "priv.h"

struct args eval_args(struct run *r, const struct node *list)
{
	struct args a = { 0 };
	for (const struct node *e = list; e; e = e->next) {
		struct value v = eval(r, e->a);
		if (e->name) {
			a.named = one_more(r, a.named, a.nnamed, sizeof *a.named);
			a.named[a.nnamed++] = (struct pair){ of_text(e->name), v };
		} else {
			a.at = one_more(r, a.at, a.n, sizeof *a.at);
			a.at[a.n++] = v;
		}
	}
	return a;
}

/* ---- builtins ---- */
/* The next name in a list of names with blanks between them; false at the end. */
static bool next_name(const char **at, struct text *name)
{
	while (**at == ' ')
		(*at)++;
	name->s = *at;
	name->n = strcspn(*at, " ");
	*at += name->n;
	return name->n > 0;
}

static size_t parameter(const char *params, const struct text *wanted)
{
	struct text name;
	for (size_t i = 0; next_name(&params, &name); i++)
		if (text_same(&name, wanted))
			return i;
	return SIZE_MAX;
}

/* Puts arguments in the places of parameters. */
static void place(struct run *r, const struct builtin *f, struct args *a)
{
	struct text name;
	const char *params = f->params;
	size_t n = 0;
	while (next_name(&params, &name))
		n++;
	if (a->n > n)
		stop(r, "'%s' takes at most %zu arguments, not %zu", f->name, n, a->n);
	struct value *at = take(r, n, sizeof *at);
	for (size_t i = 0; i < a->n; i++)
		at[i] = a->at[i];
	for (size_t i = 0; i < a->nnamed; i++) {
		const struct text *t = a->named[i].key.t;
		size_t p = parameter(f->params, t);
		if (p == SIZE_MAX)
			stop(r, "the argument '%.*s' of '%s' is not supported", (int)t->n, t->s, f->name);
		if (at[p].kind != ABSENT)
			stop(r, "the argument '%.*s' of '%s' is given twice", (int)t->n, t->s, f->name);
		at[p] = a->named[i].value;
	}
	for (size_t i = 0; i < f->least; i++)
		if (at[i].kind == ABSENT)
			stop(r, "'%s' needs %zu arguments", f->name, f->least);
	*a = (struct args){ .at = at, .n = n };
}

struct value call_builtin(struct run *r, const struct builtin *f, struct value self, struct args *a)
{
	enter(r);
	if (*f->params != '*')
		place(r, f, a);
	struct value v = f->call(r, self, a);
	leave(r);
	return v;
}

const struct text *text_arg(struct run *r, const struct args *a, size_t i)
{
	if (a->at[i].kind == UNDEFINED)
		stop_undefined(r, a->at[i]);
	if (a->at[i].kind != TEXT)
		stop(r, "an argument must be a text, not '%s'", kind_name(a->at[i]));
	return a->at[i].t;
}

int64_t int_arg(struct run *r, const struct args *a, size_t i, int64_t absent)
{
	struct value v = a->at[i];
	if (v.kind == UNDEFINED)
		stop_undefined(r, v);
	if (v.kind != ABSENT && v.kind != INT && v.kind != BOOL)
		stop(r, "an argument must be a whole number, not '%s'", kind_name(v));
	return v.kind == ABSENT ? absent : v.kind == BOOL ? v.yes : v.i;
}

bool bool_arg(const struct args *a, size_t i, bool absent)
{
	return a->at[i].kind == ABSENT ? absent : truth(a->at[i]);
}

/* ---- macros ---- */
/* The named argument of a parameter, marked as used; NULL: none. */
static struct pair *take_named(struct args *a, const struct text *name)
{
	for (size_t i = 0; i < a->nnamed; i++)
		if (a->named[i].key.kind == TEXT && text_same(a->named[i].key.t, name))
			return &a->named[i];
	return NULL;
}

static void bind_parameters(struct run *r, const struct node *macro, struct args *a)
{
	const struct text *name = macro->name;
	size_t i = 0;
	for (const struct node *p = macro->other; p; p = p->next, i++) {
		struct pair *named = take_named(a, p->name);
		if (named && i < a->n)
			stop(r, "the argument '%.*s' is given twice", (int)p->name->n, p->name->s);
		struct value v = i < a->n ? a->at[i] : named ? named->value : (struct value){ .kind = ABSENT };
		if (v.kind == ABSENT)
			v = p->a ? eval(r, p->a) : undefined(r, "parameter '%.*s' was not provided", (int)p->name->n, p->name->s);
		if (named)
			named->key = of_none();
		set_variable(r, p->id, v);
	}
	if (a->n > i)
		stop(r, "the macro '%.*s' takes %zu arguments, not %zu", (int)name->n, name->s, i, a->n);
	for (i = 0; i < a->nnamed; i++)
		if (a->named[i].key.kind == TEXT)
			stop(r, "the macro '%.*s' has no parameter '%.*s'", (int)name->n, name->s, (int)a->named[i].key.t->n,
			     a->named[i].key.t->s);
}

struct value call_macro(struct run *r, const struct macro *m, struct args *a)
{
	struct frame *back = r->frame, *own = take(r, 1, sizeof *own);
	own->up = m->frame;
	r->frame = own;
	if (m->caller.kind == MACRO)
		set_variable(r, m->caller.macro->node->id, m->caller);
	bind_parameters(r, m->node, a);
	const struct text *t = captured(r, m->node->body, own);
	r->frame = back;
	return of_text(t);
}

struct value call(struct run *r, struct value f, struct args *a)
{
	if (f.kind == METHOD)
		return call_builtin(r, f.method->code, f.method->self, a);
	if (f.kind == FUNCTION)
		return call_builtin(r, f.function, of_none(), a);
	if (f.kind == UNDEFINED)
		stop_undefined(r, f);
	if (f.kind != MACRO)
		stop(r, "'%s' object is not callable", kind_name(f));
	enter(r);
	struct value v = call_macro(r, f.macro, a);
	leave(r);
	return v;
}
