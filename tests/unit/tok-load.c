/* Tokenizer files that are malformed, or valid in unusual ways: one clear
 * refusal each, and no crash on any damage. Run from the repository's root. */
#include "ft/tok.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDPIECE "tests/ref/wordpiece/uncased/tokenizer.json"
#define GPT2 "tests/ref/tokenizers/gpt2/tokenizer.json"
#define LLAMA2 "tests/ref/tokenizers/llama2/tokenizer.json"
#define T5 "tests/ref/sentencepiece/t5/tokenizer.json"
#define SUFFIXED "tests/ref/tokenizers/suffixed/tokenizer.json"
#define PIECES "tests/ref/tokenizers/pieces/tokenizer.json"

static char folder[] = "/tmp/ft-unit.XXXXXX", path[64];

static const char *put(const char *name, const char *text, size_t n)
{
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	if (f) {
		fwrite(text, 1, n, f);
		fclose(f);
	}
	return path;
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static void clear(void)
{
	static const char *const names[] = {
		"tokenizer.json", "vocab.txt", "tokenizer_config.json", "vocab.json", "merges.txt", "config.json",
		"added_tokens.json",
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
}

/* The tokenizer in the folder is refused for `reason`; or opens, when that is NULL. */
static void check(const char *what, const char *reason)
{
	struct ft_tok *t = ft_tok_open(folder);
	if (!reason)
		ok(t != NULL, "%s", what);
	else if (!ok(!t && ft_last_error() == FT_EFORMAT && strstr(ft_message(), reason)
	             && strncmp(ft_message(), folder, strlen(folder)) == 0, "%s", what))
		printf("# wanted: %s\n", reason);
	ft_tok_free(t);
}

/* ---- single changes to a good tokenizer.json ---- */

/* Changes what lies at "a/b/0": to the JSON text `value`, or takes it away (NULL). */
static void change(json_t *root, const char *where, const char *value)
{
	char part[40];
	json_t *at = root, *v = value ? json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
	for (;;) {
		size_t n = strcspn(where, "/");
		snprintf(part, sizeof part, "%.*s", (int)n, where);
		where += n;
		if (!*where)
			break;
		where++;
		at = json_is_array(at) ? json_array_get(at, (size_t)atoi(part)) : json_object_get(at, part);
	}
	if (json_is_array(at))
		v ? json_array_set_new(at, (size_t)atoi(part), v) : json_array_remove(at, (size_t)atoi(part));
	else
		v ? json_object_set_new(at, part, v) : json_object_del(at, part);
}

struct change { const char *what, *where, *value, *reason; };
static const struct change wordpiece[] = {
	{ "another version", "version", "\"2.0\"", "version '2.0'" },
	{ "no version", "version", NULL, NULL },
	{ "padding and truncation are ignored", "padding", "{\"strategy\":{\"Fixed\":128}}", NULL },
	{ "unknown members are ignored", "future", "[{}]", NULL },
	{ "no model", "model", NULL, "model is missing" },
	{ "a model that is no object", "model", "[1]", "model is missing or not an object" },
	{ "another kind of model", "model/type", "\"CharLM\"", "model.type 'CharLM' is not supported" },
	{ "a kind without its parts", "model/type", "\"BPE\"", "model.merges is missing" },
	{ "a kind that is no string", "model/type", "7", "type" },
	{ "a model that does not name its kind", "model/type", NULL, NULL },
	{ "no vocabulary", "model/vocab", NULL, "model.vocab is missing" },
	{ "a vocabulary that is a list", "model/vocab", "[[\"a\", 0]]", "model.vocab is missing" },
	{ "a vocabulary that is neither", "model/vocab", "7", "model.vocab is missing" },
	{ "an empty vocabulary", "model/vocab", "{}", "model.vocab is missing" },
	{ "a negative id", "model/vocab/a", "-1", "not a whole number" },
	{ "an id with a fraction", "model/vocab/a", "1.5", "not a whole number" },
	{ "an id in quotes", "model/vocab/a", "\"1\"", "not a whole number" },
	{ "an id that is null", "model/vocab/a", "null", "not a whole number" },
	{ "a huge id", "model/vocab/a", "2000000000", "too large" },
	{ "an id beyond all", "model/vocab/a", "99999999999", "not a whole number" },
	{ "one id twice", "model/vocab/a", "6", "the same id 6" },
	{ "a hole in the ids", "model/vocab/zzz", "500", "'[ENT]' has id 408 where 409 is expected" },
	{ "a piece with a NUL", "model/vocab/q\\u0000", "9", "wrong escape" },
	{ "an unknown token that is not there", "model/unk_token", "\"[OOPS]\"",
	 "'[OOPS]' is not in the vocabulary" },
	{ "no unknown token", "model/unk_token", NULL, "model.unk_token is missing" },
	{ "an unknown token that is no string", "model/unk_token", "{}", "unk_token: must be a string" },
	{ "no continuation prefix", "model/continuing_subword_prefix", NULL,
	 "continuing_subword_prefix is missing" },
	{ "an empty continuation prefix", "model/continuing_subword_prefix", "\"\"", NULL },
	{ "no longest word", "model/max_input_chars_per_word", NULL, "max_input_chars_per_word is missing" },
	{ "a negative longest word", "model/max_input_chars_per_word", "-1", "max_input_chars_per_word" },
	{ "a huge longest word", "model/max_input_chars_per_word", "2147483648", "at most 1000" },
	{ "no normalizer", "normalizer", "null", NULL },
	{ "another normalizer", "normalizer/type", "\"Upper\"", "normalizer: type 'Upper' is not supported" },
	{ "a flag that is no boolean", "normalizer/lowercase", "1", "lowercase: must be true or false" },
	{ "no word splitting", "pre_tokenizer", "null", NULL },
	{ "another word splitting", "pre_tokenizer/type", "\"UnicodeScripts\"",
	  "type 'UnicodeScripts' is not supported" },
	{ "no template", "post_processor", "null", NULL },
	{ "another template", "post_processor/type", "\"Other\"", "type 'Other' is not supported" },
	{ "another template without its parts", "post_processor/type", "\"RobertaProcessing\"", "sep and cls" },
	{ "a template that is no array", "post_processor/single", "{}", "single must be an array" },
	{ "an empty template", "post_processor/single", "[]", "single must have A once" },
	{ "a pair without B", "post_processor/pair/3", NULL, "pair must have A and B" },
	{ "a sequence C", "post_processor/single/1/Sequence/id", "\"C\"", "neither A nor B" },
	{ "a type above 255", "post_processor/single/1/Sequence/type_id", "256", "0 to 255" },
	{ "a special token without ids", "post_processor/special_tokens/[CLS]", NULL,
	 "does not have '[CLS]'" },
	{ "a special id that is not there", "post_processor/special_tokens/[CLS]/ids", "[4000]",
	 "not in the vocabulary" },
	{ "a special id that is negative", "post_processor/special_tokens/[CLS]/ids", "[-1]",
	 "not in the vocabulary" },
	{ "the older template", "post_processor",
	  "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]}", NULL },
	{ "the older template without ids", "post_processor",
	  "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\"],\"cls\":[\"[CLS]\",2]}", "sep and cls" },
	{ "added tokens that are no array", "added_tokens", "{}", "added_tokens must be an array" },
	{ "no added tokens", "added_tokens", "null", NULL },
	{ "special ids that are no array", "post_processor/special_tokens/[CLS]/ids", "7", "does not have '[CLS]' with its ids" },
	{ "a special id that is a text", "post_processor/special_tokens/[CLS]/ids", "[\"2\"]", "not in the vocabulary" },
	{ "a special token of no ids", "post_processor/special_tokens/[CLS]/ids", "[]", NULL },
	{ "a part that is nothing", "post_processor/single/0", "{}", "single[0]: must be a Sequence or a SpecialToken" },
	{ "a part without an id", "post_processor/single/0", "{\"Sequence\":{}}", "single[0]: must be a Sequence or a SpecialToken" },
	{ "an id of a part that is a number", "post_processor/single/0", "{\"Sequence\":{\"id\":1}}",
	  "single[0]: must be a Sequence or a SpecialToken" },
	{ "a negative type", "post_processor/single/1/Sequence/type_id", "-1", "0 to 255" },
	{ "B in a template of one text", "post_processor/single/1/Sequence/id", "\"B\"", "single must have A once, and no B" },
	{ "A twice", "post_processor/single/0", "{\"Sequence\":{\"id\":\"A\"}}", "single must have A once, and no B" },
	{ "an older id that is a text", "post_processor", "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",\"3\"],\"cls\":[\"[CLS]\",2]}",
	  "sep and cls" },
	{ "an older id that is negative", "post_processor", "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",-2]}",
	  "sep and cls" },
	{ "an older id that is not there", "post_processor", "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",4000],\"cls\":[\"[CLS]\",2]}",
	  "sep and cls" },
	{ "a flag of a template", "post_processor",
	  "{\"type\":\"RobertaProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2],\"trim_offsets\":1}", "trim_offsets: must be true or false" },
	{ "a template of no type", "post_processor", "{}", "post_processor: type '?' is not supported" },
	{ "templates without a list", "post_processor", "{\"type\":\"Sequence\"}", "type 'Sequence' is not supported" },
	{ "templates in an object", "post_processor", "{\"type\":\"Sequence\",\"processors\":{}}", "type 'Sequence' is not supported" },
	{ "an error in the first of two", "post_processor", "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"X\"},{\"type\":\"Y\"}]}",
	  "processors[0]: type 'X' is not supported" },
	{ "an added token with another id", "added_tokens/1/id", "7",
	 "'[UNK]' has id 7 where 1 is expected" },
	{ "an added token with a gap before it", "added_tokens/5/id", "600", "where 408 is expected" },
	{ "an added token without content", "added_tokens/1/content", NULL, "content must be a string" },
	{ "an added token that is empty", "added_tokens/1/content", "\"\"", "content must be a string" },
	{ "an added token twice", "added_tokens/1/content", "\"[PAD]\"", "'[PAD]' has id 1" },
	{ "an added token with a NUL", "added_tokens/1/content", "\"a\\u0000\"", "content must be a string" },
	{ "an added token twice in a row", "added_tokens/1", "{\"id\":0,\"content\":\"[PAD]\",\"special\":true}",
	  "'[PAD]' stands twice" },
	{ "a version that is no string", "version", "1", "version: must be a string" },
	{ "a stage of no type", "normalizer", "{\"type\":1}", "type: must be a string" },
	{ "decoders that are not known are no obstacle", "decoder",
	  "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"CTC\"},{\"type\":\"Other\"}]}", NULL },
	{ "a flag of an added token", "added_tokens/1/lstrip", "\"yes\"", "lstrip: must be true or false" },
	{ "another decoder is no obstacle", "decoder/type", "\"CTC\"", NULL },
	{ "a decoder of the wrong type", "decoder/cleanup", "\"yes\"", "cleanup: must be true or false" },
};

