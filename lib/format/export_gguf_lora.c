/* export_gguf_lora.c - LoRA as a GGUF file that llama.cpp puts beside a model's (--lora).
 *
 * What its converter (convert_lora_to_gguf.py) would write of the PEFT folder: A and B under the name of the weight in
 * the model's file. One alpha is for all, and the scale is alpha / r: b takes what is left of a module's own.
 */
#include "ft/adapter.h"
#include "ft/err.h"
#include "ft/file.h"
#include "ft/mem.h"
#include "gguf_arch.h"
#include "gguf_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A matrix of the file. */
struct matrix {
	char name[GGUF_NAME + 8];
	int64_t shape[2];
	float *wide; /* from malloc */
	void *data;  /* the same in the type of the file; from malloc */
	size_t bytes;
};
struct matrices {
	struct matrix *at;
	size_t count;
	double alpha;
};

static void free_matrices(struct matrices *all)
{
	for (size_t i = 0; all->at && i < all->count; i++) {
		free(all->at[i].wide);
		free(all->at[i].data);
	}
	free(all->at);
}

/* r times the scale: what alpha must be for this one. */
static double own_alpha(const struct ft_delta *d)
{
	return d->root ? d->alpha * sqrt((double)d->r) : d->alpha;
}

static int narrow(struct matrix *x, enum ft_dtype dtype)
{
	size_t n = (size_t)x->shape[0] * (size_t)x->shape[1];
	struct ft_param p = { .file = x->name, .rank = 2, .t = { .rows = x->shape[0], .cols = x->shape[1] } };
	x->bytes = n * ft_dtype_size(dtype);
	x->data = ft_alloc(1, x->bytes);
	int rc = x->data ? ft_narrow(x->data, x->wide, dtype, n) : FT_EFAIL;
	return rc ? rc : check_finite(&p, x->wide, x->data, dtype);
}

static float *copy_of(const float *v, int64_t n)
{
	float *copy = ft_alloc((size_t)n, sizeof *copy);
	if (copy)
		memcpy(copy, v, (size_t)n * sizeof *copy);
	return copy;
}

/* A: [r, in]; of a table of words the other way around, [vocabulary, r]. */
static int make_a(struct matrix *x, const char *name, const struct ft_delta *d)
{
	int64_t in = d->table ? d->weight->t.rows : d->weight->t.cols;
	snprintf(x->name, sizeof x->name, "%s.lora_a", name);
	x->shape[0] = d->table ? in : d->r;
	x->shape[1] = d->table ? d->r : in;
	x->wide = copy_of(d->a, d->r * in);
	for (int64_t i = 0; x->wide && d->table && i < d->r * in; i++)
		x->wide[i % in * d->r + i / in] = d->a[i];
	return x->wide ? FT_OK : FT_EFAIL;
}

/* B: [out, r], its rows in the order of the weight's. */
static int make_b(struct matrix *x, const char *name, const struct ft_delta *d, double alpha, size_t heads)
{
	int64_t out = d->table ? d->weight->t.cols : d->weight->t.rows;
	float scale = (float)(own_alpha(d) / alpha);
	snprintf(x->name, sizeof x->name, "%s.lora_b", name);
	x->shape[0] = out;
	x->shape[1] = d->r;
	x->wide = copy_of(d->b, out * d->r);
	if (x->wide && heads)
		gguf_permute(x->wide, d->b, (size_t)out, (size_t)d->r * sizeof(float), heads, true);
	for (int64_t i = 0; x->wide && i < out * d->r; i++)
		x->wide[i] *= scale;
	return x->wide ? FT_OK : FT_EFAIL;
}

static int make_pair(const struct ft_model *m, const struct gguf_arch *a, const struct ft_delta *d, double alpha,
                     struct matrix *pair, enum ft_dtype dtype)
{
	const json_t *config = json_object_get(ft_model_meta(m), "config");
	enum gguf_how how;
	char name[GGUF_NAME];
	int layer;
	size_t heads = 0;
	if (d->lengths)
		return ft_fail(FT_EUSAGE,
		               "%s: its rows are scaled (dora), which a GGUF adapter cannot say; --to gguf merges it",
		               d->weight->file);
	if (!gguf_translate(a, d->weight->file, true, name, &layer, &how))
		return ft_fail(FT_EUSAGE, "tensor '%s': a GGUF file of a %s has no place for it", d->weight->file, a->name);
	if (how == GGUF_QUERY || how == GGUF_KEY)
		heads = (size_t)ft_json_int(config, how == GGUF_KEY ? a->kv_heads : a->heads,
		                            ft_json_int(config, a->heads, 1, NULL), NULL);
	int rc = make_a(&pair[0], name, d);
	rc = rc ? rc : make_b(&pair[1], name, d, alpha, heads);
	rc = rc ? rc : narrow(&pair[0], dtype);
	return rc ? rc : narrow(&pair[1], dtype);
}

