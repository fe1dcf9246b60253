/* Fuzzes tokenizer.json and, behind a NUL byte, a text. Of a tokenizer that opens, ids
 * must be in range, places within the text, and its tokens must go back to text; texts may
 * be refused (a normalizer may be made to do too much), but with a reason. */
#include "ft/err.h"
#include "ft/tok.h"
#include "tests/fuzz/harness.h"

#include <string.h>

static void use(const struct ft_tok *t, const char *text, size_t n)
{
	struct ft_tok_text x = { 0 }, whole = { 0 };
	struct ft_buf back = { 0 };
	if (ft_tok_encode(t, text, n, 0, &x) < 0) {
		must(*ft_message());
	} else {
		for (size_t i = 0; i < x.n; i++) {
			must(x.ids[i] >= 0 && (size_t)x.ids[i] < ft_tok_size(t));
			must(x.begin[i] <= x.end[i] && x.end[i] <= n);
		}
		struct ft_tok_slice a = { &x, 0, x.n };
		must(ft_tok_wrap(t, &a, &a, &whole) == FT_OK);
		must(ft_tok_decode(t, whole.ids, whole.n, false, &back) == FT_OK || *ft_message());
	}
	ft_buf_free(&back);
	ft_tok_text_free(&x);
	ft_tok_text_free(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!*harness_folder)
		harness_make_folder();
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t n = nul ? (size_t)(nul - data) : size;
	harness_put("tokenizer.json", data, n);
	struct ft_tok *t = ft_tok_open(harness_folder);
	if (!t) {
		must(ft_last_error() < 0 && *ft_message());
		return 0;
	}
	use(t, "The trainers' 12 caf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd [SEP]", 33);
	if (nul && n + 1 < size) {
		/* A copy of its own, so that reading beyond it is found. */
		char *text = malloc(size - n - 1);
		must(text);
		memcpy(text, nul + 1, size - n - 1);
		use(t, text, size - n - 1);
		free(text);
	}
	json_t *d = ft_tok_describe(t);
	must(d);
	json_decref(d);
	ft_tok_free(t);
	return 0;
}