#define SIXTY "012345678901234567890123456789012345678901234567890123456789"
static const struct change gpt2[] = {
	{ "byte-level as it is", "future", "1", NULL },
	{ "no merges", "model/merges", NULL, "model.merges is missing or not an array" },
	{ "merges that are an object", "model/merges", "{}", "model.merges is missing or not an array" },
	{ "an empty list of merges", "model/merges", "[]", NULL },
	{ "a merge of an unknown part", "model/merges/0", "\"q zz\"",
	  "model.merges[0]: 'zz' is not in the vocabulary" },
	{ "a merge of an unknown left part", "model/merges/0", "\"qq z\"", "'qq' is not in the vocabulary" },
	{ "a merge that makes an unknown piece", "model/merges/0", "\"q z\"", "'qz' is not in the vocabulary" },
	{ "a merge of nothing", "model/merges/0", "\" z\"", "'' is not in the vocabulary" },
	{ "a merge without a space", "model/merges/0", "\"the\"", "not two parts with a space between" },
	{ "a merge with two spaces", "model/merges/0", "\"t h e\"", "not two parts with a space between" },
	{ "a merge as a pair", "model/merges/0", "[\"h\", \"e\"]", NULL },
	{ "a pair of one", "model/merges/0", "[\"t\"]", "',' is expected" },
	{ "a pair of three", "model/merges/0", "[\"t\", \"h\", \"e\"]", "']' is expected" },
	{ "a merge that is a number", "model/merges/0", "7", "'[' is expected" },
	{ "a merge twice", "model/merges/1", "\"h e\"", NULL },
	{ "the line of a merges.txt", "model/merges/0", "\"#version: 0.2\"", NULL },
	{ "a model that does not name its kind", "model/type", NULL, NULL },
	{ "a vocabulary that is a list", "model/vocab", "[[\"a\", 0.5]]", "model.vocab is missing or not an object" },
	{ "a score that is no number", "model/vocab", "[[\"a\", true]]", "a score is not a number" },
	{ "a negative id", "model/vocab/a", "-1", "not a whole number" },
	{ "one id twice", "model/vocab/a", "6", "the same id 6" },
	{ "a huge id", "model/vocab/a", "2000000000", "too large" },
	{ "dropout of 0", "model/dropout", "0.0", NULL },
	{ "dropout", "model/dropout", "0.1", "dropout is 0.1" },
	{ "an unknown token that is not there", "model/unk_token", "\"<unk>\"",
	  "unk_token '<unk>' is not in the vocabulary" },
	{ "a flag that is no boolean", "model/fuse_unk", "1", "fuse_unk: must be true or false" },
	{ "nothing splits", "pre_tokenizer", "null", NULL },
	{ "a pattern that does not compile", "pre_tokenizer",
	  "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a(\"},\"behavior\":\"Isolated\",\"invert\":false}",
	  "pre_tokenizer: Split: the pattern 'a(': missing closing parenthesis" },
	{ "a pattern of no kind", "pre_tokenizer", "{\"type\":\"Split\",\"pattern\":\"a\"}", "pattern must be" },
	{ "another behavior", "pre_tokenizer",
	  "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Kept\"}",
	  "behavior 'Kept' is not known" },
	{ "a Sequence without its list", "pre_tokenizer", "{\"type\":\"Sequence\"}", "needs the array pretokenizers" },
	{ "an error in a Sequence", "pre_tokenizer",
	  "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{\"type\":\"X\"}]}",
	  "pretokenizers[1]: type 'X' is not supported" },
	{ "a delimiter of two characters", "pre_tokenizer", "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}",
	  "delimiter must be one character" },
	{ "a scheme that is not known", "pre_tokenizer",
	  "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}", "prepend_scheme 'last'" },
	{ "schemes that contradict", "pre_tokenizer",
	  "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"add_prefix_space\":false}",
	  "contradict" },
	{ "the older scheme", "pre_tokenizer",
	  "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false,\"str_rep\":\"_\"}", NULL },
	{ "a replacement without content", "normalizer", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}",
	  "normalizer: Replace: content must be a string" },
	{ "a prefix that is no string", "normalizer", "{\"type\":\"Prepend\",\"prepend\":1}",
	  "prepend: must be a string" },
	{ "two processors of tokens", "post_processor",
	  "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"BertProcessing\",\"sep\":[\"a\",1],\"cls\":[\"b\",2]},"
	  "{\"type\":\"BertProcessing\",\"sep\":[\"a\",1],\"cls\":[\"b\",2]}]}", "processors[1]: a second processor" },
	{ "a pattern with a NUL", "pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\\u0000\"}}",
	  "without NUL" },
	{ "a pattern and more", "pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\",\"x\":1}}",
	  "pattern must be" },
	{ "a pattern that is a number", "pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":1}}", "pattern must be" },
	{ "a behavior that is a number", "pre_tokenizer",
	  "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":1}", "behavior: must be a string" },
	{ "a flag of a pattern", "pre_tokenizer",
	  "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Isolated\",\"invert\":1}",
	  "invert: must be true or false" },
	{ "nothing for spaces", "pre_tokenizer", "{\"type\":\"Metaspace\"}", "replacement must be one character" },
	{ "two for spaces", "pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}",
	  "replacement must be one character" },
	{ "a number for spaces", "pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":1}", "replacement: must be a string" },
	{ "a flag of spaces", "pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"split\":1}",
	  "split: must be true or false" },
	{ "a scheme that is a number", "pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":1}",
	  "prepend_scheme: must be a string" },
	{ "an option twice, alike", "pre_tokenizer",
	  "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"never\",\"add_prefix_space\":false}", NULL },
	{ "a replacement that is a number", "normalizer",
	  "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":1}", "content: must be a string" },
	{ "a replacement of no pattern", "normalizer", "{\"type\":\"Replace\",\"content\":\"a\"}", "pattern must be" },
	{ "no charsmap", "normalizer", "{\"type\":\"Precompiled\"}", "precompiled_charsmap is missing" },
	{ "a null charsmap", "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":null}",
	  "precompiled_charsmap is missing" },
	{ "a charsmap that is a number", "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":1}",
	  "precompiled_charsmap must be a string" },
	{ "a charsmap that is not base64", "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AA*A\"}",
	  "precompiled_charsmap: not base64: character 2" },
	{ "a charsmap of one byte", "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AA==\"}", "Precompiled" },
	{ "a long suffix", "model/end_of_word_suffix",
	  "\"" SIXTY SIXTY SIXTY SIXTY SIXTY "\"", "end_of_word_suffix may have" },
	{ "a long prefix", "model/continuing_subword_prefix",
	  "\"" SIXTY SIXTY SIXTY SIXTY SIXTY "\"", "continuing_subword_prefix and end_of_word_suffix may have 255 bytes" },
	{ "a charsmap of nothing", "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}", "is cut short or has no trie" },
	{ "a decoder of two characters", "decoder", "{\"type\":\"Strip\",\"content\":\"ab\",\"start\":0,\"stop\":0}",
	  "content must be one character" },
	{ "a decoder's count that is no number", "decoder", "{\"type\":\"Strip\",\"content\":\"a\",\"start\":\"1\",\"stop\":0}",
	  "start: must be a whole number" },
	{ "a decoder's other count", "decoder", "{\"type\":\"Strip\",\"content\":\"a\",\"start\":0,\"stop\":-1}",
	  "start and stop must not be negative" },
	{ "a decoder's suffix that is a number", "decoder", "{\"type\":\"BPEDecoder\",\"suffix\":1}", "suffix: must be a string" },
	{ "a decoder of spaces without any", "decoder", "{\"type\":\"Metaspace\"}", "replacement must be one character" },
	{ "a decoder's scheme that is a number", "decoder",
	  "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":1}", "prepend_scheme: must be a string" },
	{ "a decoder's negative count", "decoder", "{\"type\":\"Strip\",\"content\":\"a\",\"start\":-1,\"stop\":0}",
	  "start and stop must not be negative" },
};

