/* adapterhub.c - bottleneck adapters as AdapterHub's library `adapters` saves them (1.3; older files have fewer members).
 * The head lies beside the adapter in files of its own. What would change the mathematics and is not here is an error;
 * what nobody here has heard of is told. */
#include "folder.h"

#include "ft/cli.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_in(const char *key, const char *const *list)
{
	while (*list && strcmp(*list, key) != 0)
		list++;
	return *list != NULL;
}

/* ---- the head ---- */

json_t *adapterhub_config(const json_t *said, const char *class)
{
	json_t *config = json_pack("{s:[s], s:{}}", "architectures", class, "id2label");
	const json_t *n = json_object_get(said, "num_labels");
	const char *label;
	json_t *id;
	int rc = config ? 0 : -1;
	json_object_foreach(json_object_get(said, "label2id"), label, id) {
		char key[32];
		snprintf(key, sizeof key, "%lld", (long long)json_integer_value(id));
		rc |= json_object_set_new(json_object_get(config, "id2label"), key, json_string(label));
	}
	if (json_object_size(json_object_get(config, "id2label")) == 0)
		json_object_del(config, "id2label");
	if (json_is_integer(n))
		rc |= json_object_set(config, "num_labels", (json_t *)(uintptr_t)n);
	if (rc == 0)
		return config;
	ft_fail(FT_EFAIL, "out of memory for a head");
	json_decref(config);
	return NULL;
}

static int find_head(const struct folder *f, const struct ft_stored *last, json_t **head)
{
	(void)last;
	int err = FT_OK;
	const char *class = ft_json_str(f->head, "model_class", "", &err);
	if (err)
		return ft_context(err, "%s: %s", f->dir, f->kind->head_config);
	if (!f->head)
		return FT_OK;
	if (!*class)
		return ft_fail(FT_EFORMAT, "%s: %s: no model_class; without this file the adapter is read alone", f->dir,
		               f->kind->head_config);
	if (adapterhub_flexible(f))
		return adapterhub_find_flexible(f, head);
	json_t *config = adapterhub_config(f->head, class);
	*head = config ? head_of_config(config) : NULL;
	json_decref(config);
	return *head ? FT_OK : ft_last_error();
}

/* ---- its configuration ---- */

/* Read below, or of no effect on what these sites compute. */
static const char *const known[] = {
	"architecture", "mh_adapter", "output_adapter", "reduction_factor", "non_linearity", "original_ln_before",
	"original_ln_after", "ln_before", "ln_after", "init_weights", "init_weights_seed", "is_parallel", "scaling",
	"residual_before_ln", "adapter_residual_before_ln", "inv_adapter_reduction_factor", "cross_adapter", "leave_out", "dropout",
	"phm_dim", "factorized_phm_W", "shared_W_phm", "shared_phm_rule", "factorized_phm_rule", "phm_c_init", "phm_init_range",
	"learn_phm", "hypercomplex_nonlinearity", "phm_rank", "phm_bias", NULL
};
/* These must not be set. */
static const char *const neutral[] = { "use_gating", "phm_layer", "inv_adapter", "invertible_adapter", "stochastic_depth", NULL };
static const char *const around[] = {
	"config", "hidden_size", "model_class", "model_name", "model_type", "name", "version", "type", "config_id", NULL
};

static bool is_neutral(const json_t *v)
{
	return json_is_null(v) || json_is_false(v) || (json_is_number(v) && json_number_value(v) == 0);
}

static int check_keys(const struct folder *f, const json_t *config)
{
	const char *key;
	json_t *v;
	json_object_foreach(f->config, key, v)
		if (!is_in(key, around))
			ft_warn("%s: " FOLDER_CONFIG ": '%.60s' is not known, and passed over", f->dir, key);
	json_object_foreach((json_t *)(uintptr_t)config, key, v) {
		if (is_in(key, neutral) && !is_neutral(v))
			return folder_fail(f, FT_EFORMAT, "%s is set, which is not supported", key);
		if (!is_in(key, known) && !is_in(key, neutral) && !is_neutral(v))
			ft_warn("%s: " FOLDER_CONFIG ": '%.60s' is not known, and passed over", f->dir, key);
	}
	const json_t *architecture = json_object_get(config, "architecture");
	if (architecture && !json_is_null(architecture))
		return folder_fail(f, FT_EFORMAT, "architecture: '%.40s' is not supported; bottleneck adapters are",
		                   json_is_string(architecture) ? json_string_value(architecture) : "?");
	return FT_OK;
}

