/* isa.c - which kernels this processor runs. */
#include "ft/kernels.h"
#include "ft/tensor.h"

#include <stdlib.h>
#include <string.h>

extern const struct ft_kernels ft_kernels_base, ft_kernels_avx2, ft_kernels_avx512;

static const struct ft_kernels *choose(void)
{
	const char *most = getenv("FT_ISA");
	(void)most;
#ifdef FT_HAVE_avx512
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	    (!most || strcmp(most, "avx512") == 0))
		return &ft_kernels_avx512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && (!most || strcmp(most, "base") != 0))
		return &ft_kernels_avx2;
#endif
	return &ft_kernels_base;
}

const struct ft_kernels *ft_kernels(void)
{
	static const struct ft_kernels *chosen;
	const struct ft_kernels *k = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
	if (!k) {
		k = choose();
		__atomic_store_n(&chosen, k, __ATOMIC_RELAXED);
	}
	return k;
}

const char *ft_isa(void)
{
	return ft_kernels()->name;
}