static const struct change unigram[] = {
	{ "unigrams as they are", "future", "1", NULL },
	{ "an unknown piece beyond the last", "model/unk_id", "1000000", "unk_id" },
	{ "one before the first", "model/unk_id", "-1", "unk_id" },
	{ "one that is no number", "model/unk_id", "\"2\"", "unk_id: must be a whole number" },
	{ "none", "model/unk_id", "null", NULL },
	{ "no list of unigrams", "model/vocab", NULL, "not a list of pieces with scores" },
	{ "unigrams without scores", "model/vocab", "{\"a\":0}", "not a list of pieces with scores" },
	{ "a score that is a text", "model/vocab/0", "[\"<pad>\",\"0\"]", "a score is not a number" },
	{ "a score that is no number", "model/vocab/0", "[\"<pad>\",null]", "a score is not a number" },
	{ "an entry of three", "model/vocab/0", "[\"<pad>\",0.0,1]", "']' is expected" },
	{ "a piece that is a number", "model/vocab/0", "[1,0.0]", "a piece in quotes is expected" },
	{ "a piece twice", "model/vocab/0", "[\"\u2581\",0.0]", "stands twice" },
	{ "bytes that are not there", "model/byte_fallback", "true", NULL },
	{ "a flag of bytes", "model/byte_fallback", "1", "byte_fallback: must be true or false" },
};

static const struct change pieces[] = {
	{ "a part without the prefix", "model/merges/0", "\"a b\"", "is shorter than continuing_subword_prefix" },
	{ "a long prefix", "model/continuing_subword_prefix", "\"###\"", "is not in the vocabulary" },
	{ "a prefix and bytes", "model/byte_fallback", "true", "byte_fallback with continuing_subword_prefix" },
};

static const struct change suffixed[] = {
	{ "a suffix and bytes", "model/byte_fallback", "true", "byte_fallback with continuing_subword_prefix or end_of_word_suffix" },
};

static void changed(const char *model, const struct change *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		json_t *root = json_load_file(model, 0, NULL);
		change(root, changes[i].where, changes[i].value);
		char *text = json_dumps(root, JSON_ENSURE_ASCII);
		char *escape = strstr(text, "q\\\\u0000"); /* JSON text cannot be set by value here */
		if (escape)
			memmove(escape + 1, escape + 2, strlen(escape + 1));
		put("tokenizer.json", text, strlen(text));
		check(changes[i].what, changes[i].reason);
		free(text);
		json_decref(root);
	}
}

/* ---- stages that go too deep, or too far ---- */

/* A good tokenizer with another normalizer or pre_tokenizer; opened. */
static struct ft_tok *with(const char *member, const char *value)
{
	json_t *root = json_load_file(LLAMA2, 0, NULL);
	change(root, member, value);
	char *text = json_dumps(root, JSON_ENSURE_ASCII);
	put("tokenizer.json", text, strlen(text));
	free(text);
	json_decref(root);
	return ft_tok_open(folder);
}

