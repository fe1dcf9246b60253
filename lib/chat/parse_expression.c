/* parse_expression.c - expressions, a function for each level of precedence. */
#include "priv.h"

static struct node *binary(struct parser *p, enum node_kind kind, int op, struct node *a, struct node *b)
{
	struct node *n = node_new(p, kind);
	n->line = a->line;
	n->op = op;
	n->a = a;
	n->b = b;
	return n;
}

/* Adds to the end of a list of nodes; `end` is where the next one goes. */
static void append(struct node ***end, struct node *n)
{
	**end = n;
	*end = &n->next;
}

/* ---- what stands alone ---- */
static struct node *constant(struct parser *p, struct value v)
{
	struct node *n = node_new(p, CONST);
	n->value = v;
	return n;
}

static struct node *parse_name(struct parser *p)
{
	static const struct { const char *word; struct value value; } words[] = {
		{ "true", { .kind = BOOL, .yes = true } }, { "True", { .kind = BOOL, .yes = true } },
		{ "false", { .kind = BOOL } }, { "False", { .kind = BOOL } }, { "none", { .kind = NONE } },
		{ "None", { .kind = NONE } },
	};
	static const char *const missing[] = { "varargs", "kwargs", "joiner", "cycler", "lipsum", "self", "super" };
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (skip_name(p, words[i].word))
			return constant(p, words[i].value);
	for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
		if (at_name(p, missing[i]))
			stop(p->run, "'%s' is not supported", missing[i]);
	struct node *n = node_new(p, NAME);
	n->name = want_name(p);
	n->id = name_id(p, n->name);
	return n;
}

static struct node *parse_texts(struct parser *p)
{
	const struct text *t = p->t->text;
	for (p->t++; p->t->kind == T_TEXT; p->t++) /* literals side by side are one */
		t = text_join(p->run, t, p->t->text);
	return constant(p, of_text(t));
}

static struct node *parse_list(struct parser *p)
{
	struct node *n = node_new(p, MAKE_LIST), **end = &n->body;
	want_op(p, '[');
	while (!at_op(p, ']')) {
		append(&end, parse_expression(p));
		if (!skip_op(p, ','))
			break;
	}
	want_op(p, ']');
	return n;
}

/* The elements are keys and values in turn. */
static struct node *parse_map(struct parser *p)
{
	struct node *n = node_new(p, MAKE_MAP), **end = &n->body;
	want_op(p, '{');
	while (!at_op(p, '}')) {
		append(&end, parse_expression(p));
		want_op(p, ':');
		append(&end, parse_expression(p));
		if (!skip_op(p, ','))
			break;
	}
	want_op(p, '}');
	return n;
}

struct node *parse_primary(struct parser *p)
{
	if (p->t->kind == T_NAME)
		return parse_name(p);
	if (p->t->kind == T_TEXT)
		return parse_texts(p);
	if (p->t->kind == T_NUMBER)
		return constant(p, p->t++->value);
	if (at_op(p, '['))
		return parse_list(p);
	if (at_op(p, '{'))
		return parse_map(p);
	if (!skip_op(p, '('))
		unexpected(p, "an expression");
	struct node *n = at_op(p, ')') ? node_new(p, MAKE_TUPLE) : parse_tuple(p, true);
	want_op(p, ')');
	return n;
}

/* ---- what follows: .name [key] (arguments) |filter `is` test ---- */
static void parse_args(struct parser *p, struct node *call)
{
	struct node **end = &call->body;
	bool named = false;
	want_op(p, '(');
	while (!at_op(p, ')')) {
		struct node *n = node_new(p, ARGUMENT);
		if (at_op(p, '*') || at_op(p, OP('*', '*')))
			stop(p->run, "arguments given with '*' are not supported");
		if (p->t->kind == T_NAME && p->t[1].kind == T_OP && p->t[1].op == '=') {
			n->name = want_name(p);
			want_op(p, '=');
			named = true;
		} else if (named) {
			unexpected(p, "a named argument");
		}
		n->a = parse_expression(p);
		append(&end, n);
		if (!skip_op(p, ','))
			break;
	}
	want_op(p, ')');
}

static struct node *parse_call(struct parser *p, struct node *of)
{
	struct node *n = node_new(p, CALL);
	n->a = of;
	parse_args(p, n);
	return n;
}

enum { HAS_START = 1, HAS_STOP = 2, HAS_STEP = 4 };

static bool at_part(const struct parser *p)
{
	return !at_op(p, ':') && !at_op(p, ']');
}

