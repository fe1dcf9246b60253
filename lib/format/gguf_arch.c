/* gguf_arch.c - the tables of gguf_arch.h: names of tensors and keys as llama.cpp's
 * converters write them (convert_hf_to_gguf.py, gguf-py), for each architecture.
 */
#include "gguf_arch.h"
#include "ft/err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- tensors ---- */

static const struct gguf_name decoder[] = {
	{ "token_embd", "model.embed_tokens", GGUF_AS_IS },
	{ "output_norm", "model.norm", GGUF_NORM },
	{ "output", "lm_head", GGUF_AS_IS },
	{ "blk.%d.attn_norm", "model.layers.%d.input_layernorm", GGUF_NORM },
	{ "blk.%d.attn_q", "model.layers.%d.self_attn.q_proj", GGUF_QUERY },
	{ "blk.%d.attn_k", "model.layers.%d.self_attn.k_proj", GGUF_KEY },
	{ "blk.%d.attn_v", "model.layers.%d.self_attn.v_proj", GGUF_AS_IS },
	{ "blk.%d.attn_output", "model.layers.%d.self_attn.o_proj", GGUF_AS_IS },
	{ "blk.%d.attn_q_norm", "model.layers.%d.self_attn.q_norm", GGUF_NORM },
	{ "blk.%d.attn_k_norm", "model.layers.%d.self_attn.k_norm", GGUF_NORM },
	{ "blk.%d.ffn_gate", "model.layers.%d.mlp.gate_proj", GGUF_AS_IS },
	{ "blk.%d.ffn_up", "model.layers.%d.mlp.up_proj", GGUF_AS_IS },
	{ "blk.%d.ffn_down", "model.layers.%d.mlp.down_proj", GGUF_AS_IS },
	{ 0 },
};
static const struct gguf_name llama_norms[] = {
	{ "blk.%d.ffn_norm", "model.layers.%d.post_attention_layernorm", GGUF_NORM },
	{ 0 },
};
static const struct gguf_name gemma_norms[] = {
	{ "blk.%d.post_attention_norm", "model.layers.%d.post_attention_layernorm", GGUF_NORM },
	{ "blk.%d.ffn_norm", "model.layers.%d.pre_feedforward_layernorm", GGUF_NORM },
	{ "blk.%d.post_ffw_norm", "model.layers.%d.post_feedforward_layernorm", GGUF_NORM },
	{ 0 },
};
static const struct gguf_name gpt2[] = {
	{ "token_embd", "transformer.wte", GGUF_AS_IS },
	{ "position_embd", "transformer.wpe", GGUF_AS_IS },
	{ "output_norm", "transformer.ln_f", GGUF_NORM },
	{ "output", "lm_head", GGUF_AS_IS },
	{ "blk.%d.attn_norm", "transformer.h.%d.ln_1", GGUF_NORM },
	{ "blk.%d.attn_qkv", "transformer.h.%d.attn.c_attn", GGUF_TURNED },
	{ "blk.%d.attn_output", "transformer.h.%d.attn.c_proj", GGUF_TURNED },
	{ "blk.%d.ffn_norm", "transformer.h.%d.ln_2", GGUF_NORM },
	{ "blk.%d.ffn_up", "transformer.h.%d.mlp.c_fc", GGUF_TURNED },
	{ "blk.%d.ffn_down", "transformer.h.%d.mlp.c_proj", GGUF_TURNED },
	{ 0 },
};

/* ---- keys ---- */