static void nested(void)
{
	static const struct { const char *member, *list; } cases[] = {
		{ "normalizer", "normalizers" }, { "pre_tokenizer", "pretokenizers" }, { "decoder", "decoders" },
		{ "post_processor", "processors" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ft_buf b = { 0 };
		for (int k = 0; k < 200; k++)
			ft_buf_printf(&b, "{\"type\":\"Sequence\",\"%s\":[", cases[i].list);
		for (int k = 0; k < 200; k++)
			ft_buf_append(&b, "]}", 2);
		ft_buf_append(&b, "", 1);
		ft_tok_free(with(cases[i].member, (char *)b.data));
		ok(strstr(ft_message(), "Sequences are nested deeper than 16") != NULL, "Sequences in Sequences: %s",
		   cases[i].member);
		ft_buf_free(&b);
	}
	struct ft_buf b = { 0 };
	ft_buf_printf(&b, "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}");
	for (int k = 0; k < 40; k++)
		ft_buf_printf(&b, ",{\"type\":\"NFC\"}");
	ft_buf_append(&b, "]}", 3);
	ft_tok_free(with("normalizer", (char *)b.data));
	ok(strstr(ft_message(), "more than 32 stages") != NULL, "many stages");
	ft_buf_free(&b);
}

#define EIGHT "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaa\"}"
#define MANY EIGHT "," EIGHT "," EIGHT "," EIGHT
static void growth(void)
{
	char text[1000];
	memset(text, 'a', sizeof text);
	struct ft_tok_text x = { 0 };
	struct ft_tok *t = with("normalizer", "{\"type\":\"Sequence\",\"normalizers\":[" MANY "]}");
	ok(t && ft_tok_encode(t, text, sizeof text, 0, &x) == FT_EFORMAT && strstr(ft_message(), "too much"),
	   "a text that grows without end");
	ok(t && ft_tok_encode(t, "b", 1, 0, &x) == FT_OK, "and another text behind it");
	ft_tok_free(t);
	t = with("decoder", "{\"type\":\"Sequence\",\"decoders\":[" MANY "]}");
	struct ft_buf out = { 0 };
	int32_t ids[500];
	for (int i = 0; i < 500; i++)
		ids[i] = t ? ft_tok_id(t, "aa") : 0;
	ok(t && ft_tok_decode(t, ids, 500, false, &out) == FT_EFORMAT && strstr(ft_message(), "too much"),
	   "a decoder, too");
	ft_buf_free(&out);
	ft_tok_free(t);
	t = with("pre_tokenizer", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a+)+$\"},\"behavior\":\"Isolated\"}");
	text[999] = 'b';
	ok(t && ft_tok_encode(t, text, sizeof text, 0, &x) == FT_EFORMAT
	   && strstr(ft_message(), "'(a+)+$' fails on this text"),
	   "a pattern that backtracks without end");
	ft_tok_free(t);
	ft_tok_text_free(&x);
}

/* NFD takes apart what NFC puts together. */
static void forms(void)
{
	struct ft_tok_text one = { 0 }, two = { 0 };
	struct ft_tok *t = with("normalizer", "{\"type\":\"NFD\"}");
	ok(t && ft_tok_encode(t, "\u00e9\u1e69", 5, 0, &one) == FT_OK &&
	   ft_tok_encode(t, "e\u0301s\u0323\u0307", 8, 0, &two) == FT_OK && one.n == two.n && one.n &&
	   memcmp(one.ids, two.ids, one.n * sizeof *one.ids) == 0, "NFD: a letter with marks is what it is made of");
	ft_tok_free(t);
	ft_tok_text_free(&one);
	ft_tok_text_free(&two);
	put("tokenizer.json", "[]", 2);
	check("a tokenizer.json that is a list", "tokenizer.json: must be an object");
}

/* A tokenizer of three unigrams, and one for each byte. */
static struct ft_tok *unigrams(const char *unk, bool bytes)
{
	struct ft_buf b = { 0 };
	ft_buf_printf(&b, "{\"version\":\"1.0\",\"model\":{\"type\":\"Unigram\",\"unk_id\":%s,\"byte_fallback\":%s,"
	              "\"vocab\":[[\"<unk>\",0.0],[\"a\",-1.0],[\"ab\",-1.5]", unk, bytes ? "true" : "false");
	for (int c = 0; bytes && c < 256; c++)
		ft_buf_printf(&b, ",[\"<0x%02X>\",-9.0]", c);
	ft_buf_printf(&b, "]}}");
	put("tokenizer.json", (char *)b.data, b.len);
	ft_buf_free(&b);
	return ft_tok_open(folder);
}

static bool has_ids(const struct ft_tok *t, const char *text, const int32_t *ids, size_t n)
{
	struct ft_tok_text x = { 0 };
	bool same = t && ft_tok_encode(t, text, strlen(text), 0, &x) == FT_OK && x.n == n && memcmp(x.ids, ids, n * sizeof *ids) == 0;
	ft_tok_text_free(&x);
	return same;
}

static void unknown_characters(void)
{
	struct ft_tok_text x = { 0 };
	struct ft_tok *t = unigrams("0", true);
	ok(has_ids(t, "ab\u00e9a", (int32_t[]){ 2, 3 + 0xc3, 3 + 0xa9, 1 }, 4), "what is in no unigram is bytes");
	ft_tok_free(t);
	t = unigrams("0", false);
	ok(has_ids(t, "ab\u00e9\u00e9a", (int32_t[]){ 2, 0, 1 }, 3), "or unknown, several in a row once");
	ft_tok_free(t);
	t = unigrams("null", false);
	ok(has_ids(t, "ab", (int32_t[]){ 2 }, 1) && ft_tok_encode(t, "\u00e9", 2, 0, &x) == FT_EFORMAT &&
	   strstr(ft_message(), "a character is not in the vocabulary"), "or an error, where nothing stands for it");
	ft_tok_free(t);
	ft_tok_text_free(&x);
}

/* With this normalizer two texts are the same tokens. */
static void alike(const char *normalizer, const char *a, const char *b, const char *what)
{
	char value[200];
	struct ft_tok_text one = { 0 }, two = { 0 };
	snprintf(value, sizeof value, "{\"type\":\"%s\"%s}", normalizer, strcmp(normalizer, "BertNormalizer") ? ""
	         : ",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true");
	struct ft_tok *t = with("normalizer", value);
	ok(t && ft_tok_encode(t, a, strlen(a), 0, &one) == FT_OK && ft_tok_encode(t, b, strlen(b), 0, &two) == FT_OK &&
	   one.n && one.n == two.n && memcmp(one.ids, two.ids, one.n * sizeof *one.ids) == 0, "%s: %s", normalizer, what);
	ft_tok_free(t);
	ft_tok_text_free(&one);
	ft_tok_text_free(&two);
}

