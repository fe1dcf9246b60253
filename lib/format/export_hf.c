/* export_hf.c - a model as a Hugging Face folder that transformers loads.
 *
 * The base's config.json is kept and changed only where the head or the type
 * of the weights differ, so that keys we know nothing of survive. A model without
 * a head keeps what sentence-transformers says of its vectors, and one that makes vectors
 * says it itself (export_sentence.c).
 */
#include "ft/cli.h"
#include "ft/err.h"
#include "ft/gguf.h"
#include "ft/mem.h"
#include "ft/model.h"
#include "ft/sentence.h"
#include "ft/tok.h"
#include "ft/tok_tables.h"
#include "priv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- config.json ---- */

/* What transformers calls the loss of a task; NULL: there is no choice. */
static const char *problem_type(enum ft_task t)
{
	switch (t) {
	case FT_TASK_CLASSIFY:
		return "single_label_classification";
	case FT_TASK_MULTILABEL:
		return "multi_label_classification";
	case FT_TASK_REGRESS:
		return "regression";
	default:
		return NULL;
	}
}

static const char *torch_name(enum ft_dtype t)
{
	return t == FT_F16 ? "float16" : t == FT_BF16 ? "bfloat16" : "float32";
}

/* id2label and label2id; transformers counts the outputs by them, so a head
 * without names of its own gets the usual LABEL_0, LABEL_1, … */
static int set_labels(json_t *config, const struct ft_model *m)
{
	json_t *names = json_object(), *numbers = json_object();
	int rc = 0;
	for (size_t i = 0; i < ft_model_outputs(m); i++) {
		char number[24], usual[32];
		snprintf(number, sizeof number, "%zu", i);
		snprintf(usual, sizeof usual, "LABEL_%zu", i);
		const char *label = ft_model_label(m, i) ? ft_model_label(m, i) : usual;
		rc |= json_object_set_new(names, number, json_string(label));
		rc |= json_object_set_new(numbers, label, json_integer((json_int_t)i));
	}
	rc |= json_object_set_new(config, "id2label", names);
	rc |= json_object_set_new(config, "label2id", numbers);
	return rc;
}

static int set_head(json_t *config, const struct ft_model *m)
{
	const char *problem = problem_type(ft_model_task(m));
	bool labelled = ft_model_outputs(m) > 0;
	static const char *const of_a_head[] = { "num_labels", "id2label", "label2id" };
	if (!labelled)
		for (size_t i = 0; i < sizeof of_a_head / sizeof *of_a_head; i++)
			json_object_del(config, of_a_head[i]);
	json_object_del(config, "num_labels"); /* implied by id2label */
	/* A decoder is stored once, as the word embeddings; false would have it missed. */
	if (ft_model_task(m) == FT_TASK_MLM && json_is_false(json_object_get(config, "tie_word_embeddings")))
		json_object_set_new(config, "tie_word_embeddings", json_true());
	int rc = json_object_set_new(config, "architectures", json_pack("[s]", ft_model_architecture(m)));
	if (labelled)
		rc |= set_labels(config, m);
	if (problem)
		rc |= json_object_set_new(config, "problem_type", json_string(problem));
	else
		json_object_del(config, "problem_type");
	return rc;
}

static int write_config(const struct ft_model *m, const char *dir, enum ft_dtype dtype)
{
	json_t *config = ft_json_deep_copy(json_object_get(ft_model_meta(m), "config"));
	if (!config)
		return ft_fail(FT_EFAIL, "out of memory for config.json");
	int rc = set_head(config, m);
	/* Version 5 of transformers says "dtype" and reads both names, 4 only the older. */
	const char *key = json_object_get(config, "dtype") ? "dtype" : "torch_dtype";
	rc |= json_object_set_new(config, key, json_string(torch_name(dtype)));
	if (!strcmp(key, "dtype") && json_object_get(config, "torch_dtype"))
		rc |= json_object_set_new(config, "torch_dtype", json_string(torch_name(dtype)));
	char *path = ft_format("%s/config.json", dir);
	if (rc < 0)
		rc = ft_fail(FT_EFAIL, "out of memory for config.json");
	else
		rc = path ? ft_json_save(path, config) : FT_EFAIL;
	free(path);
	json_decref(config);
	return rc;
}

