/* hf.c - a Hugging Face folder: config.json, and weights in one safetensors
 * file or in the shards that model.safetensors.index.json lists.
 *
 * Names in the index come from a file that may be hostile: a shard is a plain
 * name in the same folder, and index and shards must agree tensor by tensor,
 * so that no two readers can see two models in one folder.
 */
#include "base.h"
#include "ft/err.h"
#include "ft/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX ((size_t)16 << 20) /* bytes; a label map of 100,000 classes has 5 MB */
#define INDEX_MAX ((size_t)64 << 20)
#define INDEX_NAME "model.safetensors.index.json"

struct shard {
	char *name;                  /* within the folder */
	struct ft_safetensors *file; /* NULL in a bare folder */
};

struct hf {
	struct ft_base base;
	char *dir;
	unsigned flags;
	struct filemap config_bytes;
	json_t *index; /* NULL when there is one weight file */
	struct shard *shard;    /* [shards], by name; none in a bare folder without weights */
	size_t shards;
};

static const struct hf *hf_of(const struct ft_base *b)
{
	return (const struct hf *)b;
}

bool is_basename(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

/* "dir/name"; NULL when out of memory. */
static char *path_in(const struct hf *h, const char *name)
{
	return ft_format("%s%s%s", h->dir, h->dir[strlen(h->dir) - 1] == '/' ? "" : "/", name);
}

/* Maps and parses a JSON file of the folder; keeps the bytes when `bytes` is not NULL. */
static json_t *load_object(const struct hf *h, const char *name, size_t limit, struct filemap *bytes)
{
	struct filemap m = { 0 };
	json_t *v = NULL;
	char *path = path_in(h, name);
	if (!path || filemap_open(&m, path) < 0)
		goto out;
	if (m.bytes > limit) {
		ft_fail(FT_EFORMAT, "%s: %zu bytes; at most %zu are read", path, m.bytes, limit);
		goto out;
	}
	v = ft_json_parse(path, m.data ? (const char *)m.data : "", m.bytes);
	if (v && json_typeof(v) != JSON_OBJECT) {
		ft_fail(FT_EFORMAT, "%s: not a JSON object", path);
		json_decref(v);
		v = NULL;
	}
	if (v && bytes) {
		*bytes = m;
		m = (struct filemap){ 0 };
	}
out:
	filemap_close(&m);
	free(path);
	return v;
}

/* 1, 0, or <0 when the folder cannot be looked into. */
static int has_file(const struct hf *h, const char *name)
{
	struct stat st;
	char *path = path_in(h, name);
	if (!path)
		return FT_EFAIL;
	int rc = stat(path, &st) == 0 ? 1 : errno == ENOENT ? 0 : ft_fail_errno("%s", path);
	free(path);
	return rc;
}

/* ---- which files hold the weights ---- */

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One shard for each distinct name of sorted names[0..n). */
static int add_shards(struct hf *h, const char **names, size_t n)
{
	h->shard = ft_alloc(n, sizeof *h->shard);
	if (!h->shard)
		return FT_EFAIL;
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && !strcmp(names[i - 1], names[i]))
			continue;
		if (!(h->shard[h->shards].name = ft_strdup(names[i])))
			return FT_EFAIL;
		h->shards++;
	}
	return FT_OK;
}

