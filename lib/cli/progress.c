/* progress.c - the progress line, notes and warnings: all on stderr. */
#include "ft/cli.h"
#include "priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool hushed;
static bool shown; /* a progress line stands on the terminal */

double ft_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool ft_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	return !(no && *no) && !(term && strcmp(term, "dumb") == 0) && isatty(fd);
}

void ft_progress(const char *fmt, ...)
{
	static double last;
	static int terminal = -1;
	if (terminal < 0)
		terminal = isatty(STDERR_FILENO);
	double now = ft_now();
	if (cli_quiet || !terminal || (shown && now - last < 0.1))
		return;
	last = now;
	shown = true;
	va_list ap;
	va_start(ap, fmt);
	fputs("\r\033[K", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
}

void ft_progress_end(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	shown = false;
}

static void say(const char *kind, const char *fmt, va_list ap)
{
	ft_progress_end();
	fprintf(stderr, "%s: %s", program_invocation_short_name, kind);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

bool ft_quiet(void)
{
	return cli_quiet;
}

void ft_hush(void)
{
	cli_quiet = hushed = true;
}

bool cli_hushed(void)
{
	return hushed;
}

void ft_note(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (!cli_quiet)
		say("", fmt, ap);
	va_end(ap);
}

void ft_warn(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (!hushed)
		say("warning: ", fmt, ap);
	va_end(ap);
}

void ft_human_bytes(char out[16], double bytes)
{
	const char *unit = "B";
	if (bytes >= 1e9)
		bytes /= 1e9, unit = "GB";
	else if (bytes >= 1e6)
		bytes /= 1e6, unit = "MB";
	else if (bytes >= 1e3)
		bytes /= 1e3, unit = "kB";
	snprintf(out, 16, *unit == 'B' ? "%.0f %s" : "%.1f %s", bytes, unit);
}
