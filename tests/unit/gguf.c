/* The GGUF reader on good and bad files. */
#include "ft/gguf.h"
#include "ft/mem.h"
#include "ft/tok.h"
#include "tests/tap.h"
#include "tests/unit/bytes.h"

/* ---- writing one ---- */

static struct ft_buf out;

static void put(uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)(v >> 8 * i);
		ft_buf_append(&out, &c, 1);
	}
}

static void text(const char *s)
{
	put(strlen(s), 8);
	ft_buf_append(&out, s, strlen(s));
}

static void begin(uint64_t version, uint64_t tensors, uint64_t keys)
{
	out.len = 0;
	ft_buf_append(&out, "GGUF", 4);
	put(version, 4);
	put(tensors, 8);
	put(keys, 8);
}

static void key(const char *name, uint64_t type, uint64_t value, size_t bytes)
{
	text(name);
	put(type, 4);
	put(value, bytes);
}

static void array(const char *name, uint64_t type, uint64_t count)
{
	text(name);
	put(FT_GGUF_ARRAY, 4);
	put(type, 4);
	put(count, 8);
}

/* Dimensions innermost first, 0 behind the last. */
static void tensor(const char *name, const uint64_t *dims, uint64_t type, uint64_t offset)
{
	uint32_t rank = 0;
	while (dims[rank])
		rank++;
	text(name);
	put(rank, 4);
	for (uint32_t i = 0; i < rank; i++)
		put(dims[i], 8);
	put(type, 4);
	put(offset, 8);
}

static void data(size_t alignment, size_t bytes)
{
	while (out.len % alignment)
		put(0, 1);
	for (size_t i = 0; i < bytes; i++)
		put(i, 1);
}

static struct ft_gguf *open_it(void)
{
	return ft_gguf_open(path_of(out.data, out.len));
}

static void refused(const char *what, const char *reason)
{
	struct ft_gguf *g = open_it();
	if (!ok(!g && ft_last_error() == FT_EFORMAT && strstr(ft_message(), reason), "refused: %s", what))
		printf("# wanted: %s\n", reason);
	ft_gguf_close(g);
}

/* ---- good files ---- */

static const uint64_t row[] = { 3, 0 }, matrix[] = { 32, 2, 0 }, scalar[] = { 0 };

static void write_good(uint64_t version)
{
	begin(version, 3, 15);
	key("u8", FT_GGUF_U8, 200, 1);
	key("i8", FT_GGUF_I8, 0x80, 1);
	key("u16", FT_GGUF_U16, 65535, 2);
	key("i16", FT_GGUF_I16, 0xffff, 2);
	key("u32", FT_GGUF_U32, 4294967295u, 4);
	key("i32", FT_GGUF_I32, 4294967295u, 4);
	key("f32", FT_GGUF_F32, 0x3fc00000, 4);
	key("bool", FT_GGUF_BOOL, 1, 1);
	text("string"), put(FT_GGUF_STRING, 4), text("grüße");
	key("u64", FT_GGUF_U64, UINT64_MAX, 8);
	key("i64", FT_GGUF_I64, UINT64_MAX, 8);
	key("f64", FT_GGUF_F64, 0xbff8000000000000u, 8);
	array("texts", FT_GGUF_STRING, 3), text("a"), text(""), text("ccc");
	array("ints", FT_GGUF_I16, 2), put(7, 2), put(0xfffe, 2);
	array("none", FT_GGUF_F32, 0);
	tensor("row", row, FT_GGML_F32, 0);
	tensor("blocks", matrix, FT_GGML_Q8_0, 32);
	tensor("one", scalar, FT_GGML_F16, 128);
	data(32, 130);
}

