/* export_peft.c - what techniques have added to a base, as a folder that PEFT loads beside it.
 *
 * What peft's save_pretrained() would write: adapter_config.json and adapter_model.safetensors, in which heads are
 * modules that are saved whole. One thing more is ours, FT_ADAPTER_NOTE.
 */
#include "ft/adapter.h"
#include "ft/err.h"
#include "ft/mem.h"
#include "priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "base_model.model."

/* ---- names of modules ---- */

/* A parameter's name without its last component. */
static char *module_of(const struct ft_param *p)
{
	const char *dot = strrchr(p->file, '.');
	return ft_strndup(p->file, dot ? (size_t)(dot - p->file) : strlen(p->file));
}

static bool ends_with(const char *module, const char *end)
{
	size_t n = strlen(module), k = strlen(end);
	return n >= k && strcmp(module + n - k, end) == 0 && (n == k || module[n - k - 1] == '.');
}

/* Its last n components. */
static const char *last_components(const char *module, int n)
{
	const char *at = module + strlen(module);
	for (; at > module; at--)
		if (at[-1] == '.' && --n == 0)
			break;
	return at;
}

static bool is_target(const struct ft_delta *d, size_t n, const char *module)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(d[i].module, module) == 0)
			return true;
	return false;
}

/* Whether PEFT would take the end of a name for nothing but modules that are targets: 1, 0, <0. */
static int says_only(const struct ft_model *m, const struct ft_delta *d, size_t n, const char *end)
{
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		char *module = module_of(p);
		bool other = module && !p->technique && ends_with(module, end) && !is_target(d, n, module);
		free(module);
		if (!module || other)
			return module ? 0 : FT_EFAIL;
	}
	return 1;
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A list of names, each once, sorted. */
static json_t *sorted_list(const char **names, size_t n)
{
	json_t *list = json_array();
	if (n)
		qsort(names, n, sizeof *names, compare_text);
	for (size_t i = 0; i < n; i++)
		if ((i == 0 || strcmp(names[i - 1], names[i]) != 0) && json_array_append_new(list, json_string(names[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* target_modules: the shortest ends of names that mean the same. */
static json_t *make_targets(const struct ft_model *m, const struct ft_delta *d, size_t n)
{
	const char **ends = ft_alloc(n, sizeof *ends);
	int rc = ends ? FT_OK : FT_EFAIL;
	for (size_t i = 0; i < n && rc >= 0; i++) {
		int parts = 0;
		do {
			ends[i] = last_components(d[i].module, ++parts);
			rc = ends[i] == d[i].module ? 1 : says_only(m, d, n, ends[i]);
		} while (rc == 0);
	}
	json_t *list = rc >= 0 ? sorted_list(ends, n) : NULL;
	free(ends);
	return list;
}

/* ---- adapter_config.json ---- */

/* PEFT adds these to modules_to_save of a task by itself, and loads nothing when one of them is missing. */
static const struct task {
	enum ft_task task;
	const char *name;
	bool classifies;
} tasks[] = {
	{ FT_TASK_CLASSIFY, "SEQ_CLS", true }, { FT_TASK_MULTILABEL, "SEQ_CLS", true }, { FT_TASK_REGRESS, "SEQ_CLS", true },
	{ FT_TASK_TAG, "TOKEN_CLS", true }, { FT_TASK_LM, "CAUSAL_LM", false },
	{ FT_TASK_NONE, "FEATURE_EXTRACTION", false }, { FT_TASK_EMBED, "FEATURE_EXTRACTION", false },
};

static const struct task *task_of(const struct ft_model *m)
{
	for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
		if (tasks[i].task == ft_model_task(m))
			return &tasks[i];
	return NULL;
}

/* The number of the last layer of the body. */
static int last_layer(const struct ft_model *m)
{
	int last = -1;
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		if (p->layer > last && strncmp(p->name, "layer.", 6) == 0)
			last = p->layer;
	}
	return last;
}

/* The module of a head, "classifier" of "classifier.out_proj.weight" and "pooler" of "bert.pooler.dense.bias": from
 * malloc. NULL with *rc FT_OK: it is none of a head. */
static char *head_module(const struct ft_model *m, const struct ft_param *p, int *rc)
{
	*rc = FT_OK;
	if (p->technique || p->layer <= last_layer(m))
		return NULL;
	const char *from = strstr(p->file, "pooler."); /* the one module of the top that has the family's prefix */
	from = from ? from : p->file;
	char *module = ft_strndup(from, strcspn(from, "."));
	*rc = module ? FT_OK : FT_EFAIL;
	return module;
}

static bool is_listed(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), name) == 0)
			return true;
	return false;
}

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);
	return n >= k && strcmp(s + n - k, end) == 0;
}

