/* cache.h - keys and values that attention has made of the tokens so far, so that the
 * next ones cost no more than themselves.
 *
 *	ft_graph_cache(g, c);
 *	ft_model_eval(m, g, &prompts, &out);   out: what follows each row
 *	ft_cache_add(c, &prompts);
 *	… choose a token for each row; a batch of rows of one token each …
 *	ft_model_eval(m, g, &next, &out);
 *	ft_cache_add(c, &next);
 *
 * With a cache, row r of a batch is the continuation of what row r has had before:
 * its places count on, and its tokens see the earlier ones. Families know nothing of
 * it: ft_attention() keeps and uses keys and values, ft_embed() and ft_rope() count.
 * Few rows are multiplied with weights in blocks in another way (by_blocks, kernels.h),
 * which is as precise and rounds differently.
 */
#ifndef FT_CACHE_H
#define FT_CACHE_H

#include "ft/graph.h"

struct ft_cache;
struct ft_cache *ft_cache_new(void);     /* NULL: out of memory */
void ft_cache_free(struct ft_cache *c);  /* NULL is fine */

/* Passes of g that begin from now on, in FT_INFER, go on from c; NULL: from nothing. */
void ft_graph_cache(struct ft_graph *g, struct ft_cache *c);

/* After a pass that succeeded: the tokens of the batch are now of the past. Without
 * this the next pass writes over them. */
int ft_cache_add(struct ft_cache *c, const struct ft_batch *b);
/* Tokens of row r that are of the past. */
int64_t ft_cache_length(const struct ft_cache *c, size_t r);
/* Takes back what row r has had from its token `length` on. */
void ft_cache_cut(struct ft_cache *c, size_t r, int64_t length);
/* Row i becomes what row index[i] was, i < n: rows that are done leave, beams divide.
 * FT_EFAIL: out of memory, and nothing has changed. */
int ft_cache_select(struct ft_cache *c, const int32_t *index, size_t n);
/* Bytes in use. */
size_t ft_cache_bytes(const struct ft_cache *c);

#endif
