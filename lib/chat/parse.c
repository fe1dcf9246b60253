/* parse.c - statements. */
#include "priv.h"

struct node *node_new(struct parser *p, enum node_kind kind)
{
	struct node *n = take(p->run, 1, sizeof *n);
	n->kind = kind;
	n->line = p->run->line = p->t->line;
	return n;
}

int name_id(struct parser *p, const struct text *name)
{
	struct program *g = p->p;
	spend(p->run, g->nnames / 8);
	for (size_t i = 0; i < g->nnames; i++)
		if (text_same(g->names[i], name))
			return (int)i;
	g->names = one_more(p->run, g->names, g->nnames, sizeof *g->names);
	g->names[g->nnames] = name;
	return (int)g->nnames++;
}

/* ---- tokens ---- */
bool at_op(const struct parser *p, int op)
{
	return p->t->kind == T_OP && p->t->op == op;
}

bool at_name(const struct parser *p, const char *name)
{
	return p->t->kind == T_NAME && text_is(p->t->text, name);
}

bool skip_op(struct parser *p, int op)
{
	bool there = at_op(p, op);
	p->t += there;
	return there;
}

bool skip_name(struct parser *p, const char *name)
{
	bool there = at_name(p, name);
	p->t += there;
	return there;
}

void unexpected(struct parser *p, const char *wanted)
{
	const struct token *t = p->t;
	p->run->line = t->line;
	char op[3] = { (char)(t->op & 0xff), (char)(t->op >> 8), 0 };
	int n = t->text ? (int)(t->text->n < 60 ? t->text->n : 60) : 0;
	switch (t->kind) {
	case T_OP: stop(p->run, "'%s' where %s must stand", op, wanted);
	case T_NAME: case T_NUMBER: stop(p->run, "'%.*s' where %s must stand", n, t->text->s, wanted);
	case T_TEXT: stop(p->run, "a text where %s must stand", wanted);
	default: stop(p->run, "%s is missing", wanted);
	}
}

void want_op(struct parser *p, int op)
{
	char wanted[] = { '\'', (char)op, '\'', 0 };
	if (!skip_op(p, op))
		unexpected(p, wanted);
}

const struct text *want_name(struct parser *p)
{
	if (p->t->kind != T_NAME)
		unexpected(p, "a name");
	return p->t++->text;
}

static void want_block_end(struct parser *p)
{
	if (p->t->kind != T_BLOCK_END)
		unexpected(p, "the end of the tag");
	p->t++;
}

/* ---- statements ---- */
static struct node *parse_body(struct parser *p, const char *const *ends);

static bool at_end(const struct parser *p, const char *const *ends)
{
	for (; ends && *ends; ends++)
		if (at_name(p, *ends))
			return true;
	return false;
}

/* The statements up to {% end %}, which is taken. */
static struct node *parse_until(struct parser *p, const char *end)
{
	want_block_end(p);
	struct node *body = parse_body(p, (const char *[]){ end, NULL });
	skip_name(p, end);
	return body;
}

/* if: `a` is the condition, `body` and `other` the branches. An elif is an if in `other`. */
static struct node *parse_if(struct parser *p)
{
	struct node *first = node_new(p, IF), *n = first;
	for (;;) {
		n->a = parse_tuple(p, false);
		want_block_end(p);
		n->body = parse_body(p, (const char *[]){ "elif", "else", "endif", NULL });
		if (!skip_name(p, "elif"))
			break;
		n = n->other = node_new(p, IF);
		n->op = ELIF;
	}
	if (skip_name(p, "else"))
		n->other = parse_until(p, "endif");
	else
		skip_name(p, "endif");
	return first;
}

static struct node *parse_target(struct parser *p, bool member);

