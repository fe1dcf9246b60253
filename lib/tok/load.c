/* load.c - from a folder's files to a tokenizer: tokenizer.json, or else
 * vocab.txt with the options of tokenizer_config.json (config.c). */
#include "ft/err.h"
#include "ft/gguf.h"
#include "priv.h"
#include "vocab_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define X(name, type) extern const struct tok_kind tok_##name;
#include "tokenizers.def"
#undef X
static const struct { const char *type; const struct tok_kind *kind; } kinds[] = {
#define X(name, type) { type, &tok_##name },
#include "tokenizers.def"
#undef X
};
#define KINDS (sizeof kinds / sizeof *kinds)
#define FILE_MAX ((size_t)1 << 29)

int tok_read_file(const char *path, struct ft_buf *out, bool *missing)
{
	FILE *f = fopen(path, "rb");
	*missing = !f && errno == ENOENT;
	if (!f)
		return *missing ? FT_OK : ft_fail_errno("%s", path);
	int rc = FT_OK;
	size_t got = 1;
	struct stat st = { 0 };
	fstat(fileno(f), &st); /* 0 of a pipe */
	while (rc == FT_OK && got) {
		if ((size_t)st.st_size > FILE_MAX || out->len > FILE_MAX)
			rc = ft_fail(FT_EFORMAT, "%s: is larger than %zu bytes", path, FILE_MAX);
		else
			rc = ft_buf_reserve(out, (size_t)1 << 16);
		if (rc == FT_OK) {
			got = fread(out->data + out->len, 1, out->cap - out->len, f);
			out->len += got;
		}
	}
	if (rc == FT_OK && ferror(f))
		rc = ft_fail_errno("%s", path);
	fclose(f);
	return rc;
}

void tok_source_done(struct ft_tok *t, json_t *root_taken, struct tok_source *src)
{
	if (t->kept) {
		*t->kept = (struct tok_kept){ root_taken, *src };
		*src = (struct tok_source){ 0 };
		return;
	}
	json_decref(root_taken);
	tok_source_free(src);
}

int tok_set_digest(struct ft_tok *t, const void *a, size_t an, const void *b, size_t bn)
{
	struct ft_digest *d = ft_digest_new();
	if (!d)
		return FT_EFAIL;
	ft_digest_add(d, a, an);
	ft_digest_add(d, b, bn);
	ft_digest_hex(d, t->digest);
	ft_digest_free(d);
	return FT_OK;
}

/* ---- tokenizer.json ---- */

static int load_model(struct ft_tok *t, const json_t *model, struct tok_source *src, const char *where)
{
	int err = FT_OK;
	if (!json_is_object(model))
		return ft_fail(FT_EFORMAT, "%s: model is missing or not an object", where);
	/* Files of the first versions do not name the type. */
	bool wordpiece = json_object_get(model, "max_input_chars_per_word") != NULL;
	const char *type = ft_json_str(model, "type", wordpiece ? "WordPiece" : src->has_merges ? "BPE" : "none", &err);
	if (err < 0)
		return ft_context(err, "%s: model", where);
	for (size_t i = 0; i < KINDS && !t->kind; i++)
		if (strcmp(kinds[i].type, type) == 0)
			t->kind = kinds[i].kind;
	if (!t->kind)
		return ft_fail(FT_EFORMAT, "%s: model.type '%s' is not supported", where, type);
	bool build = t->vocab.count && !t->vocab.slots;
	int rc = build ? tok_vocab_build(&t->vocab, src->repeats, where) : FT_OK;
	return rc == FT_OK ? t->kind->load(t, model, src, where) : rc;
}

static int load_chain(struct ft_tok *t, int what, const json_t *root, const char *key, struct tok_chain *c,
                      const char *where)
{
	int rc = tok_chain_load(t, what, ft_json_get(root, key), c);
	return rc < 0 ? ft_context(rc, "%s: %s", where, key) : FT_OK;
}

