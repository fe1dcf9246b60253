/* thread.h - parallel loops whose results do not depend on the thread count.
 *
 * Work is cut into items by shape alone, never by the number of threads, and
 * items do not share what they write. Then any number of threads gives the
 * same bytes. (Matrix products alone may follow the number of threads: where their
 * pieces end changes no element, lib/tensor/product.h.)
 */
#ifndef FT_THREAD_H
#define FT_THREAD_H

#include <stddef.h>

/* Threads to use from now on; n <= 0 means one per available core. */
void ft_threads_set(int n);
int ft_threads(void);

/* The calling thread's number inside a loop, 0 .. ft_threads()-1; for scratch. */
int ft_thread_id(void);

/* Work, in elementary operations, below which a loop is not worth waking
 * threads for. Who computes changes nothing in what is computed. */
#define FT_WORK_MIN 1e6
/* What it costs, in such operations, to bring a number from memory. */
#define FT_WORK_READ 8

/* As ft_parallel(), for a loop of `work` elementary operations in all. */
void ft_parallel_work(size_t n, double work, void (*fn)(void *ctx, size_t i), void *ctx);

/* Calls fn(ctx, i) for each i in 0..n-1, in any order, on ft_threads() threads. */
void ft_parallel(size_t n, void (*fn)(void *ctx, size_t i), void *ctx);

#endif
