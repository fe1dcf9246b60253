/* execute.c - statements, and the text that they write. */
#include "priv.h"

enum flow { GO_ON, NEXT_TURN, LEAVE_LOOP };

static enum flow run_body(struct run *r, const struct node *body);

/* ---- writing ---- */
void emit(struct run *r, const struct text *t)
{
	if (t->n > CHAT_OUTPUT - r->out.len)
		stop(r, "more than %zu MiB of text", CHAT_OUTPUT >> 20);
	spend(r, t->n / 64);
	if (ft_buf_append(&r->out, t->s, t->n) < 0 || ft_buf_reserve(&r->marks, t->n) < 0)
		stop_memory(r);
	if (!t->n)
		return;
	if (t->marks)
		memcpy(r->marks.data + r->marks.len, t->marks, t->n);
	else
		memset(r->marks.data + r->marks.len, t->mark, t->n);
	r->marks.len += t->n;
}

/* Takes back what was written since `from`, as a text. */
static const struct text *take_back(struct run *r, size_t from)
{
	struct build b = { .run = r };
	size_t n = r->out.len - from;
	const uint8_t *marks = n ? r->marks.data + from : NULL;
	const char *s = n ? (const char *)r->out.data + from : "";
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && marks[end] == marks[i]; end++)
			;
		build_add(&b, s + i, end - i, marks[i]);
	}
	r->out.len = r->marks.len = from;
	return build_done(&b);
}

static struct frame *push(struct run *r, struct frame *up)
{
	struct frame *f = take(r, 1, sizeof *f);
	f->up = up;
	return r->frame = f;
}

const struct text *captured(struct run *r, const struct node *body, struct frame *up)
{
	struct frame *back = r->frame;
	size_t from = r->out.len;
	push(r, up);
	run_body(r, body);
	r->frame = back;
	return take_back(r, from);
}

/* ---- set ---- */
static void set_member(struct run *r, const struct node *target, struct value v)
{
	const struct text *name = target->value.t;
	struct value space = lookup(r, target);
	if (space.kind != SPACE)
		stop(r, "'%.*s' is not a namespace", (int)target->name->n, target->name->s);
	if (name->n && *name->s == '_')
		stop(r, "a namespace cannot have '%.*s'", (int)name->n, name->s);
	map_set(r, space.map, target->value, v);
}

static void assign(struct run *r, const struct node *target, struct value v)
{
	if (target->kind == MEMBER) {
		set_member(r, target, v);
	} else if (target->kind == NAME) {
		set_variable(r, target->id, v);
	} else {
		struct list *l = items_of(r, v);
		size_t i = 0;
		for (const struct node *t = target->body; t; t = t->next, i++)
			if (i < l->n)
				assign(r, t, l->at[i]);
		if (i != l->n)
			stop(r, "%zu values for %zu names", l->n, i);
	}
}

/* The filters `chain`, which end in the constant `seed`, on a text. */
static struct value filtered(struct run *r, const struct node *chain, const struct node *seed, const struct text *t)
{
	if (chain == seed)
		return of_text(t);
	struct value self = filtered(r, chain->a, seed, t);
	struct args a = eval_args(r, chain->body);
	r->line = chain->line;
	return call_builtin(r, chain->code, self, &a);
}

static struct value define(struct run *r, const struct node *n)
{
	struct macro *m = take(r, 1, sizeof *m);
	*m = (struct macro){ .node = n, .frame = r->frame };
	return (struct value){ .kind = MACRO, .macro = m };
}

/* {% call %}: the macro is called with a caller() of its own. */
static void run_call(struct run *r, const struct node *n)
{
	struct value f = eval(r, n->a->a);
	struct args a = eval_args(r, n->a->body);
	if (f.kind == UNDEFINED)
		stop_undefined(r, f);
	if (f.kind != MACRO)
		stop(r, "'call' of what is not a macro");
	struct macro m = *f.macro;
	m.caller = define(r, n);
	emit(r, show(r, call_macro(r, &m, &a)));
}

