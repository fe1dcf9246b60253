/* run.c - what compiling and rendering live in: memory, limits, and the way out. */
#include "priv.h"

#include <stdarg.h>
#include <stdio.h>

void run_end(struct run *r)
{
	ft_arena_free(&r->arena);
	ft_buf_free(&r->out);
	ft_buf_free(&r->marks);
}

void stop(struct run *r, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	r->code = ft_fail(FT_EFORMAT, "%s:%u: %s", r->name, r->line, text);
	longjmp(r->leave, 1);
}

void stop_memory(struct run *r)
{
	r->code = FT_EFAIL; /* the message is there */
	longjmp(r->leave, 1);
}

void *take(struct run *r, size_t count, size_t size)
{
	size_t bytes;
	if (!ft_mul(count, size, &bytes) || bytes > CHAT_MEMORY || r->arena.used > CHAT_MEMORY - bytes)
		stop(r, "the template needs more than %zu MiB of memory", CHAT_MEMORY >> 20);
	void *p = ft_arena_get(&r->arena, bytes);
	if (!p)
		stop_memory(r);
	memset(p, 0, bytes);
	return p;
}

void spend(struct run *r, size_t steps)
{
	if (steps > CHAT_STEPS || (r->steps += steps) > CHAT_STEPS)
		stop(r, "the template does not come to an end within %llu steps", (unsigned long long)CHAT_STEPS);
}

void enter(struct run *r)
{
	spend(r, 1);
	if (++r->depth > CHAT_DEPTH)
		stop(r, "nested more than %d levels deep", CHAT_DEPTH);
}

void leave(struct run *r)
{
	r->depth--;
}

void *one_more(struct run *r, void *array, size_t n, size_t size)
{
	if (n & (n - 1) || (n && n < 4))
		return array; /* n is not a capacity: there is room */
	void *wider = take(r, n ? 2 * n : 4, size);
	if (n)
		memcpy(wider, array, n * size);
	return wider;
}
