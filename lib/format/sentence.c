/* sentence.c - what a sentence-transformers folder says of its vectors. */
#include "ft/sentence.h"
#include "ft/err.h"
#include "ft/json.h"
#include "ft/mem.h"
#include "priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *old, *new;
} names[] = {
#define X(name, old, new) { old, new },
	FT_POOLINGS(X)
#undef X
};

const char *ft_pooling_name(enum ft_pooling_mode mode) { return names[mode].new; }

int ft_pooling_parse(const char *name)
{
	for (int i = 0; i < FT_POOLING_MODES; i++)
		if (strcmp(names[i].new, name) == 0)
			return i;
	return -1;
}

int sentence_load(json_t **v, const char *dir, const char *folder, const char *name)
{
	char *path = ft_format("%s/%s%s%s", dir, folder, *folder ? "/" : "", name);
	int rc = path ? FT_OK : FT_EFAIL;
	*v = NULL;
	if (rc == FT_OK && access(path, F_OK) == 0)
		rc = (*v = ft_json_load(path)) ? 1 : ft_last_error();
	else if (rc == FT_OK && errno != ENOENT && errno != ENOTDIR) /* a GGUF file has no such files */
		rc = ft_fail_errno("%s", path);
	free(path);
	return rc;
}

/* As sentence_load(), of a file that must hold an object. */
static int load_object(json_t **v, const char *dir, const char *folder, const char *name)
{
	int rc = sentence_load(v, dir, folder, name);
	if (rc <= 0 || json_typeof(*v) == JSON_OBJECT)
		return rc;
	json_decref(*v);
	*v = NULL;
	return ft_fail(FT_EFORMAT, "%s/%s%s%s: not a JSON object", dir, folder, *folder ? "/" : "", name);
}

/* ---- 1_Pooling/config.json ---- */
static int add_mode(struct ft_pooling *p, const json_t *v)
{
	const char *name = json_string_value(v);
	int mode = name ? ft_pooling_parse(name) : -1;
	if (mode < 0)
		return ft_fail(FT_EFORMAT, "pooling_mode: '%.*s' is not known", NAME_SHOWN, name ? name : "?");
	if (p->modes == FT_POOLING_MODES)
		return ft_fail(FT_EFORMAT, "pooling_mode: more modes than there are");
	p->mode[p->modes++] = (enum ft_pooling_mode)mode;
	return FT_OK;
}

static int new_modes(struct ft_pooling *p, const json_t *modes)
{
	if (json_typeof(modes) != JSON_ARRAY)
		return add_mode(p, modes);
	int rc = json_array_size(modes) ? FT_OK : ft_fail(FT_EFORMAT, "pooling_mode: an empty list");
	for (size_t i = 0; rc == FT_OK && i < json_array_size(modes); i++)
		rc = add_mode(p, json_array_get(modes, i));
	return rc;
}

static int old_modes(struct ft_pooling *p, const json_t *config)
{
	int err = FT_OK;
	for (int i = 0; i < FT_POOLING_MODES; i++)
		if (ft_json_bool(config, names[i].old, false, &err))
			p->mode[p->modes++] = (enum ft_pooling_mode)i;
	if (p->modes == 0) /* sentence-transformers' default */
		p->mode[p->modes++] = FT_POOL_MEAN;
	return err;
}

int sentence_pooling(struct ft_pooling *p, const json_t *config)
{
	int err = FT_OK;
	const char *width = json_object_get(config, "embedding_dimension") ? "embedding_dimension"
	                                                                   : "word_embedding_dimension";
	p->modes = 0;
	p->width = ft_json_int(config, width, 0, &err);
	p->with_prompt = ft_json_bool(config, "include_prompt", true, &err);
	if (err == FT_OK && p->width < 0)
		err = ft_fail(FT_EFORMAT, "%s: %lld", width, (long long)p->width);
	if (err < 0)
		return err;
	const json_t *modes = json_object_get(config, "pooling_mode");
	return modes ? new_modes(p, modes) : old_modes(p, config);
}

static int read_pooling(struct ft_pooling *p, const char *dir, const char *path)
{
	json_t *config;
	int rc = load_object(&config, dir, path, "config.json");
	if (rc == 0)
		rc = ft_fail(FT_EFORMAT, "no config.json of the pooling there");
	rc = rc < 0 ? rc : sentence_pooling(p, config);
	json_decref(config);
	return rc < 0 ? ft_context(rc, "%s/%s", dir, path) : FT_OK;
}

/* ---- modules.json ---- */
int sentence_module(const json_t *modules, size_t i, struct sentence_module *m)
{
	const json_t *module = json_array_get(modules, i);
	int err = FT_OK;
	const char *type = ft_json_str(module, "type", "", &err);
	m->path = ft_json_str(module, "path", "", &err);
	if (err < 0)
		return err;
	const char *dot = strrchr(type, '.');
	m->type = dot ? dot + 1 : type;
	if (json_typeof(module) != JSON_OBJECT || !*m->type)
		return ft_fail(FT_EFORMAT, "module %zu says no type", i);
	if (*m->path && !is_basename(m->path))
		return ft_fail(FT_EFORMAT, "module %zu: path '%.*s' is not the name of a folder in this one", i, NAME_SHOWN,
		               m->path);
	return FT_OK;
}

