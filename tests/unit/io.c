/* io.c - streams over system calls that fail: each call of a run in turn, and
 * each allocation. The calls of the library come here first.
 */
#include "ft/err.h"
#include "ft/rng.h"
#include "ft/stream.h"
#include "tests/tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- what stands between the library and the system ---- */
enum call { READ, WRITE, FSYNC, RENAME, CLOSE, OPEN, ALLOC, CALLS };
static const char *const names[] = { "read", "write", "fsync", "rename", "close", "open", "malloc" };
static bool on;          /* counting, and failing */
static long made[CALLS]; /* since `on` */
static enum call which;
static long when;        /* the call that fails; 0: none */
static int why;
static size_t most;      /* bytes of a read or write; 0: no limit */
static bool interrupted; /* every other read and write ends with EINTR */

static bool fails_now(enum call c)
{
	if (!on || ++made[c] != when || c != which)
		return false;
	errno = why;
	return true;
}

static bool interrupts(enum call c)
{
	if (!on || !interrupted || made[c] % 2)
		return false;
	errno = EINTR;
	return true;
}

static size_t cut(size_t n) { return on && most && n > most ? most : n; }

ssize_t read(int fd, void *p, size_t n)
{
	return fails_now(READ) || interrupts(READ) ? -1 : syscall(SYS_read, fd, p, cut(n));
}

ssize_t write(int fd, const void *p, size_t n)
{
	return fails_now(WRITE) || interrupts(WRITE) ? -1 : syscall(SYS_write, fd, p, cut(n));
}

int fsync(int fd) { return fails_now(FSYNC) ? -1 : (int)syscall(SYS_fsync, fd); }

