/* folder.c - opening an adapter at rest: what it is for, and what is attached where. */
#include "folder.h"

#include "ft/mem.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define JSON_MAX ((off_t)16 << 20) /* bytes of a configuration; a list of 100,000 labels has 5 MB */

static const struct folder_kind *const kinds[] = { &folder_peft, &folder_mlx, &folder_adapterhub };

/* 1, 0, or <0 when the folder cannot be looked into. */
static int has_file(const char *dir, const char *name, off_t *bytes)
{
	struct stat st;
	char path[PATH_MAX]; /* not from malloc(): whether it is there must not depend on memory */
	if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
		return ft_fail(FT_EFAIL, "%s/%s: %s", dir, name, strerror(ENAMETOOLONG));
	int rc = stat(path, &st) == 0 ? 1 : errno == ENOENT || errno == ENOTDIR ? 0 : ft_fail_errno("%s", path);
	if (rc > 0 && bytes)
		*bytes = st.st_size;
	return rc;
}

bool ft_adapter_is(const char *path)
{
	return strcmp(path, "-") != 0 && has_file(path, FOLDER_CONFIG, NULL) == 1;
}

/* ---- its files ---- */

static int load_object(const struct folder *f, const char *name, json_t **v)
{
	off_t bytes = 0;
	int there = has_file(f->dir, name, &bytes);
	if (there <= 0)
		return there;
	if (bytes > JSON_MAX)
		return ft_fail(FT_EFORMAT, "%s: %s: %lld bytes; at most %lld are read", f->dir, name, (long long)bytes,
		               (long long)JSON_MAX);
	char *path = ft_format("%s/%s", f->dir, name);
	*v = path ? ft_json_load(path) : NULL;
	free(path);
	if (!*v)
		return ft_last_error();
	return json_typeof(*v) == JSON_OBJECT ? FT_OK : ft_fail(FT_EFORMAT, "%s: %s: not a JSON object", f->dir, name);
}

static int find_kind(struct folder *f)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (json_object_get(f->config, kinds[i]->mark)) {
			f->kind = kinds[i];
			return FT_OK;
		}
	return folder_fail(f, FT_EFORMAT, "no %s, as PEFT writes it, no %s, as mlx-lm does, and no %s, as AdapterHub does",
	                   folder_peft.mark, folder_mlx.mark, folder_adapterhub.mark);
}

static int open_tensors(struct folder *f)
{
	int there = has_file(f->dir, f->kind->weights, NULL), pickle = 0;
	if (there == 0 && f->kind->pickle)
		pickle = has_file(f->dir, f->kind->pickle, NULL);
	if (there < 0 || pickle < 0)
		return FT_EFAIL;
	if (pickle)
		return ft_fail(FT_EFORMAT, "%s: %s is a pickle, which is a program and not read; "
		               "%s writes %s", f->dir, f->kind->pickle, f->kind->writes, f->kind->weights);
	if (there == 0)
		return ft_fail(FT_EFORMAT, "%s: there is no %s", f->dir, f->kind->weights);
	f->weights = ft_format("%s/%s", f->dir, f->kind->weights);
	f->tensors = f->weights ? ft_safetensors_open(f->weights) : NULL;
	return f->tensors ? FT_OK : ft_last_error();
}

static int open_head(struct folder *f)
{
	if (!f->kind->head_config)
		return FT_OK;
	int there = load_object(f, f->kind->head_config, &f->head);
	there = there ? there : f->kind->check_files(f);
	there = there ? there : has_file(f->dir, f->kind->head_weights, NULL);
	if (there <= 0)
		return there;
	f->more_weights = ft_format("%s/%s", f->dir, f->kind->head_weights);
	f->more = f->more_weights ? ft_safetensors_open(f->more_weights) : NULL;
	return f->more ? FT_OK : ft_last_error();
}

void folder_free(struct ft_model *m)
{
	struct folder *f = m->folder;
	if (!f)
		return;
	json_decref(f->config);
	json_decref(f->note);
	json_decref(f->head);
	ft_safetensors_close(f->tensors);
	ft_safetensors_close(f->more);
	free(f->weights);
	free(f->more_weights);
	free(f->dir);
	free(f);
	m->folder = NULL;
}

int folder_open(struct ft_model *m, const char *path, const char **base)
{
	struct folder *f = m->folder = ft_alloc(1, sizeof *f);
	if (!f || !(f->dir = ft_strdup(path)))
		return FT_EFAIL;
	int rc = load_object(f, FOLDER_CONFIG, &f->config);
	rc = rc ? rc : load_object(f, FT_ADAPTER_NOTE, &f->note);
	rc = rc ? rc : find_kind(f);
	rc = rc ? rc : open_tensors(f);
	rc = rc ? rc : open_head(f);
	int err = FT_OK;
	if (rc == FT_OK)
		*base = ft_json_str(f->config, f->kind->base, NULL, &err);
	return rc ? rc : err ? ft_context(err, "%s: " FOLDER_CONFIG, f->dir) : FT_OK;
}

/* ---- from its configuration to a model's meta ---- */

json_t *folder_technique(const struct technique *t)
{
	json_t *o = adapt_parse(t, "");
	if (o && ft_json_set(o, "name", json_string(t->name)) == FT_OK)
		return o;
	json_decref(o);
	return NULL;
}

/* "layer.*.attn.q" for "layer.3.attn.q"; what is in no layer as it is. NULL: out of memory. */
static char *glob_of(const struct site *s)
{
	size_t n = strncmp(s->name, "layer.", 6) == 0 ? strspn(s->name + 6, "0123456789") : 0;
	return n ? ft_format("layer.*%s", s->name + 6 + n) : ft_strdup(s->name);
}

