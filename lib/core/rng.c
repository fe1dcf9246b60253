/* rng.c - Philox4x32-10 and what is drawn from it. */
#include "ft/rng.h"

#include <math.h>

void ft_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
	uint32_t k0 = key[0], k1 = key[1];
	for (int round = 0; round < 10; round++) {
		uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
		uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
		c1 = (uint32_t)b;
		c3 = (uint32_t)a;
		c0 = n0;
		c2 = n2;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

uint64_t ft_mix(uint64_t a, uint64_t b)
{
	uint32_t counter[4] = { (uint32_t)b, (uint32_t)(b >> 32), 0x66746d78u, 0 }, out[4];
	uint32_t key[2] = { (uint32_t)a, (uint32_t)(a >> 32) };
	ft_philox(out, counter, key);
	return (uint64_t)out[1] << 32 | out[0];
}

void ft_rng_init(struct ft_rng *r, uint64_t seed, uint64_t stream)
{
	*r = (struct ft_rng){ .key = ft_mix(seed, stream) };
}

uint32_t ft_rng_u32(struct ft_rng *r)
{
	if (r->left == 0) {
		uint32_t counter[4] = { (uint32_t)r->block, (uint32_t)(r->block >> 32), 0, 0 };
		uint32_t key[2] = { (uint32_t)r->key, (uint32_t)(r->key >> 32) };
		ft_philox(r->out, counter, key);
		r->block++;
		r->left = 4;
	}
	return r->out[4 - r->left--];
}

static uint64_t next64(struct ft_rng *r)
{
	uint64_t low = ft_rng_u32(r);
	return (uint64_t)ft_rng_u32(r) << 32 | low;
}

double ft_rng_uniform(struct ft_rng *r)
{
	return (double)(next64(r) >> 11) * 0x1p-53;
}

double ft_rng_normal(struct ft_rng *r)
{
	/* Box-Muller; the second value is not kept, so that one call is one draw. */
	double u = 1.0 - ft_rng_uniform(r), v = ft_rng_uniform(r);
	return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

uint64_t ft_rng_below(struct ft_rng *r, uint64_t n)
{
	/* Lemire's method: the high word of a product, low words below the
	 * remainder rejected. */
	uint64_t least = -n % n;
	for (;;) {
		__uint128_t product = (__uint128_t)next64(r) * n;
		if ((uint64_t)product >= least)
			return (uint64_t)(product >> 64);
	}
}

void ft_rng_shuffle(struct ft_rng *r, uint32_t *a, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)ft_rng_below(r, i);
		uint32_t t = a[i - 1];
		a[i - 1] = a[j];
		a[j] = t;
	}
}
