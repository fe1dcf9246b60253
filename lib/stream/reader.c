/* reader.c - a stream read: header, records, and the end that proves it whole. */
#include "ft/err.h"
#include "ft/stream.h"
#include "priv.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ft_reader {
	struct input *in;
	struct unpacked *unpacked;
	struct ft_digest *digest;
	json_t *header, *end;
	const char *kind;
	char id[33];
	int64_t count;
	size_t pending; /* bytes of the object handed out last, not yet skipped */
	int failed;     /* an error is final: asked again, it is given again */
};

const char *ft_reader_name(const struct ft_reader *r) { return input_name(r->in); }
const char *ft_reader_kind(const struct ft_reader *r) { return r->kind; }
const json_t *ft_reader_meta(const struct ft_reader *r) { return json_object_get(r->header, "meta"); }
const json_t *ft_reader_log(const struct ft_reader *r) { return json_object_get(r->header, "log"); }
const json_t *ft_reader_end(const struct ft_reader *r) { return r->end; }
const char *ft_reader_id(const struct ft_reader *r) { return r->id; }
int64_t ft_reader_count(const struct ft_reader *r) { return r->count; }
void ft_reader_digest(const struct ft_reader *r, char hex[33]) { ft_digest_hex(r->digest, hex); }

int ft_reader_fail(const struct ft_reader *r, int code, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return ft_fail(code, "%s: record %lld: %s", ft_reader_name(r), (long long)r->count, text);
}

/* Brings one whole object to the front of the input. 1: *p, *n. 0: the input
 * ended before its first byte. */
static int next_object(struct ft_reader *r, const unsigned char **p, size_t *n)
{
	input_skip(r->in, r->pending);
	r->pending = 0;
	size_t need = 1;
	for (;;) {
		size_t have;
		int rc = input_fill(r->in, need);
		if (rc < 0)
			return rc;
		*p = input_data(r->in, &have);
		if (have < need)
			return have == 0 ? 0
			                 : ft_fail(FT_ECUT, "%s: the stream is cut short inside record %lld", ft_reader_name(r),
			                           (long long)r->count + 1);
		rc = pack_scan(*p, have, &need);
		if (rc < 0 && !r->header)
			return ft_fail(rc, "%s: not a stream of ft", ft_reader_name(r));
		if (rc < 0)
			return ft_context(rc, "%s: record %lld", ft_reader_name(r), (long long)r->count + 1);
		if (rc == 1)
			break;
	}
	*n = r->pending = need;
	return 1;
}

static int check_header(struct ft_reader *r, const char *want)
{
	const char *name = ft_reader_name(r);
	const json_t *version = json_object_get(r->header, "ft"), *meta = ft_reader_meta(r), *log = ft_reader_log(r);
	if (!json_is_integer(version))
		return ft_fail(FT_EFORMAT, "%s: not a stream of ft: its first object has no whole number 'ft'", name);
	if (json_integer_value(version) != STREAM_VERSION)
		return ft_fail(FT_EFORMAT, "%s: stream version %lld; this program reads version %d", name,
		               (long long)json_integer_value(version), STREAM_VERSION);
	r->kind = json_string_value(json_object_get(r->header, "kind"));
	if (!r->kind)
		return ft_fail(FT_EFORMAT, "%s: the header has no 'kind'", name);
	if (want && strcmp(want, r->kind) != 0)
		return ft_fail(FT_EFORMAT, "%s: a %s stream, where a %s stream is wanted", name, r->kind, want);
	if (!json_is_object(meta))
		return ft_fail(FT_EFORMAT, "%s: the header has no map 'meta'", name);
	if (log && !json_is_array(log))
		return ft_fail(FT_EFORMAT, "%s: the header's 'log' is not an array", name);
	if (json_array_size(log) > LOG_MAX)
		return ft_fail(FT_EFORMAT, "%s: the header's 'log' has %zu entries; at most %d are allowed", name,
		               json_array_size(log), LOG_MAX);
	return FT_OK;
}

static int read_header(struct ft_reader *r, const char *want)
{
	const unsigned char *p;
	size_t n;
	int rc = next_object(r, &p, &n);
	if (rc == 0)
		return ft_fail(FT_ECUT, "%s: empty input, where a stream was expected", ft_reader_name(r));
	if (rc < 0)
		return rc;
	/* Text given by mistake scans as numbers: say what it is not. */
	if ((p[0] & 0xf0) != 0x80 && p[0] != 0xde && p[0] != 0xdf)
		return ft_fail(FT_EFORMAT, "%s: not a stream of ft", ft_reader_name(r));
	r->header = unpack_json(p, n);
	if (!r->header)
		return ft_context(ft_last_error(), "%s: header", ft_reader_name(r));
	ft_digest_add(r->digest, p, n);
	ft_digest_hex(r->digest, r->id);
	return check_header(r, want);
}