static void check_values(const struct ft_gguf *g)
{
	static const struct { const char *key; int64_t value; } ints[] = {
		{ "u8", 200 }, { "i8", -128 }, { "u16", 65535 }, { "i16", -1 }, { "u32", 4294967295 }, { "i32", -1 },
		{ "u64", INT64_MAX }, { "i64", -1 }, { "absent", 5 },
	};
	int err = FT_OK;
	for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
		is_int(ft_gguf_int(g, ints[i].key, 5, &err), ints[i].value, ints[i].key);
	ok(ft_gguf_real(g, "f32", 0, &err) == 1.5 && ft_gguf_real(g, "f64", 0, &err) == -1.5
	   && ft_gguf_real(g, "i8", 0, &err) == -128, "reals, and an integer as one");
	struct ft_span s = ft_gguf_text(g, "string", &err);
	ok(s.n == 7 && !memcmp(s.p, "grüße", 7) && ft_gguf_text(g, "absent", &err).p == NULL, "a string, and none");
	ok(ft_gguf_bool(g, "bool", false, &err) && ft_gguf_bool(g, "absent", true, &err) && err == FT_OK, "booleans");
	ft_gguf_int(g, "f32", 0, &err);
	ok(err == FT_EFORMAT && strstr(ft_message(), "key 'f32' is not a whole number"), "a real is no integer");
	err = FT_OK;
	ok(!ft_gguf_array(g, "texts", FT_GGUF_INTS, &err) && err == FT_EFORMAT, "strings are no integers");
	ok(ft_gguf_keys(g) == 15 && !strcmp(ft_gguf_key(g, 14)->key, "none") && !ft_gguf_key(g, 15), "keys in order");
}

static void check_arrays(const struct ft_gguf *g)
{
	int err = FT_OK;
	const struct ft_gguf_value *v = ft_gguf_array(g, "texts", FT_GGUF_TEXTS, &err);
	const void *at = NULL;
	size_t n = 0;
	for (size_t i = 0; v && i < v->count; i++)
		n = n * 10 + ft_gguf_text_next(v, &at).n;
	is_int((long long)n, 103, "three strings");
	v = ft_gguf_array(g, "ints", FT_GGUF_INTS, &err);
	ok(v && v->count == 2 && ft_gguf_int_at(v, 1) == -2 && ft_gguf_real_at(v, 0) == 7, "two integers");
	v = ft_gguf_array(g, "none", FT_GGUF_REALS, &err);
	ok(v && v->count == 0 && err == FT_OK, "an empty array");
}

static void check_tensors(const struct ft_gguf *g)
{
	const struct ft_gguf_tensor *t = ft_gguf_tensor_find(g, "blocks");
	ok(t && t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 32 && t->bytes == 68
	   && !strcmp(ft_ggml_name(t->type), "Q8_0"), "a matrix of blocks, outermost dimension first");
	ok(t && *(const unsigned char *)t->data == 32, "its data");
	t = ft_gguf_tensor(g, 2);
	ok(t && t->rank == 0 && t->bytes == 2 && *(const unsigned char *)t->data == 128, "a scalar, behind padding");
	ok(ft_gguf_tensors(g) == 3 && !ft_gguf_tensor(g, 3) && !ft_gguf_tensor_find(g, "two"), "no others");
}

static void good_files(void)
{
	for (uint64_t version = 2; version <= 3; version++) {
		write_good(version);
		struct ft_gguf *g = open_it();
		if (ok(g != NULL, "version %d", (int)version)) {
			check_values(g);
			check_arrays(g);
			check_tensors(g);
		}
		ft_gguf_close(g);
	}
	begin(3, 1, 1);
	key("general.alignment", FT_GGUF_U32, 64, 4);
	tensor("row", row, FT_GGML_F32, 0);
	data(64, 12);
	struct ft_gguf *g = open_it();
	ok(g && ((uintptr_t)ft_gguf_tensor(g, 0)->data & 63) == 0, "another alignment");
	ft_gguf_close(g);
	begin(3, 0, 0);
	g = open_it();
	ok(g && !ft_gguf_keys(g) && !ft_gguf_find(g, "x"), "nothing at all");
	ft_gguf_close(g);
}

/* ---- bad files ---- */

