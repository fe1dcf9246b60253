/* export_peft.c - what techniques have added to a base, as a folder that PEFT loads beside it.
 *
 * What peft's save_pretrained() would write: adapter_config.json and adapter_model.safetensors, in which heads are
 * modules that are saved whole. One thing more is ours, FT_ADAPTER_NOTE.
 */
#include "export_peft.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- heads ---- */

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
		if (module && !peft_by_rows(m, p) && (usual || p->stored || p->fresh) && !is_listed(list, module) &&
		    json_array_append_new(list, json_string(module)) < 0)
			rc = FT_EFAIL;
		free(module);
	}
	if (rc == FT_OK)
		return list;
	json_decref(list);
	return NULL;
}

/* Nothing has been added to the base, and no word's vector is another. */
static bool is_base(const struct ft_model *m)
{
	for (size_t i = 0; i < ft_model_params(m); i++)
		if (peft_by_rows(m, ft_model_param(m, i)))
			return false;
	return !ft_model_adapted(m);
}

static int check_base(const struct ft_model *m)
{
	if (is_base(m))
		return ft_fail(FT_EUSAGE, "%s: nothing has been added to it (ft-freeze --lora); --to hf exports all of it",
		               ft_model_name(m));
	for (size_t i = 0; i < ft_model_params(m); i++) {
		const struct ft_param *p = ft_model_param(m, i);
		int rc;
		char *module = head_module(m, p, &rc);
		bool words = module && ft_model_task(m) == FT_TASK_MLM && p->stored;
		bool base = !module && !p->technique && p->stored && !peft_by_rows(m, p);
		bool alone = module && !ft_model_adapted(m) && (p->stored || p->fresh) && !peft_by_rows(m, p);
		free(module);
		if (rc < 0)
			return rc;
		if (alone)
			return ft_fail(FT_EUSAGE,
			               "%s: '%s' was trained, too, for which PEFT has no place beside words alone (--lora makes "
			               "one); --to hf exports all of it",
			               ft_model_name(m), p->name);
		if (base || words)
			return ft_fail(FT_EUSAGE,
			               "%s: '%s' was trained, too, which an adapter does not carry; --to hf exports all of it",
			               ft_model_name(m), p->name);
	}
	return FT_OK;
}

/* ---- adapter_config.json ---- */

