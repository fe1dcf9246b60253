/* thread.c - parallel loops over OpenMP. The only file with omp.h. */
#include "ft/thread.h"

#include <omp.h>

static int threads;

void ft_threads_set(int n)
{
	threads = n > 0 ? n : 0;
	/* BLAS asks OpenMP how many threads it may use outside a region, and a
	 * region of one thread counts as outside. */
	omp_set_num_threads(ft_threads());
}

int ft_threads(void)
{
	/* What OpenMP would use: it knows OMP_NUM_THREADS and the affinity mask, e.g.
	 * a batch system's. Asked once, before it is told otherwise. */
	static int all;
	if (!all)
		all = omp_get_max_threads();
	return threads > 0 ? threads : all;
}

int ft_thread_id(void)
{
	return omp_get_thread_num();
}

void ft_parallel(size_t n, void (*fn)(void *ctx, size_t i), void *ctx)
{
	/* A region is entered even for one item, because BLAS must see that it is
	 * inside one: then it uses the calling thread alone. */
	int team = ft_threads();
	if ((size_t)team > n && n > 1)
		team = (int)n;
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
	for (size_t i = 0; i < n; i++)
		fn(ctx, i);
}
