/* decode.c - the rate at which products of few rows read their weights, as in generating
 * token by token, beside the rate at which this machine reads at all.
 *
 *	decode [-f] [-j THREADS] [-s SECONDS] [-w WIDTH] [-b MIB] [-t TYPE]
 *	decode [-j THREADS] [-s SECONDS] -r FILE
 *
 * A matrix of MIB in each type weights are stored in (or but that TYPE), its rows WIDTH long, is
 * multiplied by 1, 4 and 8 rows; the plain loop that reads it takes turns with that. -f: weights
 * as they are in a mapped file, in small pages. One line of JSON on stdout: the best of each in GB
 * of stored weights a second, and "share", the median of what a product reached of the rate at
 * which the loop read the same memory just before: a machine's memory differs from place to place,
 * and its rate from moment to moment. -r: how fast the loop reads a file that is in memory. */
#include "clock.h"
#include "ft/err.h"
#include "ft/kernels.h"
#include "ft/mem.h"
#include "ft/tensor.h"
#include "ft/thread.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS_MAX 8
#define TURNS 4096 /* at most so many are kept */

struct weights {
	enum ft_dtype type;
	size_t bytes;
	int64_t rows, cols;
	bool file;
	unsigned char *data;
	float *x, *y;
};

/* Memory as that of a mapped file; NULL with a message. */
static void *map_file(size_t bytes)
{
	int fd = memfd_create("weights", 0);
	void *p = fd < 0 || ftruncate(fd, (off_t)bytes) < 0 ? MAP_FAILED
	                                                    : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (p != MAP_FAILED)
		return p;
	ft_fail_errno("mapping %zu bytes", bytes);
	return NULL;
}

/* Every row is the same numbers. */
static int make_weights(struct weights *w, enum ft_dtype type, int64_t cols, size_t bytes, bool file)
{
	size_t row;
	*w = (struct weights){ .type = type, .cols = cols };
	if (!ft_dtype_bytes(type, (size_t)cols, &row))
		return ft_fail(FT_EUSAGE, "a row of %lld is not whole blocks", (long long)cols);
	w->rows = (int64_t)(bytes / row);
	w->bytes = row * (size_t)w->rows;
	w->file = file;
	w->data = file ? map_file(w->bytes) : ft_alloc_whole(w->bytes, 1);
	w->x = ft_alloc(ROWS_MAX * (size_t)cols, sizeof *w->x);
	w->y = ft_alloc(ROWS_MAX * (size_t)w->rows, sizeof *w->y);
	if (!w->data || !w->x || !w->y)
		return FT_EFAIL;
	for (int64_t i = 0; i < ROWS_MAX * cols; i++)
		w->x[i] = (float)(i % 17) / 17 - 0.5f;
	int rc = ft_narrow(w->data, w->x, type, (size_t)cols);
	for (int64_t r = 1; r < w->rows; r++)
		memcpy(w->data + (size_t)r * row, w->data, row);
	return rc;
}

static void free_weights(struct weights *w)
{
	if (w->file && w->data)
		munmap(w->data, w->bytes);
	else
		free(w->data);
	free(w->x);
	free(w->y);
}

/* A thread reads one piece from end to end, which is what a processor is fastest at. */
#ifdef __x86_64__
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static void read_piece(void *ctx, size_t i)
{
	typedef uint64_t vector __attribute__((vector_size(64)));
	const struct weights *w = ctx;
	size_t pieces = (size_t)ft_threads(), from = w->bytes / pieces * i;
	vector sum[4] = { { 0 } };
	for (size_t j = 0; j + sizeof sum <= w->bytes / pieces; j += sizeof sum)
		for (int k = 0; k < 4; k++) {
			vector v;
			memcpy(&v, w->data + from + j + k * sizeof v, sizeof v);
			sum[k] ^= v;
		}
	sum[0] ^= sum[1] ^ sum[2] ^ sum[3];
	*(volatile uint64_t *)&(uint64_t){ 0 } = sum[0][0];
}

static double time_read(struct weights *w)
{
	double at = now();
	ft_parallel((size_t)ft_threads(), read_piece, w);
	return now() - at;
}