/* A name, with `member` also ns.name, or targets in parentheses. */
static struct node *parse_one_target(struct parser *p, bool member)
{
	struct node *n;
	if (skip_op(p, '(')) {
		enter(p->run);
		n = parse_target(p, false);
		leave(p->run);
		want_op(p, ')');
		return n;
	}
	n = node_new(p, NAME);
	n->name = want_name(p);
	n->id = name_id(p, n->name);
	if (member && skip_op(p, '.')) {
		n->kind = MEMBER;
		n->value = of_text(want_name(p));
	}
	return n;
}

/* What is assigned to: one target, or several with commas. */
static struct node *parse_target(struct parser *p, bool member)
{
	struct node *first = parse_one_target(p, member);
	if (!at_op(p, ','))
		return first;
	struct node *n = node_new(p, MAKE_TUPLE), **end = &first->next;
	n->body = first;
	while (skip_op(p, ',') && !at_name(p, "in") && !at_op(p, '=')) {
		*end = parse_one_target(p, false);
		end = &(*end)->next;
	}
	return n;
}

/* for: `a` is the target, `b` what is gone through, `c` the condition. */
static struct node *parse_for(struct parser *p)
{
	struct node *n = node_new(p, FOR);
	n->a = parse_target(p, false);
	if (!skip_name(p, "in"))
		unexpected(p, "'in'");
	n->b = parse_tuple(p, false);
	n->c = skip_name(p, "if") ? parse_expression(p) : NULL;
	if (at_name(p, "recursive"))
		stop(p->run, "a recursive loop is not supported");
	want_block_end(p);
	p->loops++;
	n->id = name_id(p, text_str(p->run, "loop"));
	n->body = parse_body(p, (const char *[]){ "else", "endfor", NULL });
	p->loops--;
	if (skip_name(p, "else"))
		n->other = parse_until(p, "endfor");
	else
		skip_name(p, "endfor");
	return n;
}

/* The body of what is called or captured cannot leave a loop around it. */
static struct node *parse_apart(struct parser *p, const char *end)
{
	unsigned loops = p->loops;
	p->loops = 0;
	struct node *body = parse_until(p, end);
	p->loops = loops;
	return body;
}

/* set: `a` is the target, `b` the value; of a block `b` is the filters, `body` what is captured. */
static struct node *parse_set(struct parser *p)
{
	struct node *n = node_new(p, SET);
	n->a = parse_target(p, true);
	if (skip_op(p, '=')) {
		n->b = parse_tuple(p, true);
		return n;
	}
	n->kind = SET_BLOCK;
	n->c = node_new(p, CONST);
	n->b = parse_filters(p, n->c);
	n->body = parse_apart(p, "endset");
	return n;
}

/* (a, b=1): the parameters are the elements of `other`, their defaults `a` of each. */
static void parse_parameters(struct parser *p, struct node *n)
{
	struct node **end = &n->other;
	want_op(p, '(');
	while (!at_op(p, ')')) {
		struct node *parameter = node_new(p, NAME);
		parameter->name = want_name(p);
		parameter->id = name_id(p, parameter->name);
		if (skip_op(p, '='))
			parameter->a = parse_expression(p);
		else if (n->other && n->op)
			stop(p->run, "a parameter without a default behind one with a default");
		n->op |= parameter->a != NULL;
		*end = parameter;
		end = &parameter->next;
		if (!skip_op(p, ','))
			break;
	}
	want_op(p, ')');
}

static struct node *parse_macro(struct parser *p)
{
	struct node *n = node_new(p, DEFINE);
	n->name = want_name(p);
	n->id = name_id(p, n->name);
	parse_parameters(p, n);
	n->body = parse_apart(p, "endmacro");
	return n;
}

/* call: `a` is the call, the node itself the macro that it may call as caller(). */
static struct node *parse_call_block(struct parser *p)
{
	struct node *n = node_new(p, CALL_BLOCK);
	n->name = text_str(p->run, "caller");
	n->id = name_id(p, n->name);
	if (at_op(p, '('))
		parse_parameters(p, n);
	n->a = parse_expression(p);
	if (n->a->kind != CALL)
		stop(p->run, "'call' without a call");
	n->body = parse_apart(p, "endcall");
	return n;
}

