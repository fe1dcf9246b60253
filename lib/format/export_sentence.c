/* export_sentence.c - the files of a sentence-transformers folder in an export:
 * those of the base, in the older of their two forms, or those for a pooling.
 *
 * Modules that are not understood here (a dense layer) are carried along: what
 * they do to a vector does not depend on what training has changed.
 */
#include "ft/err.h"
#include "ft/mem.h"
#include "ft/sentence.h"
#include "priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD_TYPES "sentence_transformers.models."

static int save(const char *dir, const char *folder, const char *name, const json_t *v)
{
	char *path = ft_format("%s/%s%s%s", dir, folder, *folder ? "/" : "", name);
	int rc = !path ? FT_EFAIL : v ? ft_json_save(path, v) : ft_fail(FT_EFAIL, "%s: out of memory", path);
	free(path);
	return rc;
}

/* ---- the older form ---- */

/* Flags say which modes there are, not in which order. */
static bool has_flags(const struct ft_pooling *p)
{
	for (size_t i = 1; i < p->modes; i++)
		if (p->mode[i] <= p->mode[i - 1])
			return false;
	return true;
}

static bool has_mode(const struct ft_pooling *p, enum ft_pooling_mode mode)
{
	for (size_t i = 0; i < p->modes; i++)
		if (p->mode[i] == mode)
			return true;
	return false;
}

/* Keys that the first versions do not know stand there only when they say something. */
static json_t *old_pooling(const struct ft_pooling *p)
{
	static const struct {
		const char *key;
		enum ft_pooling_mode mode;
		bool always;
	} flags[] = {
		{ "pooling_mode_cls_token", FT_POOL_CLS, true },
		{ "pooling_mode_mean_tokens", FT_POOL_MEAN, true },
		{ "pooling_mode_max_tokens", FT_POOL_MAX, true },
		{ "pooling_mode_mean_sqrt_len_tokens", FT_POOL_MEAN_SQRT, true },
		{ "pooling_mode_weightedmean_tokens", FT_POOL_WEIGHTED_MEAN, false },
		{ "pooling_mode_lasttoken", FT_POOL_LAST, false },
	};
	json_t *config = json_pack("{s:I}", "word_embedding_dimension", (json_int_t)p->width);
	int rc = config ? 0 : -1;
	for (size_t i = 0; rc == 0 && i < sizeof flags / sizeof *flags; i++)
		if (flags[i].always || has_mode(p, flags[i].mode))
			rc = json_object_set_new(config, flags[i].key, json_boolean(has_mode(p, flags[i].mode)));
	if (rc == 0 && !p->with_prompt)
		rc = json_object_set_new(config, "include_prompt", json_false());
	if (rc == 0)
		return config;
	json_decref(config);
	return NULL;
}

static json_t *new_pooling(const struct ft_pooling *p)
{
	json_t *modes = json_array();
	int rc = modes ? 0 : -1;
	for (size_t i = 0; rc == 0 && i < p->modes; i++)
		rc = json_array_append_new(modes, json_string(ft_pooling_name(p->mode[i])));
	if (rc == 0)
		return json_pack("{s:I, s:o, s:b}", "embedding_dimension", (json_int_t)p->width, "pooling_mode", modes,
		                 "include_prompt", p->with_prompt);
	json_decref(modes);
	return NULL;
}

static int write_pooling(const struct ft_pooling *p, const char *dir, const char *folder)
{
	json_t *config = has_flags(p) ? old_pooling(p) : new_pooling(p);
	int rc = save(dir, folder, "config.json", config);
	json_decref(config);
	return rc;
}

static int write_lengths(const struct ft_pooling *p, const char *dir)
{
	json_t *v = json_pack("{s:o, s:b}", "max_seq_length", p->max_length ? json_integer(p->max_length) : json_null(),
	                      "do_lower_case", p->lower_case);
	int rc = save(dir, "", "sentence_bert_config.json", v);
	json_decref(v);
	return rc;
}

static json_t *module_of(size_t i, const char *path, const char *type)
{
	char *name = ft_format("%zu", i), *full = ft_format("%s%s", OLD_TYPES, type);
	json_t *m = name && full
	                ? json_pack("{s:I, s:s, s:s, s:s}", "idx", (json_int_t)i, "name", name, "path", path, "type", full)
	                : NULL;
	free(name);
	free(full);
	return m;
}

static int make_folder(const char *dir, const char *folder)
{
	char *path = ft_format("%s/%s", dir, folder);
	int rc = !path ? FT_EFAIL : mkdir(path, 0777) < 0 && errno != EEXIST ? ft_fail_errno("%s", path) : FT_OK;
	free(path);
	return rc;
}

