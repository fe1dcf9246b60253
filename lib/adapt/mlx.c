/* mlx.c - adapters as mlx-lm writes them: y = x W^T + scale (x A) B, of which A is [in, r] and B [r, out]. */
#include "folder.h"

#include "ft/mem.h"

#include <stdlib.h>
#include <string.h>

static const char ends[2][sizeof ".lora_a"] = { ".lora_a", ".lora_b" };

/* It tunes language models only. */
static int find_head(const struct folder *f, const struct ft_stored *last, json_t **head)
{
	(void)f, (void)last;
	*head = json_pack("{s:s}", "type", head_lm.name);
	return *head ? FT_OK : ft_fail(FT_EFAIL, "out of memory for a head");
}

/* Whether there is an A at a site: 1, 0, <0. The configuration does not name modules, older ones not even layers. */
static int is_adapted(const struct folder *f, const struct site *s)
{
	char *name = ft_format("%s%s", s->file, ends[0]);
	int rc = name ? ft_safetensors_find(f->tensors, name) != NULL : FT_EFAIL;
	free(name);
	return rc;
}

static int check_type(const struct folder *f)
{
	int err = FT_OK;
	const char *type = ft_json_str(f->config, "fine_tune_type", "lora", &err);
	if (err)
		return ft_context(err, "%s: " FOLDER_CONFIG, f->dir);
	if (strcmp(type, "lora") != 0)
		return folder_fail(f, FT_EFORMAT, "fine_tune_type: '%.40s' is not supported; lora is", type);
	return FT_OK;
}

static int read_numbers(const struct folder *f, const struct sites *s, json_t *o, bool *chosen)
{
	const json_t *numbers = json_object_get(f->config, "lora_parameters");
	int err = FT_OK;
	int64_t rank = ft_json_int(numbers, "rank", 8, &err);
	double scale = ft_json_real(numbers, "scale", 20, &err), p = ft_json_real(numbers, "dropout", 0, &err);
	size_t count = 0;
	if (err < 0)
		return ft_context(err, "%s: " FOLDER_CONFIG ": lora_parameters", f->dir);
	if (rank < 1 || rank > 1 << 16)
		return folder_fail(f, FT_EFORMAT, "lora_parameters: rank: %lld", (long long)rank);
	for (size_t i = 0; i < s->count; i++) {
		int rc = is_adapted(f, &s->at[i]);
		if (rc < 0)
			return rc;
		count += chosen[i] = rc;
	}
	if (count == 0)
		return ft_fail(FT_EFORMAT, "%s: no tensor is called like a module of the base, with %s behind it", f->weights,
		               ends[0]);
	int rc = ft_json_set(o, "r", json_integer(rank));
	rc = rc ? rc : ft_json_set(o, "alpha", json_real(scale * (double)rank));
	return rc ? rc : ft_json_set(o, "dropout", json_real(p));
}

static int translate(const struct folder *f, const struct sites *s, json_t *list)
{
	json_t *o = folder_technique(&technique_lora);
	bool *chosen = ft_alloc(s->count, sizeof *chosen);
	int rc = o && chosen ? check_type(f) : FT_EFAIL;
	rc = rc ? rc : read_numbers(f, s, o, chosen);
	rc = rc ? rc : folder_sites(o, s, chosen);
	free(chosen);
	if (rc == FT_OK)
		return ft_json_append(list, o);
	json_decref(o);
	return rc;
}

static void spell(char *name, bool *turned)
{
	static const char *const theirs[2] = { ".lora_A.weight", ".lora_B.weight" };
	size_t n = strlen(name), k = sizeof ends[0] - 1;
	*turned = false;
	for (int i = 0; i < 2 && n > k; i++)
		if (strcmp(name + n - k, ends[i]) == 0) {
			strcpy(name + n - k, theirs[i]);
			*turned = true;
		}
}

const struct folder_kind folder_mlx = {
	.name = "mlx-lm",
	.mark = "lora_parameters",
	.weights = "adapters.safetensors",
	.base = "model",
	.head = find_head,
	.translate = translate,
	.spell = spell,
};
