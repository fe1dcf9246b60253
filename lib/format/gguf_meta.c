/* gguf_meta.c - a config.json as the keys of a GGUF file: gguf_config.c the other way round.
 *
 * What llama.cpp would read differently, or not at all, is refused. Windows of a Mistral are
 * written although llama.cpp passes over them: up to their length nothing depends on them.
 */
#include "ft/err.h"
#include "gguf_arch.h"
#include "gguf_write.h"

#include <stdio.h>
#include <string.h>

struct target {
	struct gguf_writer *w;
	const json_t *config;
	const struct gguf_arch *a;
	int64_t layers, width, heads, size, positions;
};

static const char *key_of(const struct target *t, const char *key)
{
	static _Thread_local char full[96];
	snprintf(full, sizeof full, "%s.%s", t->a->name, key);
	return full;
}

static int refuse(const char *member)
{
	return ft_fail(FT_EUSAGE, "%s: keys of a GGUF file have no place for what config.json says", member);
}

static int64_t member(const struct target *t, const char *key, int64_t absent, int *err)
{
	return ft_json_int(t->config, key, absent, err);
}

/* ---- rotary positions, in both generations of config.json ---- */

/* The object for the layers that see all of a text, or those with a window. */
static const json_t *rope_of(const json_t *config, bool window)
{
	const json_t *all = json_object_get(config, "rope_parameters"), *scaling = json_object_get(config, "rope_scaling");
	const json_t *full = json_object_get(all, "full_attention"), *sliding = json_object_get(all, "sliding_attention");
	if (window)
		return sliding;
	return json_is_object(scaling) ? scaling : full ? full : all;
}

static double theta_of(const json_t *config, const char *key, double usual, bool window, int *err)
{
	const json_t *all = json_object_get(config, "rope_parameters");
	const json_t *own = json_object_get(all, window ? "sliding_attention" : "full_attention");
	double v = ft_json_real(config, key, usual, err);
	v = ft_json_real(own || window ? own : all, "rope_theta", v, err);
	return ft_json_real(rope_of(config, window), "rope_theta", v, err);
}

static const char *rope_type(const json_t *rope, int *err)
{
	return ft_json_str(rope, "rope_type", ft_json_str(rope, "type", "default", err), err);
}

static int64_t original_length(const struct target *t, const json_t *rope, int *err)
{
	int64_t v = member(t, "original_max_position_embeddings", 0, err);
	return v ? v : ft_json_int(rope, "original_max_position_embeddings", t->positions, err);
}

static int put_yarn(const struct target *t, const json_t *rope)
{
	static const char *const other[] = { "attention_factor", "mscale", "mscale_all_dim", "truncate" };
	int err = FT_OK;
	int64_t length = original_length(t, rope, &err);
	for (size_t i = 0; i < sizeof other / sizeof *other; i++)
		if (!json_is_null(json_object_get(rope, other[i])) && json_object_get(rope, other[i]))
			return refuse(other[i]);
	double factor = ft_json_real(rope, "factor", length > 0 ? (double)t->positions / (double)length : 1, &err);
	double fast = ft_json_real(rope, "beta_fast", 32, &err), slow = ft_json_real(rope, "beta_slow", 1, &err);
	int rc = err ? err : gguf_put_text(t->w, key_of(t, "rope.scaling.type"), (struct ft_span){ "yarn", 4 });
	rc = rc ? rc : gguf_put_real(t->w, key_of(t, "rope.scaling.factor"), factor);
	rc = rc ? rc : gguf_put_whole(t->w, key_of(t, "rope.scaling.original_context_length"), length);
	rc = rc || fast == 32 ? rc : gguf_put_real(t->w, key_of(t, "rope.scaling.yarn_beta_fast"), fast);
	return rc || slow == 1 ? rc : gguf_put_real(t->w, key_of(t, "rope.scaling.yarn_beta_slow"), slow);
}

