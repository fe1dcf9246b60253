/* adapterhub.c - bottleneck adapters as AdapterHub's library `adapters` saves them (1.3; older files have fewer
 * members). The head lies beside the adapter in files of its own. What would change the mathematics and is not here is
 * an error; what nobody here has heard of is told. */
#include "folder.h"

#include "ft/cli.h"
#include "ft/mem.h"

#include <ctype.h>
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

/* id2label, from label2id. */
static int turn_labels(const json_t *said, json_t *config)
{
	json_t *labels = json_object(), *id;
	const char *label;
	int rc = labels ? FT_OK : ft_fail(FT_EFAIL, "out of memory for labels");
	json_int_t n = (json_int_t)json_object_size(json_object_get(said, "label2id")), i;
	json_object_foreach(json_object_get(said, "label2id"), label, id) {
		char key[32];
		i = json_typeof(id) == JSON_INTEGER ? json_integer_value(id) : -1;
		snprintf(key, sizeof key, "%lld", (long long)i);
		if (rc == FT_OK && (i < 0 || i >= n || json_object_get(labels, key)))
			rc = ft_fail(FT_EFORMAT, "label2id: '%.120s' has no number of its own from 0 to %lld", label,
			             (long long)n - 1);
		rc = rc ? rc : ft_json_set(labels, key, json_string(label));
	}
	if (rc == FT_OK && json_object_size(labels))
		return ft_json_set(config, "id2label", labels);
	json_decref(labels);
	return rc;
}

int adapterhub_head(const struct folder *f, const json_t *said, const char *class, json_t **head)
{
	json_t *config = json_pack("{s:[s], s:O?}", "architectures", class, "num_labels",
	                           json_object_get(said, "num_labels"));
	int rc = config ? turn_labels(said, config) : ft_fail(FT_EFAIL, "out of memory for a head");
	if (rc == FT_OK && !(*head = head_of_config(config)))
		rc = ft_last_error();
	json_decref(config);
	return rc < 0 ? ft_context(rc, "%s: %s", f->dir, f->kind->head_config) : FT_OK;
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
	return adapterhub_head(f, f->head, class, head);
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
static const char *const neutral[] = { "use_gating", "phm_layer", "inv_adapter", "invertible_adapter", "stochastic_depth",
	                               NULL };
static const char *const around[] = {
	"config", "hidden_size", "model_class", "model_name", "model_type", "name", "version", "type", "config_id", NULL
};

static bool is_neutral(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_NULL: case JSON_FALSE: return true;
	case JSON_INTEGER: case JSON_REAL: return json_number_value(v) == 0;
	default: return false;
	}
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
	const json_t *architecture = ft_json_get(config, "architecture");
	if (architecture)
		return folder_fail(f, FT_EFORMAT, "architecture: '%.40s' is not supported; bottleneck adapters are",
		                   json_typeof(architecture) == JSON_STRING ? json_string_value(architecture) : "?");
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

/* What stands beside the adapter in its own sum; NULL: nothing that is known. */
static const char *residual_of(const json_t *c)
{
	const json_t *v = json_object_get(c, "residual_before_ln");
	const char *text = json_string_value(v);
	if (!v || json_typeof(v) == JSON_TRUE)
		return "block";
	if (json_typeof(v) == JSON_FALSE)
		return "input";
	return text && strcmp(text, "post_add") == 0 ? "sum" : NULL;
}

/* Where sums and norms stand, as the technique's keys say it. */
static int set_order(const struct folder *f, const json_t *c, json_t *o)
{
	int err = FT_OK;
	bool parallel = ft_json_bool(c, "is_parallel", false, &err),
	     before = ft_json_bool(c, "original_ln_before", false, &err);
	bool after = ft_json_bool(c, "original_ln_after", true, &err), last = ft_json_bool(c, "ln_after", false, &err);
	bool outer = ft_json_bool(c, "adapter_residual_before_ln", false, &err),
	     first = ft_json_bool(c, "ln_before", false, &err);
	const char *residual = residual_of(c);
	if (err < 0)
		return ft_context(err, "%s: " FOLDER_CONFIG ": config", f->dir);
	if (!residual)
		return folder_fail(f, FT_EFORMAT, "residual_before_ln: not true, false or \"post_add\"");
	if (!after && (parallel || !before))
		return folder_fail(f, FT_EFORMAT, "original_ln_after: false leaves out what goes around the block");
	int rc = ft_json_set(o, "kind", json_string(parallel ? "parallel" : before ? "pfeiffer" : "houlsby"));
	rc = rc ? rc : ft_json_set(o, "sum", json_string(parallel || !before ? "after" : after ? "both" : "before"));
	rc = rc ? rc : ft_json_set(o, "residual", json_string(parallel ? "block" : residual));
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
		*at = (char)tolower((unsigned char)*at);
	int rc = lower ? ft_json_set(o, "activation", json_string(lower)) : FT_EFAIL;
	free(lower);
	rc = rc ? rc : ft_json_set(o, "dropout", json_real(dropout));
	return rc ? rc : ft_json_set(o, "scaling", scaling ? ft_json_deep_copy(scaling) : json_real(1));
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
		if (json_typeof(v) == JSON_INTEGER && json_integer_value(v) == layer)
			return true;
	return false;
}

/* The blocks, and how wide each is. */
static int choose_sites(const struct folder *f, const json_t *c, const struct sites *s, json_t *o, bool *chosen)
{
	int err = FT_OK;
	bool attention = ft_json_bool(c, "mh_adapter", false, &err),
	     output = ft_json_bool(c, "output_adapter", false, &err);
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
		if (rc == FT_OK && factor != usual)
			rc = ft_json_append(patterns, json_pack("[s,s,f]", "reduction", x->name, factor));
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
	if (rc == FT_OK)
		return ft_json_append(list, o);
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
	.check_files = adapterhub_check_files,
	.wants = adapterhub_wants,
	.place = adapterhub_place,
};