static void bad_headers(void)
{
	out.len = 0;
	refused("an empty file", "is not a GGUF file");
	begin(3, 0, 0);
	out.data[0] = 'g';
	refused("another magic", "is not a GGUF file");
	begin(1, 0, 0);
	refused("version 1", "GGUF version 1; 2 and 3 are supported");
	begin(4, 0, 0);
	refused("version 4", "GGUF version 4");
	begin(3 << 24, 0, 0);
	refused("the other byte order", "the other byte order");
	begin(3, 0, 1);
	refused("a key that is not there", "more than 24 bytes can hold");
	begin(3, UINT64_MAX, 0);
	refused("very many tensors", "can hold");
}

static void bad_keys(void)
{
	begin(3, 0, 2);
	key("a", FT_GGUF_U8, 1, 1), key("a", FT_GGUF_U8, 1, 1);
	refused("a key twice", "key 'a': appears twice");
	begin(3, 0, 1);
	key("", FT_GGUF_U64, 1, 8);
	refused("a key without a name", "is empty or holds a NUL");
	begin(3, 0, 1);
	key("a", 13, 1, 8);
	refused("an unknown type", "key 'a': unknown type 13");
	begin(3, 0, 1);
	array("a", FT_GGUF_ARRAY, 1), put(0, 8);
	refused("an array of arrays", "key 'a': unknown type 9");
	begin(3, 0, 1);
	array("a", FT_GGUF_U32, (uint64_t)1 << 62), put(0, 8);
	refused("an array that is too long", "elements are more than the file has");
	begin(3, 0, 1);
	array("a", FT_GGUF_U64, 2), put(0, 8);
	refused("an array that is a little too long", "cut short within a");
	begin(3, 0, 1);
	array("a", FT_GGUF_STRING, 1), put(UINT64_MAX, 8);
	refused("a string that is too long", "cut short within a");
	begin(3, 0, 1);
	key("ab", FT_GGUF_BOOL, 2, 1);
	refused("a boolean that is 2", "neither 0 nor 1");
	begin(3, 0, 1);
	key("general.alignment", FT_GGUF_U32, 24, 4);
	refused("an alignment of 24", "is not a power of two as a u32");
	begin(3, 0, 1);
	key("general.alignment", FT_GGUF_U64, 32, 8);
	refused("an alignment of another type", "is not a power of two as a u32");
}

static void bad_tensor(const char *what, const uint64_t *dims, uint64_t type, uint64_t offset, const char *reason)
{
	begin(3, 2, 0);
	tensor("first", row, FT_GGML_F32, 0);
	tensor("a", dims, type, offset);
	data(32, 64);
	refused(what, reason);
}

static void bad_tensors(void)
{
	static const uint64_t five[] = { 1, 1, 1, 1, 1, 0 }, huge[] = { (uint64_t)1 << 40, (uint64_t)1 << 40, 0 },
			      negative[] = { (uint64_t)1 << 63, 0 }, large[] = { 4096, 0 };
	bad_tensor("five dimensions", five, FT_GGML_F32, 32, "tensor 'a': has more than 4 dimensions");
	bad_tensor("a product that overflows", huge, FT_GGML_F32, 32, "overflows");
	bad_tensor("a negative dimension", negative, FT_GGML_F32, 32, "a dimension is negative");
	bad_tensor("an unknown type", row, 4, 32, "tensor 'a': unknown type 4");
	bad_tensor("a row of part of a block", row, FT_GGML_Q8_0, 32, "are not whole blocks of 32 (Q8_0)");
	bad_tensor("an offset within the tensor before", row, FT_GGML_F32, 0, "lies at 0 of the data, not at 32");
	bad_tensor("an offset with a hole", row, FT_GGML_F32, 64, "lies at 64 of the data, not at 32");
	bad_tensor("data beyond the end", large, FT_GGML_F32, 32, "cut short: the tensors need 16416 bytes");
	begin(3, 2, 0);
	tensor("a", row, FT_GGML_F32, 0), tensor("a", row, FT_GGML_F32, 32), data(32, 64);
	refused("a name twice", "tensor 'a': appears twice");
	static const uint64_t all[] = { ((uint64_t)1 << 62) - 1, 0 }, most[] = { ((uint64_t)1 << 62) - 16, 0 };
	begin(3, 2, 0), tensor("a", all, FT_GGML_F32, 0), tensor("b", row, FT_GGML_F32, 0), data(32, 64);
	refused("one behind 2^64 - 4 bytes", "tensor 'b': lies at 0 of the data");
	begin(3, 2, 0), tensor("a", row, FT_GGML_F32, 0), tensor("b", all, FT_GGML_F32, 32), data(32, 64);
	refused("2^64 - 4 bytes behind one", "tensor 'b': the number of bytes overflows");
	begin(3, 1, 0), tensor("a", most, FT_GGML_F32, 0), data(32, 64);
	refused("2^64 - 64 bytes", "cut short: the tensors need 18446744073709551552 bytes");
	begin(3, 1, 0);
	tensor("0123456789012345678901234567890123456789012345678901234567890123", row, FT_GGML_F32, 0), data(32, 32);
	refused("a long name", "a name of more than 63 bytes");
}

