/* priv.h - how ranks reach one another. */
#ifndef FT_RANKS_PRIV_H
#define FT_RANKS_PRIV_H

#include "ft/ranks.h"

/* At most so many bytes at a time. */
#define MOST ((size_t)1 << 30)

struct ranks_link {
	int (*open)(int *count, int *mine); /* FT_OK, or FT_EUSAGE */
	void (*close)(void);
	void (*send)(int to, const void *data, size_t bytes);
	void (*receive)(int from, void *data, size_t bytes);
	void (*share)(int from, void *data, size_t bytes); /* to all others */
};
extern const struct ranks_link ranks_alone, ranks_mpi; /* the second with make MPI=1 */

/* How many processes whoever started this one says that there are; 1 where nobody says anything. */
int ranks_announced(void);

#endif
