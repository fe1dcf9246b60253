/* peft.c - what the adapter_config.json of PEFT's folders says (peft 0.21's LoraConfig; older files have fewer
 * members). What is known and changes nothing is passed over; what would change the mathematics and is not here is an
 * error; what nobody here has heard of is told. */
#include "folder.h"

#include "ft/cli.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

static const char type_lora[] = "LORA";

/* Of every type: read elsewhere here, or of no effect on what a trained adapter computes. */
static const char *const known[] = {
	"peft_type", "task_type", "base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "peft_version",
	"target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern", "runtime_config",
	"fan_in_fan_out", /* how the base holds its weights, which we know */
	NULL
};
static const char *const known_lora[] = {
	"r", "lora_alpha", "lora_dropout", "rank_pattern", "alpha_pattern", "use_rslora", "bias", "init_lora_weights",
	"eva_config", "loftq_config", "corda_config", "lora_ga_config", "megatron_core", "qalora_group_size", NULL
};
/* These must not be set. */
static const char *const neutral_lora[] = {
	"use_dora", "use_qalora", "use_bdlora", "lora_bias", "layer_replication", "target_parameters",
	"trainable_token_indices", "alora_invocation_tokens", "megatron_config", "arrow_config", "kasa_config",
	"velora_config", "monteclora_config", "ensure_weight_tying", "modules_to_tie", NULL
};

static bool is_in(const char *key, const char *const *list)
{
	while (*list && strcmp(*list, key) != 0)
		list++;
	return *list != NULL;
}

static bool is_neutral(const json_t *v)
{
	return !v || json_is_null(v) || json_is_false(v) || (json_is_array(v) && json_array_size(v) == 0) ||
	       (json_is_object(v) && json_object_size(v) == 0);
}

static int check_keys(const struct folder *f, const char *const *of_type, const char *const *neutral)
{
	const char *key;
	json_t *v;
	json_object_foreach(f->config, key, v) {
		if (is_in(key, neutral) && !is_neutral(v))
			return folder_fail(f, FT_EFORMAT, "%s is set, which is not supported", key);
		if (!is_in(key, known) && !is_in(key, of_type) && !is_in(key, neutral) && !is_neutral(v))
			ft_warn("%s: " FOLDER_CONFIG ": '%.60s' is not known, and passed over", f->dir, key);
	}
	return FT_OK;
}

/* ---- the head ---- */

static json_t *rows_head(const struct ft_stored *last)
{
	int64_t outputs = last && last->rank == 2 ? last->shape[0] : 0;
	const char *type = outputs == 1 ? head_regress.name : head_classify.name;
	return outputs ? json_pack("{s:s, s:I}", "type", type, "outputs", (json_int_t)outputs) : NULL;
}

static int find_head(const struct folder *f, const struct ft_stored *last, json_t **head)
{
	int err = FT_OK;
	const char *task = ft_json_str(f->config, "task_type", "", &err);
	if (err)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (!strcmp(task, "SEQ_CLS") || (!*task && last)) {
		*head = rows_head(last);
	} else if (!strcmp(task, "TOKEN_CLS")) {
		*head = rows_head(last);
		if (*head && ft_json_set(*head, "type", json_string(head_tag.name)) < 0)
			return FT_EFAIL;
	} else if (!strcmp(task, "CAUSAL_LM")) {
		*head = json_pack("{s:s}", "type", head_lm.name);
	} else if (!strcmp(task, "FEATURE_EXTRACTION")) {
		*head = json_pack("{s:s}", "type", head_none.name);
	} else if (*task) {
		return folder_fail(f, FT_EFORMAT, "task_type: '%.40s' is not supported", task);
	}
	return FT_OK;
}

/* ---- LoRA ---- */

static int check_lora(const struct folder *f)
{
	static const char *const as_is[] = { "gaussian", "orthogonal", "eva", NULL };
	const json_t *init = json_object_get(f->config, "init_lora_weights");
	int err = FT_OK;
	const char *bias = ft_json_str(f->config, "bias", "none", &err);
	int rc = check_keys(f, known_lora, neutral_lora);
	if (rc < 0 || err < 0)
		return rc ? rc : ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (strcmp(bias, "none") && strcmp(bias, "all") && strcmp(bias, "lora_only"))
		return folder_fail(f, FT_EFORMAT, "bias: '%.40s' is not none, all or lora_only", bias);
	if (json_is_string(init) && !is_in(json_string_value(init), as_is))
		return folder_fail(f, FT_EFORMAT, "init_lora_weights: '%.40s' changes the base, which is not supported; "
		                   "peft's save_pretrained() with path_initial_model_for_weight_conversion writes a plain LoRA",
		                   json_string_value(init));
	return FT_OK;
}

/* A number of a site that is not the one of all. */
static int add_pattern(json_t *o, const char *key, const struct site *s, double usual, double number)
{
	json_t *patterns = json_object_get(o, "patterns");
	if (number == usual)
		return FT_OK;
	if (!patterns && ft_json_set(o, "patterns", patterns = json_array()) < 0)
		return FT_EFAIL;
	return json_array_append_new(patterns, json_pack("[s,s,f]", key, s->name, number)) < 0
	               ? ft_fail(FT_EFAIL, "out of memory for patterns") : FT_OK;
}

