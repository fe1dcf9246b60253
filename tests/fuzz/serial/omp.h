/* omp.h - OpenMP for a compiler that has none, such as Debian's clang without
 * libomp: its pragmas are ignored, so there is one thread. */
#ifndef OMP_H
#define OMP_H

static inline int omp_get_max_threads(void) { return 1; }
static inline void omp_set_num_threads(int n) { (void)n; }
static inline int omp_get_thread_num(void) { return 0; }

#endif
