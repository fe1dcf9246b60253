/* source.c - the bytes of input files through libarchive: plain or compressed
 * files, members of tar and zip archives. The only file that reads with
 * archive.h.
 *
 * Nothing is written: members are streamed in the order in which they lie, and
 * of links, devices and folders nothing is read. Only formats with a magic
 * number are looked for, so that a text is never mistaken for an archive.
 */
#include "ft/cli.h"
#include "ft/err.h"
#include "priv.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)

struct source {
	struct archive *archive;
	int fd;
	bool regular; /* a file, not a pipe */
	bool plain;   /* a pipe of plain text: read as it comes, without libarchive */
	size_t ahead; /* bytes of a pipe read to find out what it is, still in block */
	char *path;   /* as it may stand in an output */
	char *member; /* glob, or NULL */
	char *name, *base;
	bool any, done;    /* a file has been given; the archive has ended */
	bool open;         /* within a file */
	json_t *inputs;
	struct ft_digest *digest;
	json_int_t bytes;
	char block[BLOCK], pipe[BLOCK];
};

/* libarchive's reason, in one line. It has none for some kinds of damage. */
static int fail(struct source *s)
{
	const char *name = s->name ? s->name : s->path, *reason = archive_error_string(s->archive);
	int e = archive_errno(s->archive), n = reason ? (int)strcspn(reason, "\n") : 0;
	if (e == EILSEQ || e == EINVAL || e <= 0) /* malformed, unsupported, miscellaneous */
		return ft_fail(FT_EFORMAT, "%s: damaged or cut short%s%.*s%s", name, n ? " (" : "", n,
		               n ? reason : "", n ? ")" : "");
	return ft_fail(FT_EFAIL, "%s: %.*s", name, n, n ? reason : "");
}

/* ---- pipes: libarchive fills whole blocks before it hands anything on, but
 * whoever types lines, or waits for answers, wants each line to count at once. ---- */

/* Whether what a pipe begins with may be an archive or compressed. A text has a
 * line before its first NUL; a tar header has none. */
static bool may_be_archive(const char *p, size_t n)
{
	static const struct {
		const char *magic;
		size_t n;
	} known[] = { { "\x1f\x8b", 2 }, { "\x28\xb5\x2f\xfd", 4 }, { "\xfd" "7zXZ", 5 }, { "BZh", 3 }, { "PK", 2 } };
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (n >= known[i].n && memcmp(p, known[i].magic, known[i].n) == 0)
			return true;
	if (n >= 4 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0) /* a skippable frame of zstd */
		return true;
	const char *line = memchr(p, '\n', n);
	return !line || memchr(p, '\0', (size_t)(line - p));
}

static ssize_t read_pipe(struct source *s, char *p, size_t n)
{
	ssize_t got;
	do {
		got = read(s->fd, p, n);
	} while (got < 0 && errno == EINTR);
	return got;
}

/* Reads on until there is a line, or enough for libarchive to judge. */
static int look_ahead(struct source *s)
{
	ssize_t got = 1;
	while (got > 0 && s->ahead < 512 && !memchr(s->block, '\n', s->ahead)) {
		got = read_pipe(s, s->block + s->ahead, BLOCK - s->ahead);
		s->ahead += got > 0 ? (size_t)got : 0;
	}
	if (got < 0)
		return ft_fail_errno("%s", s->path);
	s->plain = s->ahead && !may_be_archive(s->block, s->ahead);
	return FT_OK;
}

/* For libarchive: what was read ahead, then the rest. */
static la_ssize_t feed(struct archive *a, void *ctx, const void **p)
{
	struct source *s = ctx;
	*p = s->pipe;
	if (s->ahead) {
		size_t n = s->ahead;
		memcpy(s->pipe, s->block, n);
		s->ahead = 0;
		return (la_ssize_t)n;
	}
	ssize_t got = read_pipe(s, s->pipe, BLOCK);
	if (got < 0)
		archive_set_error(a, errno, "%s", strerror(errno));
	return got;
}

