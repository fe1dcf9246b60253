/* narrow.c - a frozen base in fewer bits (Dettmers et al., "QLoRA", 2023): linear layers of the body that do not train
 * are narrowed when they are loaded, and products widen them again as they use them. Their numbers are
 * what they are from then on, also for a merge. */
#include "ft/mem.h"
#include "priv.h"

#include <stdlib.h>
#include <string.h>

int narrow_plan(struct ft_model *m, const char *type)
{
	if (!type)
		return FT_OK;
	int t = ft_dtype_of_weights(type);
	if (t < 0)
		return ft_fail(FT_EUSAGE, "--base-type: '%s' is not f32, f16, bf16, q8_0, q4_0 or nf4", type);
	if (t != FT_F32)
		return ft_json_set(m->meta, "base_type", json_string(ft_dtype_name((enum ft_dtype)t)));
	json_object_del(m->meta, "base_type");
	return FT_OK;
}

/* meta's, or FT_F32: as it is stored. */
static int type_of(const struct ft_model *m)
{
	int err = FT_OK;
	const char *name = ft_json_str(m->meta, "base_type", "F32", &err);
	int t = err ? -1 : ft_dtype_of_weights(name);
	return t < 0 ? ft_fail(FT_EFORMAT, "%s: base_type: is not a type of weights", m->name) : t;
}

int narrow_wanted(const struct ft_model *m, const struct ft_param *p, const struct ft_stored *t)
{
	int type = type_of(m);
	if (type <= FT_F32)
		return type;
	bool linear = p->kind == PARAM_WEIGHT || p->kind == PARAM_TURNED;
	bool body = p->layer >= 0 && p->layer < (int)m->shape.layers;
	size_t block = ft_dtype_block((enum ft_dtype)type);
	bool fits = linear && body && !p->trains && ft_dtype_block(t->dtype) == 1 && (size_t)p->t.cols % block == 0;
	return fits ? type : FT_F32;
}

int narrow_take(const struct ft_model *m, struct ft_param *p, float *wide)
{
	enum ft_dtype t = (enum ft_dtype)type_of(m);
	size_t n = (size_t)p->t.rows * (size_t)p->t.cols, bytes = 0;
	p->own = ft_dtype_bytes(t, n, &bytes) ? ft_alloc_whole(bytes, 1) : NULL;
	int rc = p->own ? ft_narrow(p->own, wide, t, n) : FT_EFAIL;
	p->t.stored = p->own;
	p->t.dtype = t;
	p->t.data = NULL;
	free(wide);
	return rc < 0 ? ft_context(rc, "%s: %s", m->dir, p->file) : FT_OK;
}
