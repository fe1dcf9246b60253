/* peft.c - what the adapter_config.json of PEFT's folders says (as of peft 0.21; older files have fewer members). What
 * is known and changes nothing is passed over; what would change the mathematics and is not here is an error; what
 * nobody here has heard of is told. */
#include "folder.h"

#include "ft/cli.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

/* Of every type: read elsewhere here, or of no effect on what a trained adapter computes. */
static const char *const known[] = {
	"peft_type", "task_type", "base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "peft_version",
	"target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern", "runtime_config",
	"fan_in_fan_out", /* how the base holds its weights, which we know */
	NULL
};

bool peft_is_in(const char *key, const char *const *list)
{
	while (list && *list && strcmp(*list, key) != 0)
		list++;
	return list && *list;
}

static bool is_neutral(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_NULL: case JSON_FALSE: return true;
	case JSON_ARRAY: return json_array_size(v) == 0;
	case JSON_OBJECT: return json_object_size(v) == 0;
	default: return false;
	}
}

static int check_keys(const struct folder *f, const struct peft_type *type)
{
	const char *key;
	json_t *v;
	json_object_foreach(f->config, key, v) {
		if (is_neutral(v) || peft_is_in(key, known) || peft_is_in(key, type->known))
			continue;
		if (peft_is_in(key, type->neutral))
			return folder_fail(f, FT_EFORMAT, "%s is set, which is not supported", key);
		ft_warn("%s: " FOLDER_CONFIG ": '%.60s' is not known, and passed over", f->dir, key);
	}
	return FT_OK;
}

/* ---- the head ---- */

/* `outputs` 0: it has none to say. */
static int make_head(const char *type, int64_t outputs, json_t **head)
{
	*head = json_pack("{s:s}", "type", type);
	int rc = *head ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a head");
	return rc == FT_OK && outputs ? ft_json_set(*head, "outputs", json_integer(outputs)) : rc;
}

/* `type` NULL: of rows. Without a classifier it does not say. */
static int classifier_head(const struct ft_stored *last, const char *type, json_t **head)
{
	int64_t outputs = last && last->rank == 2 ? last->shape[0] : 0;
	if (!type)
		type = outputs == 1 ? head_regress.name : head_classify.name;
	return outputs ? make_head(type, outputs, head) : FT_OK;
}

static int find_head(const struct folder *f, const struct ft_stored *last, json_t **head)
{
	int err = FT_OK;
	const char *task = ft_json_str(f->config, "task_type", "", &err);
	if (err)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (!*task || !strcmp(task, "SEQ_CLS"))
		return classifier_head(last, NULL, head);
	if (!strcmp(task, "TOKEN_CLS"))
		return classifier_head(last, head_tag.name, head);
	if (!strcmp(task, "CAUSAL_LM"))
		return make_head(head_lm.name, 0, head);
	if (!strcmp(task, "FEATURE_EXTRACTION"))
		return make_head(head_none.name, 0, head);
	return folder_fail(f, FT_EFORMAT, "task_type: '%.40s' is not supported", task);
}

/* ---- techniques ---- */

static const struct peft_type *const types[] = { &peft_lora, &peft_vera, &peft_ia3, &peft_prompt, &peft_prefix,
                                                &peft_tokens };

static int unknown_type(const struct folder *f, const char *name)
{
	struct ft_buf names = { 0 };
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < sizeof types / sizeof *types; i++)
		rc = ft_buf_printf(&names, " %s", types[i]->name);
	if (rc == FT_OK)
		rc = folder_fail(f, FT_EFORMAT, "peft_type: '%.40s' is not supported; supported:%.*s", name, (int)names.len,
		                 (const char *)names.data);
	ft_buf_free(&names);
	return rc;
}

static int translate(const struct folder *f, const struct sites *s, json_t *list)
{
	int err = FT_OK;
	const char *name = ft_json_str(f->config, "peft_type", "", &err);
	const struct peft_type *type = NULL;
	if (err)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(name, types[i]->name) == 0)
			type = types[i];
	if (!type)
		return unknown_type(f, name);
	json_t *o = type->technique ? folder_technique(type->technique) : json_object();
	int rc = o ? check_keys(f, type) : ft_fail(FT_EFAIL, "out of memory for an adapter");
	rc = rc ? rc : peft_check_saved(f);
	rc = rc ? rc : type->translate(f, s, o);
	if (rc == FT_OK && type->technique)
		return ft_json_append(list, o);
	json_decref(o);
	return rc;
}

/* ---- names of tensors ---- */

/* Takes out ".part." but for its last dot, wherever it stands. */
static void cut_out(char *name, const char *part)
{
	size_t n = strlen(part) - 1;
	for (char *at; (at = strstr(name, part));)
		memmove(at, at + n, strlen(at + n) + 1);
}

/* Files of transformers, and of older versions, have the adapter's name behind its part: "lora_A.default.weight". */
static void cut_name(char *name)
{
	static const struct { const char *part, *end; } parts[] = {
		{ ".lora_A.", ".weight" }, { ".lora_B.", ".weight" }, { ".lora_embedding_A.", "" }, { ".lora_embedding_B.", "" },
		{ ".lora_magnitude_vector.", "" }, { ".ia3_l.", "" }, { ".vera_lambda_b.", "" },
		{ ".vera_lambda_d.", "" }, { ".trainable_tokens_delta.", "" },
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
	cut_out(name, ".modules_to_save.default.");
	cut_out(name, ".modules_to_save.");
	cut_out(name, ".base_layer.");
	cut_out(name, ".token_adapter.");
	cut_name(name);
	*turned = false;
}

static bool wants(const struct ft_model *m, const struct folder *f, const struct ft_param *p)
{
	return peft_saves(f, p->file) || peft_wants_rows(m, f, p);
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
	.wants = wants,
};