static void normal_forms(void)
{
	alike("NFC", "\u1100\u1161\u11a8", "\uac01", "parts of a Hangul syllable");
	alike("NFC", "\uac00\u11a8", "\uac01", "a syllable and its tail");
	alike("NFD", "\uac01", "\u1100\u1161\u11a8", "a Hangul syllable");
	alike("NFC", "s\u0307\u0323", "\u1e69", "marks in another order");
	alike("NFC", "a\u0307\u0323\u0301", "\u1ea1\u0307\u0301", "marks of which one finds its letter");
	alike("NFC", "\u0301a", "\u0301a", "a mark without a letter");
	alike("NFD", "q\u0301\u0323\u0307\u05b0", "q\u05b0\u0323\u0301\u0307", "four marks, sorted");
	alike("NFKC", "\ufb01\u2460\u00bd", "fi11\u20442", "what is written otherwise");
	alike("NFKD", "\ufdfa", "\u0635\u0644\u0649 \u0627\u0644\u0644\u0647 \u0639\u0644\u064a\u0647 \u0648\u0633\u0644\u0645",
	      "one character of eighteen");
	alike("Lowercase", "\u0130\u00c9\u0391\U00010400", "i\u0307\u00e9\u03b1\U00010428", "capitals");
	alike("StripAccents", "e\u0301\u0323x", "ex", "marks");
	alike("BertNormalizer", "\u1e69\u00c9\tA\u0301\u0b3c", "se a", "accents, white space, capitals");
	alike("BertNormalizer", "a\u0b3e\u0b57", "a\u0b3e\u0b57", "marks that take room stay");
	alike("Nmt", "a\u200bb\u2028c\x0b" "d\x7f\ufeff\t", "a b cd  ", "odd white space");
}

static void contradictions(void)
{
	static const struct { const char *what, *config, *reason; bool cased; } cases[] = {
		{ "or contradicts the other way round", "{\"do_lower_case\":true}",
		  "do_lower_case is true, but lowercase in tokenizer.json is false", true },
		{ "or agrees that it is not", "{\"do_lower_case\":false,\"strip_accents\":null}", NULL, true },
		{ "a flag that is a number says nothing", "{\"do_lower_case\":0}", NULL, false },
		{ "tokenizer_config.json agrees", "{\"do_lower_case\":true,\"tokenize_chinese_chars\":true}", NULL, false },
		{ "or says nothing", "{\"do_lower_case\":null,\"model_max_length\":512}", NULL, false },
		{ "or contradicts", "{\"do_lower_case\":false}",
		  "do_lower_case is false, but lowercase in tokenizer.json is true", false },
		{ "in another option", "{\"tokenize_chinese_chars\":false}",
		  "handle_chinese_chars in tokenizer.json is true", false },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *root = json_load_file(WORDPIECE, 0, NULL);
		change(root, "normalizer/lowercase", cases[i].cased ? "false" : "true");
		char *text = json_dumps(root, 0);
		put("tokenizer.json", text, strlen(text));
		put("tokenizer_config.json", cases[i].config, strlen(cases[i].config));
		struct ft_tok *t = ft_tok_open(folder);
		bool refused = !t && ft_last_error() == FT_EMATCH;
		ok(cases[i].reason ? refused && strstr(ft_message(), cases[i].reason) : t != NULL, "%s", cases[i].what);
		ft_tok_free(t);
		free(text);
		json_decref(root);
	}
	clear();
}

/* ---- the vocabulary's own reader ---- */

static void vocabulary_texts(void)
{
	static const struct { const char *what, *vocab, *reason; } cases[] = {
		{ "escapes in pieces",
		 "{\"\\u005bUNK\\u005D\":0,\"\\ud83e\\udd99\":1,\"\\n\\t\\\"\\\\\\/\\b\\f\\r\":2}", NULL },
		{ "a hole in the ids", "{\"[UNK]\":0,\"a\":500}", NULL },
		{ "white space", "{ \"[UNK]\" :\t0 ,\r\n \"a\" : 1 }", NULL },
		{ "a piece twice", "{\"[UNK]\":0,\"a\":1,\"\\u0061\":2}", "piece 'a' stands twice" },
		{ "half a surrogate pair", "{\"[UNK]\":0,\"\\ud83e\":1}", "wrong escape" },
		{ "a pair with another half", "{\"[UNK]\":0,\"\\ud83e\\u0041\":1}", "wrong escape" },
		{ "a second half alone", "{\"[UNK]\":0,\"\\udd17\":1}", "wrong escape" },
		{ "a pair with a half beyond the second", "{\"[UNK]\":0,\"\\ud83e\\uffff\":1}", "wrong escape" },
		{ "a half and another escape", "{\"[UNK]\":0,\"\\ud83e\\nabcd\":1}", "wrong escape" },
		{ "a half and letters", "{\"[UNK]\":0,\"\\ud83eabcdef\":1}", "wrong escape" },
		{ "an entry that is no list", "[7]", "'[' is expected" },
		{ "an entry without a comma", "[[\"a\" 1.0]]", "',' is expected" },
		{ "a minus for a score", "[[\"a\",-]]", "a score is not a number" },
		{ "a minus and an exponent", "[[\"a\",-e5]]", "a score is not a number" },
		{ "a minus and a point", "[[\"a\",-.5]]", "a score is not a number" },
		{ "an exponent alone", "[[\"a\",e5]]", "a score is not a number" },
		{ "a plus", "[[\"a\",+1]]", "a score is not a number" },
		{ "two points", "[[\"a\",1.5.5]]", "a score is not a number" },
		{ "two numbers", "[[\"a\",1-2]]", "a score is not a number" },
		{ "a score of sixty digits", "[[\"a\",0." SIXTY "]]", "']' is expected" },
		{ "a wrong escape", "{\"[UNK]\":0,\"\\q\":1}", "wrong escape" },
		{ "a short escape", "{\"[UNK]\":0,\"\\u00", "tokenizer.json" },
		{ "a line end in a piece", "{\"[UNK]\":0,\"a\nb\":1}", "does not end" },
		{ "a piece that is not UTF-8", "{\"[UNK]\":0,\"\xff\":1}", "not UTF-8" },
		{ "an id with a leading zero", "{\"[UNK]\":0,\"a\":01}", "not a whole number" },
		{ "an id with an exponent", "{\"[UNK]\":0,\"a\":1e0}", "not a whole number" },
		{ "no colon", "{\"[UNK]\" 0}", "':' is expected" },
		{ "no comma", "{\"[UNK]\":0 \"a\":1}", "',' or '}' is expected" },
		{ "a comma too many", "{\"[UNK]\":0,}", "a piece in quotes is expected" },
		{ "no end", "{\"[UNK]\":0,\"a\":1", "tokenizer.json" },
	};
	static const char head[] = "{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
	                           "\"model\":{\"unk_token\":\"[UNK]\","
	                           "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":";
	char text[1000];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int n = snprintf(text, sizeof text, "%s%s}}", head, cases[i].vocab);
		put("tokenizer.json", text, (size_t)n);
		check(cases[i].what, cases[i].reason);
	}
	static const struct { const char *end; size_t n; } cut[] = {
#define M(text) { text, sizeof text - 1 }
		M("{\"a\\"), M("{\"a\\u"), M("{\"a\\u0"), M("{\"a\\u00e"), M("{\"a\\ud83e"), M("{\"a\\ud83e\\"), M("{\"a\\ud83e\\u"),
		M("{\"a"), M("{\"a\":"), M("{\"a\":1"), M("{\"a\\\0\":1}}}"), M("{\"a\\u00\0e9\":1}}}"), M("{\"a\\ud83e\\udd\0\":1}}}"),
		M("[[\"a\",1.5"), M("[[\"a\","), M("[[\"a\""), M("[[\"a\",1.\0]]}}"), M("[["), M("[")
#undef M
	};
	for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
		int head_n = snprintf(text, sizeof text, "%s", head);
		memcpy(text + head_n, cut[i].end, cut[i].n);
		put("tokenizer.json", text, (size_t)head_n + cut[i].n);
		check(cut[i].end, "tokenizer.json:1: model.vocab: ");
	}
	static const char holes[] = "{\"added_tokens\":[{\"id\":2,\"content\":\"x\"}],\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
	                            "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":9,\"vocab\":{\"[UNK]\":0,\"a\":2}}}";
	put("tokenizer.json", holes, strlen(holes));
	check("an added token with a piece's id", "added_tokens[0]: 'x' has id 2, which is that of 'a'");
	static const char nothing[] = "{\"normalizer\":{\"type\":\"Strip\"},\"added_tokens\":[{\"id\":1,\"content\":\" \"}],\"model\":{"
	                              "\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
	                              "\"max_input_chars_per_word\":9,\"vocab\":{\"[UNK]\":0}}}";
	put("tokenizer.json", nothing, strlen(nothing));
	check("an added token of which the normal form leaves nothing", NULL);
	int n = snprintf(text, sizeof text, "%s{\"[UNK]\":0},\n\n\"vocab\":{}}}", head);
	put("tokenizer.json", text, (size_t)n);
	check("two vocabularies", "duplicate");
	n = snprintf(text, sizeof text, "%s{\"[UNK]\":0,\n\"a\":1}}\n,\n!", head);
	put("tokenizer.json", text, (size_t)n);
	check("lines are counted through the vocabulary", "line 4");
}

