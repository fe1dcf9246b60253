/* arithmetic.c - + - * / // % ** as Python computes them. */
#include "priv.h"

#include <math.h>

static int64_t whole(struct value v)
{
	return v.kind == BOOL ? v.yes : v.i;
}

void stop_large(struct run *r)
{
	stop(r, "a whole number of more than 64 bits is not supported");
}

static int64_t whole_power(struct run *r, int64_t a, int64_t b)
{
	int64_t p = 1;
	while (b > 0) {
		if (b & 1 && __builtin_mul_overflow(p, a, &p))
			stop_large(r);
		b >>= 1;
		if (b && __builtin_mul_overflow(a, a, &a))
			stop_large(r);
	}
	return p;
}

/* Rounded down, as the sign of the remainder is the divisor's. */
static int64_t floor_div(struct run *r, int64_t a, int64_t b)
{
	if (a == INT64_MIN && b == -1)
		stop_large(r);
	return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

static struct value wholes(struct run *r, int op, int64_t a, int64_t b)
{
	int64_t c;
	bool large = false;
	switch (op) {
	case '+': large = __builtin_add_overflow(a, b, &c); break;
	case '-': large = __builtin_sub_overflow(a, b, &c); break;
	case '*': large = __builtin_mul_overflow(a, b, &c); break;
	case OP('/', '/'): c = floor_div(r, a, b); break;
	case '%': c = b == -1 ? 0 : a - floor_div(r, a, b) * b; break;
	default: c = whole_power(r, a, b); break;
	}
	if (large)
		stop_large(r);
	return of_int(c);
}

static double reals(int op, double a, double b)
{
	double rest;
	switch (op) {
	case '+': return a + b;
	case '-': return a - b;
	case '*': return a * b;
	case '/': return a / b;
	case OP('/', '/'): return floor(a / b);
	case '%':
		rest = fmod(a, b);
		return rest != 0 && (rest < 0) != (b < 0) ? rest + b : copysign(rest, b);
	default: return pow(a, b);
	}
}

static struct value numbers(struct run *r, int op, struct value a, struct value b)
{
	bool divides = op == '/' || op == '%' || op == OP('/', '/');
	if (divides && real_of(b) == 0)
		stop(r, "division by zero");
	bool real = op == '/' || a.kind == REAL || b.kind == REAL || (op == OP('*', '*') && whole(b) < 0);
	return real ? of_real(reals(op, real_of(a), real_of(b))) : wholes(r, op, whole(a), whole(b));
}

/* ---- texts and lists ---- */
static struct value repeat(struct run *r, struct value v, int64_t times)
{
	times = times < 0 ? 0 : times;
	size_t n = v.kind == TEXT ? v.t->n : v.list->n, all;
	if (!ft_mul(n, (size_t)times, &all) || all > CHAT_MEMORY)
		stop(r, "a text or list of more than %zu elements", CHAT_MEMORY);
	spend(r, n ? (size_t)times : 0);
	if (v.kind != TEXT) {
		struct list *l = list_new(r, all);
		for (size_t i = 0; i < all; i++)
			l->at[i] = v.list->at[i % n];
		return of_list(v.kind, l);
	}
	struct build b = { .run = r };
	for (int64_t i = 0; n && i < times; i++)
		build_text(&b, v.t);
	return of_text(build_done(&b));
}

static struct value joined(struct run *r, const struct value *a, const struct value *b)
{
	struct list *l = list_new(r, a->list->n + b->list->n);
	spend(r, l->n / 16);
	for (size_t i = 0; i < l->n; i++)
		l->at[i] = i < a->list->n ? a->list->at[i] : b->list->at[i - a->list->n];
	return of_list(a->kind, l);
}

static bool can_repeat(struct value v, struct value times)
{
	return (v.kind == TEXT || v.kind == LIST || v.kind == TUPLE) && (times.kind == INT || times.kind == BOOL);
}

struct value arithmetic(struct run *r, int op, struct value a, struct value b)
{
	char sign[3] = { (char)(op & 0xff), (char)(op >> 8), 0 };
	struct value v;
	if (a.kind == UNDEFINED || b.kind == UNDEFINED)
		stop_undefined(r, a.kind == UNDEFINED ? a : b);
	if (is_number(a) && is_number(b)) {
		v = numbers(r, op, a, b);
		v.mark = a.mark | b.mark;
		return v;
	}
	if (op == '+' && a.kind == TEXT && b.kind == TEXT)
		return of_text(text_join(r, a.t, b.t));
	if (op == '+' && a.kind == b.kind && (a.kind == LIST || a.kind == TUPLE))
		return joined(r, &a, &b);
	if (op == '*' && (can_repeat(a, b) || can_repeat(b, a)))
		return can_repeat(a, b) ? repeat(r, a, whole(b)) : repeat(r, b, whole(a));
	if (op == '%' && a.kind == TEXT)
		stop(r, "'%%' of a text is not supported");
	stop(r, "there is no '%s' of '%s' and '%s'", sign, kind_name(a), kind_name(b));
}
