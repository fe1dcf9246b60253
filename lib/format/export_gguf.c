/* export_gguf.c - a model as a GGUF file that llama.cpp loads.
 *
 * What its converter (convert_hf_to_gguf.py) would write of the model's folder: names, keys,
 * order of rows, norms that hold 1 more; and where a type in blocks is asked for, which
 * tensors get it.
 */
#include "ft/err.h"
#include "ft/file.h"
#include "ft/mem.h"
#include "ft/model.h"
#include "ft/tok.h"
#include "ft/tok_tables.h"
#include "gguf_arch.h"
#include "gguf_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENIZER "tokenizer.ggml."
#define QUANTIZATION_VERSION 2 /* of the types in blocks */

static const struct {
	enum ft_dtype dtype;
	enum ft_ggml_type type;
	int64_t file; /* general.file_type of a file whose matrices are of it */
} types[] = {
	{ FT_F32, FT_GGML_F32, 0 }, { FT_F16, FT_GGML_F16, 1 }, { FT_Q4_0, FT_GGML_Q4_0, 2 },
	{ FT_Q8_0, FT_GGML_Q8_0, 7 }, { FT_BF16, FT_GGML_BF16, 32 },
};

static size_t type_index(enum ft_dtype t)
{
	size_t i = 0;
	while (types[i].dtype != t)
		i++;
	return i;
}

/* ---- one tensor ---- */

struct place {
	char name[GGUF_NAME]; /* in the file */
	enum gguf_how how;
	enum ft_dtype dtype;
	size_t bytes;
};

const struct gguf_arch *gguf_arch_of_model(const struct ft_model *m)
{
	const char *type = json_string_value(json_object_get(json_object_get(ft_model_meta(m), "config"), "model_type"));
	return type ? gguf_arch_of(type) : NULL;
}

/* Vectors stay F32, as do learned positions; what is not whole blocks is F16. */
static enum ft_dtype dtype_of(const struct ft_param *p, const char *name, enum ft_dtype asked)
{
	if (p->rank == 1 || strcmp(name, "position_embd.weight") == 0)
		return FT_F32;
	return (size_t)p->t.cols % ft_dtype_block(asked) ? FT_F16 : asked;
}

static int find_place(const struct gguf_arch *a, const struct ft_param *p, enum ft_dtype asked, struct place *at)
{
	char full[2 * GGUF_NAME];
	int layer;
	bool found = gguf_translate(a, p->file, true, at->name, &layer, &at->how);
	if (!found) { /* of a model without a head */
		snprintf(full, sizeof full, "%s%s", a->prefix, p->file);
		found = gguf_translate(a, full, true, at->name, &layer, &at->how);
	}
	if (!found)
		return ft_fail(FT_EUSAGE, "tensor '%s': a GGUF file of a %s has no place for it", p->file, a->name);
	at->dtype = dtype_of(p, at->name, asked);
	size_t n = (size_t)p->t.rows * (size_t)p->t.cols;
	return ft_dtype_bytes(at->dtype, n, &at->bytes) ? FT_OK : ft_fail(FT_EFAIL, "%s: its size does not fit", p->file);
}

