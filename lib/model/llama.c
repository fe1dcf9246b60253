/* llama.c - Llama 2 and 3 (Touvron et al., 2023; Grattafiori et al., 2024) and models of
 * its shape, such as SmolLM2; Mistral (Jiang et al., 2023), whose attention has a window. */
#include "priv.h"

static const struct decoder llama = {
	.activation_key = "hidden_act", .activation = "silu", .positions = 2048, .theta = 10000,
};
const struct ft_family family_llama = DECODER_FAMILY("llama", "Llama", &llama);

/* All layers, or none. */
static bool slides(const struct ft_model *m, int layer)
{
	(void)layer;
	return json_is_integer(json_object_get(m->config, "sliding_window"));
}

static const struct decoder mistral = {
	.activation_key = "hidden_act", .activation = "silu", .positions = 131072, .theta = 10000, .slides = slides,
};
const struct ft_family family_mistral = DECODER_FAMILY("mistral", "Mistral", &mistral);