/* ---- model.safetensors ---- */

int check_finite(const struct ft_param *p, const float *wide, const void *narrow, enum ft_dtype dtype)
{
	const unsigned char *bytes = narrow;
	size_t n = (size_t)p->t.rows * (size_t)p->t.cols;
	for (size_t i = 0; i < n; i++) {
		float v = wide[i];
		if (!isfinite(v))
			return ft_fail(FT_ECRITERION, "tensor '%s': value %zu is not finite; not exported",
			               p->file, i);
		if (dtype != FT_F32)
			ft_widen(&v, bytes + i * ft_dtype_size(dtype), dtype, 1);
		if (!isfinite(v))
			return ft_fail(FT_EFAIL,
			               "tensor '%s': value %zu, %g, is beyond the range of %s; "
			               "use --dtype bf16 or f32",
			               p->file, i, (double)wide[i], ft_dtype_name(dtype));
	}
	return FT_OK;
}

/* Narrows `wide` into memory of its own, t->data, which a failure frees, too. */
static int narrow_stored(const struct ft_param *p, const float *wide, struct ft_stored *t)
{
	size_t n = (size_t)p->t.rows * (size_t)p->t.cols;
	void *narrow = ft_alloc(n, ft_dtype_size(t->dtype));
	int rc = narrow ? ft_narrow(narrow, wide, t->dtype, n) : FT_EFAIL;
	rc = rc < 0 ? rc : check_finite(p, wide, narrow, t->dtype);
	if (rc < 0)
		free(narrow);
	else
		t->data = narrow;
	return rc;
}

int stored_make(const struct ft_param *p, enum ft_dtype dtype, struct ft_stored *t)
{
	size_t n = (size_t)p->t.rows * (size_t)p->t.cols;
	*t = (struct ft_stored){ .name = p->file, .dtype = dtype, .rank = p->rank };
	t->bytes = n * ft_dtype_size(dtype);
	t->shape[0] = p->turned ? p->t.cols : p->rank == 2 ? p->t.rows : p->t.cols;
	t->shape[1] = p->turned ? p->t.rows : p->t.cols;
	bool own = !p->turned && p->t.data;
	float *copy = own ? NULL : ft_alloc(n, sizeof *copy);
	const float *wide = own ? p->t.data : copy;
	int rc = !wide ? FT_EFAIL : p->turned ? ft_param_turn(p, copy) : FT_OK;
	if (copy && !p->turned)
		ft_tensor_floats(&p->t, 0, p->t.rows, copy);
	if (rc == FT_OK && dtype == FT_F32) {
		t->data = wide; /* a copy is the caller's to free, also after a failure */
		return check_finite(p, wide, NULL, dtype);
	}
	rc = rc < 0 ? rc : narrow_stored(p, wide, t);
	free(copy);
	return rc;
}

static int write_weights(const struct ft_model *m, const char *dir, enum ft_dtype dtype)
{
	size_t n = ft_model_params(m);
	struct ft_stored *t = ft_alloc(n, sizeof *t);
	char *path = ft_format("%s/model.safetensors", dir);
	int rc = t && path ? FT_OK : FT_EFAIL;
	for (size_t i = 0; i < n && rc == FT_OK; i++)
		rc = stored_make(ft_model_param(m, i), dtype, &t[i]);
	if (rc == FT_OK)
		rc = ft_safetensors_write(path, t, n);
	for (size_t i = 0; t && i < n; i++)
		if (t[i].data != ft_model_param(m, i)->t.data)
			free((void *)(uintptr_t)t[i].data);
	free(path);
	free(t);
	return rc;
}

/* ---- the tokenizer's files ---- */

