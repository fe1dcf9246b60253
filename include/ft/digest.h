/* digest.h - XXH3-128, as 32 hex digits: what names files and streams.
 *
 * It tells equal from different; it is no defence against someone who makes a
 * file to collide.
 */
#ifndef FT_DIGEST_H
#define FT_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 of n bytes: for choosing by content (splits, folds). */
uint64_t ft_hash(const void *p, size_t n, uint64_t seed);

/* The 128-bit digest of bytes that come in parts. */
struct ft_digest;
struct ft_digest *ft_digest_new(void);
void ft_digest_add(struct ft_digest *d, const void *p, size_t n);
void ft_digest_hex(const struct ft_digest *d, char hex[33]);
void ft_digest_free(struct ft_digest *d);

#endif
