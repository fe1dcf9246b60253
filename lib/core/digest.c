/* digest.c - XXH3, 64 bits and as hex digits 128. The only file with xxhash.h. */
#include "ft/err.h"
#include "ft/digest.h"
#include "ft/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

uint64_t ft_hash(const void *p, size_t n, uint64_t seed)
{
	return XXH3_64bits_withSeed(p, n, seed);
}

struct ft_digest {
	XXH3_state_t *state;
};

struct ft_digest *ft_digest_new(void)
{
	struct ft_digest *d = ft_alloc(1, sizeof *d);
	if (d && !(d->state = XXH3_createState())) {
		ft_fail(FT_EFAIL, "out of memory for a digest");
		free(d);
		return NULL;
	}
	if (d)
		XXH3_128bits_reset(d->state);
	return d;
}

void ft_digest_add(struct ft_digest *d, const void *p, size_t n)
{
	XXH3_128bits_update(d->state, p, n);
}

void ft_digest_hex(const struct ft_digest *d, char hex[33])
{
	XXH128_hash_t h = XXH3_128bits_digest(d->state);
	snprintf(hex, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}

void ft_digest_free(struct ft_digest *d)
{
	if (d)
		XXH3_freeState(d->state);
	free(d);
}