int copy_file(const char *from, const char *to)
{
	struct filemap m;
	int rc = filemap_open(&m, from);
	if (rc < 0)
		return rc;
	struct ft_outfile *out = ft_outfile_open(to);
	rc = out ? ft_write_all(ft_outfile_fd(out), m.data, m.bytes, to) : ft_last_error();
	if (rc == FT_OK)
		rc = ft_outfile_commit(out);
	ft_outfile_free(out);
	filemap_close(&m);
	return rc;
}

/* That of a GGUF file becomes such files. */
static int save_tokenizer(const struct ft_model *m, const char *dir)
{
	struct ft_tok_tables x;
	const json_t *config = json_object_get(ft_model_meta(m), "config");
	int there = ft_tok_there(ft_model_dir(m));
	if (there <= 0)
		return there;
	int rc = ft_tok_tables_open(&x, ft_model_dir(m), (size_t)ft_json_int(config, "vocab_size", 0, NULL));
	if (rc < 0)
		return rc;
	rc = ft_tok_tables_save(&x, dir);
	ft_tok_tables_close(&x);
	return rc;
}

/* tokenizer.json with the tokens that plans have added. */
static int write_tokens(const struct ft_model *m, const char *path, const json_t *tokens)
{
	struct ft_buf text = { 0 };
	int rc = ft_tok_json_add(ft_model_dir(m), tokens, &text);
	struct ft_outfile *out = rc == FT_OK ? ft_outfile_open(path) : NULL;
	rc = rc ? rc : out ? ft_write_all(ft_outfile_fd(out), text.data, text.len, path) : ft_last_error();
	rc = rc ? rc : ft_outfile_commit(out);
	ft_outfile_free(out);
	ft_buf_free(&text);
	return rc;
}

int tokenizer_export(const struct ft_model *m, const char *dir)
{
	if (ft_gguf_named(ft_model_dir(m)))
		return save_tokenizer(m, dir);
	const json_t *tokens = json_object_get(json_object_get(ft_model_meta(m), "tokens"), "added");
	int rc = FT_OK;
	for (const char *const *name = ft_tok_files; *name && rc == FT_OK; name++) {
		char *from = ft_format("%s/%s", ft_model_dir(m), *name), *to = ft_format("%s/%s", dir, *name);
		if (!from || !to)
			rc = FT_EFAIL;
		else if (access(from, F_OK) == 0)
			rc = tokens && name == ft_tok_files ? write_tokens(m, to, tokens) : copy_file(from, to);
		free(from);
		free(to);
	}
	return rc;
}

/* A classifier of transformers works on the pooler of its family. */
int head_has_class(const struct ft_model *m)
{
	const json_t *head = json_object_get(ft_model_meta(m), "head");
	if (ft_model_task(m) == FT_TASK_EMBED || !json_object_get(head, "pooling"))
		return FT_OK;
	return ft_fail(FT_EUSAGE, "%s: transformers has no class for this head (%s on --pooling)", ft_model_name(m),
	               ft_task_name(ft_model_task(m)));
}

static int write_hf(const struct ft_model *m, const char *dir, enum ft_dtype dtype)
{
	int rc = head_has_class(m);
	if (rc == FT_OK)
		rc = write_config(m, dir, dtype);
	if (rc == FT_OK)
		rc = write_weights(m, dir, dtype);
	if (rc == FT_OK)
		rc = tokenizer_export(m, dir);
	if (rc == FT_OK && ft_model_task(m) == FT_TASK_NONE)
		rc = sentence_export(ft_model_dir(m), dir);
	if (rc == FT_OK && ft_model_task(m) == FT_TASK_EMBED)
		rc = ft_pooling_write(ft_model_pooling(m), dir);
	return rc == FT_OK ? card_write(m, dir, dtype) : rc;
}

const struct ft_format format_hf = {
	.name = "hf",
	.words = true,
	.summary = "a Hugging Face folder",
	.types = "f32, f16, bf16",
	.write = write_hf,
};
