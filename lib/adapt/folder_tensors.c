/* folder_tensors.c - the tensors of an adapter at rest: each is a parameter's, and none is left over. */
#include "folder.h"

#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

/* What a name of a technique's parameter begins with: at a module of the base, or at none. */
static const char *const prefixes[] = { "base_model.model.", "base_model." };

static const char *without_prefix(const char *file)
{
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (strncmp(file, prefixes[i], strlen(prefixes[i])) == 0)
			return file + strlen(prefixes[i]);
	return file;
}

/* Parameters by their names in checkpoints. */
struct named {
	const char *file;
	struct ft_param *param;
};

static int compare_named(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->file, ((const struct named *)b)->file);
}

static struct named *index_params(const struct ft_model *m)
{
	struct named *all = ft_alloc(m->count + 1, sizeof *all);
	for (size_t i = 0; all && i < m->count; i++)
		all[i] = (struct named){ without_prefix(m->params[i]->file), m->params[i] };
	if (all)
		qsort(all, m->count, sizeof *all, compare_named);
	return all;
}

/* *p is NULL when there is none. Also when it was saved from a model with a head and is read into one without, or the
 * other way around. */
static int find_param(const struct ft_model *m, const struct named *all, const char *name, struct ft_param **p)
{
	size_t n = strlen(m->family->prefix);
	char *longer = ft_format("%s%s", m->family->prefix, name);
	const char *forms[] = { name, longer, strncmp(name, m->family->prefix, n) == 0 ? name + n : NULL };
	struct named *found = NULL;
	if (!longer)
		return FT_EFAIL;
	for (size_t i = 0; i < sizeof forms / sizeof *forms && !found; i++)
		if (forms[i])
			found = bsearch(&(struct named){ forms[i], NULL }, all, m->count, sizeof *all, compare_named);
	free(longer);
	*p = found ? found->param : NULL;
	return FT_OK;
}

/* A tensor that lies the other way around, as floats: t->data is from malloc. */
static int turn_tensor(struct ft_stored *t)
{
	size_t rows = (size_t)t->shape[0], cols = (size_t)t->shape[1], n = rows * cols; /* which are in the file */
	if (t->rank != 2)
		return ft_fail(FT_EFORMAT, "tensor '%s' is not a matrix", t->name);
	float *wide = ft_alloc(n, sizeof *wide), *turned = ft_alloc(n, sizeof *turned);
	int rc = wide && turned ? ft_widen(wide, t->data, t->dtype, n) : FT_EFAIL;
	for (size_t r = 0; rc == FT_OK && r < rows; r++)
		for (size_t c = 0; c < cols; c++)
			turned[c * rows + r] = wide[r * cols + c];
	free(wide);
	if (rc < 0) {
		free(turned);
		return ft_context(rc, "tensor '%s'", t->name);
	}
	t->data = turned;
	t->dtype = FT_F32;
	t->shape[0] = (int64_t)cols;
	t->shape[1] = (int64_t)rows;
	return FT_OK;
}

static int take(const char *file, struct ft_param *p, const struct ft_stored *t, bool turned)
{
	struct ft_stored own = *t;
	if (p->stored)
		return ft_fail(FT_EFORMAT, "%s: tensor '%s': another stands for %s, too", file, t->name, p->name);
	int rc = turned ? turn_tensor(&own) : FT_OK;
	rc = rc < 0 ? ft_context(rc, "%s", file) : param_take(p, &own, file, FOLDER_CONFIG);
	if (own.data != t->data)
		free((void *)(uintptr_t)own.data);
	return rc;
}

/* Of an output layer that is the table of words, which transformers saves twice. */
static bool is_tied(const struct ft_model *m, const char *name)
{
	static const char *const ends[] = { "lm_head.weight", ".decoder.weight", ".decoder.bias", "vocab_projector.weight" };
	size_t n = strlen(name);
	for (size_t i = 0; ft_task_of_words(ft_model_task(m)) && i < sizeof ends / sizeof *ends; i++)
		if (n >= strlen(ends[i]) && strcmp(name + n - strlen(ends[i]), ends[i]) == 0)
			return true;
	return false;
}

static int load_tensor(struct ft_model *m, const struct folder *f, const struct named *all, const char *file,
                       const struct ft_stored *t)
{
	bool turned = false;
	if (strstr(t->name, ".original_module.")) /* what a module that was saved whole was before */
		return FT_OK;
	if (f->kind == &folder_peft && strcmp(t->name, PEFT_EMBEDDINGS) == 0)
		return peft_take_virtual(m, f, t);
	struct ft_param *placed = NULL;
	if (f->kind->place && f->kind->place(m, f, t->name, &placed))
		return placed ? take(file, placed, t, false) : FT_OK;
	char *name = folder_spelled(f, t, &turned);
	if (!name)
		return FT_EFAIL;
	bool rows = f->kind == &folder_peft && peft_is_rows(name);
	struct ft_param *p;
	if (find_param(m, all, name, &p) < 0) {
		free(name);
		return FT_EFAIL;
	}
	bool replaced = m->new_head && (p ? strncmp(p->name, "head.", 5) == 0 : f->kind->saves && f->kind->saves(f, name));
	bool passed = replaced || (!p && (rows ? m->new_head : is_tied(m, name)));
	if (rows && !passed && (p || is_tied(m, name))) {
		int rc = peft_take_rows(m, f, p, name, t);
		free(name);
		return rc;
	}
	free(name);
	if (passed) /* of the head that a plan has put another in place of, or of none */
		return FT_OK;
	if (!p)
		return ft_fail(FT_EFORMAT, "%s: tensor '%.120s': nothing in %s is called like that", file, t->name, m->dir);
	return take(file, p, t, turned);
}

static int load_file(struct ft_model *m, const struct folder *f, const struct named *all, const char *file,
                     const struct ft_safetensors *tensors)
{
	int rc = FT_OK;
	for (size_t i = 0; rc == FT_OK && i < ft_safetensors_count(tensors); i++)
		rc = load_tensor(m, f, all, file, ft_safetensors_at(tensors, i));
	return rc;
}

/* What its configuration says that it has. */
static int check_all(const struct ft_model *m, const struct folder *f)
{
	const struct ft_param *p = adapt_missing(m);
	for (size_t i = 0; i < m->count && !p && f->kind->wants; i++) {
		const struct ft_param *q = m->params[i];
		bool replaced = m->new_head && strncmp(q->name, "head.", 5) == 0;
		if (!q->technique && !q->stored && !replaced && f->kind->wants(m, f, q))
			p = q;
	}
	return p ? ft_fail(FT_EFORMAT, "%s: no tensor for '%s', which " FOLDER_CONFIG " says is there", f->weights, p->file)
	         : FT_OK;
}

int folder_load(struct ft_model *m)
{
	const struct folder *f = m->folder;
	struct named *all = index_params(m);
	int rc = !all ? FT_EFAIL : f->kind->check_head ? f->kind->check_head(m, f) : FT_OK;
	rc = rc ? rc : load_file(m, f, all, f->weights, f->tensors);
	if (rc == FT_OK && f->more)
		rc = load_file(m, f, all, f->more_weights, f->more);
	free(all);
	rc = rc ? rc : check_all(m, f);
	for (size_t i = 0; rc == FT_OK && i < m->count; i++)
		if (m->params[i]->stored && !m->params[i]->technique)
			rc = param_forget_equal(m, m->params[i]);
	return rc;
}
