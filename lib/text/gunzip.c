/* gunzip.c - gzip data through libarchive, with the checksum at its end, which
 * libarchive (3.6) reads over: damaged text would pass for text.
 *
 * RFC 1952: a member ends in the CRC-32 and the length of its text. Where the
 * file has one member, as nearly all have, both are compared. Of several,
 * recognised by another header somewhere in the data, libarchive does not say
 * where one ends, and they are taken as they come.
 */
#include "ft/err.h"
#include "priv.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)
#define HEADER 10 /* bytes of a member's header */
#define TRAILER 8 /* CRC-32 and length, little-endian */

struct raw {
	int fd;
	int error;    /* the errno of a read that failed: libarchive may take that for an end */
	size_t ready; /* bytes in `block` that were read ahead */
	unsigned char block[BLOCK];
	/* of all bytes so far */
	unsigned char last[HEADER + BLOCK]; /* the end of the data, then a block */
	size_t nlast;
	unsigned char tail[RAW_TAIL]; /* as much of the end as is asked for */
	size_t ntail;
	int64_t bytes;
	bool again;   /* a second header was seen */
	bool empty;   /* there is nothing at all */
};

struct gunzip {
	struct raw *raw;
	struct archive *archive;
	uint32_t crc, table[256];
	uint32_t length;
	bool any;          /* there was text */
	int error;         /* an errno, once it has failed: libarchive forgets */
	char reason[200];
	char block[BLOCK];
};

/* ---- the file's bytes ---- */

struct raw *raw_open(int fd)
{
	struct raw *r = ft_alloc(1, sizeof *r);
	if (r)
		r->fd = fd;
	return r;
}

void raw_close(struct raw *r)
{
	free(r);
}

static ssize_t read_again(struct raw *r, size_t at)
{
	ssize_t got;
	do {
		got = read(r->fd, r->block + at, BLOCK - at);
	} while (got < 0 && errno == EINTR);
	r->error = got < 0 ? errno : r->error;
	return got;
}

int raw_error(const struct raw *r)
{
	return r->error;
}

int raw_is_gzip(struct raw *r)
{
	ssize_t got = 1;
	while (r->ready < 2 && (got = read_again(r, r->ready)) > 0)
		r->ready += (size_t)got;
	if (got < 0)
		return -1;
	r->empty = r->ready == 0;
	return r->ready >= 2 && r->block[0] == 0x1f && r->block[1] == 0x8b;
}

/* Whether what the data begins with may be an archive or compressed. A text has
 * a line before its first NUL; a tar header has none. */
static bool may_be_archive(const unsigned char *p, size_t n)
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
	const unsigned char *line = memchr(p, '\n', n);
	return !line || memchr(p, '\0', (size_t)(line - p));
}

int raw_is_text(struct raw *r)
{
	ssize_t got = 1;
	while (r->ready < 512 && !memchr(r->block, '\n', r->ready) &&
	       (got = read_again(r, r->ready)) > 0)
		r->ready += (size_t)got;
	if (got < 0)
		return -1;
	return r->ready && !may_be_archive(r->block, r->ready);
}

ssize_t raw_some(struct raw *r, const char **p)
{
	ssize_t got = (ssize_t)r->ready;
	r->ready = 0;
	*p = (const char *)r->block;
	return got ? got : read_again(r, 0);
}

bool raw_is_empty(const struct raw *r)
{
	return r->empty;
}

static bool is_header(const unsigned char *h)
{
	return h[0] == 0x1f && h[1] == 0x8b && h[2] == 8 && h[3] < 0x20 && (h[8] == 0 || h[8] == 2 || h[8] == 4)
	       && (h[9] < 14 || h[9] == 255);
}

static void keep_tail(struct raw *r, const unsigned char *p, size_t n)
{
	_Static_assert(BLOCK <= RAW_TAIL, "n is a block at most");
	size_t stay = r->ntail < RAW_TAIL - n ? r->ntail : RAW_TAIL - n;
	memmove(r->tail, r->tail + r->ntail - stay, stay);
	memcpy(r->tail + stay, p, n);
	r->ntail = stay + n;
}

/* Looks for a second header in n more bytes, and keeps the end of the data. */
static void look(struct raw *r, const unsigned char *p, size_t n)
{
	keep_tail(r, p, n);
	memcpy(r->last + r->nlast, p, n);
	size_t all = r->nlast + n, skip = r->bytes == 0;
	for (const unsigned char *s = r->last + skip, *end = r->last + all; !r->again && s + HEADER <= end; s++) {
		s = memchr(s, 0x1f, (size_t)(end - s));
		if (!s || s + HEADER > end)
			break;
		r->again = is_header(s);
	}
	r->nlast = all < HEADER - 1 ? all : HEADER - 1;
	memmove(r->last, r->last + all - r->nlast, r->nlast);
	r->bytes += (int64_t)n;
}

