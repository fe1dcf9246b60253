/* merges_txt.c - byte-level tokenizers of the older form: vocab.json, {"piece": id},
 * and merges.txt, a pair a line, best first. The rest is not in these files but in
 * the program that reads them: it goes by the family. */
#include "ft/err.h"
#include "priv.h"
#include "vocab_json.h"

#include <stdlib.h>
#include <string.h>

#define QWEN2 "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" \
	"|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

struct family {
	const char *models, *classes; /* model_type of config.json, tokenizer_class: each between spaces */
	bool roberta;
	const char *pattern;          /* before ByteLevel, which then cuts nothing; and NFC. Or NULL */
	const char *token[TOK_ROLES];
};
static const struct family families[] = {
	{ " gpt2 gpt_neo gptj codegen ", " GPT2Tokenizer CodeGenTokenizer ", false, NULL,
	  { [TOK_UNK] = "<|endoftext|>", [TOK_BOS] = "<|endoftext|>", [TOK_EOS] = "<|endoftext|>" } },
	{ " roberta bart longformer led ", " RobertaTokenizer BartTokenizer LongformerTokenizer LEDTokenizer ", true,
	  NULL,
	  { [TOK_PAD] = "<pad>", [TOK_UNK] = "<unk>", [TOK_CLS] = "<s>", [TOK_SEP] = "</s>", [TOK_MASK] = "<mask>",
	    [TOK_BOS] = "<s>", [TOK_EOS] = "</s>" } },
	{ " qwen2 qwen2_moe qwen3 qwen3_moe ", " Qwen2Tokenizer ", false, QWEN2,
	  { [TOK_PAD] = "<|endoftext|>", [TOK_EOS] = "<|endoftext|>" } },
};

static bool is_one_of(const char *list, const char *name)
{
	char word[80];
	size_t n = strlen(name), fast = n > 4 && strcmp(name + n - 4, "Fast") == 0 ? n - 4 : n;
	return snprintf(word, sizeof word, " %.*s ", (int)fast, name) < (int)sizeof word && strstr(list, word);
}

/* The tokenizer's class counts more than the model's type; without both it is GPT-2's. */
static int find_family(const struct tok_config *c, const char *dir, const struct family **out)
{
	const char *class = json_string_value(json_object_get(c->tokenizer, "tokenizer_class"));
	const char *model = json_string_value(json_object_get(c->model, "model_type")), *name = class ? class : model;
	*out = families;
	if (!name)
		return FT_OK;
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (is_one_of(class ? families[i].classes : families[i].models, name)) {
			*out = &families[i];
			return FT_OK;
		}
	return ft_fail(FT_EFORMAT, "%s: how '%s' uses vocab.json and merges.txt is not known; save the model with"
	               " its tokenizer.json", dir, name);
}

/* "a b" a line; the first may be "#version: 0.2". */
static int read_merges(struct tok_source *src, const char *path)
{
	struct ft_buf text = { 0 };
	bool missing;
	int rc = tok_read_file(path, &text, &missing);
	if (rc == FT_OK && missing)
		rc = ft_fail(FT_EFORMAT, "%s: is missing", path);
	const char *at = (const char *)text.data, *end = at ? at + text.len : at;
	src->has_merges = true;
	for (size_t line = 1; rc == FT_OK && at < end; line++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at)), *last = stop ? stop : end;
		last -= last > at && last[-1] == '\r';
		size_t n = (size_t)(last - at);
		const char *space = memchr(at, ' ', n);
		bool good = space && !memchr(space + 1, ' ', (size_t)(last - space - 1)) && !ft_utf8_invalid(at, n)
		         && !memchr(at, '\0', n);
		if (n && !(n >= 8 && memcmp(at, "#version", 8) == 0))
			rc = good ? tok_source_merge(src, at, (size_t)(space - at), space + 1,
			                             (size_t)(last - space - 1))
			          : ft_fail(FT_EFORMAT, "%s:%zu: is not two parts with a space between", path, line);
		at = stop ? stop + 1 : end;
	}
	ft_buf_free(&text);
	return rc;
}

/* <mask> takes the white space before it, unless the files say more. */
static void set_mask(const struct tok_config *c, json_t *added)
{
	for (size_t i = 0; i < json_array_size(added); i++) {
		json_t *token = json_array_get(added, i);
		const char *content = json_string_value(json_object_get(token, "content"));
		if (content && strcmp(content, c->token[TOK_MASK]) == 0 && !json_object_get(token, "lstrip"))
			json_object_set_new(token, "lstrip", json_true());
	}
}

static int named(const struct ft_tok *t, const struct tok_config *c, int role, const char *path, int32_t *id)
{
	*id = tok_vocab_id(&t->vocab, c->token[role], strlen(c->token[role]));
	return *id >= 0 ? FT_OK : ft_fail(FT_EFORMAT, "%s: the special token '%s' is not in the vocabulary", path,
	                                  c->token[role]);
}