int rename(const char *from, const char *to)
{
	return fails_now(RENAME) ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int close(int fd)
{
	int rc = (int)syscall(SYS_close, fd); /* it is closed even when it fails */
	return fails_now(CLOSE) ? -1 : rc;
}

int open(const char *path, int flags, ...)
{
	return fails_now(OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0666);
}

#if defined __SANITIZE_ADDRESS__ || !defined __GLIBC__
#define HAVE_ALLOC 0
#else
#define HAVE_ALLOC 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n) { return fails_now(ALLOC) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return fails_now(ALLOC) ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return fails_now(ALLOC) ? NULL : __libc_realloc(p, n); }
#endif

static void begin(enum call c, long n, int error)
{
	memset(made, 0, sizeof made);
	which = c;
	when = n;
	why = error;
	on = true;
}

/* ---- a run: a stream is read and written again ---- */
static char dir[] = "/tmp/ft-test.XXXXXX", in_path[64], out_path[64];
static int32_t ids[90000];

static int write_all(const char *path, const char *kind)
{
	json_t *meta = json_pack("{s:s}", "task", "none");
	struct ft_writer *w = meta ? ft_writer_open(path, kind, meta, NULL, 0) : NULL;
	int rc = w ? FT_OK : meta ? ft_last_error() : FT_EFAIL;
	for (int i = 0; i < 20 && rc == FT_OK; i++) {
		struct ft_example e = { .ids = ids + 4500 * i, .n = 4500, .src = { "a.tsv:1", 7 } };
		rc = ft_example_write(w, &e);
	}
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	json_decref(meta);
	return rc;
}

static int copy(void)
{
	struct ft_reader *r = ft_reader_open(in_path, NULL);
	struct ft_writer *w = r ? ft_writer_open(out_path, ft_reader_kind(r), ft_reader_meta(r), &r, 1) : NULL;
	int rc = w ? FT_OK : ft_last_error();
	struct ft_example e;
	while (rc == FT_OK && (rc = ft_example_read(r, &e)) > 0)
		rc = ft_example_write(w, &e);
	rc = rc ? rc : ft_writer_close(w);
	ft_writer_free(w);
	ft_reader_close(r);
	return rc;
}

static unsigned char *slurp(const char *path, size_t *n)
{
	static unsigned char bytes[2][1 << 20];
	static int turn;
	unsigned char *p = bytes[turn = !turn];
	FILE *f = fopen(path, "rb");
	*n = f ? fread(p, 1, sizeof bytes[0], f) : 0;
	if (f)
		fclose(f);
	return p;
}

static bool holds(const char *path, const unsigned char *want, size_t n)
{
	size_t got;
	const unsigned char *p = slurp(path, &got);
	return got == n && memcmp(p, want, n) == 0;
}

static int files_in(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;
	for (struct dirent *e; d && (e = readdir(d));)
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

/* The result of a whole copy; also leaves counts of calls in `made`. */
static unsigned char want[1 << 20];
static size_t want_n;

static void set_old(void)
{
	FILE *f = fopen(out_path, "w");
	if (f) {
		fputs("old", f);
		fclose(f);
	}
}

/* Each call of a kind fails in turn: nothing but the old file is there then, or,
 * when only its folder could not be synced, the new one. */
static void check_call(enum call c, int error, long limit)
{
	long n, bad = 0, failed = 0;
	for (n = 1; n <= limit; n++) {
		set_old();
		begin(c, n, error);
		int rc = copy();
		on = false;
		bool hit = made[c] >= n;
		bool old = holds(out_path, (const unsigned char *)"old", 3), new = !old && holds(out_path, want, want_n);
		failed += rc != 0;
		bool late = c == FSYNC;
		/* What does not matter may fail unseen: closing what was read. */
		bool right = rc == 0 ? new && (!hit || c == CLOSE || c == ALLOC)
		                     : rc == FT_EFAIL && (old || (new && late)) && *ft_message();
		if (rc != 0 && c != ALLOC)
			right = right && strstr(ft_message(), strerror(error)) && strstr(ft_message(), dir);
		if (!right || files_in(dir) != 2) {
			bad++;
			printf("# %s %ld: code %d, %s, %d files: %s\n", names[c], n, rc, old ? "old" : new ? "new" : "neither",
			       files_in(dir), ft_message());
		}
		if (!hit)
			break;
	}
	ok(!bad && failed > 0, "%s fails (%s) at each of %ld calls: all or nothing", names[c], strerror(error), n - 1);
}

static void check_interruptions(void)
{
	begin(CALLS, 0, 0);
	interrupted = true;
	most = 7;
	int rc = copy();
	on = false;
	ok(rc == 0 && holds(out_path, want, want_n),
	   "reads and writes of 7 bytes, every other interrupted: the same bytes");
	printf("# %ld reads, %ld writes\n", made[READ], made[WRITE]);
	interrupted = false;
	most = 0;
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(in_path, sizeof in_path, "%s/in", dir);
	snprintf(out_path, sizeof out_path, "%s/out", dir);
	struct ft_rng r;
	ft_rng_init(&r, 1, 1);
	for (int i = 0; i < 90000; i++)
		ids[i] = (int32_t)(ft_rng_u32(&r) >> 1); /* hard to compress */
	is_int(write_all(in_path, "tokens"), 0, "a stream to copy");
	begin(CALLS, 0, 0);
	is_int(copy(), 0, "copied");
	on = false;
	memcpy(want, slurp(out_path, &want_n), sizeof want);
	ok(want_n > 200000 && made[READ] > 2 && made[WRITE] > 2 && made[FSYNC] == 2 && made[RENAME] == 1,
	   "%zu bytes in %ld writes, synced with its folder, and renamed", want_n, made[WRITE]);
	check_interruptions();
	check_call(READ, EIO, 100);
	check_call(WRITE, ENOSPC, 100);
	check_call(WRITE, EIO, 100);
	check_call(FSYNC, EIO, 100);
	check_call(RENAME, EACCES, 100);
	check_call(CLOSE, EIO, 100);
	check_call(OPEN, EMFILE, 100);
	if (HAVE_ALLOC)
		check_call(ALLOC, ENOMEM, 10000);
	else
		tap_skip("the sanitizer has its own malloc");
	unlink(in_path);
	unlink(out_path);
	is_int(rmdir(dir), 0, "nothing is left");
	return tap_done();
}
