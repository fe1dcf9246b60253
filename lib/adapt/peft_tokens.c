/* peft_tokens.c - rows of the table of words that PEFT has trained alone: trainable_token_indices of its LoRA, and its
 * method TRAINABLE_TOKENS. Rows are replaced, not added to; what decodes has the same ones where the base shares the
 * table with it. */
#include "folder.h"

#include <stdlib.h>
#include <string.h>

static const char weight[] = ".weight", delta[] = ".trainable_tokens_delta";

static const char *const known[] = { "token_indices", "init_weights", NULL };

static bool is_method(const struct folder *f) { return json_object_get(f->config, "token_indices") != NULL; }

static int translate(const struct folder *f, const struct sites *s, json_t *o)
{
	(void)s, (void)o;
	const json_t *list = json_object_get(f->config, "token_indices");
	return json_is_array(list) && json_array_size(list) ? FT_OK
	               : folder_fail(f, FT_EFORMAT, "token_indices: not a list of tokens");
}

const struct peft_type peft_tokens = {
	.name = "TRAINABLE_TOKENS",
	.known = known,
	.translate = translate,
};

bool peft_has_rows(const struct folder *f)
{
	const json_t *v = json_object_get(f->config, "trainable_token_indices");
	return json_array_size(v) || json_object_size(v);
}

/* Whether a key of trainable_token_indices, "embed_tokens", means the matrix "model.embed_tokens.weight". */
static bool is_meant(const char *key, const char *file)
{
	size_t n = strlen(file) - (sizeof weight - 1), k = strlen(key);
	return (k <= n && strncmp(file + n - k, key, k) == 0) || (k > n && strncmp(key + k - n, file, n) == 0);
}

/* Those of the matrix `file`; `words`: it is the table that is looked up. NULL: there are none. */
static const json_t *indices_of(const struct folder *f, const char *file, bool words)
{
	const json_t *v = json_object_get(f->config, is_method(f) ? "token_indices" : "trainable_token_indices");
	const char *key;
	json_t *list;
	if (json_is_array(v))
		return words || is_method(f) ? v : NULL;
	json_object_foreach((json_t *)(uintptr_t)v, key, list)
		if (is_meant(key, file))
			return list;
	return NULL;
}

static const struct ft_param *table_of(const struct ft_model *m) { return ft_model_find(m, "embed.word.weight"); }

static bool has_words(const struct ft_model *m, const struct ft_param *p)
{
	bool decodes = strcmp(p->name, "head.weight") == 0 && ft_model_task(m) == FT_TASK_LM;
	return decodes || p == table_of(m);
}

bool peft_wants_rows(const struct ft_model *m, const struct folder *f, const struct ft_param *p)
{
	bool words = p == table_of(m);
	return has_words(m, p) && (words || !is_method(f)) && indices_of(f, p->file, words);
}

bool peft_is_rows(char *name)
{
	size_t n = strlen(name), end = sizeof delta - 1;
	if (n <= end || strcmp(name + n - end, delta) != 0)
		return false;
	strcpy(name + n - end, weight);
	return true;
}

/* What a base that decodes with its table says twice must be the same. */
static int check_shared(const struct ft_model *m, const struct folder *f, const char *name)
{
	const struct ft_param *p = table_of(m);
	const json_t *own = indices_of(f, name, false), *words = p ? indices_of(f, p->file, true) : NULL;
	if (own && words && json_equal(own, words))
		return FT_OK;
	return folder_fail(f, FT_EFORMAT,
	                   "token indices: those of '%.120s' are not those of the words, whose table it shares", name);
}

int peft_take_rows(const struct ft_model *m, const struct folder *f, struct ft_param *p, const char *name,
                   const struct ft_stored *t)
{
	const json_t *list = p ? indices_of(f, p->file, p == table_of(m)) : NULL;
	if (ft_model_task(m) == FT_TASK_MLM)
		return folder_fail(f, FT_EFORMAT,
		                   "token indices: PEFT leaves out the bias of what decodes, so that a model that fills "
		                   "in words gives other ones with it");
	if (!p)
		return check_shared(m, f, name);
	if (!has_words(m, p) || !json_is_array(list))
		return ft_fail(FT_EFORMAT, "%s: tensor '%.120s': " FOLDER_CONFIG " gives no tokens whose rows these are",
		               f->weights, t->name);
	if (p->stored)
		return ft_fail(FT_EFORMAT, "%s: tensor '%s': another stands for %s, too", f->weights, t->name, p->name);
	return tokens_take(m, p, t, list, f->weights);
}