/* Special tokens around texts, and places without spaces: only RoBERTa has both. */
static json_t *processor(const struct ft_tok *t, const struct family *f, const struct tok_config *c, bool prefix,
                         const char *path)
{
	int32_t cls, sep;
	if (!f->roberta)
		return json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "trim_offsets", 0, "add_prefix_space", prefix);
	if (named(t, c, TOK_CLS, path, &cls) < 0 || named(t, c, TOK_SEP, path, &sep) < 0)
		return NULL;
	return json_pack("{s:s, s:[s,i], s:[s,i], s:b, s:b}", "type", "RobertaProcessing", "sep", c->token[TOK_SEP],
	                 sep, "cls", c->token[TOK_CLS], cls, "trim_offsets", 1, "add_prefix_space", prefix);
}

/* What tokenizer.json would say. */
static json_t *tree_of(const struct ft_tok *t, const struct family *f, const struct tok_config *c, const char *path)
{
	int err = FT_OK;
	bool prefix = ft_json_bool(c->tokenizer, "add_prefix_space", false, &err);
	bool bos = ft_json_bool(c->tokenizer, "add_bos_token", false, &err);
	if (err == FT_OK && bos)
		err = ft_fail(FT_EFORMAT, "add_bos_token is not supported without tokenizer.json");
	if (err < 0) {
		ft_context(err, "%s", c->path);
		return NULL;
	}
	json_t *post = processor(t, f, c, prefix, path), *added = post ? tok_config_added(c, &t->vocab) : NULL;
	if (!added) {
		json_decref(post);
		return NULL;
	}
	if (f->roberta)
		set_mask(c, added);
	json_t *bytes = json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix, "use_regex",
	                          !f->pattern);
	json_t *root = !f->pattern
		? json_pack("{s:{s:s}, s:{s:s}, s:o, s:o, s:o}", "model", "type", "BPE", "decoder", "type", "ByteLevel",
		            "pre_tokenizer", bytes, "added_tokens", added, "post_processor", post)
		: json_pack("{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s, s:[{s:s, s:{s:s}, s:s}, o]}, s:o, s:o}",
		            "model", "type", "BPE", "decoder", "type", "ByteLevel", "normalizer", "type", "NFC",
		            "pre_tokenizer", "type", "Sequence", "pretokenizers", "type", "Split", "pattern", "Regex",
		            f->pattern, "behavior", "Isolated", bytes, "added_tokens", added, "post_processor", post);
	if (!root)
		ft_fail(FT_EFAIL, "out of memory");
	return root;
}

/* The bytes of both files, and what was made of those beside them. */
static int digest(struct ft_tok *t, const struct ft_buf *vocab, const struct tok_source *src, const json_t *root)
{
	struct ft_buf all = { 0 };
	char *tree = ft_json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
	int rc = tree ? ft_buf_append(&all, tree, strlen(tree)) : ft_fail(FT_EFAIL, "out of memory");
	for (size_t i = 0; i < src->nmerges && rc == FT_OK; i++)
		rc = ft_buf_append(&all, &src->merges[i].left, sizeof src->merges[i].left);
	if (rc == FT_OK)
		rc = ft_buf_append(&all, src->text.data, src->text.len);
	if (rc == FT_OK)
		rc = tok_set_digest(t, vocab->data, vocab->len, all.data, all.len);
	ft_buf_free(&all);
	free(tree);
	return rc;
}

/* vocab.json as tokenizer.json has it. */
static int read_vocab(struct ft_tok *t, const char *path, const struct ft_buf *vocab, struct tok_source *src)
{
	struct ft_buf text = { 0 };
	int rc = ft_buf_append(&text, "{\"model\":{\"vocab\":", 18);
	if (rc == FT_OK)
		rc = ft_buf_append(&text, vocab->data, vocab->len);
	if (rc == FT_OK)
		rc = ft_buf_append(&text, "}}", 2);
	json_t *root = rc == FT_OK ? tok_json_parse(path, (char *)text.data, text.len, &t->vocab, src) : NULL;
	if (rc == FT_OK && !root)
		rc = ft_last_error();
	if (rc == FT_OK && (src->has_scores || !t->vocab.count))
		rc = ft_fail(FT_EFORMAT, "%s: is not an object of ids", path);
	json_decref(root);
	ft_buf_free(&text);
	return rc == FT_OK ? tok_vocab_build(&t->vocab, false, path) : rc;
}

int tok_load_merges_txt(struct ft_tok *t, const char *dir, const char *path, const struct ft_buf *vocab,
                        struct tok_config *c)
{
	const struct family *f;
	struct tok_source src = { .added_where = c->path };
	char *merges = ft_format("%s/merges.txt", dir);
	json_t *root = NULL;
	int rc = merges ? find_family(c, dir, &f) : FT_EFAIL;
	if (rc == FT_OK)
		rc = read_vocab(t, path, vocab, &src);
	if (rc == FT_OK)
		rc = read_merges(&src, merges);
	if (rc == FT_OK) {
		for (int i = 0; i < TOK_ROLES; i++)
			if (!c->given[i]) {
				c->token[i] = f->token[i];
				c->given[i] = f->token[i] != NULL;
			}
		root = tree_of(t, f, c, path);
		rc = root ? tok_load_tree(t, root, &src, dir) : ft_last_error();
		if (rc == FT_OK)
			rc = digest(t, vocab, &src, root);
	}
	tok_source_done(t, root, &src);
	free(merges);
	return rc;
}
