/* archives.c - a library to preload: the n-th of the calls that begin to read with libarchive fails, as without memory.
 *
 *	FT_ARCHIVE_AT=N        which (from 1)
 *	FT_ARCHIVE_COUNT=FILE  how many there were is written there
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#define FATAL (-30)
struct archive;
struct archive_entry;
static long count;

static int happens(void)
{
	const char *at = getenv("FT_ARCHIVE_AT");
	return ++count == (at ? atol(at) : 0);
}

__attribute__((destructor)) static void end(void)
{
	FILE *f = getenv("FT_ARCHIVE_COUNT") ? fopen(getenv("FT_ARCHIVE_COUNT"), "w") : NULL;
	if (f) {
		fprintf(f, "%ld\n", count);
		fclose(f);
	}
}

static int fail(struct archive *a)
{
	void (*set)(struct archive *, int, const char *, ...) =
		(void (*)(struct archive *, int, const char *, ...))dlsym(RTLD_NEXT, "archive_set_error");
	set(a, ENOMEM, "no memory");
	return FATAL;
}

struct archive *archive_read_new(void)
{
	struct archive *(*next)(void) = (struct archive *(*)(void))dlsym(RTLD_NEXT, "archive_read_new");
	return happens() ? NULL : next();
}

#define WRAP(name, parameters, ...)                                                                     \
	int name parameters                                                                             \
	{                                                                                               \
		int (*next) parameters = (int (*) parameters)dlsym(RTLD_NEXT, #name);                   \
		return happens() ? fail(a) : next(__VA_ARGS__);                                         \
	}
WRAP(archive_read_support_filter_gzip, (struct archive *a), a)
WRAP(archive_read_support_filter_zstd, (struct archive *a), a)
WRAP(archive_read_support_filter_xz, (struct archive *a), a)
WRAP(archive_read_support_filter_bzip2, (struct archive *a), a)
WRAP(archive_read_support_format_tar, (struct archive *a), a)
WRAP(archive_read_support_format_zip, (struct archive *a), a)
WRAP(archive_read_support_format_raw, (struct archive *a), a)
WRAP(archive_read_support_format_empty, (struct archive *a), a)
WRAP(archive_read_set_format_option, (struct archive *a, const char *m, const char *o, const char *v), a, m, o, v)
WRAP(archive_read_set_read_callback, (struct archive *a, ssize_t (*read)(struct archive *, void *, const void **)), a, read)
WRAP(archive_read_set_callback_data, (struct archive *a, void *data), a, data)
WRAP(archive_read_open1, (struct archive *a), a)
WRAP(archive_read_next_header, (struct archive *a, struct archive_entry **e), a, e)
