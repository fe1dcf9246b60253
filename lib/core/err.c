/* err.c - the per-thread message of the last failure. */
#include "ft/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX 1024

static _Thread_local char message[MESSAGE_MAX];
static _Thread_local int last;

/* Copies `text`, with control characters (which could come from a hostile file
 * and drive a terminal) written as \xNN. */
static void set_message(const char *text)
{
	size_t n = 0;
	for (const unsigned char *p = (const unsigned char *)text; *p && n + 5 < MESSAGE_MAX; p++) {
		if (*p < 0x20 || *p == 0x7f)
			n += (size_t)snprintf(message + n, 5, "\\x%02x", *p);
		else
			message[n++] = (char)*p;
	}
	message[n] = '\0';
}

int ft_fail(int code, const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	set_message(text);
	last = code;
	return code;
}

int ft_fail_errno(const char *fmt, ...)
{
	int saved = errno;
	char text[MESSAGE_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return ft_fail(FT_EFAIL, "%s: %s", text, strerror(saved));
}

int ft_fail_memory(unsigned long long bytes)
{
	return ft_fail(FT_EFAIL, "out of memory: %llu bytes were asked for", bytes);
}

int ft_context(int code, const char *fmt, ...)
{
	char text[2 * MESSAGE_MAX];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, MESSAGE_MAX, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= MESSAGE_MAX)
		n = MESSAGE_MAX - 1;
	snprintf(text + n, sizeof text - (size_t)n, ": %s", message);
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