static int put_rope(const struct target *t)
{
	const json_t *rope = rope_of(t->config, false);
	int err = FT_OK;
	const char *type = rope_type(rope, &err), *window = rope_type(rope_of(t->config, true), &err);
	double share = ft_json_real(t->config, "partial_rotary_factor",
	                            ft_json_real(rope, "partial_rotary_factor", 1, &err), &err);
	if (err || share != 1)
		return err ? err : refuse("partial_rotary_factor");
	if (strcmp(window, "default") != 0)
		return refuse("rope_parameters.sliding_attention");
	if (strcmp(type, "default") == 0 || (strcmp(type, "llama3") == 0 && t->a->pairs))
		return FT_OK; /* the latter is a tensor */
	if (strcmp(type, "yarn") == 0)
		return put_yarn(t, rope);
	if (strcmp(type, "linear") != 0)
		return refuse("rope_type");
	double factor = ft_json_real(rope, "factor", 1, &err);
	int rc = err ? err : gguf_put_text(t->w, key_of(t, "rope.scaling.type"), (struct ft_span){ "linear", 6 });
	return rc ? rc : gguf_put_real(t->w, key_of(t, "rope.scaling.factor"), factor);
}

int gguf_llama3_of(const json_t *config, const struct gguf_arch *a, struct gguf_llama3 *s)
{
	int err = FT_OK;
	const json_t *rope = rope_of(config, false);
	if (!a->pairs || strcmp(rope_type(rope, &err), "llama3") != 0)
		return err;
	*s = (struct gguf_llama3){
		.theta = theta_of(config, "rope_theta", 10000, false, &err),
		.factor = ft_json_real(rope, "factor", 8, &err),
		.low = ft_json_real(rope, "low_freq_factor", 1, &err),
		.high = ft_json_real(rope, "high_freq_factor", 4, &err),
		.original = (double)ft_json_int(rope, "original_max_position_embeddings", 8192, &err),
	};
	return err ? err : 1;
}

/* ---- the fields of the tables ---- */

static int put_field(const struct target *t, const struct gguf_field *f)
{
	int err = FT_OK;
	const json_t *v = json_object_get(t->config, f->member);
	bool none = !v || json_is_null(v), theta = strncmp(f->key, "rope.freq_base", 14) == 0;
	if (f->usual < 0 && none && strcmp(f->key, "context_length") != 0)
		return ft_fail(FT_EFORMAT, "config.json: %s is missing", f->member);
	if (f->kind == GGUF_WHOLE) {
		int64_t whole = member(t, f->member, (int64_t)f->usual, &err);
		if (none && strcmp(f->key, "feed_forward_length") == 0)
			whole = 4 * t->width;
		if (none && strcmp(f->key, "context_length") == 0)
			whole = t->positions;
		/* Where llama.cpp takes none for an absent key, none is written. */
		bool absent = whole == 0 && f->absent <= 0;
		return err || absent ? err : gguf_put_whole(t->w, key_of(t, f->key), whole);
	}
	bool window = strcmp(f->key, "rope.freq_base_swa") == 0;
	double usual = theta && !window && strcmp(t->a->name, "gemma3") == 0 ? 1000000 : f->usual;
	double real = theta ? theta_of(t->config, f->member, usual, window, &err)
	                    : ft_json_real(t->config, f->member, usual, &err);
	if (!err && f->kind == GGUF_CAP && real == 0)
		return f->absent == 0 ? FT_OK : refuse(f->member); /* llama.cpp would divide by it */
	return err ? err : gguf_put_real(t->w, key_of(t, f->key), real);
}

static int put_fields(const struct target *t)
{
	int rc = FT_OK;
	for (int list = 0; list < GGUF_LISTS; list++)
		for (const struct gguf_field *f = t->a->fields[list]; f && f->key && rc == FT_OK; f++)
			rc = put_field(t, f);
	return rc;
}

/* ---- heads ---- */

int64_t gguf_head_size(const json_t *config, const struct gguf_arch *a)
{
	int64_t width = ft_json_int(config, a->width, 768, NULL), heads = ft_json_int(config, a->heads, 12, NULL);
	bool wide = a->plus || strcmp(a->name, "qwen3") == 0; /* which have a size of their own when nothing says it */
	int64_t usual = a->plus ? 256 : wide ? 128 : heads > 0 ? width / heads : 0;
	return a->kv_heads ? ft_json_int(config, "head_dim", usual, NULL) : usual;
}

