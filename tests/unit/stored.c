/* stored.c - weights that stay in the type they are stored in give what widened ones give, to
 * the bit: looked up, multiplied forward and back, and as the table of a language model; but not while a text is
 * generated. */
#include "ft/cache.h"
#include "ft/rng.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>

#define WIDTH 64
#define INNER 96
#define VOCABULARY 64
#define TOKENS 11
static const int32_t ids[TOKENS] = { 0, 63, 7, 7, 12, 33, 1, 2, 40, 9, 63 };
static const uint8_t types[TOKENS] = { 0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0 };
static const int32_t offsets[] = { 0, 4, TOKENS }, labels[TOKENS] = { 3, 0, 63, 1, FT_IGNORE, 9, 9, 2, 60, 31, 5 };
static const struct ft_batch batch = { .ids = ids, .types = types, .offsets = offsets, .tokens = TOKENS, .rows = 2 };

enum { WORD, POSITION, TYPE, UP, DOWN, WEIGHTS };

struct weights {
	struct ft_tensor t[WEIGHTS];
	unsigned char *bytes[WEIGHTS];
};

/* The same numbers twice: as floats, and stored one byte off any alignment. */
static void make_weights(struct weights *wide, struct weights *stored, enum ft_dtype type)
{
	static const int64_t shape[WEIGHTS][2] = { { VOCABULARY, WIDTH }, { 8, WIDTH }, { 2, WIDTH }, { INNER, WIDTH },
	                                           { WIDTH, INNER } };
	struct ft_rng r;
	ft_rng_init(&r, 3, 1);
	for (int i = 0; i < WEIGHTS; i++) {
		size_t n = (size_t)(shape[i][0] * shape[i][1]), bytes = 0;
		float *x = malloc(n * sizeof *x);
		for (size_t k = 0; k < n; k++)
			x[k] = (float)ft_rng_normal(&r);
		ft_dtype_bytes(type, n, &bytes);
		unsigned char *b = malloc(bytes + 1);
		ft_narrow(b + 1, x, type, n);
		ft_widen(x, b + 1, type, n);
		wide->t[i] = (struct ft_tensor){ .data = x, .rows = shape[i][0], .cols = shape[i][1] };
		stored->t[i] = (struct ft_tensor){ .stored = b + 1, .dtype = type, .rows = shape[i][0], .cols = shape[i][1] };
		stored->bytes[i] = b;
	}
}

/* The loss of each token and the gradient of a bias behind the embeddings, which goes
 * through every weight. */
static void run(struct weights *w, float *loss, float *grad)
{
	static const struct ft_embed_options options = { .padding = -1, .scale = 3 };
	float shift[WIDTH] = { 0 }, identity[WIDTH * WIDTH] = { 0 };
	for (int i = 0; i < WIDTH; i++)
		identity[i * WIDTH + i] = 1;
	struct ft_tensor bias = { .data = shift, .grad = grad, .rows = 1, .cols = WIDTH, .needs_grad = true };
	struct ft_tensor same = { .data = identity, .rows = WIDTH, .cols = WIDTH };
	struct ft_graph *g = ft_graph_new();
	ft_graph_begin(g, FT_CHECK, 0, 0);
	struct ft_tensor *x = ft_embed(g, &batch, &w->t[WORD], &w->t[POSITION], &w->t[TYPE], &options);
	x = ft_linear(g, x, &same, &bias);
	x = ft_linear(g, ft_gelu(g, ft_linear(g, x, &w->t[UP], NULL)), &w->t[DOWN], NULL);
	struct ft_tensor *y = ft_linear_cross_entropy(g, &(struct ft_decoded){ x, &w->t[WORD], NULL, 0 }, labels, NULL);
	if (y)
		memcpy(loss, y->data, TOKENS * sizeof *loss);
	is_int(y ? ft_backward(g, y) : ft_graph_error(g), FT_OK, "forward and back");
	ft_graph_free(g);
}