/* A file that was read before, as often as there is time for. */
static int run_file(const char *path, double seconds)
{
	struct weights w = { 0 };
	struct stat st;
	double best = INFINITY, end = now() + seconds;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return ft_fail_errno("%s", path);
	w.bytes = (size_t)st.st_size;
	w.data = mmap(NULL, w.bytes, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (w.data == MAP_FAILED)
		return ft_fail_errno("%s", path);
	for (int i = 0; i < 3 || now() < end; i++)
		best = fmin(best, time_read(&w));
	munmap(w.data, w.bytes);
	printf("{\"what\":\"decode\",\"threads\":%d,\"read\":%.2f}\n", ft_threads(), 1e-9 * (double)w.bytes / best);
	return FT_OK;
}

static double time_product(const struct weights *w, int64_t m)
{
	double at = now();
	ft_gemm(&(struct ft_gemm){ .tb = true, .m = m, .n = w->rows, .k = w->cols, .a = w->x, .lda = w->cols, .b = w->data,
	                           .b_type = w->type, .ldb = w->cols, .c = w->y, .ldc = w->rows, .by_blocks = true });
	return now() - at;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The members of the type in the line; *reading is the best rate of all types so far. */
static int run_type(enum ft_dtype type, int64_t cols, size_t bytes, double seconds, bool file,
                    double *reading)
{
	static const int rows[] = { 1, 4, ROWS_MAX };
	static double share[3][TURNS];
	struct weights w;
	double best[3] = { INFINITY, INFINITY, INFINITY }, read = INFINITY;
	int rc = make_weights(&w, type, cols, bytes, file), n = 0;
	double end = now() + seconds;
	for (; rc == FT_OK && n < TURNS && (n < 3 || now() < end); n++) {
		double plain = time_read(&w);
		read = fmin(read, plain);
		for (int k = 0; k < 3; k++) {
			double took = time_product(&w, rows[k]);
			best[k] = fmin(best[k], took);
			share[k][n] = plain / took;
		}
	}
	for (int k = 0; rc == FT_OK && k < 3; k++) {
		qsort(share[k], (size_t)n, sizeof **share, compare);
		printf(",\"%s.%d\":%.2f,\"%s.%d.share\":%.3f", ft_dtype_name(type), rows[k], 1e-9 * (double)w.bytes / best[k],
		       ft_dtype_name(type), rows[k], share[k][n / 2]);
	}
	*reading = fmax(*reading, 1e-9 * (double)w.bytes / read);
	free_weights(&w);
	return rc;
}

static int run_types(const char *only, int64_t cols, size_t bytes, double seconds, bool file)
{
	static const enum ft_dtype types[] = { FT_F32, FT_F16, FT_BF16, FT_Q8_0, FT_Q4_0 };
	const size_t n = sizeof types / sizeof *types;
	double reading = 0;
	int rc = FT_OK;
	printf("{\"what\":\"decode\",\"threads\":%d,\"width\":%lld", ft_threads(), (long long)cols);
	for (size_t i = 0; rc == FT_OK && i < n; i++)
		if (!only || strcmp(only, ft_dtype_name(types[i])) == 0)
			rc = run_type(types[i], cols, bytes, only ? seconds : seconds / (double)n, file, &reading);
	printf(",\"read\":%.2f}\n", reading);
	return rc;
}

int main(int argc, char **argv)
{
	int64_t width = 2048, mib = 256;
	double seconds = 5;
	bool file = false;
	const char *only = NULL, *read = NULL;
	int c, rc;
	while ((c = getopt(argc, argv, "fj:s:w:b:t:r:")) != -1) {
		switch (c) {
		case 'f': file = true; break;
		case 'j': ft_threads_set(atoi(optarg)); break;
		case 's': seconds = atof(optarg); break;
		case 'w': width = atoll(optarg); break;
		case 'b': mib = atoll(optarg); break;
		case 't': only = optarg; break;
		case 'r': read = optarg; break;
		default: return 2;
		}
	}
	if (optind != argc || width < 1 || mib < 1 || mib > 1 << 20) {
		fprintf(stderr, "usage: decode [-f] [-j THREADS] [-s SECONDS] [-w WIDTH] [-b MIB] [-t TYPE]\n"
		                "       decode [-j THREADS] [-s SECONDS] -r FILE\n");
		return 2;
	}
	rc = read ? run_file(read, seconds) : run_types(only, width, (size_t)mib << 20, seconds, file);
	if (rc < 0) {
		fprintf(stderr, "decode: %s\n", ft_message());
		return -rc;
	}
	return 0;
}