/* Files without a version are of the time when "gelu" was the tanh approximation. */
static const char *activation_of(const struct folder *f, const char *name)
{
	static const struct { const char *theirs, *older, *newer; } names[] = {
		{ "gelu", "gelu_new", "gelu" }, { "gelu_orig", "gelu", "gelu_orig" },
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(name, names[i].theirs) == 0)
			return json_object_get(f->config, "version") ? names[i].newer : names[i].older;
	return name;
}

/* Where sums and norms stand, as the technique's keys say it. */
static int set_order(const struct folder *f, const json_t *c, json_t *o)
{
	int err = FT_OK;
	bool parallel = ft_json_bool(c, "is_parallel", false, &err), before = ft_json_bool(c, "original_ln_before", false, &err);
	bool after = ft_json_bool(c, "original_ln_after", true, &err), last = ft_json_bool(c, "ln_after", false, &err);
	bool outer = ft_json_bool(c, "adapter_residual_before_ln", false, &err), first = ft_json_bool(c, "ln_before", false, &err);
	const json_t *residual = json_object_get(c, "residual_before_ln");
	bool sum = json_is_string(residual) && strcmp(json_string_value(residual), "post_add") == 0;
	if (err < 0)
		return ft_context(err, "%s: " FOLDER_CONFIG ": config", f->dir);
	if (residual && !json_is_boolean(residual) && !sum)
		return folder_fail(f, FT_EFORMAT, "residual_before_ln: not true, false or \"post_add\"");
	if (!after && (parallel || !before))
		return folder_fail(f, FT_EFORMAT, "original_ln_after: false leaves out what goes around the block");
	int rc = ft_json_set(o, "kind", json_string(parallel ? "parallel" : before ? "pfeiffer" : "houlsby"));
	rc = rc ? rc : ft_json_set(o, "sum", json_string(parallel || !before ? "after" : after ? "both" : "before"));
	rc = rc ? rc : ft_json_set(o, "residual", json_string(parallel || !residual || json_is_true(residual) ? "block"
	                                                      : sum ? "sum" : "input"));
	rc = rc ? rc : ft_json_set(o, "ln_before", json_boolean(first));
	return rc ? rc : ft_json_set(o, "ln_after", json_string(!last ? "none" : outer && !parallel ? "outer" : "inner"));
}

static int set_numbers(const struct folder *f, const json_t *c, json_t *o)
{
	int err = FT_OK;
	const json_t *scaling = json_object_get(c, "scaling");
	const char *activation = ft_json_str(c, "non_linearity", "relu", &err);
	double dropout = ft_json_real(c, "dropout", 0, &err);
	if (err < 0)
		return ft_context(err, "%s: " FOLDER_CONFIG ": config", f->dir);
	char *lower = ft_strdup(activation_of(f, activation));
	for (char *at = lower; at && *at; at++)
		*at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
	int rc = lower ? ft_json_set(o, "activation", json_string(lower)) : FT_EFAIL;
	free(lower);
	rc = rc ? rc : ft_json_set(o, "dropout", json_real(dropout));
	if (rc == FT_OK && scaling)
		rc = ft_json_set(o, "scaling", json_is_number(scaling) ? json_real(json_number_value(scaling)) : json_deep_copy(scaling));
	return rc ? rc : scaling ? FT_OK : ft_json_set(o, "scaling", json_real(1));
}

/* reduction_factor: a number, or one for each layer by its number, and "default" for others. */
static int reduction_of(const struct folder *f, const json_t *c, int layer, double *factor)
{
	const json_t *v = json_object_get(c, "reduction_factor");
	char number[16];
	snprintf(number, sizeof number, "%d", layer);
	if (json_is_object(v)) {
		const json_t *own = json_object_get(v, number);
		v = own ? own : json_object_get(v, "default");
	}
	*factor = json_number_value(v);
	if (!json_is_number(v) || !(*factor > 0))
		return folder_fail(f, FT_EFORMAT, "reduction_factor: no number above 0 for layer %d", layer);
	return FT_OK;
}

