/* file.h - files that are written whole or not at all. */
#ifndef FT_FILE_H
#define FT_FILE_H

#include <stddef.h>

/* A file that replaces `path` only when committed: opened under a temporary
 * name beside it. "-" is stdout. */
struct ft_outfile;
struct ft_outfile *ft_outfile_open(const char *path);
int ft_outfile_fd(const struct ft_outfile *f);
int ft_outfile_commit(struct ft_outfile *f); /* fsync, rename, fsync of the folder */
void ft_outfile_free(struct ft_outfile *f);  /* removes what was not committed */
/* Renames, and brings the folder to disk: only then is the name durable. */
int ft_file_rename(const char *from, const char *to);
/* Writes everything, through EINTR and short writes. */
int ft_write_all(int fd, const void *p, size_t n, const char *name);

#endif
