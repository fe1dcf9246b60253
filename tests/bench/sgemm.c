/* sgemm.c - the rate at which this machine multiplies matrices of a transformer's
 * shapes: what a training step can be measured against.
 *
 *	sgemm [-j THREADS] [-s SECONDS] [-t TOKENS] [-w WIDTH] [-i INNER]
 *
 * Each product of a layer, forward and backward, is timed alone, with operands
 * that nothing else uses (products.h). The best time of each counts. One line of JSON on stdout. */
#include "products.h"

#include <stdio.h>
#include <unistd.h>

static int run_all(const struct product *p, size_t n, double seconds)
{
	double best = 0, sum_time = 0, sum_ours = 0, sum_work = 0;
	printf("{\"what\":\"sgemm\",\"threads\":%d,\"products\":{", ft_threads());
	for (size_t i = 0; i < n; i++) {
		double t[2], work = product_work(&p[i]);
		if (time_product(&p[i], seconds / 2 / (double)n, 3, t) < 0)
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
	struct product products[LAYER_PRODUCTS];
	layer_products(products, t, w, i);
	int rc = run_all(products, LAYER_PRODUCTS, seconds);
	if (rc < 0)
		fprintf(stderr, "sgemm: %s\n", ft_message());
	return -rc;
}
