/* export_adapterhub.c - a bottleneck adapter, and the head, as a folder that AdapterHub's library `adapters` loads
 * beside the base: what its save_adapter() writes with safetensors. One file more is ours, FT_ADAPTER_NOTE. */
#include "ft/err.h"
#include "ft/mem.h"
#include "export_adapterhub.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "adapters.1.3.0"

/* ---- what is attached where ---- */

static const char *text_of(const json_t *adapter, const char *key)
{
	return json_string_value(json_object_get(adapter, key));
}
static bool says(const json_t *adapter, const char *key, const char *name)
{
	const char *v = text_of(adapter, key);
	return v && strcmp(v, name) == 0;
}

/* Units of the adapter at a block, "attn" or "ffn"; 0: there is none. */
static int64_t units_at(const struct ft_model *m, const char *name, int64_t layer, const char *block)
{
	char *param = ft_format("layer.%lld.%s.%s.down.weight", (long long)layer, block, name);
	const struct ft_param *p = param ? ft_model_find(m, param) : NULL;
	free(param);
	return p ? p->t.rows : 0;
}

static int64_t count_layers(const struct ft_model *m)
{
	int64_t n = 0;
	for (size_t i = 0; i < ft_model_params(m); i++)
		if (strncmp(ft_model_param(m, i)->name, "layer.", 6) == 0 && ft_model_param(m, i)->layer >= n)
			n = ft_model_param(m, i)->layer + 1;
	return n;
}

static int64_t width_of(const struct ft_model *m) { return ft_model_find(m, "embed.word.weight")->t.cols; }

/* A factor that makes so many units of the width, as the library divides: a whole one where there is one. */
static double factor_of(double width, double units)
{
	double factor = floor(width / units);
	return factor > 0 && floor(width / factor) == units ? factor : width / (units + 0.5);
}

/* Its sites and widths, as the members mh_adapter, output_adapter, leave_out and reduction_factor say them. */
static int set_sites(const struct ft_model *m, const json_t *adapter, json_t *config)
{
	const char *name = text_of(adapter, "name");
	json_t *left = json_array(), *factors = json_object();
	int64_t layers = count_layers(m), usual = 0;
	bool attention = false, output = false, differ = false;
	int rc = ft_json_set(config, "leave_out", left);
	for (int64_t i = 0; i < layers; i++) {
		attention = attention || units_at(m, name, i, "attn");
		output = output || units_at(m, name, i, "ffn");
	}
	for (int64_t i = 0; rc == FT_OK && i < layers; i++) {
		int64_t a = units_at(m, name, i, "attn"), f = units_at(m, name, i, "ffn"), units = a ? a : f;
		char number[24];
		snprintf(number, sizeof number, "%lld", (long long)i);
		if (units && ((attention && a != units) || (output && f != units)))
			rc = ft_fail(FT_EUSAGE,
			             "%s: layer %lld has not the same adapter at attention and feed-forward blocks, which "
			             "AdapterHub's configuration cannot say",
			             ft_model_name(m), (long long)i);
		else if (units ? json_object_set_new(factors, number, json_real(factor_of((double)width_of(m), (double)units)))
		               : json_array_append_new(left, json_integer(i)))
			rc = ft_fail(FT_EFAIL, "out of memory for adapter_config.json");
		usual = usual ? usual : units;
		differ = differ || (units && units != usual);
	}
	rc = rc ? rc : ft_json_set(config, "mh_adapter", json_boolean(attention));
	rc = rc ? rc : ft_json_set(config, "output_adapter", json_boolean(output));
	rc = rc ? rc : ft_json_set(config, "reduction_factor", differ ? json_incref(factors)
	                                                   : json_real(factor_of((double)width_of(m), (double)usual)));
	json_decref(factors);
	return rc;
}

/* ---- adapter_config.json ---- */

