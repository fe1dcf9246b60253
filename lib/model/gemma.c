/* gemma.c - Gemma 2 (Gemma Team, 2024): norms behind the blocks, too, caps on scores and
 * logits, windows in every other layer; Gemma 3 (2025): norms of q and k instead of caps,
 * windows in five layers of six, which have rotary positions of their own. */
#include "priv.h"

static bool slides2(const struct ft_model *m, int layer)
{
	(void)m;
	return layer % 2 == 0;
}

static const struct decoder gemma2 = {
	.activation_key = "hidden_activation", .activation = "gelu_pytorch_tanh", .head_size = 256, .positions = 8192,
	.theta = 10000, .tied = true, .gemma = true, .slides = slides2,
};
const struct ft_family family_gemma2 = DECODER_FAMILY("gemma2", "Gemma2", &gemma2);

static bool slides3(const struct ft_model *m, int layer)
{
	int64_t pattern = ft_json_int(m->config, "sliding_window_pattern", 6, NULL);
	return pattern > 0 && (layer + 1) % pattern != 0;
}

static const struct rope_source ropes3[] = {
	[LAYER_FULL] = { .kind = "full_attention", .theta_key = "rope_theta", .theta = 1000000, .scaled = true },
	[LAYER_SLIDING] = { .kind = "sliding_attention", .theta_key = "rope_local_base_freq", .theta = 10000 },
};
static const struct decoder gemma3 = {
	.activation_key = "hidden_activation", .activation = "gelu_pytorch_tanh", .head_size = 256, .positions = 131072,
	.tied = true, .gemma = true, .qk_norm = true, .slides = slides3, .rope = ropes3,
};
const struct ft_family family_gemma3_text =
	DECODER_FAMILY("gemma3_text", "Gemma3Text", &gemma3, .lm_class = "Gemma3ForCausalLM");
