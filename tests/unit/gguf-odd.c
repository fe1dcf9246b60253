/* gguf-odd.c - GGUF files of which one key is missing or has another kind of value, or one tensor another shape or type: each
 * opens, or is refused with a reason that names the file. */
#include "ft/format.h"
#include "ft/gguf.h"
#include "ft/mem.h"
#include "lib/format/base.h"
#include "lib/format/gguf.h"
#include "tests/tap.h"
#include "tests/unit/bytes.h"

static const char *const families[] = { "gpt2", "llama", "llama-options", "mistral", "qwen2", "qwen3", "gemma2", "gemma3" };

/* ---- a file, in its pieces ---- */
#define MOST 256
struct piece {
	char name[80];
	size_t begin, end; /* of all of it */
};
static struct {
	struct ft_buf bytes;
	struct piece key[MOST], tensor[MOST];
	size_t keys, tensors, data;
} file;

static uint64_t number(size_t at, size_t bytes)
{
	return gguf_get(file.bytes.data + at, bytes);
}

static size_t behind_text(size_t at) { return at + 8 + number(at, 8); }

/* Where a value of this type ends. */
static size_t behind_value(size_t at, uint64_t type)
{
	if (type == FT_GGUF_STRING)
		return behind_text(at);
	if (type != FT_GGUF_ARRAY)
		return at + (size_t)gguf_size(type);
	uint64_t of = number(at, 4), n = number(at + 4, 8);
	for (at += 12; n; n--)
		at = behind_value(at, of);
	return at;
}

static void take_name(struct piece *p, size_t at)
{
	size_t n = number(at, 8);
	snprintf(p->name, sizeof p->name, "%.*s", (int)n, (const char *)file.bytes.data + at + 8);
	p->begin = at;
}

static int read_file(const char *family)
{
	char path[100];
	snprintf(path, sizeof path, "tests/ref/gguf/%s.gguf", family);
	FILE *f = fopen(path, "rb");
	file.bytes.len = 0;
	if (!f || ft_buf_reserve(&file.bytes, 1 << 17) < 0)
		return 0;
	file.bytes.len = fread(file.bytes.data, 1, file.bytes.cap, f);
	fclose(f);
	file.tensors = number(8, 8);
	file.keys = number(16, 8);
	size_t at = 24;
	for (size_t i = 0; i < file.keys && i < MOST; i++) {
		take_name(&file.key[i], at);
		at = behind_text(at);
		at = file.key[i].end = behind_value(at + 4, number(at, 4));
	}
	for (size_t i = 0; i < file.tensors && i < MOST; i++) {
		take_name(&file.tensor[i], at);
		at = behind_text(at);
		at = file.tensor[i].end = at + 4 + 8 * number(at, 4) + 12;
	}
	file.data = (at + 31) / 32 * 32;
	return file.keys < MOST && file.tensors < MOST && file.data < file.bytes.len;
}

static void append(struct ft_buf *b, const struct piece *p)
{
	ft_buf_append(b, file.bytes.data + p->begin, p->end - p->begin);
}

/* The file without key number `key` (keys: with all of them), with a key more when n is not 0, and with other bytes for tensor number
 * `tensor` (tensors: with all as they are). */
static struct ft_base *open_with(size_t key, const void *more, size_t n, size_t tensor, const void *other, size_t nother)
{
	struct ft_buf b = { 0 };
	uint64_t keys = file.keys - (key < file.keys) + (n > 0);
	ft_buf_append(&b, file.bytes.data, 16);
	ft_buf_append(&b, &keys, 8);
	for (size_t i = 0; i < file.keys; i++)
		if (i != key)
			append(&b, &file.key[i]);
	ft_buf_append(&b, more, n);
	for (size_t i = 0; i < file.tensors; i++)
		if (i != tensor)
			append(&b, &file.tensor[i]);
		else
			ft_buf_append(&b, other, nother);
	while (b.len % 32)
		ft_buf_append(&b, "", 1);
	ft_buf_append(&b, file.bytes.data + file.data, file.bytes.len - file.data);
	struct ft_base *base = gguf_base_open(path_of(b.data, b.len), 0);
	ft_buf_free(&b);
	return base;
}