/* Cut anywhere, a file is refused; with any byte changed, it is refused or read. */
static void damage(void)
{
	write_good(3);
	size_t opened = 0, n = out.len;
	for (; out.len-- > 0;) {
		struct ft_gguf *g = open_it();
		opened += g != NULL;
		ft_gguf_close(g);
	}
	is_int((long long)opened, 0, "cut at each byte: none opens");
	write_good(3);
	for (size_t i = 0; i < n; i++) {
		out.data[i] ^= 0xff;
		ft_gguf_close(open_it());
		out.data[i] ^= 0xff;
	}
	ok(true, "each byte changed");
}

/* Each type of the format has a name and blocks; others have neither. */
static void check_types(void)
{
	static const uint64_t many[] = { 256, 0 };
	size_t known = 0, bad = 0;
	for (uint64_t type = 0; type < 64; type++) {
		begin(3, 1, 0);
		tensor("t", many, type, 0);
		data(32, 2048);
		struct ft_gguf *g = open_it();
		bool named = *ft_ggml_name((enum ft_ggml_type)type) != '?';
		bad += (g != NULL) != named || (!g && !strstr(ft_message(), "unknown type")) || (g && !ft_gguf_tensor(g, 0)->bytes);
		known += named;
		ft_gguf_close(g);
	}
	ok(known > 20 && !bad, "%zu types", known);
}

/* ---- tokenizers ---- */
#define KEY "tokenizer.ggml."

static void text_key(const char *name, const char *value)
{
	text(name), put(FT_GGUF_STRING, 4), text(value);
}

/* Three pieces, of which the first is the unknown one. */
static void pieces(const char *second)
{
	array(KEY "tokens", FT_GGUF_STRING, 3), text("<unk>"), text(second), text("a");
	array(KEY "token_type", FT_GGUF_I32, 3), put(2, 4), put(1, 4), put(1, 4);
	array(KEY "scores", FT_GGUF_F32, 3), put(0, 4), put(0, 4), put(0, 4);
}

static struct ft_tok *open_tokenizer(void)
{
	char path[] = "/tmp/ft-unit-XXXXXX.gguf";
	int fd = mkstemps(path, 5);
	data(32, 32);
	bool written = fd >= 0 && write(fd, out.data, out.len) == (ssize_t)out.len;
	struct ft_tok *t = written ? ft_tok_open(path) : NULL;
	close(fd);
	unlink(path);
	return t;
}

/* The file opens as a tokenizer, or is refused for this reason. */
static void tokenizer(const char *what, const char *reason)
{
	struct ft_tok *t = open_tokenizer();
	bool good = reason ? !t && ft_last_error() == FT_EFORMAT && strstr(ft_message(), reason) : t != NULL;
	if (!ok(good, "a tokenizer: %s", what) && reason)
		printf("# wanted: %s\n", reason);
	ft_tok_free(t);
}

