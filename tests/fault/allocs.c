/* allocs.c - a library to preload: one of the program's allocations fails. Those that other libraries make for themselves
 * are not counted: some do not survive it.
 *
 *	FT_FAIL_AT=N        which (from 1)
 *	FT_FAIL_PLACES=FILE the return addresses behind each, those in the program as its symbols have them: "N PC PC ..."
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define DEPTH 64

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
static long at, made;
static int on;
static FILE *places;
static const void *program;  /* where it lies */
static ElfW(Addr) moved;     /* by so much */

static int first_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size, (void)ctx;
	moved = info->dlpi_addr;
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
	Dl_info info;
	at = getenv("FT_FAIL_AT") ? atol(getenv("FT_FAIL_AT")) : 0;
	if (getenv("FT_FAIL_PLACES"))
		places = fopen(getenv("FT_FAIL_PLACES"), "w");
	dl_iterate_phdr(first_object, NULL);
	if (dladdr((void *)getauxval(AT_ENTRY), &info))
		program = info.dli_fbase;
	backtrace(frames, 2); /* loads what it needs */
	atexit(end);
	on = 1;
}

static void write_places(void)
{
	void *frames[DEPTH];
	int n = backtrace(frames, DEPTH);
	fprintf(places, "%ld", made);
	for (int i = 0; i < n; i++) {
		Dl_info info;
		if (dladdr(frames[i], &info) && info.dli_fbase == program)
			fprintf(places, " %lx", (unsigned long)((ElfW(Addr))frames[i] - moved));
	}
	fputc('\n', places);
}

static int fails(void *caller)
{
	static const char *const others[] = { "libarchive", "libgomp", "libopenblas", "ld-linux" };
	Dl_info info;
	if (!on)
		return 0;
	on = 0;
	int ours = dladdr(caller, &info) && info.dli_fname;
	for (int i = 0; ours && i < 4; i++)
		ours = !strstr(info.dli_fname, others[i]);
	made += ours;
	if (ours && places)
		write_places();
	on = 1;
	if (!ours || made != at)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n); }
