/* bytes.h - streams as bytes in memory, for tests that cut and damage them. */
#ifndef FT_TESTS_BYTES_H
#define FT_TESTS_BYTES_H

#include "ft/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

struct bytes {
	unsigned char p[1 << 16];
	size_t n;
};

/* A path by which a reader sees these bytes; good until the next call. */
static const char *path_of(const void *p, size_t n)
{
	static int fd = -1;
	static char path[64];
	if (fd < 0)
		fd = memfd_create("bytes", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, p, n, 0) != (ssize_t)n)
		return "/nothing";
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return path;
}

/* Catches what is written to stdout from now on. */
static int caught = -1, real_stdout;
__attribute__((unused)) static void catch_stdout(void)
{
	fflush(stdout);
	real_stdout = dup(STDOUT_FILENO);
	caught = memfd_create("stdout", MFD_CLOEXEC);
	dup2(caught, STDOUT_FILENO);
}

__attribute__((unused)) static void caught_stdout(struct bytes *b)
{
	ssize_t n = pread(caught, b->p, sizeof b->p, 0);
	b->n = n < 0 ? 0 : (size_t)n;
	dup2(real_stdout, STDOUT_FILENO);
	close(real_stdout);
	close(caught);
}

/* The same stream in the other form; compressed as ft does, with a checksum. */
__attribute__((unused)) static void compress_bytes(struct bytes *out, const struct bytes *in)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	out->n = ZSTD_compress2(z, out->p, sizeof out->p, in->p, in->n);
	ZSTD_freeCCtx(z);
}

__attribute__((unused)) static void plain_bytes(struct bytes *out, const struct bytes *in)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer src = { in->p, in->n, 0 };
	ZSTD_outBuffer dst = { out->p, sizeof out->p, 0 };
	while (src.pos < src.size && !ZSTD_isError(ZSTD_decompressStream(z, &dst, &src)))
		;
	out->n = dst.pos;
	ZSTD_freeDStream(z);
}

#endif
