/* peft_virtual.c - prompts and prefixes of PEFT's folders: what their adapter_config.json says, and the one tensor that
 * they have. */
#include "folder.h"

#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

static const char *const known[] = {
	"num_virtual_tokens", "token_dim", "num_transformer_submodules", "num_attention_heads", "num_layers",
	"prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs", /* how it began */
	"prefix_projection", "encoder_hidden_size", "init_weights", /* what is in the file has gone through the network */
	NULL
};

static int translate(const struct folder *f, const struct sites *s, json_t *o)
{
	(void)s;
	int err = FT_OK;
	int64_t n = ft_json_int(f->config, "num_virtual_tokens", 0, &err);
	int64_t parts = ft_json_int(f->config, "num_transformer_submodules", 1, &err);
	if (err)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (n < 1 || n > 1 << 20)
		return folder_fail(f, FT_EFORMAT, "num_virtual_tokens: %lld", (long long)n);
	if (parts != 1)
		return folder_fail(f, FT_EFORMAT, "num_transformer_submodules: %lld; networks of one part are supported",
		                   (long long)parts);
	return ft_json_set(o, "n", json_integer(n));
}

const struct peft_type peft_prompt = {
	.name = "PROMPT_TUNING",
	.technique = &technique_prompt,
	.known = known,
	.translate = translate,
};
const struct peft_type peft_prefix = {
	.name = "PREFIX_TUNING",
	.technique = &technique_prefix,
	.known = known,
	.translate = translate,
};

/* ---- prompt_embeddings ---- */

/* A parameter's columns of it, from `from` on. */
static int take_columns(const struct folder *f, struct ft_param *p, const struct ft_stored *t, const float *all,
                        int64_t from)
{
	int64_t cols = t->shape[1];
	float *own = ft_alloc((size_t)(t->shape[0] * p->t.cols), sizeof *own);
	struct ft_stored part = *t;
	if (!own)
		return FT_EFAIL;
	for (int64_t r = 0; r < t->shape[0]; r++)
		memcpy(own + r * p->t.cols, all + r * cols + from, (size_t)p->t.cols * sizeof *own);
	part.data = own;
	part.dtype = FT_F32;
	part.shape[1] = p->t.cols;
	part.bytes = (size_t)(t->shape[0] * p->t.cols) * sizeof *own;
	int rc = param_take(p, &part, f->weights, FOLDER_CONFIG);
	free(own);
	return rc;
}

int peft_take_virtual(struct ft_model *m, const struct folder *f, const struct ft_stored *t)
{
	int64_t cols = 0, from = 0;
	for (size_t i = 0; i < m->count; i++)
		cols += m->params[i]->technique ? m->params[i]->t.cols : 0;
	if (t->rank != 2 || t->shape[1] != cols)
		return ft_fail(FT_EFORMAT, "%s: tensor '%s' has %lld columns; the base asks for %lld", f->weights, t->name,
		               (long long)(t->rank == 2 ? t->shape[1] : 0), (long long)cols);
	size_t n = (size_t)t->shape[0] * (size_t)cols;
	float *all = ft_alloc(n, sizeof *all);
	int rc = all ? ft_widen(all, t->data, t->dtype, n) : FT_EFAIL;
	for (size_t i = 0; rc == FT_OK && i < m->count; i++) {
		if (!m->params[i]->technique)
			continue;
		rc = take_columns(f, m->params[i], t, all, from);
		from += m->params[i]->t.cols;
	}
	free(all);
	return rc;
}