/* ---- keys ---- */
static const struct {
	const char *what;
	uint32_t type;
	const char *p;
	size_t n;
} values[] = {
#define V(what, type, bytes) { what, type, bytes, sizeof(bytes) - 1 }
	V("0", FT_GGUF_U32, "\0\0\0\0"), V("1", FT_GGUF_U32, "\1\0\0\0"), V("3", FT_GGUF_U32, "\3\0\0\0"), V("8", FT_GGUF_U8, "\10"),
	V("2^31", FT_GGUF_U32, "\0\0\0\x80"), V("2^31 + 1", FT_GGUF_U32, "\1\0\0\x80"), V("-1", FT_GGUF_I32, "\xff\xff\xff\xff"),
	V("2^64 - 1", FT_GGUF_U64, "\xff\xff\xff\xff\xff\xff\xff\xff"), V("0.0", FT_GGUF_F32, "\0\0\0\0"), V("1.0", FT_GGUF_F32, "\0\0\x80\x3f"),
	V("pi", FT_GGUF_F64, "\x18\x2d\x44\x54\xfb\x21\x09\x40"), V("not a number", FT_GGUF_F32, "\0\0\xc0\x7f"), V("-2.0", FT_GGUF_F32, "\0\0\0\xc0"),
	V("false", FT_GGUF_BOOL, "\0"), V("true", FT_GGUF_BOOL, "\1"), V("2 as a boolean", FT_GGUF_BOOL, "\2"), V("no text", FT_GGUF_STRING, "\0\0\0\0\0\0\0\0"),
	V("none", FT_GGUF_STRING, "\4\0\0\0\0\0\0\0none"), V("linear", FT_GGUF_STRING, "\6\0\0\0\0\0\0\0linear"),
	V("yarn", FT_GGUF_STRING, "\4\0\0\0\0\0\0\0yarn"), V("model", FT_GGUF_STRING, "\5\0\0\0\0\0\0\0model"),
	V("a long text", FT_GGUF_STRING, "\60\0\0\0\0\0\0\0" "0123456789012345678901234567890123456789\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"),
	V("an empty list", FT_GGUF_ARRAY, "\4\0\0\0\0\0\0\0\0\0\0\0"), V("a list of 1", FT_GGUF_ARRAY, "\4\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0"),
	V("a list of true", FT_GGUF_ARRAY, "\7\0\0\0\1\0\0\0\0\0\0\0\1"), V("a list of a text", FT_GGUF_ARRAY, "\10\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0a"),
	V("a list of true and false", FT_GGUF_ARRAY, "\7\0\0\0\2\0\0\0\0\0\0\0\1\0"), V("a list of lists", FT_GGUF_ARRAY, "\11\0\0\0\1\0\0\0\0\0\0\0\0"),
	V("of no type", 13, "\0\0\0\0"),
};
#define VALUES (sizeof values / sizeof *values)

static int tried, opened;

/* Whether it is refused as it must be, or opens. */
static int is_right(struct ft_base *b, const char *family, const char *what, const char *value)
{
	int right = b || (ft_last_error() == FT_EFORMAT && strstr(ft_message(), "/proc/self/fd"));
	tried++;
	opened += b != NULL;
	if (!right)
		printf("# %s: %s: %s: %d %s\n", family, what, value, ft_last_error(), ft_message());
	ft_base_close(b);
	return right;
}

/* With a key of this name for each of the values; `own` is the file's own one, which goes. */
static int with_values(const char *family, const char *name, size_t own)
{
	int bad = 0;
	for (size_t i = 0; i < VALUES; i++) {
		struct ft_buf b = { 0 };
		uint64_t n = strlen(name);
		ft_buf_append(&b, &n, 8);
		ft_buf_append(&b, name, n);
		ft_buf_append(&b, &values[i].type, 4);
		ft_buf_append(&b, values[i].p, values[i].n);
		bad += !is_right(open_with(own, b.data, b.len, file.tensors, NULL, 0), family, name, values[i].what);
		ft_buf_free(&b);
	}
	return bad;
}

static size_t index_of(const char *name)
{
	size_t i = 0;
	while (i < file.keys && strcmp(file.key[i].name, name) != 0)
		i++;
	return i;
}