static int read_index(struct hf *h)
{
	h->index = load_object(h, INDEX_NAME, INDEX_MAX, NULL);
	if (!h->index)
		return ft_last_error();
	const json_t *map = json_object_get(h->index, "weight_map");
	if (!json_is_object(map) || !json_object_size(map))
		return ft_fail(FT_EFORMAT, "%s: %s: weight_map is %s", h->dir, INDEX_NAME,
		               json_is_object(map) ? "empty" : "not an object");
	const char **names = ft_alloc(json_object_size(map), sizeof *names), *tensor;
	size_t n = 0;
	json_t *file;
	int rc = names ? FT_OK : FT_EFAIL;
	json_object_foreach((json_t *)(uintptr_t)map, tensor, file) {
		const char *name = json_string_value(file);
		if (rc == FT_OK && !name)
			rc = ft_fail(FT_EFORMAT, "%s: %s: weight_map: '%.*s': not a string", h->dir,
			             INDEX_NAME, NAME_SHOWN, tensor);
		else if (rc == FT_OK && (!is_basename(name) || strlen(name) != json_string_length(file)))
			rc = ft_fail(
				FT_EFORMAT,
				"%s: %s: weight_map: '%.*s': '%.*s' is not the name of a file in the folder",
				h->dir, INDEX_NAME, NAME_SHOWN, tensor, NAME_SHOWN, name);
		if (rc < 0)
			break;
		names[n++] = name;
	}
	if (rc == FT_OK) {
		qsort(names, n, sizeof *names, compare_text);
		rc = add_shards(h, names, n);
	}
	free(names);
	return rc;
}

static int no_weights(const struct hf *h)
{
	static const char *const pickle[] = { "pytorch_model.bin", "pytorch_model.bin.index.json" };
	for (size_t i = 0; i < 2; i++)
		if (has_file(h, pickle[i]) > 0)
			return ft_fail(FT_EFAIL,
			               "%s: the weights are in %s, a pickle, which is not read because it can "
			               "run code; convert them to model.safetensors "
			               "(save_pretrained() of transformers does)",
			               h->dir, pickle[i]);
	return ft_fail(FT_EFAIL, "%s: no weights: neither model.safetensors nor %s is there", h->dir,
	               INDEX_NAME);
}

/* Fills h->shard, without opening the files. One file takes precedence over
 * an index, as in the reference loader. */
static int find_weights(struct hf *h)
{
	const char *single = "model.safetensors";
	int there = has_file(h, single);
	if (there > 0)
		return add_shards(h, &single, 1);
	if (there == 0)
		there = has_file(h, INDEX_NAME);
	if (there > 0)
		return read_index(h);
	return there < 0 || h->flags & FT_BASE_BARE ? there : no_weights(h);
}

/* ---- tensors ---- */

static size_t count(const struct ft_base *b)
{
	const struct hf *h = hf_of(b);
	size_t n = 0;
	for (size_t i = 0; i < h->shards && h->shard[i].file; i++)
		n += ft_safetensors_count(h->shard[i].file);
	return n;
}

static const struct ft_stored *at(const struct ft_base *b, size_t i)
{
	const struct hf *h = hf_of(b);
	for (size_t s = 0; s < h->shards && h->shard[s].file; s++) {
		size_t n = ft_safetensors_count(h->shard[s].file);
		if (i < n)
			return ft_safetensors_at(h->shard[s].file, i);
		i -= n;
	}
	return NULL;
}

static const struct ft_stored *find(const struct ft_base *b, const char *name)
{
	const struct hf *h = hf_of(b);
	for (size_t s = 0; s < h->shards && h->shard[s].file; s++) {
		const struct ft_stored *t = ft_safetensors_find(h->shard[s].file, name);
		if (t)
			return t;
	}
	return NULL;
}

/* ---- opening ---- */

/* Index and shard `i` must name the same tensors for it. */
static int check_shard(const struct hf *h, const struct shard *sh)
{
	const json_t *map = json_object_get(h->index, "weight_map");
	for (size_t i = 0; i < ft_safetensors_count(sh->file); i++) {
		const char *name = ft_safetensors_at(sh->file, i)->name;
		const char *listed = json_string_value(json_object_get(map, name));
		if (!listed)
			return ft_fail(FT_EFORMAT, "%s: %.*s: tensor '%.*s' is not listed in %s", h->dir,
			               NAME_SHOWN, sh->name, NAME_SHOWN, name, INDEX_NAME);
		if (strcmp(listed, sh->name))
			return ft_fail(FT_EFORMAT,
			               "%s: %.*s: tensor '%.*s' should be in '%.*s' according to %s", h->dir,
			               NAME_SHOWN, sh->name, NAME_SHOWN, name, NAME_SHOWN, listed,
			               INDEX_NAME);
	}
	return FT_OK;
}

