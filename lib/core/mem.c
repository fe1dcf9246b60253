/* mem.c - checked allocation, the growable buffer, arenas. */
#include "ft/mem.h"
#include "ft/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *ft_alloc(size_t count, size_t size)
{
	size_t bytes;
	if (!ft_mul(count, size, &bytes)) {
		ft_fail(FT_EFAIL, "out of memory: %zu objects of %zu bytes", count, size);
		return NULL;
	}
	void *p = calloc(1, bytes ? bytes : 1);
	if (!p)
		ft_fail_memory(bytes);
	return p;
}

#define LARGE ((size_t)4 << 20)

void ft_advise_whole(void *p, size_t bytes)
{
#ifdef MADV_HUGEPAGE
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)p + page - 1) & ~(page - 1);
	uintptr_t end = ((uintptr_t)p + bytes) & ~(page - 1);
	if (p && bytes >= LARGE)
		madvise((void *)from, end - from, MADV_HUGEPAGE); /* advice: a refusal changes nothing */
#else
	(void)p, (void)bytes;
#endif
}

/* What large pages are on the processors that there are. */
#define LARGE_PAGE ((size_t)2 << 20)

size_t ft_page(bool whole)
{
	char text[64] = "";
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	bool said = f && fgets(text, sizeof text, f);
	if (f)
		fclose(f);
	bool large = said && (strstr(text, "[always]") || (whole && strstr(text, "[madvise]")));
	return large ? LARGE_PAGE : (size_t)sysconf(_SC_PAGESIZE);
}

size_t ft_resident(size_t touched, size_t whole)
{
	size_t page = ft_page(whole >= LARGE);
	size_t bytes = (touched + page - 1) / page * page;
	return bytes < whole ? bytes : whole;
}

void *ft_alloc_whole(size_t count, size_t size)
{
	void *p = ft_alloc(count, size); /* calloc of this size comes from untouched pages */
	if (p)
		ft_advise_whole(p, count * size);
	return p;
}

int ft_grow(void *ptr, size_t *cap, size_t need, size_t size)
{
	void **p = ptr;
	if (need <= *cap)
		return FT_OK;
	size_t n = *cap > SIZE_MAX / 2 ? need : *cap * 2, bytes;
	if (n < need)
		n = need;
	if (n < 16)
		n = 16;
	if (!ft_mul(n, size, &bytes))
		return ft_fail(FT_EFAIL, "out of memory: %zu objects of %zu bytes", n, size);
	void *q = realloc(*p, bytes);
	if (!q)
		return ft_fail_memory(bytes);
	*p = q;
	*cap = n;
	return FT_OK;
}

