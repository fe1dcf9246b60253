/* export_peft_virtual.c - prompts and prefixes as PEFT has them: one matrix. */
#include "export_peft.h"
#include "ft/err.h"

static int put_config(struct peft_out *o, const struct ft_virtual *v)
{
	json_t *c = o->config;
	int rc = ft_json_set(c, "num_attention_heads", json_integer(v->heads));
	rc = rc ? rc : ft_json_set(c, "num_layers", json_integer(v->layers));
	rc = rc ? rc : ft_json_set(c, "num_transformer_submodules", json_integer(1));
	rc = rc ? rc : ft_json_set(c, "num_virtual_tokens", json_integer(v->rows));
	rc = rc ? rc : ft_json_set(c, "peft_type", json_string(v->keys ? "PREFIX_TUNING" : "PROMPT_TUNING"));
	rc = rc ? rc : ft_json_set(c, "token_dim", json_integer(v->width));
	return rc ? rc : ft_json_set(c, v->keys ? "prefix_projection" : "prompt_tuning_init",
	                             v->keys ? json_false() : json_string("RANDOM"));
}

int peft_put_virtual(struct peft_out *o, const struct ft_virtual *v)
{
	static char name[] = "prompt_embeddings";
	struct ft_param p = { .file = name, .rank = 2, .t = { .rows = v->rows, .cols = v->cols, .data = v->data } };
	int rc = put_config(o, v);
	return rc ? rc : peft_tensor(o, &p, "", name);
}
