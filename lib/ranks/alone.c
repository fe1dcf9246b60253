/* alone.c - one process, which reaches nobody: what there is without MPI. */
#include "ft/err.h"
#include "priv.h"

static int open_alone(int *count, int *mine)
{
	int announced = ranks_announced();
	*count = 1;
	*mine = 0;
	if (announced == 1)
		return FT_OK;
	return ft_fail(FT_EUSAGE, "started as one of %d processes, and built without MPI (make MPI=1)", announced);
}

static void close_alone(void) {}

const struct ranks_link ranks_alone = { .open = open_alone, .close = close_alone };