static struct node *parse_filter_block(struct parser *p)
{
	struct node *n = node_new(p, FILTER_BLOCK);
	n->c = node_new(p, CONST);
	n->b = parse_filters(p, parse_filter(p, n->c));
	n->body = parse_apart(p, "endfilter");
	return n;
}

/* with: each element of `other` is a target, whose `b` is the value. */
static struct node *parse_with(struct parser *p)
{
	struct node *n = node_new(p, WITH), **end = &n->other;
	while (p->t->kind != T_BLOCK_END) {
		struct node *set = node_new(p, SET);
		set->a = node_new(p, NAME);
		set->a->name = want_name(p);
		set->a->id = name_id(p, set->a->name);
		want_op(p, '=');
		set->b = parse_expression(p);
		*end = set;
		end = &set->next;
		if (!skip_op(p, ','))
			break;
	}
	n->body = parse_until(p, "endwith");
	return n;
}

static struct node *parse_generation(struct parser *p)
{
	struct node *n = node_new(p, GENERATION);
	p->p->has_replies = true;
	n->body = parse_apart(p, "endgeneration");
	return n;
}

static struct node *parse_print(struct parser *p)
{
	struct node *n = node_new(p, PRINT);
	n->a = parse_tuple(p, true);
	return n;
}

static struct node *parse_jump(struct parser *p, enum node_kind kind)
{
	if (!p->loops)
		stop(p->run, "'%s' outside of a loop", kind == BREAK ? "break" : "continue");
	return node_new(p, kind);
}

static struct node *parse_break(struct parser *p) { return parse_jump(p, BREAK); }
static struct node *parse_continue(struct parser *p) { return parse_jump(p, CONTINUE); }

/* The statement whose name is next. */
static struct node *parse_statement(struct parser *p)
{
	static const struct { const char *name; struct node *(*parse)(struct parser *p); } statements[] = {
		{ "if", parse_if }, { "for", parse_for }, { "set", parse_set }, { "macro", parse_macro },
		{ "call", parse_call_block }, { "filter", parse_filter_block }, { "with", parse_with },
		{ "generation", parse_generation }, { "print", parse_print }, { "break", parse_break },
		{ "continue", parse_continue },
	};
	struct node *n;
	const struct text *name = p->t->text;
	p->run->line = p->t->line;
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
		if (skip_name(p, statements[i].name)) {
			enter(p->run);
			n = statements[i].parse(p);
			leave(p->run);
			return n;
		}
	if (p->t->kind != T_NAME)
		unexpected(p, "the name of a statement");
	if (name->n > 3 && memcmp(name->s, "end", 3) == 0)
		stop(p->run, "'%.*s' without a begin", (int)name->n, name->s);
	stop(p->run, "the statement '%.*s' is not supported", (int)name->n, name->s);
}

/* Statements up to a block that begins with one of the names (not taken), or to the end. */
static struct node *parse_body(struct parser *p, const char *const *ends)
{
	struct node *body = NULL, **end = &body, *n;
	while (p->t->kind != T_END) {
		if (p->t->kind == T_DATA) {
			n = node_new(p, DATA);
			n->name = p->t++->text;
		} else if (p->t->kind == T_PRINT) {
			p->t++;
			n = parse_print(p);
			if (p->t->kind != T_PRINT_END)
				unexpected(p, "'}}'");
			p->t++;
		} else {
			p->t++;
			if (at_end(p, ends))
				return body;
			n = parse_statement(p);
			want_block_end(p);
		}
		*end = n;
		end = &n->next;
	}
	p->run->line = p->t->line;
	if (ends)
		stop(p->run, "'%s' is missing at the end", ends[1] ? ends[ends[2] ? 2 : 1] : ends[0]);
	return body;
}

void parse_program(struct run *r, struct program *p, const char *source, size_t n)
{
	struct parser parser = { .run = r, .p = p, .t = lex(r, source, n) };
	p->body = parse_body(&parser, NULL);
}
