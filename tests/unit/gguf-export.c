/* GGUF files that are written of models, against those that llama.cpp's converter wrote:
 * tensor by tensor, key by key. */
#include "ft/gguf.h"
#include "ft/mem.h"
#include "tests/reference.h"

#include <sys/stat.h>
#include <unistd.h>

#define REF "tests/ref/gguf/"
#define STORIES "../shared/data/models/stories260K/"

static const struct {
	const char *name;
	enum ft_dtype dtype; /* of the converter's matrices */
} families[] = {
	{ "gpt2", FT_F32 }, { "llama", FT_F32 },  { "llama-options", FT_F16 }, { "mistral", FT_BF16 },
	{ "qwen2", FT_F32 }, { "qwen3", FT_BF16 }, { "gemma2", FT_F32 },        { "gemma3", FT_F16 },
};

static char folder[] = "/tmp/ft-unit.XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

/* Keys that say where a file comes from, or how large it is; and what a converter leaves to
 * defaults. */
static bool is_own(const char *key)
{
	static const char *const own[] = {
		"general.name", "general.size_label", "qwen2.attention.key_length", "qwen2.attention.value_length",
		"gemma2.rope.freq_base", "gpt2.vocab_size", "qwen2.vocab_size", "qwen3.vocab_size", "gemma2.vocab_size",
		"gemma3.vocab_size",
	};
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (strcmp(own[i], key) == 0)
			return true;
	return false;
}

static bool same_value(const struct ft_gguf_value *a, const struct ft_gguf_value *b)
{
	size_t bytes = a->type == FT_GGUF_STRING ? 0 : a->type == FT_GGUF_BOOL ? 1 : 4;
	if (!b || a->type != b->type || a->is_array != b->is_array || a->count != b->count)
		return false;
	const void *x = NULL, *y = NULL;
	for (size_t i = 0; i < a->count && !bytes; i++) {
		struct ft_span s = ft_gguf_text_next(a, &x), t = ft_gguf_text_next(b, &y);
		if (s.n != t.n || memcmp(s.p, t.p, s.n) != 0)
			return false;
	}
	return memcmp(a->data, b->data, a->count * bytes) == 0;
}

static void compare_keys(const char *name, const struct ft_gguf *a, const struct ft_gguf *b)
{
	const char *differs = NULL;
	for (size_t i = 0; i < ft_gguf_keys(a); i++) {
		const struct ft_gguf_value *v = ft_gguf_key(a, i);
		if (!is_own(v->key) && !same_value(v, ft_gguf_find(b, v->key)))
			differs = v->key;
	}
	for (size_t i = 0; i < ft_gguf_keys(b); i++)
		if (!is_own(ft_gguf_key(b, i)->key) && !ft_gguf_find(a, ft_gguf_key(b, i)->key))
			differs = ft_gguf_key(b, i)->key;
	ok(!differs, "%s: %zu keys%s%s", name, ft_gguf_keys(a), differs ? ", but " : "", differs ? differs : "");
}

static void compare_tensors(const char *name, const struct ft_gguf *a, const struct ft_gguf *b)
{
	const char *differs = NULL;
	for (size_t i = 0; i < ft_gguf_tensors(a); i++) {
		const struct ft_gguf_tensor *t = ft_gguf_tensor(a, i), *u = ft_gguf_tensor_find(b, t->name);
		if (!u || u->type != t->type || u->rank != t->rank || memcmp(u->shape, t->shape, sizeof t->shape) != 0 ||
		    memcmp(u->data, t->data, t->bytes) != 0)
			differs = t->name;
	}
	ok(!differs && ft_gguf_tensors(a) == ft_gguf_tensors(b), "%s: %zu tensors%s%s", name, ft_gguf_tensors(a),
	   differs ? ", but " : "", differs ? differs : "");
}

