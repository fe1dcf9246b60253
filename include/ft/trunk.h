/* trunk.h - the lowest layers of a network that does not train there: computed once, kept, and
 * started from when the same text comes again.
 *
 * What leaves the trunk for a row of a batch depends on that row alone, to the bit (kernels.h), so that what is
 * kept of a text stands for it in any other batch. Nothing may be random in it: while a pass is in the
 * trunk, no dropout is applied, whether anything is kept or not.
 */
#ifndef FT_TRUNK_H
#define FT_TRUNK_H

#include "ft/graph.h"
#include "ft/stream.h"

struct ft_trunk;
/* The lowest `layers` layers (ft_layer()'s i), at least one. `keep`: in memory, or in a file that is made at
 * `path` and goes with this process; `path` NULL: memory. NULL on failure. */
struct ft_trunk *ft_trunk_new(int layers, bool keep, const char *path);
void ft_trunk_free(struct ft_trunk *t); /* NULL is fine */

/* The pass that has begun is over b. Its layers of the trunk are not computed when all rows of b are kept;
 * else they are, and are kept from now on. */
int ft_trunk_begin(struct ft_trunk *t, struct ft_graph *g, const struct ft_batch *b);

struct ft_trunk_use {
	size_t rows;   /* texts that are kept */
	double bytes;
	int64_t computed, reused; /* passes */
};
struct ft_trunk_use ft_trunk_use(const struct ft_trunk *t);

#endif
