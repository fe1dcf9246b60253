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
	{ "a varint of 64 bits, and no text", M("\x0a\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "piece 0 is empty" },
	{ "a varint of more than 64 bits", M("\x0a\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "a piece is malformed" },
	{ "a varint without end in eleven bytes", M("\x0a\x0c\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "a piece is malformed" },
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

/* ---- models of a few pieces ---- */

static void add_varint(struct ft_buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		ft_buf_append(b, &(unsigned char){ (unsigned char)(v | 0x80) }, 1);
	ft_buf_append(b, &(unsigned char){ (unsigned char)v }, 1);
}

/* A piece with a score and a type, numbered as in sentencepiece_model.proto: 1 a usual one, 2 the unknown, 3 a control
 * piece, 4 a user's, 5 an unused one, 6 a byte. */
static void add_piece(struct ft_buf *b, const char *text, float score, int type)
{
	size_t n = strlen(text);
	add_varint(b, 1 << 3 | 2);
	add_varint(b, 1 + (n < 128 ? 1 : 2) + n + 5 + 2);
	add_varint(b, 1 << 3 | 2);
	add_varint(b, n);
	ft_buf_append(b, text, n);
	ft_buf_append(b, "\x15", 1);
	ft_buf_append(b, &score, 4);
	ft_buf_append(b, "\x18", 1);
	add_varint(b, (uint64_t)type);
}

/* A varint in the message `number` of the model: 2 the trainer's, 3 the normalizer's. */
static void add_option(struct ft_buf *b, int number, uint64_t field, uint64_t value)
{
	struct ft_buf inner = { 0 };
	add_varint(&inner, field << 3);
	add_varint(&inner, value);
	add_varint(b, (uint64_t)number << 3 | 2);
	add_varint(b, inner.len);
	ft_buf_append(b, inner.data, inner.len);
	ft_buf_free(&inner);
}
enum { TRAINER = 2, NORMALIZER };

/* The tokenizer of the model in `b`, which is emptied, with these files beside it; NULL: without. */
static struct ft_tok *open_model(struct ft_buf *b, const char *config, const char *tokenizer)
{
	clear();
	put("tokenizer.model", b->data, b->len);
	b->len = 0;
	if (config)
		put("config.json", config, strlen(config));
	if (tokenizer)
		put("tokenizer_config.json", tokenizer, strlen(tokenizer));
	return ft_tok_open(folder);
}

/* Pieces of a text with '|' between, and what they are as text behind "=". */
static const char *encoded(struct ft_tok *t, const char *text)
{
	static struct ft_buf b;
	struct ft_tok_text x = { 0 };
	b.len = 0;
	if (!t || ft_tok_encode(t, text, strlen(text), 0, &x) < 0)
		ft_buf_printf(&b, "!%s", ft_message());
	for (size_t i = 0; i < x.n; i++)
		ft_buf_printf(&b, "%s%s", i ? "|" : "", ft_tok_piece(t, x.ids[i]));
	if (t) {
		ft_buf_printf(&b, "=");
		ft_tok_decode(t, x.ids, x.n, true, &b);
	}
	ft_buf_append(&b, "", 1);
	ft_tok_text_free(&x);
	ft_tok_free(t);
	return (const char *)b.data;
}

#define S "\u2581" /* a space */
#define BPE 2

static void small_models(void)
{
	struct ft_buf b = { 0 };
	char name[700];
	add_piece(&b, "<unk>", 0, 2), add_piece(&b, "a", -1, 1), add_piece(&b, "b", -1, 1), add_piece(&b, " ", -1, 1);
	add_option(&b, NORMALIZER, 5, 0), add_option(&b, NORMALIZER, 4, 0), add_option(&b, NORMALIZER, 3, 0);
	is_str(encoded(open_model(&b, NULL, NULL), "a b "), "a| |b| =a b ", "spaces that are not escaped");
	/* a unigram that falls back to bytes takes unknown characters one by one */
	add_piece(&b, "<unk>", 0, 2), add_piece(&b, "a", -1, 1), add_piece(&b, S, -1, 1);
	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof name, "<0x%02X>", i);
		add_piece(&b, name, -9, 6);
	}
	add_option(&b, TRAINER, 35, 1);
	is_str(encoded(open_model(&b, NULL, NULL), "a\u00e9\u00e8a"), S "|a|<0xC3>|<0xA9>|<0xC3>|<0xA8>|a=a\u00e9\u00e8a", "bytes of unknown characters");
	/* an unused piece */
	add_piece(&b, "<unk>", 0, 2), add_piece(&b, "a", -1, 1), add_piece(&b, "b", -1, 1), add_piece(&b, "ab", -1, 5), add_piece(&b, S, -1, 1);
	is_str(encoded(open_model(&b, NULL, NULL), "ab"), S "|a|b=ab", "a piece that is not used");
	/* merges */
	add_piece(&b, "<unk>", 0, 2), add_piece(&b, "a", -1, 1), add_piece(&b, "b", -1, 1), add_piece(&b, "ab", -2, 1), add_piece(&b, S, -3, 1);
	add_option(&b, TRAINER, 3, BPE);
	is_str(encoded(open_model(&b, NULL, "{\"add_prefix_space\":false}"), "ab"), "ab=ab", "no space is put before a text");
	add_piece(&b, "<unk>", 0, 2), add_piece(&b, "a", -1, 1), add_piece(&b, "b", -1, 1), add_piece(&b, "ab", -2, 4), add_piece(&b, S, -3, 1);
	add_option(&b, TRAINER, 3, BPE);
	is_str(encoded(open_model(&b, NULL, "{\"legacy\":false}"), "aabb a"), S "|a|ab|b|" S "|a=aabb a", "a user's piece, and one space before all");
	memset(name, 'a', 600);
	name[600] = '\0';
	add_piece(&b, "<unk>", 0, 2), add_piece(&b, "a", -1, 1), add_piece(&b, name, -1, 1), add_option(&b, TRAINER, 3, BPE);
	struct ft_tok *t = open_model(&b, NULL, NULL);
	ok(!t && strstr(ft_message(), "tokenizer.model: piece 2 has 600 bytes; at most 512 are supported"), "a long piece that is merged");
	add_piece(&b, "<unk>", 0, 2), add_piece(&b, "a", -1, 1), add_option(&b, TRAINER, 43, 99);
	t = open_model(&b, NULL, NULL);
	json_t *d = t ? ft_tok_describe(t) : NULL;
	ok(d && json_is_null(json_object_get(d, "pad")), "a piece for padding that is not there");
	json_decref(d);
	ft_tok_free(t);
	ft_buf_free(&b);
}

/* Where the third token of "a <mask>" begins. */
static int begin_of_mask(struct ft_tok *t)
{
	struct ft_tok_text x = { 0 };
	int begin = t && ft_tok_encode(t, "a <mask>", 8, 0, &x) == FT_OK && x.n == 3 ? (int)x.begin[2] : -1;
	ft_tok_text_free(&x);
	ft_tok_free(t);
	return begin;
}

/* What a family makes of the files beside a model. */
static void families(void)
{
	struct ft_buf b = { 0 };
	struct ft_tok *t;
#define UNIGRAMS add_piece(&b, "<unk>", 0, 2), add_piece(&b, "<s>", 0, 3), add_piece(&b, "</s>", 0, 3), add_piece(&b, "a", -1, 1), add_piece(&b, S, -1, 1)
	UNIGRAMS;
	t = open_model(&b, "{\"model_type\":\"mbart\"}", NULL);
	ok(!t && strstr(ft_message(), "model_type 'mbart' arranges ids in its own way, which is not known"), "a network whose ids are arranged otherwise");
	UNIGRAMS;
	t = open_model(&b, "{\"model_type\":\"\"}", NULL);
	ok(t != NULL, "a network of an empty name is none of them");
	ft_tok_free(t);
	UNIGRAMS;
	t = open_model(&b, NULL, "{\"tokenizer_class\":\"\"}");
	ok(!t && strstr(ft_message(), "tokenizer_class '' arranges ids"), "a tokenizer of an empty name");
	/* a control piece that is not among those kept */
	add_piece(&b, "<unk>", 0, 2), add_piece(&b, "<x>", 0, 3), add_piece(&b, "<y>", 0, 3), add_piece(&b, "a", -1, 1), add_piece(&b, S, -1, 1);
	t = open_model(&b, "{\"model_type\":\"xlm-roberta\"}", NULL);
	ok(t && ft_tok_id(t, "<x>") == -1 && ft_tok_id(t, "a") == 4 && ft_tok_id(t, "<mask>") == 6, "pieces whose places others take");
	ft_tok_free(t);
	/* flags of an added token */
	UNIGRAMS;
	t = open_model(&b, "{\"model_type\":\"xlnet\"}", "{\"sep_token\":{\"content\":\"<sep>\"},\"mask_token\":{\"content\":\"<mask>\",\"lstrip\":false}}");
	is_int(begin_of_mask(t), 2, "<mask> takes no space where a file says so");
	UNIGRAMS;
	t = open_model(&b, "{\"model_type\":\"xlnet\"}", "{\"sep_token\":{\"content\":\"<sep>\"},\"mask_token\":\"<mask>\"}");
	is_int(begin_of_mask(t), 1, "and else does");
	UNIGRAMS;
	t = open_model(&b, "{\"model_type\":\"deberta-v2\"}", "{\"do_lower_case\":true,\"added_tokens_decoder\":{"
	               "\"5\":{\"content\":\"<X>\",\"normalized\":true,\"special\":true},\"6\":{\"content\":\"<Y>\"}}}");
	ok(t && ft_tok_is_special(t, 5) && !ft_tok_is_special(t, 6), "a token that a file says is special");
	is_str(encoded(t, "<X><x><Y><y>"), "<X>|<X>|<Y>|" S "|<unk>=<Y> <unk>", "is looked for in the form that it says");
	/* options of stages */
	static const struct { const char *options, *want; } albert[] = {
		{ "{}", S "|a|<unk>=a" }, { "{\"do_lower_case\":false}", S "|<unk>=" }, { "{\"do_lower_case\":null}", S "|a|<unk>=a" },
		{ "{\"do_lower_case\":7}", S "|a|<unk>=a" }, { "{\"do_lower_case\":true,\"keep_accents\":true}", S "|<unk>=" },
	};
	for (size_t i = 0; i < sizeof albert / sizeof *albert; i++) {
		add_piece(&b, "<pad>", 0, 3), add_piece(&b, "<unk>", 0, 2), add_piece(&b, "a", -1, 1), add_piece(&b, S, -1, 1);
		t = open_model(&b, "{\"model_type\":\"albert\"}", albert[i].options);
		is_str(encoded(t, "\u00c1b"), albert[i].want, albert[i].options);
	}
	/* the first of a list that is no text ends it */
	UNIGRAMS;
	t = open_model(&b, NULL, "{\"additional_special_tokens\":[7,\"<x>\"]}");
	ok(!t && strstr(ft_message(), "tokenizer_config.json: a special token is not a text"), "a list that begins with a number");
	ft_buf_free(&b);
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
	small_models();
	families();
	damage("unigram");
	damage("bpe-user");
	clear();
	rmdir(folder);
	return tap_done();
}