static int put_heads(struct target *t)
{
	int err = FT_OK;
	if (!t->a->kv_heads)
		return FT_OK;
	int rc = gguf_put_whole(t->w, key_of(t, "attention.head_count_kv"), member(t, t->a->kv_heads, t->heads, &err));
	bool said = json_is_integer(json_object_get(t->config, "head_dim")) || t->size * t->heads != t->width;
	if (rc == FT_OK && !err && said) {
		rc = gguf_put_whole(t->w, key_of(t, "attention.key_length"), t->size);
		rc = rc ? rc : gguf_put_whole(t->w, key_of(t, "attention.value_length"), t->size);
	}
	if (rc == FT_OK && !err && t->a->pairs) {
		rc = gguf_put_whole(t->w, key_of(t, "vocab_size"), member(t, "vocab_size", 0, &err));
		rc = rc ? rc : gguf_put_whole(t->w, key_of(t, "rope.dimension_count"), t->size);
	}
	return err ? err : rc;
}

/* ---- windows ---- */

static bool slides(const struct target *t, int64_t layer, int64_t period)
{
	bool windows = json_is_integer(json_object_get(t->config, "sliding_window"));
	const json_t *types = json_object_get(t->config, "layer_types");
	const char *type = json_string_value(json_array_get(types, (size_t)layer));
	if (json_is_array(types))
		return type && strcmp(type, "sliding_attention") == 0;
	if (t->a->swa)
		return windows && (period == 0 || (layer + 1) % period != 0);
	return windows && json_is_true(json_object_get(t->config, "use_sliding_window")) &&
	       layer >= ft_json_int(t->config, "max_window_layers", 28, NULL);
}

static int put_windows(const struct target *t)
{
	bool pattern[1024], usual = true;
	int64_t period = t->a->plus ? (strcmp(t->a->name, "gemma2") == 0 ? 2 : 6) : 0, own = period;
	int err = FT_OK;
	if (period == 6)
		own = member(t, "sliding_window_pattern", 6, &err);
	if (err || (period && own < 1) || t->layers < 0 || t->layers > 1024)
		return err ? err : refuse("sliding_window_pattern");
	bool windows = t->a->swa && json_is_integer(json_object_get(t->config, "sliding_window"));
	for (int64_t i = 0; i < t->layers; i++) {
		pattern[i] = slides(t, i, own);
		bool expected = windows && (period == 0 || (i + 1) % period != 0);
		usual = usual && pattern[i] == expected;
	}
	if (usual)
		return FT_OK;
	/* llama.cpp takes every layer of an architecture to be alike, but of Gemma. */
	return t->a->plus ? gguf_put_bools(t->w, key_of(t, "attention.sliding_window_pattern"), pattern, (size_t)t->layers)
	                  : refuse("sliding_window");
}

/* ---- what cannot be said ---- */

static int check(const struct target *t)
{
	bool gemma = t->a->plus, gpt2 = !t->a->kv_heads;
	const char *key = gemma ? "hidden_activation" : gpt2 ? "activation_function" : "hidden_act";
	const char *usual = gemma ? "gelu_pytorch_tanh" : gpt2 ? "gelu_new" : "silu";
	int err = FT_OK;
	const char *f = ft_json_str(t->config, key, usual, &err);
	bool tanh = !err && (gemma || gpt2) && (strcmp(f, "gelu_new") == 0 || strcmp(f, "gelu_pytorch_tanh") == 0);
	if (!err && !tanh && strcmp(f, usual) != 0)
		return refuse(key);
	if (err || !gemma)
		return err;
	double query = ft_json_real(t->config, "query_pre_attn_scalar", 256, &err);
	int64_t taken = t->layers == t->a->odd_layers ? t->width / t->heads : t->size;
	if (!err && query != (double)taken)
		return ft_fail(FT_EUSAGE, "query_pre_attn_scalar: llama.cpp takes it to be %lld for a %s of this shape, not %g",
		               (long long)taken, t->a->name, query);
	return err;
}

int gguf_meta(struct gguf_writer *w, const json_t *config, const struct gguf_arch *a, int64_t positions)
{
	struct target t = { .w = w, .config = config, .a = a, .positions = positions };
	int err = FT_OK;
	t.layers = member(&t, a->fields[0][0].member, 12, &err);
	t.width = member(&t, a->width, 768, &err);
	t.heads = member(&t, a->heads, 12, &err);
	t.size = gguf_head_size(config, a);
	int rc = err ? err : check(&t);
	rc = rc ? rc : put_fields(&t);
	rc = rc ? rc : put_heads(&t);
	rc = rc ? rc : put_windows(&t);
	return rc || !a->kv_heads ? rc : put_rope(&t);
}