static int open_archive(struct source *s)
{
	struct archive *a = s->archive = archive_read_new();
	if (!a)
		return ft_fail(FT_EFAIL, "%s: out of memory", s->path);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_format_tar(a);
	archive_read_support_format_zip(a);
	archive_read_support_format_raw(a);
	archive_read_support_format_empty(a);
	/* Reads on to the end of the data, so that a cut behind the last member is
	 * seen, and whoever writes into a pipe does not die of SIGPIPE. */
	archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1");
	int rc = s->regular ? archive_read_open_fd(a, s->fd, BLOCK) : archive_read_open(a, s, NULL, feed, NULL);
	return rc == ARCHIVE_OK ? FT_OK : fail(s);
}

static int open_file(struct source *s, const char *path)
{
	struct stat st;
	s->fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return ft_fail_errno("%s", path ? path : "stdin");
	if (S_ISDIR(st.st_mode))
		return ft_fail(FT_EFAIL, "%s: is a folder", path ? path : "stdin");
	s->regular = S_ISREG(st.st_mode);
	int rc = s->regular ? FT_OK : look_ahead(s);
	return rc < 0 || s->plain ? rc : open_archive(s);
}

/* Names go into messages and streams: one line of UTF-8. */
static char *clean_name(const char *text)
{
	char *name = ft_strdup(text);
	for (char *p = name; p && *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	json_t *utf8 = name ? json_string(name) : NULL; /* NULL when it is not UTF-8 */
	for (char *p = name; p && !utf8 && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	json_decref(utf8);
	return name;
}

struct source *source_open(const char *path, const char *member)
{
	bool in = !path || strcmp(path, "-") == 0;
	struct source *s = ft_alloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->fd = -1;
	s->path = clean_name(in ? "stdin" : ft_public_name(path));
	s->member = member ? ft_strdup(member) : NULL;
	s->inputs = json_array();
	if (!s->inputs)
		ft_fail(FT_EFAIL, "out of memory");
	if (s->path && s->inputs && (s->member || !member) && open_file(s, in ? NULL : path) == FT_OK)
		return s;
	source_close(s);
	return NULL;
}

void source_close(struct source *s)
{
	if (!s)
		return;
	archive_read_free(s->archive);
	if (s->fd > STDIN_FILENO)
		close(s->fd);
	ft_digest_free(s->digest);
	json_decref(s->inputs);
	free(s->path);
	free(s->member);
	free(s->name);
	free(s->base);
	free(s);
}

/* The name without .gz and the like: what the file would be called. */
static char *base_of(const char *name)
{
	static const char *const suffixes[] = { ".gz", ".zst", ".xz", ".bz2" };
	size_t n = strlen(name);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t k = strlen(suffixes[i]);
		if (n > k && strcmp(name + n - k, suffixes[i]) == 0)
			return ft_strndup(name, n - k);
	}
	return ft_strdup(name);
}

static int begin(struct source *s, const char *member)
{
	free(s->name);
	free(s->base);
	ft_digest_free(s->digest);
	char *clean = member ? clean_name(member) : NULL;
	/* Members of an archive are called ARCHIVE/MEMBER. */
	s->name = clean ? ft_format("%s/%s", s->path, clean) : member ? NULL : ft_strdup(s->path);
	s->base = s->name ? base_of(s->name) : NULL;
	s->digest = ft_digest_new();
	s->bytes = 0;
	s->any = s->open = true;
	free(clean);
	return s->name && s->base && s->digest ? 1 : FT_EFAIL;
}

static const char *entry_name(struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e);
	if (!name)
		name = archive_entry_pathname_utf8(e);
	return name ? name : "?";
}