/* A text of two bytes, of which the second is NUL. */
static void text_with_nul(char first)
{
	put(2, 8);
	put((unsigned char)first, 2);
}

static void check_numbers(void)
{
	begin(3, 0, 1), array("general.alignment", FT_GGUF_U32, 1), put(32, 4);
	refused("an alignment that is a list", "general.alignment");
	begin(3, 0, 1), key("general.alignment", FT_GGUF_U64, 32, 8);
	refused("an alignment of 64 bits", "general.alignment");
	begin(3, 0, 1), text("k"), put(FT_GGUF_STRING, 4), put((uint64_t)1 << 40, 8), data(32, 64);
	refused("a text of a terabyte", "cut short within k");
	begin(3, 0, 1), text("k"), put(FT_GGUF_STRING, 4), put(((uint64_t)1 << 30) + 1, 8);
	const char *path = path_of(out.data, out.len);
	struct ft_gguf *g = truncate(path, ((off_t)1 << 30) + 64) == 0 ? ft_gguf_open(path) : NULL;
	ok(!g && strstr(ft_message(), "k: a string of 1073741825 bytes; at most 1073741824 are allowed"), "one of a gigabyte that is there: %s",
	   ft_message());
	begin(0, 0, 0);
	refused("version 0", "GGUF version 0; 2 and 3 are supported");
	begin(3, 0, 1), array("k", FT_GGUF_U64, (uint64_t)1 << 62), data(32, 64);
	refused("numbers without end", "k");
}