static int choose_sites(struct peft_modules *p, const struct sites *s, json_t *o, bool *chosen)
{
	double r = json_number_value(json_object_get(o, "r")), alpha = json_number_value(json_object_get(o, "alpha")), n = 0;
	int rc = FT_OK;
	size_t count = 0;
	for (size_t i = 0; rc >= 0 && i < s->count; i++) {
		rc = s->at[i].kind & technique_lora.kinds ? peft_modules_want(p, &s->at[i]) : 0;
		chosen[i] = rc > 0;
		count += chosen[i];
		if (rc <= 0)
			continue;
		rc = peft_pattern(p, "rank_pattern", s->at[i].file, r, &n);
		rc = rc ? rc : add_pattern(o, "r", &s->at[i], r, n);
		rc = rc ? rc : peft_pattern(p, "alpha_pattern", s->at[i].file, alpha, &n);
		rc = rc ? rc : add_pattern(o, "alpha", &s->at[i], alpha, n);
	}
	if (rc >= 0 && count == 0)
		return folder_fail(p->f, FT_EFORMAT, "target_modules: none is a module of the base that can have one");
	return rc < 0 ? rc : folder_sites(o, s, chosen);
}

static int read_numbers(const struct folder *f, json_t *o)
{
	int err = FT_OK;
	int64_t r = ft_json_int(f->config, "r", 8, &err);
	double alpha = ft_json_real(f->config, "lora_alpha", 8, &err), p = ft_json_real(f->config, "lora_dropout", 0, &err);
	bool root = ft_json_bool(f->config, "use_rslora", false, &err);
	if (err < 0)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (r < 1)
		return folder_fail(f, FT_EFORMAT, "r: %lld", (long long)r);
	int rc = ft_json_set(o, "r", json_integer(r));
	rc = rc ? rc : ft_json_set(o, "alpha", json_real(alpha));
	rc = rc ? rc : ft_json_set(o, "dropout", json_real(p));
	return rc ? rc : ft_json_set(o, "rslora", json_boolean(root));
}

static int translate_lora(const struct folder *f, const struct sites *s, json_t *list)
{
	struct peft_modules p = { 0 };
	json_t *o = folder_technique(&technique_lora);
	bool *chosen = ft_alloc(s->count, sizeof *chosen);
	int rc = o && chosen ? check_lora(f) : FT_EFAIL;
	rc = rc ? rc : read_numbers(f, o);
	rc = rc ? rc : peft_modules_open(&p, f);
	rc = rc ? rc : choose_sites(&p, s, o, chosen);
	peft_modules_close(&p);
	free(chosen);
	if (rc == FT_OK && json_array_append(list, o) < 0)
		rc = ft_fail(FT_EFAIL, "out of memory for an adapter");
	json_decref(o);
	return rc;
}

static int translate(const struct folder *f, const struct sites *s, json_t *list)
{
	int err = FT_OK;
	const char *type = ft_json_str(f->config, "peft_type", "", &err);
	if (err)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (strcmp(type, type_lora) == 0)
		return translate_lora(f, s, list);
	const struct technique *t = strcmp(type, "PROMPT_TUNING") == 0   ? &technique_prompt
	                            : strcmp(type, "PREFIX_TUNING") == 0 ? &technique_prefix : NULL;
	if (!t)
		return folder_fail(f, FT_EFORMAT, "peft_type: '%.40s' is not supported; %s, PROMPT_TUNING and PREFIX_TUNING are",
		                   type, type_lora);
	int rc = check_keys(f, peft_known_virtual, (const char *const[]){ NULL });
	return rc ? rc : peft_virtual(f, t, list);
}

/* ---- names of tensors ---- */

/* Takes out what is between two dots, "" or "x.", wherever it stands. */
static void cut_out(char *name, const char *part)
{
	size_t n = strlen(part);
	for (char *at; (at = strstr(name, part)) && (at[n] == '.' || !at[n]);)
		memmove(at, at + n, strlen(at + n) + 1);
}

/* Files of transformers, and of older versions, have the adapter's name behind its part: "lora_A.default.weight". */
static void cut_name(char *name)
{
	static const struct { const char *part, *end; } parts[] = {
		{ ".lora_A.", ".weight" }, { ".lora_B.", ".weight" }, { ".lora_embedding_A.", "" }, { ".lora_embedding_B.", "" },
	};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		char *at = strstr(name, parts[i].part);
		char *own = at ? at + strlen(parts[i].part) : NULL;
		char *end = !own ? NULL : *parts[i].end ? strrchr(own, '.') : own + strlen(own);
		if (end && end > own && strcmp(end, parts[i].end) == 0)
			memmove(own - 1, end, strlen(end) + 1);
	}
}

static void spell(char *name, bool *turned)
{
	/* Of a prompt or a prefix the base is not wrapped. */
	static const char *const prefixes[] = { "base_model.model.", "base_model." };
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		size_t n = strlen(prefixes[i]);
		if (strncmp(name, prefixes[i], n) == 0)
			memmove(name, name + n, strlen(name + n) + 1);
	}
	cut_out(name, ".modules_to_save.default");
	cut_out(name, ".modules_to_save");
	cut_out(name, ".base_layer");
	cut_name(name);
	*turned = false;
}

const struct folder_kind folder_peft = {
	.name = "PEFT",
	.mark = "peft_type",
	.weights = "adapter_model.safetensors",
	.pickle = "adapter_model.bin",
	.writes = "peft's save_pretrained() in Python",
	.base = "base_model_name_or_path",
	.head = find_head,
	.translate = translate,
	.spell = spell,
	.saves = peft_saves,
};
