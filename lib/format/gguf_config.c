/* gguf_config.c - the hyper-parameters of a GGUF file as a config.json has them.
 *
 * What llama.cpp takes when a key is absent is taken here. What the families' config.json
 * cannot say is refused, as is what contradicts the tensors.
 */
#include "ft/err.h"
#include "ft/mem.h"
#include "gguf_arch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 96
#define WHOLE_MAX ((int64_t)1 << 31)

struct source {
	const struct ft_gguf *g;
	const struct gguf_arch *a;
	json_t *config;
	int64_t layers, width, heads, kv_heads, size; /* size: of a head */
};

/* "llama." and what is behind it. */
static const char *key_of(const struct source *s, const char *key, char full[KEY_MAX])
{
	snprintf(full, KEY_MAX, "%s.%s", s->a->name, key);
	return full;
}

static bool has_key(const struct source *s, const char *key)
{
	char full[KEY_MAX];
	return ft_gguf_find(s->g, key_of(s, key, full)) != NULL;
}

static int64_t whole(const struct source *s, const char *key, int64_t absent, int *err)
{
	char full[KEY_MAX];
	int64_t v = ft_gguf_int(s->g, key_of(s, key, full), absent, err);
	if (*err == FT_OK && (v < 0 || v > WHOLE_MAX))
		*err = ft_fail(FT_EFORMAT, "key '%s': %lld is out of range", full, (long long)v);
	return *err ? absent : v;
}

static double real(const struct source *s, const char *key, double absent, int *err)
{
	char full[KEY_MAX];
	double v = ft_gguf_real(s->g, key_of(s, key, full), absent, err);
	if (*err == FT_OK && !(v >= 0 && v < 1e12))
		*err = ft_fail(FT_EFORMAT, "key '%s': %g is out of range", full, v);
	return *err ? absent : v;
}

/* The decimal fraction that was meant: the shortest that is this float32. */
static double shortest(double v)
{
	char text[40];
	int digits = 6;
	do
		snprintf(text, sizeof text, "%.*g", digits, v);
	while ((float)strtod(text, NULL) != (float)v && ++digits < 18);
	return strtod(text, NULL);
}

static int set_real(const struct source *s, const char *member, double v)
{
	return ft_json_set(s->config, member, json_real(shortest(v)));
}

static int set_whole(const struct source *s, const char *member, int64_t v)
{
	return ft_json_set(s->config, member, json_integer(v));
}

/* ---- the fields of the tables ---- */

static int set_field(const struct source *s, const struct gguf_field *f)
{
	int err = FT_OK;
	if (f->absent < 0 && !has_key(s, f->key))
		return ft_fail(FT_EFORMAT, "key '%s.%s' is missing", s->a->name, f->key);
	if (f->kind == GGUF_WHOLE) {
		int64_t v = whole(s, f->key, (int64_t)f->absent, &err);
		return err ? err : set_whole(s, f->member, v);
	}
	double v = real(s, f->key, f->absent, &err);
	if (err)
		return err;
	return f->kind == GGUF_CAP && v == 0 ? ft_json_set(s->config, f->member, json_null()) : set_real(s, f->member, v);
}

static int set_fields(struct source *s)
{
	int rc = FT_OK;
	for (int list = 0; list < GGUF_LISTS; list++)
		for (const struct gguf_field *f = s->a->fields[list]; f && f->key && rc == FT_OK; f++)
			rc = set_field(s, f);
	return rc;
}

/* ---- heads ---- */

static int read_heads(struct source *s)
{
	int err = FT_OK;
	s->layers = whole(s, "block_count", 0, &err);
	s->width = whole(s, "embedding_length", 0, &err);
	s->heads = whole(s, "attention.head_count", 0, &err);
	s->kv_heads = whole(s, "attention.head_count_kv", s->heads, &err);
	if (err)
		return err;
	if (s->heads < 1 || s->kv_heads < 1 || s->heads % s->kv_heads)
		return ft_fail(FT_EFORMAT, "%lld heads with %lld of keys and values", (long long)s->heads,
		               (long long)s->kv_heads);
	if (!has_key(s, "attention.key_length") && s->width % s->heads)
		return ft_fail(FT_EFORMAT, "embedding_length %lld is not a multiple of attention.head_count %lld",
		               (long long)s->width, (long long)s->heads);
	s->size = whole(s, "attention.key_length", s->width / s->heads, &err);
	int64_t values = whole(s, "attention.value_length", s->width / s->heads, &err);
	int64_t turned = whole(s, "rope.dimension_count", s->size, &err);
	if (err == FT_OK && values != s->size)
		return ft_fail(FT_EFORMAT, "heads of %lld components with values of %lld are not supported",
		               (long long)s->size, (long long)values);
	if (err == FT_OK && turned != s->size)
		return ft_fail(FT_EFORMAT, "rotary positions in %lld of %lld components of a head are not supported",
		               (long long)turned, (long long)s->size);
	return err;
}