struct ft_reader *ft_reader_open(const char *path, const char *kind)
{
	struct ft_reader *r = ft_alloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->in = input_open(path);
	r->unpacked = r->in ? unpacked_new() : NULL;
	r->digest = r->unpacked ? ft_digest_new() : NULL;
	if (!r->digest || read_header(r, kind) < 0) {
		ft_reader_close(r);
		return NULL;
	}
	return r;
}

void ft_reader_close(struct ft_reader *r)
{
	if (!r)
		return;
	input_close(r->in);
	unpacked_free(r->unpacked);
	ft_digest_free(r->digest);
	json_decref(r->header);
	json_decref(r->end);
	free(r);
}

/* The digest may be left out, but not stand there by another name: a key that was damaged on its way. */
static bool is_renamed(const json_t *end, const char *hex)
{
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)(uintptr_t)end, key, v)
		if (strcmp(key, "digest") != 0 && json_is_string(v) && strcmp(json_string_value(v), hex) == 0)
			return true;
	return false;
}

/* The end record: its count and digest must be those of what was read, and
 * nothing may follow. */
static int check_end(struct ft_reader *r, const unsigned char *p, size_t n)
{
	const char *name = ft_reader_name(r);
	r->end = unpack_json(p, n);
	if (!r->end)
		return ft_context(ft_last_error(), "%s: end record", name);
	const json_t *aborted = json_object_get(r->end, "aborted"), *digest = json_object_get(r->end, "digest");
	if (aborted && !json_is_null(aborted))
		return ft_fail(FT_ECUT, "%s: the stage before gave up: %s", name,
		               json_is_string(aborted) ? json_string_value(aborted) : "it does not say why");
	const json_t *count = json_object_get(r->end, "end");
	if (!json_is_integer(count) || json_integer_value(count) != r->count)
		return ft_fail(FT_EFORMAT, "%s: the end record counts %lld records, %lld were read", name,
		               (long long)json_integer_value(count), (long long)r->count);
	char hex[33];
	ft_digest_hex(r->digest, hex);
	if (digest && !json_is_string(digest) && !json_is_null(digest))
		return ft_fail(FT_EFORMAT, "%s: the digest at the end is not a string", name);
	if (json_is_string(digest) && strcmp(json_string_value(digest), hex) != 0)
		return ft_fail(FT_EFORMAT, "%s: the digest at the end is %s, of the records read %s", name,
		               json_string_value(digest), hex);
	if (!json_is_string(digest) && is_renamed(r->end, hex))
		return ft_fail(FT_EFORMAT, "%s: the digest at the end is under another key", name);
	const unsigned char *more;
	size_t extra;
	int rc = next_object(r, &more, &extra);
	if (rc == 1)
		return ft_fail(FT_EFORMAT, "%s: data after the end record", name);
	return rc;
}

static int read_next(struct ft_reader *r, struct ft_rec *rec)
{
	const unsigned char *p;
	size_t n;
	int rc = next_object(r, &p, &n);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return ft_fail(FT_ECUT, "%s: the stream is cut short after record %lld: no end record", ft_reader_name(r),
		               (long long)r->count);
	if (pack_has_key(p, n, "end"))
		return check_end(r, p, n);
	r->count++;
	ft_digest_add(r->digest, p, n);
	rc = unpack_record(r->unpacked, p, n, rec);
	return rc < 0 ? ft_context(rc, "%s: record %lld", ft_reader_name(r), (long long)r->count) : 1;
}

int ft_reader_next(struct ft_reader *r, struct ft_rec *rec)
{
	rec->count = 0;
	if (r->failed)
		return r->failed;
	if (r->end)
		return 0;
	int rc = read_next(r, rec);
	if (rc < 0)
		r->failed = rc;
	return rc;
}

int ft_reader_drain(struct ft_reader *r)
{
	struct ft_rec rec;
	int rc;
	do {
		rc = ft_reader_next(r, &rec);
	} while (rc > 0);
	return rc;
}

int ft_is_stream(const char *path)
{
	static const unsigned char zstd[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	unsigned char head[8] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = pread(fd, head, sizeof head, 0);
	close(fd);
	if (n >= 4 && memcmp(head, zstd, 4) == 0) {
		/* A compressed text file begins alike: look at its first object. */
		struct ft_reader *r = ft_reader_open(path, NULL);
		ft_reader_close(r);
		return r ? 1 : ft_last_error() == FT_EFAIL ? FT_EFAIL : 0;
	}
	return n >= 4 && pack_has_key(head, (size_t)n, "ft");
}
