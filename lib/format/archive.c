/* archive.c - packing a folder into a reproducible tar, compressed by name.
 *
 * The same files give the same bytes: members sorted by name, owner 0, one
 * mode, one time, nothing of the file system. (What zstd or gzip make of them
 * may differ between versions of those libraries; the tar inside does not.)
 */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)

/* Name endings, and what they ask for. X(ending, filter, options) */
#define ARCHIVES(X)                                                              \
	X(".tar", archive_write_add_filter_none, NULL)                           \
	X(".tar.zst", archive_write_add_filter_zstd, "zstd:compression-level=3") \
	X(".tar.gz", archive_write_add_filter_gzip, "gzip:compression-level=6,gzip:!timestamp")

static const struct {
	const char *ending;
	int (*filter)(struct archive *);
	const char *options;
} kinds[] = {
#define X(ending, filter, options) { ending, filter, options },
	ARCHIVES(X)
#undef X
};

/* The place in kinds[], or -1. */
static int kind_of(const char *path)
{
	size_t n = strlen(path);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		size_t e = strlen(kinds[i].ending);
		if (n > e && path[n - e - 1] != '/' && !strcmp(path + n - e, kinds[i].ending))
			return (int)i;
	}
	return -1;
}

bool ft_archive_named(const char *path)
{
	return kind_of(path) >= 0;
}

static int read_epoch(time_t *t)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	*t = 0;
	if (!text || !*text)
		return FT_OK;
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (errno || *end || v < 0 || text[0] < '0' || text[0] > '9')
		return ft_fail(FT_EUSAGE, "SOURCE_DATE_EPOCH: '%.40s' is not a number of seconds", text);
	*t = (time_t)v;
	return FT_OK;
}

static int fail_archive(struct archive *a, const char *path)
{
	const char *why = archive_error_string(a);
	return ft_fail(FT_EFAIL, "%s: %s", path, why ? why : "libarchive failed");
}

/* Where the archive's bytes go. libarchive is never told of a failure, which is
 * kept in `rc`: when it is, it does not free everything. After a failure all
 * bytes are dropped, so that the end it writes when it is freed appears nowhere. */
struct sink {
	const char *path;
	int fd, rc;
};

static la_ssize_t sink_write(struct archive *a, void *ctx, const void *p, size_t n)
{
	struct sink *s = ctx;
	(void)a;
	if (s->rc == FT_OK)
		s->rc = ft_write_all(s->fd, p, n, s->path);
	return (la_ssize_t)n;
}

/* Exactly the `size` bytes that the member's header promised. */
static int put_bytes(struct archive *a, const struct sink *s, int fd, const char *name, size_t size)
{
	unsigned char *chunk = malloc(CHUNK);
	int rc = chunk ? FT_OK : ft_fail_memory(CHUNK);
	while (size && rc == FT_OK) {
		ssize_t n = read(fd, chunk, size < CHUNK ? size : CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = ft_fail_errno("%s", name);
		else if (n == 0)
			rc = ft_fail(FT_EFAIL, "%s: became shorter while it was packed", name);
		else if (archive_write_data(a, chunk, (size_t)n) != n)
			rc = fail_archive(a, s->path);
		else if (s->rc < 0)
			rc = s->rc;
		else
			size -= (size_t)n;
	}
	free(chunk);
	return rc;
}

/* The file `name` in `dir`, as a member with the name path + name. */
static int put_member(struct archive *a, const struct sink *s, int dir, const char *path, const char *name, time_t when)
{
	struct stat st;
	/* A link could lead anywhere: only what lies in the folder is packed. */
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int rc = ft_fail_errno("%s", name);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	struct archive_entry *e = archive_entry_new();
	char *full = ft_format("%s%s", path, name);
	int rc = e && full ? FT_OK : ft_fail_memory(1024);
	if (rc == FT_OK) {
		archive_entry_copy_pathname(e, full);
		archive_entry_set_filetype(e, AE_IFREG);
		archive_entry_set_perm(e, 0644);
		archive_entry_set_size(e, st.st_size);
		archive_entry_set_mtime(e, when, 0);
		if (archive_write_header(a, e) != ARCHIVE_OK)
			rc = fail_archive(a, s->path);
	}
	if (rc == FT_OK)
		rc = put_bytes(a, s, fd, name, (size_t)st.st_size);
	archive_entry_free(e);
	free(full);
	close(fd);
	return rc;
}

static int put_folder(struct archive *a, const struct sink *s, int parent, const char *dir, const char *path,
                      time_t when, bool deep);

/* A regular file, or with `deep` a folder of such, whose members are named after it. */
static int put_entry(struct archive *a, const struct sink *s, int dir, const char *path, const char *name, time_t when,
                     bool deep)
{
	struct stat st;
	if (!is_basename(name) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return FT_OK; /* it has gone */
	if (S_ISREG(st.st_mode))
		return put_member(a, s, dir, path, name, when);
	if (!deep || !S_ISDIR(st.st_mode))
		return FT_OK;
	char *below = ft_format("%s%s/", path, name);
	int rc = below ? put_folder(a, s, dir, name, below, when, false) : FT_EFAIL;
	free(below);
	return rc;
}

/* By bytes: alphasort() would follow the locale. */
static int compare_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int put_folder(struct archive *a, const struct sink *s, int parent, const char *dir, const char *path,
                      time_t when, bool deep)
{
	struct dirent **list;
	int n = scandirat(parent, dir, &list, NULL, compare_bytes);
	if (n < 0)
		return ft_fail_errno("%s", dir);
	int fd = openat(parent, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 ? ft_fail_errno("%s", dir) : FT_OK;
	for (int i = 0; i < n; i++) {
		if (rc == FT_OK)
			rc = put_entry(a, s, fd, path, list[i]->d_name, when, deep);
		free(list[i]);
	}
	free(list);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Writes the whole archive to the sink. */
static int pack(struct sink *s, const char *dir, int kind, time_t when)
{
	struct archive *a = archive_write_new();
	if (!a)
		return ft_fail_memory(sizeof(void *));
	int rc = FT_OK;
	if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK || kinds[kind].filter(a) != ARCHIVE_OK ||
	    (kinds[kind].options && archive_write_set_options(a, kinds[kind].options) != ARCHIVE_OK) ||
	    archive_write_set_bytes_in_last_block(a, 1) != ARCHIVE_OK ||
	    archive_write_open(a, s, NULL, sink_write, NULL) != ARCHIVE_OK)
		rc = fail_archive(a, s->path);
	if (rc == FT_OK)
		rc = put_folder(a, s, AT_FDCWD, dir, "", when, true);
	if (rc == FT_OK && archive_write_close(a) != ARCHIVE_OK)
		rc = fail_archive(a, s->path);
	if (s->rc == FT_OK)
		s->rc = rc;
	archive_write_free(a);
	return s->rc;
}

int ft_archive_pack(const char *path, const char *dir)
{
	time_t when;
	int kind = kind_of(path), rc = read_epoch(&when);
	if (rc < 0)
		return rc;
	if (kind < 0)
		return ft_fail(FT_EUSAGE, "%s: the name of an archive ends in .tar, .tar.zst or .tar.gz",
		               path);
	struct ft_outfile *out = ft_outfile_open(path);
	if (!out)
		return ft_last_error();
	struct sink sink = { .path = path, .fd = ft_outfile_fd(out) };
	rc = pack(&sink, dir, kind, when);
	if (rc == FT_OK)
		rc = ft_outfile_commit(out);
	ft_outfile_free(out);
	return rc;
}
