/* harness.h - what the fuzz harnesses share. A harness is LLVMFuzzerTestOneInput(),
 * linked with libFuzzer by tests/fuzz/run, and with replay.c for `make check`. */
#ifndef FT_TESTS_HARNESS_H
#define FT_TESTS_HARNESS_H

#include <ftw.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Called with each input; what must not be, aborts. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where a harness is left to while an allocation fails, and much cannot be what it must; NULL: none does. */
__attribute__((weak)) jmp_buf *harness_way_out;

/* As assert(), and never compiled out. */
#define must(condition)                                                                  \
	do {                                                                             \
		if (!(condition)) {                                                      \
			if (harness_way_out)                                             \
				longjmp(*harness_way_out, 1);                            \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                         \
		}                                                                        \
	} while (0)

/* ---- a folder for the files of a harness, in memory where there is a place for it; removed at exit ---- */
static char harness_folder[64];

static int harness_remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
	(void)st, (void)kind, (void)place;
	return remove(path);
}

__attribute__((unused)) static void harness_remove(void)
{
	nftw(harness_folder, harness_remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

__attribute__((unused)) static void harness_make_folder(void)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(harness_folder, sizeof harness_folder, "%s/ft-fuzz.XXXXXX", base);
	must(mkdtemp(harness_folder));
	atexit(harness_remove);
}

/* The path of a file in it; good for the next seven calls. */
__attribute__((unused)) static const char *harness_path(const char *name)
{
	static char paths[8][sizeof harness_folder + 64];
	static int turn;
	char *path = paths[turn = (turn + 1) % 8];
	snprintf(path, sizeof paths[0], "%s/%s", harness_folder, name);
	return path;
}

__attribute__((unused)) static void harness_put(const char *name, const void *p, size_t n)
{
	FILE *f = fopen(harness_path(name), "wb");
	must(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

#endif
