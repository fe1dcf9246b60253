/* err.c - the per-thread message of the last failure. */
#include "ft/err.h"
#include "ft/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 1024
#define SHOWN_MAX 1000 /* bytes before what cannot be shown is escaped */

static _Thread_local char message[MESSAGE_MAX];
static _Thread_local int last;

/* Bytes of the character at p; 0: it is none that may reach a terminal, being a control
 * character (of U+0080 to U+009F, too), or not UTF-8. */
static size_t printable(const unsigned char *p, size_t n)
{
	int32_t c;
	bool bad = false;
	size_t used = ft_utf8_get((const char *)p, n, &c, &bad);
	return bad || c < 0x20 || (c >= 0x7f && c < 0xa0) ? 0 : used;
}

/* Copies `text`; bytes that could come from a hostile file and drive a terminal are
 * written as \xNN. */
static void set_message(const char *text)
{
	size_t n = 0, left = strlen(text);
	for (const unsigned char *p = (const unsigned char *)text; left && n + 5 < MESSAGE_MAX;) {
		size_t k = printable(p, left);
		if (k)
			memcpy(message + n, p, k);
		else
			snprintf(message + n, 5, "\\x%02x", *p);
		n += k ? k : 4;
		p += k ? k : 1;
		left -= k ? k : 1;
	}
	message[n] = '\0';
}

/* Of a text of n bytes that is too long the middle goes: a place stands at its
 * beginning, the reason at its end. */
static void shorten(char text[SHOWN_MAX + 1], const char *whole, size_t n)
{
	size_t half = SHOWN_MAX / 2 - 2;
	if (n <= SHOWN_MAX)
		memmove(text, whole, n + 1);
	else
		snprintf(text, SHOWN_MAX + 1, "%.*s...%s", (int)half, whole, whole + n - half);
}

/* Formats into `text` as much as is shown. */
static void format(char text[SHOWN_MAX + 1], const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	char *whole = NULL;
	int n = vsnprintf(text, SHOWN_MAX + 1, fmt, ap);
	if (n > SHOWN_MAX && vasprintf(&whole, fmt, again) == n) {
		shorten(text, whole, (size_t)n);
		free(whole);
	}
	va_end(again);
}

int ft_fail(int code, const char *fmt, ...)
{
	char text[SHOWN_MAX + 1];
	va_list ap;
	va_start(ap, fmt);
	format(text, fmt, ap);
	va_end(ap);
	set_message(text);
	last = code;
	return code;
}

int ft_fail_errno(const char *fmt, ...)
{
	int saved = errno;
	char text[SHOWN_MAX + 1];
	va_list ap;
	va_start(ap, fmt);
	format(text, fmt, ap);
	va_end(ap);
	return ft_fail(FT_EFAIL, "%s: %s", text, strerror(saved));
}

int ft_fail_memory(unsigned long long bytes)
{
	return ft_fail(FT_EFAIL, "out of memory: %llu bytes were asked for", bytes);
}

int ft_context(int code, const char *fmt, ...)
{
	char place[SHOWN_MAX + 1], whole[SHOWN_MAX + 2 + MESSAGE_MAX], text[SHOWN_MAX + 1];
	va_list ap;
	va_start(ap, fmt);
	format(place, fmt, ap);
	va_end(ap);
	int n = snprintf(whole, sizeof whole, "%s: %s", place, message);
	shorten(text, whole, (size_t)n);
	set_message(text);
	last = code;
	return code;
}

const char *ft_message(void)
{
	return message;
}

int ft_last_error(void)
{
	return last ? last : FT_EFAIL; /* who asks has seen a failure */
}
