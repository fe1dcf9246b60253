/* Memory that runs out while a tokenizer opens, encodes and decodes: of all calls that lead to an allocation each fails
 * once, which is said; what does not fail is as ever. Run from the repository's root. */
#include "ft/err.h"
#include "ft/tok.h"
#include "ft/words.h"
#include "tests/tap.h"

#ifdef __SANITIZE_ADDRESS__ /* whose allocations are its own */
int main(void)
{
	tap_skip("allocations cannot be made to fail here");
	return tap_done();
}
#else
#include "tests/fault/allocs.c"

#include <sys/stat.h>
#include <unistd.h>

#define REF "tests/ref/"

static char folder[] = "/tmp/ft-unit.XXXXXX";

/* ---- tokenizers ---- */

/* A folder of this name with these files: of the references, or of this text. */
struct file { const char *name, *from, *text; };
static void make(const char *name, const struct file *files)
{
	char to[200], text[20000];
	snprintf(to, sizeof to, "%s/%s", folder, name);
	mkdir(to, 0700);
	for (const struct file *f = files; f->name; f++) {
		size_t n = f->text ? strlen(f->text) : 0;
		FILE *in = f->from ? fopen(f->from, "rb") : NULL;
		const char *bytes = in ? text : f->text;
		if (in) {
			n = fread(text, 1, sizeof text, in);
			fclose(in);
		}
		snprintf(to, sizeof to, "%s/%s/%s", folder, name, f->name);
		FILE *out = fopen(to, "wb");
		if (out) {
			fwrite(bytes, 1, n, out);
			fclose(out);
		}
	}
}

static void remove_all(const char *name, const struct file *files)
{
	char path[200];
	for (const struct file *f = files; f->name; f++) {
		snprintf(path, sizeof path, "%s/%s/%s", folder, name, f->name);
		unlink(path);
	}
	snprintf(path, sizeof path, "%s/%s", folder, name);
	rmdir(path);
}

#define WORDS \
	"\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\"," \
	"\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0,\"a\":1,\"b\":2,\"##b\":3,\"##a\":4,\".\":5}}"
#define BYTES \
	"\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"continuing_subword_prefix\":\"#\",\"end_of_word_suffix\":\"$\"," \
	"\"vocab\":{\"<unk>\":0,\"a\":1,\"#b\":2,\"#b$\":3,\"ab$\":4},\"merges\":[\"a #b$\"]}"