/* Its numbers as the file has them, from malloc: floats first, then narrowed, then in order. */
static int make_data(const struct ft_model *m, const struct gguf_arch *a, const struct ft_param *p,
                     const struct place *at, void **data)
{
	const json_t *config = json_object_get(ft_model_meta(m), "config");
	size_t n = (size_t)p->t.rows * (size_t)p->t.cols, rows = p->rank == 2 ? (size_t)p->t.rows : n;
	float *wide = ft_alloc(n, sizeof *wide);
	char *narrow = ft_alloc(1, at->bytes + 1), *ordered = NULL;
	int rc = wide && narrow ? FT_OK : FT_EFAIL;
	if (rc == FT_OK)
		ft_tensor_floats(&p->t, 0, p->t.rows, wide);
	for (size_t i = 0; i < n && rc == FT_OK && at->how == GGUF_NORM; i++)
		wide[i] += 1;
	rc = rc ? rc : check_finite(p, wide, NULL, FT_F32);
	if (rc == FT_OK && (rc = ft_narrow(narrow, wide, at->dtype, n)) < 0)
		rc = ft_context(rc, "tensor '%s'", p->file);
	if (rc == FT_OK && ft_dtype_size(at->dtype))
		rc = check_finite(p, wide, narrow, at->dtype);
	if (rc == FT_OK && (at->how == GGUF_QUERY || at->how == GGUF_KEY)) {
		size_t heads = (size_t)ft_json_int(config, at->how == GGUF_KEY ? a->kv_heads : a->heads,
		                                   ft_json_int(config, a->heads, 1, NULL), NULL);
		ordered = ft_alloc(1, at->bytes);
		if (ordered)
			gguf_permute(ordered, narrow, rows, at->bytes / rows, heads, true);
		rc = ordered ? FT_OK : FT_EFAIL;
	}
	free(wide);
	*data = ordered ? ordered : rc == FT_OK ? narrow : NULL;
	if (*data != narrow)
		free(narrow);
	return rc;
}

/* ---- keys ---- */

static struct ft_span span_of(const char *s)
{
	return (struct ft_span){ s, strlen(s) };
}

/* The last part of the path that the model was opened by. */
static struct ft_span name_of(const struct ft_model *m)
{
	const char *path = ft_model_dir(m);
	size_t n = strlen(path), from;
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (ft_gguf_named(path))
		n -= strlen(".gguf");
	for (from = n; from && path[from - 1] != '/'; from--)
		;
	return (struct ft_span){ path + from, n - from };
}

static int put_general(struct gguf_writer *w, const struct ft_model *m, const struct gguf_arch *a, enum ft_dtype t)
{
	int rc = gguf_put_text(w, "general.architecture", span_of(a->name));
	rc = rc ? rc : gguf_put_text(w, "general.type", span_of("model"));
	rc = rc ? rc : gguf_put_text(w, "general.name", name_of(m));
	rc = rc ? rc : gguf_put_whole(w, "general.file_type", types[type_index(t)].file);
	return rc ? rc : gguf_put_whole(w, "general.quantization_version", QUANTIZATION_VERSION);
}

/* ---- the tokenizer ---- */

/* All that a GGUF file says of its own. */
static int copy_tokenizer(struct gguf_writer *w, const char *path)
{
	struct ft_gguf *g = ft_gguf_open(path);
	int rc = g ? FT_OK : ft_last_error();
	for (size_t i = 0; rc == FT_OK && i < ft_gguf_keys(g); i++)
		if (strncmp(ft_gguf_key(g, i)->key, "tokenizer.", 10) == 0)
			rc = gguf_put_copy(w, ft_gguf_key(g, i));
	ft_gguf_close(g);
	return rc;
}

static int put_role(struct gguf_writer *w, const char *name, int32_t id)
{
	char key[64];
	snprintf(key, sizeof key, TOKENIZER "%s_token_id", name);
	return id < 0 ? FT_OK : gguf_put_whole(w, key, id);
}

static int put_tables(struct gguf_writer *w, const struct ft_tok_tables *x)
{
	int rc = gguf_put_text(w, TOKENIZER "model", span_of(x->model));
	rc = rc ? rc : gguf_put_text(w, TOKENIZER "pre", x->pre);
	rc = rc ? rc : gguf_put_texts(w, TOKENIZER "tokens", x->piece, x->n);
	if (rc == FT_OK && x->score)
		rc = gguf_put_reals(w, TOKENIZER "scores", x->score, x->n);
	rc = rc ? rc : gguf_put_wholes(w, TOKENIZER "token_type", x->type, x->n);
	if (rc == FT_OK && x->merge)
		rc = gguf_put_texts(w, TOKENIZER "merges", x->merge, x->merges);
#define X(role_, key) rc = rc ? rc : put_role(w, key, x->role.role_);
	FT_TOK_ROLES(X)
#undef X
	rc = rc ? rc : gguf_put_bool(w, TOKENIZER "add_bos_token", x->add_bos);
	rc = rc ? rc : gguf_put_bool(w, TOKENIZER "add_eos_token", x->add_eos);
	if (rc == FT_OK && x->score && !x->space_prefix)
		rc = gguf_put_bool(w, TOKENIZER "add_space_prefix", false);
	struct ft_span chat = { (const char *)x->chat_template.data, x->chat_template.len };
	return rc || !chat.n ? rc : gguf_put_text(w, "tokenizer.chat_template", chat);
}