/* What every method's says. */
static json_t *begin_config(const struct ft_model *m, const json_t *saved)
{
	const struct task *task = task_of(m);
	return json_pack("{s:n, s:s, s:b, s:O?, s:n, s:s?}", "auto_mapping", "base_model_name_or_path", ft_model_dir(m),
	                 "inference_mode", true, "modules_to_save", json_array_size(saved) ? saved : NULL, "revision",
	                 "task_type", task ? task->name : NULL);
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* With its members sorted, as PEFT has them. */
static int write_config(const json_t *config, const char *dir)
{
	size_t n = 0;
	const char *key, **keys = ft_alloc(json_object_size(config), sizeof *keys);
	json_t *v, *sorted = json_object();
	int rc = !keys ? FT_EFAIL : sorted ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a configuration");
	json_object_foreach((json_t *)(uintptr_t)config, key, v)
		if (keys)
			keys[n++] = key;
	if (n)
		qsort(keys, n, sizeof *keys, compare_text);
	for (size_t i = 0; rc == FT_OK && i < n; i++)
		rc = ft_json_set(sorted, keys[i], json_incref(json_object_get(config, keys[i])));
	char *path = ft_format("%s/adapter_config.json", dir);
	rc = rc ? rc : path ? ft_json_save(path, sorted) : FT_EFAIL;
	free(path);
	free(keys);
	json_decref(sorted);
	return rc;
}

/* What the files of PEFT cannot say: which base it was, what the outputs mean, and which tokens were added. */
int adapter_note_write(const struct ft_model *m, const char *dir)
{
	const json_t *meta = ft_model_meta(m);
	json_t *o = json_pack("{s:{s:O}, s:O, s:O*}", "base", "digest",
	                      json_object_get(json_object_get(meta, "base"), "digest"), "head",
	                      json_object_get(meta, "head"), "tokens", json_object_get(meta, "tokens"));
	char *path = ft_format("%s/" FT_ADAPTER_NOTE, dir);
	int rc = o && path ? ft_json_save(path, o) : ft_fail(FT_EFAIL, "out of memory for " FT_ADAPTER_NOTE);
	free(path);
	json_decref(o);
	return rc;
}

/* ---- adapter_model.safetensors ---- */

static void free_tensors(struct peft_out *o)
{
	for (size_t i = 0; i < o->count; i++) {
		free((void *)(uintptr_t)o->tensors[i].name);
		free((void *)(uintptr_t)o->tensors[i].data);
	}
	free(o->tensors);
}

int peft_tensor(struct peft_out *o, const struct ft_param *p, const char *prefix, const char *name)
{
	int rc = ft_grow(&o->tensors, &o->cap, o->count + 1, sizeof *o->tensors);
	if (rc < 0)
		return rc;
	struct ft_stored *t = &o->tensors[o->count];
	rc = stored_make(p, o->dtype, t);
	void *copy = t->data && t->data == p->t.data ? ft_alloc(1, t->bytes) : (void *)(uintptr_t)t->data;
	if (copy && copy != t->data)
		memcpy(copy, t->data, t->bytes);
	t->data = copy;
	t->name = ft_format("%s%s", prefix, name);
	o->count++;
	return rc ? rc : t->name && copy ? FT_OK : FT_EFAIL;
}

/* Those of the head that are saved. */
static int put_saved(struct peft_out *o, const char *prefix, const json_t *saved)
{
	int rc = FT_OK;
	for (size_t i = 0; i < ft_model_params(o->m) && rc == FT_OK; i++) {
		const struct ft_param *p = ft_model_param(o->m, i);
		char *module = head_module(o->m, p, &rc);
		if (module && is_listed(saved, module))
			rc = peft_tensor(o, p, prefix, p->file);
		free(module);
	}
	return rc;
}

static int write_tensors(const struct peft_out *o, const char *dir)
{
	char *path = ft_format("%s/adapter_model.safetensors", dir);
	int rc = path ? ft_safetensors_write(path, o->tensors, o->count) : FT_EFAIL;
	free(path);
	return rc;
}

/* ---- all of it ---- */

/* The one technique that there is, when it is of this type. */
static bool is_only(const struct ft_model *m, const char *type)
{
	const json_t *list = json_object_get(ft_model_meta(m), "adapt");
	const char *first = json_string_value(json_object_get(json_array_get(list, 0), "type"));
	return json_array_size(list) == 1 && first && strcmp(first, type) == 0;
}

/* Of PEFT's methods LoRA alone goes together with words, where it is not at these itself. */
static int put_words(struct peft_out *o, const struct peft_rows *r)
{
	bool other = is_only(o->m, "ia3") || is_only(o->m, "vera") || is_only(o->m, "prompt") || is_only(o->m, "prefix");
	for (size_t i = 0; i < ft_model_params(o->m); i++) {
		const struct ft_param *p = ft_model_param(o->m, i);
		other = other || (p->technique && strncmp(p->name, "embed.word.", strlen("embed.word.")) == 0);
	}
	if (r->count == 0)
		return FT_OK;
	if (!other)
		return peft_put_rows(o, r);
	return ft_fail(FT_EUSAGE,
	               "%s: some words have other vectors, for which PEFT has a place beside LoRA at linear layers "
	               "alone; --to hf exports all of it",
	               ft_model_name(o->m));
}

/* What was added, and the head. Of a prompt or a prefix the base is not wrapped. */
static int put_all(struct peft_out *o, const json_t *saved)
{
	if (!ft_model_adapted(o->m))
		return peft_put_tokens(o, &o->rows);
	struct ft_virtual v = { 0 };
	int is_virtual = ft_model_virtual(o->m, &v);
	int rc = is_virtual < 0           ? is_virtual
	         : is_virtual             ? peft_put_virtual(o, &v)
	         : is_only(o->m, "ia3")   ? peft_put_ia3(o)
	         : is_only(o->m, "vera")  ? peft_put_vera(o) : peft_put_deltas(o);
	free(v.data);
	rc = rc ? rc : put_words(o, &o->rows);
	return rc ? rc : put_saved(o, is_virtual ? "base_model." : PEFT_PREFIX, saved);
}

static int write_adapter(const struct ft_model *m, const char *dir, enum ft_dtype dtype)
{
	struct peft_out o = { .m = m, .dtype = dtype };
	json_t *saved = make_saved(m);
	o.config = saved ? begin_config(m, saved) : NULL;
	int rc = o.config ? peft_find_rows(m, &o.rows) : ft_fail(FT_EFAIL, "out of memory for an adapter");
	rc = rc ? rc : put_all(&o, saved);
	rc = rc ? rc : write_config(o.config, dir);
	rc = rc ? rc : write_tensors(&o, dir);
	free_tensors(&o);
	peft_free_rows(&o.rows);
	json_decref(o.config);
	json_decref(saved);
	return rc;
}

static int write_peft(const struct ft_model *m, const char *dir, enum ft_dtype dtype)
{
	int rc = head_has_class(m);
	rc = rc ? rc : check_base(m);
	rc = rc ? rc : write_adapter(m, dir, dtype);
	rc = rc ? rc : adapter_note_write(m, dir);
	rc = rc ? rc : tokenizer_export(m, dir);
	return rc ? rc : card_write(m, dir, dtype);
}

const struct ft_format format_peft = {
	.name = "peft",
	.words = true,
	.summary = "a PEFT folder",
	.types = "f32, f16, bf16",
	.adapter = true,
	.write = write_peft,
};
