/* io.c - descriptors, and zstd over them. The only file with zstd.h. */
#include "ft/err.h"
#include "ft/signals.h"
#include "priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#define RAW ((size_t)128 << 10)

/* ---- input ---- */
enum form { UNKNOWN, PLAIN, ZSTD };

struct input {
	int fd;
	char *name;
	enum form form;
	ZSTD_DStream *zstd;
	size_t hint;          /* zstd's last return: 0 between frames */
	unsigned char raw[RAW];
	bool more;            /* zstd holds decoded bytes that did not fit */
	size_t raw_at, raw_n; /* compressed bytes not yet decoded */
	bool eof;             /* the descriptor has ended */
	struct ft_buf buf;    /* decoded bytes; read ones are before `at` */
	size_t at;
};

/* By errno. */
static int fail_read(const char *name)
{
	if (errno == EINTR && ft_signals_stop())
		return ft_fail(FT_EFAIL, "stopped by %s while waiting for %s", ft_signals_name(ft_signals_stop()), name);
	return ft_fail_errno("%s", name);
}

struct input *input_open(const char *path)
{
	struct input *in = ft_alloc(1, sizeof *in);
	if (!in)
		return NULL;
	bool stdin_ = !path || strcmp(path, "-") == 0;
	in->name = ft_strdup(stdin_ ? "stdin" : path);
	do { /* a named pipe waits for its writer */
		in->fd = stdin_ ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	} while (in->fd < 0 && errno == EINTR && !ft_signals_stop());
	if (in->name && in->fd >= 0 && ft_buf_reserve(&in->buf, RAW) == FT_OK)
		return in;
	if (in->fd < 0)
		fail_read(path);
	input_close(in);
	return NULL;
}

void input_close(struct input *in)
{
	if (!in)
		return;
	if (in->fd > STDIN_FILENO)
		close(in->fd);
	ZSTD_freeDStream(in->zstd);
	ft_buf_free(&in->buf);
	free(in->name);
	free(in);
}

const char *input_name(const struct input *in)
{
	return in->name;
}

const unsigned char *input_data(const struct input *in, size_t *n)
{
	*n = in->buf.len - in->at;
	return in->buf.data + in->at;
}

void input_skip(struct input *in, size_t n)
{
	in->at += n;
}

static int read_some(struct input *in, void *p, size_t n, size_t *got)
{
	ssize_t r;
	do {
		errno = EINTR;
		r = ft_signals_wait(in->fd) ? read(in->fd, p, n) : -1;
	} while (r < 0 && errno == EINTR && !ft_signals_stop());
	if (r < 0)
		return fail_read(in->name);
	*got = (size_t)r;
	in->eof = r == 0;
	return FT_OK;
}

/* When nothing of it has been used, or all. */
static int refill_raw(struct input *in)
{
	size_t got = 0;
	int rc = read_some(in, in->raw + in->raw_n, RAW - in->raw_n, &got);
	in->raw_n += got;
	return rc;
}

/* zstd begins with its magic number; anything else is taken for msgpack. */
static int find_form(struct input *in)
{
	static const unsigned char magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	while (in->raw_n < 4 && !in->eof) {
		int rc = refill_raw(in);
		if (rc < 0)
			return rc;
	}
	if (in->raw_n && in->raw_n < 4 && memcmp(in->raw, magic, in->raw_n) == 0)
		return ft_fail(FT_ECUT, "%s: the stream is cut short inside a zstd frame", in->name);
	if (in->raw_n < 4 || memcmp(in->raw, magic, 4) != 0) {
		in->form = PLAIN;
		return FT_OK;
	}
	in->form = ZSTD;
	in->zstd = ZSTD_createDStream();
	if (!in->zstd)
		return ft_fail(FT_EFAIL, "%s: out of memory for zstd", in->name);
	ZSTD_DCtx_setParameter(in->zstd, ZSTD_d_windowLogMax, 27);
	return FT_OK;
}

/* Decodes some bytes into `buf`, which has room for RAW of them. */
static int decode_some(struct input *in)
{
	while (in->raw_at == in->raw_n && !in->more) {
		in->raw_at = in->raw_n = 0;
		int rc = refill_raw(in);
		if (rc < 0)
			return rc;
		if (in->eof)
			return in->hint ? ft_fail(FT_ECUT, "%s: the stream is cut short inside a zstd frame", in->name)
			                : FT_OK;
	}
	ZSTD_inBuffer src = { in->raw + in->raw_at, in->raw_n - in->raw_at, 0 };
	ZSTD_outBuffer dst = { in->buf.data + in->buf.len, in->buf.cap - in->buf.len, 0 };
	size_t hint = ZSTD_decompressStream(in->zstd, &dst, &src);
	if (ZSTD_getErrorCode(hint) == ZSTD_error_memory_allocation)
		return ft_fail(FT_EFAIL, "%s: out of memory for zstd", in->name);
	if (ZSTD_isError(hint))
		return ft_fail(FT_EFORMAT, "%s: damaged zstd data: %s", in->name, ZSTD_getErrorName(hint));
	in->hint = hint;
	in->more = dst.pos == dst.size && hint != 0;
	in->raw_at += src.pos;
	in->buf.len += dst.pos;
	return FT_OK;
}

