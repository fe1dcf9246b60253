/* qwen.c - Qwen2 and 2.5 (Yang et al., 2024), whose q, k and v have biases, and Qwen3
 * (Yang et al., 2025), which has norms of each head's q and k instead. */
#include "priv.h"

/* The upper layers, where config.json asks for windows at all. */
static bool slides(const struct ft_model *m, int layer)
{
	bool use = json_is_true(json_object_get(m->config, "use_sliding_window"));
	return use && json_is_integer(json_object_get(m->config, "sliding_window")) &&
	       layer >= ft_json_int(m->config, "max_window_layers", 28, NULL);
}

static const struct decoder qwen2 = {
	.activation_key = "hidden_act", .activation = "silu", .positions = 32768, .theta = 10000, .qkv_bias = true,
	.slides = slides,
};
const struct ft_family family_qwen2 = DECODER_FAMILY("qwen2", "Qwen2", &qwen2);

static const struct decoder qwen3 = {
	.activation_key = "hidden_act", .activation = "silu", .positions = 32768, .theta = 10000, .head_size = 128,
	.qk_norm = true, .slides = slides,
};
const struct ft_family family_qwen3 = DECODER_FAMILY("qwen3", "Qwen3", &qwen3);
