/* decode.c - the rate at which products of few rows read their weights, as in generating
 * token by token, beside the rate at which this machine reads at all.
 *
 *	decode [-f] [-j THREADS] [-s SECONDS] [-w WIDTH] [-b MIB]
 *
 * -f: weights as they are in a mapped file, in small pages. A matrix of MIB in each type weights are stored in, its rows WIDTH long, is multiplied
 * by 1, 4 and 8 rows; the plain loop that reads it takes turns with that. The best time of
 * each counts. One line of JSON on stdout, in GB of stored weights a second. */
#include "clock.h"
#include "ft/err.h"
#include "ft/kernels.h"
#include "ft/mem.h"
#include "ft/tensor.h"
#include "ft/thread.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROWS_MAX 8

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

static double time_product(const struct weights *w, int64_t m)
{
	double at = now();
	ft_gemm(&(struct ft_gemm){ .tb = true, .m = m, .n = w->rows, .k = w->cols, .a = w->x, .lda = w->cols, .b = w->data,
	                           .b_type = w->type, .ldb = w->cols, .c = w->y, .ldc = w->rows });
	return now() - at;
}

/* The members of the type in the line; *reading is the best rate of all types so far. */
static int run_type(enum ft_dtype type, int64_t cols, size_t bytes, double seconds, bool file,
                    double *reading)
{
	static const int rows[] = { 1, 4, ROWS_MAX };
	struct weights w;
	double best[3] = { INFINITY, INFINITY, INFINITY }, read = INFINITY;
	int rc = make_weights(&w, type, cols, bytes, file);
	double end = now() + seconds;
	for (int i = 0; rc == FT_OK && (i < 3 || now() < end); i++) {
		read = fmin(read, time_read(&w));
		for (int k = 0; k < 3; k++)
			best[k] = fmin(best[k], time_product(&w, rows[k]));
	}
	for (int k = 0; rc == FT_OK && k < 3; k++)
		printf(",\"%s.%d\":%.2f", ft_dtype_name(type), rows[k], 1e-9 * (double)w.bytes / best[k]);
	*reading = fmax(*reading, 1e-9 * (double)w.bytes / read);
	free_weights(&w);
	return rc;
}

int main(int argc, char **argv)
{
	static const enum ft_dtype types[] = { FT_F32, FT_F16, FT_BF16, FT_Q8_0, FT_Q4_0 };
	int64_t width = 2048, mib = 256;
	double seconds = 5, reading = 0;
	bool file = false;
	int c, rc = FT_OK;
	while ((c = getopt(argc, argv, "fj:s:w:b:")) != -1) {
		switch (c) {
		case 'f': file = true; break;
		case 'j': ft_threads_set(atoi(optarg)); break;
		case 's': seconds = atof(optarg); break;
		case 'w': width = atoll(optarg); break;
		case 'b': mib = atoll(optarg); break;
		default: return 2;
		}
	}
	if (optind != argc || width < 1 || mib < 1 || mib > 1 << 20) {
		fprintf(stderr, "usage: decode [-f] [-j THREADS] [-s SECONDS] [-w WIDTH] [-b MIB]\n");
		return 2;
	}
	printf("{\"what\":\"decode\",\"threads\":%d,\"width\":%lld", ft_threads(), (long long)width);
	for (size_t i = 0; rc == FT_OK && i < sizeof types / sizeof *types; i++)
		rc = run_type(types[i], width, (size_t)mib << 20, seconds / 5, file, &reading);
	if (rc < 0) {
		fprintf(stderr, "decode: %s\n", ft_message());
		return -rc;
	}
	printf(",\"read\":%.2f}\n", reading);
	return 0;
}
