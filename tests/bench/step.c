/* step.c - how long a step of training takes, and what it spends it on.
 *
 *	step [-j THREADS] [-n STEPS] [-r ROWS] [-l LENGTH] [-b BATCHES] [-p] [-t still|keep] [-e STEPS] MODEL
 *
 * A step is what ft-train does with a batch: forward, backward, the gradients'
 * norm, clipping and AdamW. The batches are those of the stream BATCHES, or one of
 * ROWS rows of LENGTH random tokens. The first step is not timed: it is the one that
 * asks for memory. One line of JSON on stdout.
 *
 * With -p the products of one of the model's layers are timed before and after each step, and the step's rate is
 * held against theirs: a machine whose clock changes from second to second is the same for both.
 *
 * With -t the layers below all that trains are a trunk, which is kept or not (ft/trunk.h). An epoch has the steps that
 * -e says (1), each with tokens of its own, which the next epoch brings again. */
#include "products.h"

#include "ft/json.h"
#include "ft/optim.h"
#include "ft/rng.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum phase { FORWARD, BACKWARD, NORM, UPDATE, PHASES };
static const char *const phase_names[PHASES] = { "forward", "backward", "norm", "update" };

struct bench {
	struct ft_model *m;
	struct ft_graph *g;
	struct ft_optim *optim;
	struct ft_reader *data; /* NULL: the synthetic batch */
	struct ft_batch batch;
	int64_t steps, epoch, vocabulary;
	struct ft_trunk *trunk; /* or NULL */
	struct product products[LAYER_PRODUCTS]; /* with -p; else of no tokens */
	/* results */
	double *seconds;        /* [steps] */
	double *shares;         /* [steps], with -p: of the rate of the products around it */
	double phase[PHASES];   /* of the fastest step */
	double total, tokens;   /* over all timed steps */
	double first;           /* seconds of the one that is not */
	double macs, macs_done; /* of the last step: needed, and computed */
	double loss;
};

/* ---- batches ---- */

/* Labels of a causal language model: of each token the next in its row. */
static void label_tokens(struct ft_batch *b, int32_t *labels)
{
	for (size_t i = 0; i + 1 < b->tokens; i++)
		labels[i] = b->ids[i + 1];
	for (size_t r = 0; r < b->rows; r++)
		labels[b->offsets[r + 1] - 1] = FT_IGNORE;
}

static int make_batch(struct ft_batch *b, bool by_token, int64_t rows, int64_t length)
{
	int64_t n = rows * length;
	int32_t *ids = ft_alloc((size_t)n, sizeof *ids), *offsets = ft_alloc((size_t)rows + 1, sizeof *offsets);
	int32_t *labels = ft_alloc((size_t)n, sizeof *labels);
	*b = (struct ft_batch){ .ids = ids, .offsets = offsets, .labels = labels, .tokens = (size_t)n,
	                        .rows = (size_t)rows, .nlabels = (size_t)(by_token ? n : rows) };
	if (!ids || !offsets || !labels)
		return FT_EFAIL;
	for (int64_t i = 0; i < rows; i++) {
		offsets[i + 1] = (int32_t)((i + 1) * length);
		labels[i] = (int32_t)(i % 2);
	}
	return FT_OK;
}

/* Tokens at random: those of the PLACE-th batch of an epoch. */
static void fill_batch(struct bench *b, int64_t place)
{
	int32_t *ids = (int32_t *)b->batch.ids;
	struct ft_rng r;
	ft_rng_init(&r, 1, (uint64_t)place);
	for (size_t i = 0; i < b->batch.tokens; i++)
		ids[i] = (int32_t)ft_rng_below(&r, (uint64_t)b->vocabulary);
	if (b->batch.nlabels == b->batch.tokens)
		label_tokens(&b->batch, (int32_t *)b->batch.labels);
}

static int next_batch(struct bench *b, int64_t step)
{
	if (!b->data)
		return fill_batch(b, step % b->epoch), FT_OK;
	int rc = ft_batch_read(b->data, &b->batch);
	return rc ? (rc < 0 ? rc : FT_OK)
	          : ft_fail(FT_EUSAGE, "%s: fewer batches than steps", ft_reader_name(b->data));
}

/* ---- counting ---- */

/* How many tokens or rows of the batch a weight matrix meets: those of the encoder each
 * token, the table that decodes the places with a label, those above each row. */
static double meets(const struct ft_param *p, bool lm, const struct ft_batch *b)
{
	size_t labels = 0;
	if (strncmp(p->name, "layer.", 6) == 0)
		return (double)b->tokens;
	if (!lm)
		return p->layer < 0 ? 0 : (double)b->rows;
	for (size_t i = 0; i < b->nlabels; i++)
		labels += b->labels[i] != FT_IGNORE;
	return strcmp(p->name, "embed.word.weight") == 0 ? (double)labels : 0;
}

