/* ranks.h - the processes that share the work of one run.
 *
 * A program is one of several when mpirun or srun has started it so; it must have been built with MPI then (make
 * MPI=1). Who shares work asks here which part is his, and knows nothing of MPI. Ranks are numbered from 0, and rank
 * 0 alone writes what there is to be written.
 *
 * All ranks make the same calls in the same order, but for what a send of one is the receive of another. A rank that
 * fails says so in ft_ranks_agree(), so that the others end, too; one that dies ends them, by mpirun. NULL for `r` is
 * a process by itself.
 */
#ifndef FT_RANKS_H
#define FT_RANKS_H

#include <stddef.h>
#include <stdint.h>

struct ft_ranks;
/* 1: *r is this process's, to be closed. FT_EUSAGE: it was started as one of several, and built without MPI, or MPI
 * does not find the others. */
int ft_ranks_open(struct ft_ranks **r);
void ft_ranks_close(struct ft_ranks *r); /* waits for the others; NULL is fine */
int ft_ranks_count(const struct ft_ranks *r);
int ft_ranks_mine(const struct ft_ranks *r); /* 0 .. count - 1 */

/* All ranks meet. FT_OK when `rc` is FT_OK on each of them; else on all of them the code and message of the first rank
 * that failed. `mark` must be the same on all, else FT_EMATCH: a rank "has other `what`". *flags become what any rank
 * had in them; NULL: there are none. */
int ft_ranks_agree(struct ft_ranks *r, int rc, const char *what, uint64_t mark, uint32_t *flags);

int ft_ranks_failed(const struct ft_ranks *r); /* which that was */

/* Bytes from one rank to another, and from one to all others. These do not fail: MPI ends the run. */
void ft_ranks_send(struct ft_ranks *r, int to, const void *data, size_t bytes);
void ft_ranks_receive(struct ft_ranks *r, int from, void *data, size_t bytes);
void ft_ranks_share(struct ft_ranks *r, int from, void *data, size_t bytes);

#endif
