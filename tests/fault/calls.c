/* calls.c - a library to preload: at the n-th call that changes a file something happens, or at all of them.
 *
 *	FT_CALL_AT=N        at which (from 1)
 *	FT_CALL=NAME        only calls of this name count: write, fsync, ftruncate, link, unlink, rename; or one of these, which
 *	                    count only then: close, fchmod, flock, fstat, lseek, fstatvfs, pread, read. Several: with '+' between them
 *	FT_CALL_ON=1        at that one, and at all that follow
 *	FT_CALL_UNLINK=FILE this file is removed, and the call made
 *	FT_CALL_SIGNAL=S    this signal comes, once (9: the process ends before the call)
 *	FT_CALL_ERRNO=E     the call fails so
 *	FT_CALL_COUNT=FILE  how many there were is written there
 *	FT_CALL_MOST=N      no read or write moves more bytes, and every other one is interrupted
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static long count;

static long number(const char *name)
{
	const char *s = getenv(name);
	return s ? atol(s) : 0;
}

static int is_in(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = list; (p = strstr(p, name)); p += n)
		if ((p == list || p[-1] == '+') && (!p[n] || p[n] == '+'))
			return 1;
	return 0;
}

/* Whether this call fails. */
static int happens(const char *name)
{
	const char *only = getenv("FT_CALL");
	if (only && !is_in(only, name))
		return 0;
	if (++count < number("FT_CALL_AT") || (count > number("FT_CALL_AT") && !number("FT_CALL_ON")))
		return 0;
	if (getenv("FT_CALL_UNLINK"))
		syscall(SYS_unlink, getenv("FT_CALL_UNLINK"));
	if (number("FT_CALL_SIGNAL") && count == number("FT_CALL_AT"))
		pthread_kill(pthread_self(), (int)number("FT_CALL_SIGNAL")); /* not raise(), which ends the counting of lines */
	errno = (int)number("FT_CALL_ERRNO");
	return errno != 0;
}

/* How much of n bytes a read or write may move; 0: it is interrupted. */
static size_t some(size_t n)
{
	static long turn;
	size_t most = (size_t)number("FT_CALL_MOST");
	if (!most)
		return n;
	errno = EINTR;
	return __atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) % 2 ? (n < most ? n : most) : 0;
}

__attribute__((destructor)) static void end(void)
{
	FILE *f = getenv("FT_CALL_COUNT") ? fopen(getenv("FT_CALL_COUNT"), "w") : NULL;
	if (f && fprintf(f, "%ld\n", count))
		fclose(f);
}

/* Those that change nothing: they count when they are asked for. */
static int happens_when_named(const char *name)
{
	return getenv("FT_CALL") && happens(name);
}

#define WRAP(type, name, parameters, ...)                                                   \
	type name parameters                                                                \
	{                                                                                   \
		static type (*next) parameters;                                             \
		if (!next)                                                                  \
			next = (type (*) parameters)dlsym(RTLD_NEXT, #name);                \
		return fails(#name) ? -1 : next(__VA_ARGS__);                               \
	}
#define fails happens
WRAP(int, fsync, (int fd), fd)
WRAP(int, ftruncate, (int fd, off_t n), fd, n)
WRAP(int, link, (const char *from, const char *to), from, to)
WRAP(int, unlink, (const char *path), path)
WRAP(int, rename, (const char *from, const char *to), from, to)
#undef fails
#define fails happens_when_named
WRAP(int, close, (int fd), fd)
WRAP(int, fchmod, (int fd, mode_t mode), fd, mode)
WRAP(int, flock, (int fd, int how), fd, how)
WRAP(int, fstat, (int fd, struct stat *st), fd, st)
WRAP(off_t, lseek, (int fd, off_t at, int whence), fd, at, whence)
WRAP(int, fstatvfs, (int fd, struct statvfs *fs), fd, fs)

/* With the system's own calls: these are made before there is anything to look names up with. */
ssize_t read(int fd, void *p, size_t n)
{
	return happens_when_named("read") || (n && !(n = some(n))) ? -1 : syscall(SYS_read, fd, p, n);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	return happens_when_named("pread") || (n && !(n = some(n))) ? -1 : syscall(SYS_pread64, fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
	return happens("write") || (n && !(n = some(n))) ? -1 : syscall(SYS_write, fd, p, n);
}
