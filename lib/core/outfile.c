/* outfile.c - a file that appears whole or not at all. */
#include "ft/err.h"
#include "ft/file.h"
#include "ft/json.h"
#include "ft/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ft_outfile {
	int fd;
	char *path, *temporary; /* NULL for stdout, and for what is no regular file */
};

int ft_write_all(int fd, const void *p, size_t n, const char *name)
{
	const char *at = p;
	while (n) {
		ssize_t done = write(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return ft_fail_errno("%s", name);
		at += done;
		n -= (size_t)done;
	}
	return FT_OK;
}

/* /dev/null, a fifo, a terminal: written in place, a rename would replace them. */
static bool is_special(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int open_temporary(struct ft_outfile *f, const char *path)
{
	const char *slash = strrchr(path, '/');
	int dir = slash ? (int)(slash - path) + 1 : 0;
	f->path = ft_strdup(path);
	f->temporary = ft_format("%.*s.%s.XXXXXX", dir, path, path + dir);
	if (!f->path || !f->temporary)
		return FT_EFAIL;
	f->fd = mkostemp(f->temporary, O_CLOEXEC);
	if (f->fd < 0) {
		free(f->temporary);
		f->temporary = NULL;
		return ft_fail_errno("%s", path);
	}
	mode_t mask = umask(0); /* mkstemp is strict: give what open() would have */
	umask(mask);
	if (fchmod(f->fd, 0666 & ~mask) < 0)
		return ft_fail_errno("%s", path);
	return FT_OK;
}

struct ft_outfile *ft_outfile_open(const char *path)
{
	struct ft_outfile *f = ft_alloc(1, sizeof *f);
	if (!f)
		return NULL;
	int rc = FT_OK;
	f->fd = -1;
	if (!path || strcmp(path, "-") == 0) {
		f->fd = STDOUT_FILENO;
	} else if (!*path) {
		rc = ft_fail(FT_EUSAGE, "an output file without a name");
	} else if (is_special(path)) {
		f->fd = open(path, O_WRONLY | O_CLOEXEC);
		f->path = ft_strdup(path);
		rc = f->fd < 0 ? ft_fail_errno("%s", path) : FT_OK;
	} else {
		rc = open_temporary(f, path);
	}
	if (rc < 0) {
		ft_outfile_free(f);
		return NULL;
	}
	return f;
}

int ft_outfile_fd(const struct ft_outfile *f)
{
	return f->fd;
}

static int open_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? ft_strndup(path, (size_t)(slash - path) + 1) : ft_strdup(".");
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir && fd < 0)
		ft_fail_errno("%s", dir);
	free(dir);
	return fd;
}

int ft_file_rename(const char *from, const char *to)
{
	int folder = open_folder(to); /* before the rename: it may fail */
	if (folder < 0)
		return FT_EFAIL;
	int rc = rename(from, to) < 0 ? ft_fail_errno("%s", to) : FT_OK;
	/* Some file systems cannot sync a folder (EINVAL): nothing more to do there. */
	if (rc == FT_OK && fsync(folder) < 0 && errno != EINVAL)
		rc = ft_fail_errno("%s", to);
	close(folder);
	return rc;
}

int ft_outfile_commit(struct ft_outfile *f)
{
	if (!f->path)
		return FT_OK;
	int synced = f->temporary ? fsync(f->fd) : 0;
	int rc = synced < 0 ? ft_fail_errno("%s", f->path) : ft_json_whole();
	int closed = close(f->fd);
	f->fd = -1;
	if (rc == FT_OK && closed < 0)
		rc = ft_fail_errno("%s", f->path);
	if (rc == FT_OK && f->temporary)
		rc = ft_file_rename(f->temporary, f->path);
	if (rc == FT_OK) {
		free(f->temporary);
		f->temporary = NULL;
	}
	return rc;
}

void ft_outfile_free(struct ft_outfile *f)
{
	if (!f)
		return;
	if (f->fd >= 0 && f->path)
		close(f->fd);
	if (f->temporary) {
		unlink(f->temporary);
		free(f->temporary);
	}
	free(f->path);
	free(f);
}
