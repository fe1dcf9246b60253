/* spm_load.c - opens a folder's SentencePiece model when there is no tokenizer.json:
 * what config.json, tokenizer_config.json and special_tokens_map.json say of families,
 * special tokens and templates is added to the model's tree.
 */
#include "ft/err.h"
#include "spm_family.h"

#include <stdlib.h>
#include <string.h>

struct opened {
	struct ft_tok *t;
	struct tok_config *c;
	const struct tok_spm_family *family; /* or NULL */
	struct tok_spm m;
	bool with_bos, with_eos;  /* of the model's own rules */
	json_t *root, *added;     /* added: of root */
	int64_t next;             /* id of the next token that the vocabulary does not have */
	const char *name[TOK_ROLES]; /* of special tokens; borrowed; NULL: none */
};

/* ---- tokens ---- */

static const char *content_of(const json_t *v)
{
	return json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
}

static json_t *find_added(const struct opened *o, const char *content)
{
	size_t i;
	json_t *v;
	json_array_foreach(o->added, i, v)
		if (strcmp(content_of(v), content) == 0)
			return v;
	return NULL;
}

/* The id of a token: of the vocabulary, of those that were added, or -1. */
static int64_t id_of(const struct opened *o, const char *content)
{
	int64_t id = tok_vocab_id(&o->t->vocab, content, strlen(content));
	const json_t *v = id < 0 ? find_added(o, content) : NULL;
	return v ? json_integer_value(json_object_get(v, "id")) : id;
}

/* Adds a token, given as text or as tokenizer_config.json's objects, if it is not there. */
static int add_token(struct opened *o, const json_t *v, bool special)
{
	const char *content = content_of(v);
	if (!content || !*content)
		return ft_fail(FT_EFORMAT, "%s: a special token is not a text", o->c->path);
	if (find_added(o, content))
		return FT_OK;
	json_t *token = json_is_object(v) ? ft_json_deep_copy(v) : json_pack("{s:s}", "content", content);
	int64_t id = id_of(o, content);
	int rc = token ? ft_json_set(token, "id", json_integer(id < 0 ? o->next++ : id)) : FT_EFAIL;
	if (rc == FT_OK && (special || !json_object_get(token, "special")))
		rc = ft_json_set(token, "special", json_boolean(special));
	/* Each text between tokens begins as one does: so they are looked for in the raw text. */
	if (rc == FT_OK && (!o->family || !json_object_get(token, "normalized")))
		rc = ft_json_set(token, "normalized", json_false());
	bool lstrip = o->family && o->family->lstrip && strcmp(content, o->family->lstrip) == 0;
	if (rc == FT_OK && lstrip && json_is_string(v))
		rc = ft_json_set(token, "lstrip", json_true());
	if (rc < 0) {
		json_decref(token);
		return rc;
	}
	return json_array_append_new(o->added, token) < 0 ? ft_fail(FT_EFAIL, "out of memory") : FT_OK;
}

/* A new text, or NULL and out of memory. */
static json_t *text_of(const char *s, size_t n)
{
	json_t *text = json_stringn(s, n);
	if (!text)
		ft_fail(FT_EFAIL, "out of memory for a token");
	return text;
}

/* As add_token(), of a special one. */
static int add_text(struct opened *o, const char *s)
{
	json_t *text = text_of(s, strlen(s));
	int rc = text ? add_token(o, text, true) : FT_EFAIL;
	json_decref(text);
	return rc;
}

static int compare_ids(const void *a, const void *b)
{
	int64_t x = atoll(*(const char *const *)a), y = atoll(*(const char *const *)b);
	return (x > y) - (x < y);
}

/* added_tokens_decoder, {"0": {"content": ...}}, by rising id. */
static int add_decoder(struct opened *o, const json_t *decoder)
{
	const char **id = ft_alloc(json_object_size(decoder), sizeof *id), *key;
	json_t *v;
	size_t n = 0;
	int rc = id ? FT_OK : FT_EFAIL;
	if (id)
		json_object_foreach((json_t *)decoder, key, v)
			id[n++] = key;
	if (n)
		qsort(id, n, sizeof *id, compare_ids);
	for (size_t i = 0; i < n && rc == FT_OK; i++) {
		v = json_object_get(decoder, id[i]);
		rc = add_token(o, v, json_is_true(json_object_get(v, "special")));
		if (rc == FT_OK && id_of(o, content_of(v)) != atoll(id[i]))
			rc = ft_fail(FT_EFORMAT, "%s: added_tokens_decoder: '%s' has id %s where %lld is expected",
			             o->c->path, content_of(v), id[i], (long long)id_of(o, content_of(v)));
	}
	free(id);
	return rc;
}

/* A member of tokenizer_config.json, or else of special_tokens_map.json. */
static const json_t *setting(const struct opened *o, const char *key)
{
	const json_t *v = json_object_get(o->c->tokenizer, key);
	return v ? v : json_object_get(o->c->special, key);
}

