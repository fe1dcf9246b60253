/* narrow.c - a frozen base in fewer bits is the base of the numbers that these bits mean: the same outputs and
 * gradients, to the bit, in less memory. */
#include "ft/graph.h"
#include "ft/model.h"
#include "ft/optim.h"
#include "tests/tap.h"

#include <stdlib.h>

#define MODEL "pipelines/encoder/model"

static struct ft_model *plan(const char *type)
{
	json_t *head = json_pack("{s:s, s:[s,s]}", "type", "classify", "labels", "neg", "pos");
	const struct ft_plan_technique lora = { "lora", "r=4,sites=layer.*" };
	struct ft_plan p = { .head = head, .last_layers = -1, .layer_decay = 1, .techniques = &lora, .ntechniques = 1,
	                     .base_type = type };
	struct ft_model *m = ft_model_plan(MODEL, NULL, &p, 0);
	json_decref(head);
	return m;
}

/* B is zero at first, and nothing would flow through A. */
static void stir(struct ft_model *m)
{
	for (size_t i = 0; i < ft_model_params(m); i++) {
		struct ft_param *p = ft_model_param(m, i);
		for (int64_t k = 0; p->technique && k < p->t.rows * p->t.cols; k++)
			p->t.data[k] += 0.01f * (float)((k * 7 + (int64_t)i) % 11 - 5);
	}
}

/* Gives `to` the numbers of `from`, as floats. Returns how many weights of `from` are narrow. */
static size_t widen_into(struct ft_model *to, const struct ft_model *from, enum ft_dtype type)
{
	size_t narrow = 0;
	for (size_t i = 0; i < ft_model_params(from); i++) {
		struct ft_param *p = ft_model_param(to, i);
		const struct ft_param *q = ft_model_param(from, i);
		narrow += q->own && q->t.dtype == type;
		if (!p->t.data)
			p->t.data = malloc(sizeof(float) * (size_t)(p->t.rows * p->t.cols));
		ft_tensor_floats(&q->t, 0, q->t.rows, p->t.data);
		p->t.stored = NULL;
	}
	return narrow;
}

static const int32_t ids[] = { 2, 40, 300, 7, 3, 2, 9, 3, 2, 77, 1234, 3000, 15, 3 };
static const int32_t offsets[] = { 0, 5, 8, 14 }, labels[] = { 0, 1, 1 };
static const struct ft_batch batch = { .ids = ids, .offsets = offsets, .labels = labels, .tokens = 14, .rows = 3,
	                               .nlabels = 3, .epoch = -1 };

static int step(struct ft_model *m, struct ft_graph *g, float logits[6])
{
	struct ft_output out;
	ft_graph_begin(g, FT_CHECK, 0, 0);
	int rc = ft_model_step(m, g, &batch, &out);
	if (rc == FT_OK)
		memcpy(logits, out.logits, 6 * sizeof *logits);
	return rc;
}

static bool equal_gradients(const struct ft_model *a, const struct ft_model *b)
{
	size_t compared = 0;
	for (size_t i = 0; i < ft_model_params(a); i++) {
		const struct ft_tensor *x = &ft_model_param(a, i)->t, *y = &ft_model_param(b, i)->t;
		if (!ft_model_param(a, i)->trains)
			continue;
		compared++;
		if (memcmp(x->grad, y->grad, sizeof(float) * (size_t)(x->rows * x->cols)) != 0)
			return false;
	}
	return compared > 0;
}

static void check_type(const char *name)
{
	enum ft_dtype type = (enum ft_dtype)ft_dtype_of_weights(name);
	struct ft_model *narrow = plan(name), *wide = plan(NULL), *plain = plan(NULL);
	struct ft_optim_options o = { .name = "sgd" };
	struct ft_optim *optims[] = { ft_optim_new(narrow, &o), ft_optim_new(wide, &o), ft_optim_new(plain, &o) };
	struct ft_graph *g = ft_graph_new();
	float logits[3][6];
	stir(narrow);
	stir(plain);
	ok(widen_into(wide, narrow, type) == 36, "%s: 6 of each of 6 layers are narrow", name);
	is_int(step(narrow, g, logits[0]), FT_OK, "a step");
	is_int(step(wide, g, logits[1]), FT_OK, "one with the widened numbers");
	is_int(step(plain, g, logits[2]), FT_OK, "one with those of the file");
	ok(memcmp(logits[0], logits[1], sizeof logits[0]) == 0, "the same outputs as the widened ones");
	ok(equal_gradients(narrow, wide), "the same gradients");
	ok((memcmp(logits[0], logits[2], sizeof logits[0]) == 0) == (type == FT_F16), "other outputs than those of the file, of F16");
	is_int(ft_model_merge(narrow), FT_OK, "LoRA is merged into them");
	is_int(ft_model_merge(wide), FT_OK, "and into the widened");
	is_int(step(narrow, g, logits[0]) | step(wide, g, logits[1]), FT_OK, "a step of both");
	ok(memcmp(logits[0], logits[1], sizeof logits[0]) == 0, "the same outputs");
	for (int i = 0; i < 3; i++)
		ft_optim_free(optims[i]);
	ft_graph_free(g);
	ft_model_free(narrow);
	ft_model_free(wide);
	ft_model_free(plain);
}

int main(void)
{
	static const char *const types[] = { "nf4", "q8_0", "q4_0", "f16", "bf16" };
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		check_type(types[i]);
	ok(plan("int3") == NULL, "an unknown type is refused");
	return tap_done();
}
