/* optim-reference.c - twenty steps of optimizers against those of other programs
 * (tests/ref/make-optimizers.py). */
#include "ft/format.h"
#include "ft/optim.h"
#include "tests/tap.h"
#include "tests/unit/small.h"

#include <math.h>

#define STEPS 20
#define RATE 0.01

/* The feed-forward matrix is [240, 20]: the smallest whose state is bytes, and with rows across its blocks. */
static const struct small small = { .width = 20, .inner = 240, .layers = 1, .heads = 2, .vocabulary = 41, .positions = 12,
	                            .head = "{\"type\":\"mlm\"}" };

static size_t count(const struct ft_param *p) { return (size_t)p->t.rows * (size_t)p->t.cols; }

static void gradient(struct ft_param *p, int step)
{
	for (size_t i = 0; i < count(p); i++)
		p->t.grad[i] = (float)(sin((double)((i + 1) * (size_t)step)) * pow(10, -(double)((i + 1) % 7) / 2));
	p->t.has_grad = p->t.dense = true;
}

/* As a gradient that is a sum over 4 units, to be scaled. */
static struct ft_optim *train(struct ft_model *m, struct ft_param *p, const struct ft_optim_options *o)
{
	struct ft_optim *optim = ft_optim_new(m, o);
	for (size_t i = 0; i < count(p); i++)
		p->t.data[i] = (float)(0.1 * sin(0.7 * (double)(i + 1)));
	p->decays = true;
	for (int s = 1; s <= STEPS; s++) {
		gradient(p, s);
		for (size_t i = 0; i < count(p); i++)
			p->t.grad[i] *= 4;
		ft_optim_step(optim, RATE * (1 - (s - 1) / (2.0 * STEPS)), 0.25);
	}
	return optim;
}

/* The state in bytes is that of the reference, byte by byte. */
static void check_state(struct ft_safetensors *want, const struct ft_optim *optim, const struct ft_param *p)
{
	struct ft_piece piece;
	for (size_t i = 0; ft_optim_piece(optim, i, &piece); i++) {
		char tensor[64];
		snprintf(tensor, sizeof tensor, "adamw8bit.%s", piece.what);
		const struct ft_stored *t = ft_safetensors_find(want, tensor);
		size_t differ = 0;
		if (!piece.param || strcmp(piece.param, p->name) != 0)
			continue;
		bool same = t && t->bytes == piece.bytes && t->dtype == piece.dtype;
		for (size_t k = 0; same && piece.dtype == FT_U8 && k < piece.bytes; k++)
			differ += ((const uint8_t *)piece.data)[k] != ((const uint8_t *)t->data)[k];
		for (size_t k = 0; same && piece.dtype == FT_F32 && k < piece.bytes / sizeof(float); k++) {
			float x;
			memcpy(&x, (const char *)t->data + k * sizeof x, sizeof x);
			differ += fabsf(((const float *)piece.data)[k] - x) > 1e-6f * x;
		}
		ok(same && differ == 0, "%s: %zu are off", tensor, differ);
	}
}

/* Weights that are further than `near` from the reference, of which `most` may be. */
static void check(struct ft_safetensors *want, const char *name, const char *key, const char *kind, double near,
                  size_t most)
{
	struct ft_optim_options o = { .name = name, .beta1 = NAN, .beta2 = NAN, .eps = 1e-8, .weight_decay = 0.1,
		                      .beta2_decay = 0.8, .clip_update = 1, .relative = strcmp(key, "relative") == 0 };
	bool matrix = strcmp(kind, "matrix") == 0;
	struct ft_model *m = small_model(&small);
	struct ft_param *p = ft_model_find(m, matrix ? "layer.0.ffn.up.weight" : "layer.0.attn.norm.bias");
	char tensor[64];
	snprintf(tensor, sizeof tensor, "%s.%s", key, kind);
	const struct ft_stored *t = ft_safetensors_find(want, tensor);
	size_t far = 0, n = t && p ? t->bytes / sizeof(float) : 0;
	double worst = 0;
	struct ft_optim *optim = n && n == count(p) ? train(m, p, &o) : NULL;
	for (size_t i = 0; i < n; i++) {
		float x;
		memcpy(&x, (const char *)t->data + i * sizeof x, sizeof x);
		double d = fabs((double)p->t.data[i] - x);
		worst = d > worst ? d : worst;
		far += !(d < near);
	}
	ok(n && n == count(p) && far <= most, "%s: %zu of %zu weights are off, worst %.2g", tensor, far, n, worst);
	if (optim && matrix && strcmp(name, "adamw8bit") == 0)
		check_state(want, optim, p);
	ft_optim_free(optim);
	ft_model_free(m);
}

int main(void)
{
	struct ft_safetensors *want = ft_safetensors_open("tests/ref/optimizers.safetensors");
	if (!ok(want != NULL, "the reference is there"))
		return tap_done();
	static const char *const kinds[] = { "matrix", "vector" };
	for (int k = 0; k < 2; k++) {
		check(want, "lion", "lion", kinds[k], 2e-7, 0);
		check(want, "adafactor", "adafactor", kinds[k], 1e-6, 0);
		check(want, "adafactor", "relative", kinds[k], 1e-6, 0);
		check(want, "adamw8bit", "adamw8bit", kinds[k], 1e-6, 0);
	}
	ft_safetensors_close(want);
	return tap_done();
}
