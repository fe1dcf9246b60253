/* mem.h - checked allocation, a growable buffer, and arenas.
 *
 * Every size that comes from a file goes through ft_mul()/ft_add() before
 * memory is asked for. All functions that allocate set "out of memory" on
 * failure (err.h).
 */
#ifndef FT_MEM_H
#define FT_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False when the result does not fit: `if (!ft_mul(n, size, &bytes)) …`. */
static inline bool ft_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool ft_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }

/* `count` objects of `size` bytes, zeroed; NULL when out of memory. Never
 * NULL for a count of 0. Freed with free(). */
void *ft_alloc(size_t count, size_t size);

/* As ft_alloc, for large memory that will be used whole: asks the system for
 * large pages, which cost a matrix product fewer address translations. (In an
 * embedding table's gradient, of which few rows are used, they would make the
 * unused rows resident.) */
void *ft_alloc_whole(size_t count, size_t size);
void ft_advise_whole(void *p, size_t bytes); /* the same for memory at hand */
/* Bytes that the system gives memory out in; of such memory, `whole`. */
size_t ft_page(bool whole);
/* Bytes that are resident of `whole` such bytes of which the first `touched` were written: whole pages. */
size_t ft_resident(size_t touched, size_t whole);

/* Grows *ptr (count *cap, elements of `size` bytes) so that at least `need`
 * fit, doubling. 0, or FT_EFAIL with *ptr unchanged. */
int ft_grow(void *ptr, size_t *cap, size_t need, size_t size);

/* Bytes of this process that are resident now, and the most that ever were; 0: the system does not say. */
size_t ft_memory_now(void);
size_t ft_memory_peak(void);

/* A copy of `s`, NUL-terminated; NULL when out of memory. */
char *ft_strdup(const char *s);
char *ft_strndup(const char *s, size_t n);
/* A printed string, from malloc; NULL when out of memory. */
char *ft_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- buffer: bytes that grow. {0} is a valid empty one. ---- */
struct ft_buf {
	unsigned char *data;
	size_t len, cap;
};
int ft_buf_reserve(struct ft_buf *b, size_t more);
int ft_buf_append(struct ft_buf *b, const void *p, size_t n);
int ft_buf_printf(struct ft_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ft_buf_free(struct ft_buf *b); /* leaves {0} */

/* ---- arena: allocations that end together. {0} is a valid empty one.
 * Blocks are kept over a reset, so a steady state allocates nothing. Memory
 * is 64-byte aligned and NOT zeroed. ---- */
struct ft_arena_block;
struct ft_arena {
	struct ft_arena_block *first, *now;
	size_t used, peak; /* bytes handed out since the reset; the most ever */
};
void *ft_arena_get(struct ft_arena *a, size_t bytes); /* NULL: out of memory */
size_t ft_arena_resident(const struct ft_arena *a); /* bytes of its pages, if all that was handed out was written */
void ft_arena_reset(struct ft_arena *a);
void ft_arena_free(struct ft_arena *a); /* leaves {0} */

#endif
