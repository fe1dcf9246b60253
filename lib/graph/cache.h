/* cache.h - what attention does with a cache. */
#ifndef FT_GRAPH_CACHE_H
#define FT_GRAPH_CACHE_H

#include "ft/cache.h"

/* Tokens of the row's past that are in the cache: with those before its first that nobody counts, of which
 * there are `lead` in rows that begin from now on. */
int64_t cache_past(const struct ft_cache *c, size_t r);
void cache_lead(struct ft_cache *c, int64_t lead);
/* Puts n keys and values of `heads` times `size` numbers, with `ld` floats between them, behind the past of row r of
 * `rows` in a layer. */
int cache_keep(struct ft_cache *c, size_t layer, size_t rows, size_t r, const float *k, const float *v, int64_t n,
               int64_t ld, int64_t heads, int64_t size);
/* All keys and values of one of the row's heads: [past + new ones, size]. */
void cache_get(const struct ft_cache *c, size_t layer, size_t r, int64_t head, const float **k, const float **v);

#endif
