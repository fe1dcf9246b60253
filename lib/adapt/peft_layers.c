/* peft_layers.c - what PEFT's folders say of techniques at linear layers: at which modules they are, and with which
 * numbers. */
#include "folder.h"

#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- sites ---- */

/* A number of a site that is not the one of all. */
static int add_pattern(json_t *o, const char *key, const struct site *s, double usual, double number)
{
	json_t *patterns = json_object_get(o, "patterns");
	if (number == usual)
		return FT_OK;
	if (!patterns && ft_json_set(o, "patterns", patterns = json_array()) < 0)
		return FT_EFAIL;
	return ft_json_append(patterns, json_pack("[s,s,f]", key, s->name, number));
}

/* What a type says of a module beside that it is meant; or NULL. */
typedef int site_function(struct peft_modules *p, json_t *o, const struct site *s);

static int choose_sites(struct peft_modules *p, const struct technique *t, const struct sites *s, json_t *o,
                        bool *chosen, site_function *each)
{
	int rc = FT_OK;
	size_t count = 0;
	for (size_t i = 0; rc >= 0 && i < s->count; i++) {
		rc = s->at[i].kind & t->kinds ? peft_modules_want(p, &s->at[i]) : 0;
		chosen[i] = rc > 0;
		count += chosen[i];
		if (rc > 0 && each)
			rc = each(p, o, &s->at[i]);
	}
	if (rc >= 0 && count == 0)
		return folder_fail(p->f, FT_EFORMAT, "target_modules: none is a module of the base that can have one");
	return rc < 0 ? rc : folder_sites(o, s, chosen);
}

static int translate_sites(const struct folder *f, const struct technique *t, const struct sites *s, json_t *o,
                           site_function *each)
{
	struct peft_modules p = { 0 };
	bool *chosen = ft_alloc(s->count, sizeof *chosen);
	int rc = chosen ? peft_modules_open(&p, f) : FT_EFAIL;
	rc = rc ? rc : choose_sites(&p, t, s, o, chosen, each);
	peft_modules_close(&p);
	free(chosen);
	return rc;
}

/* `bias` says which biases are in the file, too; these are read as any parameter is. */
static int check_bias(const struct folder *f, const char *only)
{
	int err = FT_OK;
	const char *bias = ft_json_str(f->config, "bias", "none", &err);
	if (err < 0)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (strcmp(bias, "none") && strcmp(bias, "all") && strcmp(bias, only))
		return folder_fail(f, FT_EFORMAT, "bias: '%.40s' is not none, all or %s", bias, only);
	return FT_OK;
}

/* ---- LoRA, DoRA ---- */

static const char *const known_lora[] = {
	"r", "lora_alpha", "lora_dropout", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora", "bias",
	"init_lora_weights", "eva_config", "loftq_config", "corda_config", "lora_ga_config", "megatron_core",
	"qalora_group_size", "trainable_token_indices", NULL
};
static const char *const neutral_lora[] = {
	"use_qalora", "use_bdlora", "lora_bias", "layer_replication", "target_parameters", "alora_invocation_tokens",
	"megatron_config", "arrow_config", "kasa_config", "velora_config", "monteclora_config", "ensure_weight_tying",
	"modules_to_tie", NULL
};

static int check_lora(const struct folder *f)
{
	static const char *const as_is[] = { "gaussian", "orthogonal", "eva", NULL };
	const json_t *init = json_object_get(f->config, "init_lora_weights");
	if (json_is_string(init) && !peft_is_in(json_string_value(init), as_is))
		return folder_fail(f, FT_EFORMAT, "init_lora_weights: '%.40s' changes the base, which is not supported; "
		                   "peft's save_pretrained() with path_initial_model_for_weight_conversion writes a plain LoRA",
		                   json_string_value(init));
	return check_bias(f, "lora_only");
}

