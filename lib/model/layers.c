/* layers.c - kinds of layers of one model: those whose attention sees all of a text,
 * and those whose attention sees a window of it. */
#include "priv.h"

#include <string.h>

static const char *const kinds[] = { [LAYER_FULL] = "full_attention", [LAYER_SLIDING] = "sliding_attention" };

int layers_check(const struct ft_model *m)
{
	const json_t *types = json_object_get(m->config, "layer_types");
	if (!types || json_is_null(types))
		return FT_OK;
	if (!json_is_array(types) || json_array_size(types) != (size_t)m->shape.layers)
		return ft_fail(FT_EFORMAT, "layer_types: must be a list of num_hidden_layers, %lld",
		               (long long)m->shape.layers);
	for (size_t i = 0; i < json_array_size(types); i++) {
		const char *type = json_string_value(json_array_get(types, i));
		if (!type || (strcmp(type, kinds[LAYER_FULL]) && strcmp(type, kinds[LAYER_SLIDING])))
			return ft_fail(FT_EFORMAT, "layer_types: '%.40s' is not supported; %s and %s are", type ? type : "?",
			               kinds[LAYER_FULL], kinds[LAYER_SLIDING]);
	}
	return FT_OK;
}

enum layer_kind layer_kind(const struct ft_model *m, int layer, bool slides)
{
	const json_t *types = json_object_get(m->config, "layer_types");
	if (json_is_array(types)) {
		const char *type = json_string_value(json_array_get(types, (size_t)layer));
		slides = type && strcmp(type, kinds[LAYER_SLIDING]) == 0;
	}
	return slides ? LAYER_SLIDING : LAYER_FULL;
}
