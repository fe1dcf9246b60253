/* outdir.c - a folder, an archive of one, or a file, that appears whole or not at all.
 *
 * Files are written into a temporary folder beside the destination, which then
 * gets its name by one rename. A folder that is replaced is exchanged with the
 * new one in one step where the system can do that.
 */
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ft_outdir {
	char *path, *temporary; /* temporary: NULL when there is nothing to remove */
	const char *file; /* of the folder, which is what is wanted; NULL: all of it */
	bool single, replace; /* single: it is to be a file, or an archive */
};

/* What a destination is now. */
enum there { NOTHING, EMPTY_FOLDER, MODEL_FOLDER, OTHER_FOLDER, A_FILE };

/* A folder of a module of sentence-transformers, "1_Pooling", in which there are only files. */
static bool is_module(int parent, const char *name)
{
	size_t digits = strspn(name, "0123456789");
	int fd = digits && name[digits] == '_' ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool only_files = d != NULL;
	for (struct dirent *e; only_files && (e = readdir(d));) {
		struct stat st;
		if (is_basename(e->d_name))
			only_files = fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode);
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	return only_files;
}

static enum there look(const char *path)
{
	DIR *d = opendir(path);
	if (!d)
		return errno == ENOENT ? NOTHING : A_FILE;
	enum there what = EMPTY_FOLDER;
	bool config = false, folders = false;
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		if (!is_basename(e->d_name))
			continue;
		what = OTHER_FOLDER;
		config = config || !strcmp(e->d_name, "config.json") || !strcmp(e->d_name, "adapter_config.json");
		folders = folders || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		          (S_ISDIR(st.st_mode) && !is_module(dirfd(d), e->d_name));
	}
	closedir(d);
	return config && !folders ? MODEL_FOLDER : what;
}

/* Whether the destination may be written, and what it takes. */
static int check_place(struct ft_outdir *d, bool force)
{
	switch (look(d->path)) {
	case NOTHING:
		return FT_OK;
	case EMPTY_FOLDER:
		return d->single ? ft_fail(FT_EFAIL, "%s: is a folder", d->path) : FT_OK;
	case MODEL_FOLDER:
		d->replace = true;
		if (d->single || !force)
			return ft_fail(FT_EFAIL, "%s: is a folder that is not empty%s", d->path,
			               d->single ? "" : "; --force replaces it");
		return FT_OK;
	case OTHER_FOLDER:
		return ft_fail(FT_EFAIL,
		               "%s: is a folder with other things in it; not replaced, even with --force",
		               d->path);
	case A_FILE:
		if (!d->single)
			return ft_fail(FT_EFAIL, "%s: is not a folder", d->path);
		return force ? FT_OK
		             : ft_fail(FT_EFAIL, "%s: is there already; --force replaces it", d->path);
	}
	return FT_OK;
}

