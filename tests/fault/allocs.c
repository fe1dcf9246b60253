/* allocs.c - a library to preload: one of the program's allocations fails. Those that other libraries make for themselves
 * are not counted: some do not survive it.
 *
 *	FT_FAIL_AT=N        which (from 1)
 *	FT_FAIL_PLACES=FILE the return addresses behind each, those in the program as its symbols have them: "N PC PC ..."
 *
 * Or the program calls allocs_fail_new(). A program may also include this file: then it needs no library.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 64

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
int allocs_fail_new(int yes);
static long at, made;
static int on;
static FILE *places;
static uintptr_t program, program_end; /* where it lies */
static ElfW(Addr) moved;               /* by so much */

static int first_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size, (void)ctx;
	moved = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		if (h->p_type == PT_LOAD && h->p_flags & PF_X) {
			program = moved + h->p_vaddr;
			program_end = program + h->p_memsz;
		}
	}
	return 1;
}

/* What comes after main() is not the program's, but of what counts its lines. */
static void end(void)
{
	on = 0;
	if (places)
		fclose(places);
}

__attribute__((constructor)) static void begin(void)
{
	void *frames[2];
	at = getenv("FT_FAIL_AT") ? atol(getenv("FT_FAIL_AT")) : 0;
	if (getenv("FT_FAIL_PLACES"))
		places = fopen(getenv("FT_FAIL_PLACES"), "w");
	dl_iterate_phdr(first_object, NULL);
	if (places)
		backtrace(frames, 2); /* loads what it needs */
	on = 1;
}

static int is_ours(const void *pc)
{
	return (uintptr_t)pc >= program && (uintptr_t)pc < program_end;
}

static void write_places(void)
{
	void *frames[DEPTH];
	int n = backtrace(frames, DEPTH);
	fprintf(places, "%ld", made);
	for (int i = 0; i < n; i++)
		if (is_ours(frames[i]))
			fprintf(places, " %lx", (unsigned long)((uintptr_t)frames[i] - moved));
	fputc('\n', places);
}

/* ---- for a program that says when ---- */
#define ADDRESSES 65536
static uintptr_t seen[ADDRESSES]; /* a hash table of return addresses in the program */
static int watching, failed;

/* From now on (or no longer) the first allocation fails that a call leads to of which none has failed before.
 * Returns whether one did, since it was switched on. */
int allocs_fail_new(int yes)
{
	void *frames[2];
	int before = failed;
	on = 0;
	backtrace(frames, 2);
	on = 1;
	failed = 0;
	watching = yes;
	return before;
}

/* Whether it was not there. */
static int add_seen(uintptr_t pc)
{
	size_t i = pc * 0x9e3779b97f4a7c15u >> 48;
	while (seen[i] && seen[i] != pc)
		i = (i + 1) % ADDRESSES;
	int is_new = !seen[i];
	seen[i] = pc;
	return is_new;
}

static int fails_new(void)
{
	void *frames[DEPTH];
	int n = backtrace(frames, DEPTH), any = 0;
	for (int i = 0; i < n; i++)
		if (is_ours(frames[i]))
			any |= add_seen((uintptr_t)frames[i]);
	return any;
}

/* Whether another library's allocations are counted; what is found is kept for each page of code. */
static int is_counted(uintptr_t caller)
{
	static const char *const others[] = { "libarchive", "libz.", "liblzma", "libbz2", "libgomp", "libopenblas", "ld-linux",
	                                      NULL };
	static struct { uintptr_t page; int counted; } known[256];
	uintptr_t page = caller >> 12;
	Dl_info info;
	if (known[page % 256].page != page) {
		int counted = dladdr((void *)caller, &info) && info.dli_fname;
		for (int i = 0; counted && others[i]; i++)
			counted = !strstr(info.dli_fname, others[i]);
		known[page % 256].page = page;
		known[page % 256].counted = counted;
	}
	return known[page % 256].counted;
}

static int fails(void *caller)
{
	if (!on)
		return 0;
	on = 0;
	int ours = is_ours(caller) || is_counted((uintptr_t)caller);
	if (ours && made++ == 0)
		atexit(end); /* the last that is asked for is the first that is called */
	if (ours && places)
		write_places();
	int now = ours && (made == at || (watching && !failed && fails_new()));
	failed |= now;
	on = 1;
	if (!now)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n); }
