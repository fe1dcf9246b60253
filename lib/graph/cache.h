/* cache.h - what attention does with a cache. */
#ifndef FT_GRAPH_CACHE_H
#define FT_GRAPH_CACHE_H

#include "ft/cache.h"

/* Tokens of the row's past that are in the cache: with those before its first that nobody counts, of which
 * there are `lead` in rows that begin from now on. */
int64_t cache_past(const struct ft_cache *c, size_t r);
void cache_lead(struct ft_cache *c, int64_t lead);
/* Puts the keys and values of row r of the batch, [tokens, width] with `ld` floats between
 * tokens, behind the row's past in a layer. */
int cache_keep(struct ft_cache *c, size_t layer, const struct ft_batch *b, size_t r, const float *k, const float *v,
               int64_t ld, int64_t width);
/* All keys and values of the row: [past + new tokens, width]. */
void cache_get(const struct ft_cache *c, size_t layer, size_t r, const float **k, const float **v);

#endif
