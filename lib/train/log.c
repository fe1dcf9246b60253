/* log.c - the log of a run: JSON lines, written as they come.
 *
 * With checkpoints it remembers where it is: what a run that goes on finds behind that
 * place was written by steps that are taken again, and is cut off. */
#include "ft/digest.h"
#include "ft/file.h"
#include "priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct log {
	int fd; /* -1: a log that keeps nothing */
	const char *path;
	bool regular; /* no fifo, no device: what was written can be read again */
	int64_t bytes;
	struct ft_digest *digest; /* of all these */
};

/* Digest of the first `bytes` bytes of a file. Returns how many there are of them, or <0. */
static int64_t digest_file(int fd, const char *path, int64_t bytes, struct ft_digest *d)
{
	char block[4096];
	int64_t at = 0;
	while (at < bytes) {
		size_t want = bytes - at < (int64_t)sizeof block ? (size_t)(bytes - at) : sizeof block;
		ssize_t n = pread(fd, block, want, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ft_fail_errno("%s", path);
		if (n == 0)
			break;
		ft_digest_add(d, block, (size_t)n);
		at += n;
	}
	return at;
}

/* ---- the place in the log, as a checkpoint has it ---- */
json_t *log_place(const struct log *l)
{
	char hex[33];
	if (l->fd < 0 || !l->regular)
		return json_null();
	ft_digest_hex(l->digest, hex);
	return json_pack("{s:I, s:s}", "bytes", (json_int_t)l->bytes, "digest", hex);
}

int log_sync(const struct log *l)
{
	return l->regular && fsync(l->fd) < 0 ? ft_fail_errno("%s", l->path) : FT_OK;
}

int log_compare(const char *path, const json_t *place, struct ft_buf *differences)
{
	int64_t want = ft_json_int(place, "bytes", 0, NULL), have = 0;
	const char *digest = ft_json_str(place, "digest", "", NULL);
	char hex[33];
	if (!path || !json_is_object(place))
		return FT_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return ft_fail_errno("%s", path);
	struct ft_digest *d = ft_digest_new();
	if (fd >= 0 && d)
		have = digest_file(fd, path, want, d);
	if (fd >= 0)
		close(fd);
	if (d)
		ft_digest_hex(d, hex);
	ft_digest_free(d);
	if (!d || have < 0)
		return FT_EFAIL;
	if (have == want && strcmp(hex, digest) == 0)
		return FT_OK;
	return differ(differences, "%s: began with %lld bytes of digest %s, has %lld of %s now", path, (long long)want,
	              digest, (long long)have, hex);
}

/* ---- writing ---- */
static int open_file(struct log *l, int64_t keep)
{
	struct stat st;
	l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (l->fd < 0) /* what can only be written */
		l->fd = open(l->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (l->fd < 0 || fstat(l->fd, &st) < 0)
		return ft_fail_errno("%s", l->path);
	l->regular = S_ISREG(st.st_mode);
	if (!l->regular)
		return FT_OK;
	l->bytes = digest_file(l->fd, l->path, keep, l->digest);
	if (l->bytes < 0)
		return FT_EFAIL;
	if (ftruncate(l->fd, l->bytes) < 0 || lseek(l->fd, l->bytes, SEEK_SET) < 0)
		return ft_fail_errno("%s", l->path);
	return FT_OK;
}

struct log *log_open(const char *path, const json_t *place)
{
	struct log *l = ft_alloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->fd = -1;
	l->path = path;
	l->digest = ft_digest_new();
	if (l->digest && (!path || open_file(l, ft_json_int(place, "bytes", 0, NULL)) == FT_OK))
		return l;
	log_free(l);
	return NULL;
}

int log_put(struct log *l, json_t *entry_taken)
{
	if (!entry_taken)
		return ft_fail(FT_EFAIL, "out of memory for the log");
	char *text = l->fd >= 0 ? ft_json_text(entry_taken) : NULL;
	size_t n = text ? strlen(text) : 0;
	int rc = l->fd >= 0 && !text ? FT_EFAIL : FT_OK;
	if (text) {
		text[n++] = '\n'; /* in place of its end */
		rc = ft_write_all(l->fd, text, n, l->path);
		ft_digest_add(l->digest, text, n);
		l->bytes += (int64_t)n;
	}
	free(text);
	json_decref(entry_taken);
	return rc;
}

int log_close(struct log *l)
{
	int rc = l->fd >= 0 && close(l->fd) < 0 ? ft_fail_errno("%s", l->path) : FT_OK;
	l->fd = -1;
	log_free(l);
	return rc;
}

void log_free(struct log *l)
{
	if (l && l->fd >= 0)
		close(l->fd);
	if (l)
		ft_digest_free(l->digest);
	free(l);
}