/* Multiply-adds that a step needs when everything trains: each weight matrix three times
 * for what it meets (forward, and both gradients); attention is two products forward and
 * four backward, of each token with those that it sees. */
static double needed_macs(struct ft_model *m, const struct ft_batch *b)
{
	double macs = 0, pairs = 0, width = 0;
	int64_t layers = 0;
	bool lm = ft_model_task(m) == FT_TASK_LM;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		if (p->rank != 2)
			continue;
		macs += 3.0 * meets(p, lm, b) * (double)p->t.rows * (double)p->t.cols;
		if (strstr(p->name, "attn.o.")) {
			layers++;
			width = (double)p->t.cols;
		}
	}
	for (size_t r = 0; r < b->rows; r++) {
		double n = b->offsets[r + 1] - b->offsets[r];
		pairs += lm ? n * (n + 1) / 2 : n * n;
	}
	return macs + 6 * pairs * width * (double)layers;
}

/* The largest the resident set has been, in bytes; 0 where /proc does not say. */
static double peak_memory(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[128];
	double kib = 0;
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "VmHWM: %lf", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

/* ---- the step ---- */
static int run_step(struct bench *b, int64_t step, double times[PHASES])
{
	struct ft_output out;
	struct ft_tensor *loss;
	double at = now();
	ft_graph_begin(b->g, FT_TRAIN, 1, (uint64_t)step);
	int rc = ft_model_forward(b->m, b->g, &b->batch, &out, &loss);
	times[FORWARD] = now() - at;
	at = now();
	rc = rc ? rc : ft_backward(b->g, loss);
	times[BACKWARD] = now() - at;
	if (rc < 0)
		return rc;
	at = now();
	double scale = 1 / out.weight, norm = ft_optim_norm(b->optim) * scale;
	times[NORM] = now() - at;
	at = now();
	ft_optim_step(b->optim, 5e-5, norm > 1 ? scale / (norm + 1e-6) : scale);
	times[UPDATE] = now() - at;
	b->loss = out.loss_sum / out.weight;
	b->macs = needed_macs(b->m, &b->batch);
	b->macs_done = ft_graph_macs(b->g);
	return isfinite(norm) ? FT_OK : ft_fail(FT_ECRITERION, "the gradient norm is %g", norm);
}

/* The rate of a layer's products now, each by the faster of the two ways; 0: not asked for. */
static double products_rate(const struct bench *b)
{
	double work = 0, seconds = 0, t[2];
	for (int k = 0; b->products[0].m && k < LAYER_PRODUCTS; k++) {
		if (time_product(&b->products[k], 0, 2, t) < 0)
			return 0;
		work += b->products[k].times * product_work(&b->products[k]);
		seconds += b->products[k].times * fmin(t[0], t[1]);
	}
	return work > 0 ? work / seconds : 0;
}

static int run_steps(struct bench *b)
{
	double best = INFINITY, times[PHASES], before, after = 0;
	for (int64_t i = -1; i < b->steps; i++) {
		int rc = next_batch(b, i + 1);
		double began = now();
		rc = rc ? rc : run_step(b, i + 1, times);
		if (rc < 0)
			return rc;
		double seconds = now() - began;
		before = after;
		after = products_rate(b);
		if (i < 0) {
			b->first = seconds;
			continue;
		}
		b->seconds[i] = seconds;
		b->shares[i] = 2e-9 * b->macs / seconds / ((before + after) / 2);
		b->total += b->seconds[i];
		b->tokens += (double)b->batch.tokens;
		if (b->seconds[i] < best) {
			best = b->seconds[i];
			memcpy(b->phase, times, sizeof times);
		}
	}
	return FT_OK;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print_shares(const struct bench *b)
{
	printf(",\"shares\":[");
	for (int64_t i = 0; i < b->steps; i++)
		printf("%s%.4f", i ? "," : "", b->shares[i]);
	qsort(b->shares, (size_t)b->steps, sizeof *b->shares, by_size);
	printf("],\"share\":%.4f", b->shares[b->steps / 2]);
}

static void print_result(const struct bench *b)
{
	double best = INFINITY;
	printf("{\"what\":\"step\",\"by\":\"ft\",\"threads\":%d,\"rows\":%zu,\"steps\":[", ft_threads(), b->batch.rows);
	for (int64_t i = 0; i < b->steps; i++) {
		printf("%s%.5f", i ? "," : "", b->seconds[i]);
		best = fmin(best, b->seconds[i]);
	}
	printf("],\"seconds\":%.5f,\"tokens\":%.0f,\"tokens_per_second\":%.2f", best, b->tokens, b->tokens / b->total);
	if (!b->data)
		printf(",\"macs\":%.0f,\"macs_done\":%.0f,\"gflops\":%.3f", b->macs, b->macs_done, 2e-9 * b->macs / best);
	if (b->products[0].m)
		print_shares(b);
	for (int i = 0; i < PHASES; i++)
		printf(",\"%s\":%.5f", phase_names[i], b->phase[i]);
	printf(",\"first\":%.5f,\"with_first\":%.5f", b->first, b->first + b->total);
	printf(",\"loss\":%.5f,\"peak_bytes\":%.0f}\n", b->loss, peak_memory());
}

/* ---- */
static int open_bench(struct bench *b, const char *model, const char *batches, int64_t rows, int64_t length)
{
	struct ft_optim_options o = { .name = "adamw", .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01 };
	b->m = ft_model_open(model, NULL, 0);
	b->g = b->m ? ft_graph_new() : NULL;
	b->optim = b->g ? ft_optim_new(b->m, &o) : NULL;
	b->seconds = ft_alloc((size_t)b->steps, sizeof *b->seconds);
	b->shares = ft_alloc((size_t)b->steps, sizeof *b->shares);
	if (!b->optim || !b->seconds || !b->shares)
		return ft_last_error();
	if (batches)
		return (b->data = ft_reader_open(batches, "batches")) ? FT_OK : ft_last_error();
	b->vocabulary = ft_json_int(json_object_get(ft_model_meta(b->m), "config"), "vocab_size", 1, NULL);
	return make_batch(&b->batch, ft_model_task(b->m) == FT_TASK_LM, rows, length);
}

static void close_bench(struct bench *b)
{
	if (!b->data) {
		free((void *)b->batch.ids);
		free((void *)b->batch.offsets);
		free((void *)b->batch.labels);
	}
	ft_reader_close(b->data);
	ft_optim_free(b->optim);
	ft_graph_free(b->g);
	ft_model_free(b->m);
	free(b->seconds);
	free(b->shares);
	ft_trunk_free(b->trunk);
}

static int make_trunk(struct bench *b, const char *how)
{
	b->trunk = ft_trunk_new(ft_model_still(b->m), strcmp(how, "keep") == 0, NULL);
	ft_model_trunk(b->m, b->trunk);
	return b->trunk ? FT_OK : FT_EFAIL;
}

/* The products of a layer of the model, for the tokens of the batch. */
static void take_products(struct bench *b)
{
	const json_t *config = json_object_get(ft_model_meta(b->m), "config");
	int64_t width = ft_json_int(config, "n_embd", ft_json_int(config, "hidden_size", 1, NULL), NULL);
	layer_products(b->products, (int64_t)b->batch.tokens, width, ft_json_int(config, "intermediate_size", 4 * width, NULL));
}

int main(int argc, char **argv)
{
	struct bench b = { .steps = 3, .epoch = 1 };
	const char *batches = NULL, *trunk = NULL;
	int64_t rows = 8, length = 128;
	int threads = 0, c;
	bool paired = false;
	while ((c = getopt(argc, argv, "j:n:r:l:b:pt:e:")) != -1) {
		switch (c) {
		case 'j': threads = atoi(optarg); break;
		case 'n': b.steps = atoll(optarg); break;
		case 'r': rows = atoll(optarg); break;
		case 'l': length = atoll(optarg); break;
		case 'b': batches = optarg; break;
		case 't': trunk = optarg; break;
		case 'e': b.epoch = atoll(optarg); break;
		case 'p': paired = true; break;
		default: return 2;
		}
	}
	if (optind + 1 != argc || (paired && batches) || b.steps < 1 || b.epoch < 1 || rows < 1 || length < 1) {
		fprintf(stderr, "usage: step [-j THREADS] [-n STEPS] [-r ROWS] [-l LENGTH] [-b BATCHES] [-p] [-t still|keep] [-e STEPS] "
		                "MODEL\n");
		return 2;
	}
	ft_threads_set(threads);
	int rc = open_bench(&b, argv[optind], batches, rows, length);
	if (rc == FT_OK && trunk)
		rc = make_trunk(&b, trunk);
	if (rc == FT_OK && paired)
		take_products(&b);
	rc = rc ? rc : run_steps(&b);
	if (rc == FT_OK)
		print_result(&b);
	else
		fprintf(stderr, "step: %s\n", ft_message());
	close_bench(&b);
	return -rc;
}