static void check_type(enum ft_dtype type)
{
	struct weights wide = { 0 }, stored = { 0 };
	float loss[2][TOKENS], grad[2][WIDTH], rows[3 * WIDTH];
	make_weights(&wide, &stored, type);
	run(&wide, loss[0], grad[0]);
	run(&stored, loss[1], grad[1]);
	ok(loss[0][0] > 0 && memcmp(loss[0], loss[1], sizeof loss[0]) == 0, "%s: losses are the same", ft_dtype_name(type));
	ok(grad[0][0] != 0 && memcmp(grad[0], grad[1], sizeof grad[0]) == 0, "%s: so is a gradient through them",
	   ft_dtype_name(type));
	ft_tensor_floats(&stored.t[WORD], 5, 3, rows);
	ok(memcmp(rows, wide.t[WORD].data + 5 * WIDTH, sizeof rows) == 0, "%s: rows are read as floats", ft_dtype_name(type));
	ft_tensor_floats(&wide.t[UP], 7, 2, rows);
	ok(memcmp(rows, wide.t[UP].data + 7 * WIDTH, 2 * WIDTH * sizeof *rows) == 0, "so are those of floats");
	for (int i = 0; i < WEIGHTS; i++) {
		free(wide.t[i].data);
		free(stored.bytes[i]);
	}
}

/* y [rows, INNER] of a linear function in a pass that goes on from a cache, or does not. */
static void map(struct ft_tensor *w, float *numbers, int64_t rows, struct ft_cache *c, float *y)
{
	struct ft_tensor x = { .data = numbers, .rows = rows, .cols = WIDTH };
	struct ft_graph *g = ft_graph_new();
	ft_graph_cache(g, c);
	ft_graph_begin(g, FT_INFER, 0, 0);
	struct ft_tensor *out = ft_linear(g, &x, w, NULL);
	ok(out != NULL, "%lld rows%s", (long long)rows, c ? ", generating" : "");
	if (out)
		memcpy(y, out->data, (size_t)(rows * INNER) * sizeof *y);
	ft_graph_free(g);
}

/* Generating, few rows are multiplied another way (kernels.h): no less precise, and only few. */
static void check_generating(enum ft_dtype type)
{
	static float x[8 * WIDTH], y[2][8 * INNER], want[8 * INNER];
	struct weights wide = { 0 }, stored = { 0 };
	struct ft_cache *c = ft_cache_new();
	struct ft_rng r;
	make_weights(&wide, &stored, type);
	ft_rng_init(&r, 5, 1);
	for (int i = 0; i < 8 * WIDTH; i++)
		x[i] = (float)ft_rng_normal(&r);
	map(&wide.t[UP], x, 8, NULL, want);
	map(&stored.t[UP], x, 8, c, y[0]);
	bool blocks = (type == FT_Q8_0 || type == FT_Q4_0) && strcmp(ft_isa(), "base") != 0;
	ok(memcmp(want, y[0], sizeof want) == 0, "%s: many rows are the same bits", ft_dtype_name(type));
	map(&stored.t[UP], x, 2, c, y[1]);
	float worst = 0;
	for (int i = 0; i < 2 * INNER; i++)
		worst = fmaxf(worst, fabsf(want[i] - y[1][i]));
	ok(worst < 1e-5f, "few rows are near (%.2g)", worst);
	ok((worst > 0) == blocks, "by blocks, if there are any");
	for (int i = 0; i < WEIGHTS; i++) {
		free(wide.t[i].data);
		free(stored.bytes[i]);
	}
	ft_cache_free(c);
}

int main(void)
{
	static const enum ft_dtype all[] = { FT_F32, FT_F16, FT_BF16, FT_Q8_0, FT_Q4_0, FT_NF4 };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		check_type(all[i]);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		check_generating(all[i]);
	return tap_done();
}
