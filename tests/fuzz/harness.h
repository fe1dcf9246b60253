/* harness.h - what the fuzz harnesses share. A harness is LLVMFuzzerTestOneInput(),
 * linked with libFuzzer by tests/fuzz/run, and with replay.c for `make check`. */
#ifndef FT_TESTS_HARNESS_H
#define FT_TESTS_HARNESS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Called with each input; what must not be, aborts. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert(), and never compiled out. */
#define must(condition)                                                                  \
	do {                                                                             \
		if (!(condition)) {                                                      \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                         \
		}                                                                        \
	} while (0)

#endif