/* modules_to_save: those of the head that are not the base's, or that PEFT saves always. */
static json_t *make_saved(const struct ft_model *m)
{
	bool always = task_of(m) && task_of(m)->classifies;
	json_t *list = json_array();
	int rc = list ? FT_OK : FT_EFAIL;
	for (size_t i = 0; rc == FT_OK && i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		char *module = head_module(m, p, &rc);
		bool usual = module && always && (ends_in(module, "classifier") || ends_in(module, "score"));
		if (module && (usual || p->stored || p->fresh) && !is_listed(list, module) &&
		    json_array_append_new(list, json_string(module)) < 0)
			rc = FT_EFAIL;
		free(module);
	}
	if (rc == FT_OK)
		return list;
	json_decref(list);
	return NULL;
}

static int check_base(const struct ft_model *m)
{
	if (!ft_model_adapted(m))
		return ft_fail(FT_EUSAGE, "%s: nothing has been added to it (ft-freeze --lora); --to hf exports all of it",
		               ft_model_name(m));
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		int rc;
		char *module = head_module(m, p, &rc);
		bool words = module && ft_model_task(m) == FT_TASK_MLM && p->stored;
		bool base = !module && !p->technique && p->stored;
		free(module);
		if (rc < 0)
			return rc;
		if (base || words)
			return ft_fail(FT_EUSAGE, "%s: '%s' was trained, too, which an adapter does not carry; --to hf exports all of it",
			               ft_model_name(m), p->name);
	}
	return FT_OK;
}

/* The rank, or alpha, that most have. */
static double usual(const struct ft_delta *d, size_t n, bool rank)
{
	double best = 0;
	size_t most = 0;
	for (size_t i = 0; i < n; i++) {
		double v = rank ? (double)d[i].r : d[i].alpha;
		size_t count = 0;
		for (size_t k = 0; k < n; k++)
			count += (rank ? (double)d[k].r : d[k].alpha) == v;
		if (count > most) {
			most = count;
			best = v;
		}
	}
	return best;
}

/* A number as Python would write it: 16, not 16.0. */
static json_t *number_json(double v)
{
	return v == floor(v) && fabs(v) < 1e9 ? json_integer((json_int_t)v) : json_real(v);
}

/* rank_pattern and alpha_pattern: of the modules whose number is not the usual one. */
static json_t *make_pattern(const struct ft_delta *d, size_t n, bool rank)
{
	json_t *o = json_object();
	double absent = usual(d, n, rank);
	for (size_t i = 0; i < n; i++) {
		double v = rank ? (double)d[i].r : d[i].alpha;
		if (v != absent && json_object_set_new(o, d[i].module, number_json(v)) < 0) {
			json_decref(o);
			return NULL;
		}
	}
	return o;
}

/* All modules have one kind of scale: where they do not, b takes it. */
static bool same_root(struct ft_delta *d, size_t n)
{
	bool root = n && d[0].root, same = true;
	for (size_t i = 0; i < n; i++)
		same = same && d[i].root == root;
	for (size_t i = 0; i < n && !same; i++)
		ft_delta_fold(&d[i]);
	return same && root;
}

static int write_config(const struct ft_model *m, const char *dir, struct ft_delta *d, size_t n, const json_t *saved)
{
	const struct task *task = task_of(m);
	bool root = same_root(d, n), turned = false;
	for (size_t i = 0; i < n; i++)
		turned = turned || d[i].weight->turned;
	json_t *targets = make_targets(m, d, n);
	json_t *o = json_pack("{s:o, s:n, s:s, s:s, s:b, s:b, s:b, s:n, s:n, s:o, s:f}", "alpha_pattern",
	                      make_pattern(d, n, false), "auto_mapping", "base_model_name_or_path", ft_model_dir(m), "bias",
	                      "none", "fan_in_fan_out", turned, "inference_mode", true, "init_lora_weights", true,
	                      "layers_pattern", "layers_to_transform", "lora_alpha", number_json(usual(d, n, false)),
	                      "lora_dropout", n ? d[0].dropout : 0.0);
	int rc = o ? FT_OK : ft_fail(FT_EFAIL, "out of memory for adapter_config.json");
	rc = rc ? rc : ft_json_set(o, "modules_to_save", json_array_size(saved) ? json_deep_copy(saved) : json_null());
	rc = rc ? rc : ft_json_set(o, "peft_type", json_string("LORA"));
	rc = rc ? rc : ft_json_set(o, "r", number_json(usual(d, n, true)));
	rc = rc ? rc : ft_json_set(o, "rank_pattern", make_pattern(d, n, true));
	rc = rc ? rc : ft_json_set(o, "revision", json_null());
	rc = rc ? rc : ft_json_set(o, "target_modules", json_incref(targets));
	rc = rc ? rc : ft_json_set(o, "task_type", task ? json_string(task->name) : json_null());
	rc = rc ? rc : ft_json_set(o, "use_dora", json_false());
	rc = rc ? rc : ft_json_set(o, "use_rslora", json_boolean(root));
	char *path = ft_format("%s/adapter_config.json", dir);
	rc = rc ? rc : path ? ft_json_save(path, o) : FT_EFAIL;
	free(path);
	json_decref(targets);
	json_decref(o);
	return rc;
}

