/* rng.h - counter-based random numbers.
 *
 * A number is a pure function of (key, counter), so dropout, shuffles and
 * initial weights do not depend on the order in which they are computed.
 * The generator is Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As
 * Easy as 1, 2, 3", SC 2011).
 */
#ifndef FT_RNG_H
#define FT_RNG_H

#include <stddef.h>
#include <stdint.h>

/* One Philox4x32-10 block. */
void ft_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* Mixes two 64-bit words into one; for deriving keys from (seed, site, …). */
uint64_t ft_mix(uint64_t a, uint64_t b);

/* A sequential view of one key's stream. */
struct ft_rng {
	uint64_t key, block;
	uint32_t out[4];
	unsigned left;
};
void ft_rng_init(struct ft_rng *r, uint64_t seed, uint64_t stream);
uint32_t ft_rng_u32(struct ft_rng *r);
double ft_rng_uniform(struct ft_rng *r);              /* [0, 1), 53 bits */
double ft_rng_normal(struct ft_rng *r);               /* mean 0, deviation 1 */
uint64_t ft_rng_below(struct ft_rng *r, uint64_t n);  /* unbiased, 0 .. n-1; n > 0 */
void ft_rng_shuffle(struct ft_rng *r, uint32_t *a, size_t n); /* Fisher-Yates */

#endif