static int add_list(struct opened *o, const char *key)
{
	const json_t *list = setting(o, key), *v;
	int rc = FT_OK;
	for (size_t i = 0; i < json_array_size(list) && rc == FT_OK; i++) {
		v = json_array_get(list, i);
		rc = add_token(o, v, true);
	}
	return rc;
}

/* The piece that the model has for a role of its own. */
static const char *own_piece(const struct opened *o, int which)
{
	int64_t id = which == TOK_BOS ? o->m.bos : which == TOK_EOS ? o->m.eos
	           : which == TOK_UNK ? o->m.unk : -1;
	bool special = id >= 0 && (size_t)id < o->m.n && (o->m.piece[id].type == TOK_CONTROL || which == TOK_UNK);
	return special ? tok_vocab_piece(&o->t->vocab, (int32_t)id) : NULL;
}

static int add_named(struct opened *o, int which)
{
	char key[16];
	snprintf(key, sizeof key, "%s_token", tok_role_names[which]);
	const json_t *v = setting(o, key);
	if (json_is_null(v))
		return FT_OK;
	if (v) {
		o->name[which] = content_of(v);
		return add_token(o, v, true);
	}
	o->name[which] = o->family ? o->family->token[which] : own_piece(o, which);
	return o->name[which] ? add_text(o, o->name[which]) : FT_OK;
}

/* A piece of the model, unless another took its place. */
static int add_piece(struct opened *o, const struct tok_spm_piece *p)
{
	json_t *text = text_of(p->text.p, p->text.n);
	int rc = text ? FT_OK : FT_EFAIL;
	if (rc == FT_OK && id_of(o, json_string_value(text)) >= 0)
		rc = add_token(o, text, p->type == TOK_CONTROL);
	json_decref(text);
	return rc;
}

/* Pieces of the model that are tokens wherever they stand, and a family's <extra_id_N>. */
static int add_pieces(struct opened *o)
{
	int rc = FT_OK;
	for (size_t i = 0; i < o->m.n && rc == FT_OK && o->family; i++) {
		const struct tok_spm_piece *p = &o->m.piece[i];
		if (p->type == TOK_CONTROL || p->type == TOK_USER)
			rc = add_piece(o, p);
	}
	for (int64_t i = 0; rc == FT_OK && o->family && o->family->extra_ids; i++) {
		char name[40];
		snprintf(name, sizeof name, "<extra_id_%lld>", (long long)i);
		if (id_of(o, name) < 0)
			break;
		rc = add_text(o, name);
	}
	return rc;
}

/* added_tokens.json, {"<x>": 32000}, in the form of added_tokens_decoder. New reference; NULL: out of memory. */
static json_t *older_decoder(const struct opened *o)
{
	json_t *decoder = json_object(), *id;
	const char *content;
	int rc = decoder ? 0 : -1;
	json_object_foreach(o->c->added, content, id) {
		char key[24];
		snprintf(key, sizeof key, "%lld", (long long)json_integer_value(id));
		rc |= json_object_set_new(decoder, key, json_string(content));
	}
	if (rc == 0)
		return decoder;
	ft_fail(FT_EFAIL, "out of memory for added tokens");
	json_decref(decoder);
	return NULL;
}

static int add_tokens(struct opened *o)
{
	/* As in the reference: in this order those that are new get their ids. */
	static const int order[TOK_ROLES] = { TOK_BOS, TOK_EOS, TOK_UNK, TOK_SEP, TOK_PAD, TOK_CLS, TOK_MASK };
	if (!json_object_get(o->root, "added_tokens") && ft_json_set(o->root, "added_tokens", json_array()) < 0)
		return FT_EFAIL;
	o->added = json_object_get(o->root, "added_tokens");
	o->next = (int64_t)o->t->vocab.count;
	json_t *older = older_decoder(o), *decoder = json_object_get(o->c->tokenizer, "added_tokens_decoder");
	int rc = older ? add_decoder(o, decoder ? decoder : older) : FT_EFAIL;
	json_decref(older);
	for (int i = 0; i < TOK_ROLES && rc == FT_OK; i++)
		rc = add_named(o, order[i]);
	if (rc == FT_OK)
		rc = add_pieces(o);
	if (rc == FT_OK)
		rc = add_list(o, "additional_special_tokens");
	return rc == FT_OK ? add_list(o, "extra_special_tokens") : rc;
}

static int add_template(struct opened *o)
{
	struct tok_named named[TOK_ROLES];
	for (int i = 0; i < TOK_ROLES; i++)
		named[i] = (struct tok_named){ o->name[i], o->name[i] ? id_of(o, o->name[i]) : -1 };
	json_t *v = o->family ? tok_post_processor(o->family->single, o->family->pair, named)
	                      : tok_post_processor_plain(o->with_bos, o->with_eos, named);
	return v ? ft_json_set(o->root, "post_processor", v) : ft_context(ft_last_error(), "%s", o->c->path);
}