/* What the files of PEFT cannot say: which base it was, and what the outputs mean. */
int adapter_note_write(const struct ft_model *m, const char *dir)
{
	const json_t *meta = ft_model_meta(m);
	json_t *o = json_pack("{s:{s:O}, s:O}", "base", "digest", json_object_get(json_object_get(meta, "base"), "digest"),
	                      "head", json_object_get(meta, "head"));
	char *path = ft_format("%s/" FT_ADAPTER_NOTE, dir);
	int rc = o && path ? ft_json_save(path, o) : ft_fail(FT_EFAIL, "out of memory for " FT_ADAPTER_NOTE);
	free(path);
	json_decref(o);
	return rc;
}

/* ---- adapter_model.safetensors ---- */

struct tensors {
	struct ft_stored *at;
	size_t count, cap;
};

static void free_tensors(struct tensors *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free((void *)(uintptr_t)t->at[i].name);
		free((void *)(uintptr_t)t->at[i].data);
	}
	free(t->at);
}

/* A parameter under another name, with data of its own. */
static int add_tensor(struct tensors *all, const struct ft_param *p, const char *prefix, const char *name,
                      enum ft_dtype dtype)
{
	int rc = ft_grow(&all->at, &all->cap, all->count + 1, sizeof *all->at);
	if (rc < 0)
		return rc;
	struct ft_stored *t = &all->at[all->count];
	rc = stored_make(p, dtype, t);
	void *copy = t->data && t->data == p->t.data ? ft_alloc(1, t->bytes) : (void *)(uintptr_t)t->data;
	if (copy && copy != t->data)
		memcpy(copy, t->data, t->bytes);
	t->data = copy;
	t->name = ft_format("%s%s", prefix, name);
	all->count++;
	return rc ? rc : t->name && copy ? FT_OK : FT_EFAIL;
}

static int add_matrix(struct tensors *all, const char *module, const char *part, int64_t rows, int64_t cols, float *data,
                      enum ft_dtype dtype)
{
	char *name = ft_format("%s.%s", module, part);
	struct ft_param p = { .file = name, .rank = 2, .t = { .rows = rows, .cols = cols, .data = data } };
	int rc = name ? add_tensor(all, &p, PREFIX, name, dtype) : FT_EFAIL;
	free(name);
	return rc;
}

static int add_delta(struct tensors *all, const struct ft_delta *d, enum ft_dtype dtype)
{
	int64_t in = d->table ? d->weight->t.rows : d->weight->t.cols, out = d->table ? d->weight->t.cols : d->weight->t.rows;
	int rc = add_matrix(all, d->module, d->table ? "lora_embedding_A" : "lora_A.weight", d->r, in, d->a, dtype);
	return rc ? rc : add_matrix(all, d->module, d->table ? "lora_embedding_B" : "lora_B.weight", out, d->r, d->b, dtype);
}

/* Those of the head that are saved, to what is there. */
static int add_saved(struct tensors *all, const struct ft_model *m, const char *prefix, const json_t *saved,
                     enum ft_dtype dtype)
{
	int rc = FT_OK;
	for (size_t i = 0; i < ft_model_params(m) && rc == FT_OK; i++) {
		const struct ft_param *p = ft_model_param(m, i);
		char *module = head_module(m, p, &rc);
		if (module && is_listed(saved, module))
			rc = add_tensor(all, p, prefix, p->file, dtype);
		free(module);
	}
	return rc;
}