static int set_heads(const struct source *s)
{
	if (!s->a->kv_heads)
		return s->kv_heads == s->heads && s->size * s->heads == s->width ? FT_OK
		       : ft_fail(FT_EFORMAT, "a %s has as many heads of keys as of queries, which make up its width",
		                 s->a->name);
	int rc = set_whole(s, s->a->kv_heads, s->kv_heads);
	return rc ? rc : set_whole(s, "head_dim", s->size);
}

/* ---- vocabulary, biases ---- */

static int set_vocabulary(const struct source *s)
{
	int err = FT_OK;
	const struct ft_gguf_tensor *t = ft_gguf_tensor_find(s->g, "token_embd.weight");
	const struct ft_gguf_value *tokens = ft_gguf_array(s->g, "tokenizer.ggml.tokens", FT_GGUF_TEXTS, &err);
	if (!err && (!t || t->rank != 2))
		err = ft_fail(FT_EFORMAT, t ? "tensor 'token_embd.weight' is not a matrix" : "no tensor 'token_embd.weight'");
	if (err)
		return err;
	int64_t rows = t->shape[0], said = whole(s, "vocab_size", rows, &err);
	if (!err && ((tokens && (int64_t)tokens->count != rows) || said != rows))
		err = ft_fail(FT_EFORMAT, "tensor 'token_embd.weight' has %lld rows for %lld tokens", (long long)rows,
		              tokens && (int64_t)tokens->count != rows ? (long long)tokens->count : (long long)said);
	static const struct { const char *key, *member; } ids[] = {
		{ "tokenizer.ggml.bos_token_id", "bos_token_id" }, { "tokenizer.ggml.eos_token_id", "eos_token_id" },
		{ "tokenizer.ggml.padding_token_id", "pad_token_id" },
	};
	for (size_t i = 0; i < sizeof ids / sizeof *ids && !err; i++) {
		int64_t id = ft_gguf_int(s->g, ids[i].key, -1, &err);
		bool none = id < 0 || id >= rows; /* which converters write as -1, and llama.cpp ignores */
		err = err ? err : ft_json_set(s->config, ids[i].member, none ? json_null() : json_integer(id));
	}
	return err ? err : set_whole(s, "vocab_size", rows);
}

static int set_parts(const struct source *s)
{
	int rc = ft_json_set(s->config, "tie_word_embeddings", json_boolean(!ft_gguf_tensor_find(s->g, "output.weight")));
	if (rc < 0 || !s->a->kv_heads)
		return rc;
	if (strcmp(s->a->type, "qwen2") != 0) /* whose biases are always there */
		rc = ft_json_set(s->config, "attention_bias",
		                 json_boolean(ft_gguf_tensor_find(s->g, "blk.0.attn_q.bias") != NULL));
	if (rc == FT_OK && strcmp(s->a->type, "llama") == 0)
		rc = ft_json_set(s->config, "mlp_bias", json_boolean(ft_gguf_tensor_find(s->g, "blk.0.ffn_up.bias") != NULL));
	return rc;
}

/* ---- rotary positions ---- */

static int set_yarn(const struct source *s, double factor)
{
	static const char *const other[] = {
		"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_log_multiplier",
		"rope.scaling.yarn_ext_factor",
	};
	int err = FT_OK;
	for (size_t i = 0; i < sizeof other / sizeof *other; i++)
		if (has_key(s, other[i]))
			return ft_fail(FT_EFORMAT, "key '%s.%s' is not supported", s->a->name, other[i]);
	int64_t length = whole(s, "rope.scaling.original_context_length", whole(s, "context_length", 0, &err), &err);
	double fast = real(s, "rope.scaling.yarn_beta_fast", 32, &err),
	       slow = real(s, "rope.scaling.yarn_beta_slow", 1, &err);
	return err ? err : ft_json_set(s->config, "rope_scaling",
		json_pack("{s:s, s:f, s:I, s:f, s:f}", "rope_type", "yarn", "factor", shortest(factor),
		          "original_max_position_embeddings", (json_int_t)length, "beta_fast", shortest(fast),
		          "beta_slow", shortest(slow)));
}