static void check_tokenizers(void)
{
	begin(3, 0, 4), text_key(KEY "model", "llama"), pieces("b");
	tokenizer("of three pieces", NULL);
	begin(3, 0, 4), text_key(KEY "model", "llama"), pieces("");
	tokenizer("a piece without a text has one made", NULL);
	begin(3, 0, 4), text_key(KEY "model", "llama"), pieces("\xff");
	tokenizer("a piece that is not UTF-8", "");
	begin(3, 0, 4), text_key(KEY "model", "rwkv"), pieces("b");
	tokenizer("of another kind", KEY "model 'rwkv' is not supported (llama, t5, gpt2 and bert are)");
	begin(3, 0, 4), text_key(KEY "model", "a name of more than 24 bytes"), pieces("b");
	tokenizer("of a kind with a long name", KEY "model is not a name");
	begin(3, 0, 1), text_key(KEY "model", "llama");
	tokenizer("without pieces", KEY "tokens is missing or empty");
	begin(3, 0, 2), text_key(KEY "model", "llama"), array(KEY "tokens", FT_GGUF_STRING, 0);
	tokenizer("with none", KEY "tokens is missing or empty");
	begin(3, 0, 2), text_key(KEY "model", "llama"), array(KEY "tokens", FT_GGUF_I32, 1), put(0, 4);
	tokenizer("with numbers for pieces", KEY "tokens");
	begin(3, 0, 3), text_key(KEY "model", "llama"), array(KEY "tokens", FT_GGUF_STRING, 2), text("a"), text("b");
	array(KEY "scores", FT_GGUF_F32, 1), put(0, 4);
	tokenizer("with fewer scores", KEY "token_type or " KEY "scores has fewer elements");
	begin(3, 0, 3), text_key(KEY "model", "llama"), array(KEY "tokens", FT_GGUF_STRING, 2), text("a"), text("b");
	array(KEY "token_type", FT_GGUF_I32, 1), put(1, 4);
	tokenizer("with fewer types", KEY "token_type or " KEY "scores has fewer elements");
	begin(3, 0, 5), text_key(KEY "model", "t5"), pieces("b"), array(KEY "precompiled_charsmap", FT_GGUF_U32, 1), put(0, 4);
	tokenizer("a charsmap of numbers", KEY "precompiled_charsmap is not an array of bytes");
	begin(3, 0, 5), text_key(KEY "model", "t5"), pieces("b"), array(KEY "precompiled_charsmap", FT_GGUF_U8, 1), put(0, 1);
	tokenizer("a charsmap of one byte", "charsmap");
	/* byte-level */
	begin(3, 0, 4), text_key(KEY "model", "gpt2"), pieces("b");
	tokenizer("without merges", KEY "merges is missing");
	begin(3, 0, 5), text_key(KEY "model", "gpt2"), pieces("b"), array(KEY "merges", FT_GGUF_STRING, 1), text("ab");
	tokenizer("a merge of one part", KEY "merges: element 0 is not two parts with a space between");
	begin(3, 0, 5), text_key(KEY "model", "gpt2"), pieces("b"), array(KEY "merges", FT_GGUF_STRING, 1), text(" b");
	tokenizer("a merge of nothing", KEY "merges: element 0 is not two parts with a space between");
	begin(3, 0, 5), text_key(KEY "model", "gpt2"), pieces("b"), array(KEY "merges", FT_GGUF_I32, 1), put(0, 4);
	tokenizer("merges that are numbers", KEY "merges");
	begin(3, 0, 6), text_key(KEY "model", "gpt2"), pieces("ab"), array(KEY "merges", FT_GGUF_STRING, 0);
	text_key(KEY "pre", "unheard-of");
	tokenizer("words of nobody's", KEY "pre 'unheard-of' is not supported");
	begin(3, 0, 6), text_key(KEY "model", "gpt2"), pieces("b"), array(KEY "merges", FT_GGUF_STRING, 0);
	text_key(KEY "pre", "a name of more than forty bytes, which is too long");
	tokenizer("words of a long name", KEY "pre is not a name");
	begin(3, 0, 5), text_key(KEY "model", "gpt2"), pieces("\xff"), array(KEY "merges", FT_GGUF_STRING, 0);
	tokenizer("a piece that is not UTF-8", KEY "tokens: element 1 is not UTF-8 text");
	/* words */
	begin(3, 0, 4), text_key(KEY "model", "bert"), pieces("b");
	tokenizer("an unknown token beyond the last", KEY "unknown_token_id is not in the vocabulary");
	begin(3, 0, 5), text_key(KEY "model", "bert"), pieces("\xff"), key(KEY "unknown_token_id", FT_GGUF_U32, 0, 4);
	tokenizer("a piece that is not UTF-8", KEY "tokens: element 1 is not UTF-8 text");
	begin(3, 0, 5), text_key(KEY "model", "bert"), pieces("b"), key(KEY "normalizer.lowercase", FT_GGUF_U32, 0, 4);
	tokenizer("a flag that is a number", KEY "normalizer.lowercase");
	begin(3, 0, 5), text_key(KEY "model", "bert"), pieces("b"), key(KEY "unknown_token_id", FT_GGUF_F32, 0, 4);
	tokenizer("an unknown token that is no whole number", KEY "unknown_token_id");
	begin(3, 0, 7), text_key(KEY "model", "bert"), pieces("b"), key(KEY "unknown_token_id", FT_GGUF_U32, 0, 4);
	key(KEY "bos_token_id", FT_GGUF_U32, 1, 4), key(KEY "seperator_token_id", FT_GGUF_U32, 2, 4);
	tokenizer("the first token is what bos says", NULL);
}

