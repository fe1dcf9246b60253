/* thread.c - parallel loops over OpenMP. The only file with omp.h. */
#include "ft/thread.h"

#include <omp.h>

static int threads;

/* What OpenMP would use: it knows OMP_NUM_THREADS and the affinity mask, e.g. a
 * batch system's. Asked once; then it is told 1, because BLAS asks it how many
 * threads to use outside our regions. Inside them BLAS uses one by itself. */
static int available(void)
{
	static int all;
	if (!all) {
		all = omp_get_max_threads();
		omp_set_num_threads(1);
	}
	return all;
}

void ft_threads_set(int n)
{
	available();
	threads = n > 0 ? n : 0;
}

int ft_threads(void)
{
	int all = available();
	return threads > 0 ? threads : all;
}

int ft_thread_id(void)
{
	return omp_get_thread_num();
}

void ft_parallel(size_t n, void (*fn)(void *ctx, size_t i), void *ctx)
{
	ft_parallel_work(n, 1e18, fn, ctx);
}

void ft_parallel_work(size_t n, double work, void (*fn)(void *ctx, size_t i), void *ctx)
{
	int team = ft_threads();
	if ((size_t)team > n)
		team = (int)n;
	if (team <= 1 || work < FT_WORK_MIN) {
		for (size_t i = 0; i < n; i++)
			fn(ctx, i);
		return;
	}
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
	for (size_t i = 0; i < n; i++)
		fn(ctx, i);
}