/* ---- the folder ---- */

/* Without `legacy`, only what begins the whole text gets a space before it. */
static int modern(struct opened *o)
{
	if (o->family || !o->m.prefix || !json_is_false(json_object_get(o->c->tokenizer, "legacy")))
		return FT_OK;
	json_t *first = json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", "\xe2\x96\x81",
	                          "prepend_scheme", "first", "split", 0);
	json_t *user = json_object_get(o->root, "pre_tokenizer");
	json_t *both = user ? json_pack("{s:s, s:[o,O]}", "type", "Sequence", "pretokenizers", first, user) : first;
	int rc = ft_json_set(o->root, "pre_tokenizer", both);
	return rc == FT_OK ? ft_json_set(json_object_get(o->root, "normalizer"), "add_dummy_prefix", json_false()) : rc;
}

static int choose_family(struct opened *o, const char *dir)
{
	int err = FT_OK;
	const char *class = ft_json_str(o->c->tokenizer, "tokenizer_class", NULL, &err);
	if (!class)
		class = ft_json_str(o->c->model, "tokenizer_class", NULL, &err);
	const char *model_type = ft_json_str(o->c->model, "model_type", NULL, &err);
	int rc = err < 0 ? err : tok_spm_family(class, model_type, &o->family, &o->with_bos);
	o->with_bos = ft_json_bool(o->c->tokenizer, "add_bos_token", o->with_bos, &err);
	o->with_eos = ft_json_bool(o->c->tokenizer, "add_eos_token", false, &err);
	if (!o->family)
		o->m.prefix = o->m.prefix && ft_json_bool(o->c->tokenizer, "add_prefix_space", true, &err);
	if (rc < 0)
		return ft_context(rc, "%s", dir);
	return err < 0 ? ft_context(err, "%s", o->c->path) : FT_OK;
}

/* The model's bytes, and all that was taken from other files. */
static int digest(const struct opened *o, const struct ft_buf *bytes)
{
	char *text = ft_json_dumps(o->root, JSON_COMPACT | JSON_SORT_KEYS);
	int rc = text ? tok_set_digest(o->t, bytes->data, bytes->len, text, strlen(text))
	              : ft_fail(FT_EFAIL, "out of memory for a digest");
	free(text);
	return rc;
}

static int open_model(struct opened *o, const char *path, const char *dir, struct tok_source *src)
{
	int rc = choose_family(o, dir);
	if (rc < 0)
		return rc;
	o->root = o->family ? tok_spm_family_tree(&o->m, o->family, o->c->tokenizer, &o->t->vocab, src, path)
	                    : tok_spm_tree(&o->m, &o->t->vocab, src, path);
	rc = o->root ? add_tokens(o) : ft_last_error();
	if (rc == FT_OK)
		rc = add_template(o);
	if (rc == FT_OK)
		rc = modern(o);
	return rc == FT_OK ? tok_load_tree(o->t, o->root, src, path) : rc;
}

static int load_bytes(struct ft_tok *t, const char *path, const char *dir, const struct ft_buf *bytes,
                      struct tok_config *c)
{
	struct opened o = { .t = t, .c = c };
	struct tok_source src = { 0 };
	int rc = tok_spm_read(&o.m, path, bytes->data, bytes->len);
	if (rc == FT_OK)
		rc = open_model(&o, path, dir, &src);
	if (rc == FT_OK)
		rc = digest(&o, bytes);
	for (int i = 0; i < TOK_ROLES && rc == FT_OK; i++)
		if (o.name[i])
			c->token[i] = o.name[i];
	if (rc == FT_OK && !o.name[TOK_PAD] && o.m.pad >= 0 && ft_tok_piece(t, (int32_t)o.m.pad))
		c->token[TOK_PAD] = ft_tok_piece(t, (int32_t)o.m.pad);
	tok_source_done(t, o.root, &src);
	tok_spm_free(&o.m);
	return rc;
}

int tok_load_spm(struct ft_tok *t, const char *dir, struct tok_config *c, bool *missing)
{
	struct ft_buf bytes = { 0 };
	int rc = FT_OK;
	*missing = true;
	for (size_t i = TOK_SPM_BEGIN; i < TOK_SPM_END && rc == FT_OK && *missing; i++) {
		char *path = ft_format("%s/%s", dir, ft_tok_files[i]);
		rc = path ? tok_read_file(path, &bytes, missing) : FT_EFAIL;
		if (rc == FT_OK && !*missing)
			rc = load_bytes(t, path, dir, &bytes, c);
		free(path);
	}
	ft_buf_free(&bytes);
	return rc;
}