static void check_more_tokenizers(void)
{
	begin(3, 0, 4), text(KEY "model"), put(FT_GGUF_STRING, 4), text_with_nul('t'), pieces("b");
	tokenizer("of a kind with a NUL", KEY "model is not a name");
	begin(3, 0, 5), text_key(KEY "model", "llama"), pieces("b"), array(KEY "precompiled_charsmap", FT_GGUF_U8, 1), put(0, 1);
	tokenizer("merges have no charsmap", NULL);
	begin(3, 0, 5), text_key(KEY "model", "t5"), pieces("b"), array(KEY "precompiled_charsmap", FT_GGUF_I8, 1), put(0, 1);
	tokenizer("a charsmap of bytes with signs", "is cut short or has no trie");
	begin(3, 0, 5), text_key(KEY "model", "t5"), pieces("b"), key(KEY "unknown_token_id", FT_GGUF_F32, 0, 4);
	tokenizer("an unknown piece that is no whole number", KEY "unknown_token_id");
	begin(3, 0, 6), text_key(KEY "model", "gpt2"), pieces("b"), array(KEY "merges", FT_GGUF_STRING, 0), text_key(KEY "pre", "");
	tokenizer("words of no name", KEY "pre '' is not supported");
	begin(3, 0, 3), text_key(KEY "model", "gpt2"), array(KEY "tokens", FT_GGUF_STRING, 1), text_with_nul('a');
	array(KEY "merges", FT_GGUF_STRING, 0);
	tokenizer("a piece with a NUL", KEY "tokens: element 0 is not UTF-8 text");
	begin(3, 0, 3), text_key(KEY "model", "bert"), array(KEY "tokens", FT_GGUF_STRING, 1), text_with_nul('a');
	key(KEY "unknown_token_id", FT_GGUF_U32, 0, 4);
	tokenizer("a word with a NUL", KEY "tokens: element 0 is not UTF-8 text");
	/* the first token is what cls says, where both are there */
	begin(3, 0, 8), text_key(KEY "model", "bert"), pieces("b"), key(KEY "unknown_token_id", FT_GGUF_U32, 0, 4);
	key(KEY "bos_token_id", FT_GGUF_U32, 1, 4), key(KEY "cls_token_id", FT_GGUF_U32, 2, 4);
	key(KEY "seperator_token_id", FT_GGUF_U32, 2, 4);
	struct ft_tok *t = open_tokenizer();
	json_t *d = t ? ft_tok_describe(t) : NULL;
	is_int(json_integer_value(json_object_get(d, "cls")), 2, "cls counts more than bos");
	json_decref(d);
	ft_tok_free(t);
	/* as RoBERTa has it: a second text has another eos before it; and a user's token */
	begin(3, 0, 7), text_key(KEY "model", "gpt2"), text_key(KEY "pre", "roberta-bpe"), array(KEY "merges", FT_GGUF_STRING, 0);
	array(KEY "tokens", FT_GGUF_STRING, 4), text("<s>"), text("</s>"), text("<user>"), text("a");
	array(KEY "token_type", FT_GGUF_I32, 4), put(3, 4), put(3, 4), put(4, 4), put(1, 4);
	key(KEY "bos_token_id", FT_GGUF_U32, 0, 4), key(KEY "eos_token_id", FT_GGUF_U32, 1, 4);
	t = open_tokenizer();
	ok(t && ft_tok_specials(t, false) == 2 && ft_tok_specials(t, true) == 4, "special tokens around one text and two");
	ok(t && ft_tok_is_special(t, 0) && !ft_tok_is_special(t, 2), "a user's token is not special");
	struct ft_tok_text x = { 0 };
	ok(t && ft_tok_encode(t, "a<user>a", 8, 0, &x) == FT_OK && x.n == 3 && x.ids[1] == 2, "but one token");
	ft_tok_text_free(&x);
	ft_tok_free(t);
	begin(3, 0, 5), text_key(KEY "model", "gpt2"), text_key(KEY "pre", "roberta-bpe"), array(KEY "merges", FT_GGUF_STRING, 0);
	array(KEY "tokens", FT_GGUF_STRING, 1), text("a"), key(KEY "eos_token_id", FT_GGUF_U32, 0, 4);
	tokenizer("without the first of these", "there is no bos token, which stands beside every text");
}

int main(void)
{
	good_files();
	bad_headers();
	bad_keys();
	bad_tensors();
	damage();
	ok(!ft_gguf_open("/nothing/x.gguf") && ft_last_error() == FT_EFAIL, "a file that is not there");
	ok(ft_gguf_named("a/b.gguf") && !ft_gguf_named(".gguf") && !ft_gguf_named("a.gguf2"), "names");
	ft_buf_free(&out);
	check_types();
	check_tokenizers();
	check_more_tokenizers();
	check_numbers();
	return tap_done();
}
