/* Fuzzes the GGUF reader: what opens has all its values and tensors within the file,
 * and a tokenizer, if it has one, that encodes; and what is a base has its tensors there. */
#include "ft/err.h"
#include "ft/format.h"
#include "ft/gguf.h"
#include "ft/tok.h"
#include "tests/fuzz/harness.h"

#include <string.h>

static void touch(const void *p, size_t n)
{
	const volatile uint8_t *b = p;
	if (n)
		(void)b[0], (void)b[n - 1];
}

static void check(const struct ft_gguf *g)
{
	for (size_t i = 0; i < ft_gguf_keys(g); i++) {
		const struct ft_gguf_value *v = ft_gguf_key(g, i);
		const void *at = NULL;
		must(ft_gguf_find(g, v->key) == v && *v->key);
		for (size_t k = 0; k < v->count; k++)
			if (v->type == FT_GGUF_STRING) {
				struct ft_span s = ft_gguf_text_next(v, &at);
				touch(s.p, s.n);
			} else if (v->type != FT_GGUF_BOOL) {
				(void)ft_gguf_int_at(v, k), (void)ft_gguf_real_at(v, k);
			}
	}
	for (size_t i = 0; i < ft_gguf_tensors(g); i++) {
		const struct ft_gguf_tensor *t = ft_gguf_tensor(g, i);
		must(ft_gguf_tensor_find(g, t->name) == t && *ft_ggml_name(t->type) != '?');
		touch(t->data, t->bytes);
	}
}

static void encode(const struct ft_tok *t)
{
	static const char text[] = "Hello  wörld, it's 1234567 \xe4\xb8\xad\xe6\x96\x87 <s>\n x";
	struct ft_tok_text x = { 0 };
	int rc = ft_tok_encode(t, text, sizeof text - 1, 0, &x);
	must(rc == FT_OK || *ft_message());
	for (size_t i = 0; i < x.n; i++)
		must(x.ids[i] >= 0 && (size_t)x.ids[i] < ft_tok_size(t) && x.begin[i] <= x.end[i] && x.end[i] < sizeof text);
	ft_tok_text_free(&x);
}

static void check_base(const struct ft_base *b)
{
	must(json_is_object(ft_base_config(b)));
	for (size_t i = 0; i < ft_base_count(b); i++) {
		const struct ft_stored *t = ft_base_at(b, i);
		must(ft_base_find(b, t->name) == t);
		touch(t->data, t->bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!*harness_folder)
		harness_make_folder();
	/* A tokenizer is opened by a name that ends in .gguf. */
	const char *path = harness_path("model.gguf");
	harness_put("model.gguf", data, size);
	struct ft_gguf *g = ft_gguf_open(path);
	if (g)
		check(g);
	else
		must(ft_last_error() == FT_EFORMAT && *ft_message());
	ft_gguf_close(g);
	struct ft_tok *t = ft_tok_open(path);
	if (t)
		encode(t);
	else
		must(ft_last_error() == FT_EFORMAT && *ft_message());
	ft_tok_free(t);
	struct ft_base *b = ft_base_open(path, 0);
	if (b)
		check_base(b);
	else
		must(ft_last_error() == FT_EFORMAT && *ft_message());
	ft_base_close(b);
	return 0;
}