static void check_keys(const char *family)
{
	static const char *const more[] = {
		"expert_count", "attention.causal", "attention.sliding_window", "attention.sliding_window_pattern", "attention.key_length",
		"attention.value_length", "attention.head_count_kv", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
		"rope.scale_linear", "rope.scaling.original_context_length", "rope.scaling.yarn_beta_fast", "vocab_size",
		"attn_logit_softcapping", "rope.freq_base_swa",
	};
	static const char *const plain[] = { "general.type", "general.alignment", "split.count", "tokenizer.ggml.tokens",
		                             "tokenizer.ggml.bos_token_id" };
	char arch[40], name[100];
	int bad = 0;
	tried = opened = 0;
	snprintf(arch, sizeof arch, "%.*s", (int)strcspn(family, "-"), family);
	for (size_t i = 0; i < file.keys; i++) {
		bad += !is_right(open_with(i, NULL, 0, file.tensors, NULL, 0), family, file.key[i].name, "nothing");
		bad += with_values(family, file.key[i].name, i);
	}
	for (size_t i = 0; i < sizeof more / sizeof *more + sizeof plain / sizeof *plain; i++) {
		size_t k = i - sizeof more / sizeof *more;
		snprintf(name, sizeof name, "%s.%s", strcmp(arch, "mistral") ? arch : "llama", i < sizeof more / sizeof *more ? more[i] : "");
		const char *whole = i < sizeof more / sizeof *more ? name : plain[k];
		if (index_of(whole) == file.keys)
			bad += with_values(family, whole, file.keys);
	}
	ok(!bad && opened > 0 && opened < tried, "%s: %d other values, %d open, the others are refused", family, tried, opened);
}

/* ---- tensors ---- */

/* Of n elements, with these dimensions (innermost first), and this type. */
static int with_shape(const char *family, size_t i, const uint64_t *dims, uint32_t rank, uint32_t type)
{
	const struct piece *p = &file.tensor[i];
	struct ft_buf b = { 0 };
	ft_buf_append(&b, file.bytes.data + p->begin, behind_text(p->begin) - p->begin);
	ft_buf_append(&b, &rank, 4);
	ft_buf_append(&b, dims, 8 * rank);
	ft_buf_append(&b, &type, 4);
	ft_buf_append(&b, file.bytes.data + p->end - 8, 8);
	int bad = !is_right(open_with(file.keys, NULL, 0, i, b.data, b.len), family, p->name, "another shape or type");
	ft_buf_free(&b);
	return bad;
}

static void check_tensors(const char *family)
{
	int bad = 0;
	tried = opened = 0;
	for (size_t i = 0; i < file.tensors; i++) {
		size_t at = behind_text(file.tensor[i].begin), rank = number(at, 4), n = 1;
		uint32_t type = (uint32_t)number(at + 4 + 8 * rank, 4);
		for (size_t k = 0; k < rank; k++)
			n *= number(at + 4 + 8 * k, 8);
		const uint64_t whole[] = { n, 1, 1, 1, 1 }, odd[] = { n - 1, 1 }, none[] = { 0, n }, much[] = { n, 1ull << 62, 16 };
		for (uint32_t k = 0; k <= 5; k++)
			bad += with_shape(family, i, whole, k, type);
		bad += with_shape(family, i, odd, 1, type) + with_shape(family, i, none, 2, type) + with_shape(family, i, much, 2, type);
		bad += with_shape(family, i, much, 3, type) + with_shape(family, i, whole, 1, FT_GGML_I32) + with_shape(family, i, whole, 1, 99);
	}
	ok(!bad && opened > 0 && opened < tried, "%s: %d other shapes and types, %d open, the others are refused", family, tried, opened);
}

int main(void)
{
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		if (!ok(read_file(families[i]), "%s", families[i]))
			continue;
		struct ft_base *b = open_with(file.keys, NULL, 0, file.tensors, NULL, 0);
		ok(b != NULL, "%s: opens as it is: %s", families[i], b ? "" : ft_message());
		ft_base_close(b);
		check_keys(families[i]);
		check_tensors(families[i]);
	}
	ft_buf_free(&file.bytes);
	return tap_done();
}