static int write_all(const struct tensors *all, const char *dir)
{
	char *path = ft_format("%s/adapter_model.safetensors", dir);
	int rc = path ? ft_safetensors_write(path, all->at, all->count) : FT_EFAIL;
	free(path);
	return rc;
}

static int write_tensors(const struct ft_model *m, const char *dir, const struct ft_delta *d, size_t n,
                         const json_t *saved, enum ft_dtype dtype)
{
	struct tensors all = { 0 };
	int rc = FT_OK;
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = add_delta(&all, &d[i], dtype);
	rc = rc ? rc : add_saved(&all, m, PREFIX, saved, dtype);
	rc = rc ? rc : write_all(&all, dir);
	free_tensors(&all);
	return rc;
}

/* ---- prompts and prefixes ---- */

static int write_virtual_config(const struct ft_model *m, const char *dir, const struct ft_virtual *v, const json_t *saved)
{
	const struct task *task = task_of(m);
	json_t *o = json_pack("{s:n, s:s, s:b, s:O?, s:I, s:I, s:i, s:I, s:s, s:n, s:s?, s:I}", "auto_mapping",
	                      "base_model_name_or_path", ft_model_dir(m), "inference_mode", true, "modules_to_save",
	                      json_array_size(saved) ? saved : NULL, "num_attention_heads", (json_int_t)v->heads, "num_layers",
	                      (json_int_t)v->layers, "num_transformer_submodules", 1, "num_virtual_tokens",
	                      (json_int_t)v->rows, "peft_type", v->keys ? "PREFIX_TUNING" : "PROMPT_TUNING", "revision",
	                      "task_type", task ? task->name : NULL, "token_dim", (json_int_t)v->width);
	int rc = o ? FT_OK : ft_fail(FT_EFAIL, "out of memory for adapter_config.json");
	rc = rc ? rc : ft_json_set(o, v->keys ? "prefix_projection" : "prompt_tuning_init",
	                           v->keys ? json_false() : json_string("RANDOM"));
	char *path = ft_format("%s/adapter_config.json", dir);
	rc = rc ? rc : path ? ft_json_save(path, o) : FT_EFAIL;
	free(path);
	json_decref(o);
	return rc;
}

static int write_virtual(const struct ft_model *m, const char *dir, const struct ft_virtual *v, enum ft_dtype dtype)
{
	static char name[] = "prompt_embeddings";
	struct ft_param p = { .file = name, .rank = 2, .t = { .rows = v->rows, .cols = v->cols, .data = v->data } };
	struct tensors all = { 0 };
	json_t *saved = make_saved(m);
	int rc = saved ? write_virtual_config(m, dir, v, saved) : ft_fail(FT_EFAIL, "out of memory for an adapter");
	rc = rc ? rc : add_tensor(&all, &p, "", name, dtype);
	rc = rc ? rc : add_saved(&all, m, "base_model.", saved, dtype);
	rc = rc ? rc : write_all(&all, dir);
	free_tensors(&all);
	json_decref(saved);
	return rc;
}

static int write_deltas(const struct ft_model *m, const char *dir, enum ft_dtype dtype)
{
	struct ft_delta *d = NULL;
	json_t *saved = NULL;
	size_t n = 0;
	int rc = ft_model_deltas(m, &d, &n);
	if (rc == FT_OK && !(saved = make_saved(m)))
		rc = ft_fail(FT_EFAIL, "out of memory for an adapter");
	rc = rc ? rc : write_config(m, dir, d, n, saved);
	rc = rc ? rc : write_tensors(m, dir, d, n, saved, dtype);
	ft_deltas_free(d, n);
	json_decref(saved);
	return rc;
}

static int write_peft(const struct ft_model *m, const char *dir, enum ft_dtype dtype)
{
	struct ft_virtual v = { 0 };
	int rc = check_base(m);
	int is_virtual = rc ? rc : ft_model_virtual(m, &v);
	rc = is_virtual < 0 ? is_virtual : is_virtual ? write_virtual(m, dir, &v, dtype) : write_deltas(m, dir, dtype);
	rc = rc ? rc : adapter_note_write(m, dir);
	rc = rc ? rc : tokenizer_export(m, dir);
	rc = rc ? rc : card_write(m, dir, dtype);
	free(v.data);
	return rc;
}

const struct ft_format format_peft = {
	.name = "peft",
	.summary = "a PEFT folder",
	.types = "f32, f16, bf16",
	.adapter = true,
	.write = write_peft,
};