la_ssize_t raw_read(struct archive *a, void *ctx, const void **block)
{
	struct raw *r = ctx;
	ssize_t got = (ssize_t)r->ready;
	r->ready = 0;
	if (!got)
		got = read_again(r, 0);
	if (got < 0)
		archive_set_error(a, errno, "%s", strerror(errno));
	else
		look(r, r->block, (size_t)got);
	*block = r->block;
	return got;
}

ssize_t raw_rest(struct raw *r, const unsigned char **tail)
{
	ssize_t got;
	while ((got = read_again(r, 0)) > 0)
		keep_tail(r, r->block, (size_t)got);
	*tail = r->tail;
	return got < 0 ? got : (ssize_t)r->ntail;
}

la_int64_t raw_seek(struct archive *a, void *ctx, la_int64_t offset, int whence)
{
	struct raw *r = ctx;
	off_t at = lseek(r->fd, offset, whence);
	r->ready = 0;
	if (at < 0)
		archive_set_error(a, r->error = errno, "%s", strerror(errno));
	return at < 0 ? ARCHIVE_FATAL : at;
}

/* As archive_read_open(), which goes on when it has no memory for `ctx`. */
int raw_attach(struct archive *a, archive_read_callback *read, void *ctx)
{
	int rc = archive_read_set_read_callback(a, read);
	if (rc == ARCHIVE_OK)
		rc = archive_read_set_callback_data(a, ctx);
	return rc == ARCHIVE_OK ? archive_read_open1(a) : rc;
}

/* ---- the text ---- */

struct gunzip *gunzip_open(struct raw *r)
{
	struct gunzip *g = ft_alloc(1, sizeof *g);
	if (!g)
		return NULL;
	g->raw = r;
	for (uint32_t i = 0; i < 256; i++) {
		g->table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			g->table[i] = g->table[i] >> 1 ^ (g->table[i] & 1 ? 0xEDB88320u : 0);
	}
	g->crc = 0xFFFFFFFFu;
	return g;
}

void gunzip_close(struct gunzip *g)
{
	if (g)
		archive_read_free(g->archive);
	free(g);
}

static la_ssize_t fail(struct archive *outer, struct gunzip *g, int e, const char *reason)
{
	g->error = e;
	snprintf(g->reason, sizeof g->reason, "%s", reason);
	archive_set_error(outer, e, "%s", reason);
	return -1;
}

/* Passes the inner archive's error on. */
static la_ssize_t pass(struct archive *outer, struct gunzip *g)
{
	const char *reason = g->archive ? archive_error_string(g->archive) : "out of memory";
	int e = g->archive ? archive_errno(g->archive) : ENOMEM;
	return fail(outer, g, e ? e : EILSEQ, reason ? reason : "gzip data");
}

bool gunzip_is_empty(const struct gunzip *g)
{
	return !g->any && !g->error;
}

const char *gunzip_reason(const struct gunzip *g)
{
	return g->error ? g->reason : NULL;
}

/* 0, or -1 with the outer archive's error set. */
static la_ssize_t start(struct archive *outer, struct gunzip *g)
{
	struct archive_entry *e;
	struct archive *a = g->archive = archive_read_new();
	if (!a || archive_read_support_filter_gzip(a) != ARCHIVE_OK || archive_read_support_format_raw(a) != ARCHIVE_OK
	    || archive_read_support_format_empty(a) != ARCHIVE_OK || raw_attach(a, raw_read, g->raw) != ARCHIVE_OK)
		return pass(outer, g);
	int rc = archive_read_next_header(a, &e);
	if (rc == ARCHIVE_OK || (rc == ARCHIVE_EOF && !archive_errno(a)))
		return 0;
	return pass(outer, g);
}

static uint32_t little(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* At the end of the text: whether it is what went in. */
static la_ssize_t check_end(struct archive *outer, struct gunzip *g)
{
	const struct raw *r = g->raw;
	const unsigned char *end = r->last + r->nlast;
	if (r->again)
		return 0;
	if (r->nlast >= TRAILER && little(end - 8) == ~g->crc && little(end - 4) == g->length)
		return 0;
	return fail(outer, g, EILSEQ, "the checksum of the gzip data does not match");
}

la_ssize_t gunzip_read(struct archive *outer, void *ctx, const void **block)
{
	struct gunzip *g = ctx;
	if (g->error || (!g->archive && start(outer, g) < 0))
		return -1;
	bool empty = archive_format(g->archive) == ARCHIVE_FORMAT_EMPTY;
	la_ssize_t n = empty ? 0 : archive_read_data(g->archive, g->block, BLOCK);
	if (n < 0)
		return pass(outer, g);
	for (la_ssize_t i = 0; i < n; i++)
		g->crc = g->crc >> 8 ^ g->table[(g->crc ^ (unsigned char)g->block[i]) & 255];
	g->length += (uint32_t)n;
	g->any |= n > 0;
	*block = g->block;
	return n ? n : check_end(outer, g);
}