/* Whether all sites that the glob matches are chosen. */
static bool says_same(const char *glob, const struct sites *s, const bool *chosen)
{
	for (size_t i = 0; i < s->count; i++)
		if (!chosen[i] && fnmatch(glob, s->at[i].name, 0) == 0)
			return false;
	return true;
}

int folder_sites(json_t *o, const struct sites *s, const bool *chosen)
{
	json_t *globs = json_array();
	int rc = ft_json_set(o, "sites", globs);
	for (size_t i = 0; rc == FT_OK && i < s->count; i++) {
		if (!chosen[i])
			continue;
		char *glob = glob_of(&s->at[i]);
		bool said = false, whole = glob && says_same(glob, s, chosen);
		for (size_t k = 0; k < json_array_size(globs) && whole; k++)
			said = said || strcmp(json_string_value(json_array_get(globs, k)), glob) == 0;
		rc = !glob ? FT_EFAIL : said ? FT_OK : ft_json_append(globs, json_string(whole ? glob : s->at[i].name));
		free(glob);
	}
	return rc;
}

/* The model without weights that the sites are taken from, with this head. */
static struct ft_model *describe_base(const struct ft_model *m, const json_t *head)
{
	struct ft_plan plan = { .head = head, .last_layers = -1, .layer_decay = 1, .seed = FT_NO_SEED };
	return ft_model_plan(m->dir, NULL, &plan, FT_MODEL_BARE | FT_MODEL_READ);
}

char *folder_spelled(const struct folder *f, const struct ft_stored *t, bool *turned)
{
	char *name = ft_format("%s%16s", t->name, "");
	if (!name)
		return NULL;
	name[strlen(t->name)] = '\0';
	f->kind->spell(name, turned);
	return name;
}

/* The tensor of a checkpoint's parameter; *found stays NULL when there is none. */
static int find_tensor(const struct folder *f, const char *file, const struct ft_stored **found)
{
	for (size_t i = 0; !*found && i < ft_safetensors_count(f->tensors); i++) {
		const struct ft_stored *t = ft_safetensors_at(f->tensors, i);
		bool turned = false;
		char *name = folder_spelled(f, t, &turned);
		if (!name)
			return FT_EFAIL;
		*found = strcmp(name, file) == 0 ? t : NULL;
		free(name);
	}
	return FT_OK;
}

/* What the configuration says, with as many outputs as its classifier has; *head stays NULL when it does not say. */
static int said_head(const struct ft_model *m, const struct folder *f, json_t **head)
{
	const struct ft_stored *last = NULL;
	json_t *classify = json_pack("{s:s, s:i}", "type", head_classify.name, "outputs", 2);
	if (!classify)
		return ft_fail(FT_EFAIL, "out of memory for a head");
	struct ft_model *bare = describe_base(m, classify);
	int rc = bare ? find_tensor(f, ft_model_find(bare, "head.weight")->file, &last) : ft_last_error();
	rc = rc ? rc : f->kind->head(f, last, head);
	ft_model_free(bare);
	json_decref(classify);
	return rc;
}

static size_t outputs_of(const json_t *head)
{
	size_t labels = json_array_size(json_object_get(head, "labels"));
	return labels ? labels : (size_t)json_integer_value(json_object_get(head, "outputs"));
}

/* The head of the note; else what the configuration says; else the base's. New reference in *head. */
static int find_head(const struct ft_model *m, const struct folder *f, json_t **head)
{
	const json_t *of_base = json_object_get(m->meta, "head"), *noted = ft_json_get(f->note, "head");
	*head = NULL;
	if (noted && json_typeof(noted) != JSON_OBJECT)
		return ft_fail(FT_EFORMAT, "%s: " FT_ADAPTER_NOTE ": head: not an object", f->dir);
	int rc = noted ? FT_OK : said_head(m, f, head);
	/* What they mean is the base's to say, where there are as many. */
	size_t outputs = outputs_of(*head);
	if (rc == FT_OK && (!*head || (outputs && outputs == outputs_of(of_base)))) {
		json_decref(*head);
		*head = ft_json_deep_copy(noted ? noted : of_base);
	}
	return rc ? rc : *head ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a head");
}

/* meta.adapt, of the sites that the base has. */
static int attach_to(struct ft_model *m, const struct folder *f, struct ft_model *bare)
{
	struct sites s = { 0 };
	json_t *list = json_array();
	int rc = ft_json_set(m->meta, "adapt", list);
	rc = rc ? rc : sites_collect(bare, &s);
	rc = rc ? rc : f->kind->translate(f, &s, list);
	sites_free(&s);
	return rc;
}

int folder_describe(struct ft_model *m)
{
	const struct folder *f = m->folder;
	int err = FT_OK;
	const char *digest = ft_json_str(json_object_get(f->note, "base"), "digest", NULL, &err);
	json_t *head;
	if (err < 0)
		return ft_context(err, "%s: " FT_ADAPTER_NOTE ": base", f->dir);
	int rc = find_head(m, f, &head);
	struct ft_model *bare = rc == FT_OK ? describe_base(m, head) : NULL;
	rc = bare ? attach_to(m, f, bare) : ft_last_error();
	ft_model_free(bare);
	if (rc == FT_OK && (rc = tokens_of_folder(m, json_object_get(f->note, "tokens"))) < 0)
		ft_context(rc, "%s: " FT_ADAPTER_NOTE, f->dir);
	if (rc == FT_OK)
		rc = ft_json_set(m->meta, "head", json_incref(head));
	json_decref(head);
	if (rc == FT_OK && digest)
		rc = ft_json_set(json_object_get(m->meta, "base"), "digest", json_string(digest));
	return rc;
}