/* libarchive reads a zip file without its directory, too, and does not see that
 * the end is missing: look for the directory's end record, as long as the
 * archive's comment, of 65535 bytes at most, lets it be away from the end. */
static int check_zip_end(struct source *s)
{
	struct stat st;
	unsigned char tail[22 + 65535];
	if (!s->regular || fstat(s->fd, &st) < 0)
		return FT_OK;
	off_t from = st.st_size > (off_t)sizeof tail ? st.st_size - (off_t)sizeof tail : 0;
	ssize_t n = pread(s->fd, tail, sizeof tail, from);
	for (ssize_t i = n - 22; i >= 0; i--)
		if (memcmp(tail + i, "PK\5\6", 4) == 0 && i + 22 + (tail[i + 20] | tail[i + 21] << 8) <= n)
			return FT_OK;
	return ft_fail(FT_EFORMAT, "%s: cut short (the end of the zip directory is missing)", s->path);
}

static int end_of_archive(struct source *s)
{
	int format = archive_format(s->archive);
	s->done = true;
	if (format == ARCHIVE_FORMAT_ZIP) {
		int rc = check_zip_end(s);
		if (rc < 0)
			return rc;
		while (!s->regular && read(s->fd, s->block, BLOCK) > 0)
			;
	}
	if (s->any)
		return 0;
	if (format == ARCHIVE_FORMAT_EMPTY)
		return begin(s, NULL); /* an empty file is a file */
	return s->member ? ft_fail(FT_EFORMAT, "%s: no file in it matches '%s'", s->path, s->member)
	                 : ft_fail(FT_EFORMAT, "%s: holds no files", s->path);
}

int source_next(struct source *s)
{
	if (s->plain && !s->done) {
		s->done = true;
		return begin(s, NULL);
	}
	while (!s->done) {
		struct archive_entry *e;
		int rc = archive_read_next_header(s->archive, &e);
		if (rc == ARCHIVE_RETRY)
			continue;
		if (rc == ARCHIVE_EOF)
			return end_of_archive(s);
		if (rc < ARCHIVE_WARN)
			return fail(s);
		if (archive_format(s->archive) == ARCHIVE_FORMAT_RAW)
			return begin(s, NULL);
		const char *name = entry_name(e);
		if (archive_entry_filetype(e) == AE_IFREG && !archive_entry_hardlink(e)
		    && (!s->member || fnmatch(s->member, name, 0) == 0))
			return begin(s, name);
	}
	return 0;
}

const char *source_name(const struct source *s)
{
	return s->name;
}

const char *source_base(const struct source *s)
{
	return s->base;
}

static int end(struct source *s)
{
	char hex[33];
	s->open = false;
	ft_digest_hex(s->digest, hex);
	json_t *o = json_pack("{s:s, s:I, s:s}", "name", s->name, "bytes", s->bytes, "xxh3", hex);
	return o && json_array_append_new(s->inputs, o) == 0 ? 0 : ft_fail(FT_EFAIL, "%s: out of memory",
	                                                                   s->name);
}

static la_ssize_t read_some(struct source *s)
{
	if (!s->plain)
		return s->done ? 0 : archive_read_data(s->archive, s->block, BLOCK);
	la_ssize_t got = s->ahead ? (la_ssize_t)s->ahead : read_pipe(s, s->block, BLOCK);
	s->ahead = 0;
	return got;
}

int source_read(struct source *s, const char **p, size_t *n)
{
	if (!s->open)
		return 0;
	la_ssize_t got = read_some(s);
	if (got < 0 && s->plain)
		return ft_fail_errno("%s", s->name);
	if (got < 0) /* also a warning: a checksum that does not match is one */
		return fail(s);
	if (got == 0)
		return end(s);
	ft_digest_add(s->digest, s->block, (size_t)got);
	s->bytes += got;
	*p = s->block;
	*n = (size_t)got;
	return 1;
}

const json_t *source_inputs(const struct source *s)
{
	return s->inputs;
}
