/* Fuzzes SentencePiece models: behind a byte that says whose tokenizer_config.json
 * stands beside it, a .model. What opens encodes within bounds, decodes and is described. */
#include "ft/err.h"
#include "ft/tok.h"
#include "tests/fuzz/harness.h"

#include <string.h>

static void use(const struct ft_tok *t)
{
	static const char text[] = "  Alice the Queen---ab <sep> </s>\t\xc3\xa9 e\xcc\x81\xef\xac\x81"
				   " \xe2\x96\x81\xf0\x9f\x98\x80\r\n\xff";
	struct ft_tok_text x = { 0 };
	struct ft_buf b = { 0 };
	int rc = ft_tok_encode(t, text, sizeof text - 1, 0, &x);
	must(rc == FT_OK || *ft_message());
	for (size_t i = 0; i < x.n; i++)
		must(x.ids[i] >= 0 && (size_t)x.ids[i] < ft_tok_size(t) && x.begin[i] <= x.end[i] && x.end[i] < sizeof text);
	must(ft_tok_decode(t, x.ids, x.n, false, &b) == FT_OK || *ft_message());
	json_t *d = ft_tok_describe(t);
	must(d);
	json_decref(d);
	ft_buf_free(&b);
	ft_tok_text_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const configs[] = {
		"{}", "{\"tokenizer_class\":\"T5Tokenizer\",\"extra_ids\":2}", "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}",
		"{\"tokenizer_class\":\"LlamaTokenizer\",\"legacy\":false,\"add_eos_token\":true}",
		"{\"tokenizer_class\":\"AlbertTokenizer\"}", "{\"tokenizer_class\":\"DebertaV2Tokenizer\",\"split_by_punct\":true}",
	};
	if (!*harness_folder)
		harness_make_folder();
	const char *text = configs[size ? data[0] % (sizeof configs / sizeof *configs) : 0];
	harness_put("tokenizer_config.json", text, strlen(text));
	harness_put("tokenizer.model", data + (size > 0), size - (size > 0));
	struct ft_tok *t = ft_tok_open(harness_folder);
	if (t)
		use(t);
	else
		must(ft_last_error() == FT_EFORMAT && *ft_message());
	ft_tok_free(t);
	return 0;
}