static const struct gguf_field decoder_fields[] = {
	{ "block_count", "num_hidden_layers", GGUF_WHOLE, GGUF_NEEDED, GGUF_NEEDED },
	{ "context_length", "max_position_embeddings", GGUF_WHOLE, GGUF_NEEDED, GGUF_NEEDED },
	{ "embedding_length", "hidden_size", GGUF_WHOLE, GGUF_NEEDED, GGUF_NEEDED },
	{ "feed_forward_length", "intermediate_size", GGUF_WHOLE, GGUF_NEEDED, GGUF_NEEDED },
	{ "attention.head_count", "num_attention_heads", GGUF_WHOLE, GGUF_NEEDED, GGUF_NEEDED },
	{ "attention.layer_norm_rms_epsilon", "rms_norm_eps", GGUF_REAL, GGUF_NEEDED, 1e-6 },
	{ "rope.freq_base", "rope_theta", GGUF_REAL, 10000, 10000 },
	{ 0 },
};
static const struct gguf_field window[] = {
	{ "attention.sliding_window", "sliding_window", GGUF_WHOLE, GGUF_NEEDED, 0 },
	{ 0 },
};
static const struct gguf_field gemma2_fields[] = {
	{ "attention.sliding_window", "sliding_window", GGUF_WHOLE, 4096, 4096 },
	{ "attn_logit_softcapping", "attn_logit_softcapping", GGUF_CAP, 50, 0 },
	{ "final_logit_softcapping", "final_logit_softcapping", GGUF_CAP, 30, 0 },
	{ 0 },
};
static const struct gguf_field gemma3_fields[] = {
	{ "attention.sliding_window", "sliding_window", GGUF_WHOLE, 0, 0 },
	{ "rope.freq_base_swa", "rope_local_base_freq", GGUF_REAL, 10000, 10000 },
	{ "final_logit_softcapping", "final_logit_softcapping", GGUF_CAP, 0, 0 },
	{ 0 },
};
static const struct gguf_field gpt2_fields[] = {
	{ "block_count", "n_layer", GGUF_WHOLE, GGUF_NEEDED, 12 },
	{ "context_length", "n_positions", GGUF_WHOLE, GGUF_NEEDED, 1024 },
	{ "embedding_length", "n_embd", GGUF_WHOLE, GGUF_NEEDED, 768 },
	{ "feed_forward_length", "n_inner", GGUF_WHOLE, GGUF_NEEDED, 0 },
	{ "attention.head_count", "n_head", GGUF_WHOLE, GGUF_NEEDED, 12 },
	{ "attention.layer_norm_epsilon", "layer_norm_epsilon", GGUF_REAL, GGUF_NEEDED, 1e-5 },
	{ 0 },
};

/* ---- architectures ---- */

#define DECODER .prefix = "model.", .width = "hidden_size", .heads = "num_attention_heads", \
	.kv_heads = "num_key_value_heads"
static const struct gguf_arch archs[] = {
	{ "llama", "llama", "LlamaForCausalLM", DECODER, .names = { decoder, llama_norms },
	  .fields = { decoder_fields }, .pairs = true },
	{ "llama", "mistral", "MistralForCausalLM", DECODER, .names = { decoder, llama_norms },
	  .fields = { decoder_fields, window }, .pairs = true, .swa = true },
	{ "qwen2", "qwen2", "Qwen2ForCausalLM", DECODER, .names = { decoder, llama_norms }, .fields = { decoder_fields } },
	{ "qwen3", "qwen3", "Qwen3ForCausalLM", DECODER, .names = { decoder, llama_norms }, .fields = { decoder_fields } },
	{ "gemma2", "gemma2", "Gemma2ForCausalLM", DECODER, .names = { decoder, gemma_norms },
	  .fields = { decoder_fields, gemma2_fields }, .plus = true, .swa = true, .odd_layers = 46 },
	{ "gemma3", "gemma3_text", "Gemma3ForCausalLM", DECODER, .names = { decoder, gemma_norms },
	  .fields = { decoder_fields, gemma3_fields }, .plus = true, .swa = true, .odd_layers = 62 },
	{ "gpt2", "gpt2", "GPT2LMHeadModel", .prefix = "transformer.", .names = { gpt2 }, .fields = { gpt2_fields },
	  .width = "n_embd", .heads = "n_head" },
};
#define ARCHS (sizeof archs / sizeof *archs)