static bool is_left_out(const json_t *c, int layer)
{
	size_t i;
	json_t *v;
	json_array_foreach(json_object_get(c, "leave_out"), i, v)
		if (json_is_integer(v) && json_integer_value(v) == layer)
			return true;
	return false;
}

/* The blocks, and how wide each is. */
static int choose_sites(const struct folder *f, const json_t *c, const struct sites *s, json_t *o, bool *chosen)
{
	int err = FT_OK;
	bool attention = ft_json_bool(c, "mh_adapter", false, &err), output = ft_json_bool(c, "output_adapter", false, &err);
	if (err < 0)
		return ft_context(err, "%s: " FOLDER_CONFIG ": config", f->dir);
	json_t *patterns = json_array();
	int rc = ft_json_set(o, "patterns", patterns);
	size_t count = 0;
	double usual = 0;
	for (size_t i = 0; rc == FT_OK && i < s->count; i++) {
		const struct site *x = &s->at[i];
		double factor;
		bool at_attention = x->kind == SITE_BLOCK && strcmp(strrchr(x->name, '.'), ".attn") == 0;
		chosen[i] = x->kind == SITE_BLOCK && (at_attention ? attention : output) && !is_left_out(c, x->layer);
		if (!chosen[i])
			continue;
		rc = reduction_of(f, c, x->layer, &factor);
		if (rc == FT_OK && count++ == 0)
			rc = ft_json_set(o, "reduction", json_real(usual = factor));
		if (rc == FT_OK && factor != usual && json_array_append_new(patterns, json_pack("[s,s,f]", "reduction", x->name, factor)) < 0)
			rc = ft_fail(FT_EFAIL, "out of memory for patterns");
	}
	if (rc == FT_OK && count == 0)
		rc = folder_fail(f, FT_EFORMAT, "no block of the base has an adapter: mh_adapter, output_adapter, leave_out");
	return rc ? rc : folder_sites(o, s, chosen);
}

static int translate(const struct folder *f, const struct sites *s, json_t *list)
{
	const json_t *c = json_object_get(f->config, "config");
	const char *name = json_string_value(json_object_get(f->config, "name"));
	if (!json_is_object(c))
		return folder_fail(f, FT_EFORMAT, "config: not an object");
	if (!name)
		return folder_fail(f, FT_EFORMAT, "name: not a string");
	json_t *o = folder_technique(&technique_bottleneck);
	bool *chosen = ft_alloc(s->count, sizeof *chosen);
	int rc = o && chosen ? check_keys(f, c) : FT_EFAIL;
	rc = rc ? rc : ft_json_set(o, "name", json_string(name));
	rc = rc ? rc : set_order(f, c, o);
	rc = rc ? rc : set_numbers(f, c, o);
	rc = rc ? rc : choose_sites(f, c, s, o, chosen);
	free(chosen);
	if (rc == FT_OK && json_array_append(list, o) < 0)
		rc = ft_fail(FT_EFAIL, "out of memory for an adapter");
	json_decref(o);
	return rc;
}

/* Older files name the place twice: "output.layer_text_task_adapters.NAME". */
static void spell(char *name, bool *turned)
{
	static const char *const older[] = { ".attention_text_task_adapters.", ".attention_text_lang_adapters.",
		                             ".layer_text_task_adapters.", ".layer_text_lang_adapters." };
	static const char now[] = ".adapters.";
	*turned = false;
	for (size_t i = 0; i < sizeof older / sizeof *older; i++) {
		char *at = strstr(name, older[i]), *rest = at ? at + strlen(older[i]) : NULL;
		if (at) {
			memcpy(at, now, sizeof now - 1);
			memmove(at + sizeof now - 1, rest, strlen(rest) + 1);
		}
	}
}

const struct folder_kind folder_adapterhub = {
	.name = "AdapterHub",
	.mark = "model_class",
	.weights = "adapter.safetensors",
	.pickle = "pytorch_adapter.bin",
	.writes = "adapters' save_adapter() in Python, with use_safetensors=True,",
	.head_config = "head_config.json",
	.head_weights = "model_head.safetensors",
	.base = "model_name",
	.head = find_head,
	.translate = translate,
	.spell = spell,
	.check_head = adapterhub_check_head,
	.wants = adapterhub_wants,
	.place = adapterhub_place,
};
