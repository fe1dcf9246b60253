/* spm_family.c - families of networks whose tokenizers are not quite what their
 * SentencePiece model says: ids are shifted, other normalizers are used, and special
 * tokens stand around a text. As the classes of transformers 5.24 have it.
 */
#include "spm_family.h"
#include "base64.h"
#include "ft/err.h"

#include <stdlib.h>
#include <string.h>

#define META \
	"{\"type\":\"Metaspace\",\"replacement\":\"\xe2\x96\x81\",\"prepend_scheme\":\"always\",\"split\":true}"
#define WORDS \
	"\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}," META "]}"
#define LIST(stages) "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[" stages "]},"
#define PRECOMPILED "{\"type\":\"Precompiled\"}"
#define STRING(from, to) "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" from "\"},\"content\":\"" to "\"}"
/* "when" and "unless" are options of tokenizer_config.json, with their defaults. */
#define QUOTES STRING("``", "\\\"") "," STRING("''", "\\\"")
#define ACCENTS \
	"{\"type\":\"NFKD\",\"unless\":\"keep_accents\",\"default\":false}," \
	"{\"type\":\"StripAccents\",\"unless\":\"keep_accents\",\"default\":false}"
#define LOWER(is) "{\"type\":\"Lowercase\",\"when\":\"do_lower_case\",\"default\":" is "}"

#define TOKENS(bos, eos, unk, sep, pad, cls, mask) \
	{ [TOK_BOS] = bos, [TOK_EOS] = eos, [TOK_UNK] = unk, [TOK_SEP] = sep, [TOK_PAD] = pad, [TOK_CLS] = cls, \
	  [TOK_MASK] = mask }

static const struct tok_spm_family families[] = {
	{ .class = "T5Tokenizer", .models = "t5 mt5 longt5 switch_transformers musicgen musicgen_melody ",
	  .extra_ids = 100, .unk = 2,
	  .stages = LIST(PRECOMPILED) WORDS ",\"decoder\":" META "}",
	  .token = { [TOK_EOS] = "</s>", [TOK_UNK] = "<unk>", [TOK_PAD] = "<pad>" },
	  .single = "Ae", .pair = "AeBe" },
	{ .class = "XLMRobertaTokenizer", .models = "xlm-roberta xmod gte jina_embeddings_v3 trocr ",
	  .head = { "<s>", "<pad>", "</s>", "<unk>" }, .skip = 3, .tail = "<mask>", .unk = 3,
	  .stages = LIST(PRECOMPILED) WORDS ",\"decoder\":" META "}",
	  .token = TOKENS("<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"),
	  .single = "bAe", .pair = "bAeeBe" },
	{ .class = "CamembertTokenizer", .models = "camembert ",
	  .head = { "<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED" }, .skip = 1, .tail = "<mask>",
	  .unk = 3, .lstrip = "<mask>",
	  .stages = LIST(PRECOMPILED) WORDS ",\"decoder\":" META "}",
	  .token = TOKENS("<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"),
	  .single = "bAe", .pair = "bAeeBe" },
	{ .class = "AlbertTokenizer", .models = "albert yoso ", .unk = 1,
	  .stages = LIST(QUOTES "," ACCENTS "," LOWER("true") "," PRECOMPILED) WORDS ",\"decoder\":" META "}",
	  .token = TOKENS("[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"),
	  .single = "cAs", .pair = "cAsB1s1" },
	{ .class = "XLNetTokenizer", .models = "xlnet ", .unk = -1, .lstrip = "<mask>",
	  .stages = LIST(QUOTES ",{\"type\":\"NFKD\"},{\"type\":\"StripAccents\"}," LOWER("false") "," PRECOMPILED)
	            WORDS ",\"decoder\":" META "}",
	  .token = TOKENS("<s>", "</s>", "<unk>", "<sep>", "<pad>", "<cls>", "<mask>"),
	  .single = "Asc2", .pair = "AsB1s1c2" },
	{ .class = "DebertaV2Tokenizer", .models = "deberta-v2 ", .unk = -1,
	  .stages = LIST(LOWER("false") ",{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s{2,}|[\\n\\r\\t]\"},"
	                 "\"content\":\" \"},{\"type\":\"NFC\"},"
	                 "{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}")
	            "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Punctuation\","
	            "\"behavior\":\"Isolated\",\"when\":\"split_by_punct\",\"default\":false}," META "]}"
	            ",\"decoder\":" META "}",
	  .token = TOKENS("[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"),
	  .single = "cAs", .pair = "cAsB1s1" },
};
#define FAMILIES (sizeof families / sizeof *families)

/* ---- which one ---- */

/* The model's own rules hold; those of the first two lists begin a text with bos. */
static const char with_bos[] = "LlamaTokenizer CodeLlamaTokenizer GemmaTokenizer Phi3Tokenizer ";
static const char with_bos_models[] = "llama code_llama mistral mixtral gemma gemma2 gemma3 gemma3_text phi3 ";
static const char plain[] = "TokenizersBackend PreTrainedTokenizer PythonBackend SentencePieceBackend ";
/* Ids are arranged in some other way. */
static const char others[] = "mbart mbart50 nllb nllb-moe m2m_100 pegasus pegasus_x bigbird_pegasus barthez xglm"
                             " seamless_m4t seamless_m4t_v2 big_bird rembert reformer marian speecht5"
                             " bert-generation plbart ";

static bool is_in(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = list; n && (p = strstr(p, name)); p += n)
		if ((p == list || p[-1] == ' ') && p[n] == ' ')
			return true;
	return false;
}