/* All that there is; FT_EUSAGE when something else was trained. */
static int make_matrices(const struct ft_model *m, const struct gguf_arch *a, enum ft_dtype dtype, struct matrices *all)
{
	struct ft_delta *d = NULL;
	size_t n = 0;
	int rc = ft_model_deltas(m, &d, &n);
	*all = (struct matrices){ 0 };
	all->at = rc < 0 ? NULL : ft_alloc(2 * n, sizeof *all->at);
	rc = rc ? rc : all->at ? FT_OK : FT_EFAIL;
	all->alpha = n && own_alpha(&d[0]) != 0 ? own_alpha(&d[0]) : 1;
	for (size_t i = 0; rc == FT_OK && i < n; i++, all->count += 2)
		rc = make_pair(m, a, &d[i], all->alpha, &all->at[2 * i], dtype);
	if (rc < 0)
		all->count = 2 * n;
	ft_deltas_free(d, n);
	return rc;
}

static int check_model(const struct ft_model *m)
{
	const char *name = ft_model_name(m);
	if (!gguf_arch_of_model(m) || ft_model_task(m) != FT_TASK_LM)
		return ft_fail(FT_EUSAGE, "%s: a GGUF adapter is of a causal language model only; --to peft is for others",
		               name);
	if (!ft_model_adapted(m))
		return ft_fail(FT_EUSAGE, "%s: nothing has been added to it (ft-freeze --lora); --to gguf exports all of it",
		               name);
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		if (!p->technique && (p->stored || p->fresh))
			return ft_fail(FT_EUSAGE,
			               "%s: '%s' was trained, too, which a GGUF adapter does not carry (ft-freeze --freeze '%s' "
			               "leaves it alone); --to gguf exports all of it",
			               name, p->name, p->name);
	}
	return FT_OK;
}

/* ---- the file ---- */

static enum ft_ggml_type type_of(enum ft_dtype t)
{
	return t == FT_F16 ? FT_GGML_F16 : t == FT_BF16 ? FT_GGML_BF16 : FT_GGML_F32;
}

static int put_text(struct gguf_writer *w, const char *key, const char *v)
{
	return gguf_put_text(w, key, (struct ft_span){ v, strlen(v) });
}

static int write_file(const struct gguf_arch *a, const char *path, const struct matrices *all, enum ft_dtype dtype)
{
	struct gguf_writer w = { 0 };
	struct ft_outfile *out = NULL;
	int rc = put_text(&w, "general.architecture", a->name);
	rc = rc ? rc : put_text(&w, "general.type", "adapter");
	rc = rc ? rc : put_text(&w, "adapter.type", "lora");
	rc = rc ? rc : gguf_put_real(&w, "adapter.lora.alpha", all->alpha);
	for (size_t i = 0; i < all->count && rc == FT_OK; i++)
		rc = gguf_add(&w, all->at[i].name, type_of(dtype), 2, all->at[i].shape, all->at[i].bytes);
	if (rc == FT_OK && !(out = ft_outfile_open(path)))
		rc = ft_last_error();
	rc = rc ? rc : gguf_write_head(&w, ft_outfile_fd(out), path);
	for (size_t i = 0; i < all->count && rc == FT_OK; i++)
		rc = gguf_write_data(ft_outfile_fd(out), path, all->at[i].data, all->at[i].bytes);
	rc = rc ? rc : ft_outfile_commit(out);
	ft_outfile_free(out);
	gguf_writer_free(&w);
	return rc;
}

static int write_lora(const struct ft_model *m, const char *path, enum ft_dtype dtype)
{
	struct matrices all = { 0 };
	int rc = check_model(m);
	rc = rc ? rc : make_matrices(m, gguf_arch_of_model(m), dtype, &all);
	rc = rc ? rc : write_file(gguf_arch_of_model(m), path, &all, dtype);
	free_matrices(&all);
	return rc;
}

/* It is no model: what was written is compared tensor by tensor with what is to be in it. */
static int verify(struct ft_model *m, const char *path, enum ft_dtype dtype, struct ft_verified *v)
{
	struct matrices all = { 0 };
	int rc = make_matrices(m, gguf_arch_of_model(m), dtype, &all);
	struct ft_gguf *g = rc < 0 ? NULL : ft_gguf_open(path);
	rc = g ? FT_OK : ft_last_error();
	*v = (struct ft_verified){ .params = all.count };
	bool same = rc == FT_OK && ft_gguf_tensors(g) == all.count &&
	            (float)ft_gguf_real(g, "adapter.lora.alpha", 0, &rc) == (float)all.alpha;
	for (size_t i = 0; same && i < all.count; i++) {
		const struct matrix *x = &all.at[i];
		const struct ft_gguf_tensor *t = ft_gguf_tensor_find(g, x->name);
		same = t && t->type == type_of(dtype) && t->rank == 2 && t->shape[0] == x->shape[0] &&
		       t->shape[1] == x->shape[1] && t->bytes == x->bytes && memcmp(t->data, x->data, x->bytes) == 0;
	}
	if (rc == FT_OK && !same)
		rc = ft_fail(FT_EFAIL, "%s: what was written is not what there was to write", path);
	ft_gguf_close(g);
	free_matrices(&all);
	return rc;
}

const struct ft_format format_gguf_lora = {
	.name = "gguf-lora",
	.summary = "a GGUF file of LoRA",
	.file = "adapter.gguf",
	.types = "f32, f16, bf16",
	.adapter = true,
	.write = write_lora,
	.verify = verify,
};