/* A role that only config.json names; a piece like any other has none. */
static void take_role(const struct ft_model *m, const char *key, const struct ft_tok_tables *x, int32_t *id)
{
	const json_t *v = json_object_get(json_object_get(ft_model_meta(m), "config"), key);
	json_int_t said = json_is_integer(v) ? json_integer_value(v) : -1;
	if (*id < 0 && said >= 0 && (size_t)said < x->n && x->type[said] != FT_TOK_NORMAL)
		*id = (int32_t)said;
}

static int put_no_tokenizer(struct gguf_writer *w, const struct gguf_arch *a, int64_t rows)
{
	char key[64];
	snprintf(key, sizeof key, "%s.vocab_size", a->name);
	int rc = gguf_put_text(w, TOKENIZER "model", span_of("none"));
	return rc || a->pairs ? rc : gguf_put_whole(w, key, rows);
}

static int put_tokenizer(struct gguf_writer *w, const struct ft_model *m, const struct gguf_arch *a)
{
	const char *dir = ft_model_dir(m);
	struct ft_tok_tables x;
	int64_t rows = ft_json_int(json_object_get(ft_model_meta(m), "config"), "vocab_size", 50257, NULL);
	int there = ft_tok_there(dir);
	if (there < 0)
		return there;
	if (there == 0) /* then texts are none of its business, and a key counts the tokens */
		return put_no_tokenizer(w, a, rows);
	if (ft_gguf_named(dir))
		return copy_tokenizer(w, dir);
	int rc = ft_tok_tables_open(&x, dir, (size_t)rows);
	if (rc < 0)
		return rc;
	take_role(m, "bos_token_id", &x, &x.role.bos);
	take_role(m, "eos_token_id", &x, &x.role.eos);
	take_role(m, "pad_token_id", &x, &x.role.pad);
	rc = put_tables(w, &x);
	ft_tok_tables_close(&x);
	return rc;
}

/* ---- the file ---- */

/* The divisors that Llama 3's scaling of rotary positions comes to; *n 0: there are none. */
static int make_factors(const struct ft_model *m, const struct gguf_arch *a, float **factor, size_t *n)
{
	const json_t *config = json_object_get(ft_model_meta(m), "config");
	struct gguf_llama3 s;
	int rc = gguf_llama3_of(config, a, &s);
	*n = rc > 0 ? (size_t)gguf_head_size(config, a) / 2 : 0;
	*factor = *n ? ft_alloc(*n, sizeof **factor) : NULL;
	if (*factor)
		gguf_rope_factors(&s, *n, *factor);
	return rc > 0 && *n && !*factor ? FT_EFAIL : rc < 0 ? rc : FT_OK;
}

static int describe_tensors(struct gguf_writer *w, const struct ft_model *m, const struct gguf_arch *a,
                            struct place *at, size_t factors, enum ft_dtype t)
{
	const int64_t pairs = (int64_t)factors;
	int rc = factors ? gguf_add(w, "rope_freqs.weight", FT_GGML_F32, 1, &pairs, factors * sizeof(float)) : FT_OK;
	for (size_t i = 0; i < ft_model_params(m) && rc == FT_OK; i++) {
		const struct ft_param *p = ft_model_param(m, i);
		int64_t shape[2] = { p->rank == 2 ? p->t.rows : p->t.cols, p->t.cols };
		rc = find_place(a, p, t, &at[i]);
		rc = rc ? rc : gguf_add(w, at[i].name, types[type_index(at[i].dtype)].type, p->rank, shape, at[i].bytes);
	}
	return rc;
}

