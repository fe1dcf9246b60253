/* tap.h - the few lines that a test program in C needs: TAP on stdout. */
#ifndef FT_TESTS_TAP_H
#define FT_TESTS_TAP_H

#include "ft/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3), unused)) static int ok(int good, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	printf("%s %d - ", good ? "ok" : "not ok", ++tap_count);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
	tap_failed += !good;
	if (!good)
		printf("# last message: %s\n", ft_message());
	fflush(stdout);
	return good;
}

__attribute__((unused)) static int is_int(long long got, long long want, const char *what)
{
	int good = ok(got == want, "%s", what);
	if (!good)
		printf("# got %lld, wanted %lld\n", got, want);
	return good;
}

__attribute__((unused)) static int is_str(const char *got, const char *want, const char *what)
{
	int good = ok(got && want ? strcmp(got, want) == 0 : got == want, "%s", what);
	if (!good)
		printf("# got    '%s'\n# wanted '%s'\n", got ? got : "(null)", want ? want : "(null)");
	return good;
}

/* |got - want| <= tolerance * max(1, |want|) */
__attribute__((unused)) static int is_near(double got, double want, double tolerance, const char *what)
{
	double scale = want < 0 ? -want : want, difference = got < want ? want - got : got - want;
	int good = ok(difference <= tolerance * (scale > 1 ? scale : 1), "%s", what);
	if (!good)
		printf("# got %.9g, wanted %.9g within %g\n", got, want, tolerance);
	return good;
}

__attribute__((unused)) static int tap_skip(const char *why)
{
	printf("ok %d # skip %s\n", ++tap_count, why);
	return 1;
}

__attribute__((unused)) static int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
