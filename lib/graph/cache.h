/* cache.h - what attention does with a cache. */
#ifndef FT_GRAPH_CACHE_H
#define FT_GRAPH_CACHE_H

#include "ft/cache.h"

/* Puts the keys and values of row r of the batch, [tokens, width] with `ld` floats between
 * tokens, behind the row's past in a layer. */
int cache_keep(struct ft_cache *c, size_t layer, const struct ft_batch *b, size_t r, const float *k, const float *v,
               int64_t ld, int64_t width);
/* All keys and values of the row: [past + new tokens, width]. */
void cache_get(const struct ft_cache *c, size_t layer, size_t r, const float **k, const float **v);

#endif
