/* source.c - the bytes of input files through libarchive: plain or compressed
 * files, members of tar and zip archives. Only this file and gunzip.c read with
 * archive.h.
 *
 * Nothing is written: members are streamed in the order in which they lie, and
 * of links, devices and folders nothing is read. Only formats with a magic
 * number are looked for, so that a text is never mistaken for an archive.
 */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/utf8.h"
#include "priv.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)

struct source {
	struct archive *archive;
	struct raw *raw;
	struct gunzip *gunzip;
	int fd;
	bool regular; /* a file, not a pipe */
	bool plain;   /* a pipe of plain text: libarchive fills whole blocks before it hands
	                 anything on, but whoever waits for answers wants each line at once */
	locale_t utf8; /* or 0: the system has none */
	char *path;   /* as it may stand in an output */
	char *member; /* glob, or NULL */
	char *name, *base;
	bool any, done;    /* a file has been given; the archive has ended */
	bool open;         /* within a file */
	json_t *inputs;
	struct ft_digest *digest;
	json_int_t bytes;
	char block[BLOCK];
};

/* libarchive's reason, in one line. It has none for some kinds of damage. */
static int fail(struct source *s)
{
	const char *name = s->name ? s->name : s->path, *reason = s->gunzip ? gunzip_reason(s->gunzip) : NULL;
	reason = reason ? reason : archive_error_string(s->archive);
	if (raw_error(s->raw))
		return errno = raw_error(s->raw), ft_fail_errno("%s", name);
	int e = archive_errno(s->archive), n = reason ? (int)strcspn(reason, "\n") : 0;
	if (e == EILSEQ || e == EINVAL || e <= 0) /* malformed, unsupported, miscellaneous */
		return ft_fail(FT_EFORMAT, "%s: damaged or cut short%s%.*s%s", name, n ? " (" : "", n,
		               n ? reason : "", n ? ")" : "");
	return ft_fail(FT_EFAIL, "%s: %.*s", name, n, n ? reason : "");
}

static int open_archive(struct source *s)
{
	static int (*const kinds[])(struct archive *) = {
		archive_read_support_filter_gzip, archive_read_support_filter_zstd, archive_read_support_filter_xz,
		archive_read_support_filter_bzip2, archive_read_support_format_tar, archive_read_support_format_zip,
		archive_read_support_format_raw, archive_read_support_format_empty,
	};
	struct archive *a = s->archive = archive_read_new();
	if (!a)
		return ft_fail(FT_EFAIL, "%s: out of memory", s->path);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i](a) != ARCHIVE_OK)
			return fail(s);
	/* Reads on to the end of the data, so that a cut behind the last member is
	 * seen, and whoever writes into a pipe does not die of SIGPIPE. */
	if (archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1") != ARCHIVE_OK)
		return fail(s);
	bool seeks = s->regular && lseek(s->fd, 0, SEEK_CUR) == 0; /* as zip wants it, from the start */
	int gzip = raw_is_gzip(s->raw);
	if (gzip < 0)
		return ft_fail_errno("%s", s->path);
	if (gzip && !(s->gunzip = gunzip_open(s->raw)))
		return FT_EFAIL;
	if (!gzip && seeks && raw_seek(a, s->raw, 0, SEEK_SET) == 0)
		archive_read_set_seek_callback(a, raw_seek);
	int rc = gzip ? raw_attach(a, gunzip_read, s->gunzip) : raw_attach(a, raw_read, s->raw);
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
	s->raw = raw_open(s->fd);
	if (!s->raw)
		return FT_EFAIL;
	int text = s->regular ? 0 : raw_is_text(s->raw);
	if (text < 0)
		return ft_fail_errno("%s", s->path);
	s->plain = text;
	return s->plain ? FT_OK : open_archive(s);
}