int tok_spm_family(const char *class, const char *model_type, const struct tok_spm_family **family, bool *bos)
{
	char name[80];
	size_t n = class ? strlen(class) : 0;
	n -= n > 4 && strcmp(class + n - 4, "Fast") == 0 ? 4 : 0;
	snprintf(name, sizeof name, "%.*s", (int)n, class ? class : "");
	*family = NULL;
	*bos = class ? is_in(with_bos, name) : model_type && is_in(with_bos_models, model_type);
	for (size_t i = 0; i < FAMILIES && !*family; i++)
		if (class ? strcmp(families[i].class, name) == 0 : model_type && is_in(families[i].models, model_type))
			*family = &families[i];
	if (*family || *bos)
		return FT_OK;
	if (class ? !is_in(plain, name) : model_type && is_in(others, model_type))
		return ft_fail(FT_EFORMAT,
		               "%s '%s' arranges ids in its own way, which is not known; tokenizer.json is needed",
		               class ? "tokenizer_class" : "model_type", class ? class : model_type);
	return FT_OK;
}

/* ---- the tree ---- */

static int add_piece(struct tok_vocab *v, struct tok_source *src, const char *s, size_t n, double score)
{
	int rc = tok_vocab_add(v, s, n, (int64_t)src->nscores);
	return rc == FT_OK ? tok_source_score(src, score) : rc;
}

static int add_extra_ids(const struct tok_spm_family *f, const json_t *config, struct tok_vocab *v,
                         struct tok_source *src, const char *where)
{
	int err = FT_OK;
	int64_t n = f->extra_ids ? ft_json_int(config, "extra_ids", f->extra_ids, &err) : 0;
	if (err < 0 || n < 0 || n > 100000)
		return ft_fail(FT_EFORMAT, "%s: tokenizer_config.json: extra_ids must be a number from 0 to 100000", where);
	int rc = FT_OK;
	for (int64_t i = n - 1; i >= 0 && rc == FT_OK; i--) {
		char name[40];
		int len = snprintf(name, sizeof name, "<extra_id_%lld>", (long long)i);
		rc = add_piece(v, src, name, (size_t)len, 0);
	}
	return rc;
}

static int add_pieces(const struct tok_spm *m, const struct tok_spm_family *f, const json_t *config,
                      struct tok_vocab *v, struct tok_source *src, const char *where)
{
	int rc = FT_OK;
	src->has_scores = true;
	for (size_t i = 0; f->head[i] && rc == FT_OK; i++)
		rc = add_piece(v, src, f->head[i], strlen(f->head[i]), i == 4 ? -100 : 0);
	for (size_t i = f->skip; i < m->n && rc == FT_OK; i++)
		rc = add_piece(v, src, m->piece[i].text.p, m->piece[i].text.n, (double)m->piece[i].score);
	if (rc == FT_OK && f->tail)
		rc = add_piece(v, src, f->tail, strlen(f->tail), 0);
	return rc == FT_OK ? add_extra_ids(f, config, v, src, where) : rc;
}

/* Whether a stage is used; its condition is taken out. */
static bool is_used(json_t *stage, const struct tok_spm *m, const json_t *config)
{
	const char *type = json_string_value(json_object_get(stage, "type"));
	const char *when = json_string_value(json_object_get(stage, "when"));
	const char *unless = json_string_value(json_object_get(stage, "unless"));
	bool used = true;
	if (when || unless) {
		const json_t *option = json_object_get(config, when ? when : unless);
		bool on = json_is_true(json_is_boolean(option) ? option : json_object_get(stage, "default"));
		used = when ? on : !on;
	}
	json_object_del(stage, "when");
	json_object_del(stage, "unless");
	json_object_del(stage, "default");
	return used && (m->charsmap.n || strcmp(type, "Precompiled") != 0);
}

static int fill_in(json_t *stage, const struct tok_spm *m)
{
	if (strcmp(json_string_value(json_object_get(stage, "type")), "Precompiled") != 0)
		return FT_OK;
	struct ft_buf b = { 0 };
	int rc = tok_base64_encode(m->charsmap.p, m->charsmap.n, &b);
	if (rc == FT_OK)
		rc = ft_json_set(stage, "precompiled_charsmap", json_stringn((char *)b.data, b.len));
	ft_buf_free(&b);
	return rc;
}

/* Leaves the stages that are used. */
static int choose(json_t *list, const struct tok_spm *m, const json_t *config)
{
	int rc = FT_OK;
	for (size_t i = json_array_size(list); i-- && rc == FT_OK;) {
		json_t *stage = json_array_get(list, i);
		if (is_used(stage, m, config))
			rc = fill_in(stage, m);
		else
			json_array_remove(list, i);
	}
	return rc;
}

json_t *tok_spm_family_tree(const struct tok_spm *m, const struct tok_spm_family *f, const json_t *config,
                            struct tok_vocab *v, struct tok_source *src, const char *where)
{
	if (m->bpe) {
		ft_fail(FT_EFORMAT, "%s: is a BPE model, but a %s needs a unigram model", where, f->class);
		return NULL;
	}
	json_t *root = ft_json_parse(where, f->stages, strlen(f->stages));
	int rc = root ? add_pieces(m, f, config, v, src, where) : ft_last_error();
	if (rc == FT_OK)
		rc = tok_vocab_build(v, false, where);
	if (rc == FT_OK)
		rc = choose(json_object_get(json_object_get(root, "normalizer"), "normalizers"), m, config);
	if (rc == FT_OK)
		rc = choose(json_object_get(json_object_get(root, "pre_tokenizer"), "pretokenizers"), m, config);
	int64_t unk = f->unk < 0 ? m->unk : f->unk;
	if (rc == FT_OK)
		rc = ft_json_set(root, "model", json_pack("{s:s, s:I}", "type", "Unigram", "unk_id", (json_int_t)unk));
	if (rc == FT_OK)
		return root;
	json_decref(root);
	return NULL;
}
