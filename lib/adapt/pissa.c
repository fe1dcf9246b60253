/* pissa.c - PiSSA: LoRA that begins as what the weight does most, and what is left of it stands still (Meng et al.,
 * "PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large Language Models", 2024).
 *
 * The base is not touched. A and B as they began are parameters, too, which never train, and their product is
 * subtracted: W + s (B A - B0 A0). So a tuned model holds all that it needs beside its base, whatever computes the
 * vectors elsewhere. */
#include "ft/kernels.h"
#include "ft/mem.h"
#include "lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int pissa_attach(struct ft_model *m, struct attached *a, const struct site *s)
{
	const struct ft_tensor *w = &s->weight->t;
	int64_t r = a->part[A]->t.rows, most = w->rows < w->cols ? w->rows : w->cols;
	if (s->kind != SITE_LINEAR)
		return ft_fail(FT_EUSAGE, "lora: init=pissa at %s, which is a table: it is for linear layers", s->name);
	if (a->part[M])
		return ft_fail(FT_EUSAGE, "lora: init=pissa and dora at %s: it is one of the two", s->name);
	if (r > most)
		return ft_fail(FT_EUSAGE, "lora: r=%lld at %s, which has %lld singular values", (long long)r, s->name,
		               (long long)most);
	if (!(a->scale > 0))
		return ft_fail(FT_EUSAGE, "lora: alpha at %s: with init=pissa it is more than 0", s->name);
	int rc = adapt_param(m, a, A0, s, PARAM_ZERO, "a0", "lora_A0.weight", r, w->cols);
	rc = rc ? rc : adapt_param(m, a, B0, s, PARAM_ZERO, "b0", "lora_B0.weight", w->rows, r);
	if (rc == FT_OK)
		a->part[A0]->constant = a->part[B0]->constant = true;
	return rc;
}

/* A = sqrt(S / s) V^T, B = U sqrt(S / s), of the r greatest of U S V^T. */
int pissa_start(const struct attached *a)
{
	const struct ft_tensor *w = &a->weight->t;
	struct ft_tensor *left = &a->part[A]->t, *right = &a->part[B]->t;
	int64_t r = left->rows;
	float *u = ft_alloc((size_t)(r * w->rows), sizeof *u), *values = ft_alloc((size_t)r, sizeof *values);
	int rc = u && values ? ft_svd(w, r, u, values, left->data) : FT_EFAIL;
	for (int64_t k = 0; rc == FT_OK && k < r; k++) {
		float root = sqrtf(values[k] / a->scale);
		for (int64_t i = 0; i < w->cols; i++)
			left->data[k * w->cols + i] *= root;
		for (int64_t i = 0; i < w->rows; i++)
			right->data[i * r + k] = root * u[k * w->rows + i];
	}
	if (rc == FT_OK) {
		memcpy(a->part[A0]->t.data, left->data, (size_t)(r * w->cols) * sizeof *u);
		memcpy(a->part[B0]->t.data, right->data, (size_t)(r * w->rows) * sizeof *u);
	}
	free(u);
	free(values);
	return rc < 0 ? ft_context(rc, "lora: init=pissa at %s", a->site) : FT_OK;
}