static json_t *make_config(const struct ft_model *m, const json_t *adapter)
{
	bool parallel = says(adapter, "kind", "parallel"), mam = says(adapter, "init", "mam");
	json_t *o = json_pack(
		"{s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:s, s:O, s:O, s:n, s:b, s:b, s:b, s:f, s:n, s:n}", "non_linearity",
		text_of(adapter, "activation"), "original_ln_before", !parallel && !says(adapter, "sum", "after"),
		"original_ln_after", !says(adapter, "sum", "before"), "ln_before",
		json_is_true(json_object_get(adapter, "ln_before")), "ln_after", !says(adapter, "ln_after", "none"),
		"adapter_residual_before_ln", says(adapter, "ln_after", "outer"), "is_parallel", parallel, "init_weights",
		mam ? "mam_adapter" : "bert", "scaling", json_object_get(adapter, "scaling"), "dropout",
		json_object_get(adapter, "dropout"), "inv_adapter", "cross_adapter", false, "use_gating", false, "phm_layer",
		false, "stochastic_depth", 0.0, "inv_adapter_reduction_factor", "init_weights_seed");
	int rc = o ? FT_OK : ft_fail(FT_EFAIL, "out of memory for adapter_config.json");
	rc = rc ? rc : ft_json_set(o, "residual_before_ln", says(adapter, "residual", "sum") ? json_string("post_add")
	                                             : json_boolean(says(adapter, "residual", "block")));
	rc = rc ? rc : set_sites(m, adapter, o);
	if (rc == FT_OK)
		return o;
	json_decref(o);
	return NULL;
}

/* What both configurations say of the base. */
static json_t *make_around(const struct ft_model *m, const char *name)
{
	const json_t *config = json_object_get(ft_model_meta(m), "config");
	const char *class = ft_model_architecture(m), *end = strstr(class, "For");
	char *own = adapterhub_flex(m) ? ft_format("%.*sAdapterModel", (int)(end ? end - class : 0), class)
	                               : ft_strdup(class);
	json_t *o = json_pack("{s:O, s:I, s:s, s:s, s:s?, s:s}", "model_type", json_object_get(config, "model_type"),
	                      "hidden_size", (json_int_t)width_of(m), "model_name", ft_model_dir(m), "model_class",
	                      own ? own : "", "name", name, "version", VERSION);
	free(own);
	if (!o)
		ft_fail(FT_EFAIL, "out of memory for a configuration");
	return o;
}

static int save(const char *dir, const char *file, const json_t *o)
{
	char *path = ft_format("%s/%s", dir, file);
	int rc = path ? ft_json_save(path, o) : FT_EFAIL;
	free(path);
	return rc;
}

static int write_config(const struct ft_model *m, const char *dir, const json_t *adapter)
{
	json_t *config = make_config(m, adapter), *o = config ? make_around(m, text_of(adapter, "name")) : NULL;
	int rc = o ? ft_json_set(o, "config", json_incref(config)) : ft_last_error();
	rc = rc ? rc : save(dir, "adapter_config.json", o);
	json_decref(config);
	json_decref(o);
	return rc;
}

static int write_head_config(const struct ft_model *m, const char *dir, const char *adapter)
{
	const char *name = adapterhub_flex(m) ? adapterhub_flex_name(m, adapter) : NULL;
	json_t *o = make_around(m, name), *labels = json_object();
	int rc = o ? FT_OK : ft_last_error();
	for (size_t i = 0; rc == FT_OK && i < ft_model_outputs(m); i++) {
		char number[32];
		snprintf(number, sizeof number, "LABEL_%zu", i);
		const char *label = ft_model_label(m, i);
		rc = json_object_set_new(labels, label ? label : number, json_integer((json_int_t)i)) ? FT_EFAIL : FT_OK;
	}
	if (rc == FT_OK && !name && ft_model_outputs(m))
		rc = ft_json_set(o, "num_labels", json_integer((json_int_t)ft_model_outputs(m)));
	if (rc == FT_OK && !name)
		rc = ft_json_set(o, "label2id", json_incref(labels));
	rc = rc ? rc : ft_json_set(o, "config", name ? adapterhub_flex_config(m, labels) : json_null());
	rc = rc ? rc : save(dir, "head_config.json", o);
	json_decref(labels);
	json_decref(o);
	return rc;
}

