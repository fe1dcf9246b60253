/* filemap.c - a whole file, read-only in memory. */
#include "ft/err.h"
#include "priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int map(struct filemap *m, int fd, const char *path)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return ft_fail_errno("%s", path);
	if (!S_ISREG(st.st_mode))
		return ft_fail(FT_EFAIL, "%s: not a regular file; weights are read in place, not from a pipe",
		               path);
	if ((uintmax_t)st.st_size > SIZE_MAX)
		return ft_fail(FT_EFAIL, "%s: %jd bytes are too many for this machine", path,
		               (intmax_t)st.st_size);
	if (st.st_size == 0)
		return FT_OK; /* mmap() refuses a length of 0 */
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return ft_fail_errno("%s: cannot map %jd bytes", path, (intmax_t)st.st_size);
	m->data = p;
	m->bytes = (size_t)st.st_size;
	return FT_OK;
}

int filemap_open(struct filemap *m, const char *path)
{
	*m = (struct filemap){ 0 };
	/* Without O_NONBLOCK, opening a fifo would wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return ft_fail_errno("%s", path);
	int rc = map(m, fd, path);
	close(fd);
	return rc;
}

/* A piece at a time, of which nothing stays resident: a base may be larger than what is used of it. */
#define PIECE ((size_t)8 << 20)

void filemap_digest(const struct filemap *m, struct ft_digest *d)
{
	for (size_t at = 0, n; at < m->bytes; at += n) {
		n = m->bytes - at < PIECE ? m->bytes - at : PIECE;
		ft_digest_add(d, m->data + at, n);
		madvise((void *)(uintptr_t)(m->data + at), n, MADV_DONTNEED);
	}
}

void filemap_let_go(const struct filemap *m)
{
	madvise((void *)(uintptr_t)m->data, m->bytes, MADV_DONTNEED);
}

void filemap_close(struct filemap *m)
{
	if (m->data)
		munmap((void *)(uintptr_t)m->data, m->bytes);
	*m = (struct filemap){ 0 };
}
