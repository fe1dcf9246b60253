/* lora.c - LoRA: y + scale B A dropout(x), of low rank (Hu et al., "LoRA: Low-Rank Adaptation of Large Language
 * Models", 2021); the scale is alpha / r, or alpha / sqrt(r) (Kalajdzievski, "A Rank Stabilization Scaling Factor for
 * Fine-Tuning with LoRA", 2023); B may learn faster (Hayou et al., "LoRA+", 2024).
 *
 * What is used when nothing is said: rank 8 (the paper's, and PEFT's), alpha 16 and the rate of 3e-4 at width 768
 * (Alpaca-LoRA's; QLoRA has the same alpha), at queries and values (the paper's; PEFT's). */
#include "ft/kernels.h"
#include "ft/mem.h"
#include "lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct adapt_key keys[] = {
	{ "r", KEY_INT, 8, 1, 1 << 16, true },
	{ "alpha", KEY_REAL, 16, 0, 1e6, true },
	{ "dropout", KEY_REAL, 0, 0, 0.99, false },
	{ "rslora", KEY_FLAG, 0, 0, 0, false },
	{ "dora", KEY_FLAG, 0, 0, 0, false },
	{ "ratio", KEY_REAL, 1, 1e-6, 1e6, false }, /* rate of B / rate of A */
	{ "init", KEY_NAME, 0, 0, 0, false },
	{ 0 },
};
static const char *const inits[] = { "zero", "pissa", NULL };
static const struct adapt_names names[] = { { "init", inits }, { 0 } };
static const char *const sites[] = { "*.attn.[qv]", "*.attn.qkv", NULL };

static int attach(struct ft_model *m, struct attached *a, const struct site *s)
{
	const struct ft_tensor *w = &s->weight->t;
	int64_t r = (int64_t)adapt_number(a, "r", s), most = w->rows > w->cols ? w->rows : w->cols;
	double alpha = adapt_number(a, "alpha", s);
	bool table = s->kind == SITE_TABLE;
	if (r > most)
		return ft_fail(FT_EUSAGE, "lora: r=%lld at %s, which is %lld x %lld", (long long)r, s->name, (long long)w->rows,
		               (long long)w->cols);
	a->scale = (float)(alpha / (adapt_flag(a, "rslora") ? sqrt((double)r) : (double)r));
	a->dropout = table ? 0 : (float)adapt_number(a, "dropout", s);
	int rc = table ? adapt_param(m, a, A, s, PARAM_ZERO, "a", "lora_embedding_A", w->rows, r)
	               : adapt_param(m, a, A, s, PARAM_UNIFORM, "a", "lora_A.weight", r, w->cols);
	rc = rc       ? rc
	     : table ? adapt_param(m, a, B, s, PARAM_NORMAL, "b", "lora_embedding_B", w->cols, r)
	             : adapt_param(m, a, B, s, PARAM_ZERO, "b", "lora_B.weight", w->rows, r);
	if (rc < 0)
		return rc;
	a->part[A]->turned = table; /* in PEFT's checkpoints */
	a->part[B]->rate *= adapt_number(a, "ratio", s);
	rc = adapt_flag(a, "dora") ? dora_attach(m, a, s) : FT_OK;
	return rc == FT_OK && strcmp(adapt_name(a, "init"), "pissa") == 0 ? pissa_attach(m, a, s) : rc;
}

static int start(const struct ft_model *m, const struct attached *a)
{
	(void)m;
	return a->part[M] ? dora_start(a) : a->part[A0] ? pissa_start(a) : FT_OK;
}

static struct ft_tensor *linear(struct ft_graph *g, const struct attached *a, struct ft_tensor *x, struct ft_tensor *y)
{
	if (a->part[M])
		return dora_linear(g, a, x, y);
	y = ft_low_rank(g, y, x, &a->part[A]->t, &a->part[B]->t, a->scale, a->dropout);
	return a->part[A0] ? ft_low_rank(g, y, x, &a->part[A0]->t, &a->part[B0]->t, -a->scale, 0) : y;
}

static struct ft_tensor *table(struct ft_graph *g, const struct attached *a, const struct ft_batch *b,
                               struct ft_tensor *y)
{
	struct ft_embed_options words = { .padding = a->embed->padding, .scale = a->embed->scale };
	struct ft_tensor *u = ft_embed(g, b, &a->part[A]->t, NULL, NULL, &words);
	return a->part[M] ? dora_table(g, a, b, u, y) : ft_low_rank(g, y, u, NULL, &a->part[B]->t, a->scale, 0);
}