const struct gguf_arch *gguf_arch_named(struct ft_span name)
{
	for (size_t i = 0; i < ARCHS; i++)
		if (name.p && strlen(archs[i].name) == name.n && memcmp(archs[i].name, name.p, name.n) == 0)
			return &archs[i];
	if (!name.p)
		ft_fail(FT_EFORMAT, "key 'general.architecture' is missing");
	else
		ft_fail(FT_EFORMAT, "general.architecture '%.*s' is not supported; llama, qwen2, qwen3, gemma2, gemma3 and"
		        " gpt2 are", (int)(name.n < 40 ? name.n : 40), name.p);
	return NULL;
}

const struct gguf_arch *gguf_arch_of(const char *model_type)
{
	for (size_t i = 0; i < ARCHS; i++)
		if (strcmp(archs[i].type, model_type) == 0)
			return &archs[i];
	return NULL;
}

const struct gguf_arch *gguf_arch_mistral(void)
{
	return gguf_arch_of("mistral");
}

/* ---- names ---- */

/* What is behind fmt in a name, ".weight" or ".bias"; NULL: it is another's. */
static const char *match(const char *fmt, const char *name, int *layer)
{
	*layer = -1;
	for (; *fmt && *fmt != '%'; fmt++, name++)
		if (*fmt != *name)
			return NULL;
	if (*fmt) {
		size_t n = strspn(name, "0123456789");
		if (n < 1 || n > 5 || (n > 1 && *name == '0'))
			return NULL;
		*layer = 0;
		for (size_t i = 0; i < n; i++)
			*layer = *layer * 10 + (*name++ - '0');
		size_t rest = strlen(fmt + 2);
		if (strncmp(name, fmt + 2, rest) != 0)
			return NULL;
		name += rest;
	}
	return strcmp(name, ".weight") && strcmp(name, ".bias") ? NULL : name;
}

static void print_name(char out[GGUF_NAME], const char *fmt, int layer, const char *end)
{
	const char *at = strstr(fmt, "%d");
	if (at)
		snprintf(out, GGUF_NAME, "%.*s%d%s%s", (int)(at - fmt), fmt, layer, at + 2, end);
	else
		snprintf(out, GGUF_NAME, "%s%s", fmt, end);
}

bool gguf_translate(const struct gguf_arch *a, const char *name, bool to_file, char out[GGUF_NAME], int *layer,
                    enum gguf_how *how)
{
	for (int list = 0; list < GGUF_LISTS; list++)
		for (const struct gguf_name *n = a->names[list]; n && n->file; n++) {
			const char *end = match(to_file ? n->hf : n->file, name, layer);
			if (!end)
				continue;
			print_name(out, to_file ? n->file : n->hf, *layer, end);
			bool same = n->how == GGUF_NORM ? !a->plus : n->how == GGUF_TURNED ? strcmp(end, ".weight") != 0
			          : !a->pairs;
			*how = same ? GGUF_AS_IS : n->how;
			return true;
		}
	return false;
}

/* ---- values ---- */

void gguf_permute(void *dst, const void *src, size_t rows, size_t row_bytes, size_t heads, bool to_file)
{
	size_t half = rows / heads / 2;
	for (size_t row = 0; row < rows; row++) { /* of transformers' order */
		size_t head = row / (2 * half), part = row / half % 2, i = row % half;
		size_t file = head * 2 * half + 2 * i + part;
		size_t to = to_file ? file : row, from = to_file ? row : file;
		memcpy((char *)dst + to * row_bytes, (const char *)src + from * row_bytes, row_bytes);
	}
}

/* In float32, step by step as the converter has it: the bits are compared with a file's. */
void gguf_rope_factors(const struct gguf_llama3 *s, size_t pairs, float *factor)
{
	float longest = (float)(s->original / s->low), shortest = (float)(s->original / s->high);
	for (size_t i = 0; i < pairs; i++) {
		float f = 1.0f / (float)pow(s->theta, (float)(2 * i) / (float)(2 * pairs));
		float wave = (float)(2 * M_PI) / f;
		float smooth = ((float)s->original / wave - (float)s->low) / (float)(s->high - s->low);
		factor[i] = wave < shortest ? 1 : wave > longest ? (float)s->factor
		          : 1 / ((1 - smooth) / (float)s->factor + smooth);
	}
}