/* The order is that of the work: network, pooling, scaling. */
static int read_module(struct ft_pooling *p, const char *dir, const json_t *modules, size_t i)
{
	struct sentence_module m;
	int rc = sentence_module(modules, i, &m);
	if (rc < 0)
		return rc;
	if (i == 0 && strcmp(m.type, "Transformer") == 0)
		return *m.path ? ft_fail(FT_EFORMAT, "the model lies in the folder '%s'; only one beside modules.json is read",
		                         m.path) : FT_OK;
	if (i == 1 && strcmp(m.type, "Pooling") == 0)
		return read_pooling(p, dir, m.path);
	if (i > 1 && strcmp(m.type, "Normalize") == 0) {
		p->normalize = true;
		return FT_OK;
	}
	return ft_fail(FT_EFORMAT, "module %zu is %.*s; supported are Transformer, then Pooling, then Normalize", i,
	               NAME_SHOWN, m.type);
}

static int read_modules(struct ft_pooling *p, const char *dir, const json_t *modules)
{
	int rc = json_array_size(modules) >= 2 ? FT_OK : ft_fail(FT_EFORMAT, "not a list of at least two modules");
	for (size_t i = 0; rc == FT_OK && i < json_array_size(modules); i++)
		rc = read_module(p, dir, modules, i);
	return rc < 0 ? ft_context(rc, "%s/modules.json", dir) : FT_OK;
}

/* ---- lengths, letter case ---- */

/* The file has had a name for each family. */
static const char *const transformer_files[] = {
	"sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
	"sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
	"sentence_xlnet_config.json",
};

/* The newer files leave the length to the tokenizer, whose is huge when unknown. */
static int tokenizer_length(struct ft_pooling *p, const char *dir)
{
	json_t *v;
	int rc = load_object(&v, dir, "", "tokenizer_config.json");
	double length = json_number_value(json_object_get(v, "model_max_length"));
	if (rc > 0 && length >= 1 && length <= 1 << 30)
		p->max_length = (int64_t)length;
	json_decref(v);
	return rc < 0 ? rc : FT_OK;
}

static int check_task(const json_t *v)
{
	int err = FT_OK;
	const char *task = ft_json_str(v, "transformer_task", "feature-extraction", &err);
	if (err == FT_OK && strcmp(task, "feature-extraction") != 0)
		return ft_fail(FT_EFORMAT, "transformer_task: '%s' is not supported; 'feature-extraction' is", task);
	return err;
}

int sentence_lengths(struct ft_pooling *p, const char *dir)
{
	json_t *v = NULL;
	size_t i = 0, n = sizeof transformer_files / sizeof *transformer_files;
	int rc = 0;
	for (; rc == 0 && i < n; i++)
		rc = load_object(&v, dir, "", transformer_files[i]);
	if (rc <= 0)
		return rc < 0 ? rc : tokenizer_length(p, dir);
	rc = check_task(v);
	p->lower_case = ft_json_bool(v, "do_lower_case", false, &rc);
	p->max_length = ft_json_int(v, "max_seq_length", 0, &rc);
	if (rc == FT_OK && p->max_length < 0)
		rc = ft_fail(FT_EFORMAT, "max_seq_length: %lld", (long long)p->max_length);
	json_decref(v);
	if (rc < 0)
		return ft_context(rc, "%s/%s", dir, transformer_files[i - 1]);
	return p->max_length ? FT_OK : tokenizer_length(p, dir);
}

/* ---- config_sentence_transformers.json: prompts ---- */
static int take_prompt(struct ft_pooling *p, const json_t *v)
{
	int err = FT_OK;
	const char *type = ft_json_str(v, "model_type", "SentenceTransformer", &err);
	const char *name = ft_json_str(v, "default_prompt_name", NULL, &err);
	const char *prompt = name && err == FT_OK ? ft_json_str(json_object_get(v, "prompts"), name, NULL, &err) : NULL;
	if (err < 0)
		return err;
	if (strcmp(type, "SentenceTransformer") != 0)
		return ft_fail(FT_EFORMAT, "model_type: a %s does not make one vector of a text", type);
	if (name && !prompt)
		return ft_fail(FT_EFORMAT, "default_prompt_name: there is no prompt '%s'", name);
	if (prompt && *prompt && !(p->prompt = ft_strdup(prompt)))
		return FT_EFAIL;
	return FT_OK;
}

static int read_prompt(struct ft_pooling *p, const char *dir)
{
	json_t *v;
	int rc = load_object(&v, dir, "", "config_sentence_transformers.json");
	if (rc > 0)
		rc = take_prompt(p, v);
	json_decref(v);
	return rc < 0 ? ft_context(rc, "%s/config_sentence_transformers.json", dir) : FT_OK;
}

int ft_pooling_read(struct ft_pooling *p, const char *dir)
{
	json_t *modules;
	*p = (struct ft_pooling){ 0 };
	int rc = sentence_load(&modules, dir, "", "modules.json");
	if (rc <= 0)
		return rc;
	rc = read_modules(p, dir, modules);
	json_decref(modules);
	rc = rc < 0 ? rc : sentence_lengths(p, dir);
	rc = rc < 0 ? rc : read_prompt(p, dir);
	if (rc < 0)
		ft_pooling_free(p);
	return rc < 0 ? rc : 1;
}

void ft_pooling_free(struct ft_pooling *p)
{
	free(p->prompt);
	*p = (struct ft_pooling){ 0 };
}
