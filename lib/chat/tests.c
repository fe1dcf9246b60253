/* tests.c - what may stand behind `is`. */
#include "priv.h"

#define TEST(name, condition) \
	static BUILTIN(test_##name) \
	{ \
		(void)r, (void)a; \
		return of_bool(condition); \
	}

TEST(defined, self.kind != UNDEFINED)
TEST(undefined, self.kind == UNDEFINED)
TEST(none, self.kind == NONE)
TEST(boolean, self.kind == BOOL)
TEST(true, self.kind == BOOL && self.yes)
TEST(false, self.kind == BOOL && !self.yes)
TEST(integer, self.kind == INT)
TEST(float, self.kind == REAL)
TEST(number, is_number(self))
TEST(string, self.kind == TEXT)
TEST(mapping, self.kind == MAP)
/* An undefined value is an empty sequence. */
TEST(sequence, (is_list(self) && self.kind <= TUPLE) || self.kind == TEXT || self.kind == MAP || self.kind == UNDEFINED)
TEST(iterable, is_list(self) || self.kind == TEXT || self.kind == MAP || self.kind == UNDEFINED)
TEST(callable, is_callable(self) || self.kind == UNDEFINED)

TEST(divisible, real_of(arithmetic(r, '%', self, a->at[0])) == 0)
TEST(odd, real_of(arithmetic(r, '%', self, of_int(2))) == 1)
TEST(even, !test_odd(r, self, a).yes)

static bool all_in(struct run *r, struct value v, enum letters how)
{
	const struct text *t = show(r, v);
	enum letters other = how == UPPER ? LOWER : UPPER;
	return text_same(t, letters(r, t, how)) && !text_same(t, letters(r, t, other));
}

TEST(lower, all_in(r, self, LOWER))
TEST(upper, all_in(r, self, UPPER))
TEST(same, self.kind == a->at[0].kind && equal(r, self, a->at[0]))
TEST(in, contains(r, a->at[0], self))
TEST(eq, equal(r, self, a->at[0]))
TEST(ne, !equal(r, self, a->at[0]))
TEST(lt, compare(r, self, a->at[0]) < 0)
TEST(le, compare(r, self, a->at[0]) <= 0)
TEST(gt, compare(r, self, a->at[0]) > 0)
TEST(ge, compare(r, self, a->at[0]) >= 0)

static const struct builtin tests[] = {
#define X(name, function, least, params) { name, least, params, test_##function },
#include "tests.def"
#undef X
};

const struct builtin *find_test(const struct text *name)
{
	return find_builtin(tests, sizeof tests / sizeof *tests, name);
}

bool run_test(struct run *r, const struct builtin *test, struct value v, struct args *a)
{
	return call_builtin(r, test, v, a).yes;
}