static enum flow run_with(struct run *r, const struct node *n)
{
	struct frame *back = r->frame, *own = take(r, 1, sizeof *own);
	own->up = back;
	for (const struct node *set = n->other; set; set = set->next) {
		struct value v = eval(r, set->b); /* does not see the others */
		r->frame = own;
		assign(r, set->a, v);
		r->frame = back;
	}
	r->frame = own;
	enum flow flow = run_body(r, n->body);
	r->frame = back;
	return flow;
}

/* ---- for ---- */
/* The items for which the condition holds. */
static struct list *chosen(struct run *r, const struct node *n, struct list *all)
{
	struct list *l = list_new(r, 0);
	struct frame *back = r->frame;
	for (size_t i = 0; i < all->n; i++) {
		push(r, back);
		assign(r, n->a, all->at[i]);
		if (truth(eval(r, n->c)))
			list_add(r, l, all->at[i]);
	}
	r->frame = back;
	return l;
}

static enum flow run_for(struct run *r, const struct node *n, int loop_id)
{
	struct frame *back = r->frame;
	struct list *items = items_of(r, eval(r, n->b));
	struct loop *loop = take(r, 1, sizeof *loop);
	bool ran = false;
	*loop = (struct loop){ .items = n->c ? chosen(r, n, items) : items };
	for (; loop->i < loop->items->n; loop->i++) {
		push(r, back);
		set_variable(r, loop_id, (struct value){ .kind = LOOP, .loop = loop });
		assign(r, n->a, loop->items->at[loop->i]);
		enum flow flow = run_body(r, n->body);
		r->frame = back;
		ran = ran || flow == GO_ON; /* the reference counts turns that came to their end */
		if (flow == LEAVE_LOOP)
			break;
	}
	return ran || !n->other ? GO_ON : run_body(r, n->other);
}

static enum flow run_generation(struct run *r, const struct node *n)
{
	struct frame *back = r->frame;
	size_t from = r->out.len;
	push(r, back);
	run_body(r, n->body);
	r->frame = back;
	for (size_t i = from; i < r->marks.len; i++)
		r->marks.data[i] |= FT_CHAT_REPLY;
	return GO_ON;
}

static enum flow run_if(struct run *r, const struct node *n)
{
	while (!truth(eval(r, n->a))) {
		if (!n->other || n->other->kind != IF || n->other->op != ELIF)
			return run_body(r, n->other);
		n = n->other;
	}
	return run_body(r, n->body);
}

static enum flow run_one(struct run *r, const struct node *n)
{
	switch (n->kind) {
	case PRINT: emit(r, show(r, eval(r, n->a))); break;
	case IF: return run_if(r, n);
	case FOR: return run_for(r, n, n->id);
	case SET: assign(r, n->a, eval(r, n->b)); break;
	case SET_BLOCK: assign(r, n->a, filtered(r, n->b, n->c, captured(r, n->body, r->frame))); break;
	case DEFINE: set_variable(r, n->id, define(r, n)); break;
	case CALL_BLOCK: run_call(r, n); break;
	case FILTER_BLOCK: emit(r, show(r, filtered(r, n->b, n->c, captured(r, n->body, r->frame)))); break;
	case WITH: return run_with(r, n);
	case GENERATION: return run_generation(r, n);
	case BREAK: return LEAVE_LOOP;
	case CONTINUE: return NEXT_TURN;
	default: emit(r, n->name); /* DATA */
	}
	return GO_ON;
}

static enum flow run_body(struct run *r, const struct node *body)
{
	enum flow flow = GO_ON;
	enter(r);
	for (const struct node *n = body; n && flow == GO_ON; n = n->next) {
		spend(r, 1);
		r->line = n->line;
		flow = run_one(r, n);
	}
	leave(r);
	return flow;
}

void execute(struct run *r, const struct node *body)
{
	run_body(r, body);
}
