/* frozen.c - weights that do not train stay as they are stored, and what a model says does
 * not depend on that. */
#include "ft/model.h"
#include "tests/tap.h"

#include <stdlib.h>

static const int32_t ids[] = { 1, 7, 12, 30, 2, 5, 9, 2 }, offsets[] = { 0, 5, 8 }, labels[] = { 1, 0 };
static const struct ft_batch batch = { .ids = ids, .offsets = offsets, .labels = labels, .nlabels = 2, .tokens = 8, .rows = 2 };

/* Weights that lie in the file, and those that do so though they should not, or the other way. */
static int count_stored(const struct ft_model *m, bool reads, int *wrong)
{
	int n = 0;
	*wrong = 0;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		bool stays = p->rank == 2 && (reads || !p->trains);
		*wrong += stays != (p->t.stored != NULL) || !p->t.data != stays;
		n += stays;
	}
	return n;
}

static size_t logits_of(struct ft_model *m, float *logits, size_t most)
{
	struct ft_output out = { 0 };
	struct ft_graph *g = ft_graph_new();
	size_t n = ft_model_eval(m, g, &batch, &out) == FT_OK ? out.units * ft_model_outputs(m) : 0;
	n = n < most ? n : most;
	if (n)
		memcpy(logits, out.logits, n * sizeof *logits);
	ft_graph_free(g);
	return n;
}

/* A gradient of a layer between frozen ones. */
static float *gradient_of(struct ft_model *m, const char *name, size_t *n)
{
	struct ft_output out;
	struct ft_graph *g = ft_graph_new();
	struct ft_param *p = ft_model_find(m, name);
	*n = (size_t)(p->t.rows * p->t.cols);
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_param *q = ft_model_param(m, i);
		q->trains = q->t.needs_grad = q == p;
	}
	p->t.grad = calloc(*n, sizeof *p->t.grad);
	ft_graph_begin(g, FT_CHECK, 0, 0);
	is_int(ft_model_step(m, g, &batch, &out), FT_OK, "a step");
	ft_graph_free(g);
	return p->t.grad;
}

static void check(const char *folder, enum ft_dtype type, const char *trains)
{
	const char *const train[] = { trains };
	const struct ft_plan plan = { .train = train, .ntrain = 1, .last_layers = -1,
	                              .layer_decay = 1, .seed = FT_NO_SEED };
	struct ft_model *wide = ft_model_open(folder, NULL, 0), *read = ft_model_open(folder, NULL, FT_MODEL_READ);
	struct ft_model *some = ft_model_plan(folder, NULL, &plan, 0);
	float a[16], b[16];
	int wrong;
	if (!ok(wide && read && some, "%s", folder))
		return;
	ok(count_stored(wide, false, &wrong) == 0 && !wrong, "where all trains all is widened");
	ok(count_stored(read, true, &wrong) > 3 && !wrong, "where nothing does, weights stay");
	ok(ft_model_param(read, 0)->t.dtype == type, "in their type, %s", ft_dtype_name(type));
	ok(count_stored(some, false, &wrong) > 3 && !wrong && ft_model_find(some, trains)->t.data, "with a plan, the frozen ones");
	size_t n = logits_of(wide, a, 16);
	ok(n > 0 && logits_of(read, b, 16) == n && memcmp(a, b, n * sizeof *a) == 0, "the same logits");
	float *x = gradient_of(wide, trains, &n), *y = gradient_of(some, trains, &n);
	size_t some_are = 0;
	for (size_t i = 0; i < n; i++)
		some_are += x[i] != 0;
	ok(some_are > n / 4 && memcmp(x, y, n * sizeof *x) == 0, "the same gradient of %s", trains);
	ft_model_free(wide);
	ft_model_free(read);
	ft_model_free(some);
}

int main(void)
{
	check("tests/ref/encoders/distilbert/tiny-classify", FT_F16, "layer.0.attn.q.weight");
	check("tests/ref/encoders/roberta/tiny-classify", FT_BF16, "layer.1.ffn.up.weight");
	check("tests/ref/tiny-bert-classify", FT_F32, "layer.0.attn.k.weight");
	return tap_done();
}