int tok_load_tree(struct ft_tok *t, const json_t *root, struct tok_source *src, const char *where)
{
	int err = FT_OK;
	const char *version = ft_json_str(root, "version", "1.0", &err);
	if (err < 0)
		return ft_context(err, "%s", where);
	if (strcmp(version, "1.0") != 0)
		return ft_fail(FT_EFORMAT, "%s: version '%s' is not supported (1.0 is)", where, version);
	int rc = load_chain(t, TOK_SPLITTERS, root, "pre_tokenizer", &t->splitters, where);
	if (rc == FT_OK)
		rc = load_chain(t, TOK_NORMALIZERS, root, "normalizer", &t->normalizers, where);
	if (rc == FT_OK)
		rc = load_chain(t, TOK_DECODERS, root, "decoder", &t->decoders, where);
	if (rc == FT_OK)
		rc = load_model(t, json_object_get(root, "model"), src, where);
	if (rc < 0)
		return rc;
	tok_plain_set(t);
	const char *added = src->added_where ? src->added_where : where;
	rc = tok_added_load(t, ft_json_get(root, "added_tokens"), added);
	if (rc == FT_OK && (rc = tok_added_finish(t)) < 0)
		rc = ft_context(rc, "%s", added);
	return rc == FT_OK ? tok_template_load(t, ft_json_get(root, "post_processor"), where) : rc;
}

static int load_json(struct ft_tok *t, const char *path, const struct ft_buf *text, const struct tok_config *config)
{
	struct tok_source src = { 0 };
	json_t *root = tok_json_parse(path, (const char *)text->data, text->len, &t->vocab, &src);
	int rc = root ? FT_OK : ft_last_error();
	if (rc == FT_OK && !json_is_object(root))
		rc = ft_fail(FT_EFORMAT, "%s: must be an object", path);
	if (rc == FT_OK)
		rc = tok_load_tree(t, root, &src, path);
	if (rc == FT_OK)
		rc = tok_config_agrees(config, json_object_get(root, "normalizer"));
	if (rc == FT_OK)
		rc = tok_set_digest(t, text->data, text->len, "", 0);
	tok_source_done(t, root, &src);
	return rc;
}

/* ---- the folder ---- */

const char *const ft_tok_files[] = { /* TOK_SPM_... count on the order */
	"tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
	"spm.model", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"chat_template.jinja", "generation_config.json", NULL,
};

int ft_tok_there(const char *dir)
{
	int there = ft_gguf_named(dir) ? tok_gguf_there(dir) : 0;
	for (size_t i = 0; i < TOK_SPM_END && !there; i++) {
		char *path = ft_format("%s/%s", dir, ft_tok_files[i]);
		there = path ? access(path, R_OK) == 0 : FT_EFAIL;
		free(path);
	}
	return there;
}

/* The files that a tokenizer may be, the best first. */
static int load_files(struct ft_tok *t, const char *dir, struct tok_config *config)
{
	bool missing = true;
	int rc = FT_OK;
	for (size_t i = 0; i < TOK_SPM_BEGIN && missing && rc == FT_OK; i++) {
		struct ft_buf text = { 0 };
		char *path = ft_format("%s/%s", dir, ft_tok_files[i]);
		rc = path ? tok_read_file(path, &text, &missing) : FT_EFAIL;
		if (rc == FT_OK && !missing)
			rc = i == 0 ? load_json(t, path, &text, config)
			   : i == 1 ? tok_load_merges_txt(t, dir, path, &text, config)
			            : tok_load_vocab_txt(t, path, &text, config);
		ft_buf_free(&text);
		free(path);
	}
	if (rc == FT_OK && missing)
		rc = tok_load_spm(t, dir, config, &missing);
	if (rc == FT_OK && missing)
		rc = ft_fail(FT_EFORMAT, "%s: has neither tokenizer.json nor vocab.json nor vocab.txt"
		             " nor a SentencePiece model", dir);
	return rc;
}

/* tokenizer.json, of which the text is there already. */
static int load_text(struct ft_tok *t, const char *dir, const struct ft_buf *text, struct tok_config *config)
{
	char *path = ft_format("%s/%s", dir, ft_tok_files[0]);
	int rc = path ? load_json(t, path, text, config) : FT_EFAIL;
	free(path);
	return rc;
}

int tok_load(struct ft_tok *t, const char *dir, const struct ft_buf *text)
{
	struct tok_config config = { 0 };
	tok_chars_fill(t->chars);
	for (int i = 0; i < TOK_ROLES; i++)
		t->role[i] = -1;
	if (ft_gguf_named(dir))
		return tok_load_gguf(t, dir);
	int rc = tok_config_read(&config, dir);
	if (rc == FT_OK)
		rc = text ? load_text(t, dir, text, &config) : load_files(t, dir, &config);
	for (int i = 0; i < TOK_ROLES && rc == FT_OK; i++)
		if (config.token[i] && (i != TOK_UNK || (config.given[i] && t->role[i] < 0)))
			t->role[i] = ft_tok_id(t, config.token[i]);
	tok_config_free(&config);
	return rc;
}