/* The other direction; each listed tensor is looked for in its own shard. */
static int check_index(const struct hf *h)
{
	const char *tensor;
	json_t *file;
	json_object_foreach(json_object_get(h->index, "weight_map"), tensor, file)
		if (!find(&h->base, tensor))
			return ft_fail(FT_EFORMAT, "%s: %.*s: tensor '%.*s', which %s lists, is not there",
			               h->dir, NAME_SHOWN, json_string_value(file), NAME_SHOWN, tensor,
			               INDEX_NAME);
	return FT_OK;
}

static int open_weights(struct hf *h)
{
	for (size_t i = 0; i < h->shards; i++) {
		struct shard *sh = &h->shard[i];
		char *path = path_in(h, sh->name);
		sh->file = path ? ft_safetensors_open(path) : NULL;
		free(path);
		if (!sh->file)
			return ft_last_error();
		int rc = h->index ? check_shard(h, sh) : FT_OK;
		if (rc < 0)
			return rc;
	}
	return h->index ? check_index(h) : FT_OK;
}

static int open_folder(struct hf *h)
{
	struct stat st;
	if (stat(h->dir, &st) < 0)
		return ft_fail_errno("%s", h->dir);
	if (!S_ISDIR(st.st_mode))
		return ft_fail(FT_EFAIL, "%s: not a folder with config.json and model.safetensors", h->dir);
	h->base.config = load_object(h, "config.json", CONFIG_MAX, &h->config_bytes);
	int rc = h->base.config ? find_weights(h) : ft_last_error();
	return rc < 0 || h->flags & FT_BASE_BARE ? rc : open_weights(h);
}

/* ---- digest ---- */

static int digest_shard(const struct hf *h, const struct shard *sh, struct ft_digest *d)
{
	if (sh->file) {
		const struct filemap *m = safetensors_bytes(sh->file);
		filemap_digest(m, d);
		return FT_OK;
	}
	struct filemap m;
	char *path = path_in(h, sh->name);
	int rc = path ? filemap_open(&m, path) : FT_EFAIL;
	free(path);
	if (rc < 0)
		return rc;
	filemap_digest(&m, d);
	filemap_close(&m);
	return FT_OK;
}

static int digest(const struct ft_base *b, struct ft_digest *d)
{
	const struct hf *h = hf_of(b);
	ft_digest_add(d, h->config_bytes.data, h->config_bytes.bytes);
	int rc = FT_OK;
	for (size_t i = 0; i < h->shards && rc == FT_OK; i++)
		rc = digest_shard(h, &h->shard[i], d);
	return rc;
}

/* ---- the kind ---- */

static void let_go(const struct ft_base *b)
{
	const struct hf *h = hf_of(b);
	for (size_t i = 0; i < h->shards; i++)
		if (h->shard[i].file)
			filemap_let_go(safetensors_bytes(h->shard[i].file));
}

static void close_folder(struct ft_base *b)
{
	struct hf *h = (struct hf *)b;
	for (size_t i = 0; i < h->shards; i++) {
		ft_safetensors_close(h->shard[i].file);
		free(h->shard[i].name);
	}
	free(h->shard);
	filemap_close(&h->config_bytes);
	json_decref(h->index);
	free(h->dir);
	free(h);
}

static const struct base_kind kind = {
	.count = count, .at = at, .find = find, .digest = digest, .let_go = let_go, .close = close_folder,
};

struct ft_base *hf_open(const char *dir, unsigned flags)
{
	struct hf *h = ft_alloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->base.kind = &kind;
	h->flags = flags;
	h->dir = ft_strdup(dir);
	if (h->dir && open_folder(h) == FT_OK)
		return &h->base;
	ft_base_close(&h->base);
	return NULL;
}