/* Names go into messages and streams: one line of UTF-8. */
static char *clean_name(const char *text)
{
	char *name = ft_strdup(text);
	for (char *p = name; p && *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	bool good = !name || !ft_utf8_invalid(name, strlen(name));
	for (char *p = name; !good && *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return name;
}

struct source *source_open(const char *path, const char *member)
{
	bool in = !path || strcmp(path, "-") == 0;
	struct source *s = ft_alloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->fd = -1;
	s->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
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
	gunzip_close(s->gunzip);
	raw_close(s->raw);
	if (s->fd > STDIN_FILENO)
		close(s->fd);
	ft_digest_free(s->digest);
	json_decref(s->inputs);
	if (s->utf8)
		freelocale(s->utf8);
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
	return name ? name : "?"; /* it is not what the archive says */
}

/* The end of the bytes there are; how many these are, or -1. */
static ssize_t read_tail(struct source *s, unsigned char own[RAW_TAIL], const unsigned char **tail)
{
	struct stat st;
	if (!s->regular)
		return raw_rest(s->raw, tail);
	*tail = own;
	if (fstat(s->fd, &st) < 0)
		return -1;
	return pread(s->fd, own, RAW_TAIL, st.st_size > (off_t)RAW_TAIL ? st.st_size - (off_t)RAW_TAIL : 0);
}

/* libarchive reads a zip file without its directory, too, and does not see that
 * the end is missing: look for the directory's end record, as long as the
 * archive's comment, of 65535 bytes at most, lets it be away from the end. */
static int check_zip_end(struct source *s)
{
	unsigned char own[RAW_TAIL];
	const unsigned char *tail;
	ssize_t n = read_tail(s, own, &tail);
	if (n < 0)
		return ft_fail_errno("%s", s->path);
	if (!s->regular && (s->gunzip || archive_filter_code(s->archive, 0) != ARCHIVE_FILTER_NONE))
		return FT_OK; /* that is the end of what is compressed */
	for (ssize_t i = n - 22; i >= 0; i--)
		if (memcmp(tail + i, "PK\5\6", 4) == 0 && i + 22 + (tail[i + 20] | tail[i + 21] << 8) <= n)
			return FT_OK;
	return ft_fail(FT_EFORMAT, "%s: cut short (the end of the zip directory is missing)", s->path);
}

/* libarchive takes for empty what it cannot read, too. */
static bool is_empty(const struct source *s)
{
	if (s->gunzip)
		return gunzip_is_empty(s->gunzip);
	return raw_is_empty(s->raw) || archive_filter_code(s->archive, 0) != ARCHIVE_FILTER_NONE;
}

static int end_of_archive(struct source *s)
{
	int format = archive_format(s->archive);
	s->done = true;
	if (raw_error(s->raw))
		return fail(s);
	int rc = format == ARCHIVE_FORMAT_ZIP ? check_zip_end(s) : FT_OK;
	if (rc < 0)
		return rc;
	if (s->any)
		return 0;
	if (format == ARCHIVE_FORMAT_EMPTY)
		return is_empty(s) ? begin(s, NULL) : fail(s); /* an empty file is a file */
	return s->member ? ft_fail(FT_EFORMAT, "%s: no file in it matches '%s'", s->path, s->member)
	                 : ft_fail(FT_EFORMAT, "%s: holds no files", s->path);
}

static int find_next(struct source *s)
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

/* libarchive has a name that an archive says is UTF-8 only where those of the locale are. */
int source_next(struct source *s)
{
	locale_t before = s->utf8 ? uselocale(s->utf8) : (locale_t)0;
	int rc = find_next(s);
	if (before)
		uselocale(before);
	return rc;
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
	return o && json_array_append_new(s->inputs, o) == 0 ? 0 : ft_fail(FT_EFAIL, "%s: out of memory", s->name);
}

int source_read(struct source *s, const char **p, size_t *n)
{
	ssize_t got = 0;
	*p = s->block;
	if (!s->open)
		return 0;
	if (s->plain)
		got = raw_some(s->raw, p);
	else if (!s->done)
		got = archive_read_data(s->archive, s->block, BLOCK);
	if (got < 0) /* also a warning: a checksum that does not match is one */
		return s->plain ? ft_fail_errno("%s", s->name) : fail(s);
	if (got == 0)
		return end(s);
	ft_digest_add(s->digest, *p, (size_t)got);
	s->bytes += got;
	*n = (size_t)got;
	return 1;
}

const json_t *source_inputs(const struct source *s)
{
	return s->inputs;
}
