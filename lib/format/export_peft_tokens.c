/* export_peft_tokens.c - rows of the table of words that are not the base's, as PEFT replaces them:
 * trainable_token_indices beside a LoRA, or its method TRAINABLE_TOKENS where nothing else was added. What decodes has
 * such rows, too: those of the table where the base shares it, its own where it has one. */
#include "export_peft.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

static const char delta[] = "trainable_tokens_delta", beside[] = "token_adapter.trainable_tokens_delta";

static bool has_new(const struct ft_model *m) { return json_object_get(ft_model_meta(m), "tokens") != NULL; }

static bool too_many(const struct ft_param *p, size_t n) { return n > (size_t)p->t.rows / 2; }

/* Some of its rows are others, and not most. */
static bool has_some(const struct ft_model *m, const struct ft_param *p)
{
	int64_t *rows = NULL;
	size_t n = 0;
	int rc = ft_model_rows(m, p, &rows, &n);
	free(rows);
	return rc == FT_OK && n && !too_many(p, n);
}

/* What decodes is a module that is saved whole where most of it is other, beside a technique and in the base's
 * vocabulary. */
bool peft_by_rows(const struct ft_model *m, const struct ft_param *p)
{
	bool decodes = strcmp(p->name, "head.weight") == 0 && ft_model_task(m) == FT_TASK_LM;
	bool changed = p->stored || has_new(m);
	if (!changed || (!decodes && strcmp(p->name, "embed.word.weight") != 0))
		return false;
	return !decodes || !ft_model_adapted(m) || has_new(m) || has_some(m, p);
}

int peft_find_rows(const struct ft_model *m, struct peft_rows *r)
{
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < ft_model_params(m) && r->count < PEFT_TABLES; i++) {
		const struct ft_param *p = ft_model_param(m, i);
		struct peft_table *t = &r->table[r->count];
		if (!peft_by_rows(m, p))
			continue;
		rc = ft_model_rows(m, p, &t->row, &t->n);
		t->p = p;
		r->count += t->n > 0;
		if (rc == FT_OK && t->n == 0)
			free(t->row);
		if (rc == FT_OK && too_many(p, t->n))
			rc = ft_fail(FT_EUSAGE,
			             "%s: '%s' was trained, too, in %zu of its %lld rows, and PEFT replaces some rows; --to hf "
			             "exports all of it",
			             ft_model_name(m), p->name, t->n, (long long)p->t.rows);
	}
	if (rc == FT_OK && r->count && ft_model_task(m) == FT_TASK_MLM)
		rc = ft_fail(FT_EUSAGE,
		             "%s: some words have other vectors, with which PEFT leaves out the bias of what decodes; --to "
		             "hf exports all of it",
		             ft_model_name(m));
	return rc;
}

void peft_free_rows(struct peft_rows *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->table[i].row);
}

/* ---- its members, and its tensors ---- */

static json_t *list_of(const int64_t *row, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_integer(row[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* `part` stands behind the module's name. */
static int put_rows(struct peft_out *o, const struct ft_param *p, const char *module, const char *part,
                    const int64_t *row, size_t n)
{
	char *name = ft_format("%s.%s", module, part);
	size_t cols = (size_t)p->t.cols;
	float *data = ft_alloc(n * cols, sizeof *data);
	int rc = name && data ? FT_OK : FT_EFAIL;
	for (size_t i = 0; rc == FT_OK && i < n; i++)
		ft_tensor_floats(&p->t, row[i], 1, data + i * cols);
	struct ft_param some = { .file = name, .rank = 2, .t = { .rows = (int64_t)n, .cols = p->t.cols, .data = data } };
	rc = rc ? rc : peft_tensor(o, &some, PEFT_PREFIX, name);
	free(name);
	free(data);
	return rc;
}

/* Of each table by its module, or of the one that is looked up: PEFT knows what shares it. */
int peft_put_rows(struct peft_out *o, const struct peft_rows *r)
{
	json_t *by_module = r->count > 1 ? json_object() : NULL;
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < r->count; i++) {
		const struct peft_table *t = &r->table[i];
		char *module = peft_module(t->p);
		const char *key = by_module ? module : "trainable_token_indices";
		rc = module ? ft_json_set(by_module ? by_module : o->config, key, list_of(t->row, t->n)) : FT_EFAIL;
		rc = rc ? rc : put_rows(o, t->p, module, beside, t->row, t->n);
		free(module);
	}
	if (rc == FT_OK && by_module)
		rc = ft_json_set(o->config, "trainable_token_indices", json_incref(by_module));
	json_decref(by_module);
	return rc;
}

/* The rows of both tables, each once, in order: from malloc. */
static int64_t *all_rows(const struct peft_rows *r, size_t *n)
{
	const struct peft_table *a = &r->table[0], *b = r->count > 1 ? &r->table[1] : &(struct peft_table){ 0 };
	int64_t *all = ft_alloc(a->n + b->n, sizeof *all);
	size_t i = 0, k = 0;
	*n = 0;
	while (all && (i < a->n || k < b->n)) {
		int64_t next = k == b->n || (i < a->n && a->row[i] < b->row[k]) ? a->row[i] : b->row[k];
		i += i < a->n && a->row[i] == next;
		k += k < b->n && b->row[k] == next;
		all[(*n)++] = next;
	}
	return all;
}

int peft_put_tokens(struct peft_out *o, const struct peft_rows *r)
{
	size_t n = 0;
	int64_t *all = all_rows(r, &n);
	json_t *c = o->config, *modules = json_array();
	int rc = all && modules ? ft_json_set(c, "token_indices", list_of(all, n)) : FT_EFAIL;
	for (size_t i = 0; rc == FT_OK && i < r->count; i++) {
		char *module = peft_module(r->table[i].p);
		rc = module && json_array_append_new(modules, json_string(module)) == 0 ? FT_OK : FT_EFAIL;
		rc = rc ? rc : put_rows(o, r->table[i].p, module, delta, all, n);
		free(module);
	}
	if (rc == FT_OK && ft_model_task(o->m) == FT_TASK_LM && !ft_model_find(o->m, "head.weight"))
		rc = put_rows(o, r->table[0].p, "lm_head", delta, all, n); /* PEFT says them twice where the table is shared */
	rc = rc ? rc : ft_json_set(c, "target_modules", json_incref(modules));
	rc = rc ? rc : ft_json_set(c, "init_weights", json_true());
	rc = rc ? rc : ft_json_set(c, "peft_type", json_string("TRAINABLE_TOKENS"));
	json_object_del(c, "modules_to_save"); /* it has none */
	json_decref(modules);
	free(all);
	return rc;
}
