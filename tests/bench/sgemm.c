/* sgemm.c - the rate at which this machine multiplies matrices of a transformer's
 * shapes: what a training step can be measured against.
 *
 *	sgemm [-j THREADS] [-s SECONDS] [-t TOKENS] [-w WIDTH] [-i INNER]
 *
 * Each product of a layer, forward and backward, is timed alone, with operands
 * that nothing else uses: as the library does it (ft_gemm), and as one call of BLAS
 * on all threads. The best time of each counts. One line of JSON on stdout. */
#include "clock.h"
#include "ft/err.h"
#include "ft/kernels.h"
#include "ft/mem.h"
#include "ft/tensor.h"
#include "ft/thread.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct product {
	const char *name;
	bool ta, tb;
	int64_t m, n, k;
	int times; /* in a layer */
};

static void run_ours(const struct product *p, const float *a, const float *b, float *c)
{
	ft_gemm(&(struct ft_gemm){ .ta = p->ta, .tb = p->tb, .m = p->m, .n = p->n, .k = p->k, .a = a,
	                           .lda = p->ta ? p->m : p->k, .b = b, .ldb = p->tb ? p->k : p->n, .c = c,
	                           .ldc = p->n });
}

static void run_blas(const struct product *p, const float *a, const float *b, float *c)
{
	omp_set_num_threads(ft_threads()); /* which the library has set to 1, for OpenBLAS's own good */
	cblas_sgemm(CblasRowMajor, p->ta ? CblasTrans : CblasNoTrans, p->tb ? CblasTrans : CblasNoTrans, (int)p->m,
	            (int)p->n, (int)p->k, 1, a, (int)(p->ta ? p->m : p->k), b, (int)(p->tb ? p->k : p->n), 0, c,
	            (int)p->n);
}

/* The shortest of the calls that fit into `seconds`, three at least. */
static double best_time(void (*run)(const struct product *, const float *, const float *, float *),
                        const struct product *p, const float *a, const float *b, float *c, double seconds)
{
	double best = INFINITY, end = now() + seconds;
	for (int i = 0; i < 3 || now() < end; i++) {
		double at = now();
		run(p, a, b, c);
		best = fmin(best, now() - at);
	}
	return best;
}

static float *new_matrix(int64_t n)
{
	float *x = ft_alloc((size_t)n, sizeof *x);
	for (int64_t i = 0; x && i < n; i++)
		x[i] = (float)(i % 17) / 17 - 0.5f;
	return x;
}

/* Times of one product both ways: [0] ours, [1] BLAS. */
static int time_product(const struct product *p, double seconds, double times[2])
{
	float *a = new_matrix(p->m * p->k), *b = new_matrix(p->k * p->n), *c = new_matrix(p->m * p->n);
	int rc = a && b && c ? FT_OK : FT_EFAIL;
	if (rc == FT_OK) {
		times[0] = best_time(run_ours, p, a, b, c, seconds);
		times[1] = best_time(run_blas, p, a, b, c, seconds);
	}
	free(a);
	free(b);
	free(c);
	return rc;
}

static int run_all(const struct product *p, size_t n, double seconds)
{
	double best = 0, sum_time = 0, sum_ours = 0, sum_work = 0;
	printf("{\"what\":\"sgemm\",\"threads\":%d,\"products\":{", ft_threads());
	for (size_t i = 0; i < n; i++) {
		double t[2], work = 2e-9 * (double)p[i].m * (double)p[i].n * (double)p[i].k;
		if (time_product(&p[i], seconds / 2 / (double)n, t) < 0)
			return FT_EFAIL;
		printf("%s\"%s\":{\"m\":%lld,\"n\":%lld,\"k\":%lld,\"ft\":%.2f,\"blas\":%.2f}", i ? "," : "", p[i].name,
		       (long long)p[i].m, (long long)p[i].n, (long long)p[i].k, work / t[0], work / t[1]);
		double least = fmin(t[0], t[1]);
		best = fmax(best, work / least);
		sum_time += p[i].times * least;
		sum_ours += p[i].times * t[0];
		sum_work += p[i].times * work;
	}
	printf("},\"best\":%.3f,\"mixed\":%.3f,\"mixed_ft\":%.3f}\n", best, sum_work / sum_time, sum_work / sum_ours);
	return FT_OK;
}

int main(int argc, char **argv)
{
	int64_t t = 1024, w = 768, i = 3072;
	double seconds = 6;
	int threads = 0, c;
	while ((c = getopt(argc, argv, "j:s:t:w:i:")) != -1) {
		switch (c) {
		case 'j': threads = atoi(optarg); break;
		case 's': seconds = atof(optarg); break;
		case 't': t = atoll(optarg); break;
		case 'w': w = atoll(optarg); break;
		case 'i': i = atoll(optarg); break;
		default: return 2;
		}
	}
	if (optind != argc || t < 1 || w < 1 || i < 1) {
		fprintf(stderr, "usage: sgemm [-j THREADS] [-s SECONDS] [-t TOKENS] [-w WIDTH] [-i INNER]\n");
		return 2;
	}
	ft_threads_set(threads);
	/* y = x w^T, dw = dy^T x, dx = dy w, for q, k, v and o, for up, for down. */
	const struct product products[] = {
		{ "attn y", false, true, t, w, w, 4 },  { "attn dw", true, false, w, w, t, 4 },
		{ "attn dx", false, false, t, w, w, 4 }, { "up y", false, true, t, i, w, 1 },
		{ "up dw", true, false, i, w, t, 1 },    { "up dx", false, false, t, w, i, 1 },
		{ "down y", false, true, t, w, i, 1 },   { "down dw", true, false, w, i, t, 1 },
		{ "down dx", false, false, t, i, w, 1 },
	};
	int rc = run_all(products, sizeof products / sizeof *products, seconds);
	if (rc < 0)
		fprintf(stderr, "sgemm: %s\n", ft_message());
	return -rc;
}