/* ---- tensors ---- */
enum part { ADAPTER, HEAD, BASE };

/* A pooler that was trained goes with the head: the library loads what it finds there. */
static enum part part_of(const struct ft_param *p)
{
	static const char *const tops[] = { "head.", "transform." };
	for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
		if (!p->technique && strncmp(p->name, tops[i], strlen(tops[i])) == 0)
			return HEAD;
	bool pooler = strncmp(p->name, "pool.", 5) == 0 && (p->stored || p->fresh);
	return p->technique ? ADAPTER : pooler ? HEAD : BASE;
}

/* How many there are. */
static int write_tensors(const struct ft_model *m, const char *dir, const char *file, enum part part,
                         const char *adapter, enum ft_dtype dtype)
{
	size_t n = 0, all = ft_model_params(m);
	bool flex = part == HEAD && adapterhub_flex(m);
	struct ft_stored *t = ft_alloc(all, sizeof *t);
	const struct ft_param **of = ft_alloc(all, sizeof *of);
	char *path = ft_format("%s/%s", dir, file);
	int rc = t && of && path ? FT_OK : FT_EFAIL;
	for (size_t i = 0; rc == FT_OK && i < all; i++)
		if (part_of(ft_model_param(m, i)) == part) {
			of[n] = ft_model_param(m, i);
			rc = stored_make(of[n], dtype, &t[n]);
			if (rc == FT_OK && flex && !(t[n].name = adapterhub_flex_tensor(m, of[n], adapter)))
				rc = FT_EFAIL;
			n++;
		}
	if (rc == FT_OK && n)
		rc = ft_safetensors_write(path, t, n);
	for (size_t i = 0; i < n; i++) {
		if (t[i].data != of[i]->t.data)
			free((void *)(uintptr_t)t[i].data);
		if (flex)
			free((void *)(uintptr_t)t[i].name);
	}
	free(t);
	free(of);
	free(path);
	return rc ? rc : (int)n;
}

/* The one adapter; NULL with a reason: it is not one, or more than it has changed. */
static const json_t *find_adapter(const struct ft_model *m)
{
	const json_t *list = json_object_get(ft_model_meta(m), "adapt"), *adapter = json_array_get(list, 0);
	if (json_array_size(list) != 1 || !says(adapter, "type", "bottleneck")) {
		ft_fail(FT_EUSAGE,
		        "%s: AdapterHub's folder holds one bottleneck adapter (ft-freeze --bottleneck), and nothing else",
		        ft_model_name(m));
		return NULL;
	}
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		if (part_of(p) == BASE && p->stored) {
			ft_fail(FT_EUSAGE, "%s: '%s' was trained, too, which an adapter does not carry", ft_model_name(m), p->name);
			return NULL;
		}
	}
	return adapter;
}

static int write_adapterhub(const struct ft_model *m, const char *dir, enum ft_dtype dtype)
{
	const json_t *adapter = find_adapter(m);
	const char *name = adapter ? text_of(adapter, "name") : NULL;
	int rc = adapter ? adapterhub_flex_check(m) : ft_last_error();
	rc = rc ? rc : write_config(m, dir, adapter);
	rc = rc ? rc : write_tensors(m, dir, "adapter.safetensors", ADAPTER, name, dtype);
	rc = rc < 0 ? rc : write_tensors(m, dir, "model_head.safetensors", HEAD, name, dtype);
	if (rc > 0)
		rc = write_head_config(m, dir, name);
	return rc < 0 ? rc : adapter_note_write(m, dir);
}

const struct ft_format format_adapterhub = {
	.name = "adapterhub",
	.summary = "a folder of AdapterHub's adapters",
	.types = "f32, f16, bf16",
	.adapter = true,
	.write = write_adapterhub,
};