/* ---- as a matrix ---- */

/* Of PiSSA [A; A0], [B, -B0]: twice the rank with the same scale, as PEFT converts it. */
static void double_rank(const struct attached *a, struct ft_delta *d)
{
	const struct ft_tensor *left = &a->part[A0]->t, *right = &a->part[B0]->t;
	int64_t r = left->rows;
	ft_tensor_floats(left, 0, r, d->a + r * left->cols);
	for (int64_t i = right->rows; i-- > 0;) { /* rows of B move apart, the last first */
		memmove(d->b + 2 * i * r, d->b + i * r, (size_t)r * sizeof *d->b);
		ft_tensor_floats(right, i, 1, d->b + (2 * i + 1) * r);
		for (int64_t k = 0; k < r; k++)
			d->b[(2 * i + 1) * r + k] *= -1;
	}
	d->r = 2 * r;
	d->alpha *= d->root ? sqrt(2) : 2;
}

static int delta(const struct attached *a, struct ft_delta *d)
{
	const struct ft_param *left = a->part[A], *right = a->part[B];
	struct site s = { .name = a->site, .file = d->module };
	size_t times = a->part[A0] ? 2 : 1;
	d->table = left->turned;
	d->r = right->t.cols;
	d->alpha = adapt_number(a, "alpha", &s);
	d->root = adapt_flag(a, "rslora");
	d->dropout = a->dropout;
	d->a = ft_alloc((size_t)left->t.rows * (size_t)left->t.cols, times * sizeof *d->a);
	d->b = ft_alloc((size_t)right->t.rows * (size_t)right->t.cols, times * sizeof *d->b);
	if (!d->a || !d->b || (a->part[M] && !(d->lengths = ft_alloc((size_t)right->t.rows, sizeof *d->lengths))))
		return FT_EFAIL;
	if (d->lengths)
		ft_tensor_floats(&a->part[M]->t, 0, 1, d->lengths);
	ft_tensor_floats(&right->t, 0, right->t.rows, d->b);
	if (d->table)
		return ft_param_turn(left, d->a);
	ft_tensor_floats(&left->t, 0, left->t.rows, d->a);
	if (a->part[A0])
		double_rank(a, d);
	return FT_OK;
}

/* W += scale B A; of a table, whose rows are those of A, W += scale A B^T. */
static int add_product(const struct attached *a, const struct ft_tensor *right, const struct ft_tensor *left,
                       float scale)
{
	const struct ft_tensor *w = &a->weight->t;
	bool of_table = a->weight->kind == PARAM_TABLE;
	const struct ft_tensor *first = of_table ? right : left, *second = of_table ? left : right;
	size_t n = (size_t)first->rows * (size_t)first->cols;
	float *scaled = ft_alloc(n, sizeof *scaled);
	if (!scaled)
		return FT_EFAIL;
	ft_tensor_floats(first, 0, first->rows, scaled);
	for (size_t i = 0; i < n; i++)
		scaled[i] *= scale;
	ft_gemm(&(struct ft_gemm){ .tb = of_table, .add = true, .m = w->rows, .n = w->cols, .k = first->cols, .a = scaled,
	                           .lda = first->cols, .b = second->stored ? second->stored : second->data,
	                           .b_type = second->stored ? second->dtype : FT_F32, .ldb = second->cols, .c = w->data,
	                           .ldc = w->cols });
	free(scaled);
	return FT_OK;
}

static int merge_product(const struct attached *a)
{
	int rc = add_product(a, &a->part[A]->t, &a->part[B]->t, a->scale);
	return rc == FT_OK && a->part[A0] ? add_product(a, &a->part[A0]->t, &a->part[B0]->t, -a->scale) : rc;
}

static int merge(const struct attached *a)
{
	return a->part[M] ? dora_merge(a, merge_product) : merge_product(a);
}

const struct technique technique_lora = {
	.name = "lora",
	.keys = keys,
	.names = names,
	.sites = sites,
	.kinds = SITE_LINEAR | SITE_TABLE,
	.rate = 6,
	.attach = attach,
	.start = start,
	.release = dora_release,
	.linear = linear,
	.table = table,
	.delta = delta,
	.merge = merge,
};