static void check_family(const char *name, enum ft_dtype dtype)
{
	const struct ft_format *f = ft_format_find("gguf");
	struct ft_verified v;
	char ref[128];
	snprintf(ref, sizeof ref, REF "%s.gguf", name);
	const char *path = in_folder("model.gguf");
	struct ft_model *m = ft_model_open(ref, NULL, 0);
	int rc = m ? f->write(m, path, dtype) : FT_EFAIL;
	if (!is_int(rc, FT_OK, name))
		return ft_model_free(m);
	struct ft_gguf *a = ft_gguf_open(ref), *b = ft_gguf_open(path);
	if (ok(a && b, "both open")) {
		compare_keys(name, a, b);
		compare_tensors(name, a, b);
	}
	ft_gguf_close(a);
	ft_gguf_close(b);
	is_int(ft_export_verify(m, f, path, dtype, &v), FT_OK, "it comes back");
	is_int(f->write(m, path, FT_Q4_0), FT_OK, "in blocks, for which its rows are too short");
	is_int(ft_export_verify(m, f, path, FT_Q4_0, &v), FT_OK, "comes back, too");
	unlink(path);
	ft_model_free(m);
}

/* A trained model whose file others published: written from that file and from a folder of the same weights. The file
 * holds its tied decoder a second time. */
static void check_published(const char *from, bool tied)
{
	const struct ft_format *f = ft_format_find("gguf");
	const char *path = in_folder("model.gguf"), *differs = NULL;
	struct ft_model *m = ft_model_open(from, NULL, 0);
	if (!ok(m && f->write(m, path, FT_F32) == FT_OK, "%s is written", from))
		return ft_model_free(m);
	struct ft_gguf *a = ft_gguf_open(STORIES "stories260K.gguf"), *b = ft_gguf_open(path);
	for (size_t i = 0; a && b && i < ft_gguf_tensors(a); i++) {
		const struct ft_gguf_tensor *t = ft_gguf_tensor(a, i);
		const char *name = tied && strcmp(t->name, "output.weight") == 0 ? "token_embd.weight" : t->name;
		const struct ft_gguf_tensor *u = ft_gguf_tensor_find(b, name);
		if (!u || u->type != t->type || u->bytes != t->bytes || memcmp(u->data, t->data, t->bytes) != 0)
			differs = t->name;
	}
	ok(a && b && !differs && ft_gguf_tensors(a) == ft_gguf_tensors(b) + tied, "%s: the %zu tensors of the published file%s%s",
	   from, a ? ft_gguf_tensors(a) : 0, differs ? ", but " : "", differs ? differs : "");
	ft_gguf_close(a);
	ft_gguf_close(b);
	unlink(path);
	ft_model_free(m);
}

static void check_stories(void)
{
	if (access(STORIES "stories260K.gguf", R_OK) != 0) {
		ok(true, "stories260K # skip no data");
		return;
	}
	check_published(STORIES "stories260K.gguf", false);
	check_published(STORIES "hf", true);
}

/* What keys have no place for. */
static void refused(const char *dir, const char *reason)
{
	struct ft_model *m = ft_model_open(dir, NULL, 0);
	int rc = m ? ft_format_find("gguf")->write(m, in_folder("model.gguf"), FT_F32) : FT_OK;
	ok(rc == FT_EUSAGE && strstr(ft_message(), reason) && access(in_folder("model.gguf"), F_OK) < 0, "%s: %s", dir,
	   ft_message());
	ft_model_free(m);
}

int main(void)
{
	if (!ok(mkdtemp(folder) != NULL, "a folder"))
		return tap_done();
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		check_family(families[i].name, families[i].dtype);
	check_stories();
	refused("tests/ref/decoders/gemma2/tiny-lm", "query_pre_attn_scalar");
	refused("tests/ref/decoders/qwen2/tiny-lm", "sliding_window");
	refused("tests/ref/decoders/llama/tiny-classify", "has no place for the head 'classify'");
	refused("tests/ref/tiny-bert-mlm", "of causal language models only");
	rmdir(folder);
	return tap_done();
}