static int copy_some(struct input *in)
{
	size_t got = in->raw_n - in->raw_at;
	if (got) {
		memcpy(in->buf.data + in->buf.len, in->raw + in->raw_at, got);
		in->raw_at += got;
		in->buf.len += got;
		return FT_OK;
	}
	int rc = read_some(in, in->buf.data + in->buf.len, in->buf.cap - in->buf.len, &got);
	in->buf.len += got;
	return rc;
}

int input_fill(struct input *in, size_t need)
{
	int rc = in->form == UNKNOWN ? find_form(in) : FT_OK;
	if (rc == FT_OK && in->at) {
		memmove(in->buf.data, in->buf.data + in->at, in->buf.len - in->at);
		in->buf.len -= in->at;
		in->at = 0;
	}
	/* Memory follows the bytes that really come, not the need a length claims. */
	while (rc == FT_OK && in->buf.len < need && !(in->eof && !in->more && in->raw_at == in->raw_n)) {
		rc = ft_buf_reserve(&in->buf, RAW);
		if (rc == FT_OK)
			rc = in->form == ZSTD ? decode_some(in) : copy_some(in);
	}
	return rc;
}

/* ---- output ---- */
struct output {
	struct ft_outfile *file;
	char *name;
	ZSTD_CStream *zstd; /* NULL: plain */
	struct ft_buf pending;
	bool ended;
};

struct output *output_open(const char *path, bool compress)
{
	bool stdout_ = !path || strcmp(path, "-") == 0;
	struct output *o = ft_alloc(1, sizeof *o);
	if (!o)
		return NULL;
	o->name = ft_strdup(stdout_ ? "stdout" : path);
	o->file = o->name ? ft_outfile_open(path) : NULL;
	if (o->file && isatty(ft_outfile_fd(o->file))) {
		ft_fail(FT_EUSAGE, "a stream is binary and is not written to a terminal; redirect it or use -o FILE");
		goto fail;
	}
	if (o->file && compress) {
		o->zstd = ZSTD_createCStream();
		if (!o->zstd) {
			ft_fail(FT_EFAIL, "%s: out of memory for zstd", o->name);
			goto fail;
		}
		ZSTD_CCtx_setParameter(o->zstd, ZSTD_c_compressionLevel, 1);
		ZSTD_CCtx_setParameter(o->zstd, ZSTD_c_checksumFlag, 1);
	}
	if (o->file)
		return o;
fail:
	output_free(o);
	return NULL;
}

const char *output_name(const struct output *o)
{
	return o->name;
}

static int write_pending(struct output *o)
{
	int rc = ft_write_all(ft_outfile_fd(o->file), o->pending.data, o->pending.len, o->name);
	o->pending.len = 0;
	return rc;
}

static int compress(struct output *o, const void *p, size_t n, ZSTD_EndDirective how)
{
	ZSTD_inBuffer src = { p, n, 0 };
	size_t left;
	do {
		int rc = ft_buf_reserve(&o->pending, ZSTD_CStreamOutSize());
		if (rc < 0)
			return rc;
		ZSTD_outBuffer dst = { o->pending.data + o->pending.len, o->pending.cap - o->pending.len, 0 };
		left = ZSTD_compressStream2(o->zstd, &dst, &src, how);
		if (ZSTD_isError(left))
			return ft_fail(FT_EFAIL, "%s: zstd: %s", o->name, ZSTD_getErrorName(left));
		o->pending.len += dst.pos;
		if (o->pending.len >= RAW && (rc = write_pending(o)) < 0)
			return rc;
	} while (how == ZSTD_e_continue ? src.pos < src.size : left > 0);
	return FT_OK;
}

int output_put(struct output *o, const void *p, size_t n)
{
	if (o->zstd)
		return compress(o, p, n, ZSTD_e_continue);
	int rc = ft_buf_append(&o->pending, p, n);
	return rc == FT_OK && o->pending.len >= RAW ? write_pending(o) : rc;
}

int output_flush(struct output *o)
{
	int rc = o->zstd ? compress(o, NULL, 0, ZSTD_e_flush) : FT_OK;
	return rc < 0 ? rc : write_pending(o);
}

int output_end(struct output *o)
{
	int rc = o->zstd && !o->ended ? compress(o, NULL, 0, ZSTD_e_end) : FT_OK;
	o->ended = true;
	return rc < 0 ? rc : write_pending(o);
}

int output_commit(struct output *o)
{
	int rc = output_end(o);
	return rc < 0 ? rc : ft_outfile_commit(o->file);
}

void output_free(struct output *o)
{
	if (!o)
		return;
	ft_outfile_free(o->file);
	ZSTD_freeCStream(o->zstd);
	ft_buf_free(&o->pending);
	free(o->name);
	free(o);
}