static int write_tensors(int fd, const char *path, const struct ft_model *m, const struct gguf_arch *a,
                         const struct place *at, const float *factor, size_t factors)
{
	int rc = factors ? gguf_write_data(fd, path, factor, factors * sizeof *factor) : FT_OK;
	for (size_t i = 0; i < ft_model_params(m) && rc == FT_OK; i++) {
		void *data = NULL;
		rc = make_data(m, a, ft_model_param(m, i), &at[i], &data);
		rc = rc ? rc : gguf_write_data(fd, path, data, at[i].bytes);
		free(data);
	}
	return rc;
}

static int write_file(const struct ft_model *m, const struct gguf_arch *a, const char *path, enum ft_dtype t)
{
	const json_t *config = json_object_get(ft_model_meta(m), "config");
	int64_t positions = ft_json_int(ft_model_meta(m), "max_length", 0, NULL);
	struct gguf_writer w = { 0 };
	struct ft_outfile *out = NULL;
	size_t factors = 0;
	float *factor = NULL;
	struct place *at = ft_alloc(ft_model_params(m), sizeof *at);
	int rc = at ? make_factors(m, a, &factor, &factors) : FT_EFAIL;
	rc = rc ? rc : put_general(&w, m, a, t);
	rc = rc ? rc : gguf_meta(&w, config, a, positions);
	rc = rc ? rc : put_tokenizer(&w, m, a);
	rc = rc ? rc : describe_tensors(&w, m, a, at, factors, t);
	if (rc == FT_OK && !(out = ft_outfile_open(path)))
		rc = ft_last_error();
	rc = rc ? rc : gguf_write_head(&w, ft_outfile_fd(out), path);
	rc = rc ? rc : write_tensors(ft_outfile_fd(out), path, m, a, at, factor, factors);
	rc = rc ? rc : ft_outfile_commit(out);
	ft_outfile_free(out);
	gguf_writer_free(&w);
	free(factor);
	free(at);
	return rc;
}

static int write_gguf(const struct ft_model *m, const char *path, enum ft_dtype dtype)
{
	const struct gguf_arch *a = gguf_arch_of_model(m);
	enum ft_task task = ft_model_task(m);
	if (!a)
		return ft_fail(FT_EUSAGE, "%s: a GGUF file is written of causal language models only", ft_model_name(m));
	if (task != FT_TASK_LM)
		return ft_fail(FT_EUSAGE, "%s: a GGUF file has no place for the head '%s'", ft_model_name(m),
		               ft_task_name(task));
	return write_file(m, a, path, dtype);
}

/* ---- what comes back ---- */

static int round_values(const struct ft_model *m, const struct ft_param *p, enum ft_dtype dtype, float *v, size_t n)
{
	struct place at;
	unsigned char narrow[FT_FORMAT_CHUNK * sizeof(float)];
	int rc = find_place(gguf_arch_of_model(m), p, dtype, &at);
	if (rc < 0 || at.dtype == FT_F32) {
		for (size_t i = 0; i < n && at.how == GGUF_NORM; i++) {
			volatile float raised = v[i] + 1; /* in float32, as it lies in the file */
			v[i] = raised - 1;
		}
		return rc;
	}
	rc = ft_narrow(narrow, v, at.dtype, n);
	return rc ? rc : ft_widen(v, narrow, at.dtype, n);
}

const struct ft_format format_gguf = {
	.name = "gguf",
	.summary = "a GGUF file",
	.file = "model.gguf",
	.types = "f32, f16, bf16, q8_0, q4_0",
	.write = write_gguf,
	.round = round_values,
};
