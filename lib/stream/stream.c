/* stream.c - header, records and end of a stream, read and written. */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/stream.h"
#include "priv.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAM_VERSION 1
#define LOG_MAX 1000 /* stages; they are compared with one another */

/* ---- records under construction ---- */
static struct ft_field *new_field(struct ft_rec *r, const char *key, enum ft_field_type type)
{
	/* Callers build from a fixed set of keys; the last place is a sink. */
	size_t i = r->count < FT_REC_FIELDS ? r->count++ : FT_REC_FIELDS - 1;
	r->field[i] = (struct ft_field){ .key = { key, strlen(key) }, .type = type };
	return &r->field[i];
}

void ft_rec_int(struct ft_rec *r, const char *key, int64_t v) { new_field(r, key, FT_INT)->i = v; }
void ft_rec_real(struct ft_rec *r, const char *key, double v) { new_field(r, key, FT_REAL)->real = v; }
void ft_rec_str(struct ft_rec *r, const char *key, struct ft_span v) { new_field(r, key, FT_STR)->bytes = v; }

void ft_rec_bin(struct ft_rec *r, const char *key, const void *p, size_t bytes)
{
	new_field(r, key, FT_BIN)->bytes = (struct ft_span){ p, bytes };
}

void ft_rec_strs(struct ft_rec *r, const char *key, const struct ft_span *v, size_t n)
{
	struct ft_field *f = new_field(r, key, FT_STRS);
	f->strs = v;
	f->nstrs = n;
}

const struct ft_field *ft_rec_find(const struct ft_rec *r, const char *key)
{
	size_t n = strlen(key);
	for (size_t i = 0; i < r->count; i++)
		if (r->field[i].key.n == n && memcmp(r->field[i].key.p, key, n) == 0)
			return &r->field[i];
	return NULL;
}

const void *ft_rec_array(const struct ft_rec *r, const char *key, size_t size, size_t *count, int *err)
{
	const struct ft_field *f = ft_rec_find(r, key);
	*count = 0;
	if (!f)
		return NULL;
	if (f->type != FT_BIN || f->bytes.n % size) {
		*err = ft_fail(FT_EFORMAT, "%s: must be a bin of %zu-byte numbers", key, size);
		return NULL;
	}
	*count = f->bytes.n / size;
	return f->bytes.p;
}

/* ---- reading ---- */
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