/* ---- vocab.txt ---- */

static void vocab_txt(void)
{
	static const struct { const char *what, *vocab, *config, *reason; } cases[] = {
		{ "vocab.txt alone", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", NULL, NULL },
		{ "with CRLF and empty lines at the end", "[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\n\r\n\n", NULL,
		 NULL },
		{ "without a last line end", "[UNK]\n[CLS]\n[SEP]\na", NULL, NULL },
		{ "a piece twice", "[UNK]\n[CLS]\n[SEP]\na\na\n", NULL, NULL },
		{ "a byte order mark", "\xef\xbb\xbf[UNK]\n[CLS]\n[SEP]\na\n", NULL, NULL },
		{ "no [CLS]", "[UNK]\n[SEP]\n", NULL, "'[CLS]' is not in the vocabulary" },
		{ "a tokenizer_config.json that is a list", "[UNK]\n[CLS]\n[SEP]\n", "[]", "tokenizer_config.json: must be an object" },
		{ "an empty vocab.txt", "", NULL, "is empty" },
		{ "no [SEP]", "[UNK]\n[CLS]\n", NULL, "'[SEP]' is not in the vocabulary" },
		{ "no [UNK]", "[CLS]\n[SEP]\n", NULL, "'[UNK]' is not in the vocabulary" },
		{ "not UTF-8", "[UNK]\n[CLS]\n[SEP]\n\xff\n", NULL, "vocab.txt:4: not UTF-8" },
		{ "names from tokenizer_config.json", "<u>\n<c>\n<s>\n",
		  "{\"unk_token\":\"<u>\",\"cls_token\":{\"content\":\"<c>\"},\"sep_token\":\"<s>\"}", NULL },
		{ "an option of the wrong type", "[UNK]\n[CLS]\n[SEP]\n", "{\"do_lower_case\":\"no\"}",
		  "tokenizer_config.json: do_lower_case: must be" },
		{ "a malformed tokenizer_config.json", "[UNK]\n[CLS]\n[SEP]\n", "{",
		 "tokenizer_config.json" },
		{ "added tokens", "[UNK]\n[CLS]\n[SEP]\n",
		 "{\"added_tokens_decoder\":{\"0\":{\"content\":\"[UNK]\","
		  "\"special\":true},\"3\":{\"content\":\"<new>\"}}}", NULL },
		{ "an added token with a wrong id", "[UNK]\n[CLS]\n[SEP]\n",
		  "{\"added_tokens_decoder\":{\"9\":{\"content\":\"<new>\"}}}", "where 3 is expected" },
		{ "an empty line between", "[UNK]\n\n[CLS]\n[SEP]\n", NULL, NULL },
		{ "an added token without content", "[UNK]\n[CLS]\n[SEP]\n",
		  "{\"added_tokens_decoder\":{\"0\":{\"special\":true},\"1\":{\"content\":\"[CLS]\"}}}", "content must be a string" },
		{ "two that are no objects", "[UNK]\n[CLS]\n[SEP]\n", "{\"added_tokens_decoder\":{\"0\":5,\"1\":6}}", "must hold objects" },
		{ "added tokens that are no objects", "[UNK]\n[CLS]\n[SEP]\n",
		 "{\"added_tokens_decoder\":{\"1\":5}}",
		  "must hold objects" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		clear();
		put("vocab.txt", cases[i].vocab, strlen(cases[i].vocab));
		if (cases[i].config)
			put("tokenizer_config.json", cases[i].config, strlen(cases[i].config));
		check(cases[i].what, cases[i].reason);
	}
}

/* What stands beside vocab.txt, or in it. */
static void vocab_txt_beside(void)
{
	static const char vocab[] = "[UNK]\n[CLS]\n[SEP]\n";
	clear();
	put("vocab.txt", "[UNK]\n[C\0]\n", 11);
	check("a NUL in vocab.txt", "vocab.txt:2: not UTF-8 text");
	put("vocab.txt", vocab, strlen(vocab));
	put_text("added_tokens.json", "{\"<x>\":\"3\"}");
	check("an id that is a text", "'<x>' has id -1 where 3 is expected");
	put_text("added_tokens.json", "[]");
	check("a list of added tokens", "added_tokens.json: must be an object");
	put_text("added_tokens.json", "{\"<x>\":3,\"<p>\":4}");
	put_text("tokenizer_config.json", "{\"pad_token\":\"<p>\"}");
	struct ft_tok *t = ft_tok_open(folder);
	ok(t && !ft_tok_is_special(t, 3) && ft_tok_is_special(t, 4), "of added tokens those are special that have a role");
	ft_tok_free(t);
	put_text("tokenizer_config.json", "{\"added_tokens_decoder\":{\"0\":5}}");
	check("one error is enough", "must hold objects");
	clear();
}

/* The last of equal pieces counts; options change the digest. */
static void vocab_txt_details(void)
{
	static const char vocab[] = "[UNK]\n[CLS]\n[SEP]\na\na\nÉ\n";
	char digest[2][33];
	for (int i = 0; i < 2; i++) {
		clear();
		put("vocab.txt", vocab, strlen(vocab));
		if (i)
			put_text("tokenizer_config.json", "{\"do_lower_case\":false}");
		struct ft_tok *t = ft_tok_open(folder);
		json_t *d = t ? ft_tok_describe(t) : NULL;
		snprintf(digest[i], 33, "%s", d ? json_string_value(json_object_get(d, "digest")) : "");
		struct ft_tok_text x = { 0 };
		if (t)
			ft_tok_encode(t, "a É", 4, 0, &x);
		ok(x.n == 2 && x.ids[0] == 4 && x.ids[1] == (i ? 5 : 0), "lower-casing is %s", i ? "off" : "on");
		ft_tok_text_free(&x);
		json_decref(d);
		ft_tok_free(t);
	}
	ok(digest[0][0] && strcmp(digest[0], digest[1]) != 0, "options are part of the digest");
}

/* ---- vocab.json and merges.txt ---- */

static void merges_txt(void)
{
	static const struct { const char *what, *vocab, *merges, *config, *tokenizer, *reason; } cases[] = {
		{ "GPT-2's files", "{\"a\":0,\"b\":1,\"ab\":2}", "#version: 0.2\na b\n", NULL, NULL, NULL },
		{ "with CRLF, without a version", "{\"a\":0,\"b\":1,\"ab\":2}", "a b\r\n\r\n", NULL, NULL, NULL },
		{ "no merges.txt", "{\"a\":0}", NULL, NULL, NULL, "merges.txt: is missing" },
		{ "a merge of three", "{\"a\":0,\"b\":1}", "a b\na b c\n", NULL, NULL,
		  "merges.txt:2: is not two parts" },
		{ "a merge of one", "{\"a\":0}", "a\n", NULL, NULL, "merges.txt:1: is not two parts" },
		{ "a merge of an unknown part", "{\"a\":0}", "a b\n", NULL, NULL, "'b' is not in the vocabulary" },
		{ "a vocabulary that is a list", "[[\"a\",1]]", "", NULL, NULL, "vocab.json: is not an object of ids" },
		{ "an empty vocabulary", "{}", "", NULL, NULL, "vocab.json: is not an object of ids" },
		{ "a vocabulary that is no JSON", "{\"a\":0", "", NULL, NULL, "vocab.json" },
		{ "RoBERTa's, by config.json", "{\"<s>\":0,\"</s>\":1,\"a\":2}", "", "{\"model_type\":\"roberta\"}",
		  NULL, NULL },
		{ "without its special tokens", "{\"a\":0}", "", "{\"model_type\":\"roberta\"}", NULL,
		  "'<s>' is not in the vocabulary" },
		{ "without the other one", "{\"<s>\":0}", "", "{\"model_type\":\"roberta\"}", NULL, "'</s>' is not in the vocabulary" },
		{ "a merge that is not UTF-8", "{\"a\":0,\"b\":1}", "a \xff\n", NULL, NULL, "merges.txt:1: is not two parts" },
		{ "no line end behind the last merge", "{\"a\":0,\"b\":1,\"ab\":2}", "a b", NULL, NULL, NULL },
		{ "a token before each text", "{\"a\":0}", "", NULL, "{\"add_bos_token\":true}",
		  "add_bos_token is not supported without tokenizer.json" },
		{ "a config.json that is a list", "{\"a\":0}", "", "[]", NULL, "config.json: must be an object" },
		{ "another family", "{\"a\":0}", "", "{\"model_type\":\"clip\"}", NULL, "how 'clip' uses vocab.json" },
		{ "a family with a long name", "{\"a\":0}", "", "{\"model_type\":\"" SIXTY SIXTY "\"}", NULL, "how '" SIXTY SIXTY "' uses vocab.json" },
		{ "an empty line between", "{\"a\":0,\"b\":1,\"ab\":2,\"ba\":3}", "a b\n\nb a\n", NULL, NULL, NULL },
		{ "an added token without content", "{\"<s>\":0,\"</s>\":1,\"a\":2}", "", "{\"model_type\":\"roberta\"}",
		  "{\"added_tokens_decoder\":{\"0\":{\"special\":true}}}", "content must be a string" },
		{ "the tokenizer's class counts more", "{\"a\":0}", "", "{\"model_type\":\"clip\"}",
		  "{\"tokenizer_class\":\"GPT2TokenizerFast\"}", NULL },
		{ "Qwen2's", "{\"a\":0,\"b\":1,\"ab\":2}", "a b\n", "{\"model_type\":\"qwen2\"}", NULL, NULL },
		{ "an option of the wrong type", "{\"a\":0}", "", NULL, "{\"add_prefix_space\":1}",
		  "tokenizer_config.json: add_prefix_space: must be" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		clear();
		put("vocab.json", cases[i].vocab, strlen(cases[i].vocab));
		if (cases[i].merges)
			put("merges.txt", cases[i].merges, strlen(cases[i].merges));
		if (cases[i].config)
			put("config.json", cases[i].config, strlen(cases[i].config));
		if (cases[i].tokenizer)
			put("tokenizer_config.json", cases[i].tokenizer, strlen(cases[i].tokenizer));
		check(cases[i].what, cases[i].reason);
	}
	clear();
}

/* Special tokens of the files beside them: <mask> takes the space before it, others have
 * the ids behind the vocabulary. */
static void merges_txt_tokens(void)
{
	static const char vocab[] = "{\"<s>\":0,\"</s>\":1,\"<mask>\":2,\"a\":3,\"Ġ\":4}";
	put("vocab.json", vocab, strlen(vocab));
	put("merges.txt", "", 0);
	put("config.json", "{\"model_type\":\"roberta\"}", 24);
	put_text("added_tokens.json", "{\"<y>\":6,\"<x>\":5}");
	struct ft_tok *t = ft_tok_open(folder);
	struct ft_tok_text x = { 0 };
	ok(t && ft_tok_encode(t, "a <mask><x><y>", 14, 0, &x) == FT_OK && x.n == 4, "added tokens are cut out");
	ok(x.n == 4 && x.ids[0] == 3 && x.ids[1] == 2 && x.ids[2] == 5 && x.ids[3] == 6 && x.begin[1] == 2,
	   "with the ids that the files say");
	ok(t && ft_tok_is_special(t, 2) && !ft_tok_is_special(t, 5), "special are those with a role");
	ft_tok_text_free(&x);
	ft_tok_free(t);
	put_text("tokenizer_config.json", "{\"pad_token\":\"<x>\",\"added_tokens_decoder\":{\"2\":{\"content\":\"<mask>\",\"lstrip\":false}}}");
	t = ft_tok_open(folder);
	x = (struct ft_tok_text){ 0 };
	ok(t && ft_tok_encode(t, "a <mask>", 8, 0, &x) == FT_OK && x.n == 3 && x.ids[1] == 4 && x.ids[2] == 2,
	   "<mask> takes no space where a file says so");
	json_t *d = t ? ft_tok_describe(t) : NULL;
	is_int(json_integer_value(json_object_get(d, "pad")), 5, "a role that a file gives");
	json_decref(d);
	ft_tok_text_free(&x);
	ft_tok_free(t);
	clear();
	put_text("vocab.json", "{\"a\":0,\"b\":1}");
	put("merges.txt", "a \0b\n", 5);
	check("a NUL in merges.txt", "merges.txt:1: is not two parts");
	clear();
	put_text("vocab.json", "{\"a\":0,\"b\":1}");
	snprintf(path, sizeof path, "%s/merges.txt", folder);
	mkdir(path, 0700);
	struct ft_tok *none = ft_tok_open(folder);
	ok(!none && ft_last_error() == FT_EFAIL && strstr(ft_message(), "merges.txt: Is a directory"), "a folder for merges.txt");
	snprintf(path, sizeof path, "%s/merges.txt", folder);
	rmdir(path);
	clear();
}

/* ---- damage ---- */

static void damage(const char *model)
{
	char text[16384];
	FILE *f = fopen(model, "rb");
	size_t n = f ? fread(text, 1, sizeof text, f) : 0, opened = 0;
	if (f)
		fclose(f);
	while (n && text[n - 1] == '\n')
		n--;
	for (size_t cut = 0; cut < n; cut += 5) {
		put("tokenizer.json", text, cut);
		struct ft_tok *t = ft_tok_open(folder);
		opened += t || ft_last_error() != FT_EFORMAT;
		ft_tok_free(t);
	}
	ok(n > 1000 && opened == 0, "%s, cut short anywhere, is refused", model);
	unsigned random = 1, wrong = 0;
	for (int i = 0; i < 1000; i++) {
		random = random * 69069 + 12345;
		size_t at = (random >> 8) % n;
		char old = text[at];
		text[at] = (char)(random >> 24);
		put("tokenizer.json", text, n);
		struct ft_tok *t = ft_tok_open(folder);
		struct ft_tok_text x = { 0 };
		if (t) /* changed letters are often another valid file */
			wrong += ft_tok_encode(t, "The film [SEP] was unhappiness É", 33, 0, &x) < 0;
		ft_tok_text_free(&x);
		ft_tok_free(t);
		text[at] = old;
	}
	is_int(wrong, 0, "a changed byte does no harm");
}

/* ---- tokens that are added ---- */

/* The text of the folder's tokenizer.json with two more tokens, which have the ids `first` and the next, and its other
 * bytes. */
static void check_added(const char *what, const char *text, int32_t first)
{
	json_t *tokens = json_pack("[s,s]", "<n\"e]w>", "\\}");
	struct ft_buf more = { 0 };
	put("tokenizer.json", text, strlen(text));
	struct ft_tok *t = ft_tok_open_with(folder, tokens);
	ok(t && ft_tok_id(t, "<n\"e]w>") == first && ft_tok_id(t, "\\}") == first + 1 && ft_tok_size(t) == (size_t)first + 2,
	   "%s: two tokens are added: %s", what, t ? "" : ft_message());
	int rc = ft_tok_json_add(folder, tokens, &more);
	size_t n = strlen(text), same = 0, end = 0;
	while (rc == FT_OK && same < n && text[same] == (char)more.data[same])
		same++;
	while (rc == FT_OK && end < n - same && text[n - 1 - end] == (char)more.data[more.len - 1 - end])
		end++;
	ok(rc == FT_OK && same + end == n, "%s: the other bytes stay", what);
	ft_tok_free(t);
	ft_buf_free(&more);
	json_decref(tokens);
}

/* "added_tokens": null, which the list takes the place of. */
static void check_null(void)
{
	json_t *tokens = json_pack("[s]", "<n>");
	struct ft_tok *t = ft_tok_open_with(folder, tokens);
	ok(t && ft_tok_id(t, "<n>") == 376 && ft_tok_size(t) == 377, "in the place of null");
	ft_tok_free(t);
	json_decref(tokens);
}

static void refuse_added(json_t *tokens_taken, int code, const char *reason)
{
	struct ft_tok *t = ft_tok_open_with(folder, tokens_taken);
	ok(!t && ft_last_error() == code && strstr(ft_message(), reason), "refused: %s", reason);
	ft_tok_free(t);
	json_decref(tokens_taken);
}

static void added_tokens(void)
{
	json_t *root = json_load_file(GPT2, 0, NULL);
	char *text = json_dumps(root, JSON_INDENT(1));
	check_added("behind one", text, 377);
	free(text);
	json_object_del(root, "added_tokens");
	text = json_dumps(root, 0);
	check_added("without others", text, 376);
	free(text);
	json_object_set_new(root, "added_tokens", json_array());
	text = json_dumps(root, JSON_COMPACT);
	check_added("in an empty list", text, 376);
	free(text);
	json_decref(root);
	refuse_added(json_pack("[s]", "!"), FT_EUSAGE, "'!' is a token already");
	put("tokenizer.json", "{", 1);
	refuse_added(json_pack("[s]", "<n>"), FT_EFORMAT, "tokenizer.json: ");
	clear();
	refuse_added(json_pack("[s]", "<n>"), FT_EUSAGE, "has no tokenizer.json, which is what tokens can be added to");
	root = json_load_file(GPT2, 0, NULL);
	text = json_dumps(root, 0);
	put("tokenizer.json", text, strlen(text));
	free(text);
	json_decref(root);
	refuse_added(json_pack("[i]", 7), FT_EFORMAT, "number 0 is no text");
	refuse_added(json_pack("[s]", ""), FT_EFORMAT, "number 0 is no text");
	refuse_added(json_pack("[s,s#]", "<n>", "a\0b", 3), FT_EFORMAT, "number 1 is no text");
	root = json_load_file(GPT2, 0, NULL);
	text = json_dumps(root, JSON_COMPACT);
	struct ft_buf more = { 0 }; /* others before it: arrays, and a name of as many letters */
	ft_buf_printf(&more, "{\"a\":[1,{\"added_tokens\":[]}],\"other_tokens\":[],%s", text + 1);
	ft_buf_append(&more, "", 1);
	check_added("behind others", (char *)more.data, 377);
	ft_buf_free(&more);
	free(text);
	json_object_set_new(root, "added_tokens", json_null());
	text = json_dumps(root, 0);
	put("tokenizer.json", text, strlen(text));
	check_null();
	free(text);
	json_decref(root);
	root = json_load_file(WORDPIECE, 0, NULL);
	text = json_dumps(root, 0);
	check_added("behind some", text, 410);
	free(text);
	json_decref(root);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	struct ft_tok *t = ft_tok_open(folder);
	ok(!t && strstr(ft_message(), "neither tokenizer.json nor vocab.json nor vocab.txt"), "an empty folder");
	put("tokenizer.json", "{", 1);
	if (truncate(path, (off_t)(1 << 29) + 1) == 0)
		check("a file of more than half a GiB", "tokenizer.json: is larger than 536870912 bytes");
	clear();
	t = ft_tok_open("/nonexistent/folder");
	ok(!t, "no folder");
	changed(WORDPIECE, wordpiece, sizeof wordpiece / sizeof *wordpiece);
	changed(GPT2, gpt2, sizeof gpt2 / sizeof *gpt2);
	changed(PIECES, pieces, sizeof pieces / sizeof *pieces);
	changed(SUFFIXED, suffixed, sizeof suffixed / sizeof *suffixed);
	changed(T5, unigram, sizeof unigram / sizeof *unigram);
	nested();
	growth();
	forms();
	normal_forms();
	unknown_characters();
	contradictions();
	vocabulary_texts();
	added_tokens();
	damage(WORDPIECE);
	damage(GPT2);
	damage(LLAMA2);
	clear();
	vocab_txt();
	vocab_txt_beside();
	vocab_txt_details();
	merges_txt();
	merges_txt_tokens();
	rmdir(folder);
	return tap_done();
}