/* a[key], a[start:stop:step] */
static struct node *parse_item(struct parser *p, struct node *of)
{
	struct node *n = node_new(p, ITEM), **end = &n->body;
	want_op(p, '[');
	n->a = of;
	struct node *first = at_op(p, ':') ? NULL : parse_expression(p);
	if (skip_op(p, ':')) {
		n->kind = SLICE;
		if (first) {
			n->op |= HAS_START;
			append(&end, first);
		}
		if (at_part(p)) {
			n->op |= HAS_STOP;
			append(&end, parse_expression(p));
		}
		if (skip_op(p, ':') && at_part(p)) {
			n->op |= HAS_STEP;
			append(&end, parse_expression(p));
		}
	} else {
		n->b = first;
	}
	want_op(p, ']');
	return n;
}

static struct node *parse_member(struct parser *p, struct node *of)
{
	struct node *n = node_new(p, ATTRIBUTE);
	n->a = of;
	want_op(p, '.');
	if (p->t->kind == T_NUMBER && p->t->value.kind == INT) {
		n->kind = ITEM;
		n->b = constant(p, p->t++->value);
		return n;
	}
	n->name = want_name(p);
	if (n->name->n >= 2 && memcmp(n->name->s, "__", 2) == 0)
		stop(p->run, "the attribute '%.*s' is not supported", (int)n->name->n, n->name->s);
	return n;
}

static struct node *parse_postfix(struct parser *p, struct node *n)
{
	for (unsigned links = 0;; links++) {
		if (links == CHAT_DEPTH)
			stop(p->run, "more than %d steps of a path", CHAT_DEPTH);
		if (at_op(p, '.'))
			n = parse_member(p, n);
		else if (at_op(p, '['))
			n = parse_item(p, n);
		else if (at_op(p, '('))
			n = parse_call(p, n);
		else
			return n;
	}
}

struct node *parse_filter(struct parser *p, struct node *of)
{
	struct node *n = node_new(p, FILTER);
	n->a = of;
	n->name = want_name(p);
	n->code = find_filter(n->name);
	if (!n->code)
		stop(p->run, "the filter '%.*s' is not supported", (int)n->name->n, n->name->s);
	if (at_op(p, '('))
		parse_args(p, n);
	return n;
}

static bool begins_test_argument(const struct parser *p)
{
	if (p->t->kind == T_NAME)
		return !at_name(p, "else") && !at_name(p, "or") && !at_name(p, "and") && !at_name(p, "if");
	return p->t->kind == T_TEXT || p->t->kind == T_NUMBER || at_op(p, '[') || at_op(p, '{');
}

static struct node *parse_test(struct parser *p, struct node *of)
{
	bool not = skip_name(p, "not");
	struct node *n = node_new(p, TEST);
	n->a = of;
	n->name = want_name(p);
	n->code = find_test(n->name);
	if (!n->code)
		stop(p->run, "the test '%.*s' is not supported", (int)n->name->n, n->name->s);
	if (at_op(p, '(')) {
		parse_args(p, n);
	} else if (begins_test_argument(p)) {
		if (at_name(p, "is"))
			unexpected(p, "one test");
		n->body = node_new(p, ARGUMENT);
		n->body->a = parse_postfix(p, parse_primary(p));
	}
	return not ? binary(p, NOT, 0, n, NULL) : n;
}

struct node *parse_filters(struct parser *p, struct node *n)
{
	for (unsigned links = 0; skip_op(p, '|'); links++) {
		if (links == CHAT_DEPTH)
			stop(p->run, "more than %d filters in a row", CHAT_DEPTH);
		n = parse_filter(p, n);
	}
	return n;
}

static struct node *parse_filters_and_tests(struct parser *p, struct node *n)
{
	for (unsigned links = 0;; links++) {
		if (links == CHAT_DEPTH)
			stop(p->run, "more than %d tests in a row", CHAT_DEPTH);
		n = parse_filters(p, n);
		if (skip_name(p, "is"))
			n = parse_test(p, n);
		else if (at_op(p, '('))
			n = parse_call(p, n);
		else if (!at_op(p, '|'))
			return n;
	}
}

/* ---- operators, the strongest first ---- */
static struct node *parse_unary(struct parser *p, bool filters)
{
	struct node *n;
	enter(p->run);
	if (at_op(p, '-') || at_op(p, '+')) {
		enum node_kind kind = p->t++->op == '-' ? NEGATIVE : POSITIVE;
		n = node_new(p, kind);
		n->a = parse_unary(p, false);
	} else {
		n = parse_primary(p);
	}
	n = parse_postfix(p, n);
	if (filters)
		n = parse_filters_and_tests(p, n);
	leave(p->run);
	return n;
}

