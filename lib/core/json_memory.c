/* json_memory.c - memory for jansson, which while it reads a text writes where it was given none: a string that could
 * not grow is taken for one that has.
 *
 * So it is never refused while it reads. What the system does not give comes from a reserve, which is for the rest of
 * what jansson has taken from the text; it is given no more of the text, and what it has read is dropped. When it makes
 * values it leaves out what it has no memory for, and does not always say so: then nothing of JSON is written any
 * more. */
#include "ft/err.h"
#include "ft/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESERVE ((size_t)1 << 20) /* untouched, it takes no memory */
#define ALIGNMENT 16

static _Alignas(ALIGNMENT) unsigned char reserve[RESERVE];
static size_t used; /* never given back: whoever is short of memory will not go on for long */
static _Thread_local bool reading, refused;
static bool incomplete;

static void *from_reserve(size_t n)
{
	size_t all = (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	size_t at = all <= RESERVE ? __atomic_fetch_add(&used, all, __ATOMIC_RELAXED) : RESERVE;
	if (at <= RESERVE && all <= RESERVE - at)
		return reserve + at;
	fprintf(stderr, "%s: out of memory: %zu bytes were asked for, for JSON\n", program_invocation_short_name, n);
	_exit(1);
}

static void *get(size_t n)
{
	void *p = malloc(n ? n : 1);
	if (p)
		return p;
	__atomic_store_n(&incomplete, true, __ATOMIC_RELAXED);
	refused = true;
	return reading ? from_reserve(n) : NULL;
}

static void give_back(void *p)
{
	unsigned char *at = p;
	if (at < reserve || at >= reserve + RESERVE)
		free(p);
}

__attribute__((constructor)) static void tell_jansson(void) { json_set_alloc_funcs(get, give_back); }

bool ft_json_incomplete(void) { return __atomic_load_n(&incomplete, __ATOMIC_RELAXED); }

int ft_json_whole(void)
{
	return ft_json_incomplete() ? ft_fail(FT_EFAIL, "out of memory for JSON, of which something is missing") : FT_OK;
}

void ft_json_dropped(void) { __atomic_store_n(&incomplete, false, __ATOMIC_RELAXED); }

struct text {
	const char *next;
	size_t left;
};

static size_t read_text(void *to, size_t n, void *ctx)
{
	struct text *t = ctx;
	if (refused)
		return (size_t)-1;
	n = n < t->left ? n : t->left;
	memcpy(to, t->next, n);
	t->next += n;
	t->left -= n;
	return n;
}

json_t *ft_json_decode(const char *text, size_t n, size_t flags, json_error_t *e, bool *no_memory)
{
	struct text t = { n ? text : "", n }; /* of nothing memcpy() wants to know where, too */
	reading = true;
	refused = false;
	json_t *v = json_load_callback(read_text, &t, flags, e);
	reading = false;
	if (refused) {
		json_decref(v);
		v = NULL;
	}
	/* jansson says nothing at all when memory is short at the start. */
	*no_memory = !v && (refused || !*e->text || json_error_code(e) == json_error_out_of_memory);
	return v;
}

/* Takes the copy, which may be not all of it. */
static json_t *whole(const json_t *v, json_t *copy)
{
	if (copy && !refused)
		return copy;
	json_decref(copy);
	if (v)
		ft_fail(FT_EFAIL, "out of memory for a copy of JSON");
	return NULL;
}

json_t *ft_json_copy(const json_t *v)
{
	refused = false;
	return whole(v, json_copy((json_t *)(uintptr_t)v));
}

json_t *ft_json_deep_copy(const json_t *v)
{
	refused = false;
	return whole(v, json_deep_copy(v));
}