int ft_pooling_write(const struct ft_pooling *p, const char *dir)
{
	json_t *modules = json_array(), *prompts = NULL;
	int rc = json_array_append_new(modules, module_of(0, "", "Transformer")) |
	         json_array_append_new(modules, module_of(1, "1_Pooling", "Pooling"));
	if (p->normalize)
		rc |= json_array_append_new(modules, module_of(2, "2_Normalize", "Normalize"));
	rc = rc ? ft_fail(FT_EFAIL, "%s: out of memory", dir) : save(dir, "", "modules.json", modules);
	rc = rc ? rc : make_folder(dir, "1_Pooling");
	rc = rc ? rc : write_pooling(p, dir, "1_Pooling");
	rc = rc ? rc : write_lengths(p, dir);
	if (rc == FT_OK && p->prompt) {
		prompts = json_pack("{s:{s:s}, s:s}", "prompts", "text", p->prompt, "default_prompt_name", "text");
		rc = save(dir, "", "config_sentence_transformers.json", prompts);
	}
	json_decref(prompts);
	json_decref(modules);
	return rc;
}

/* ---- the base's files ---- */

/* Copies "folder/name" when it is there. */
static int copy_one(const char *from, const char *to, const char *folder, const char *name)
{
	const char *slash = *folder ? "/" : "";
	char *a = ft_format("%s/%s%s%s", from, folder, slash, name), *b = ft_format("%s/%s%s%s", to, folder, slash, name);
	int rc = !a || !b ? FT_EFAIL : access(a, F_OK) == 0 ? copy_file(a, b) : FT_OK;
	free(a);
	free(b);
	return rc;
}

/* The regular files of a module's folder; one that is not there has none. */
static int copy_folder(const char *from, const char *to, const char *folder)
{
	char *path = ft_format("%s/%s", from, folder);
	if (!path)
		return FT_EFAIL;
	DIR *d = opendir(path);
	int rc = d ? make_folder(to, folder) : errno == ENOENT ? FT_OK : ft_fail_errno("%s", path);
	for (struct dirent *e; rc == FT_OK && d && (e = readdir(d));) {
		struct stat st;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			rc = copy_one(from, to, folder, e->d_name);
	}
	if (d)
		closedir(d);
	free(path);
	return rc;
}

/* The module's type in the older form, when it is one of sentence-transformers' own. */
static int older_type(json_t *module, const char *type)
{
	static const char *const own[] = { "Transformer", "Pooling", "Dense", "Normalize" };
	if (strncmp(json_string_value(json_object_get(module, "type")), "sentence_transformers.", 22) != 0)
		return FT_OK;
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		if (strcmp(own[i], type) != 0)
			continue;
		char *old = ft_format("%s%s", OLD_TYPES, own[i]);
		int rc = old ? ft_json_set(module, "type", json_string(old)) : FT_EFAIL;
		free(old);
		return rc;
	}
	return FT_OK;
}

static int older_pooling(const char *dir, const char *folder)
{
	struct ft_pooling p = { 0 };
	json_t *config;
	int rc = sentence_load(&config, dir, folder, "config.json");
	if (rc > 0 && (rc = sentence_pooling(&p, config)) == FT_OK && has_flags(&p) && p.width > 0)
		rc = write_pooling(&p, dir, folder);
	json_decref(config);
	return rc < 0 ? rc : FT_OK;
}

static int export_module(const char *from, const char *to, json_t *modules, size_t i)
{
	struct sentence_module m;
	int rc = sentence_module(modules, i, &m);
	bool pooling = rc == FT_OK && strcmp(m.type, "Pooling") == 0;
	if (rc == FT_OK && *m.path)
		rc = copy_folder(from, to, m.path);
	if (rc == FT_OK && pooling && *m.path)
		rc = older_pooling(to, m.path);
	return rc < 0 ? rc : older_type(json_array_get(modules, i), m.type);
}

/* The newer file of lengths has none: they are the tokenizer's. Then it says them. */
static int export_lengths(const char *from, const char *to)
{
	struct ft_pooling p = { 0 };
	int rc = sentence_lengths(&p, from);
	return rc < 0 ? rc : write_lengths(&p, to);
}

int sentence_export(const char *from, const char *to)
{
	json_t *modules;
	int rc = sentence_load(&modules, from, "", "modules.json");
	if (rc <= 0)
		return rc;
	rc = json_is_array(modules) ? FT_OK : ft_fail(FT_EFORMAT, "not a list of modules");
	for (size_t i = 0; rc == FT_OK && i < json_array_size(modules); i++)
		rc = export_module(from, to, modules, i);
	if (rc < 0)
		rc = ft_context(rc, "%s/modules.json", from);
	rc = rc ? rc : save(to, "", "modules.json", modules);
	rc = rc ? rc : copy_one(from, to, "", "config_sentence_transformers.json");
	json_decref(modules);
	return rc ? rc : export_lengths(from, to);
}