/* A line of /proc/self/status, which is in kB. */
static size_t read_status(const char *key)
{
	char line[128];
	unsigned long long kb = 0;
	FILE *f = fopen("/proc/self/status", "re");
	while (f && !kb && fgets(line, sizeof line, f))
		if (strncmp(line, key, strlen(key)) == 0)
			kb = strtoull(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return (size_t)kb * 1024;
}

size_t ft_memory_now(void) { return read_status("VmRSS:"); }
size_t ft_memory_peak(void) { return read_status("VmHWM:"); }

char *ft_strdup(const char *s)
{
	return ft_strndup(s, strlen(s));
}

char *ft_strndup(const char *s, size_t n)
{
	char *copy = ft_alloc(n + 1, 1);
	if (copy && n)
		memcpy(copy, s, n);
	return copy;
}

char *ft_format(const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *s = n < 0 ? NULL : ft_alloc((size_t)n + 1, 1);
	if (s)
		vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	return s;
}

int ft_buf_reserve(struct ft_buf *b, size_t more)
{
	size_t need;
	if (!ft_add(b->len, more, &need))
		return ft_fail(FT_EFAIL, "out of memory: a buffer of more than %zu bytes", b->len);
	return ft_grow(&b->data, &b->cap, need, 1);
}

int ft_buf_append(struct ft_buf *b, const void *p, size_t n)
{
	int rc = ft_buf_reserve(b, n);
	if (rc < 0)
		return rc;
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	return FT_OK;
}

int ft_buf_printf(struct ft_buf *b, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	int rc = n < 0 ? ft_fail(FT_EFAIL, "cannot format text") : ft_buf_reserve(b, (size_t)n + 1);
	if (rc == FT_OK) {
		vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return rc;
}

void ft_buf_free(struct ft_buf *b)
{
	free(b->data);
	*b = (struct ft_buf){ 0 };
}

/* ---- arena: a chain of blocks, each at least twice the one before ---- */

#define ALIGN 64
#define FIRST_BLOCK ((size_t)1 << 16)

struct ft_arena_block {
	struct ft_arena_block *next;
	size_t cap, used, most; /* most: of used, ever */
	size_t whole;           /* with this */
	unsigned char *data;    /* aligned, in the same allocation */
};

/* Blocks of this size go back to the system when they are freed, whatever malloc() would do. */
#define MAPPED ((size_t)1 << 20)

static void *get_block(size_t bytes)
{
	if (bytes < MAPPED)
		return malloc(bytes);
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void free_block(struct ft_arena_block *b)
{
	if (b->whole < MAPPED)
		free(b);
	else
		munmap(b, b->whole);
}

static struct ft_arena_block *new_block(size_t bytes)
{
	size_t whole;
	if (!ft_add(bytes, sizeof(struct ft_arena_block) + ALIGN, &whole)) {
		ft_fail_memory(bytes);
		return NULL;
	}
	struct ft_arena_block *b = get_block(whole);
	if (!b) {
		ft_fail_memory(whole);
		return NULL;
	}
	ft_advise_whole(b, whole);
	uintptr_t data = ((uintptr_t)(b + 1) + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
	*b = (struct ft_arena_block){ .cap = bytes, .whole = whole, .data = (unsigned char *)data };
	return b;
}

/* The next block that can hold `bytes`: an old one kept over a reset, or new. */
static struct ft_arena_block *next_block(struct ft_arena *a, size_t bytes)
{
	struct ft_arena_block **at = a->now ? &a->now->next : &a->first;
	size_t size = a->now ? a->now->cap : FIRST_BLOCK / 2;
	/* A kept block that is too small is replaced: shapes grew. */
	while (*at && (*at)->cap < bytes) {
		struct ft_arena_block *small = *at;
		*at = small->next;
		free_block(small);
	}
	if (!*at) {
		size = size > SIZE_MAX / 2 ? bytes : size * 2;
		if (size > ((size_t)1 << 28))
			size = (size_t)1 << 28;
		*at = new_block(size < bytes ? bytes : size);
	}
	return *at;
}

void *ft_arena_get(struct ft_arena *a, size_t bytes)
{
	size_t size;
	if (!ft_add(bytes, ALIGN - 1, &size)) {
		ft_fail_memory(bytes);
		return NULL;
	}
	size &= ~(size_t)(ALIGN - 1);
	if (!a->now || a->now->cap - a->now->used < size) {
		struct ft_arena_block *b = next_block(a, size);
		if (!b)
			return NULL;
		b->used = 0;
		a->now = b;
	}
	void *p = a->now->data + a->now->used;
	a->now->used += size;
	if (a->now->used > a->now->most)
		a->now->most = a->now->used;
	a->used += size;
	if (a->used > a->peak)
		a->peak = a->used;
	return p;
}

size_t ft_arena_resident(const struct ft_arena *a)
{
	size_t sum = 0;
	for (const struct ft_arena_block *b = a->first; b; b = b->next)
		sum += ft_resident(b->most, b->whole);
	return sum;
}

void ft_arena_reset(struct ft_arena *a)
{
	a->now = NULL;
	a->used = 0;
}

void ft_arena_free(struct ft_arena *a)
{
	while (a->first) {
		struct ft_arena_block *next = a->first->next;
		free_block(a->first);
		a->first = next;
	}
	*a = (struct ft_arena){ 0 };
}