/* Whether a file's divisors of frequencies are those of this scaling. */
static bool is_scaling(const struct gguf_llama3 *l, const float *file, float *made, size_t pairs)
{
	gguf_rope_factors(l, pairs, made);
	for (size_t i = 0; i < pairs; i++)
		if (!(fabsf(file[i] - made[i]) <= 1e-5f * made[i]))
			return false;
	return true;
}

/* Llama 3's converter writes divisors, and not what they come of: that is found by making
 * them again for lengths of pre-training. */
static int set_factors(const struct source *s, const struct ft_gguf_tensor *t)
{
	size_t pairs = (size_t)s->size / 2;
	if (t->type != FT_GGML_F32 || t->rank != 1 || (size_t)t->shape[0] != pairs || !pairs)
		return ft_fail(FT_EFORMAT, "tensor 'rope_freqs.weight' is not %zu float32", pairs);
	double theta = json_number_value(json_object_get(s->config, "rope_theta"));
	struct gguf_llama3 l = { .theta = theta, .factor = 1, .low = 1, .high = 4 };
	float *file = ft_alloc(2 * pairs, sizeof *file);
	if (!file)
		return FT_EFAIL;
	memcpy(file, t->data, pairs * sizeof *file);
	for (size_t i = 0; i < pairs; i++)
		l.factor = fmax(l.factor, (double)file[i]);
	bool found = false;
	for (int bits = 4; bits <= 24 && !found; bits++) {
		l.original = (double)((int64_t)1 << bits);
		found = is_scaling(&l, file, file + pairs, pairs);
	}
	free(file);
	if (!found)
		return ft_fail(FT_EFORMAT, "tensor 'rope_freqs.weight' is not of a scaling that is known");
	return l.factor == 1 ? FT_OK : ft_json_set(s->config, "rope_scaling",
		json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", shortest(l.factor),
		          "low_freq_factor", l.low, "high_freq_factor", l.high, "original_max_position_embeddings",
		          (json_int_t)l.original));
}

static int set_rope(const struct source *s)
{
	char full[KEY_MAX];
	int err = FT_OK;
	struct ft_span type = ft_gguf_text(s->g, key_of(s, "rope.scaling.type", full), &err);
	double factor = real(s, "rope.scaling.factor", real(s, "rope.scale_linear", 0, &err), &err);
	if (err)
		return err;
	const char *name = type.p ? type.p : "linear";
	size_t n = type.p ? type.n : 6;
	const struct ft_gguf_tensor *t = s->a->pairs ? ft_gguf_tensor_find(s->g, "rope_freqs.weight") : NULL;
	if (n == 4 && memcmp(name, "yarn", 4) == 0 && !t)
		return set_yarn(s, factor);
	if (!(n == 4 && memcmp(name, "none", 4) == 0) && !(n == 6 && memcmp(name, "linear", 6) == 0))
		return ft_fail(FT_EFORMAT, "key '%s': '%.*s' is not supported", full, (int)(n < 40 ? n : 40), name);
	bool plain = n == 4 || factor == 0 || factor == 1;
	if (t)
		return plain ? set_factors(s, t) : ft_fail(FT_EFORMAT, "rope_freqs.weight with rope.scaling.factor");
	return plain ? FT_OK : ft_json_set(s->config, "rope_scaling",
		json_pack("{s:s, s:f}", "rope_type", "linear", "factor", shortest(factor)));
}

/* ---- what is particular ---- */