/* The path without slashes at its end; where a link leads, when it is one. */
static char *plain_path(const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	char *plain = ft_strndup(path, n);
	struct stat st;
	if (!plain || lstat(plain, &st) < 0 || !S_ISLNK(st.st_mode))
		return plain;
	char *real = realpath(plain, NULL);
	if (!real)
		ft_fail_errno("%s", plain);
	free(plain);
	return real;
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static int make_temporary(struct ft_outdir *d)
{
	const char *name = last_part(d->path);
	char *t = ft_format("%.*s.%s.XXXXXX", (int)(name - d->path), d->path, name);
	if (!t)
		return FT_EFAIL;
	if (!mkdtemp(t)) {
		int rc = ft_fail_errno("%s", d->path);
		free(t);
		return rc;
	}
	d->temporary = t;
	mode_t mask = umask(0); /* mkdtemp is strict: give what mkdir() would have */
	umask(mask);
	return chmod(t, 0777 & ~mask) < 0 ? ft_fail_errno("%s", d->path) : FT_OK;
}

struct ft_outdir *ft_outdir_open(const char *path, const char *file, bool force)
{
	struct ft_outdir *d = ft_alloc(1, sizeof *d);
	if (!d)
		return NULL;
	d->path = plain_path(path);
	int rc = d->path ? FT_OK : ft_last_error();
	if (rc == FT_OK && !is_basename(last_part(d->path)))
		rc = ft_fail(FT_EUSAGE, "%s: is not a name for a new folder", path);
	if (rc == FT_OK) {
		d->file = file;
		d->single = file || ft_archive_named(d->path);
		rc = check_place(d, force);
	}
	if (rc == FT_OK)
		rc = make_temporary(d);
	if (rc == FT_OK)
		return d;
	ft_outdir_free(d);
	return NULL;
}

const char *ft_outdir_path(const struct ft_outdir *d)
{
	return d->temporary;
}

/* Removes a folder of files, and folders of files in it when `deep`. Whatever
 * resists stays: this only cleans up. */
static void remove_folder(int parent, const char *path, bool deep)
{
	int fd = openat(parent, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *e; d && (e = readdir(d));)
		if (is_basename(e->d_name) && unlinkat(fd, e->d_name, 0) < 0 && deep)
			remove_folder(fd, e->d_name, false);
	if (d)
		closedir(d);
	unlinkat(parent, path, AT_REMOVEDIR);
}

static int sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Some file systems cannot sync a folder (EINVAL): nothing more to do there. */
	int rc = fd < 0 || (fsync(fd) < 0 && errno != EINVAL) ? ft_fail_errno("%s", path) : FT_OK;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Puts the new folder where the old one is; the old one gets the temporary name. */
static int exchange(struct ft_outdir *d)
{
	if (renameat2(AT_FDCWD, d->temporary, AT_FDCWD, d->path, RENAME_EXCHANGE) == 0)
		return FT_OK;
	if (errno != EINVAL && errno != ENOSYS)
		return ft_fail_errno("%s", d->path);
	char *old = ft_format("%s.old", d->temporary);
	if (!old)
		return FT_EFAIL;
	int rc = FT_OK;
	if (rename(d->path, old) < 0) {
		rc = ft_fail_errno("%s", d->path);
	} else if (rename(d->temporary, d->path) < 0) {
		rc = ft_fail_errno("%s", d->path);
		rename(old, d->path);
	} else {
		free(d->temporary);
		d->temporary = old;
		return FT_OK;
	}
	free(old);
	return rc;
}

/* Gives the temporary folder, or its file, the name. */
static int give_name(struct ft_outdir *d)
{
	if (d->file) {
		char *from = ft_format("%s/%s", d->temporary, d->file);
		int rc = !from ? FT_EFAIL : rename(from, d->path) < 0 ? ft_fail_errno("%s", d->path) : FT_OK;
		free(from);
		return rc; /* the folder goes in ft_outdir_free() */
	}
	if (d->replace)
		return exchange(d);
	if (rename(d->temporary, d->path) < 0)
		return ft_fail_errno("%s", d->path);
	*d->temporary = '\0'; /* nothing to remove */
	return FT_OK;
}

int ft_outdir_commit(struct ft_outdir *d)
{
	if (d->single && !d->file)
		return ft_archive_pack(d->path, d->temporary); /* the folder goes in ft_outdir_free() */
	const char *name = last_part(d->path);
	char *parent = name == d->path ? ft_strdup(".") : ft_strndup(d->path, (size_t)(name - d->path));
	int rc = parent ? sync_folder(d->temporary) : FT_EFAIL;
	if (rc == FT_OK)
		rc = give_name(d);
	if (rc == FT_OK)
		rc = sync_folder(parent);
	free(parent);
	return rc;
}

void ft_outdir_free(struct ft_outdir *d)
{
	if (!d)
		return;
	if (d->temporary && *d->temporary)
		remove_folder(AT_FDCWD, d->temporary, true);
	free(d->temporary);
	free(d->path);
	free(d);
}
