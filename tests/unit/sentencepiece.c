/* SentencePiece models and the tokenizers inside GGUF files, against what SentencePiece
 * and transformers make of the same texts. Run from the repository's root. */
#include "ft/json.h"
#include "ft/mem.h"
#include "ft/tok.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REF "tests/ref/sentencepiece"
#define SHARED "../shared/data/tokenizers"

/* ---- folders with a model in them ---- */

static char folder[] = "/tmp/ft-unit.XXXXXX", path[160];

static void put(const char *name, const void *text, size_t n)
{
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	if (f) {
		fwrite(text, 1, n, f);
		fclose(f);
	}
}

static void clear(void)
{
	static const char *const names[] = { "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model",
		                             "config.json", "tokenizer_config.json", "added_tokens.json" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
}

static struct ft_buf bytes_of(const char *file)
{
	struct ft_buf b = { 0 };
	FILE *f = fopen(file, "rb");
	size_t got = f != NULL;
	while (got && ft_buf_reserve(&b, 1 << 16) == FT_OK)
		b.len += got = fread(b.data + b.len, 1, 1 << 16, f);
	if (f)
		fclose(f);
	return b;
}

/* The tokenizer that a line of golden.jsonl is about. */
static struct ft_tok *open_for(const json_t *row)
{
	const char *file = json_string_value(json_object_get(row, "file"));
	const char *name = json_string_value(json_object_get(row, "name"));
	const json_t *options = json_object_get(row, "options"), *type = json_object_get(row, "model_type");
	snprintf(path, sizeof path, REF "/%s", file);
	if (!strstr(file, ".model")) /* a GGUF file, or a folder with tokenizer.json */
		return ft_tok_open(path);
	struct ft_buf b = bytes_of(path);
	clear();
	put(name ? name : "tokenizer.model", b.data, b.len);
	ft_buf_free(&b);
	char *text = options ? json_dumps(options, 0) : NULL;
	if (text)
		put("tokenizer_config.json", text, strlen(text));
	free(text);
	if (type) {
		char config[64];
		int n = snprintf(config, sizeof config, "{\"model_type\":\"%s\"}", json_string_value(type));
		put("config.json", config, (size_t)n);
	}
	return ft_tok_open(folder);
}

/* ---- comparing ---- */

/* Whether n numbers are those of a list; or there is no list. */
static bool equal(const json_t *list, const void *numbers, size_t n)
{
	const int32_t *p = numbers;
	if (!list)
		return true;
	if (json_array_size(list) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (json_integer_value(json_array_get(list, i)) != p[i])
			return false;
	return true;
}

static bool decodes(const struct ft_tok *t, const struct ft_tok_text *x, const json_t *want)
{
	struct ft_buf b = { 0 };
	bool good = !want || (ft_tok_decode(t, x->ids, x->n, true, &b) == FT_OK && b.len == json_string_length(want)
	                      && (!b.len || !memcmp(b.data, json_string_value(want), b.len)));
	ft_buf_free(&b);
	return good;
}

static void say(const char *what, const json_t *row, const struct ft_tok_text *x)
{
	char *text = json_dumps(json_object_get(row, "text"), JSON_ENCODE_ANY);
	printf("# %s: %s:", what, text);
	for (size_t i = 0; i < x->n && i < 30; i++)
		printf(" %d[%u,%u)", x->ids[i], x->begin[i], x->end[i]);
	printf("\n");
	free(text);
}

static bool check_row(const struct ft_tok *t, const json_t *row)
{
	struct ft_tok_text x = { 0 }, pair = { 0 }, b = { 0 };
	const json_t *text = json_object_get(row, "text");
	int rc = ft_tok_encode(t, json_string_value(text), json_string_length(text), 0, &x);
	bool ids = rc == FT_OK && equal(json_object_get(row, "ids"), x.ids, x.n);
	bool places = equal(json_object_get(row, "begin"), x.begin, x.n) && equal(json_object_get(row, "end"), x.end, x.n);
	bool back = decodes(t, &x, json_object_get(row, "decoded"));
	struct ft_tok_slice first = { &x, 0, x.n };
	ft_tok_wrap(t, &first, NULL, &pair);
	bool around = equal(json_object_get(row, "wrapped"), pair.ids, pair.n);
	ft_tok_encode(t, "b c", 3, 0, &b);
	struct ft_tok_slice second = { &b, 0, b.n };
	ft_tok_wrap(t, &first, &second, &pair);
	around &= equal(json_object_get(row, "pair"), pair.ids, pair.n);
	if (!ids || !places || !back || !around)
		say(!ids ? "other ids" : !places ? "other places" : !back ? "other text" : "other tokens around", row, &x);
	ft_tok_text_free(&x);
	ft_tok_text_free(&pair);
	ft_tok_text_free(&b);
	return ids && places && back && around;
}

/* Lines that are about the same tokenizer as the one before are checked with it. */
static bool is_same(const json_t *a, const json_t *b)
{
	static const char *const keys[] = { "file", "name", "model_type", "options" };
	for (size_t i = 0; i < 4; i++) {
		const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);
		if (!x != !y || (x && !json_equal(x, y)))
			return false;
	}
	return true;
}

static void report(const json_t *row, size_t good, size_t all)
{
	char *options = row ? json_dumps(json_object_get(row, "options"), JSON_COMPACT) : NULL;
	if (row)
		ok(good == all, "%zu texts: %s %s%s%s", all, json_string_value(json_object_get(row, "file")),
		   json_object_get(row, "model_type") ? json_string_value(json_object_get(row, "model_type")) : "",
		   options ? " " : "", options ? options : "");
	free(options);
}

static void goldens(void)
{
	FILE *f = fopen(REF "/golden.jsonl", "r");
	char *line = NULL;
	size_t cap = 0, good = 0, all = 0;
	json_t *last = NULL;
	struct ft_tok *t = NULL;
	while (f && getline(&line, &cap, f) > 0) {
		json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
		if (!json_object_get(row, "file")) {
			json_decref(row);
			continue;
		}
		if (!last || !is_same(last, row)) {
			report(last, good, all);
			good = all = 0;
			ft_tok_free(t);
			t = open_for(row);
			if (!t)
				printf("# %s\n", ft_message());
		}
		all++;
		good += t && check_row(t, row);
		json_decref(last);
		last = row;
	}
	report(last, good, all);
	json_decref(last);
	ft_tok_free(t);
	free(line);
	if (f)
		fclose(f);
}

/* ---- larger goldens, where they lie beside the repository ---- */

/* Special tokens that stand in a text are text to SentencePiece, tokens here. */
static bool has_special(const json_t *row)
{
	const char *text = json_string_value(json_object_get(row, "text"));
	return strstr(text, "<s>") || strstr(text, "<unk>");
}

static void check_lines(const char *model, const char *golden)
{
	FILE *f = fopen(golden, "r");
	if (!f) {
		tap_skip(golden);
		return;
	}
	struct ft_buf b = bytes_of(model);
	clear();
	put("tokenizer.model", b.data, b.len);
	ft_buf_free(&b);
	struct ft_tok *t = ft_tok_open(folder);
	char *line = NULL;
	size_t cap = 0, good = 0, all = 0;
	while (t && getline(&line, &cap, f) > 0) {
		json_t *row = json_loads(line, 0, NULL);
		all += !has_special(row);
		good += !has_special(row) && check_row(t, row);
		json_decref(row);
	}
	ok(t && all > 600 && good == all, "%zu texts: %s", all, golden);
	ft_tok_free(t);
	free(line);
	fclose(f);
}

/* Texts are separated by a line of their own; each has a line of ids. */
static void check_ggml(const char *name)
{
	static const char between[] = "\n__ggml_vocab_test__\n";
	char file[120];
	snprintf(file, sizeof file, SHARED "/ggml-vocab/%s.gguf", name);
	if (access(file, R_OK)) {
		tap_skip(file);
		return;
	}
	struct ft_tok *t = ft_tok_open(file);
	struct ft_buf in, want;
	snprintf(file, sizeof file, SHARED "/ggml-vocab/%s.gguf.inp", name);
	in = bytes_of(file);
	snprintf(file, sizeof file, SHARED "/ggml-vocab/%s.gguf.out", name);
	want = bytes_of(file);
	ft_buf_append(&in, between, sizeof between - 1);
	ft_buf_append(&want, "\n", 2);
	size_t good = 0, all = 0;
	struct ft_tok_text x = { 0 };
	char *text = (char *)in.data, *end, *ids = (char *)want.data;
	for (; t && (end = memmem(text, (size_t)((char *)in.data + in.len - text), between, sizeof between - 1)); all++) {
		x.n = 0;
		bool same = ft_tok_encode(t, text, (size_t)(end - text), 0, &x) == FT_OK;
		char *stop = strchr(ids, '\n');
		*stop = '\0';
		for (size_t i = 0; i < x.n; i++)
			same &= strtol(ids, &ids, 10) == x.ids[i];
		good += same && !ids[strspn(ids, " ")];
		ids = stop + 1;
		text = end + sizeof between - 1;
	}
	ok(t && all > 40 && good == all, "%zu texts: %s", all, name);
	ft_tok_text_free(&x);
	ft_buf_free(&in);
	ft_buf_free(&want);
	ft_tok_free(t);
}

/* ---- what is said of one ---- */

static void check_roles(const char *file, const char *want)
{
	snprintf(path, sizeof path, REF "/%s", file);
	struct ft_tok *t = ft_tok_open(path);
	json_t *d = t ? ft_tok_describe(t) : NULL;
	json_object_del(d, "digest");
	char *text = d ? ft_json_text(d) : NULL;
	is_str(text, want, file);
	free(text);
	json_decref(d);
	ft_tok_free(t);
}

static void roles(void)
{
	check_roles("llama.gguf", "{\"type\":\"bpe\",\"vocab\":600,\"pad\":null,\"unk\":0,\"cls\":null,\"sep\":null,"
	            "\"mask\":null,\"bos\":1,\"eos\":2,\"special\":[0,1,2]}");
	check_roles("t5.gguf", "{\"type\":\"unigram\",\"vocab\":420,\"pad\":0,\"unk\":0,\"cls\":null,\"sep\":null,"
	            "\"mask\":null,\"bos\":null,\"eos\":2,\"special\":[0,1,2,3]}");
}

/* ---- what is refused ---- */

static void refused(const char *what, const void *model, size_t n, const char *config, const char *reason)
{
	clear();
	put("tokenizer.model", model, n);
	if (config)
		put("tokenizer_config.json", config, strlen(config));
	struct ft_tok *t = ft_tok_open(folder);
	if (!ok(!t && ft_last_error() == FT_EFORMAT && strstr(ft_message(), reason)
	        && !strncmp(ft_message(), folder, strlen(folder)), "refused: %s", what))
		printf("# wanted: %s\n", reason);
	ft_tok_free(t);
}

static const struct { const char *what, *model; size_t n; const char *reason; } bad[] = {
#define M(model) model, sizeof model - 1
	{ "an empty file", M(""), "has no pieces" },
	{ "text", M("not a model"), "is malformed or cut short (offset 0)" },
	{ "a length beyond the end", M("\x0a\x05\x0a\x01"), "the model is malformed or cut short (offset 0)" },
	{ "a piece that is cut short", M("\x0a\x02\x0a\x05"), "a piece is malformed or cut short (offset 2)" },
	{ "a varint without end", M("\x0a\x02\xff\xff"), "a piece is malformed or cut short" },
	{ "a group", M("\x0b\x0c"), "the model is malformed" },
	{ "field 0", M("\x02\x00"), "the model is malformed" },
	{ "no unknown piece", M("\x0a\x03\x0a\x01\x61"), "no piece is the unknown one" },
	{ "two unknown pieces", M("\x0a\x05\x0a\x01\x61\x18\x02\x0a\x05\x0a\x01\x62\x18\x02"), "are both the unknown one" },
	{ "a piece without text", M("\x0a\x02\x18\x02"), "piece 0 is empty" },
	{ "a piece that is not UTF-8", M("\x0a\x05\x0a\x01\xff\x18\x02"), "piece 0 is empty, or not UTF-8" },
	{ "a type that is not known", M("\x0a\x05\x0a\x01\x61\x18\x07"), "piece 0 has an unknown type" },
	{ "a score that is infinite", M("\x0a\x0a\x0a\x01\x61\x15\x00\x00\x80\x7f\x18\x02"), "piece 0 has a score" },
	{ "a byte that is none", M("\x0a\x05\x0a\x01\x61\x18\x02\x0a\x05\x0a\x01\x62\x18\x06"), "is not that of a byte" },
	{ "a piece twice", M("\x0a\x05\x0a\x01\x61\x18\x02\x0a\x03\x0a\x01\x61"), "piece 'a' stands twice" },
	{ "bytes that are missing", M("\x0a\x05\x0a\x01\x61\x18\x02\x12\x03\x98\x02\x01"), "byte 00 has no piece" },
	{ "a model of words", M("\x0a\x05\x0a\x01\x61\x18\x02\x12\x02\x18\x03"), "a model of type 3" },
	{ "a charsmap of one byte", M("\x0a\x05\x0a\x01\x61\x18\x02\x1a\x03\x12\x01\x00"), "is cut short or has no trie" },
#undef M
};

static void bad_models(void)
{
	static const char good[] = "\x0a\x05\x0a\x01\x61\x18\x02";
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(bad[i].what, bad[i].model, bad[i].n, NULL, bad[i].reason);
	refused("an arrangement of ids that is not known", good, sizeof good - 1,
	        "{\"tokenizer_class\":\"MBartTokenizerFast\"}", "tokenizer_class 'MBartTokenizerFast' arranges ids");
	refused("a BPE model for a family of unigrams", "\x0a\x05\x0a\x01\x61\x18\x02\x12\x02\x18\x02", 11,
	        "{\"tokenizer_class\":\"T5Tokenizer\"}", "is a BPE model, but a T5Tokenizer needs");
	refused("an id that is not the next", good, sizeof good - 1,
	        "{\"added_tokens_decoder\":{\"7\":{\"content\":\"<x>\"}}}", "'<x>' has id 7 where 1 is expected");
	static const struct { const char *what, *config, *reason; } configs[] = {
		{ "fewer extra ids than none", "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":-1}", "extra_ids must be a number from 0" },
		{ "more than there can be", "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":100001}", "extra_ids must be a number from 0" },
		{ "extra ids in quotes", "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":\"2\"}", "extra_ids must be a number from 0" },
		{ "a token that is empty", "{\"bos_token\":\"\"}", "a special token is not a text" },
		{ "a token that is a number", "{\"bos_token\":7}", "a special token is not a text" },
		{ "a token without content", "{\"eos_token\":{}}", "a special token is not a text" },
		{ "a list with a number", "{\"additional_special_tokens\":[\"<x>\",7]}", "a special token is not a text" },
		{ "an added token that is a number", "{\"added_tokens_decoder\":{\"0\":7}}", "a special token is not a text" },
		{ "ids not in their order", "{\"added_tokens_decoder\":{\"10\":\"<y>\",\"9\":\"<x>\"}}", "has id 9 where 1 is expected" },
		{ "a class that is a number", "{\"tokenizer_class\":7}", "tokenizer_class: must be a string" },
		{ "a flag that is a number", "{\"add_prefix_space\":7}", "add_prefix_space: must be true or false" },
	};
	for (size_t i = 0; i < sizeof configs / sizeof *configs; i++)
		refused(configs[i].what, good, sizeof good - 1, configs[i].config, configs[i].reason);
	clear();
	put("tokenizer.model", good, sizeof good - 1);
	put("tokenizer_config.json", "{\"bos_token\":null,\"additional_special_tokens\":[\"<x>\"]}", 54);
	put("added_tokens.json", "{\"<z>\":2,\"<y>\":1}", 17);
	struct ft_tok *t = ft_tok_open(folder);
	ok(t && ft_tok_id(t, "<y>") == 1 && ft_tok_id(t, "<z>") == 2 && ft_tok_id(t, "<x>") == 3, "added_tokens.json and a list of tokens");
	ft_tok_free(t);
	refused("bos where there is none", good, sizeof good - 1, "{\"add_bos_token\":true}", "there is no bos token");
}

/* Cut or damaged anywhere, a model is refused or opens; what opens encodes. */
static void damage(const char *name)
{
	static const char text[] = "Alice --- the Queen <sep> \xc3\xa9 e\xcc\x81 \xef\xac\x81 ab  b";
	snprintf(path, sizeof path, REF "/%s.model", name);
	struct ft_buf b = bytes_of(path);
	struct ft_tok_text x = { 0 };
	clear();
	int opened = 0;
	for (size_t i = 0; i < b.len; i += 1 + b.len / 150) {
		put("tokenizer.model", b.data, i);
		struct ft_tok *t = ft_tok_open(folder);
		if (!t && ft_last_error() != FT_EFORMAT)
			ok(false, "%s cut at %zu", name, i);
		opened += t != NULL;
		ft_tok_free(t);
		b.data[i] ^= 0x55;
		put("tokenizer.model", b.data, b.len);
		t = ft_tok_open(folder);
		x.n = 0;
		if (t)
			ft_tok_encode(t, text, sizeof text - 1, 0, &x);
		ft_tok_free(t);
		b.data[i] ^= 0x55;
	}
	ok(b.len > 1000 && opened < 150, "%s: damaged at 150 places", name);
	ft_tok_text_free(&x);
	ft_buf_free(&b);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	goldens();
	check_lines(SHARED "/sentencepiece/test_model.model", SHARED "/sentencepiece/golden.test_model.jsonl");
	check_lines(SHARED "/sentencepiece/en.wiki.bpe.vs10000.model",
	            SHARED "/sentencepiece/golden.en.wiki.bpe.vs10000.jsonl");
	check_lines(SHARED "/llama2/tokenizer.model", SHARED "/llama2/golden.jsonl");
	check_ggml("ggml-vocab-bert-bge");
	check_ggml("ggml-vocab-gpt-2");
	check_ggml("ggml-vocab-llama-spm");
	roles();
	bad_models();
	damage("unigram");
	damage("bpe-user");
	clear();
	rmdir(folder);
	return tap_done();
}