static struct node *parse_power(struct parser *p)
{
	struct node *n = parse_unary(p, true);
	unsigned links = 0;
	while (skip_op(p, OP('*', '*'))) {
		if (++links == CHAT_DEPTH)
			stop(p->run, "more than %d operators in a row", CHAT_DEPTH);
		n = binary(p, ARITHMETIC, OP('*', '*'), n, parse_unary(p, true));
	}
	return n;
}

/* Operators of one level, from the left. A long row of them is as deep as nested ones. */
static struct node *parse_row(struct parser *p, const int *ops, size_t nops, enum node_kind kind,
                              struct node *next(struct parser *p))
{
	struct node *n = next(p);
	for (unsigned links = 0;; links++) {
		size_t i = 0;
		while (i < nops && !at_op(p, ops[i]))
			i++;
		if (i == nops)
			return n;
		if (links == CHAT_DEPTH)
			stop(p->run, "more than %d operators in a row", CHAT_DEPTH);
		p->t++;
		n = binary(p, kind, ops[i], n, next(p));
	}
}

static struct node *parse_product(struct parser *p)
{
	static const int ops[] = { '*', '/', OP('/', '/'), '%' };
	return parse_row(p, ops, 4, ARITHMETIC, parse_power);
}

static struct node *parse_concat(struct parser *p)
{
	static const int ops[] = { '~' };
	return parse_row(p, ops, 1, CONCAT, parse_product);
}

static struct node *parse_sum(struct parser *p)
{
	static const int ops[] = { '+', '-' };
	return parse_row(p, ops, 2, ARITHMETIC, parse_concat);
}

/* The operator of a comparison, which is taken; 0: there is none. `in` is 'i', `not in` is 'n'. */
static int comparison(struct parser *p)
{
	static const int ops[] = { OP('=', '='), OP('!', '='), '<', '>', OP('<', '='), OP('>', '=') };
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (skip_op(p, ops[i]))
			return ops[i];
	if (skip_name(p, "in"))
		return 'i';
	if (at_name(p, "not") && p->t[1].kind == T_NAME && text_is(p->t[1].text, "in")) {
		p->t += 2;
		return 'n';
	}
	return 0;
}

/* a < b <= c: the operands after the first, each with its operator, are the elements. */
static struct node *parse_compare(struct parser *p)
{
	struct node *first = parse_sum(p), *n = NULL, **end = NULL;
	for (int op; (op = comparison(p)) != 0;) {
		if (!n) {
			n = binary(p, COMPARE, 0, first, NULL);
			end = &n->body;
		}
		struct node *operand = node_new(p, ARGUMENT);
		operand->op = op;
		operand->a = parse_sum(p);
		append(&end, operand);
	}
	return n ? n : first;
}

static struct node *parse_not(struct parser *p)
{
	if (!at_name(p, "not"))
		return parse_compare(p);
	struct node *n = node_new(p, NOT);
	p->t++;
	enter(p->run);
	n->a = parse_not(p);
	leave(p->run);
	return n;
}

static struct node *parse_logic(struct parser *p, const char *word, enum node_kind kind,
                                struct node *next(struct parser *p))
{
	struct node *n = next(p);
	for (unsigned links = 0; skip_name(p, word); links++) {
		if (links == CHAT_DEPTH)
			stop(p->run, "more than %d operators in a row", CHAT_DEPTH);
		n = binary(p, kind, 0, n, next(p));
	}
	return n;
}

static struct node *parse_and(struct parser *p)
{
	return parse_logic(p, "and", AND, parse_not);
}

static struct node *parse_or(struct parser *p)
{
	return parse_logic(p, "or", OR, parse_and);
}

struct node *parse_expression(struct parser *p)
{
	enter(p->run);
	struct node *n = parse_or(p);
	for (unsigned links = 0; skip_name(p, "if"); links++) {
		if (links == CHAT_DEPTH)
			stop(p->run, "more than %d operators in a row", CHAT_DEPTH);
		n = binary(p, CHOICE, 0, n, parse_or(p));
		n->c = skip_name(p, "else") ? parse_expression(p) : NULL;
	}
	leave(p->run);
	return n;
}

/* One expression, or several with commas, which are a tuple. Without `choice`, an `if` behind it
 * belongs to something else. */
struct node *parse_tuple(struct parser *p, bool choice)
{
	struct node *first = choice ? parse_expression(p) : parse_or(p);
	if (!at_op(p, ','))
		return first;
	struct node *n = node_new(p, MAKE_TUPLE), **end = &n->body;
	append(&end, first);
	while (skip_op(p, ',')) {
		if (at_op(p, ')') || p->t->kind == T_PRINT_END || p->t->kind == T_BLOCK_END)
			break;
		append(&end, choice ? parse_expression(p) : parse_or(p));
	}
	return n;
}
