/* ends.c - which tokens end an answer. */
#include "priv.h"

#include <stdlib.h>
#include <unistd.h>

struct ends {
	int32_t *ids;
	size_t n, cap;
};

static int add(struct ends *e, const json_t *id, const char *where)
{
	json_int_t v = json_integer_value(id);
	if (!json_is_integer(id) || v < 0 || v > INT32_MAX)
		return ft_fail(FT_EFORMAT, "%s: eos_token_id: is not an id", where);
	for (size_t i = 0; i < e->n; i++)
		if (e->ids[i] == v)
			return FT_OK;
	int rc = ft_grow(&e->ids, &e->cap, e->n + 1, sizeof *e->ids);
	if (rc == FT_OK)
		e->ids[e->n++] = (int32_t)v;
	return rc;
}

/* An id, a list of them, or null. */
static int add_all(struct ends *e, const json_t *ids, const char *where)
{
	int rc = FT_OK;
	size_t i;
	json_t *id;
	if (!ids || json_is_null(ids))
		return FT_OK;
	if (!json_is_array(ids))
		return add(e, ids, where);
	json_array_foreach((json_t *)(uintptr_t)ids, i, id)
		rc = rc < 0 ? rc : add(e, id, where);
	return rc;
}

static int add_of_folder(struct ends *e, const struct ft_model *m)
{
	char *path = ft_format("%s/generation_config.json", ft_model_dir(m));
	if (!path)
		return FT_EFAIL;
	json_t *config = access(path, F_OK) == 0 ? ft_json_load(path) : NULL;
	int rc = !config && access(path, F_OK) == 0 ? ft_last_error() : FT_OK;
	rc = rc < 0 ? rc : add_all(e, json_object_get(config, "eos_token_id"), path);
	json_decref(config);
	free(path);
	return rc;
}

int ft_generate_ends(const struct ft_model *m, const struct ft_tok *t, int32_t **ids)
{
	struct ends e = { 0 };
	json_t *about = ft_tok_describe(t);
	int rc = about ? FT_OK : FT_EFAIL;
	rc = rc < 0 ? rc : add_all(&e, json_object_get(about, "eos"), "the tokenizer");
	rc = rc < 0 ? rc : add_all(&e, json_object_get(json_object_get(ft_model_meta(m), "config"), "eos_token_id"),
	                           "config.json");
	rc = rc < 0 ? rc : add_of_folder(&e, m);
	json_decref(about);
	if (rc < 0) {
		free(e.ids);
		return rc;
	}
	*ids = e.ids;
	return (int)e.n;
}