/* Which layers have a window: a period, of which the last has none, or a list. */
static int set_pattern(const struct source *s)
{
	char full[KEY_MAX];
	int err = FT_OK;
	const struct ft_gguf_value *v = ft_gguf_find(s->g, key_of(s, "attention.sliding_window_pattern", full));
	bool three = strcmp(s->a->name, "gemma3") == 0;
	if (three && whole(s, "attention.sliding_window", 0, &err) == 0)
		return err ? err : set_whole(s, "sliding_window_pattern", 1);
	if (!v || (!v->is_array && three))
		return err ? err
		           : set_whole(s, "sliding_window_pattern",
		                       whole(s, "attention.sliding_window_pattern", three ? 6 : 2, &err));
	if (!v->is_array || v->type != FT_GGUF_BOOL || v->count != (size_t)s->layers)
		return ft_fail(FT_EFORMAT, "key '%s' is not a list of %lld booleans", full, (long long)s->layers);
	json_t *types = json_array();
	int rc = ft_json_set(s->config, "layer_types", types);
	for (size_t i = 0; i < v->count && rc == FT_OK; i++)
		rc = ft_json_append(types, json_string(((const char *)v->data)[i] ? "sliding_attention" : "full_attention"));
	return rc;
}

static int set_own(const struct source *s)
{
	bool gemma = s->a->plus, gpt2 = !s->a->kv_heads;
	const char *f = gemma ? "gelu_pytorch_tanh" : gpt2 ? "gelu_new" : "silu";
	const char *member = gemma ? "hidden_activation" : gpt2 ? "activation_function" : "hidden_act";
	int rc = ft_json_set(s->config, member, json_string(f));
	if (rc == FT_OK && gpt2)
		rc = ft_json_set(s->config, "n_ctx", json_incref(json_object_get(s->config, "n_positions")));
	if (rc < 0 || !gemma)
		return rc;
	bool odd = s->layers == s->a->odd_layers;
	rc = set_whole(s, "query_pre_attn_scalar", odd ? s->width / s->heads : s->size);
	return rc ? rc : set_pattern(s);
}

/* ---- the whole ---- */

static int check_kind(const struct source *s)
{
	char full[KEY_MAX];
	int err = FT_OK;
	struct ft_span type = ft_gguf_text(s->g, "general.type", &err);
	if (!err && type.p && (type.n != 5 || memcmp(type.p, "model", 5) != 0))
		err = ft_fail(FT_EFORMAT, "general.type is '%.*s', not 'model'", (int)(type.n < 40 ? type.n : 40), type.p);
	if (!err && ft_gguf_int(s->g, "split.count", 1, &err) > 1)
		err = ft_fail(FT_EFORMAT, "is a part of a model in several files, which are not read; gguf-split joins them");
	if (!err && whole(s, "expert_count", 0, &err) > 0)
		err = ft_fail(FT_EFORMAT, "a mixture of experts is not supported");
	if (!err && !ft_gguf_bool(s->g, key_of(s, "attention.causal", full), true, &err))
		err = ft_fail(FT_EFORMAT, "attention that is not causal is not supported");
	return err;
}

static const char *dtype_name(const struct ft_gguf *g)
{
	const struct ft_gguf_tensor *t = ft_gguf_tensor_find(g, "token_embd.weight");
	return t && t->type == FT_GGML_F16 ? "float16" : t && t->type == FT_GGML_BF16 ? "bfloat16" : "float32";
}

static int make(struct source *s)
{
	int rc = check_kind(s);
	s->config = json_pack("{s:[s], s:s, s:s}", "architectures", s->a->class, "model_type", s->a->type, "torch_dtype",
	                      dtype_name(s->g));
	if (rc == FT_OK && !s->config)
		rc = ft_fail(FT_EFAIL, "out of memory for a config");
	rc = rc ? rc : set_fields(s);
	rc = rc ? rc : read_heads(s);
	rc = rc ? rc : set_heads(s);
	rc = rc ? rc : set_vocabulary(s);
	rc = rc ? rc : set_parts(s);
	rc = rc ? rc : set_own(s);
	return rc ? rc : set_rope(s);
}

json_t *gguf_config(const struct ft_gguf *g, const struct gguf_arch **arch)
{
	int err = FT_OK;
	struct ft_span name = ft_gguf_text(g, "general.architecture", &err);
	struct source s = { .g = g, .a = err ? NULL : gguf_arch_named(name) };
	if (!s.a)
		return NULL;
	if (strcmp(s.a->type, "llama") == 0 && whole(&s, "attention.sliding_window", 0, &err) > 0)
		s.a = gguf_arch_mistral();
	if (err == FT_OK && make(&s) == FT_OK) {
		*arch = s.a;
		return s.config;
	}
	json_decref(s.config);
	return NULL;
}
