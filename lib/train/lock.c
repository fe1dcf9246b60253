/* lock.c - one run at a time on one checkpoint: a file beside it that is locked.
 *
 * The kernel drops the lock with the process, so that a file that was left behind stops
 * nobody. It is removed by who has the lock; who gets a lock on a file that is gone tries
 * again. */
#include "ft/file.h"
#include "priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct lock {
	int fd;
	char *path;
};

static int locked(int fd, const char *name)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	long pid = n > 0 ? strtol(text, NULL, 10) : 0;
	if (pid > 0)
		return ft_fail(FT_ELOCKED, "%s: in use by another run, process %ld", name, pid);
	return ft_fail(FT_ELOCKED, "%s: in use by another run", name);
}

/* 1: ours. 0: the file was removed while we waited; try again. */
static int take(struct lock *l, const char *name)
{
	struct stat ours, there;
	l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (l->fd < 0)
		return ft_fail_errno("%s", l->path);
	if (flock(l->fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return locked(l->fd, name);
		/* A file system without locks. */
		ft_warn("%s: %s: take care that no other run uses it", l->path, strerror(errno));
		return 1;
	}
	if (fstat(l->fd, &ours) == 0 && stat(l->path, &there) == 0 && ours.st_ino == there.st_ino &&
	    ours.st_dev == there.st_dev)
		return 1;
	close(l->fd);
	l->fd = -1;
	return 0;
}

struct lock *lock_take(const char *name)
{
	char pid[32];
	int rc;
	struct lock *l = ft_alloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->fd = -1;
	l->path = ft_format("%s.lock", name);
	do {
		rc = l->path ? take(l, name) : FT_EFAIL;
	} while (rc == 0);
	if (rc > 0) {
		int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
		rc = ftruncate(l->fd, 0) < 0 ? ft_fail_errno("%s", l->path)
		                             : ft_write_all(l->fd, pid, (size_t)n, l->path);
		if (rc < 0)
			unlink(l->path);
	}
	if (rc == FT_OK)
		return l;
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	free(l);
	return NULL;
}

unsigned long long lock_room(const struct lock *l)
{
	struct statvfs fs;
	return fstatvfs(l->fd, &fs) == 0 ? (unsigned long long)fs.f_bavail * fs.f_frsize : ~0ull;
}

void lock_drop(struct lock *l)
{
	if (!l)
		return;
	unlink(l->path);
	close(l->fd);
	free(l->path);
	free(l);
}
