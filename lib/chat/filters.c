/* filters.c - filters of single values. Those that take texts take anything, as text. */
#include "filters.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- texts ---- */
FILTER_OF(capitalize) { return (void)a, of_text(letters(r, show(r, self), CAPITALIZE)); }
FILTER_OF(lower) { return (void)a, of_text(letters(r, show(r, self), LOWER)); }
FILTER_OF(upper) { return (void)a, of_text(letters(r, show(r, self), UPPER)); }
FILTER_OF(title) { return (void)a, of_text(title_filter(r, show(r, self))); }
FILTER_OF(string) { return (void)a, of_text(show(r, self)); }

FILTER_OF(trim)
{
	bool chars = given(a, 0) && a->at[0].kind != NONE;
	return of_text(strip(r, show(r, self), chars ? text_arg(r, a, 0) : NULL, true, true));
}

FILTER_OF(replace)
{
	int64_t most = a->at[2].kind == NONE ? -1 : int_arg(r, a, 2, -1);
	return of_text(replace(r, show(r, self), show(r, a->at[0]), show(r, a->at[1]), most));
}

/* The white space in front of each line but the first (but empty ones, unless `blank`). */
FILTER_OF(indent)
{
	if (self.kind != TEXT)
		stop(r, "indent needs a text, not '%s'", kind_name(self));
	const struct text *t = self.t, *pad;
	struct build b = { .run = r };
	bool first = bool_arg(a, 1, false), blank = bool_arg(a, 2, false), text = given(a, 0) && a->at[0].kind == TEXT;
	pad = text ? a->at[0].t : arithmetic(r, '*', of_text(text_str(r, " ")), of_int(int_arg(r, a, 0, 4))).t;
	struct text newline = { .s = "\n", .n = 1 };
	for (size_t from = 0, end; from <= t->n; from = end + 1) {
		end = text_find(t, from, &newline);
		end = end == SIZE_MAX ? t->n : end;
		if (from ? blank || end > from : first)
			build_text(&b, pad);
		build_part(&b, t, from, end < t->n ? end + 1 : end);
		spend(r, 1);
	}
	return of_text(build_done(&b));
}

/* transformers' own: no escapes for HTML, and none for what ASCII lacks. */
FILTER_OF(tojson)
{
	struct dump how = { .indent = -1, .item = text_str(r, ", "), .key = text_str(r, ": ") };
	how.ascii = bool_arg(a, 0, false);
	how.sort = bool_arg(a, 3, false);
	if (given(a, 1) && a->at[1].kind != NONE) {
		int64_t n = int_arg(r, a, 1, 0);
		if (n > 100)
			stop(r, "tojson indents by at most 100");
		how.indent = n < 0 ? 0 : (int)n;
		how.item = text_str(r, ",");
	}
	if (given(a, 2) && a->at[2].kind != NONE) {
		struct list *l = items_of(r, a->at[2]);
		if (l->n != 2 || l->at[0].kind != TEXT || l->at[1].kind != TEXT)
			stop(r, "the separators of tojson must be two texts");
		how.item = l->at[0].t;
		how.key = l->at[1].t;
	}
	return of_text(dump_json(r, self, &how));
}

/* ---- numbers ---- */
/* A number that is all of a text but white space; false: it is none. */
static bool read_real(struct run *r, const struct text *t, double *x)
{
	t = strip(r, t, NULL, true, true);
	char copy[400], *end;
	if (!t->n || t->n >= sizeof copy || memchr(t->s, 'x', t->n) || memchr(t->s, 'X', t->n))
		return false;
	memcpy(copy, t->s, t->n);
	copy[t->n] = 0;
	*x = strtod(copy, &end);
	return end == copy + t->n;
}

static bool read_int(struct run *r, const struct text *t, int base, int64_t *i)
{
	t = strip(r, t, NULL, true, true);
	char copy[80], *end;
	if (!t->n || t->n >= sizeof copy)
		return false;
	memcpy(copy, t->s, t->n);
	copy[t->n] = 0;
	errno = 0;
	*i = strtoll(copy, &end, base);
	bool all = end == copy + t->n;
	if (all && errno)
		stop_large(r);
	return all;
}

FILTER_OF(int)
{
	double x = 0;
	int64_t i, base = int_arg(r, a, 1, 10);
	if (self.kind == UNDEFINED)
		stop_undefined(r, self);
	if (base < 2 || base > 36)
		stop(r, "the base of int must be 2 to 36");
	if (self.kind == TEXT && read_int(r, self.t, (int)base, &i))
		return of_int(i);
	if (self.kind == INT || self.kind == BOOL)
		return arithmetic(r, '+', self, of_int(0));
	bool number = self.kind == REAL || (self.kind == TEXT && read_real(r, self.t, &x));
	x = self.kind == REAL ? self.r : x;
	if (self.kind == REAL && isinf(x))
		stop(r, "int of infinity");
	if (!number || !isfinite(x))
		return given(a, 0) ? a->at[0] : of_int(0);
	if (!(fabs(x) < 9.2e18))
		stop_large(r);
	return of_int((int64_t)x);
}

FILTER_OF(float)
{
	double x;
	if (self.kind == UNDEFINED)
		stop_undefined(r, self);
	if (is_number(self))
		return of_real(real_of(self));
	if (self.kind == TEXT && read_real(r, self.t, &x))
		return of_real(x);
	return given(a, 0) ? a->at[0] : of_real(0);
}

FILTER_OF(abs)
{
	(void)a;
	if (!is_number(self))
		stop(r, "abs of a '%s'", kind_name(self));
	if (self.kind == REAL)
		return of_real(fabs(self.r));
	return arithmetic(r, real_of(self) < 0 ? '-' : '+', of_int(0), self);
}

FILTER_OF(round)
{
	int64_t digits = int_arg(r, a, 0, 0);
	const struct text *how = given(a, 1) ? text_arg(r, a, 1) : text_str(r, "common");
	if (!is_number(self) || digits < 0 || digits > 15)
		stop(r, "round takes a number, and 0 to 15 digits");
	if (self.kind != REAL && text_is(how, "common"))
		return arithmetic(r, '+', self, of_int(0));
	double x = real_of(self), scale = pow(10, (double)digits);
	if (text_is(how, "ceil") || text_is(how, "floor"))
		return of_real((text_is(how, "ceil") ? ceil(x * scale) : floor(x * scale)) / scale);
	char out[400];
	snprintf(out, sizeof out, "%.*f", (int)digits, x); /* half to even, of the exact value */
	return of_real(strtod(out, NULL));
}

/* ---- anything ---- */
FILTER_OF(default)
{
	bool missing = self.kind == UNDEFINED || (bool_arg(a, 1, false) && !truth(self));
	return !missing ? self : given(a, 0) ? a->at[0] : of_text(text_str(r, ""));
}

static const struct builtin filters[] = {
#define X(name, function, least, params) { #name, least, params, filter_##function },
#include "filters.def"
#undef X
};

const struct builtin *find_filter(const struct text *name)
{
	return find_builtin(filters, sizeof filters / sizeof *filters, name);
}