#define LETTERS "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" /* 64 */
#define STAGE(more) "{\"type\":" more "}"
static const struct { const char *name; struct file files[6]; } folders[] = {
	{ "vocab.txt", { { "vocab.txt", NULL, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##b\n" },
	                 { "tokenizer_config.json", NULL, "{\"do_lower_case\":true,\"added_tokens_decoder\":{\"8\":{\"content\":\"<n>\"}}}" },
	                 { "added_tokens.json", NULL, "{\"<m>\":9}" }, { 0 } } },
	{ "roberta", { { "vocab.json", NULL, "{\"<s>\":0,\"</s>\":1,\"<mask>\":2,\"a\":3,\"b\":4,\"ab\":5,\"\u0120\":6}" },
	               { "merges.txt", NULL, "#version: 0.2\na b\n" }, { "config.json", NULL, "{\"model_type\":\"roberta\"}" },
	               { "added_tokens.json", NULL, "{\"<n>\":7}" }, { 0 } } },
	{ "qwen2", { { "vocab.json", NULL, "{\"a\":0,\"b\":1,\"ab\":2,\"\u0120\":3}" }, { "merges.txt", NULL, "a b\n" },
	             { "config.json", NULL, "{\"model_type\":\"qwen2\"}" }, { 0 } } },
	{ "unigram", { { "tokenizer.model", REF "sentencepiece/unigram.model", NULL }, { 0 } } },
	{ "bpe", { { "tokenizer.model", REF "sentencepiece/bpe-user.model", NULL },
	           { "tokenizer_config.json", NULL, "{\"legacy\":false,\"additional_special_tokens\":[\"<n>\"]}" }, { 0 } } },
	{ "xlm-roberta", { { "sentencepiece.bpe.model", REF "sentencepiece/unigram.model", NULL },
	                   { "config.json", NULL, "{\"model_type\":\"xlm-roberta\"}" }, { "added_tokens.json", NULL, "{}" }, { 0 } } },
	{ "t5", { { "spiece.model", REF "sentencepiece/unigram.model", NULL },
	          { "tokenizer_config.json", NULL, "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":3}" }, { 0 } } },
	{ "stages", { { "tokenizer.json", NULL, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
	                STAGE("\"NFKD\"") "," STAGE("\"StripAccents\"") "," STAGE("\"Nmt\"") "," STAGE("\"Lowercase\"") ","
	                STAGE("\"Replace\",\"pattern\":{\"Regex\":\"x+\"},\"content\":\"aaaa\"") "," STAGE("\"Replace\",\"pattern\":{\"String\":\"y\"},\"content\":\"\"") ","
	                STAGE("\"Prepend\",\"prepend\":\"a\"") "," STAGE("\"Strip\"") "," STAGE("\"NFC\"") "]},"
	                "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" STAGE("\"WhitespaceSplit\"") "," STAGE("\"Punctuation\",\"behavior\":\"MergedWithNext\"") ","
	                STAGE("\"Digits\"") "," STAGE("\"CharDelimiterSplit\",\"delimiter\":\"-\"") "," STAGE("\"Split\",\"pattern\":{\"Regex\":\"q|z\"},\"behavior\":\"Contiguous\"") "]},"
	                "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[" STAGE("\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"bb\"") ","
	                STAGE("\"Strip\",\"content\":\".\",\"start\":1,\"stop\":1") "," STAGE("\"WordPiece\"") "," STAGE("\"BPEDecoder\",\"suffix\":\"b\"") ","
	                STAGE("\"Metaspace\",\"replacement\":\"U\"") "," STAGE("\"ByteFallback\"") "," STAGE("\"Fuse\"") "]},"
	                "\"added_tokens\":[{\"id\":6,\"content\":\"N\",\"normalized\":true},{\"id\":7,\"content\":\"<0x41>\",\"normalized\":false}]," WORDS "}" }, { 0 } } },
	{ "levels", { { "tokenizer.json", NULL, "{\"normalizer\":" STAGE("\"ByteLevel\"") ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
	                STAGE("\"ByteLevel\",\"add_prefix_space\":true") "," STAGE("\"Metaspace\",\"replacement\":\"a\",\"prepend_scheme\":\"first\"") ","
	                STAGE("\"Whitespace\"") "]},\"decoder\":" STAGE("\"CTC\"") ",\"post_processor\":" STAGE("\"ByteLevel\"") "," BYTES "}" }, { 0 } } },
	{ "escapes", { { "tokenizer.json", NULL, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"" LETTERS "\\u00e9\",-1.0],"
	                 "[\"" LETTERS LETTERS "\",-1.0],[\"a\",-1.0],[\"b\",-1.0]]}}" }, { 0 } } },
	{ "heap", { { "tokenizer.json", NULL, "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"vocab\":{\"<unk>\":0,\"a\":1,\"b\":2,\"ab\":3,\"ba\":4,"
	              "\"aba\":5,\"abab\":6},\"merges\":[\"a b\",\"b a\",\"ab a\",\"ab ab\"]}}" }, { 0 } } },
	{ "pattern", { { "tokenizer.json", NULL, "{\"pre_tokenizer\":" STAGE("\"Split\",\"pattern\":{\"Regex\":\"^([a-z])*$\"},\"behavior\":\"Isolated\"") ","
	                 WORDS "}" }, { 0 } } },
	{ "bert", { { "tokenizer.json", NULL, "{\"normalizer\":" STAGE("\"BertNormalizer\",\"strip_accents\":true") ","
	              "\"pre_tokenizer\":" STAGE("\"BertPreTokenizer\"") ",\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"a\",1],\"cls\":[\"b\",2]}," WORDS "}" }, { 0 } } },
};
static const char *const given[] = {
	"tokenizers/gpt2", "tokenizers/llama2", "tokenizers/llama3", "tokenizers/mistral", "tokenizers/roberta", "tokenizers/pieces", "tokenizers/suffixed",
	"tokenizers/spelled", "wordpiece/cased", "wordpiece/added", "sentencepiece/t5", "sentencepiece/bert.gguf", "sentencepiece/gpt2.gguf",
	"sentencepiece/llama.gguf", "sentencepiece/t5.gguf",
};

/* ---- what is done with one ---- */

/* Characters of all kinds, behind as many letters as let each of them come when there is no room left. */
static size_t make_text(char *out, size_t before)
{
	static const char *const odd[] = {
		"\u00e9 \u0130\u00bd b. ", "a\u08d4\u1b44 b", " x\u00df\u4e00\uff21", "<n>N\u200b<mask>", "1-23qz,", "\xff\xc3 ", "\u1100\u1161\u11a8", "ab ab abab",
	};
	size_t n = before;
	memset(out, 'a', before);
	for (size_t i = 0; i < 4; i++)
		n += (size_t)sprintf(out + n, "%s", odd[(before + i) % 8]);
	return n;
}

struct sum { uint64_t ids, text; };
static void add(uint64_t *h, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*h = (*h ^ ((const unsigned char *)p)[i]) * 1099511628211u;
}

static int use(const struct ft_tok *t, const char *text, size_t n, struct sum *s)
{
	struct ft_tok_text x = { 0 }, whole = { 0 };
	struct ft_buf back = { 0 };
	int rc = ft_tok_encode(t, text, n, 0, &x);
	struct ft_tok_slice a = { &x, 0, x.n };
	rc = rc < 0 ? rc : ft_tok_wrap(t, &a, NULL, &whole);
	add(&s->ids, whole.ids, rc < 0 ? 0 : whole.n * sizeof *whole.ids);
	int decoded = rc < 0 ? rc : ft_tok_decode(t, whole.ids, whole.n, false, &back);
	if (decoded == FT_OK)
		add(&s->text, back.data, back.len);
	else if (decoded != FT_EFORMAT) /* which a decoder that is not supported gives */
		rc = decoded;
	ft_tok_text_free(&x);
	ft_tok_text_free(&whole);
	ft_buf_free(&back);
	return rc;
}

static int open_and_use(const char *path, struct sum *s)
{
	char text[400];
	*s = (struct sum){ 1469598103934665603u, 1469598103934665603u };
	struct ft_tok *t = ft_tok_open(path);
	json_t *d = t ? ft_tok_describe(t) : NULL;
	int rc = d ? FT_OK : ft_last_error();
	json_decref(d);
	if (rc == FT_OK)
		rc = use(t, text, make_text(text, 3), s);
	ft_tok_free(t);
	return rc;
}

/* Again and again, until nothing fails that did not fail before. */
static int fail_all(const char *path, int *tries)
{
	struct sum want, got;
	int wrong = open_and_use(path, &want) != FT_OK;
	for (bool again = true; again && !wrong; ++*tries) {
		ft_json_dropped();
		allocs_fail_new(1);
		int rc = open_and_use(path, &got);
		again = allocs_fail_new(0);
		if (rc < 0 ? !again || rc != FT_EFAIL || !*ft_message() : memcmp(&got, &want, sizeof got) != 0)
			wrong++;
	}
	return wrong;
}

/* The same of texts alone, of all lengths. */
static int fail_texts(const char *path, int *tries)
{
	char text[400];
	int wrong = 0;
	struct ft_tok *t = ft_tok_open(path);
	for (size_t before = 0; before < 200 && t; before++) {
		size_t n = make_text(text, before);
		struct sum want = { 1, 1 };
		wrong += use(t, text, n, &want) != FT_OK;
		for (bool again = true; again && !wrong; ++*tries) {
			struct sum got = { 1, 1 };
			allocs_fail_new(1);
			int rc = use(t, text, n, &got);
			again = allocs_fail_new(0);
			wrong += rc < 0 ? !again || rc != FT_EFAIL || !*ft_message() : memcmp(&got, &want, sizeof got) != 0;
		}
	}
	ft_tok_free(t);
	return wrong + !t;
}

/* The same of one text, by a tokenizer that has read none. */
static int fail_text(const char *path, const char *text, size_t n, int *tries)
{
	struct sum want = { 1, 1 };
	struct ft_tok *t = ft_tok_open(path);
	int wrong = !t || use(t, text, n, &want) != FT_OK;
	ft_tok_free(t);
	for (bool again = true; again && !wrong; ++*tries) {
		struct sum got = { 1, 1 };
		t = ft_tok_open(path);
		allocs_fail_new(1);
		int rc = t ? use(t, text, n, &got) : FT_EFORMAT;
		again = allocs_fail_new(0);
		wrong += rc < 0 ? !again || rc != FT_EFAIL || !*ft_message() : memcmp(&got, &want, sizeof got) != 0;
		ft_tok_free(t);
	}
	return wrong;
}

static void check(const char *path, const char *name)
{
	static char text[20000];
	uint64_t state = 1;
	int tries = 0, wrong = fail_all(path, &tries);
	wrong += fail_texts(path, &tries);
	/* a word in which all letters merge at once, and one of several blocks */
	for (size_t i = 0; i < 200; i++)
		text[i] = "ab"[i % 2];
	wrong += fail_text(path, text, 200, &tries);
	for (size_t i = 0; i < sizeof text; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		text[i] = i % 2000 < 1000 ? "etaoinsh"[state >> 61] : 'a';
	}
	wrong += fail_text(path, text, sizeof text, &tries);
	ok(!wrong, "%s: %d tries", name, tries);
}

/* A GGUF file of two pieces, of which one has no text. */
static void put_number(FILE *f, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		fputc((int)(v >> 8 * i & 0xff), f);
}

static void put_text(FILE *f, const char *s)
{
	put_number(f, strlen(s), 8);
	fputs(s, f);
}

static void make_gguf(const char *path)
{
	FILE *f = fopen(path, "wb");
	if (!f)
		return;
	fputs("GGUF", f);
	put_number(f, 3, 4), put_number(f, 0, 8), put_number(f, 3, 8);
	put_text(f, "tokenizer.ggml.model"), put_number(f, 8, 4), put_text(f, "llama");
	put_text(f, "tokenizer.ggml.tokens"), put_number(f, 9, 4), put_number(f, 8, 4), put_number(f, 2, 8), put_text(f, "<unk>"), put_text(f, "");
	put_text(f, "tokenizer.ggml.token_type"), put_number(f, 9, 4), put_number(f, 5, 4), put_number(f, 2, 8), put_number(f, 2, 4), put_number(f, 1, 4);
	fclose(f);
}

int main(void)
{
	char path[200];
	if (!mkdtemp(folder))
		return 1;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		make(folders[i].name, folders[i].files);
		snprintf(path, sizeof path, "%s/%s", folder, folders[i].name);
		check(path, folders[i].name);
		remove_all(folders[i].name, folders[i].files);
	}
	snprintf(path, sizeof path, "%s/a.gguf", folder);
	make_gguf(path);
	check(path, "a piece without text");
	unlink(path);
	for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
		snprintf(path, sizeof path, REF "%s", given[i]);
		check(path, given[i]);
	}
	rmdir(folder);
	return tap_done();
}
#endif