static int read_lora(const struct folder *f, json_t *o)
{
	int err = FT_OK;
	int64_t r = ft_json_int(f->config, "r", 8, &err);
	double alpha = ft_json_real(f->config, "lora_alpha", 8, &err), p = ft_json_real(f->config, "lora_dropout", 0, &err);
	bool root = ft_json_bool(f->config, "use_rslora", false, &err),
	     lengths = ft_json_bool(f->config, "use_dora", false, &err);
	if (err < 0)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (r < 1)
		return folder_fail(f, FT_EFORMAT, "r: %lld", (long long)r);
	int rc = ft_json_set(o, "r", json_integer(r));
	rc = rc ? rc : ft_json_set(o, "alpha", json_real(alpha));
	rc = rc ? rc : ft_json_set(o, "dropout", json_real(p));
	rc = rc ? rc : ft_json_set(o, "dora", json_boolean(lengths));
	return rc ? rc : ft_json_set(o, "rslora", json_boolean(root));
}

static int lora_at(struct peft_modules *p, json_t *o, const struct site *s)
{
	if (s->kind == SITE_TABLE && peft_has_rows(p->f))
		return folder_fail(p->f, FT_EFORMAT,
		                   "trainable_token_indices: '%s' has a LoRA, beside which PEFT replaces no rows", s->file);
	double r = json_number_value(json_object_get(o, "r")), alpha = json_number_value(json_object_get(o, "alpha")),
	       n = 0;
	int rc = peft_pattern(p, "rank_pattern", s->file, r, &n);
	rc = rc ? rc : add_pattern(o, "r", s, r, n);
	rc = rc ? rc : peft_pattern(p, "alpha_pattern", s->file, alpha, &n);
	return rc ? rc : add_pattern(o, "alpha", s, alpha, n);
}

static int translate_lora(const struct folder *f, const struct sites *s, json_t *o)
{
	int rc = check_lora(f);
	rc = rc ? rc : read_lora(f, o);
	return rc ? rc : translate_sites(f, &technique_lora, s, o, lora_at);
}

const struct peft_type peft_lora = {
	.name = "LORA",
	.technique = &technique_lora,
	.known = known_lora,
	.neutral = neutral_lora,
	.translate = translate_lora,
};

/* ---- VeRA ---- */

static const char *const known_vera[] = {
	"r", "vera_dropout", "d_initial", "bias", "save_projection", "projection_prng_key", "init_weights", NULL
};

static int read_vera(const struct folder *f, json_t *o)
{
	int err = FT_OK;
	int64_t r = ft_json_int(f->config, "r", 256, &err);
	double p = ft_json_real(f->config, "vera_dropout", 0, &err), d = ft_json_real(f->config, "d_initial", 0.1, &err);
	bool saved = ft_json_bool(f->config, "save_projection", true, &err);
	if (err < 0)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (!saved)
		return folder_fail(f, FT_EFORMAT,
		                   "save_projection: false; vera_A and vera_B are not in the folder, and only PyTorch's "
		                   "random numbers would make them");
	int rc = ft_json_set(o, "r", json_integer(r));
	rc = rc ? rc : ft_json_set(o, "dropout", json_real(p));
	return rc ? rc : ft_json_set(o, "initial", json_real(d));
}

static int translate_vera(const struct folder *f, const struct sites *s, json_t *o)
{
	int rc = check_bias(f, "vera_only");
	rc = rc ? rc : read_vera(f, o);
	return rc ? rc : translate_sites(f, &technique_vera, s, o, NULL);
}

const struct peft_type peft_vera = {
	.name = "VERA",
	.technique = &technique_vera,
	.known = known_vera,
	.translate = translate_vera,
};

/* ---- IA3 ---- */

static const char *const known_ia3[] = { "feedforward_modules", "init_ia3_weights", NULL };

/* What feedforward_modules are given is multiplied, what others give. */
static int ia3_at(struct peft_modules *p, json_t *o, const struct site *s)
{
	int input = peft_modules_inside(p, s);
	return input < 0 ? input : add_pattern(o, "input", s, 0, input);
}

static int translate_ia3(const struct folder *f, const struct sites *s, json_t *o)
{
	int rc = ft_json_set(o, "input", json_integer(0));
	return rc ? rc : translate_sites(f, &technique_ia3, s, o, ia3_at);
}

const struct peft_type peft_ia3 = {
	.name = "IA3",
	.technique = &technique_ia3,
	.known = known_ia3,
	.translate = translate_ia3,
};
