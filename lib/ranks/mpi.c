/* mpi.c - ranks of MPI. The only file with mpi.h; compiled with make MPI=1. An error of MPI ends the run: that is
 * what MPI does where nothing else was asked for. */
#include "ft/err.h"
#include "priv.h"

#include <mpi.h>

static int open_mpi(int *count, int *mine)
{
	int given, announced = ranks_announced();
	*count = 1;
	*mine = 0;
	if (announced == 1)
		return FT_OK;
	MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
	MPI_Comm_size(MPI_COMM_WORLD, count);
	MPI_Comm_rank(MPI_COMM_WORLD, mine);
	if (*count == announced)
		return FT_OK;
	return ft_fail(FT_EUSAGE, "started as one of %d processes, of which MPI knows %d; srun may need --mpi=pmix",
	               announced, *count);
}

static void close_mpi(void)
{
	int begun;
	MPI_Initialized(&begun);
	if (begun)
		MPI_Finalize();
}

static void send(int to, const void *data, size_t bytes)
{
	MPI_Send(data, (int)bytes, MPI_BYTE, to, 0, MPI_COMM_WORLD);
}

static void receive(int from, void *data, size_t bytes)
{
	MPI_Recv(data, (int)bytes, MPI_BYTE, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void share(int from, void *data, size_t bytes)
{
	MPI_Bcast(data, (int)bytes, MPI_BYTE, from, MPI_COMM_WORLD);
}

const struct ranks_link ranks_mpi = { open_mpi, close_mpi, send, receive, share };