bool ft_is_stream(const char *path)
{
	static const unsigned char zstd[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	unsigned char head[8] = { 0 };
	int fd = path && strcmp(path, "-") != 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return false;
	ssize_t n = pread(fd, head, sizeof head, 0);
	close(fd);
	if (n >= 4 && memcmp(head, zstd, 4) == 0) {
		/* A compressed text file begins alike: look at its first object. */
		struct ft_reader *r = ft_reader_open(path, NULL);
		ft_reader_close(r);
		return r != NULL;
	}
	return n >= 4 && pack_has_key(head, (size_t)n, "ft");
}

/* ---- writing ---- */
struct ft_writer {
	struct output *out;
	struct ft_digest *digest;
	struct ft_buf buf;
	json_t *end; /* members of the end record added by the tool */
	int64_t count;
	bool closed;
};

static int write_object(struct ft_writer *w, bool digested)
{
	if (digested)
		ft_digest_add(w->digest, w->buf.data, w->buf.len);
	int rc = output_put(w->out, w->buf.data, w->buf.len);
	w->buf.len = 0;
	return rc;
}

/* Adds the entries of one stream, each once. The last one made it: it gets the
 * stream's id, by which other entries name it as their parent. */
static int add_log(json_t *log, const json_t *entries, const char *id)
{
	size_t k, j, last = json_array_size(entries);
	json_t *entry, *old;
	int rc = 0;
	json_array_foreach((json_t *)entries, k, entry) {
		json_t *named = k + 1 == last && id && json_is_object(entry) && !json_object_get(entry, "id")
		                        ? json_deep_copy(entry) : json_incref(entry);
		bool known = false;
		if (named != entry)
			rc |= json_object_set_new(named, "id", json_string(id));
		json_array_foreach(log, j, old)
			known = known || json_equal(old, named);
		if (known)
			json_decref(named);
		else
			rc |= json_array_append_new(log, named);
	}
	return rc;
}

/* What was before (or NULL) and the parents' entries, then ours, which names
 * the parents by the digests of their headers. NULL: out of memory. */
static json_t *chain(const json_t *before, struct ft_reader *const *parents, size_t nparents)
{
	json_t *log = json_array(), *mine = ft_invocation() ? json_deep_copy(ft_invocation()) : json_object();
	json_t *ids = json_array();
	int rc = add_log(log, before, NULL);
	for (size_t i = 0; i < nparents; i++) {
		if (!parents[i])
			continue;
		rc |= add_log(log, ft_reader_log(parents[i]), ft_reader_id(parents[i]));
		rc |= json_array_append_new(ids, json_pack("{s:s, s:s}", "kind", ft_reader_kind(parents[i]), "id",
		                                           ft_reader_id(parents[i])));
	}
	rc |= json_object_set_new(mine, "parents", ids);
	rc |= json_array_append_new(log, mine);
	if (rc == 0)
		return log;
	ft_fail(FT_EFAIL, "out of memory for a stream's log");
	json_decref(log);
	return NULL;
}

static int write_header(struct ft_writer *w, const char *kind, const json_t *meta, json_t *log_taken)
{
	if (json_array_size(log_taken) > LOG_MAX) {
		json_decref(log_taken);
		return ft_fail(FT_EFAIL, "%s: a history of more than %d stages", output_name(w->out), LOG_MAX);
	}
	json_t *header = json_pack("{s:i, s:s, s:O, s:o}", "ft", STREAM_VERSION, "kind", kind, "meta", meta, "log",
	                           log_taken);
	int rc = header ? pack_json(&w->buf, header) : ft_fail(FT_EFAIL, "out of memory for a stream's header");
	json_decref(header);
	if (rc == FT_OK)
		rc = write_object(w, true);
	return rc < 0 ? rc : output_flush(w->out);
}

static struct ft_writer *open_writer(const char *path, const char *kind, const json_t *meta, json_t *log_taken)
{
	struct ft_writer *w = log_taken ? ft_alloc(1, sizeof *w) : NULL;
	if (!w) {
		json_decref(log_taken);
		return NULL;
	}
	/* Weights hardly compress; the digest guards them either way. */
	w->out = output_open(path, strcmp(kind, "model") != 0);
	w->digest = w->out ? ft_digest_new() : NULL;
	w->end = w->digest ? json_object() : NULL;
	if (w->digest && !w->end)
		ft_fail(FT_EFAIL, "out of memory for a stream");
	if (w->digest && w->end && write_header(w, kind, meta, log_taken) == FT_OK)
		return w;
	if (!w->digest || !w->end)
		json_decref(log_taken);
	w->closed = true; /* nothing to abort: no header went out */
	ft_writer_free(w);
	return NULL;
}

struct ft_writer *ft_writer_open(const char *path, const char *kind, const json_t *meta,
                                 struct ft_reader *const *parents, size_t nparents)
{
	return open_writer(path, kind, meta, chain(NULL, parents, nparents));
}

struct ft_writer *ft_writer_open_log(const char *path, const char *kind, const json_t *meta, const json_t *log)
{
	return open_writer(path, kind, meta, chain(log, NULL, 0));
}

int ft_writer_put(struct ft_writer *w, const struct ft_rec *rec)
{
	int rc = pack_record(&w->buf, rec);
	if (rc < 0)
		return rc;
	w->count++;
	return write_object(w, true);
}

int ft_writer_note(struct ft_writer *w, const char *key, json_t *value_taken)
{
	return ft_json_set(w->end, key, value_taken);
}

/* `aborted`: why the stream is not whole; NULL when it is. */
static int write_end(struct ft_writer *w, const char *aborted)
{
	char hex[33];
	ft_digest_hex(w->digest, hex);
	json_t *end = json_object(), *reason = aborted ? json_string(aborted) : NULL;
	int bad = json_object_set_new(end, "end", json_integer((json_int_t)w->count));
	if (aborted) /* a reason that is not UTF-8 has no string */
		bad |= json_object_set_new(end, "aborted", reason ? reason : json_string("failure"));
	else
		bad |= json_object_set_new(end, "digest", json_string(hex)) | json_object_update(end, w->end);
	int rc = bad ? ft_fail(FT_EFAIL, "out of memory for the end of a stream") : pack_json(&w->buf, end);
	json_decref(end);
	return rc < 0 ? rc : write_object(w, false);
}

int ft_writer_close(struct ft_writer *w)
{
	int rc = write_end(w, NULL);
	if (rc == FT_OK)
		rc = output_commit(w->out);
	w->closed = rc == FT_OK;
	return rc;
}

void ft_writer_free(struct ft_writer *w)
{
	if (!w)
		return;
	if (!w->closed) {
		/* Tell the next stage why; keep the message of the failure itself. */
		char *why = ft_strdup(*ft_message() ? ft_message() : "failure");
		int code = ft_last_error();
		w->buf.len = 0;
		if (why && write_end(w, why) == FT_OK)
			output_end(w->out);
		if (why)
			ft_fail(code, "%s", why);
		free(why);
	}
	output_free(w->out);
	ft_digest_free(w->digest);
	ft_buf_free(&w->buf);
	json_decref(w->end);
	free(w);
}
